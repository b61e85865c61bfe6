//! Objects, lists, batches, and messages that are neither.

use super::*;

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
