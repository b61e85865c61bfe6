//! What a service has to grant before a message goes on.

use super::*;
use crate::rig::{Rig, Step, assert_masked_close, masked, plain, text, told_client};

/// A policy in which joining a room asks a service, and more of it.
pub(super) fn asking(more: &Value) -> Value {
    let mut over = json!({
        "lifetime": {"push": true}, "client": {"types": ["text", "binary"]},
        "other_messages": "pass",
        "authorize": [{
            "from": {"message": "/room", "when": {"/type": "join"}},
            "callout": {"cluster": "members", "path": "/members/{room}/{sub}"},
        }],
    });
    for (key, value) in more.as_object().unwrap() {
        over[key] = value.clone();
    }
    over
}

pub(super) fn cached() -> Value {
    let mut over = asking(&json!({}));
    over["authorize"][0]["callout"]["cache"] = json!("30s");
    over
}

/// One more open connection of alice's.
pub(super) fn open(worker: &Worker) -> Rig {
    let mut session = session(worker.decided(&with("opaque"), &yes()));
    assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_) | Opening::Pass));
    worker.host.take_lines();
    let (host, guard) = (Rc::clone(&worker.host), Rc::clone(&worker.guard));
    let mut rig = Rig { host, guard, session };
    assert_eq!(rig.pushed(), b"");
    rig
}

pub(super) fn open_by(over: &Value) -> Rig {
    open(&Worker::new(over))
}

pub(super) fn join(room: &str) -> Vec<u8> {
    text(&json!({"type": "join", "room": room}).to_string())
}

impl Rig {
    /// The path of the one question since the last call, and its answer.
    pub(super) fn answers(&mut self, status: u16) -> String {
        let (id, call) = self.question();
        assert!(!self.session.on_answer(CallId(id.0 + 99), &answer(200, "")));
        assert_eq!(self.session.advance().refused, None, "somebody else's");
        assert!(self.session.on_answer(id, &answer(status, "")), "its own");
        let _ = self.session.advance();
        call.path
    }

    fn question(&self) -> (CallId, Call) {
        let mut calls = self.host.take_calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        calls.remove(0)
    }
}

#[test]
fn a_message_waits_for_its_yes_and_what_follows_behind_it() {
    let mut rig = open_by(&asking(&json!({})));
    assert_eq!(rig.client(&text("before")).bytes, text("before"));
    let ping = masked(0x89, b"p");
    let sent = [join("a b"), ping.clone(), text("after")].concat();
    assert_eq!(rig.client(&sent).bytes, ping, "control frames pass at once");
    assert!(rig.session.is_waiting() && rig.buffered() > 0);
    assert_eq!(rig.client(&masked(0x82, b"more")).bytes, b"");
    assert_eq!(rig.server(&plain(0x81, b"news")).bytes, plain(0x81, b"news"));
    let waits = rig.session.advance();
    assert!(!waits.reset && waits.refused.is_none() && rig.pushed().is_empty());
    assert_eq!(rig.answers(200), "/members/a%20b/alice");
    assert!(!rig.session.is_waiting());
    let expected = [join("a b"), text("after"), masked(0x82, b"more")].concat();
    assert_eq!(rig.turn(), expected, "byte for byte, in order");
    assert_eq!(rig.buffered(), 0);
    assert_eq!(rig.client(&text("at once")).bytes, text("at once"));
    assert_eq!(rig.events(), Vec::<Value>::new());
}

#[test]
fn without_a_cache_every_message_asks_whatever_others_keep() {
    let mut over = cached();
    let mut fresh = over["authorize"][0].clone();
    fresh["from"] = json!({"message": "/room", "when": {"/type": "leave"}});
    fresh["callout"].as_object_mut().unwrap().remove("cache");
    over["authorize"].as_array_mut().unwrap().push(fresh);
    let mut rig = open_by(&over);
    rig.client(&join("a"));
    rig.answers(200);
    assert_eq!(rig.turn(), join("a"));
    let leave = text(r#"{"type":"leave","room":"a"}"#);
    for _ in 0..2 {
        assert_eq!(rig.client(&leave).bytes, b"");
        assert_eq!(rig.answers(200), "/members/a/alice");
        assert_eq!(rig.turn(), leave);
    }
}

#[test]
fn what_goes_up_does_so_with_what_the_client_sends_next_too() {
    let mut rig = open_by(&asking(&json!({})));
    rig.client(&join("a"));
    rig.answers(204);
    let sent = [text("next"), join("b")].concat();
    assert_eq!(rig.client(&sent).bytes, [join("a"), text("next")].concat());
    assert_eq!(rig.answers(200), "/members/b/alice");
    rig.pushed();
    assert_eq!(rig.client(&text("last")).bytes, [join("b"), text("last")].concat());
}

#[test]
fn every_cut_gives_the_same() {
    let fragmented =
        [masked(0x01, br#"{"type":"join","#), masked(0x80, br#""room":"a"}"#)].concat();
    let sent = [text("before"), fragmented, text("after")].concat();
    for cut in 0..sent.len() {
        let mut rig = open_by(&asking(&json!({})));
        let mut gone_on = [rig.client(&sent[..cut]).bytes, rig.client(&sent[cut..]).bytes].concat();
        assert_eq!(gone_on, text("before"), "nothing before its yes");
        rig.answers(200);
        gone_on.extend(rig.turn());
        assert_eq!(gone_on, sent);
    }
}

#[test]
fn anything_but_a_yes_ends_the_connection_and_nothing_has_gone_up() {
    let denied = (1008, "access_denied");
    let unavailable = (1013, "auth_unavailable");
    for (said, (code, reason)) in [
        (answer(401, ""), denied),
        (answer(403, "{}"), denied),
        (answer(404, ""), denied),
        (answer(302, ""), unavailable),
        (answer(429, ""), unavailable),
        (answer(500, "yes"), unavailable),
        (answer(504, ""), unavailable),
        (CallAnswer::TooLong, unavailable),
        (CallAnswer::Reset, unavailable),
    ] {
        let mut rig = open_by(&asking(&json!({})));
        assert_eq!(rig.client(&[join("a"), text("after")].concat()).bytes, b"");
        let (id, _) = rig.question();
        rig.session.on_answer(id, &said);
        let ended = rig.session.advance();
        assert_eq!((ended.reset, ended.refused.map(Reason::name)), (false, Some(reason)));
        assert_eq!(rig.pushed(), told_client(code, reason));
        assert_masked_close(&rig.client(&text("more")).bytes, code, "");
        let event = rig.event();
        assert_eq!(
            (&event["reason"], &event["user"], &event["direction"], &event["offset"]),
            (&json!(reason), &json!("alice"), &json!("client"), &json!(0))
        );
        assert_eq!(rig.buffered(), 0, "{said:?}");
    }
}

#[test]
fn a_service_that_does_not_answer_or_cannot_be_asked_is_not_waited_for() {
    let mut rig = open_by(&asking(&json!({})));
    rig.client(&join("a"));
    rig.host.advance(Duration::from_millis(2900));
    assert_eq!(rig.session.advance().refused, None);
    rig.host.advance(Duration::from_millis(200));
    assert_eq!(rig.session.advance().refused, Some(Reason::AuthUnavailable));
    assert_eq!(rig.pushed(), told_client(1013, "auth_unavailable"));

    let mut rig = open_by(&asking(&json!({})));
    rig.host.set_unreachable(true);
    let Step { bytes, refused, .. } = rig.client(&join("a"));
    assert_eq!(refused, Some(Reason::AuthUnavailable));
    assert_masked_close(&bytes, 1013, "");
    assert_eq!(rig.pushed(), told_client(1013, "auth_unavailable"));
}

#[test]
fn what_was_answered_a_while_ago_decides_at_once() {
    let worker = Worker::new(&cached());
    let mut rig = open(&worker);
    rig.client(&join("a"));
    rig.answers(200);
    assert_eq!(rig.turn(), join("a"));
    assert_eq!(rig.client(&join("a")).bytes, join("a"));
    let mut other = open(&worker);
    assert_eq!(other.client(&join("a")).bytes, join("a"));
    other.client(&join("b"));
    other.answers(403);
    assert_eq!(other.pushed(), told_client(1008, "access_denied"));
    let Step { bytes, refused, .. } = rig.client(&join("b"));
    assert_eq!(refused, Some(Reason::AccessDenied));
    assert_masked_close(&bytes, 1008, "");
    let mut later = open(&worker);
    worker.host.advance(Duration::from_secs(11));
    later.client(&join("b"));
    assert_eq!(later.answers(200), "/members/b/alice", "a no is forgotten soon");
    worker.host.advance(Duration::from_secs(20));
    later.turn();
    later.client(&join("a"));
    assert_eq!(later.answers(403), "/members/a/alice");
}

#[test]
fn one_question_of_a_connection_is_under_way_at_a_time() {
    let mut rig = open_by(&asking(&json!({})));
    let sent = [join("a"), text("1"), join("b"), text("2"), join("c"), text("3")];
    assert_eq!(rig.client(&sent.concat()).bytes, b"");
    assert_eq!(rig.answers(200), "/members/a/alice");
    assert_eq!(rig.turn(), [join("a"), text("1")].concat(), "as far as is known");
    assert_eq!(rig.answers(200), "/members/b/alice");
    assert_eq!(rig.turn(), [join("b"), text("2")].concat());
    assert_eq!(rig.answers(403), "/members/c/alice");
    assert_eq!(rig.pushed(), told_client(1008, "access_denied"));
    assert_masked_close(&rig.client(b"").bytes, 1008, "");
}

#[test]
fn what_was_granted_goes_up_ahead_of_the_close() {
    let mut rig = open_by(&asking(&json!({})));
    rig.client(&[join("a"), join("b")].concat());
    rig.answers(200);
    rig.answers(403);
    let told = rig.client(&masked(0x88, b"\x03\xf0")).bytes;
    let (granted, close) = told.split_at(join("a").len());
    assert_eq!(granted, join("a"));
    assert_masked_close(close, 1008, "");
}

#[test]
fn all_that_a_message_asks_for_must_be_granted() {
    let mut over = asking(&json!({}));
    let rules = over["authorize"].as_array_mut().unwrap();
    rules.push(json!({
        "from": {"message": "/data/workspaceId"},
        "callout": {"cluster": "members", "path": "/workspaces/{workspaceId}"},
    }));
    rules.push(json!({"from": {"message": "/team"}, "claim": "team"}));
    let message = |team: &str| {
        let data = json!({"workspaceId": "red/../green"});
        text(&json!({"type": "join", "room": "a", "team": team, "data": data}).to_string())
    };
    let mut rig = open_by(&over);
    rig.client(&message("blue"));
    assert_eq!(rig.answers(200), "/members/a/alice");
    assert!(rig.pushed().is_empty(), "one more question");
    assert_eq!(rig.answers(200), "/workspaces/red%2F..%2Fgreen");
    assert_eq!(rig.turn(), message("blue"));
    // What needs no service decides before one is asked.
    assert_masked_close(&rig.client(&message("red")).bytes, 1008, "");
    assert!(rig.host.take_calls().is_empty());
}

#[test]
fn what_is_no_value_is_refused_without_asking() {
    for bad in ["", ".", "..", "a\u{1}", &"x".repeat(1025)] {
        let mut rig = open_by(&asking(&json!({})));
        let Step { bytes, refused, .. } = rig.client(&join(bad));
        assert_eq!(refused, Some(Reason::AccessDenied), "{bad}");
        assert_masked_close(&bytes, 1008, "");
        assert!(rig.host.take_calls().is_empty());
    }
    let mut rig = open_by(&asking(&json!({})));
    assert_masked_close(&rig.client(&text(r#"{"type":"join","room":["a"]}"#)).bytes, 1008, "");
}

#[test]
fn a_client_may_leave_behind_what_it_asked_for() {
    let mut rig = open_by(&asking(&json!({})));
    let close = masked(0x88, b"\x03\xe8");
    assert_eq!(rig.client(&[join("a"), close.clone()].concat()).bytes, b"");
    rig.answers(200);
    assert_eq!(rig.turn(), [join("a"), close].concat());
}

#[test]
fn what_has_ended_is_not_opened_by_a_late_answer() {
    for (end, reason) in [(&[0xFF, 0xFF][..], "protocol_error"), (b"\x88\x82\0\0\0\0\x03\xe8", "")]
    {
        let mut rig = open_by(&asking(&json!({})));
        rig.client(&join("a"));
        let (id, _) = rig.question();
        let gone_on = rig.client(end).bytes;
        if !reason.is_empty() {
            assert_masked_close(&gone_on, 1002, "");
            assert_eq!(rig.event()["reason"], reason);
            assert!(!rig.session.is_waiting());
        }
        rig.session.on_end();
        rig.session.on_answer(id, &answer(403, ""));
        assert_eq!(rig.session.advance().refused, None);
        assert_eq!(rig.client(b"").bytes, b"");
        rig.session.on_answer(id, &answer(200, ""));
        rig.session =
            open(&Worker { host: Rc::clone(&rig.host), guard: Rc::clone(&rig.guard) }).session;
        rig.session.on_answer(id, &answer(403, ""));
        assert_eq!(rig.client(&text("another one's")).bytes, text("another one's"));
    }
}

/// Each refers to those before it.
#[test]
fn compressed_messages_wait_and_go_on_as_they_came() {
    use flate2::{Compress, Compression, FlushCompress};
    let worker = Worker::new(&asking(&json!({"handshake": {"compression": "inspect"}})));
    let deflate = ("sec-websocket-extensions", "permessage-deflate");
    let admitted = worker.decided(&arrival(&[("x-session", "opaque"), deflate]), &yes());
    let mut session = session(admitted);
    assert!(matches!(session.on_response(101, &switching(&[deflate])), Opening::Open(_)));
    let (host, guard) = (Rc::clone(&worker.host), Rc::clone(&worker.guard));
    let mut rig = Rig { host, guard, session };
    rig.pushed();
    let mut stream = Compress::new(Compression::best(), false);
    let mut message = |text: &Value| {
        let mut out = Vec::with_capacity(1024);
        stream.compress_vec(text.to_string().as_bytes(), &mut out, FlushCompress::Sync).unwrap();
        masked(0xC1, &out[..out.len() - 4])
    };
    let join = json!({"type": "join", "room": "a"});
    let sent: Vec<_> = [json!({"type": "say"}), join.clone(), json!({"type": "say"}), join]
        .iter()
        .map(&mut message)
        .collect();
    assert_eq!(rig.client(&sent.concat()).bytes, sent[0]);
    rig.answers(200);
    assert_eq!(rig.turn(), sent[1..3].concat());
    rig.answers(200);
    assert_eq!(rig.turn(), sent[3]);
}
