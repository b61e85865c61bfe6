//! `quotas`.

use super::*;
use crate::quota::rate::Rate;

const KEY: &str = r#""auth": {"credentials": [{"header": "x-api-key"}],
    "api_keys": [{"id": "a", "key": {"env": "A_KEY"}}]}"#;

fn document(quotas: &str, policy: &str) -> String {
    let comma = if policy.is_empty() { "" } else { "," };
    format!(r#"{{"quotas": {quotas}, "policies": [{{"name": "chat"{comma} {policy}}}]}}"#)
}

#[test]
fn nothing_is_limited_where_nothing_is_written() {
    let none = QuotaRules::default();
    assert_eq!(none.limits() + usize::from(none.handshakes_per_ip.is_some()), 0);
    assert_eq!(none.ipv6_prefix, 64);
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
    let asks = r#""handshake": {"origins": ["https://app.example.com"]}, "auth": {
        "credentials": [{"cookie": "session"}],
        "session": {"cluster": "auth", "host": "auth", "path": "/", "send": "cookie", "subject": "/sub"}
    }, "quotas": {"ipv6_prefix": 48}"#;
    assert_eq!(good(asks).quotas.ipv6_prefix, 48);
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

fn rate(limit: u64, seconds: u64) -> Option<Rate> {
    Rate::new(limit, std::time::Duration::from_secs(seconds))
}

#[test]
fn handshakes_have_a_rate_in_a_policy_only() {
    let policy = good(r#""quotas": {"handshakes": {"per_ip": "30/1m"}, "ipv6_prefix": 48}"#);
    assert_eq!((policy.quotas.handshakes_per_ip, policy.quotas.ipv6_prefix), (rate(30, 60), 48));
    let handshakes = |value: &str| format!(r#""quotas": {{"handshakes": {value}}}"#);
    for (value, path, says) in [
        ("{}", ".per_ip", "is missing; write a rate like \"30/1m\""),
        (r#"{"per_ip": 30}"#, ".per_ip", "is no rate; write how many in how long a time"),
        (r#"{"per_ip": "0/1m"}"#, ".per_ip", "is 0, which would let nothing pass"),
        (r#"{"per_ip": "30"}"#, ".per_ip", "like \"100/1m\""),
        (r#"{"per_ip": "30/25h"}"#, ".per_ip", "over less than 100ms or more than 24h"),
        (r#"{"per_ip": []}"#, ".per_ip", "is a list; write a rate"),
        (r#"{"per_ip": "3/1m", "per_user": "3/1m"}"#, ".per_user", "is no known key"),
        (r#""30/1m""#, "", "is a text; write an object"),
    ] {
        bad(&handshakes(value), &format!("quotas.handshakes{path}"), says);
    }
    let told = errors(&document(r#"{"handshakes": {}}"#, ""));
    assert_eq!(told, ["quotas.handshakes: is no known key; known here: connections, ipv6_prefix"]);
}

#[test]
fn messages_have_rates_of_each_kind() {
    let rates = r#"{"per_connection": "100/1m", "per_ip": "1000/1m", "per_user": "500/1m"}"#;
    let bytes = r#"{"per_connection": "10MiB/1m", "per_ip": "1GiB/1h", "per_user": "5000/1s"}"#;
    let client = format!(r#""client": {{"rate": {rates}, "bytes": {bytes}}}"#);
    let policy = good(&format!("{KEY}, {client}")).client;
    let read = [policy.rate.per_connection, policy.rate.per_ip, policy.rate.per_user];
    assert_eq!(read, [rate(100, 60), rate(1000, 60), rate(500, 60)]);
    let read = [policy.bytes.per_connection, policy.bytes.per_ip, policy.bytes.per_user];
    assert_eq!(read, [rate(10 << 20, 60), rate(1 << 30, 3600), rate(5000, 1)]);
    let alone = good(r#""client": {"rate": {"per_ip": "1/1m"}}, "quotas": {"ipv6_prefix": 48}"#);
    assert_eq!((alone.client.rate.count(), alone.quotas.ipv6_prefix), (1, 48));
    for (client, path, says) in [
        (r#"{"rate": {}}"#, "rate", "is empty"),
        (r#"{"rate": "100/1m"}"#, "rate", "is a text; write an object"),
        (r#"{"rate": {"per_ip": "10MiB/1m"}}"#, "rate.per_ip", "is no rate; write how many"),
        (r#"{"bytes": {"per_ip": "10MB/1m"}}"#, "bytes.per_ip", "is no rate of bytes"),
        (r#"{"bytes": {"per_ip": 10}}"#, "bytes.per_ip", "like \"10MiB/1m\""),
        (r#"{"bytes": {"per_user": "10/1m"}}"#, "bytes.per_user", "has no effect without `auth`"),
        (r#"{"rate": {"per_con": "1/1m"}}"#, "rate.per_con", "is no known key"),
    ] {
        bad(&format!(r#""client": {client}"#), &format!("client.{path}"), says);
    }
}
