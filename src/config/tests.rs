//! Whole documents. What a section says about its own keys is below.

use super::*;
use crate::auth::{CredentialSource, Encoding, Scheme};
use crate::handshake::{Compression, PlainHttp, RefuseWith, TlsRule, Upstream};
use crate::inspect::Action;
use proptest::prelude::*;
use serde_json::{Value, json};

mod auth;
mod bans;
mod client;
mod document;
mod example;
mod first_message;
mod handshake;
mod jwt;
mod leaves;
mod quotas;
mod services;

const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2";

/// Everything with `_KEY` or `_SECRET` in its name is set.
fn environment(name: &str) -> Option<String> {
    // Keys differ, since two ids with one key would be a mistake.
    (name.ends_with("_KEY") || name.ends_with("_SECRET")).then(|| format!("{SECRET}-{name}"))
}

fn parse(document: &str) -> Result<Config, ConfigErrors> {
    Config::parse(document, &environment)
}

/// The lines of the errors; none when the document is good.
fn errors(document: &str) -> Vec<String> {
    match parse(document) {
        Ok(_) => Vec::new(),
        Err(errors) => {
            let told = format!("{errors} {errors:?}");
            assert!(!told.contains("hunter2"), "a secret in {told}");
            errors.to_string().lines().map(str::to_owned).collect()
        }
    }
}

/// A document of one policy with these members next to its name.
fn policy(members: &str) -> String {
    let comma = if members.is_empty() { "" } else { "," };
    format!(r#"{{"policies": [{{"name": "chat"{comma} {members}}}]}}"#)
}

/// Holds that this member of a policy is good.
#[track_caller]
fn good(members: &str) -> Policy {
    match parse(&policy(members)) {
        Ok(config) => config.policies.into_iter().next().expect("one policy"),
        Err(errors) => panic!("{members}: {errors}"),
    }
}

/// Holds that these members of a policy have exactly one error, at this path
/// below `policies[0].`, which says this.
#[track_caller]
fn bad(members: &str, path: &str, says: &str) {
    let errors = errors(&policy(members));
    let [error] = errors.as_slice() else { panic!("{members}: {errors:#?}") };
    let begin = format!("policies[0].{path}: ");
    assert!(error.starts_with(&begin), "{members}: {error}");
    assert!(error[begin.len()..].contains(says), "{members}: {error}");
}

/// Holds that this is refused as not supported yet, and nothing else is.
#[track_caller]
fn not_yet(members: &str, path: &str) {
    assert_eq!(errors(&policy(members)), [format!("not supported yet: policies[0].{path}")]);
}

/// Of an RSA key that was made for these tests, by OpenSSL.
const MODULUS: &str = "l3v4-9ik-1yyJTdrhS2mGYijGJ1GZcdkXLQDnuikTwOAQWj-harPjgG4ifjLo8R8BGAQtzVq2ZJxbg_G\
    EbkJ0R22KIHEnfjOtBTAE2GaqinrTh0y4xMU2Mmwqu2pG4a37Waq-uWTz7nRG2vkgG03umeurmw7SCwT\
    VT0VLaFMVcev8B51xzMs43qFkvmTflezfUP72aDAKYVKDw0jvJgv3ndBnT5XaZi_2XGF0CmoIktRH-Bn\
    PynnfynMT9WOqLjsmDN732JWDWX2pkQD9nImnf7UeTjCpZ16u2c4VI80T7xTGY5AtNnQjf5sOKIoNmJK\
    TgJS_F6aF9PwrTgRPQzfAw";

/// The members of an RSA key as RFC 7517 §4 and RFC 7518 §6.3.1 write them.
fn rsa_jwk() -> Value {
    json!({"kty": "RSA", "kid": "a", "e": "AQAB", "n": MODULUS})
}

/// `auth.jwt` with one issuer, each of the members over the default ones.
fn issuer(members: &Value) -> Value {
    let mut issuer = json!({
        "issuer": "https://issuer.example.com",
        "algorithms": ["RS256"],
        "keys": {"jwks": {"keys": [rsa_jwk()]}},
    });
    for (key, value) in members.as_object().expect("an object") {
        issuer[key] = value.clone();
    }
    issuer
}

#[test]
fn five_mistakes_are_five_errors() {
    let document = r#"{
        "mode": "enforced",
        "policies": [
            {"name": "chat", "handshake": {"orgins": ["https://app.example.com"]},
             "client": {"max_message": "1MB", "max_fragments": 0}},
            {"name": "chat", "match": {"paths": ["/other"]}}
        ]
    }"#;
    assert_eq!(
        errors(document),
        [
            "mode: is no known word; write `enforce` or `report`",
            "policies[0].handshake.orgins: is no known key; did you mean `origins`?",
            "policies[0].client.max_message: is no size; write bytes as a number, or a text like \
             \"64KiB\", \"1MiB\", \"1GiB\"",
            "policies[0].client.max_fragments: is 0, which would let nothing pass; write at least 1",
            "policies[1].name: says the same as policies[0].name; keep one",
        ]
    );
}

#[test]
fn the_defaults_are_the_contracts() {
    let config = parse(&policy("")).unwrap();
    assert_eq!(config.mode, Mode::Enforce);
    assert_eq!(config.unmatched, Unmatched::Reject);
    assert_eq!(config.buffered_per_worker_bytes, 256 * 1024 * 1024);
    assert!(config.identity_headers.is_empty());
    let [policy] = config.policies.as_slice() else { panic!("one policy") };
    assert_eq!((policy.name.as_str(), policy.mode), ("chat", Mode::Enforce));
    assert!(policy.hosts.is_empty() && policy.paths.is_empty());
    assert!(policy.auth.is_none());
    let handshake = &policy.handshake;
    assert!(handshake.origins.is_none());
    assert!(handshake.addresses.allow.is_none() && handshake.addresses.deny.is_empty());
    assert_eq!(handshake.tls, TlsRule::Optional);
    assert!(handshake.subprotocols.is_none() && handshake.user_agents_denied.is_none());
    assert_eq!(handshake.compression, Compression::Strip);
    assert_eq!(handshake.plain_http, PlainHttp::Reject);
    assert_eq!(handshake.refuse_with, RefuseWith::Http);
    let client = &policy.client;
    assert_eq!((client.max_frame_bytes, client.max_message_bytes), (1 << 20, 1 << 20));
    assert_eq!((client.max_fragments, policy.server.max_fragments), (1024, 1024));
    assert!(client.text && client.binary && client.rules.is_none());
    assert_eq!(client.on_violation, Action::Close);
    let guarded = good(r#""handshake": {"origins": ["https://app.example.com"]}"#);
    assert!(!guarded.handshake.origins.unwrap().allow_missing);
}

#[test]
fn empty_sections_are_the_defaults_too() {
    let empty = good(
        r#""match": {}, "handshake": {}, "quotas": {}, "client": {}, "server": {}, "lifetime": {}"#,
    );
    assert_eq!(format!("{empty:?}"), format!("{:?}", good("")));
}

#[test]
fn errors_come_in_the_documents_order_whatever_is_checked_first() {
    let document = r#"{"policies": [
        {"client": {"types": [], "max_frame": 0}, "auth": 1, "zzz": 1, "name": ""},
        {"server": 1, "name": "B", "match": {"paths": 1}}], "quotas": 1, "mode": 1}"#;
    let paths: Vec<_> =
        parse(document).unwrap_err().iter().map(|error| error.path().to_owned()).collect();
    assert_eq!(
        paths,
        [
            "policies[0].client.types",
            "policies[0].client.max_frame",
            "policies[0].auth",
            "policies[0].zzz",
            "policies[0].name",
            "policies[1].server",
            "policies[1].name",
            "policies[1].match.paths",
            "quotas",
            "mode",
        ]
    );
}

#[test]
fn a_flood_of_errors_is_cut_and_counted() {
    let policies = vec!["0"; 5_000].join(",");
    let errors = errors(&format!(r#"{{"policies": [{policies}]}}"#));
    assert_eq!(errors.len(), 101);
    assert!(errors[99].starts_with("policies[99]: is a number; write an object"), "{}", errors[99]);
    assert_eq!(errors[100], "and 4900 more");
}

#[test]
fn how_often_open_connections_are_told_of_has_bounds() {
    let document =
        |events: &str| format!(r#"{{"events": {events}, "policies": [{{"name": "chat"}}]}}"#);
    let read = |events: &str| parse(&document(events)).unwrap().progress;
    assert_eq!(read(r#"{"progress": "1h"}"#), Some(Duration::from_secs(3600)));
    assert_eq!(read(r#"{"progress": "1000ms"}"#), Some(Duration::from_secs(1)));
    assert_eq!(parse(r#"{"policies": [{"name": "chat"}]}"#).unwrap().progress, None);
    for (events, expected) in [
        (r#"{"progress": "999ms"}"#, "events.progress: is too short; write at least 1s"),
        (r#"{"progress": "0s"}"#, "events.progress: is 0"),
        (r#"{"progress": "9000h"}"#, "events.progress: is too large; write at most 8784h"),
        (r#"{"progress": 3600}"#, "events.progress: is a number"),
        (r#"{"progres": "1h"}"#, "events.progres: is no known key; did you mean"),
        (r#"{}"#, "events"),
        ("true", "events: is true or false; write an object"),
    ] {
        let told = errors(&document(events));
        assert!(
            told.first().is_some_and(|error| error.starts_with(expected)),
            "{events}: {told:?}"
        );
    }
}

#[test]
fn keys_of_the_document_cannot_forge_lines_of_the_log() {
    let told = errors(r#"{"a\nwsguard {\"event\":\"x\"}": 1, "policies": [{"name": "chat"}]}"#);
    let expected = "[\"a\\nwsguard {\\\"event\\\":\\\"x\\\"}\"]: is no known key; known here: \
         filter, mode, unmatched, limits, events, quotas, policies";
    assert_eq!(told, [expected]);
    let long = format!(r#"{{"{}": 1, "policies": [{{"name": "chat"}}]}}"#, "ä".repeat(1_000));
    assert!(errors(&long)[0].len() < 300);
}

#[test]
fn a_document_may_come_from_another_format() {
    // serde_json's own tree stands for what the command line reads from YAML.
    let tree = json!({"policies": [{"name": "chat", "mode": "report"}]});
    let document = <Document as serde::Deserialize>::deserialize(tree).unwrap();
    assert_eq!(Config::check(&document, &environment).unwrap().policies[0].mode, Mode::Report);
}

#[test]
fn the_fuzzer_entry_holds_on_seeds() {
    for seed in [
        "",
        "null",
        "{}",
        "[]",
        r#"{"policies": []}"#,
        &policy(""),
        &policy(r#""auth": {}"#),
        &policy(
            r#""auth": {"credentials": [{"header": "x-api-key"}], "api_keys": [{"id": "a", "key": {"env": "A"}}]}"#,
        ),
        example::EVERY_SECTION,
        &example::built_now(),
    ] {
        fuzz_config(seed.as_bytes());
    }
    fuzz_config(&[0xff]);
}

/// Any JSON, with the contract's own words in it.
fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        Just("name".to_owned()),
        Just("policies".to_owned()),
        Just("auth".to_owned()),
        Just("client".to_owned()),
        Just("rules".to_owned()),
        Just("1KiB".to_owned()),
        "\\PC{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 64, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(word.clone(), inner, 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The JSON pointers (RFC 6901) of all values below this one.
fn pointers(tree: &Value, at: &str) -> Vec<String> {
    let below: Vec<(String, &Value)> = match tree {
        Value::Array(items) => {
            items.iter().enumerate().map(|(index, item)| (format!("{at}/{index}"), item)).collect()
        }
        Value::Object(members) => members
            .iter()
            .map(|(key, value)| {
                (format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), value)
            })
            .collect(),
        _ => Vec::new(),
    };
    below.into_iter().flat_map(|(p, v)| std::iter::once(p.clone()).chain(pointers(v, &p))).collect()
}

/// Puts `value` in the place of one that is there, or takes that away.
fn change(tree: &mut Value, index: &prop::sample::Index, value: &Option<Value>) {
    let all = pointers(tree, "");
    let at = index.get(&all);
    let (parent, key) = at.rsplit_once('/').unwrap();
    match (value, tree.pointer_mut(parent).unwrap()) {
        (None, Value::Object(members)) => drop(members.remove(key)),
        (None, Value::Array(items)) => drop(items.remove(key.parse().unwrap())),
        _ => *tree.pointer_mut(at).unwrap() = value.clone().unwrap_or_default(),
    }
}

proptest! {
    #[test]
    fn any_json_is_taken_or_refused(tree in any_json()) {
        fuzz_config(tree.to_string().as_bytes());
        fuzz_config(format!(r#"{{"policies": [{{"name": "a", "auth": {tree}}}]}}"#).as_bytes());
    }

    #[test]
    fn any_text_is_taken_or_refused(text in "\\PC*") {
        fuzz_config(text.as_bytes());
    }
}

proptest! {
    // Each case compiles the patterns of a whole document.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_good_document_with_one_change_is_taken_or_refused(
        index in any::<prop::sample::Index>(),
        value in prop::option::of(any_json()),
    ) {
        for text in [example::EVERY_SECTION, &example::built_now()] {
            let mut tree: Value = serde_json::from_str(text).unwrap();
            change(&mut tree, &index, &value);
            fuzz_config(tree.to_string().as_bytes());
        }
    }

    #[test]
    fn a_good_document_with_changed_bytes_is_taken_or_refused(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = example::built_now().into_bytes();
        for (index, byte) in changes {
            let index = index.index(bytes.len());
            bytes[index] = byte;
        }
        fuzz_config(&bytes);
    }
}
