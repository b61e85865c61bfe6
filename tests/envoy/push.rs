//! Frames that are written to the client unasked (`lifetime.push`), through the
//! real Envoy.

use super::client::{Client, Frame, Request, frame, text};
use super::support::{Envoy, bootstrap, wait_for};
use super::upstream::{Recorder, Script, frames};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn pushing(lifetime: &Value, client: &Value) -> (Recorder, Envoy) {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let mut lifetime = lifetime.clone();
    lifetime["push"] = json!(true);
    let document = json!({"policies": [{"name": "chat", "lifetime": lifetime, "client": client}]});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    (upstream, envoy)
}

/// The Ping that came, and what answers it.
fn pong(ping: &Frame) -> Vec<u8> {
    assert_eq!((ping.first, ping.payload.len()), (0x89, 8));
    frame(0x8A, &ping.payload)
}

#[test]
fn a_client_that_never_sent_a_byte_is_asked_and_ended_when_it_does_not_answer() {
    let (upstream, envoy) = pushing(&json!({"heartbeat": "500ms"}), &json!({}));
    let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
    for _ in 0..3 {
        let ping = client.frame().unwrap();
        client.send(&pong(&ping));
    }
    // Not answered any more.
    for _ in 0..2 {
        pong(&client.frame().unwrap());
    }
    let close = client.frame().unwrap();
    assert_eq!(close.close(), (1001, "heartbeat_missed".to_owned()));
    client.send(&frame(0x88, &close.payload));
    wait_for("upstream's Close", || {
        let seen = frames(&upstream.seen()[0].bytes);
        seen.iter().any(|(first, _)| *first == 0x88).then_some(())
    });
    let seen = frames(&upstream.seen()[0].bytes);
    assert!(seen.iter().all(|(first, _)| *first == 0x88), "no Pong goes on: {seen:?}");
    envoy.assert_sound();
}

#[test]
fn a_message_that_is_refused_is_answered_at_once_and_many_of_them_too() {
    let rules = json!({"rules": [{"name": "r", "pattern": "<script", "action": "reply"}]});
    let (upstream, envoy) = pushing(&json!({}), &rules);
    let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
    std::thread::sleep(Duration::from_millis(200));
    for round in 0..20 {
        client.send(&text("<script"));
        let begin = Instant::now();
        let reply = client.frame().unwrap();
        assert!(begin.elapsed() < Duration::from_millis(400), "{round}: at once");
        assert!(String::from_utf8_lossy(&reply.payload).contains("rule_matched"));
    }
    let burst: Vec<u8> = text("<script").repeat(20);
    client.send(&burst);
    for _ in 0..20 {
        client.frame().unwrap();
    }
    client.send(&text("hello"));
    wait_for("the good one", || {
        let seen = frames(&upstream.seen()[0].bytes);
        seen.iter().any(|(_, payload)| payload == b"hello").then_some(())
    });
    assert_eq!(frames(&upstream.seen()[0].bytes).len(), 1);
    envoy.assert_sound();
}
