//! `quotas`.

use super::*;

const KEY: &str = r#""auth": {"credentials": [{"header": "x-api-key"}],
    "api_keys": [{"id": "a", "key": {"env": "A_KEY"}}]}"#;

fn document(quotas: &str, policy: &str) -> String {
    let comma = if policy.is_empty() { "" } else { "," };
    format!(r#"{{"quotas": {quotas}, "policies": [{{"name": "chat"{comma} {policy}}}]}}"#)
}

#[test]
fn nothing_is_limited_where_nothing_is_written() {
    let none = QuotaRules { per_ip: None, per_user: None, total: None, ipv6_prefix: 64 };
    assert_eq!(good("").quotas, none);
    assert_eq!(good(r#""quotas": {"connections": {}}"#).quotas, none);
    assert_eq!(parse(&document("{}", "")).unwrap().quotas, none);
}

#[test]
fn limits_are_whole_numbers_above_nothing() {
    for (limit, says) in [
        ("0", "is 0"),
        ("-1", "is negative"),
        ("1.5", "fraction"),
        ("\"10\"", "is a text; write a whole number"),
        ("100000001", "100000000"),
        ("null", "has no value"),
    ] {
        for key in ["per_ip", "total"] {
            let path = format!("quotas.connections.{key}");
            let quotas = format!(r#"{{"connections": {{"{key}": {limit}}}}}"#);
            bad(&format!(r#""quotas": {quotas}"#), &path, says);
            let told = errors(&document(&quotas, ""));
            assert_eq!(told.len(), 1, "{told:?}");
            assert!(told[0].starts_with(&path) && told[0].contains(says), "{told:?}");
        }
    }
}

#[test]
fn a_prefix_is_1_to_128_and_needs_what_it_is_for() {
    let prefix = |bits: &str| {
        format!(r#""quotas": {{"connections": {{"per_ip": 1}}, "ipv6_prefix": {bits}}}"#)
    };
    for bits in [1, 48, 128] {
        assert_eq!(good(&prefix(&bits.to_string())).quotas.ipv6_prefix, bits);
    }
    bad(&prefix("0"), "quotas.ipv6_prefix", "is 0");
    bad(&prefix("129"), "quotas.ipv6_prefix", "128");
    let alone = r#""quotas": {"connections": {"total": 1}, "ipv6_prefix": 64}"#;
    bad(alone, "quotas.ipv6_prefix", "has no effect without `per_ip`");
    let misspelt = r#""quotas": {"connections": {"per_ips": 1}, "ipv6_prefix": 64}"#;
    bad(misspelt, "quotas.connections.per_ips", "did you mean `per_ip`?");
}

#[test]
fn users_are_counted_only_where_they_are_known() {
    let per_user = r#""quotas": {"connections": {"per_user": 5}}"#;
    bad(per_user, "quotas.connections.per_user", "has no effect without `auth`");
    assert_eq!(good(&format!("{KEY}, {per_user}")).quotas.per_user, Some(5));
    let quotas = r#"{"connections": {"per_user": 5}}"#;
    let told = errors(&document(quotas, ""));
    assert!(told[0].starts_with("quotas.connections.per_user: has no effect"), "{told:?}");
    assert_eq!(parse(&document(quotas, KEY)).unwrap().quotas.per_user, Some(5));
}

#[test]
fn rates_of_handshakes_are_not_built_yet() {
    not_yet(r#""quotas": {"handshakes": {"per_ip": "30/1m"}}"#, "quotas.handshakes");
    let with_prefix = r#""quotas": {"handshakes": {"per_ip": "30/1m"}, "ipv6_prefix": 64}"#;
    not_yet(with_prefix, "quotas.handshakes");
    let told = errors(&document(r#"{"handshakes": {}}"#, ""));
    assert_eq!(told, ["quotas.handshakes: is no known key; known here: connections, ipv6_prefix"]);
}
