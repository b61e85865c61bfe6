//! A client that says who it is in its first message: nothing of it goes up
//! before that has been verified, and the server's messages are held.

use super::rig::{
    BEGIN, Rig, admitted, arrival, assert_masked_close, masked, plain, switching, text, told_client,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::rc::Rc;
use std::time::Duration;
use wsguard::config::Config;
use wsguard::frame::mask;
use wsguard::guard::Guard;
use wsguard::host::memory::MemoryHost;
use wsguard::host::{CallAnswer, Timestamp};
use wsguard::session::Opening;

mod asks;
mod gate;
mod greeting;
mod rates;

const KEY: &str = "the-api-key-of-alice";

fn hash() -> String {
    Sha256::digest(KEY).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn document(first: &Value) -> Value {
    json!({"policies": [{
        "name": "chat",
        "auth": {
            "credentials": [{"header": "x-api-key"}, {"first_message": first}],
            "api_keys": [{"id": "alice", "sha256": hash()}],
        },
        "quotas": {"connections": {"per_user": 1}},
        "lifetime": {"push": true},
    }]})
}

fn pointer() -> Value {
    document(
        &json!({"pointer": "/token", "when": {"/type": "auth"}, "ack": "{\"type\":\"ready\"}"}),
    )
}

fn open_by(document: &Value) -> Rig {
    let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
    let config = Config::parse(&document.to_string(), &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let guard = Guard::new(config, Rc::<MemoryHost>::clone(&host));
    let mut session = admitted(&guard, &arrival(&[]));
    assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_) | Opening::Pass));
    let mut rig = Rig { host, guard, session };
    assert_eq!(rig.pushed(), b"");
    rig
}

fn credential(token: &str) -> Vec<u8> {
    text(&json!({"type": "auth", "token": token}).to_string())
}

fn ready() -> Vec<u8> {
    plain(0x81, br#"{"type":"ready"}"#)
}

impl Rig {
    fn ticks(&mut self, time: Duration) -> bool {
        let mut reset = false;
        for _ in 0..time.as_millis() / 500 {
            self.host.advance(Duration::from_millis(500));
            reset |= self.session.on_tick().reset;
        }
        reset
    }
}

#[test]
fn all_that_is_held_goes_on_in_order_once_the_client_is_known() {
    let mut rig = open_by(&pointer());
    assert!(rig.events().is_empty(), "not opened yet");
    let early = [text("before"), masked(0x82, b"\x01\x02"), masked(0x89, b"ping")].concat();
    assert_eq!(rig.client(&early).bytes, b"", "nothing of it goes up");
    let news = [plain(0x81, b"news"), plain(0x82, b"more")].concat();
    assert_eq!(rig.server(&news).bytes, b"", "nor comes down");
    let sent = [credential(KEY), text("after")].concat();
    let expected = [text("before"), masked(0x82, b"\x01\x02"), text("after")].concat();
    assert_eq!(rig.client(&sent).bytes, expected, "without the credential");
    assert_eq!(rig.pushed(), [ready(), news].concat());
    let opened = rig.event();
    assert_eq!(
        (&opened["event"], &opened["user"], &opened["credential"], &opened["key_id"]),
        (&json!("opened"), &json!("key:alice"), &json!("api_key"), &json!("alice"))
    );
    assert_eq!(rig.client(&text("and on")).bytes, text("and on"));
    assert_eq!(rig.server(&plain(0x81, b"so")).bytes, plain(0x81, b"so"));
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn every_cut_gives_the_same() {
    let sent = [text("before"), credential(KEY), text("after")].concat();
    for cut in 0..sent.len() {
        let mut rig = open_by(&pointer());
        let mut gone_on = rig.client(&sent[..cut]).bytes;
        gone_on.extend(rig.client(&sent[cut..]).bytes);
        assert_eq!(gone_on, [text("before"), text("after")].concat());
    }
}

#[test]
fn a_wrong_credential_ends_with_its_reason_and_nothing_has_gone_up() {
    for (sent, reason) in [
        (credential("the-api-key-of-mallory"), "credentials_invalid"),
        (text(r#"{"type":"auth"}"#), "credentials_"),
        (text(r#"{"type":"auth","token":"a","token":"b"}"#), "credentials_invalid"),
    ] {
        let mut rig = open_by(&pointer());
        rig.server(&plain(0x81, b"news"));
        let gone_on = rig.client(&[text("before"), sent, text("after")].concat()).bytes;
        if !gone_on.is_empty() {
            let told = if gone_on.len() > 8 { "credentials_invalid" } else { "" };
            assert_masked_close(&gone_on, 1008, told);
        }
        let pushed = rig.pushed();
        assert_eq!(pushed[..4], [0x88, pushed[1], 0x03, 0xF0]);
        assert!(pushed[4..].starts_with(reason.as_bytes()), "{pushed:?}");
        assert_eq!(rig.server(&plain(0x81, b"more")).bytes, b"");
        let event = rig.event();
        assert_eq!(event["event"], "refused");
        assert!(event["reason"].as_str().unwrap().starts_with(reason), "{event}");
        assert!(!event.to_string().contains("mallory"), "no credential in it");
        assert_eq!(rig.buffered(), 0);
    }
}

#[test]
fn who_says_nothing_is_gone_at_the_deadline() {
    let mut rig = open_by(&pointer());
    rig.client(&text("no credential"));
    assert!(!rig.ticks(Duration::from_millis(4500)) && rig.pushed().is_empty());
    rig.ticks(Duration::from_millis(500));
    assert_eq!(rig.pushed(), told_client(1008, "auth_deadline"));
    assert_eq!(rig.event()["reason"], "auth_deadline");
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn who_says_nothing_again_and_again_is_banned_where_that_has_a_weight() {
    let mut document = pointer();
    document["policies"][0]["bans"] = json!({"threshold": 1, "weights": {"auth_deadline": 1}});
    let mut rig = open_by(&document);
    rig.ticks(Duration::from_secs(5));
    let kinds: Vec<_> = rig.events().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(kinds, ["banned", "refused"]);
}

/// Mode report leaves the connection open, and says and counts it once.
#[test]
fn report_strikes_once_for_a_connection_that_says_nothing() {
    let mut document = pointer();
    document["mode"] = json!("report");
    document["policies"][0]["bans"] = json!({"threshold": 2, "weights": {"auth_deadline": 1}});
    let mut rig = open_by(&document);
    rig.ticks(Duration::from_secs(20));
    let kinds: Vec<_> = rig.events().iter().map(|event| event["event"].clone()).collect();
    assert_eq!(kinds, ["reported"]);
}

/// Where a credential has named one, also the first message's.
#[test]
fn a_user_whom_the_first_message_named_is_struck_and_told_of() {
    let mut document = pointer();
    document["policies"][0]["bans"] =
        json!({"threshold": 1, "by": ["user"], "weights": {"connections_per_user": 1}});
    let mut rig = open_by(&document);
    let held = admitted(&rig.guard, &arrival(&[("x-api-key", KEY)]));
    rig.host.take_lines();
    rig.client(&credential(KEY));
    let told = rig.events();
    let kinds: Vec<_> = told.iter().map(|e| (e["event"].clone(), e["user"].clone())).collect();
    assert_eq!(kinds, ["banned", "refused"].map(|kind| (json!(kind), json!("key:alice"))));
    assert_eq!(rig.pushed(), told_client(1008, "connections_per_user"));
    drop(held);
}

#[test]
fn a_credential_in_the_handshake_opens_at_once() {
    let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
    let config = Config::parse(&pointer().to_string(), &|_| None).unwrap();
    let guard = Guard::new(config, Rc::<MemoryHost>::clone(&host));
    let mut session = admitted(&guard, &arrival(&[("x-api-key", KEY)]));
    assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
    let mut rig = Rig { host, guard, session };
    assert_eq!(rig.event()["event"], "opened");
    assert_eq!(rig.client(&text("hello")).bytes, text("hello"));
}

#[test]
fn a_users_quota_is_taken_when_the_user_is_known() {
    let mut rig = open_by(&pointer());
    rig.client(&credential(KEY));
    rig.events();
    let mut second = admitted(&rig.guard, &arrival(&[]));
    assert!(matches!(second.on_response(101, &switching(&[])), Opening::Open(_)));
    let first = std::mem::replace(&mut rig.session, second);
    rig.pushed();
    rig.client(&credential(KEY));
    assert_eq!(rig.pushed(), told_client(1008, "connections_per_user"));
    drop(first);
}

#[test]
fn what_is_held_is_bounded() {
    let mut rig = open_by(&pointer());
    let large = masked(0x82, &[7; 300_000]);
    let ended = (0..10).map(|_| rig.client(&large).bytes).find(|bytes| !bytes.is_empty());
    assert_masked_close(&ended.unwrap(), 1013, "");
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn a_client_that_leaves_is_answered_and_upstream_hears_nothing_of_it() {
    let mut rig = open_by(&pointer());
    let gone_on = rig.client(&[text("before"), masked(0x88, b"\x0f\xa0bye")].concat()).bytes;
    assert_masked_close(&gone_on, 1001, "");
    assert_eq!(rig.pushed(), told_client(4000, ""));
}

#[test]
fn the_servers_close_passes_and_what_it_said_before_does_not() {
    let mut rig = open_by(&pointer());
    let close = told_client(4408, "");
    assert_eq!(rig.server(&[plain(0x81, b"news"), close.clone()].concat()).bytes, close);
}

#[test]
fn a_service_may_take_its_time() {
    let mut document = pointer();
    document["policies"][0]["auth"]["session"] = json!({
        "cluster": "auth", "host": "auth.example.com", "path": "/session", "send": "bearer",
        "subject": "/user",
    });
    let mut rig = open_by(&document);
    assert_eq!(rig.client(&[credential("opaque"), text("after")].concat()).bytes, b"");
    assert!(rig.session.is_waiting());
    let (id, _) = rig.host.take_calls().pop().unwrap();
    let body = br#"{"user":"bob"}"#.to_vec();
    rig.session.on_answer(id, &CallAnswer::Whole { status: 200, body });
    assert!(!rig.session.advance().reset);
    assert_eq!(rig.turn_behind(&ready()), text("after"), "in the place of the Pong");
    assert_eq!(rig.event()["user"], "bob");
}

#[test]
fn report_holds_nothing_and_tells() {
    let mut document = pointer();
    document["mode"] = json!("report");
    let mut rig = open_by(&document);
    for bytes in [text("before"), credential("wrong-key-of-mallory"), text("after")] {
        assert_eq!(rig.client(&bytes).bytes, bytes);
    }
    assert_eq!(rig.server(&plain(0x81, b"news")).bytes, plain(0x81, b"news"));
    let event = rig.event();
    assert_eq!(
        (&event["event"], &event["reason"]),
        (&json!("reported"), &json!("credentials_invalid"))
    );
    assert!(!rig.ticks(Duration::from_secs(20)));
    assert!(rig.events().is_empty());
}

#[test]
fn socketio_connects_with_the_token_cut_out_and_heartbeats_pass() {
    let mut rig = open_by_socketio();
    let open =
        plain(0x81, br#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#);
    assert_eq!(rig.server(&open).bytes, open, "the client waits for it");
    assert_eq!(rig.server(&plain(0x81, b"2")).bytes, plain(0x81, b"2"));
    assert_eq!(rig.client(&text("3")).bytes, text("3"));
    assert_eq!(rig.client(&text(r#"42["hello"]"#)).bytes, b"");
    let gone_on = rig.client(&text(&format!(r#"40{{"token":"{KEY}"}}"#))).bytes;
    let said = String::from_utf8_lossy(&unmasked(&gone_on)).into_owned();
    assert!(said.contains("40") && !said.contains(KEY), "{said}");
    assert!(said.find(r#"42["hello"]"#) < said.find("40"), "in order: {said}");
    let again = rig.client(&text(&format!(r#"40/admin,{{"token":"{KEY}"}}"#))).bytes;
    assert!(!String::from_utf8_lossy(&unmasked(&again)).contains(KEY));
}

/// What was said by long polling, nobody has seen; other versions say it elsewhere.
#[test]
fn socketio_sessions_that_began_elsewhere_are_refused() {
    let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
    let document = document(&json!("socketio")).to_string();
    let config = Config::parse(&document, &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let guard = Guard::new(config, host);
    for target in [
        "/ws?EIO=4&transport=websocket&sid=abc",
        "/ws?EIO=4&%73id=abc",
        "/ws?EIO=3&transport=websocket",
        "/ws?EIO=4&EIO=3",
        "/ws",
    ] {
        let mut request = arrival(&[("x-api-key", KEY)]);
        request.head.target = target.as_bytes().to_vec();
        let reason = wsguard::session::admit(&guard, &request).reason;
        assert_eq!(reason, Some(wsguard::reason::Reason::HandshakeMalformed), "{target}");
    }
}

fn open_by_socketio() -> Rig {
    open_by_socketio_with(&document(&json!("socketio")), None)
}

/// The same, where client and server compress if `extension` says how.
fn open_by_socketio_with(document: &Value, extension: Option<&str>) -> Rig {
    let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
    let config = Config::parse(&document.to_string(), &|_| None).unwrap_or_else(|e| panic!("{e}"));
    let guard = Guard::new(config, Rc::<MemoryHost>::clone(&host));
    let lines: Vec<_> = extension.map(|e| ("sec-websocket-extensions", e)).into_iter().collect();
    let mut request = arrival(&lines);
    request.head.target = b"/ws?EIO=4&transport=websocket".to_vec();
    let mut session = admitted(&guard, &request);
    assert!(matches!(session.on_response(101, &switching(&lines)), Opening::Open(_)));
    Rig { host, guard, session }
}

/// The payloads of masked frames, one after the other.
fn unmasked(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Ok(Some((header, length))) =
        wsguard::frame::FrameHeader::parse(bytes, wsguard::frame::Sender::Client, false)
    {
        let end = length + usize::try_from(header.payload_bytes).unwrap();
        let mut payload = bytes[length..end].to_vec();
        mask::apply(&mut payload, header.mask.unwrap(), 0);
        out.extend(payload);
        bytes = &bytes[end..];
    }
    out
}
