//! `bans`.

use super::*;
use crate::quota::bans::BanRules;
use crate::reason::Reason;
use std::time::Duration;

const KEY: &str = r#""auth": {"credentials": [{"header": "x-api-key"}],
    "api_keys": [{"id": "a", "key": {"env": "A_KEY"}}]}"#;

fn bans(members: &str) -> BanRules {
    good(&format!(r#"{KEY}, "bans": {{{members}}}"#)).bans.unwrap()
}

#[test]
fn nobody_is_banned_where_nothing_is_written() {
    assert_eq!(good("").bans, None);
}

#[test]
fn what_is_not_written_is_as_in_the_example() {
    let rules = bans("");
    assert_eq!(
        (rules.threshold, rules.window, rules.duration),
        (10, Duration::from_secs(60), Duration::from_secs(900))
    );
    assert!(rules.by_ip && rules.by_user && !rules.open);
    assert!(!good(r#""bans": {}"#).bans.unwrap().by_user, "nobody is known by name");
}

#[test]
fn every_key_is_read() {
    let rules = bans(
        r#""threshold": 3, "window": "10s", "duration": "720h", "by": ["user"], "open": false,
           "weights": {"credentials_invalid": 2, "origin_denied": 5, "rule_matched": 0}"#,
    );
    assert_eq!(
        rules,
        BanRules {
            threshold: 3,
            window: Duration::from_secs(10),
            duration: Duration::from_secs(720 * 3600),
            by_ip: false,
            by_user: true,
            open: false,
            weights: vec![
                (Reason::CredentialsInvalid, 2),
                (Reason::OriginDenied, 5),
                (Reason::RuleMatched, 0)
            ],
        }
    );
    assert_eq!(rules.weight(Reason::RuleMatched), 0);
    assert_eq!(rules.weight(Reason::ProtocolError), 1, "not written");
}

#[test]
fn mistakes_are_told_with_what_to_write() {
    for (members, path, says) in [
        (r#""threshold": 0"#, ".threshold", "is 0"),
        (r#""threshold": "10""#, ".threshold", "is a text; write a whole number"),
        (r#""threshold": 1000001"#, ".threshold", "write at most 1000000"),
        (r#""window": 60"#, ".window", "is a number; write a number with its unit"),
        (r#""window": "25h""#, ".window", "write at most 24h"),
        (r#""window": "0s""#, ".window", "is 0"),
        (r#""duration": "721h""#, ".duration", "write at most 720h"),
        (r#""duration": "15""#, ".duration", "is no duration"),
        (r#""by": []"#, ".by", "is an empty list"),
        (r#""by": ["address"]"#, ".by[0]", "write `ip` or `user`"),
        (r#""by": ["ip", "ip"]"#, ".by[1]", "says the same"),
        (r#""by": ["user"]"#, ".by", "has `user`, and without `auth`"),
        (r#""open": 1"#, ".open", "is a number; write true or false"),
        (r#""weights": {}"#, ".weights", "is empty"),
        (
            r#""weights": {"credential_invalid": 1}"#,
            ".weights.credential_invalid",
            "did you mean `credentials_invalid`?",
        ),
        (r#""weights": {"nonsense": 1}"#, ".weights.nonsense", "is no known reason; write one"),
        (r#""weights": {"banned": 1}"#, ".weights.banned", "can be no strike"),
        // Or an issuer that is down would ban everybody.
        (r#""weights": {"auth_unavailable": 1}"#, ".weights.auth_unavailable", "no fault"),
        (r#""weights": {"idle_timeout": 1}"#, ".weights.idle_timeout", "no fault"),
        (r#""weights": {"upstream_handshake": 1}"#, ".weights.upstream_handshake", "no fault"),
        (r#""weights": {"rule_matched": -1}"#, ".weights.rule_matched", "is negative"),
        (r#""weights": {"rule_matched": "1"}"#, ".weights.rule_matched", "is a text"),
        (r#""treshold": 1"#, ".treshold", "did you mean `threshold`?"),
    ] {
        bad(&format!(r#""bans": {{{members}}}"#), &format!("bans{path}"), says);
    }
    assert!(good(r#""bans": {"open": true}"#).bans.unwrap().open);
}

#[test]
fn bans_and_held_bytes_count_addresses_by_the_documents_prefix() {
    let document = |bans: &str| {
        format!(r#"{{"quotas": {{"ipv6_prefix": 48}}, "policies": [{{"name": "a"{bans}}}]}}"#)
    };
    for bans in [r#", "bans": {}"#, ""] {
        assert_eq!(parse(&document(bans)).unwrap().quotas.ipv6_prefix, 48);
    }
}
