//! Streams of both ends that go on in parts: whatever is said to an end stands between
//! frames, a message of ours between messages.

use super::rig::{Rig, masked, plain, text};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);

/// The frames that an end has been sent: (first byte, unmasked payload), and what is left.
fn frames(mut bytes: &[u8]) -> (Vec<(u8, Vec<u8>)>, Vec<u8>) {
    let mut all = Vec::new();
    loop {
        let whole = (|| {
            let (first, second) = (*bytes.first()?, *bytes.get(1)?);
            let (length, mut at) = match second & 0x7F {
                126 => (usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap())), 4),
                127 => (
                    usize::try_from(u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()))
                        .unwrap(),
                    10,
                ),
                short => (usize::from(short), 2),
            };
            let mut key = [0; 4];
            if second & 0x80 != 0 {
                key = bytes.get(at..at + 4)?.try_into().unwrap();
                at += 4;
            }
            let payload = bytes.get(at..at + length)?;
            let payload = payload.iter().zip(key.iter().cycle()).map(|(b, k)| b ^ k).collect();
            Some((first, payload, at + length))
        })();
        let Some((first, payload, length)) = whole else { return (all, bytes.to_vec()) };
        all.push((first, payload));
        bytes = &bytes[length..];
    }
}

/// Says what is wrong with the order of frames, if something is.
fn wrong(bytes: &[u8]) -> Option<String> {
    let (frames, rest) = frames(bytes);
    let (mut message, mut closed): (Option<(u8, Vec<u8>)>, bool) = (None, false);
    for (first, payload) in &frames {
        if closed {
            return Some(format!("{first:02x} behind a Close"));
        }
        match first & 0x0F {
            8 => closed = true,
            9 | 10 => {}
            0 => match &mut message {
                Some((_, all)) => all.extend(payload),
                None => return Some("a continuation of nothing".to_owned()),
            },
            kind @ (1 | 2) if message.is_none() => message = Some((kind, payload.clone())),
            kind => return Some(format!("{kind} inside a message")),
        }
        if first & 0x0F < 8 && first & 0x80 != 0 {
            let (kind, all) = message.take().unwrap();
            if kind == 1 && std::str::from_utf8(&all).is_err() {
                return Some("a bad text".to_owned());
            }
        }
    }
    (closed && !rest.is_empty()).then(|| "bytes behind a Close".to_owned())
}

#[test]
fn a_reply_does_not_stand_inside_a_message_of_the_servers() {
    for push in [true, false] {
        let mut rig = Rig::open(&json!({"policies": [{"name": "chat",
            "client": {"types": ["binary"], "on_violation": "reply"}, "lifetime": {"push": push}}]}));
        let mut seen = rig.server(&plain(0x01, b"first")).bytes;
        rig.client(&text("not binary"));
        if push {
            seen.extend(rig.pushed());
        }
        seen.extend(rig.server(&plain(0x80, b"last")).bytes);
        seen.extend(if push { rig.pushed() } else { rig.server(b"").bytes });
        assert_eq!(wrong(&seen), None, "{push}");
        assert!(String::from_utf8_lossy(&seen).contains("type_denied"), "{push}");
    }
}

#[test]
fn a_reply_in_the_place_of_the_servers_ping_does_not_stand_inside_a_message() {
    let mut rig = Rig::open(&json!({"policies": [{"name": "chat",
        "server": {"rate": {"per_connection": "1/1m"}, "on_violation": "reply"}}]}));
    let mut seen = rig.server(&plain(0x01, b"first")).bytes;
    seen.extend(rig.server(&plain(0x89, b"")).bytes);
    seen.extend(rig.server(&plain(0x80, b"last")).bytes);
    seen.extend(rig.server(b"").bytes);
    assert_eq!(wrong(&seen), None);
    assert!(String::from_utf8_lossy(&seen).contains("message_rate"));
}

/// It could not have seen a Ping.
#[test]
fn a_client_that_is_sent_one_long_frame_has_missed_no_heartbeat() {
    let mut rig = Rig::open(&json!({"policies": [{"name": "chat",
        "lifetime": {"push": true, "heartbeat": "5s"}}]}));
    assert_eq!(rig.pushed(), b"");
    let frame = plain(0x82, &[7; 100]);
    assert_eq!(rig.server(&frame[..10]).bytes, frame[..10]);
    for piece in frame[10..90].chunks(10) {
        rig.host.advance(5 * SECOND);
        let step = rig.session.on_tick();
        assert!(!step.reset && step.refused.is_none());
        assert_eq!((rig.pushed(), rig.server(piece).bytes), (vec![], piece.to_vec()));
    }
    // A Ping that had gone before is missed all the same, and one goes behind the frame.
    assert_eq!(rig.server(&frame[90..]).bytes, frame[90..]);
    let _ = rig.session.on_tick();
    assert_eq!(rig.pushed()[..2], [0x89, 8]);
    assert_eq!(rig.server(&frame[..10]).bytes, frame[..10]);
    rig.host.advance(5 * SECOND);
    assert_eq!(rig.session.on_tick().refused, None);
}

#[derive(Clone, Debug)]
enum Do {
    Client(usize),
    Server(usize),
    Push,
    Tick(u8),
}

fn stream(is_client: bool) -> impl Strategy<Value = Vec<u8>> {
    let frame = move |first: u8, payload: &[u8]| {
        if is_client { masked(first, payload) } else { plain(first, payload) }
    };
    let part = prop::sample::select(vec![
        &b"a"[..],
        b"",
        b"some <bad words",
        b"\xe2\x82\xac",
        b"longer than others, so that it is cut",
    ]);
    let bad = prop::sample::select(vec![&b""[..], b"", b"", b"", b"\xff"]);
    let message = (prop::bool::ANY, prop::collection::vec((part, prop::bool::ANY), 1..4), bad);
    let messages = prop::collection::vec(message, 1..6);
    (messages, prop::option::weighted(0.3, Just(()))).prop_map(move |(messages, closes)| {
        let mut bytes = Vec::new();
        for (is_text, parts, bad) in messages {
            let count = parts.len();
            for (index, (part, ping)) in parts.into_iter().enumerate() {
                let last = index + 1 == count;
                let kind = if index > 0 {
                    0
                } else if is_text {
                    1
                } else {
                    2
                };
                let payload = if last { [part, bad].concat() } else { part.to_vec() };
                bytes.extend(frame(kind | if last { 0x80 } else { 0 }, &payload));
                if ping {
                    bytes.extend(frame(0x89, b"p"));
                }
            }
        }
        if closes.is_some() {
            bytes.extend(frame(0x88, b"\x03\xe8"));
        }
        bytes
    })
}

fn policies() -> Vec<Value> {
    let mut all = Vec::new();
    let few = json!({"per_connection": "3/1s"});
    let small = json!({"per_connection": "60/1s"});
    for action in ["close", "drop", "reply", "slow", "report"] {
        for rules in [
            json!({"types": ["binary"], "on_violation": action}),
            json!({"rate": few, "on_violation": action}),
            json!({"bytes": small, "on_violation": action}),
            json!({"rules": [{"name": "r", "pattern": "<bad", "action": action}]}),
        ] {
            if action == "slow" && (rules.get("types").is_some() || rules.get("rules").is_some()) {
                continue;
            }
            for (client, server) in [
                (rules.clone(), json!({})),
                (json!({}), rules.clone()),
                (rules.clone(), rules.clone()),
            ] {
                for lifetime in [
                    json!({"push": true}),
                    json!({"push": true, "heartbeat": "1s"}),
                    json!({"push": true, "max": "4s"}),
                    json!({}),
                ] {
                    if action == "slow" && lifetime == json!({}) {
                        continue;
                    }
                    all.push(json!({"policies": [{"name": "chat", "client": client,
                        "server": server, "lifetime": lifetime}]}));
                }
            }
        }
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]
    #[test]
    fn both_ends_read_frames_in_order_whatever_is_said_to_them(
        policy in prop::sample::select(policies()),
        client in stream(true),
        server in stream(false),
        steps in prop::collection::vec(prop_oneof![
            4 => (1usize..40).prop_map(Do::Client),
            4 => (1usize..40).prop_map(Do::Server),
            2 => Just(Do::Push),
            1 => (0u8..3).prop_map(Do::Tick),
        ], 1..60),
    ) {
        let push = policy["policies"][0]["lifetime"]["push"] == true;
        let mut rig = Rig::open(&policy);
        if push {
            rig.session.set_ready_to_push(true);
        }
        let (mut to_client, mut to_server) = (Vec::new(), Vec::new());
        let (mut client, mut server) = (&client[..], &server[..]);
        for step in steps {
            match step {
                Do::Client(n) => {
                    let (now, later) = client.split_at(n.min(client.len()));
                    client = later;
                    let step = rig.client(now);
                    to_server.extend(step.bytes);
                    if step.reset { break; }
                }
                Do::Server(n) => {
                    let (now, later) = server.split_at(n.min(server.len()));
                    server = later;
                    let step = rig.server(now);
                    to_client.extend(step.bytes);
                    if step.reset { break; }
                }
                Do::Push => if push { to_client.extend(rig.pushed()); },
                Do::Tick(seconds) => {
                    rig.host.advance(SECOND * u32::from(seconds));
                    if rig.session.on_tick().reset { break; }
                }
            }
        }
        prop_assert_eq!(wrong(&to_client), None, "client");
        prop_assert_eq!(wrong(&to_server), None, "server");
        rig.session.on_end();
        let Rig { guard, session, .. } = rig;
        drop(session);
        prop_assert_eq!(guard.buffered_bytes(), 0);
    }
}
