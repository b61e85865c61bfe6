//! What was held is judged like anything that comes later.

use super::*;
use wsguard::reason::Reason;
use wsguard::session::admit;

/// A session service that takes its time, and rooms that a user may join.
fn by_service() -> Value {
    let mut document = pointer();
    document["policies"][0]["auth"]["session"] = json!({
        "cluster": "auth", "host": "auth.example.com", "path": "/session", "send": "bearer",
        "subject": "/user",
    });
    document["policies"][0]["auth"]["authorize"] = json!([
        {"from": {"message": "/room", "when": {"/type": "join"}}, "claim": "rooms"},
    ]);
    document["policies"][0]["auth"]["other_messages"] = json!("pass");
    document
}

fn answer(rig: &mut Rig) -> wsguard::session::Outcome {
    let (id, _) = rig.host.take_calls().pop().unwrap();
    let body = br#"{"user":"bob","rooms":["a"]}"#.to_vec();
    rig.session.on_answer(id, &CallAnswer::Whole { status: 200, body });
    rig.session.advance()
}

fn join(room: &str) -> Vec<u8> {
    text(&json!({"type": "join", "room": room}).to_string())
}

/// Some servers read binary messages as text.
#[test]
fn a_credential_in_a_binary_message_is_cut_out_too() {
    let init = |token: &str| {
        json!({"type": "connection_init", "payload": {"token": token, "a": 1}}).to_string()
    };
    let mut rig = open_by(&document(&json!("graphql")));
    let binary = |token: &str| masked(0x82, init(token).as_bytes());
    let sent = [binary("other"), text(&init(KEY)), binary(KEY)].concat();
    let gone_on = rig.client(&sent).bytes;
    let said = String::from_utf8_lossy(&unmasked(&gone_on)).into_owned();
    assert_eq!(said.matches(r#""a":1"#).count(), 3, "{said}");
    assert!(!said.contains("other") && !said.contains(KEY), "{said}");
}

/// What is kept of the handshake counts as held.
#[test]
fn a_handshake_that_is_kept_is_charged() {
    let mut document = by_service();
    document["policies"][0]["auth"].as_object_mut().unwrap().remove("other_messages");
    document["policies"][0]["auth"]["authorize"] =
        json!([{"from": {"header": "x-ask"}, "claim": "rooms"}]);
    document["limits"] = json!({"buffered_per_worker": "32KiB"});
    let ask = "a".repeat(5000);
    let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
    let config = Config::parse(&document.to_string(), &|_| None).unwrap();
    let guard = Guard::new(config, Rc::<MemoryHost>::clone(&host));
    let held = admitted(&guard, &arrival(&[("x-ask", &ask)]));
    guard.on_tick();
    assert!(host.metric("wsguard_buffered_bytes") > 5000);
    let refused = admit(&guard, &arrival(&[("x-ask", &ask)]));
    assert_eq!(refused.reason.map(Reason::name), Some("overloaded"));
    drop(held);
    admitted(&guard, &arrival(&[("x-ask", &ask)]));
}

#[test]
fn what_a_held_message_asks_for_must_be_granted() {
    let mut rig = open_by(&by_service());
    let sent = [text("before"), join("a"), credential("opaque"), join("a")].concat();
    assert_eq!(rig.client(&sent).bytes, b"");
    assert!(!answer(&mut rig).reset);
    assert_eq!(rig.turn_behind(&ready()), [text("before"), join("a"), join("a")].concat());
    assert_eq!((rig.event()["event"].clone(), rig.buffered()), (json!("opened"), 0));

    for sent in [[join("c"), credential("opaque")], [credential("opaque"), join("c")]] {
        let mut rig = open_by(&by_service());
        assert_eq!(rig.client(&sent.concat()).bytes, b"");
        assert!(!answer(&mut rig).reset);
        assert_eq!(rig.pushed(), told_client(1008, "access_denied"));
        let event = rig.event();
        assert_eq!(
            (&event["event"], &event["reason"], &event["user"]),
            (&json!("refused"), &json!("access_denied"), &json!("bob"))
        );
        assert_masked_close(&rig.client(&text("more")).bytes, 1008, "access_denied");
        assert_eq!(rig.buffered(), 0);
    }
}

#[test]
fn what_a_held_message_does_not_ask_clearly_is_refused_at_once() {
    let mut rig = open_by(&by_service());
    let sent = text(r#"{"type":"join","room":"a","room":"c"}"#);
    assert_masked_close(&rig.client(&sent).bytes, 1008, "");
    assert_eq!(rig.event()["reason"], "access_denied");
}

#[test]
fn what_held_messages_ask_for_is_bounded() {
    let mut rig = open_by(&by_service());
    let ended = (0..2000).find(|n| !rig.client(&join(&format!("room{n}"))).bytes.is_empty());
    assert_eq!(ended, Some(1024));
    assert_eq!(rig.event()["reason"], "overloaded");
}

/// Many an application takes `x_ask` for `X-Ask`, and one of the two.
#[test]
fn a_header_in_another_spelling_is_one_too_many_after_the_handshake_too() {
    let mut document = by_service();
    document["policies"][0]["auth"].as_object_mut().unwrap().remove("other_messages");
    document["policies"][0]["auth"]["authorize"] =
        json!([{"from": {"header": "x-ask"}, "claim": "rooms"}]);
    for (lines, reason) in [
        (&[("x-ask", "a")][..], None),
        (&[("x-ask", "a"), ("x_ask", "c")], Some("access_denied")),
        (&[("x_ask", "a")], Some("access_denied")),
    ] {
        let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
        let config = Config::parse(&document.to_string(), &|_| None).unwrap();
        let guard = Guard::new(config, Rc::<MemoryHost>::clone(&host));
        let mut session = admitted(&guard, &arrival(lines));
        assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
        let mut rig = Rig { host, guard, session };
        rig.client(&credential("opaque"));
        let refused = answer(&mut rig).refused;
        assert_eq!(refused.map(|reason| reason.name()), reason, "{lines:?}");
    }
}

#[test]
fn nothing_follows_the_servers_close() {
    let mut rig = open_by(&by_service());
    let close = told_client(4408, "");
    assert_eq!(rig.server(&[plain(0x81, b"news"), close.clone()].concat()).bytes, close);
    assert_eq!(rig.buffered(), 3, "the path, and nothing that nobody will get");
    rig.client(&credential("opaque"));
    let _ = answer(&mut rig);
    assert_eq!(rig.pushed(), b"");
    assert!(rig.ticks(Duration::from_secs(11)), "the client has to answer it");
    let mut rig = open_by(&by_service());
    rig.server(&[plain(0x81, b"news"), close].concat());
    assert_masked_close(&rig.client(&masked(0x88, b"\x11\x38")).bytes, 1001, "");
    assert_eq!(rig.pushed(), b"");
}

#[test]
fn a_client_that_leaves_while_it_is_verified_has_left_for_upstream_too() {
    let mut rig = open_by(&by_service());
    let close = masked(0x88, b"\x0f\xa0bye");
    let sent = [credential("opaque"), text("last"), close.clone()].concat();
    assert_eq!(rig.client(&sent).bytes, b"");
    let _ = answer(&mut rig);
    // Nobody answers a Ping after a Close: the tick gives up on that.
    let pushed = rig.pushed();
    assert!(pushed.starts_with(&ready()));
    assert_eq!(rig.server(&plain(0x81, b"so")).bytes, plain(0x81, b"so"));
    assert!(rig.ticks(Duration::from_secs(11)));
    // Where no answer has to be waited for, it goes up at once.
    let mut rig = open_by(&by_service());
    let sent = [credential(KEY), text("last"), close.clone()].concat();
    assert_eq!(rig.client(&sent).bytes, [text("last"), close].concat());
}

#[test]
fn what_has_ended_is_not_opened_by_a_late_answer() {
    let mut rig = open_by(&by_service());
    rig.client(&credential("opaque"));
    rig.client(&[0xFF, 0xFF]);
    assert_eq!(rig.event()["reason"], "protocol_error");
    assert!(!rig.session.is_waiting());
    let _ = answer(&mut rig);
    assert!(rig.events().is_empty());
    assert_eq!(rig.session.user(), None);
}

#[test]
fn report_goes_on_reading_after_what_enforce_would_refuse() {
    let mut document = by_service();
    document["mode"] = json!("report");
    document["policies"][0]["client"] = json!({"rules": [{"name": "bad", "pattern": "evil"}]});
    let mut rig = open_by(&document);
    for sent in [r#"{"type":"auth"}"#, r#"{"type":"join"}"#, "evil"] {
        assert_eq!(rig.client(&text(sent)).bytes, text(sent));
        assert_eq!(rig.event()["event"], "reported", "{sent}");
    }
}

#[test]
fn heartbeats_count_in_the_rates_before_the_client_is_known_too() {
    for (action, gone_on, ended) in [("close", 4, true), ("drop", 4, false), ("slow", 4, false)] {
        let mut document = document(&json!("socketio"));
        document["policies"][0]["client"] =
            json!({"rate": {"per_connection": "4/1m"}, "on_violation": action});
        let mut rig = open_by_socketio_with(&document, None);
        let all: Vec<_> = (0..10).map(|_| rig.client(&text("3")).bytes).collect();
        assert_eq!(all.iter().filter(|bytes| **bytes == text("3")).count(), gone_on, "{action}");
        assert_eq!(rig.events()[0]["reason"], "message_rate");
        assert_eq!(!all.concat().ends_with(&text("3")), ended, "{action}");
    }
}

/// The event of a connection that ended before the client was known says so.
#[test]
fn messages_that_were_held_and_go_nowhere_are_told() {
    let detail = "messages that had waited for their turn did not go on";
    let (client, server) = (text("hello"), plain(0x81, b"news"));
    let leaves = masked(0x88, b"\x03\xe8");
    for (held, of_client) in [(true, true), (true, false), (false, true), (false, false)] {
        // Either end closes; the messages are its own or the other end's.
        for closes_first in ["client", "server"] {
            let mut rig = open_by(&pointer());
            if held && of_client {
                rig.client(&client);
            } else if held {
                rig.server(&server);
            }
            if closes_first == "client" {
                rig.client(&leaves);
            } else {
                rig.server(&told_client(1001, ""));
            }
            rig.session.on_end();
            let closed = rig.events().pop().unwrap();
            assert_eq!(closed["event"], "closed");
            let expected = if held { json!(detail) } else { Value::Null };
            assert_eq!(closed["detail"], expected, "{closes_first} closes, {of_client}");
        }
    }
}
