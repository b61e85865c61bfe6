//! Messages as real clients send them, and as no client should.

use super::*;
use proptest::prelude::*;

fn rules(form: Form) -> FirstMessageRules {
    FirstMessageRules { form, deadline: Duration::from_secs(5), forward: false }
}

fn pointer(when: &[(&str, Value)], ack: Option<&str>) -> FirstMessageRules {
    let when = when.iter().map(|(p, value)| (Pointer::parse(p).unwrap(), value.clone())).collect();
    rules(Form::Pointer {
        pointer: Pointer::parse("/token").unwrap(),
        when: When(when),
        ack: ack.map(str::to_owned),
        greeting: 0,
    })
}

fn credential(text: &str, forward: Forwarding) -> Reading {
    Reading::Credential { credential: text.as_bytes().to_vec(), forward, ack: None }
}

/// A credential for which the client is sent `ready`.
fn acknowledged(text: &str, forward: Forwarding) -> Reading {
    credential(text, forward).with_ack(Some("ready"))
}

fn instead(text: &str) -> Forwarding {
    Forwarding::Instead(text.as_bytes().to_vec())
}

const FORM: Reading = Reading::Malformed(AuthError::MessageForm);
const MISSING: Reading = Reading::Malformed(AuthError::MessageMissing);

#[test]
fn a_json_message_is_the_credential_where_it_says_so() {
    let rules = pointer(&[("/type", "auth".into())], Some("ready"));
    let swallow = Forwarding::Swallow;
    for (message, reading) in [
        (r#"{"type":"auth","token":"t"}"#, acknowledged("t", swallow.clone())),
        (r#" { "token" : "Bearer t", "type" : "\u0061uth" } "#, acknowledged("t", swallow)),
        (r#"{"type":"auth","token":""}"#, acknowledged("", Forwarding::Swallow)),
        (r#"{"type":"join","token":"t"}"#, Reading::Other),
        (r#"{"token":"t"}"#, Reading::Other),
        (r#"{"type":"auth"}"#, MISSING),
        (r#"{"type":"auth","token":1}"#, FORM),
        (r#"{"type":"auth","token":null}"#, FORM),
        (r#"{"type":"auth","token":["t"]}"#, FORM),
        (r#"{"type":"auth","token":"t","token":"t"}"#, FORM),
        (r#"{"type":"auth","token":"t","Token":"u"}"#, FORM),
        (r#"{"type":"auth","type":"x","token":"t"}"#, FORM),
        (r#"{"type":"auth","token":"t"} x"#, Reading::Other),
        ("2", Reading::Other),
        ("", Reading::Other),
        ("t", Reading::Other),
    ] {
        assert_eq!(rules.read(true, message.as_bytes()), reading, "{message}");
        assert_eq!(rules.read(false, message.as_bytes()), Reading::Other, "{message}");
        assert!(!rules.passes_before(message.as_bytes()));
    }
}

#[test]
fn without_when_every_message_with_the_place_is_the_credential() {
    let rules = pointer(&[], None);
    let message = br#"{"token":"t","x":1}"#;
    assert_eq!(rules.read(true, message), credential("t", Forwarding::Swallow));
    assert!(rules.swallows(true, message) && !rules.swallows(false, message));
    assert!(!rules.swallows(true, br#"{"x":1}"#));
    let open = FirstMessageRules { forward: true, ..rules.clone() };
    assert_eq!(open.read(true, message), credential("t", Forwarding::AsItIs));
    assert!(!open.swallows(true, message) && open.cut_out(true, message).is_none());
    assert_eq!(rules.read(true, br#"{"x":1}"#), Reading::Other);
    assert_eq!(rules.read(true, br#"{"token":1}"#), FORM);
}

#[test]
fn a_token_that_comes_again_is_cut_out() {
    let rules = pointer(&[("/type", "auth".into())], None);
    let left =
        |text: &str| rules.cut_out(true, text.as_bytes()).map(|l| String::from_utf8(l).unwrap());
    let without = Some(r#"{"type":"auth"}"#.to_owned());
    assert_eq!(left(r#"{"type":"auth","token":"t"}"#), without);
    assert_eq!(left(r#"{"type":"auth","\u0074oken":"t"}"#), without);
    assert_eq!(left(r#"{"type":"auth","TOKEN":"t","token":1}"#), without);
    assert_eq!(left(r#"{"type":"say","token":"t"}"#), None, "is another message's own");
    assert_eq!(left("token"), None);
    let twice = left(r#"{"type":"say","type":"auth","token":"t"}"#);
    assert_eq!(twice.as_deref(), Some(r#"{"type":"say","type":"auth"}"#));
}

#[test]
fn socketio_carries_it_in_its_connect() {
    let rules = rules(Form::SocketIo);
    for (message, reading) in [
        (r#"40{"token":"t"}"#, credential("t", instead("40{}"))),
        (r#"40{"token":"Bearer t"}"#, credential("t", instead("40{}"))),
        (r#"40/admin,{"token":"t","a":1}"#, credential("t", instead(r#"40/admin,{"a":1}"#))),
        (r#"40/a{b,{"token":"t"}"#, credential("t", instead("40/a{b,{}"))),
        ("2", Reading::Heartbeat),
        ("3", Reading::Heartbeat),
        ("2probe", Reading::Other),
        ("3{}", Reading::Other),
        ("40", Reading::Other),
        ("40/admin,", Reading::Other),
        ("40/admin", Reading::Other),
        (r#"40{"user":"u"}"#, Reading::Other),
        (r#"42["a",{"token":"t"}]"#, Reading::Other),
        (r#"{"token":"t"}"#, Reading::Other),
        ("5", Reading::Other),
        ("", Reading::Other),
        (r#"40{"token":"t","token":"u"}"#, FORM),
        (r#"40{"token":"t","Token":"u"}"#, FORM),
        (r#"40{"token":7}"#, FORM),
        (r#"40["token"]"#, FORM),
        // Readers take the number for an acknowledgement's, and go on.
        (r#"4017{"token":"t"}"#, FORM),
        (r#"40/admin,17{"token":"t"}"#, FORM),
        (r#"40 {"token":"t"}"#, FORM),
        (r#"40{"token":"t"#, FORM),
        // JavaScript's Number(" ") is 0.
        (r#"4 {"token":"t"}"#, FORM),
        ("4\u{feff}{}", FORM),
        // Python's int() reads these digits, and its Engine.IO reads a JSON text.
        ("4\u{660}{\"token\":\"t\"}", FORM),
        ("\u{ff14}0{\"token\":\"t\"}", FORM),
        (r#"4"0{\"token\":\"t\"}""#, FORM),
        ("4", FORM),
    ] {
        assert_eq!(rules.read(true, message.as_bytes()), reading, "{message}");
    }
    assert_eq!(rules.read(false, br#"40{"token":"t"}"#), Reading::Other);
    let open = FirstMessageRules { forward: true, ..rules };
    let reading = open.read(true, br#"40{"token":"t"}"#);
    assert_eq!(reading, credential("t", Forwarding::AsItIs));
    assert_eq!(open.cut_out(true, br#"40{"token":"t"}"#), None);
}

#[test]
fn socketios_later_namespaces_go_on_without_their_token() {
    let rules = rules(Form::SocketIo);
    for (message, left) in [
        (r#"40/admin,{"token":"t"}"#, Some("40/admin,{}")),
        (r#"40/admin,{"token":"t"#, Some("40/admin,")),
        (r#"40/admin,17{"token":"t"}"#, Some("40/admin,")),
        (r#"40{"token":"t","token":"u","b":1}"#, Some(r#"40{"b":1}"#)),
        (r#"4 {"token":"t"}"#, Some("40")),
        ("4\u{660}/admin,{\"token\":\"t\"}", Some("40")),
        ("\u{664}0/admin,{\"token\":\"t\"}", Some("40")),
        (r#"4"0/admin,{\"token\":\"t\"}""#, Some("40")),
        ("40", None),
        ("40/admin,", None),
        (r#"40{"a":1}"#, None),
        (r#"42["token",{"token":"t"}]"#, None),
        ("3", None),
    ] {
        let cut = rules.cut_out(true, message.as_bytes());
        assert_eq!(cut.as_deref(), left.map(str::as_bytes), "{message}");
    }
    // An attachment may begin with anything.
    for attachment in ["40 pieces", "4 pieces", "\u{664}"] {
        assert_eq!(rules.cut_out(false, attachment.as_bytes()), None, "{attachment}");
    }
}

#[test]
fn socketios_server_speaks_first() {
    let rules = rules(Form::SocketIo);
    for (message, passes) in [
        (r#"0{"sid":"a","upgrades":[],"pingInterval":25000}"#, true),
        ("2", true),
        ("0", false),
        ("2probe", false),
        (r#"40{"sid":"a"}"#, false),
        (r#"42["secret"]"#, false),
        ("", false),
    ] {
        assert_eq!(rules.passes_before(message.as_bytes()), passes, "{message}");
    }
}

#[test]
fn socketio_begins_with_the_websocket_and_in_version_4() {
    let first = rules(Form::SocketIo);
    for (query, verdict) in [
        ("EIO=4&transport=websocket", Ok(())),
        ("transport=websocket&EIO=4&t=x", Ok(())),
        ("EIO=4&transport=websocket&sid=a", Err(NotFromTheStart::Upgraded)),
        ("EIO=4&%73id=a", Err(NotFromTheStart::Upgraded)),
        ("sid", Err(NotFromTheStart::Upgraded)),
        ("EIO=3&transport=websocket", Err(NotFromTheStart::Version)),
        ("EIO=4&EIO=3", Err(NotFromTheStart::Version)),
        ("transport=websocket", Err(NotFromTheStart::Version)),
    ] {
        assert_eq!(first.begins_here(Some(query.as_bytes())), verdict, "{query}");
    }
    assert_eq!(first.begins_here(None), Err(NotFromTheStart::Version));
    assert_eq!(rules(Form::GraphQl).begins_here(Some(b"sid=a")), Ok(()));
}

#[test]
fn graphql_carries_it_in_its_connection_init() {
    let rules = rules(Form::GraphQl);
    let init = |payload: &str| format!(r#"{{"type":"connection_init","payload":{payload}}}"#);
    for (payload, token, left) in [
        (r#"{"Authorization":"Bearer t"}"#, "t", "{}"),
        (r#"{"authorization":"t"}"#, "t", "{}"),
        (r#"{"authToken":"t","tenant":"a"}"#, "t", r#"{"tenant":"a"}"#),
        (r#"{"token":"t","authToken":null}"#, "t", "{}"),
        (r#"{"accessToken":"t"}"#, "t", "{}"),
        (r#"{"headers":{"Authorization":"bearer t","x":"y"}}"#, "t", r#"{"headers":{"x":"y"}}"#),
    ] {
        let reading = rules.read(true, init(payload).as_bytes());
        assert_eq!(reading, credential(token, instead(&init(left))), "{payload}");
    }
    for (message, reading) in [
        (init(r#"{"token":"t","authToken":"t"}"#), FORM),
        (init(r#"{"token":"t","token":"t"}"#), FORM),
        (init(r#"{"Authorization":"t","authorization":"t"}"#), FORM),
        (init(r#"{"token":{"a":"t"}}"#), FORM),
        (init("{}"), MISSING),
        (init("null"), MISSING),
        (r#"{"type":"connection_init"}"#.to_owned(), MISSING),
        (r#"{"type":"connection_init","Type":"x"}"#.to_owned(), FORM),
        (r#"{"type":"ping"}"#.to_owned(), Reading::Other),
        (r#"{"id":"1","type":"subscribe","payload":{"token":"t"}}"#.to_owned(), Reading::Other),
        ("connection_init".to_owned(), Reading::Other),
    ] {
        assert_eq!(rules.read(true, message.as_bytes()), reading, "{message}");
    }
}

#[test]
fn graphqls_later_inits_go_on_without_their_token() {
    let rules = rules(Form::GraphQl);
    let bare = r#"{"type":"connection_init"}"#;
    for (message, left) in [
        (
            r#"{"type":"connection_init","payload":{"token":"t"}}"#,
            Some(r#"{"type":"connection_init","payload":{}}"#),
        ),
        (
            r#"{"type":"connection\u005finit","payload":{"token":"t"}}"#,
            Some(r#"{"type":"connection\u005finit","payload":{}}"#),
        ),
        (r#"{"type":"connection_init","payload":{"token":"t"},}"#, Some(bare)),
        (bare, None),
        (r#"{"type":"subscribe","payload":{"token":"connection_init"}}"#, None),
    ] {
        let cut = rules.cut_out(true, message.as_bytes());
        assert_eq!(cut.as_deref(), left.map(str::as_bytes), "{message}");
    }
}

#[test]
fn fuzzer_entry_runs() {
    for seed in [
        "",
        r#"["t"]"#,
        r#"{"token":["t"]}"#,
        "40",
        r#"40{"token":"t"}"#,
        r#"{"token":"t"}"#,
        r#"{"type":"auth","a":[{"token":"t"}]}"#,
    ] {
        fuzz_first_message(seed.as_bytes());
    }
}

proptest! {
    #[test]
    fn holds_on_anything(data in proptest::collection::vec(any::<u8>(), 0..60)) {
        fuzz_first_message(&data);
    }

    #[test]
    fn holds_on_what_looks_like_a_packet(text in r#"(40|4|/a,|2|\{|\}|"token":|"Token":|"t"|,|\[|\]|"type":|"auth"|"connection_init"|"payload":|"headers":| |1|\\u0074|null){0,16}"#) {
        fuzz_first_message(text.as_bytes());
    }

    #[test]
    fn holds_on_json(head in "(40|40/a,|)", name in "(token|Token|authToken|authorization|a)", value in r#"("t"|1|null|\{\}|\[\])"#, kind in "(auth|connection_init|x)") {
        fuzz_first_message(format!(r#"{head}{{"type":"{kind}","{name}":{value},"payload":{{"{name}":{value}}}}}"#).as_bytes());
    }
}
