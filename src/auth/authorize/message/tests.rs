//! `authorize` against messages: values, names, lists, batches and protocols.

use super::*;
use crate::auth::tests::{NOW, NoHost, Worker, at, present, token};
use proptest::prelude::*;
use serde_json::json;

mod protocols;
mod shapes;

fn rule(pointer: &str, when: &[(&str, Value)]) -> AuthorizeRule {
    let pointer = Pointer::parse(pointer).unwrap();
    let when = when.iter().map(|(p, v)| (Pointer::parse(p).unwrap(), v.clone())).collect();
    let from = Asking::Message { pointer, when: When(when) };
    AuthorizeRule { from, grant: Grant::Claim("rooms".to_owned()) }
}

fn rules(pointer: &str, when: &[(&str, Value)]) -> AuthRules {
    let authorize = vec![rule(pointer, when)];
    AuthRules { authorize, ..crate::auth::tests::rules(vec![crate::auth::tests::issuer()]) }
}

fn alice() -> Identity {
    let token = token(json!({"rooms": ["a", "b", 7]}));
    let rules = crate::auth::tests::rules(vec![crate::auth::tests::issuer()]);
    present(&rules, &token, at(NOW), &NoHost).unwrap()
}

/// Without a service to ask.
fn check(rules: &AuthRules, identity: &Identity, message: &[u8]) -> Result<(), AuthError> {
    let worker = Worker::of(rules);
    let left = check_message(rules, identity, message, worker.desk(&NoHost))?;
    assert!(left.is_empty());
    Ok(())
}

const NOT_GRANTED: Result<(), AuthError> = Err(AuthError::NotGranted);
const NOT_ASKED: Result<(), AuthError> = Err(AuthError::NotAsked);
const UNREAD: Result<(), AuthError> = Err(AuthError::UnreadMessage);

#[track_caller]
fn holds(rules: &AuthRules, cases: &[(&str, Result<(), AuthError>)]) {
    let alice = alice();
    for (message, verdict) in cases {
        assert_eq!(check(rules, &alice, message.as_bytes()), *verdict, "{message}");
    }
}

#[test]
fn a_message_asks_only_for_what_the_claim_holds() {
    let (rules, alice) = (rules("/room", &[("/type", "join".into())]), alice());
    for (message, verdict) in [
        (r#"{"type":"join","room":"a"}"#, Ok(())),
        (r#"{"type":"join","room":7}"#, Ok(())),
        (r#"{"room":"\u0061","type":"\u006aoin"}"#, Ok(())),
        (r#"{"type":"join","room":"c"}"#, NOT_GRANTED),
        (r#"{"type":"join","room":"A"}"#, NOT_GRANTED),
        (r#"{"type":"join","room":7.0}"#, NOT_ASKED),
        (r#"{"type":"say","room":"c"}"#, Ok(())),
        (r#"{"type":"join"}"#, NOT_ASKED),
        (r#"{"type":"join","room":["a"]}"#, NOT_ASKED),
        (r#"{"type":"join","room":null}"#, NOT_ASKED),
        (r#"{"type":"join","room":""}"#, NOT_ASKED),
        (r#"{"type":"join","room":"a","room":"c"}"#, NOT_ASKED),
        (r#"{"type":"join","room":"a","Room":"c"}"#, NOT_ASKED),
        (r#"{"type":"say","type":"join","room":"c"}"#, NOT_ASKED),
        (r#"{"Type":"join","room":"c"}"#, NOT_ASKED),
        (r#"{"type":"join\ud800","room":"c"}"#, NOT_ASKED),
        (r#"{"type\u0000":"join","room":"c"}"#, NOT_ASKED),
        (r#"{"type":"join\u0000","room":"c"}"#, NOT_ASKED),
        (r#"{"type":"join","room":"a\u0000c"}"#, NOT_ASKED),
    ] {
        assert_eq!(check(&rules, &alice, message.as_bytes()), verdict, "{message}");
    }
}

#[test]
fn a_number_means_the_same_however_it_is_written() {
    let (rules, alice) = (rules("/room", &[("/op", 100_007_919_003_i64.into())]), alice());
    for op in ["100007919003", "100007919003.00000000", "1000079190030000000e-7"] {
        let message = format!(r#"{{"op":{op},"room":"c"}}"#);
        assert_eq!(check(&rules, &alice, message.as_bytes()), NOT_GRANTED, "{op}");
    }
}

/// A number is asked for only as all readers hold and write it.
#[test]
fn a_number_that_readers_round_or_write_otherwise_is_no_value() {
    let (rules, alice) = (rules("/room", &[]), alice());
    for (room, verdict) in [
        ("7", Ok(())),
        ("8", NOT_GRANTED),
        ("-7", NOT_GRANTED),
        ("7.5", NOT_GRANTED),
        ("9007199254740991", NOT_GRANTED),
        ("9007199254740992", NOT_ASKED),
        ("-9007199254740993", NOT_ASKED),
        ("18446744073709551615", NOT_ASKED),
        ("7.0", NOT_ASKED),
        ("7e0", NOT_ASKED),
        ("70e-1", NOT_ASKED),
        ("7.50", NOT_ASKED),
        ("-0", NOT_ASKED),
        ("1e400", NOT_ASKED),
        ("0.1000000000000000055", NOT_ASKED),
    ] {
        let message = format!(r#"{{"room":{room}}}"#);
        assert_eq!(check(&rules, &alice, message.as_bytes()), verdict, "{room}");
    }
}

#[test]
fn a_value_of_another_kind_at_when_is_refused() {
    holds(
        &rules("/room", &[("/type", "join".into())]),
        &[
            (r#"{"type":["join"],"room":"c"}"#, NOT_ASKED),
            (r#"{"type":[["join"]],"room":"c"}"#, NOT_ASKED),
            (r#"{"type":[],"room":"c"}"#, NOT_ASKED),
            (r#"{"type":true,"room":"c"}"#, NOT_ASKED),
            (r#"{"type":0,"room":"c"}"#, NOT_ASKED),
            (r#"{"type":null,"room":"c"}"#, NOT_ASKED),
            (r#"{"type":{"toString":"join"},"room":"c"}"#, NOT_ASKED),
            (r#"{"type":["join"],"room":"a"}"#, NOT_ASKED),
            (r#"{"room":"c"}"#, Ok(())),
            ("{}", Ok(())),
            (r#"{"type":"leave","room":"c"}"#, Ok(())),
        ],
    );
    holds(
        &rules("/room", &[("/op", 1.into())]),
        &[
            (r#"{"op":1,"room":"a"}"#, Ok(())),
            (r#"{"op":1.0,"room":"c"}"#, NOT_GRANTED),
            (r#"{"op":"1","room":"c"}"#, NOT_ASKED),
            (r#"{"op":[1],"room":"c"}"#, NOT_ASKED),
            (r#"{"op":true,"room":"c"}"#, NOT_ASKED),
            (r#"{"op":1.5,"room":"c"}"#, NOT_ASKED),
            (r#"{"op":4294967297,"room":"c"}"#, NOT_ASKED),
            (r#"{"op":1e400,"room":"c"}"#, NOT_ASKED),
            (r#"{"op":2,"room":"c"}"#, Ok(())),
        ],
    );
    holds(
        &rules("/room", &[("/in", true.into())]),
        &[
            (r#"{"in":true,"room":"c"}"#, NOT_GRANTED),
            (r#"{"in":1,"room":"c"}"#, NOT_ASKED),
            (r#"{"in":"true","room":"c"}"#, NOT_ASKED),
            (r#"{"in":false,"room":"c"}"#, Ok(())),
        ],
    );
    // Another member that says so to every reader settles it.
    let both = [("/type", "join".into()), ("/v", 1.into())];
    holds(
        &rules("/room", &both),
        &[
            (r#"{"type":"join","v":1,"room":"c"}"#, NOT_GRANTED),
            (r#"{"type":"join","v":"1","room":"c"}"#, NOT_ASKED),
            (r#"{"type":"say","v":"1","room":"c"}"#, Ok(())),
            (r#"{"type":"say","v":1,"v":2}"#, NOT_ASKED),
        ],
    );
}

/// A reader with fields of fixed types fills in what is missing.
#[test]
fn what_is_missing_may_be_a_zero() {
    holds(
        &rules("/room", &[("/op", 0.into())]),
        &[
            (r#"{"op":0,"room":"c"}"#, NOT_GRANTED),
            (r#"{"room":"c"}"#, NOT_GRANTED),
            (r#"{"room":"a"}"#, Ok(())),
            (r#"{"text":"x"}"#, Ok(())),
            (r#"{"op":0,"text":"x"}"#, NOT_ASKED),
            (r#"{"op":1,"room":"c"}"#, Ok(())),
        ],
    );
}

#[test]
fn a_prototype_is_refused_in_every_object_that_pointers_lead_through() {
    holds(
        &rules("/data/room", &[("/type", "join".into())]),
        &[
            (r#"{"__proto__":{"type":"join"},"data":{"room":"c"}}"#, NOT_ASKED),
            (r#"{"\u005f_proto__":null,"type":"say"}"#, NOT_ASKED),
            (r#"{"type":"say","data":{"__proto__":{"room":"c"}}}"#, NOT_ASKED),
            (r#"{"type":"join","data":{"room":"a","__proto__":1}}"#, NOT_ASKED),
            (r#"{"type":"say","text":{"__proto__":1}}"#, Ok(())),
        ],
    );
}

#[test]
fn half_characters_are_refused_where_it_reads() {
    holds(
        &rules("/room", &[("/type", "join".into())]),
        &[
            (r#"{"type":"\ud800","room":"c"}"#, NOT_ASKED),
            (r#"{"type":"join","room":"a\udc00"}"#, NOT_ASKED),
            (r#"{"\ud800":1,"type":"say"}"#, NOT_ASKED),
            (r#"{"type":"say","text":"\ud800"}"#, Ok(())),
            (r#"{"type":"join","room":"\ud83d\ude00"}"#, NOT_GRANTED),
        ],
    );
}

#[test]
fn a_pointer_does_not_pass_by_what_it_can_not_look_into() {
    holds(
        &rules("/data/room", &[("/data/type", "join".into())]),
        &[
            (r#"{"data":{"type":"join","room":"a"}}"#, Ok(())),
            (r#"{"data":"{\"type\":\"join\",\"room\":\"c\"}"}"#, NOT_ASKED),
            (r#"{"data":[{"type":"join","room":"c"}]}"#, NOT_ASKED),
            (r#"{"data":"hello"}"#, Ok(())),
            (r#"{"data":null}"#, Ok(())),
            (r#"{"data":[]}"#, Ok(())),
            (r#"{"text":"{}"}"#, Ok(())),
        ],
    );
    holds(
        &rules("/params/0", &[]),
        &[
            (r#"{"params":["a"]}"#, Ok(())),
            (r#"{"params":{"room":"c"}}"#, NOT_ASKED),
            (r#"{"params":"c"}"#, NOT_ASKED),
            (r#"{"params":[]}"#, Ok(())),
            (r#"{"params":{}}"#, Ok(())),
        ],
    );
}

#[test]
fn without_such_rules_nothing_is_read() {
    let rules = crate::auth::tests::rules(vec![crate::auth::tests::issuer()]);
    assert_eq!(check(&rules, &alice(), b"{"), Ok(()));
}

#[test]
fn fuzzer_entry_runs() {
    for seed in [
        "",
        "ping",
        r#"{"type":"join","room":"a"}"#,
        r#"{"type":["join"],"room":"a"}"#,
        r#"[{"type":"join","room":"a"},{}]"#,
        r#"{"__proto__":{"type":"join"},"room":"a"}"#,
    ] {
        fuzz_message(seed.as_bytes());
    }
}

proptest! {
    #[test]
    fn holds_on_anything(data in proptest::collection::vec(any::<u8>(), 0..40)) {
        fuzz_message(&data);
    }

    #[test]
    fn holds_on_what_looks_like_a_join(
        text in r#"(\{|\}|\[|\]|,|"type":|"room":|"Type":|"__proto__":|"join"|"a"|1|null|:| |"\\ud800"){0,14}"#,
    ) {
        fuzz_message(text.as_bytes());
    }

    #[test]
    fn holds_on_objects(
        members in proptest::collection::vec(
            (r#"(type|room|Room|TYPE|__proto__|x|\\u0074ype)"#, r#"("join"|"a"|"c"|\["join"\]|1|true|null|\{\}|"\\ud800")"#),
            0..5,
        ),
        list in any::<bool>(),
    ) {
        let members: Vec<_> = members.iter().map(|(n, v)| format!(r#""{n}":{v}"#)).collect();
        let object = format!("{{{}}}", members.join(","));
        let message = if list { format!("[{{}},{object}]") } else { object };
        fuzz_message(message.as_bytes());
    }
}
