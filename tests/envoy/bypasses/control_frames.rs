//! Control frames under rules: what a Ping, a Pong or the reason of a Close holds
//! that a rule looks for does not arrive, at servers of three projects, which
//! answer a Ping with its payload and a Close with its reason.

use crate::client::{Client, Frame, Request, frame, text};
use crate::peers::{Echo, Maker};
use crate::support::{Envoy, bootstrap, bootstrap_of, listener, stream_listener, wait_for};
use crate::upstream::{Recorder, Script, frames};
use serde_json::{Value, json};
use std::io::Write;

const WAYS: [&str; 3] = ["http", "push", "stream"];

/// Actions, and what their events are called.
const ACTIONS: [(&str, &str); 5] = [
    ("drop", "dropped"),
    ("reply", "replied"),
    ("sanitize", "sanitized"),
    ("close", "refused"),
    ("report", "reported"),
];

const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const CLOSE: u8 = 0x88;

const REPLY: &[u8] =
    br#"{"type":"error","reason":"rule_matched","detail":"the message matches a rule"}"#;

/// `<script` may not go up, `<secret` not down, where only text may go.
fn document(way: &str, action: &str) -> Value {
    let rule = |pattern| json!({"types": ["text"], "rules": [{"name": "bad", "pattern": pattern, "action": action}]});
    json!({
        "filter": if way == "stream" { "stream" } else { "http" },
        "policies": [{
            "name": action, "client": rule("(?i)<script"), "server": rule("(?i)<secret"),
            "lifetime": {"push": way == "push"},
        }],
    })
}

fn start(echo: &Echo) -> Envoy {
    let mut listeners = Vec::new();
    for way in WAYS {
        for (action, _) in ACTIONS {
            let document = document(way, action);
            let mut listener =
                if way == "stream" { stream_listener(&document) } else { listener(&document) };
            listener["name"] = json!(format!("{way}-{action}"));
            listeners.push(listener);
        }
    }
    Envoy::start(&bootstrap_of(&listeners, echo.address))
}

/// A Close with this code and reason.
fn close(code: u16, reason: &str) -> Vec<u8> {
    frame(CLOSE, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// The frames that come before the echo of this text.
fn before(client: &mut Client, last: &str) -> Vec<Frame> {
    let mut came = Vec::new();
    loop {
        let frame = client.frame().expect("the connection ended");
        if frame.first == 0x81 && frame.payload == last.as_bytes() {
            return came;
        }
        came.push(frame);
    }
}

/// Inputs of holes that outsiders found, and others: of both ends, bytes that are
/// no text, inside of a message, with and without anything around the pattern.
fn pings() -> Vec<(&'static str, Vec<u8>)> {
    let whole = |first, payload: &[u8]| frame(first, payload);
    vec![
        ("a Ping", whole(PING, b"a <script>")),
        ("a Ping that is no text", whole(PING, b"\xff\x00<sCrIpT\xfe")),
        ("the pattern alone", whole(PING, b"<script")),
        ("a full Ping", whole(PING, format!("{:>125}", "<script").as_bytes())),
        ("what the server answers", whole(PING, b"a <secret>")),
        ("its bytes that are no text", whole(PING, b"\xf0<SECRET\x80")),
    ]
}

fn lives_on(envoy: &Envoy, echo: &Echo, way: &str, action: &str, event: &str) {
    let address = envoy.listener(&format!("{way}-{action}"));
    let mut client = Client::open(address, &Request::upgrade("/ws"));
    let context = format!("{way}, {action}");
    let mut events = 0;
    for (name, ping) in pings() {
        // In the middle of a message that is good, in one segment and in many.
        client.send(&[frame(0x01, b"af"), ping.clone(), frame(0x80, b"ter")].concat());
        let came = before(&mut client, "after");
        let ping_bytes: Vec<&[u8]> = ping.chunks(9).collect();
        client.send_apart(&ping_bytes);
        client.send(&text("apart"));
        let again = before(&mut client, "apart");
        for came in [came, again] {
            let payloads: Vec<_> = came.iter().map(|f| (f.first, f.payload.as_slice())).collect();
            match action {
                "report" => assert_eq!((payloads.len(), payloads[0].0), (1, PONG), "{name}"),
                "reply" => assert_eq!(payloads, [(0x81, REPLY)], "{context}: {name}"),
                _ => assert_eq!(payloads, [], "{context}: {name}"),
            }
        }
        events += 2;
    }
    // What holds nothing bad arrives, and so does its answer.
    client.send(&[frame(PING, b"script"), frame(PING, b""), text("good")].concat());
    let came: Vec<_> = before(&mut client, "good").into_iter().map(|f| f.payload).collect();
    assert_eq!(came, [b"script".to_vec(), vec![]], "{context}");

    client.send(&[frame(PONG, b"<script"), close(4001, "a <script>")].concat());
    let mut last = client.frame().unwrap();
    for _ in 0..2 {
        if action == "reply" {
            assert_eq!(last.payload, REPLY);
            last = client.frame().unwrap();
        }
    }
    let reason = if action == "report" { "a <script>" } else { "" };
    assert_eq!(last.close(), (4001, reason.to_owned()), "{context}");
    let ended = echo.ended();
    assert_eq!((&ended["code"], &ended["reason"]), (&json!(4001), &json!(reason)), "{context}");
    let pongs = if action == "report" { json!(1) } else { json!(0) };
    assert_eq!(ended["pongs"], pongs, "{context}");
    events += 2;
    let found = wait_for("the events", || {
        let all = envoy.events().into_iter();
        let found: Vec<_> = all.filter(|e| e["event"] == event && e["rule"] == "bad").collect();
        (found.len() >= events).then_some(found)
    });
    assert!(found.iter().any(|e| e["direction"] == "server"));
}

fn closes(envoy: &Envoy, echo: &Echo, way: &str) {
    let address = envoy.listener(&format!("{way}-close"));
    let mut all = pings();
    all.push(("a Pong", frame(PONG, b"<script")));
    all.push(("a Close", close(1000, "a <script>")));
    all.push(("a Close of its own code", close(4001, "<SCRIPT")));
    all.push(("the server's Close", close(4001, "a <secret>")));
    for (name, bad) in all {
        let mut client = Client::open(address, &Request::upgrade("/ws"));
        client.send(&[bad, text("after")].concat());
        let Some(told) = client.frame() else { panic!("{way}: {name}: nothing") };
        let (code, reason) = told.close();
        let of_server = name.contains("server") || name.starts_with("its");
        assert_eq!(code, 1008, "{way}: {name}");
        assert_eq!(reason, if of_server { "" } else { "rule_matched" }, "{way}: {name}");
        // Without push the server is told in the place of what comes next.
        let _ = client.stream.write_all(&close(1008, ""));
        let ended = echo.ended();
        // Who broke the rule is told which; the server had the client's own Close
        // where it answered that.
        if name != "the server's Close" {
            let told = if of_server { "rule_matched" } else { "" };
            assert_eq!((&ended["code"], &ended["reason"]), (&json!(1008), &json!(told)), "{name}");
        }
    }
}

/// The reason of the server's own Close, which it takes over from the client's.
fn close_of_the_server(envoy: &Envoy, echo: &Echo, way: &str, action: &str) {
    let address = envoy.listener(&format!("{way}-{action}"));
    let mut client = Client::open(address, &Request::upgrade("/ws"));
    client.send(&close(4001, "a <secret>"));
    let mut told = client.frame().unwrap();
    if action == "reply" && told.first == 0x81 {
        assert_eq!(told.payload, REPLY);
        told = client.frame().unwrap();
    }
    let (code, reason) = told.close();
    assert_eq!(code, 4001);
    assert!(action == "report" || reason.is_empty(), "{way}, {action}: {reason}");
    assert_eq!(echo.ended()["reason"], "a <secret>");
}

fn before_a_server(maker: Maker) {
    let echo = Echo::of(maker);
    let envoy = start(&echo);
    for way in WAYS {
        for (action, event) in ACTIONS {
            if action == "close" {
                closes(&envoy, &echo, way);
            } else {
                lives_on(&envoy, &echo, way, action, event);
                close_of_the_server(&envoy, &echo, way, action);
            }
        }
    }
}

#[test]
fn no_pattern_passes_in_control_frames_before_python_websockets() {
    before_a_server(Maker::Python);
}

#[test]
fn no_pattern_passes_in_control_frames_before_node_ws() {
    before_a_server(Maker::Node);
}

#[test]
fn no_pattern_passes_in_control_frames_before_tungstenite() {
    before_a_server(Maker::Tungstenite);
}

/// Nothing of it would have gone up before the credential; it closes all the same.
#[test]
fn a_control_frame_before_the_credential_is_judged() {
    let first = json!({"pointer": "/token", "when": {"/type": "auth"}, "ack": "ready"});
    let document = json!({"policies": [{
        "name": "first",
        "auth": {
            "credentials": [{"first_message": first}],
            "api_keys": [{"id": "tests", "key": {"env": "TEST_API_KEY"}}],
        },
        "client": {"rules": [{"name": "bad", "pattern": "<script"}]},
        "lifetime": {"push": true},
    }]});
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    let auth = text(&json!({"type": "auth", "token": crate::TEST_API_KEY}).to_string());
    for bad in [frame(PING, b"<script"), frame(PONG, b"<script"), close(1000, "<script")] {
        let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
        client.send(&[bad, auth.clone()].concat());
        assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
    }
    let seen = wait_for("all ends", || {
        Some(upstream.seen()).filter(|seen| seen.len() == 3 && seen.iter().all(|s| s.ended))
    });
    for seen in seen {
        assert_eq!(frames(&seen.bytes), [(CLOSE, 1008u16.to_be_bytes().to_vec())]);
    }
    assert_eq!(envoy.event("refused", Some("rule_matched"))["rule"], "bad");
}
