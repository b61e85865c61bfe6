//! `authorize` against messages: values, names, lists, batches and protocols.

use super::*;
use crate::auth::first_message::{FirstMessageRules, Form};
use crate::auth::tests::{NOW, NoHost, Worker, at, present, token};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

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
fn a_batch_is_read_entry_by_entry() {
    holds(
        &rules("/params/0", &[("/method", "join".into())]),
        &[
            (r#"[{"method":"join","params":["a"]}]"#, Ok(())),
            (r#"[{"method":"join","params":["c"]}]"#, NOT_GRANTED),
            (r#" [ {"method":"say"} , {"method":"join","params":["c"]}]"#, NOT_GRANTED),
            (r#"[{"method":"join","params":{"0":"c"}}]"#, NOT_GRANTED),
            (r#"[{"method":"join","params":{"room":"c"}}]"#, NOT_ASKED),
            (r#"[{"method":["join"],"params":["c"]}]"#, NOT_ASKED),
            (r#"[[{"method":"join","params":["c"]}]]"#, UNREAD),
            (r#"[{"method":"say"},[{"method":"join","params":["c"]}]]"#, UNREAD),
            (r#"[{"method":"say"},"x"]"#, UNREAD),
            (r#"["{\"method\":\"join\",\"params\":[\"c\"]}"]"#, UNREAD),
            (r#"[{"method":"say"},null]"#, UNREAD),
            ("[1]", UNREAD),
            ("[]", Ok(())),
            (r#"[{"method":"say"}"#, UNREAD),
            (r#"[{"method":"say"}]]"#, UNREAD),
            (r#"[{"method":"say"}] {"method":"join","params":["c"]}"#, UNREAD),
            (r#"[{"method":"say","__proto__":1}]"#, NOT_ASKED),
        ],
    );
    let batch = |count: usize| {
        let entry = |at: usize| format!(r#"{{"method":"join","params":["{at}"]}}"#);
        format!("[{}]", (0..count).map(entry).collect::<Vec<_>>().join(","))
    };
    let rules = rules("/params/0", &[("/method", "join".into())]);
    assert_eq!(asked_by(&rules, batch(1024).as_bytes()).map(|asked| asked.len()), Ok(1024));
    assert_eq!(asked_by(&rules, batch(1025).as_bytes()), Err(AuthError::NotAsked));
    let same = format!("[{}]", [r#"{"method":"join","params":["a"]}"#; 5000].join(","));
    assert_eq!(asked_by(&rules, same.as_bytes()).map(|asked| asked.len()), Ok(1));
}

/// Phoenix, OCPP.
#[test]
fn rules_that_begin_with_an_index_read_lists() {
    let phoenix = rules("/2", &[("/3", "phx_join".into())]);
    holds(
        &phoenix,
        &[
            (r#"["1","1","a","phx_join",{}]"#, Ok(())),
            (r#"["1","1","c","phx_join",{}]"#, NOT_GRANTED),
            (r#"[null,"1","phoenix","heartbeat",{}]"#, Ok(())),
            (r#"["1","1","c",["phx_join"],{}]"#, NOT_ASKED),
            (r#"["1","1",["c"],"phx_join",{}]"#, NOT_ASKED),
            (r#"[["1","1","c","phx_join",{}]]"#, UNREAD),
            (r#"[{"topic":"c","event":"phx_join"}]"#, UNREAD),
            (r#"[{},{},{},{}]"#, NOT_ASKED),
            (r#"["1","1"]"#, Ok(())),
            (r#"{"0":"1","1":"1","2":"c","3":"phx_join"}"#, UNREAD),
            (r#"{"topic":"c","event":"phx_join"}"#, UNREAD),
            ("[]", Ok(())),
        ],
    );
    let ocpp = rules("/3/idTag", &[("/0", 2.into()), ("/2", "Authorize".into())]);
    holds(
        &ocpp,
        &[
            (r#"[2,"1","Authorize",{"idTag":"a"}]"#, Ok(())),
            (r#"[2,"1","Authorize",{"idTag":"c"}]"#, NOT_GRANTED),
            (r#"["2","1","Authorize",{"idTag":"c"}]"#, NOT_ASKED),
            (r#"[2,"1",["Authorize"],{"idTag":"c"}]"#, NOT_ASKED),
            (r#"[3,"1",{"status":"Accepted"}]"#, Ok(())),
            (r#"[4,"1","InternalError","x",{}]"#, Ok(())),
            (r#"[2,"1","Heartbeat",{}]"#, Ok(())),
        ],
    );
    holds(
        &rules("/0/room", &[("/0/type", "join".into())]),
        &[
            (r#"[{"type":"join","room":"c"}]"#, NOT_GRANTED),
            (r#"[{"type":"say","room":"c"}]"#, Ok(())),
        ],
    );
    let both = vec![rule("/2", &[("/3", "phx_join".into())]), rule("/room", &[])];
    let both = AuthRules { authorize: both, ..rules("/2", &[]) };
    holds(
        &both,
        &[
            (r#"["1","1","c","phx_join",{}]"#, NOT_GRANTED),
            (r#"{"room":"c"}"#, NOT_GRANTED),
            (r#"{"room":"a"}"#, Ok(())),
            // Lists are Phoenix's here, whole.
            (r#"[{"room":"c"}]"#, UNREAD),
            (r#"["1","1","a","say",{"room":"c"}]"#, Ok(())),
            // In JavaScript and PHP `message[3]` is found in an object, too.
            (r#"{"3":"phx_join","2":"c"}"#, UNREAD),
            (r#"{"2":"a","room":"a"}"#, UNREAD),
            (r#"{"4":"c","room":"a"}"#, Ok(())),
        ],
    );
}

#[test]
fn what_is_neither_object_nor_list_is_refused_or_holds_no_sign_of_json() {
    let mut rules = rules("/room", &[]);
    let alice = alice();
    for (message, passes) in [
        (&b"ping"[..], true),
        (b"", true),
        (b" ", true),
        (b"1", true),
        (b"null", true),
        (b"\x00\x01\xff", true),
        (b"\"{\\\"room\\\":\\\"c\\\"}\"", false),
        (b"\"ping\"", false),
        (b"a\x1eb", false),
        (b"\xff{", false),
        (b"\xff[", false),
        (b"x=\"c\"", false),
        (b"1 [", false),
        (b"b25bInJvb20iXQ", true),
    ] {
        rules.other_messages = OtherMessages::Reject;
        assert_eq!(check(&rules, &alice, message), UNREAD, "{message:?}");
        rules.other_messages = OtherMessages::Pass;
        let verdict = if passes { Ok(()) } else { UNREAD };
        assert_eq!(check(&rules, &alice, message), verdict, "{message:?}");
    }
}

#[test]
fn what_a_lenient_reader_may_take_for_json_is_refused() {
    let (mut rules, alice) = (rules("/room", &[]), alice());
    for other in [OtherMessages::Reject, OtherMessages::Pass] {
        rules.other_messages = other;
        for (message, verdict) in [
            (&b"{\"room\":\"c\",}"[..], UNREAD),
            (b"\xef\xbb\xbf{\"room\":\"c\"}", UNREAD),
            (b"// x\n{\"room\":\"c\"}", UNREAD),
            (b"\x0b{\"room\":\"c\"}", UNREAD),
            (b"\xc2\xa0{\"room\":\"c\"}", UNREAD),
            (b"{\0\"\0r\0o\0o\0m\0", UNREAD),
            (b"\0{\0\"\0r\0o\0o\0m", UNREAD),
            (b"{\"room\":\"\xff\"}", UNREAD),
            (b"{\"room\":\"a\"}{\"room\":\"c\"}", UNREAD),
            (b"{\"room\":\"a\"}\n", Ok(())),
            (b"{\"room\":\"a\"}\x1e", UNREAD),
            (b"{\"x\":NaN}", UNREAD),
            (b"{\"other\":1}", Ok(())),
            (b"{\"room\":\"c\"}", NOT_GRANTED),
        ] {
            assert_eq!(check(&rules, &alice, message), verdict, "{message:?}");
        }
    }
}

/// Some readers leave out what is no UTF-8, or control characters, or evaluate
/// what they are sent: what is no JSON need not hold a rule's words to say them.
#[test]
fn what_is_no_json_is_refused_whatever_words_it_holds() {
    let alice = alice();
    for message in [
        &b"{\"type\":\"jo\xffin\",\"room\":\"c\"}"[..],
        b"{\"type\":\"jo\x01in\",\"room\":\"c\"}",
        b"{\"type\":\"jo\"+\"in\",\"room\":\"c\"}",
        b"{\"type\":\"say\",\"Type\":\"go\"}",
        b"{\"x\":1,}",
    ] {
        let rules = rules("/room", &[("/type", "join".into())]);
        assert!(check(&rules, &alice, message).is_err(), "{message:?}");
    }
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

fn by_first(form: Form, rules: AuthRules) -> AuthRules {
    let first = FirstMessageRules { form, deadline: Duration::ZERO, forward: false };
    AuthRules { first_message: Some(first), ..rules }
}

#[test]
fn of_socketio_the_payload_is_read() {
    let rules = by_first(Form::SocketIo, rules("/1/room", &[("/0", "join".into())]));
    holds(
        &rules,
        &[
            (r#"42["join",{"room":"a"}]"#, Ok(())),
            (r#"42["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42/chat,17["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"451-["join",{"room":"c","_":{"_placeholder":true,"num":0}}]"#, NOT_GRANTED),
            (r#"451-["join",{"_placeholder":true,"num":0}]"#, NOT_ASKED),
            (r#"451-[{"_placeholder":true,"num":0},{"room":"c"}]"#, NOT_ASKED),
            (r#"451-/chat,["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"45-["join",{"room":"c"}]"#, UNREAD),
            (r#"42["say",{"room":"c"}]"#, Ok(())),
            (r#"42[["join"],{"room":"c"}]"#, NOT_ASKED),
            (r#"42["join",[{"room":"c"}]]"#, NOT_ASKED),
            (r#"42["join","{\"room\":\"c\"}"]"#, NOT_ASKED),
            (r#"42/chat{x,["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42 ["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42 1["join",{"room":"c"}]"#, UNREAD),
            (r#"42x["join",{"room":"c"}]"#, UNREAD),
            (r#"42{"0":"join","1":{"room":"c"}}"#, UNREAD),
            (r#"42"join""#, UNREAD),
            ("42", UNREAD),
            ("4\u{664}2[]", UNREAD),
            (r#"["join",{"room":"c"}]"#, UNREAD),
            (r#"{"room":"c"}"#, UNREAD),
            ("b25bImpvaW4iXQ", UNREAD),
            // What is no event asks for nothing.
            (r#"431["join",{"room":"c"}]"#, Ok(())),
            (r#"43/chat,1[{"ok":true}]"#, Ok(())),
            (r#"43["x""#, UNREAD),
            (r#"44{"message":"x"}"#, UNREAD),
            (r#"40{"token":"t"}"#, Ok(())),
            (r#"4017{"token":"t"}"#, UNREAD),
            ("1", Ok(())),
            ("2", Ok(())),
            ("3", Ok(())),
            ("4", UNREAD),
            ("40", Ok(())),
            ("40/chat,", Ok(())),
            ("41", Ok(())),
            ("41/chat,", Ok(())),
            (r#"41["join"]"#, UNREAD),
        ],
    );
}

/// The payload of a CONNECT is an object, and an event's arguments may be.
#[test]
fn of_socketio_objects_are_read_by_rules_that_begin_with_a_name() {
    let rules = by_first(Form::SocketIo, rules("/room", &[]));
    holds(
        &rules,
        &[
            (r#"40{"token":"t","room":"a"}"#, Ok(())),
            (r#"40{"token":"t","room":"c"}"#, NOT_GRANTED),
            (r#"42["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42["say","hello",1,null,{"x":1}]"#, Ok(())),
            (r#"42["message","{\"room\":\"c\"}"]"#, UNREAD),
            (r#"42["join",[{"room":"c"}]]"#, UNREAD),
        ],
    );
}

#[test]
fn graphqls_heartbeats_pass() {
    let subscribe = r#"{"id":"1","type":"subscribe","payload":{"variables":{"room":"c"}}}"#;
    let start = [("/type", "subscribe".into())];
    holds(
        &by_first(Form::GraphQl, rules("/payload/variables/room", &start)),
        &[
            (subscribe, NOT_GRANTED),
            (r#"{"type":"ping"}"#, Ok(())),
            (r#"{"type":"pong","payload":{}}"#, Ok(())),
            (r#"{"type":"connection_init","payload":{}}"#, Ok(())),
            (r#"[{"type":"subscribe","payload":{"variables":{"room":"c"}}}]"#, NOT_GRANTED),
            ("ping", UNREAD),
        ],
    );
    holds(
        &by_first(Form::GraphQl, rules("/0", &[])),
        &[
            (r#"{"type":"ping"}"#, Ok(())),
            (r#"{"type":"connection_init"}"#, Ok(())),
            (r#"{"type":["ping"]}"#, UNREAD),
            (subscribe, UNREAD),
        ],
    );
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
