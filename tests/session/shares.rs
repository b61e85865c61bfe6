//! Held bytes that run short: the address that holds the most gives way, and of it the
//! connection that does.

use super::compression::{Deflater, frame};
use super::rig::{
    Rig, admitted, arrival, client, events, hand, masked, plain, switching, text, worker,
};
use flate2::{Compress, Compression, FlushCompress};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::rc::Rc;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::reason::Reason;
use wsguard::session::{Admission, Opening, Session, admit};

/// The one whose connections hold as much as they can.
const MANY: [u8; 4] = [127, 0, 0, 2];
/// Another one.
const OTHER: [u8; 4] = [127, 0, 0, 1];

/// A worker that may hold 8 MiB, where one address may hold all of it.
fn shared(rules: Value) -> Value {
    let mut document = client(rules);
    document["limits"] = json!({"buffered_per_worker": "8MiB", "buffered_per_ip": "8MiB"});
    document
}

fn ruled() -> Value {
    json!({"rules": [{"name": "r", "pattern": "<script", "action": "close"}]})
}

fn open_with(guard: &Rc<Guard>, address: [u8; 4], lines: &[(&str, &str)]) -> Session {
    let mut arrival = arrival(lines);
    arrival.head.source = Some(address.into());
    let mut session = admitted(guard, &arrival);
    let accepted: Vec<_> =
        lines.iter().filter(|(name, _)| *name == "sec-websocket-extensions").copied().collect();
    assert!(matches!(session.on_response(101, &switching(&accepted)), Opening::Open(_)));
    session
}

fn open(guard: &Rc<Guard>, address: [u8; 4]) -> Session {
    open_with(guard, address, &[])
}

/// Ends the connections that gave way, as a filter does behind every callback; returns their
/// number.
fn end_given_way(sessions: &mut [Session]) -> usize {
    let ended = sessions.iter_mut().filter(|session| session.holder().gives_way());
    ended.map(|session| session.give_way()).filter(|ended| ended.reset).count()
}

/// A client of another address sends a message in two pieces, and a large one.
fn is_not_held_up(guard: &Rc<Guard>, lines: &[(&str, &str)]) {
    let mut other = open_with(guard, OTHER, lines);
    for message in [text("hello world"), masked(0x81, &[b'a'; 900_000])] {
        let (first, second) = message.split_at(message.len() / 2);
        let seen = [first, second].map(|piece| hand(&mut other, Sender::Client, piece));
        assert_eq!(seen.iter().find_map(|step| step.refused), None);
        assert!(seen.map(|step| step.bytes).concat() == message);
    }
}

/// One address has 17 unfinished messages that would fill the account.
fn unfinished(guard: &Rc<Guard>) -> (Vec<Session>, usize) {
    let (mut many, mut ended) = (Vec::new(), 0);
    for _ in 0..17 {
        many.push(open(guard, MANY));
        let step = hand(many.last_mut().unwrap(), Sender::Client, &masked(0x01, &[b'a'; 500_000]));
        ended += usize::from(step.refused.is_some()) + end_given_way(&mut many);
    }
    (many, ended)
}

#[test]
fn unfinished_messages_of_one_address_do_not_end_anothers_connection() {
    for per_ip in [json!("8MiB"), json!("4MiB"), Value::Null] {
        let mut document = shared(ruled());
        let limits = document["limits"].as_object_mut().unwrap();
        limits.insert("buffered_per_ip".to_owned(), per_ip.clone());
        limits.retain(|_, limit| !limit.is_null());
        let (_, guard) = worker(&document);
        let (mut many, ended) = unfinished(&guard);
        // 4 MiB is the default for messages of 1 MiB.
        assert_eq!(ended, if per_ip == "8MiB" { 1 } else { 9 });
        is_not_held_up(&guard, &[]);
        end_given_way(&mut many);
        let held = guard.buffered_bytes();
        many.clear();
        assert!(held > 3 << 20 && guard.buffered_bytes() == 0, "{held}");
        let (many, again) = unfinished(&guard);
        assert_eq!((many.len(), again), (17, ended), "its share is given back");
    }
}

/// A message of 57 bytes or fewer that leaves a window of 32 KiB.
fn small() -> Vec<u8> {
    let message = frame(Sender::Client, 0xC1, &Deflater::new(true).message(&[b'a'; 32 << 10]));
    assert!(message.len() <= 57 + 6, "{}", message.len());
    message
}

const DEFLATE: &[(&str, &str)] = &[("sec-websocket-extensions", "permessage-deflate")];

fn compressed(rules: Value) -> Value {
    let mut document = shared(rules);
    document["policies"][0]["handshake"] = json!({"compression": "inspect"});
    document
}

#[test]
fn windows_of_one_address_do_not_end_anothers_connection() {
    let (host, guard) = worker(&compressed(ruled()));
    let mut many: Vec<_> = (0..262).map(|_| open_with(&guard, MANY, DEFLATE)).collect();
    host.take_lines();
    for session in &mut many {
        assert_eq!(hand(session, Sender::Client, &small()).bytes, small());
    }
    assert!(guard.buffered_bytes() > 7 << 20);
    is_not_held_up(&guard, &[]);
    // None of them was ended for it, and none is that refers to nothing that is gone.
    for session in &mut many {
        assert!(!session.holder().gives_way());
        assert_eq!(hand(session, Sender::Client, &small()).bytes, small());
    }
    assert!(events(&host).iter().all(|event| event["reason"].is_null()));
    drop(many);
    assert_eq!(guard.buffered_bytes(), 0);
}

/// Two messages of one compressor, the second of which refers to the first.
fn referring() -> [Vec<u8>; 2] {
    let noise: Vec<u8> = (0..20_000_u32).map(|n| b'a' + (n * n % 1009 % 26) as u8).collect();
    let mut stream = Compress::new(Compression::best(), false);
    [&noise[..], &noise[1000..2000]].map(|text| {
        let mut out = Vec::with_capacity(30_000);
        stream.compress_vec(text, &mut out, FlushCompress::Sync).unwrap();
        out.truncate(out.len() - 4);
        frame(Sender::Client, 0xC1, &out)
    })
}

#[test]
fn a_message_that_refers_to_a_window_that_is_gone_is_overloaded_and_others_pass() {
    let (host, guard) = worker(&compressed(ruled()));
    let [first, second] = referring();
    let mut idle: Vec<_> = (0..3).map(|_| open_with(&guard, MANY, DEFLATE)).collect();
    for session in &mut idle {
        assert_eq!(hand(session, Sender::Client, &first).refused, None);
    }
    assert_eq!(hand(&mut idle[0], Sender::Client, &second).bytes, second);
    let mut many = Vec::new();
    let mut fill = |bytes: usize| {
        many.push(open(&guard, MANY));
        let unfinished = masked(0x01, &vec![b'a'; bytes]);
        assert_eq!(hand(many.last_mut().unwrap(), Sender::Client, &unfinished).refused, None);
        assert!(many.iter().all(|session| !session.holder().gives_way()));
    };
    (0..7).for_each(|_| fill(1 << 20));
    let left = usize::try_from((8 << 20) - guard.buffered_bytes()).unwrap();
    fill(left);
    assert!(idle.iter().all(|session| !session.holder().gives_way()));
    assert_eq!(hand(&mut idle[1], Sender::Client, &small()).bytes, small());
    host.take_lines();
    assert_eq!(hand(&mut idle[2], Sender::Client, &second).refused, Some(Reason::Overloaded));
    let event = events(&host).pop().unwrap();
    assert_eq!((&event["event"], &event["reason"]), (&json!("refused"), &json!("overloaded")));
    assert!(event["detail"].as_str().unwrap().contains("refers to earlier ones"), "{event}");
}

const API_KEY: &str = "the-api-key-of-alice";

fn awaiting() -> Value {
    let hash: String = Sha256::digest(API_KEY).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut document = shared(ruled());
    document["policies"][0]["auth"] = json!({
        "credentials": [{"header": "x-api-key"}, {"first_message": {"pointer": "/token"}}],
        "api_keys": [{"id": "a", "sha256": hash}],
    });
    document["policies"][0]["lifetime"] = json!({"push": true});
    document
}

#[test]
fn clients_that_are_not_verified_have_a_quarter_together() {
    let (host, guard) = worker(&awaiting());
    let mut many = Vec::new();
    let mut ended = 0;
    for n in 0..40 {
        many.push(open(&guard, [192, 0, 2, n]));
        let step = hand(many.last_mut().unwrap(), Sender::Client, &masked(0x01, &[b'a'; 400_000]));
        ended += usize::from(step.refused.is_some());
        ended += many.iter_mut().filter(|s| s.holder().gives_way()).map(|s| s.give_way()).count();
        assert!(guard.buffered_bytes() <= 2 << 20, "{}", guard.buffered_bytes());
    }
    assert_eq!(ended, 35);
    is_not_held_up(&guard, &[("x-api-key", API_KEY)]);
    assert!(many.iter().all(|session| !session.holder().gives_way()));
    let event = events(&host).into_iter().find(|event| event["reason"] == "overloaded").unwrap();
    assert!(event["detail"].as_str().unwrap().contains("held bytes ran short"), "{event}");
}

#[test]
fn an_address_over_its_share_loses_its_own_largest_and_is_told_so() {
    for push in [false, true] {
        let mut document = client(ruled());
        document["limits"] = json!({"buffered_per_worker": "64MiB", "buffered_per_ip": "2MiB"});
        document["policies"][0]["lifetime"] = json!({"push": push});
        let mut rig = Rig::open(&document);
        rig.session.set_ready_to_push(push);
        let bystander = masked(0x01, &[b'a'; 1 << 19]);
        let mut other = open(&rig.guard, OTHER);
        hand(&mut other, Sender::Client, &bystander);
        assert_eq!(rig.client(&masked(0x01, &[b'a'; 1_000_000])).refused, None);
        let mut same: Vec<_> = (0..3).map(|_| open(&rig.guard, [192, 0, 2, 7])).collect();
        for session in &mut same {
            assert_eq!(hand(session, Sender::Client, &bystander).refused, None);
        }
        assert!(rig.session.holder().gives_way() && !other.holder().gives_way());
        assert!(same.iter().all(|session| !session.holder().gives_way()));
        rig.host.take_lines();
        let outcome = rig.session.give_way();
        assert_eq!((outcome.reset, outcome.refused), (!push, Some(Reason::Overloaded)));
        if push {
            let close = plain(0x88, &[&[0x03, 0xF5], &b"overloaded"[..]].concat());
            assert_eq!(rig.pushed(), close);
        }
        assert!(
            !rig.session.holder().gives_way() && !rig.session.give_way().reset,
            "it has been ended"
        );
        let event = rig.event();
        assert_eq!((&event["event"], &event["reason"]), (&json!("refused"), &json!("overloaded")));
        let detail = event["detail"].as_str().unwrap();
        assert!(detail.contains("limits.buffered_per_ip"), "{detail}");
        rig.session.on_end();
        assert_eq!(rig.event()["reason"], "overloaded");
        assert!((4 << 19..5 << 19).contains(&rig.buffered()));
        drop((other, same));
        assert_eq!(rig.buffered(), 0);
    }
}

#[test]
fn report_tells_once_and_what_follows_passes_unseen() {
    let mut document = client(ruled());
    document["mode"] = json!("report");
    document["limits"] = json!({"buffered_per_worker": "64MiB", "buffered_per_ip": "2MiB"});
    let mut rig = Rig::open(&document);
    let unfinished = masked(0x01, &[b'a'; 1_000_000]);
    assert_eq!(rig.client(&unfinished).bytes, unfinished);
    let mut same: Vec<_> = (0..3).map(|_| open(&rig.guard, [192, 0, 2, 7])).collect();
    for session in &mut same {
        hand(session, Sender::Client, &masked(0x01, &[b'a'; 1 << 19]));
    }
    rig.host.take_lines();
    assert!(rig.session.holder().gives_way());
    let outcome = rig.session.give_way();
    assert_eq!((outcome.reset, outcome.refused), (false, Some(Reason::Overloaded)));
    assert_eq!(rig.event()["event"], "reported");
    assert_eq!(rig.session.give_way().refused, None);
    for bytes in [masked(0x80, b"<script"), vec![0xFF; 9], masked(0x01, &[b'a'; 1 << 20])] {
        assert_eq!(rig.client(&bytes).bytes, bytes);
    }
    assert_eq!(rig.events(), Vec::<Value>::new());
    assert!((3 << 19..4 << 19).contains(&rig.buffered()));
}

/// A handshake that waits for a service holds its head.
#[test]
fn a_handshake_that_is_held_gives_way_with_503() {
    for refuse_with in ["http", "close"] {
        let mut document = client(json!({"max_message": "8KiB", "max_frame": "8KiB"}));
        document["limits"] = json!({"buffered_per_worker": "64KiB", "buffered_per_ip": "64KiB"});
        document["policies"][0]["handshake"] = json!({"refuse_with": refuse_with});
        document["policies"][0]["server"] = json!({"max_message": "8KiB", "max_frame": "8KiB"});
        document["policies"][0]["auth"] = json!({
            "credentials": [{"query": "token"}],
            "session": {"cluster": "auth", "host": "auth.example.com", "path": "/session",
                "send": "bearer", "subject": "/user"},
        });
        let (host, guard) = worker(&document);
        let held = |address: [u8; 4], bytes: usize| {
            let filler = "a".repeat(bytes);
            let mut arrival = arrival(&[("x-filler", &filler)]);
            arrival.head.source = Some(address.into());
            arrival.head.target = b"/ws?token=t".to_vec();
            let Admission::Waiting(pending) = admit(&guard, &arrival).admission else { panic!() };
            pending
        };
        let (mut large, small) = (held(MANY, 40_000), held(OTHER, 20_000));
        let mut third = held([10, 0, 0, 1], 20_000);
        assert!(third.give_way().is_none(), "only who holds the most");
        let admitted = large.give_way().unwrap();
        assert_eq!(admitted.reason, Some(Reason::Overloaded));
        let Admission::Refused(refusal) = admitted.admission else { panic!() };
        assert_eq!(refusal.status, if refuse_with == "http" { 503 } else { 101 });
        assert_eq!(admitted.target.unwrap(), b"/ws");
        let refused = events(&host).pop().unwrap();
        assert_eq!(
            (&refused["event"], &refused["reason"]),
            (&json!("refused"), &json!("overloaded"))
        );
        drop((large, small, third));
        assert_eq!(guard.buffered_bytes(), 0);
    }
}

/// A client whose first message is awaited holds what that is to be verified with.
#[test]
fn a_handshake_that_upstream_has_not_answered_gives_way_with_503() {
    let mut document = client(json!({"max_message": "1KiB", "max_frame": "1KiB"}));
    document["limits"] = json!({"buffered_per_worker": "64KiB", "buffered_per_ip": "64KiB"});
    document["policies"][0]["server"] = json!({"max_message": "1KiB", "max_frame": "1KiB"});
    document["policies"][0]["lifetime"] = json!({"push": true});
    document["policies"][0]["auth"] = json!({
        "credentials": [{"first_message": {"pointer": "/token"}}],
        "session": {"cluster": "auth", "host": "auth.example.com", "path": "/session",
            "send": "bearer", "subject": "/user"},
        "authorize": [{"from": {"header": "x-ask"}, "claim": "rooms"}],
    });
    for mode in ["enforce", "report"] {
        document["mode"] = json!(mode);
        let (host, guard) = worker(&document);
        let awaiting = |address: [u8; 4], bytes: usize| {
            let ask = "a".repeat(bytes);
            let mut arrival = arrival(&[("x-ask", &ask)]);
            arrival.head.source = Some(address.into());
            admitted(&guard, &arrival)
        };
        let (mut large, second) = (awaiting(MANY, 9_000), awaiting(OTHER, 8_000));
        assert!(large.holder().gives_way() && !second.holder().gives_way());
        let outcome = large.give_way();
        assert_eq!(outcome.refused, Some(Reason::Overloaded));
        let kind = if mode == "enforce" { "refused" } else { "reported" };
        assert_eq!(events(&host).pop().unwrap()["event"], kind);
        if mode == "enforce" {
            assert_eq!(large.take_refusal().unwrap().status, 503);
        } else {
            assert!(!outcome.reset && large.take_refusal().is_none());
            assert!(matches!(large.on_response(101, &switching(&[])), Opening::Open(_)));
            assert_eq!(hand(&mut large, Sender::Client, &[0xFF; 9]).bytes, [0xFF; 9]);
        }
        large.on_end();
        let handshakes = |result: &str| {
            let reason = if result == "accepted" { "" } else { "overloaded" };
            host.metric(&format!(
                r#"wsguard_handshakes_total{{policy="chat",result="{result}",reason="{reason}"}}"#
            ))
        };
        assert_eq!(handshakes(kind), 1);
        drop((large, second));
        assert_eq!(guard.buffered_bytes(), 0);
    }
}

/// Or each reply for which there is no room would cost a search for who gives way.
#[test]
fn who_holds_the_most_gives_way_for_a_reply_too() {
    let document = json!({
        "limits": {"buffered_per_worker": "8MiB", "buffered_per_ip": 200_000},
        "policies": [{
            "name": "chat",
            "client": {"types": ["binary"], "on_violation": "reply", "max_message": 100_000},
            "server": {"rules": [{"name": "r", "pattern": "<script"}], "max_message": 100_000},
        }],
    });
    let (_, guard) = worker(&document);
    let held = || usize::try_from(guard.buffered_bytes()).unwrap();
    let unfinished = |bytes: usize| {
        let (mut session, message) = (open(&guard, MANY), plain(0x81, &vec![b'a'; bytes]));
        let step = hand(&mut session, Sender::Server, &message[..message.len() - 1]);
        assert_eq!((step.bytes, step.refused), (vec![], None));
        session
    };
    let mut many = vec![unfinished(100_000)];
    let beside = held() - 99_999;
    many.push(unfinished(200_000 - held() - beside - 9));
    assert_eq!(held(), 200_000 - 10);
    assert_eq!(hand(&mut many[0], Sender::Client, &text("not binary")).refused, None);
    assert!(many[0].holder().gives_way() && !many[1].holder().gives_way());
    assert_eq!(end_given_way(&mut many), 1);
    assert!(held() < 100_000);
}

/// Or a worker would hold as many times its limit as documents have connections left.
#[test]
fn documents_that_follow_one_another_share_one_account() {
    let (host, old) = worker(&shared(ruled()));
    let half = masked(0x01, &vec![b'a'; 900_000]);
    let mut many: Vec<Session> = (0..4).map(|_| open(&old, MANY)).collect();
    for session in &mut many {
        assert_eq!(hand(session, Sender::Client, &half).refused, None);
    }
    let mut document = shared(ruled());
    document["limits"] = json!({"buffered_per_worker": "6MiB", "buffered_per_ip": "6MiB"});
    let config = wsguard::config::Config::parse(&document.to_string(), &|_| None).unwrap();
    let new = old.replaced_by(config);
    old.succeed_by(&new);
    let held = || host.metric("wsguard_buffered_bytes");
    let told = || {
        old.on_tick();
        new.on_tick();
        held()
    };
    assert!(told() >= 3_600_000);
    is_not_held_up(&new, &[]);
    // The older document's connections give way to one of the newer.
    let mut newer: Vec<Session> = (0..3).map(|_| open(&new, OTHER)).collect();
    for session in &mut newer {
        assert_eq!(hand(session, Sender::Client, &half).refused, None);
    }
    assert!(end_given_way(&mut many) > 0 && told() <= 6 << 20);
    drop(many);
    assert!(told() >= 2_700_000);
    drop(old);
    assert!(held() > 0, "an older document's end takes nothing away from the newer's");
    drop(newer);
    new.on_tick();
    assert_eq!(held(), 0);
}
