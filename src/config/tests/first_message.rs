//! `first_message`, `deadline`, and `from: {message: …}`.

use super::*;
use crate::auth::authorize::{Asking, Grant, OtherMessages};
use crate::auth::first_message::{FirstMessageRules, Form};
use crate::auth::pointer::Pointer;

const PUSH: &str = r#""lifetime": {"push": true}"#;

/// The members of a policy with these credentials, more of `auth`, and `rest`.
fn with(credentials: &str, more: &str, rest: &str) -> String {
    format!(
        r#""auth": {{"credentials": {credentials} {more},
            "api_keys": [{{"id": "a", "key": {{"env": "A_KEY"}}}}]}}, {rest}"#
    )
}

fn first(written: &str) -> String {
    with(&format!(r#"[{{"first_message": {written}}}]"#), "", PUSH)
}

fn read(members: &str) -> FirstMessageRules {
    good(members).auth.unwrap().first_message.unwrap()
}

#[test]
fn it_is_a_preset_or_a_place_in_a_message() {
    let rules = read(&first(r#""socketio""#));
    assert_eq!((rules.form, rules.deadline.as_secs(), rules.forward), (Form::SocketIo, 5, false));
    assert_eq!(read(&first(r#""graphql""#)).form, Form::GraphQl);
    let message = r#"{"pointer": "/token", "when": {"/type": "auth", "/v": 1}, "ack": "{}"}"#;
    let Form::Pointer { pointer, when, ack, greeting } = read(&first(message)).form else {
        panic!()
    };
    assert_eq!(Some(pointer), Pointer::parse("/token"));
    assert_eq!((when.0.len(), ack.as_deref()), (2, Some("{}")));
    assert_eq!(greeting, 0);
    for (written, greeting) in [("0", 0), ("1", 1), ("1000", 1000)] {
        let rules = read(&first(&format!(r#"{{"pointer": "/t", "greeting": {written}}}"#)));
        assert_eq!(rules.greeting(), greeting);
    }
    let more = r#", "deadline": "1500ms", "forward": true"#;
    let rules = read(&with(r#"[{"first_message": "socketio"}]"#, more, PUSH));
    assert_eq!((rules.deadline.as_millis(), rules.forward), (1500, true));
    for (written, below, says) in [
        ("null", "", "has no value"),
        ("1", "", "is a number; write an object"),
        (r#""socket.io""#, "", "is no known word; write `socketio` or `graphql`"),
        ("{}", ".pointer", "is missing; write where the credential stands in the message"),
        (r#"{"pointer": "token"}"#, ".pointer", "is no JSON pointer"),
        (r#"{"pointer": "/~2"}"#, ".pointer", "is no JSON pointer"),
        (r#"{"pointer": ""}"#, ".pointer", "is an empty text"),
        (r#"{"pointer": "/t", "when": {}}"#, ".when", "is empty; write a key"),
        (r#"{"pointer": "/t", "when": {"type": "a"}}"#, ".when.type", "no JSON pointer"),
        (r#"{"pointer": "/t", "when": {"/a": []}}"#, ".when[\"/a\"]", "is a list; write a text"),
        (r#"{"pointer": "/t", "when": {"/a": null}}"#, ".when[\"/a\"]", "has no value"),
        (r#"{"pointer": "/t", "ack": ""}"#, ".ack", "is an empty text"),
        (r#"{"pointer": "/t", "ack": {"type": "ready"}}"#, ".ack", "write a text"),
        (r#"{"pointer": "/t", "greeting": 1001}"#, ".greeting", "1,000"),
        (r#"{"pointer": "/t", "greeting": -1}"#, ".greeting", "negative"),
        (r#"{"pointer": "/t", "greeting": "1"}"#, ".greeting", "write a whole number"),
        (r#"{"pointer": "/t", "greetings": 1}"#, ".greetings", "did you mean `greeting`?"),
        (r#"{"pointer": "/t", "acks": "a"}"#, ".acks", "did you mean `ack`?"),
    ] {
        bad(&first(written), &format!("auth.credentials[0].first_message{below}"), says);
    }
}

#[test]
fn it_is_the_last_and_only_one() {
    let header = r#"{"header": "x-key"}"#;
    let both = |a: &str, b: &str| with(&format!("[{a}, {b}]"), "", PUSH);
    let socketio = r#"{"first_message": "socketio"}"#;
    let rules = good(&both(header, socketio)).auth.unwrap();
    assert!(rules.sources.len() == 1 && rules.first_message.is_some());
    let place = "auth.credentials[0].first_message";
    bad(&both(socketio, header), place, "write it as the last of the credentials");
    let place = "auth.credentials[1].first_message";
    bad(
        &both(socketio, r#"{"first_message": "graphql"}"#),
        place,
        "there is only one that is first",
    );
}

#[test]
fn the_deadline_is_a_time_and_needs_a_first_message() {
    let credentials = r#"[{"first_message": "graphql"}]"#;
    for (deadline, says) in
        [("0", "write a number with its unit"), (r#""0s""#, "is 0"), (r#""11m""#, "at most 10m")]
    {
        let deadline = format!(r#", "deadline": {deadline}"#);
        bad(&with(credentials, &deadline, PUSH), "auth.deadline", says);
    }
    let alone = with(r#"[{"header": "x-key"}]"#, r#", "deadline": "5s""#, PUSH);
    bad(&alone, "auth.deadline", "has no effect without a `first_message`");
}

#[test]
fn it_needs_push() {
    let place = "auth.credentials[0].first_message";
    let credentials = r#"[{"first_message": "graphql"}]"#;
    for without in [r#""lifetime": {"push": false}"#, r#""lifetime": {}"#, r#""client": {}"#] {
        bad(&with(credentials, "", without), place, "needs lifetime.push");
    }
    // A mistake there is no other one here.
    let misspelt = with(credentials, "", r#""lifetime": {"pushh": true}"#);
    bad(&misspelt, "lifetime.pushh", "did you mean `push`?");
    let misspelt = with(credentials, "", r#""lifetimes": {"push": true}"#);
    bad(&misspelt, "lifetimes", "did you mean `lifetime`?");
    bad(&with(credentials, "", r#""lifetime": 1"#), "lifetime", "is a number");
}

#[test]
fn it_is_for_the_http_filter() {
    let policy = policy(&with(r#"[{"first_message": "graphql"}]"#, "", r#""server": {}"#));
    let document = policy.replacen('{', r#"{"filter": "stream","#, 1);
    let told = errors(&document);
    let begin = "policies[0].auth.credentials[0].first_message: does not go with filter: stream";
    assert!(told.len() == 1 && told[0].starts_with(begin), "{told:?}");
}

#[test]
fn identity_headers_have_gone_when_it_comes() {
    let more = r#", "identity_headers": {"x-user": "sub"}"#;
    let members = with(r#"[{"header": "x-key"}, {"first_message": "graphql"}]"#, more, PUSH);
    bad(&members, "auth.identity_headers", "have gone to upstream before the client is known");
}

#[test]
fn socketio_must_not_poll() {
    let pass = format!(r#"{PUSH}, "handshake": {{"plain_http": "pass"}}"#);
    let place = "auth.credentials[0].first_message";
    let says = "write plain_http: reject";
    bad(&with(r#"[{"first_message": "socketio"}]"#, "", &pass), place, says);
    good(&with(r#"[{"first_message": "graphql"}]"#, "", &pass));
}

#[test]
fn a_message_can_ask_for_what_a_claim_grants() {
    let rule =
        |rule: &str| with(r#"[{"header": "x-key"}]"#, &format!(r#", "authorize": [{rule}]"#), PUSH);
    let read = good(&rule(
        r#"{"from": {"message": "/room", "when": {"/type": "join"}}, "claim": "rooms"}"#,
    ));
    let rules = read.auth.unwrap().authorize;
    let Asking::Message { pointer, when } = &rules[0].from else { panic!() };
    assert_eq!((Some(pointer), when.0.len()), (Pointer::parse("/room").as_ref(), 1));
    assert_eq!(rules[0].grant, Grant::Claim("rooms".to_owned()));
    good(&rule(r#"{"from": {"message": "/room"}, "claim": "rooms"}"#));
    let place = "auth.authorize[0].from.message";
    bad(&rule(r#"{"from": {"message": "room"}, "claim": "rooms"}"#), place, "is no JSON pointer");
}

#[test]
fn pointers_of_one_rule_begin_alike() {
    let rule = |from: &str| {
        let rule = format!(r#", "authorize": [{{"from": {from}, "claim": "rooms"}}]"#);
        with(r#"[{"header": "x-key"}]"#, &rule, PUSH)
    };
    for alike in [
        r#"{"message": "/2", "when": {"/3": "phx_join"}}"#,
        r#"{"message": "/3/idTag", "when": {"/0": 2, "/2": "Authorize"}}"#,
        r#"{"message": "/a/0", "when": {"/01": 2}}"#,
    ] {
        good(&rule(alike));
    }
    let place = "auth.authorize[0].from.message";
    let unlike = rule(r#"{"message": "/0/room", "when": {"/type": "join"}}"#);
    bad(&unlike, place, "begins with an index, and `when` otherwise");
    let unlike = rule(r#"{"message": "/room", "when": {"/type": "join", "/0": 1}}"#);
    bad(
        &unlike,
        place,
        "write pointers that all begin with an index (/0/room), or all with a name",
    );
}

/// Each name of an object is held against all of them.
#[test]
fn rules_look_for_eight_members_of_one_object_at_most() {
    let rules = |pointers: &[String]| {
        let rule = |pointer: &String| format!(r#"{{"from": {pointer}, "claim": "rooms"}}"#);
        let rules: Vec<String> = pointers.iter().map(rule).collect();
        with(r#"[{"header": "x-key"}]"#, &format!(r#", "authorize": [{}]"#, rules.join(", ")), PUSH)
    };
    let at = |prefix: &str, count: usize| -> Vec<String> {
        (0..count).map(|n| format!(r#"{{"message": "{prefix}/n{n}"}}"#)).collect()
    };
    good(&rules(&at("", 8)));
    good(&rules(&at("/payload", 8)));
    // One list and one object are different documents, and a member counts once.
    let lists = (0..8).map(|n| format!(r#"{{"message": "/{n}"}}"#));
    good(&rules(&at("", 8).into_iter().chain(lists).collect::<Vec<_>>()));
    let rooms = |n| format!(r#"{{"message": "/room", "when": {{"/type": "join{n}"}}}}"#);
    good(&rules(&(0..100).map(rooms).collect::<Vec<_>>()));

    let place = "auth.authorize";
    bad(&rules(&at("", 9)), place, "look for 9 different members of the whole object or list in");
    bad(&rules(&at("/a/b", 9)), place, "look for 9 different members of /a/b in messages");
    let when = r#"{"message": "/n8", "when": {"/type": "join"}}"#.to_owned();
    let many: Vec<String> = at("", 7).into_iter().chain([when]).collect();
    bad(&rules(&many), place, "at most 8 can be looked for in the time that a message may take");
}

#[test]
fn other_messages_need_a_rule_that_reads_messages() {
    let auth = |rules: &str, other: &str| {
        let more = format!(r#"{rules}, "other_messages": {other}"#);
        with(r#"[{"header": "x-key"}]"#, &more, PUSH)
    };
    let by_message = r#", "authorize": [{"from": {"message": "/room"}, "claim": "rooms"}]"#;
    let by_query = r#", "authorize": [{"from": {"query": "room"}, "claim": "rooms"}]"#;
    let read = |members: &str| good(members).auth.unwrap().other_messages;
    assert_eq!(read(&auth(by_message, r#""pass""#)), OtherMessages::Pass);
    assert_eq!(read(&auth(by_message, r#""reject""#)), OtherMessages::Reject);
    assert_eq!(read(&with(r#"[{"header": "x-key"}]"#, by_message, PUSH)), OtherMessages::Reject);
    let place = "auth.other_messages";
    let says = "is no known word; write `reject` or `pass`";
    bad(&auth(by_message, r#""allow""#), place, says);
    bad(&auth("", r#""pass""#), place, "has no effect without `from: {message: …}`");
    bad(&auth(by_query, r#""reject""#), place, "has no effect without `from: {message: …}`");
    let misspelt = r#", "authorized": [{"from": {"message": "/room"}, "claim": "rooms"}]"#;
    bad(&auth(misspelt, r#""pass""#), "auth.authorized", "did you mean `authorize`?");
    let misspelt = r#", "authorize": [{"from": {"messages": "/room"}, "claim": "rooms"}]"#;
    let told = errors(&policy(&auth(misspelt, r#""pass""#)));
    assert!(told.iter().all(|error| error.contains("from")), "{told:?}");
}

/// What messages say is read as text.
#[test]
fn binary_has_to_be_named_where_messages_are_read() {
    let members = |rule: &str, client: &str| {
        let rest = format!(r#"{PUSH}, "client": {client}"#);
        with(r#"[{"header": "x-key"}]"#, &format!(r#", "authorize": [{rule}]"#), &rest)
    };
    let by_message = r#"{"from": {"message": "/room"}, "claim": "rooms"}"#;
    let by_query = r#"{"from": {"query": "room"}, "claim": "rooms"}"#;
    for (rule, client, binary) in [
        (by_message, r#"{"max_frame": "1KiB"}"#, false),
        (by_message, r#"{"types": ["text"]}"#, false),
        (by_message, r#"{"types": ["text", "binary"]}"#, true),
        (by_query, r#"{"max_frame": "1KiB"}"#, true),
    ] {
        let policy = good(&members(rule, client));
        assert_eq!((policy.client.text, policy.client.binary), (true, binary), "{client}");
        assert!(policy.server.binary);
    }
    let without =
        with(r#"[{"header": "x-key"}]"#, &format!(r#", "authorize": [{by_message}]"#), PUSH);
    assert!(!good(&without).client.binary);
}

#[test]
fn a_service_can_grant_what_a_message_asks_for_where_it_can_be_let_go() {
    let rule = |variable: &str, over: &str| {
        let callout = format!(r#"{{"cluster": "a", "path": "/m/{{{variable}}}/{{sub}}"}}"#);
        let from = r#"{"message": "/data/room", "when": {"/type": "join"}}"#;
        let rule = format!(r#", "authorize": [{{"from": {from}, "callout": {callout}}}]"#);
        with(r#"[{"header": "x-key"}]"#, &rule, over)
    };
    let rules = good(&rule("room", PUSH)).auth.unwrap().authorize;
    let Grant::Callout(callout) = &rules[0].grant else { panic!() };
    assert_eq!(callout.path.names(), ["room", "sub"]);
    let place = "auth.authorize[0].callout";
    bad(&rule("data", PUSH), &format!("{place}.path"), "write {room} or {sub}");
    bad(&rule("room", r#""lifetime": {"push": false}"#), place, "needs lifetime.push");
    let told = errors(&policy(&rule("room", r#""lifetime": {"idle": "1m"}"#)).replacen(
        '{',
        r#"{"filter": "stream","#,
        1,
    ));
    let [told] = told.try_into().unwrap();
    assert!(told.starts_with(&format!("policies[0].{place}: does not go with filter: stream")));
}
