//! What a first message asks for, in mode report, whatever comes beside it: the
//! session service answers later than something else has gone wrong.

use crate::auth::{Reply, Service, add_service};
use crate::client::{Client, Request, frame, text};
use crate::support::{Envoy, bootstrap, wait_for};
use crate::upstream::{accepted, each_request};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::time::Duration;

fn document() -> Value {
    let first = json!({"pointer": "/token", "when": {"/type": "auth"}});
    let workspace = json!({"message": "/workspaceId", "when": {"/type": "auth"}});
    let room = json!({"message": "/room", "when": {"/type": "join"}});
    json!({"mode": "report", "policies": [{
        "name": "chat",
        "auth": {
            "credentials": [{"header": "x-api-key"}, {"first_message": first}],
            "api_keys": [{"id": "tests", "key": {"env": "TEST_API_KEY"}}],
            "session": {
                "cluster": "auth", "host": "auth.example.com", "path": "/session",
                "send": "bearer", "subject": "/user", "timeout": "10s",
            },
            "authorize": [
                {"from": workspace, "claim": "workspaces"},
                {"from": room, "callout": {
                    "cluster": "auth", "path": "/rooms/{room}", "timeout": "10s",
                }},
            ],
        },
        "client": {"max_message": 1000, "rules": [{"name": "bad", "pattern": "<script"}]},
        "lifetime": {"push": true},
    }]})
}

/// Accepts every upgrade and then only reads, a Close too, so that connections stay
/// until it is decided.
fn upstream() -> SocketAddr {
    each_request(|head, mut stream| {
        let _ = stream.write_all(accepted(&head, "").as_bytes());
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

/// Bob may have the red workspace and the blue room; every answer takes its time.
fn knows(asked: &str) -> Reply {
    let reply = match asked.split(' ').nth(1).unwrap_or_default() {
        "/session" => Reply::new(200, r#"{"user":"bob","workspaces":["red"]}"#),
        "/rooms/blue" => Reply::new(200, "{}"),
        _ => Reply::new(403, ""),
    };
    reply.after(Duration::from_millis(300))
}

fn auth(workspace: &str) -> Vec<u8> {
    let message = json!({"type": "auth", "token": "opaque", "workspaceId": workspace});
    text(&message.to_string())
}

/// What comes beside it, and what is told of that.
fn beside() -> Vec<(&'static str, Vec<u8>, Option<&'static str>)> {
    vec![
        ("reserved bits", frame(0xF1, b"a"), Some("protocol_error")),
        ("a reserved opcode", frame(0x83, b"a"), Some("protocol_error")),
        ("a frame without a mask", vec![0x81, 0x01, b'a'], Some("protocol_error")),
        ("a Ping that is too long", frame(0x89, &[b'a'; 126]), Some("protocol_error")),
        ("a message in a message", frame(0x01, b"a").repeat(2), Some("protocol_error")),
        ("a continuation of nothing", frame(0x80, b"a"), Some("protocol_error")),
        ("a Close of no code", frame(0x88, b"a"), Some("protocol_error")),
        ("a message that is too big", frame(0x81, &[b'a'; 1001]), Some("message_too_big")),
        ("text that is none", frame(0x81, b"\xff"), Some("invalid_utf8")),
        ("a pattern", text("<script"), Some("rule_matched")),
        ("half a message", frame(0x01, b"held"), None),
        ("a Close", frame(0x88, b"\x03\xe8"), None),
    ]
}

/// The events of the one connection, but for its end, once it has been decided.
fn decided(envoy: &Envoy, before: usize, last: (&str, Option<&str>)) -> Vec<Value> {
    wait_for(&format!("{last:?} in {}", envoy.log()), || {
        let events: Vec<_> = envoy.events().into_iter().skip(before).collect();
        let told = events.iter().any(|e| e["event"] == last.0 && e["reason"].as_str() == last.1);
        let opened = events.iter().any(|e| e["event"] == "opened");
        // Whichever it is: one of them ends the question.
        (told || opened).then_some(events)
    })
}

#[test]
fn what_a_first_message_asks_for_is_decided_whatever_comes_beside_it() {
    let service = Service::start(knows);
    let mut bootstrap = bootstrap(&document(), upstream());
    add_service(&mut bootstrap, &service);
    let envoy = Envoy::start(&bootstrap);
    for (name, bad, reason) in beside() {
        for at_once in [true, false] {
            for (workspace, last) in
                [("yellow", ("reported", Some("access_denied"))), ("red", ("opened", None))]
            {
                let context = format!("{name}, {workspace}, {at_once}");
                let (before, asked) = (envoy.events().len(), service.asked().len());
                let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
                if at_once {
                    client.send(&[auth(workspace), bad.clone()].concat());
                } else {
                    client.send(&auth(workspace));
                    wait_for("the question", || (service.asked().len() > asked).then_some(()));
                    client.send(&bad);
                }
                let events = decided(&envoy, before, last);
                let kinds: Vec<_> = events.iter().map(|e| (&e["event"], &e["reason"])).collect();
                let opened = events.iter().any(|e| e["event"] == "opened");
                assert_eq!(opened, workspace == "red", "{context}: {kinds:?}");
                if let Some(reason) = reason {
                    assert!(kinds.iter().any(|(_, r)| **r == reason), "{context}: {kinds:?}");
                }
                drop(client);
                wait_for("its end", || {
                    let new = envoy.events().into_iter().skip(before);
                    new.into_iter().any(|e| e["event"] == "closed").then_some(())
                });
            }
        }
    }
    envoy.metric("wsguard_buffered_bytes{} 0");
}

/// The same of what another message asks for, of a client that is known.
#[test]
fn what_a_message_asks_for_is_decided_whatever_comes_beside_it() {
    let service = Service::start(knows);
    let mut bootstrap = bootstrap(&document(), upstream());
    add_service(&mut bootstrap, &service);
    let envoy = Envoy::start(&bootstrap);
    let known = Request::upgrade("/ws").with("x-api-key", crate::TEST_API_KEY);
    let join = |room: &str| text(&json!({"type": "join", "room": room}).to_string());
    for (name, bad, _) in beside() {
        let before = envoy.events().len();
        let mut client = Client::open(envoy.address(), &known);
        client.send(&[join("blue"), join("black"), bad].concat());
        let event = wait_for(&format!("{name} in {}", envoy.log()), || {
            let mut new = envoy.events().into_iter().skip(before);
            new.find(|e| e["reason"] == "access_denied")
        });
        assert_eq!((&event["event"], &event["user"]), (&json!("reported"), &json!("key:tests")));
    }
}
