//! What comes in the place of a request: nothing of it reaches upstream.

use super::{Sink, of_kind};
use crate::client::{Client, Request, text};
use crate::support::{Envoy, PATIENCE, bootstrap_of, stream_listener, wait_for};
use serde_json::{Value, json};
use std::io::Write;

fn start(upstream: &Sink) -> Envoy {
    let document = json!({"policies": [{
        "name": "chat", "match": {"paths": ["/ws"]},
        "handshake": {"origins": ["https://app.example.com"], "missing_origin": "allow"},
    }]});
    let listener = stream_listener(&of_kind("stream", &document));
    Envoy::start(&bootstrap_of(&[listener], upstream.address))
}

fn refusals(envoy: &Envoy) -> Vec<Value> {
    envoy.events().into_iter().filter(|event| event["event"] == "refused").collect()
}

#[test]
fn what_is_no_upgrade_ends_the_connection_and_upstream_sees_nothing() {
    let upstream = Sink::start();
    let envoy = start(&upstream);
    let good = Request::upgrade("/ws").bytes();
    let evil = Request::upgrade("/ws").with("origin", "https://evil.example").bytes();
    let changed = |from: &str, to: &str| {
        let text = String::from_utf8(good.clone()).unwrap();
        assert!(text.contains(from));
        text.replacen(from, to, 1).into_bytes()
    };
    for (bytes, reason) in [
        (Request::plain("/ws").bytes(), "not_websocket"),
        (Request::plain("/health").bytes(), "not_websocket"),
        // A good one behind a refused one, and anything behind a good one.
        ([evil.clone(), good.clone()].concat(), "origin_denied"),
        ([Request::plain("/ws").bytes(), good.clone()].concat(), "not_websocket"),
        ([good.clone(), good.clone()].concat(), "protocol_error"),
        ([good.clone(), text("too early")].concat(), "protocol_error"),
        (changed("HTTP/1.1", "HTTP/1.0"), "handshake_malformed"),
        (changed("\r\nupgrade", "\nupgrade"), "handshake_malformed"),
        (changed("\r\nupgrade", "\r\n upgrade"), "handshake_malformed"),
        (changed("upgrade:", "upgrade :"), "handshake_malformed"),
        (changed("upgrade:", "x: \0\r\nupgrade:"), "handshake_malformed"),
        (changed("upgrade:", "host: chat.example.com\r\nupgrade:"), "handshake_malformed"),
        (changed("upgrade:", "content-length: 5\r\nupgrade:"), "handshake_malformed"),
        (changed("upgrade:", "transfer-encoding: chunked\r\nupgrade:"), "handshake_malformed"),
        (changed("/ws", "http://chat.example.com/ws"), "handshake_malformed"),
        (changed("/ws", "*"), "handshake_malformed"),
        (changed("GET", "\r\nGET"), "handshake_malformed"),
        (changed("GET", "POST"), "handshake_malformed"),
        (
            changed("upgrade:", &format!("{}upgrade:", "a: b\r\n".repeat(100))),
            "handshake_malformed",
        ),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), "handshake_malformed"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), "handshake_malformed"),
        (
            b"CONNECT chat.example.com:443 HTTP/1.1\r\nhost: chat.example.com\r\n\r\n".to_vec(),
            "handshake_malformed",
        ),
    ] {
        let told = refusals(&envoy).len();
        let mut client = Client::connect(envoy.address());
        client.send(&bytes);
        assert!(client.ends(), "{:?}", String::from_utf8_lossy(&bytes));
        let event = wait_for(&format!("an event in {}", envoy.log()), || {
            refusals(&envoy).into_iter().nth(told)
        });
        assert_eq!(event["reason"], reason, "{:?}", String::from_utf8_lossy(&bytes));
        assert_eq!(event["ip"], "127.0.0.1");
    }
    assert_eq!(upstream.all(), b"", "of all these connections");
    assert!(envoy.get("/stats/prometheus").contains("not_websocket"));
}

#[test]
fn an_endless_head_ends_the_connection() {
    let upstream = Sink::start();
    let envoy = start(&upstream);
    let begin = b"GET /ws HTTP/1.1\r\nhost: chat.example.com\r\nx: ";
    let mut client = Client::connect(envoy.address());
    client.send(begin);
    // Until the other side has had enough.
    while client.stream.write_all(&[b'x'; 8192]).is_ok() {}
    assert!(client.ends());
    let event = envoy.event("refused", Some("handshake_malformed"));
    assert!(event["detail"].as_str().unwrap().contains("60 KiB"), "{event}");
    // The longest that is taken goes on whole.
    let mut request = Request::upgrade("/ws").with("x-long", "");
    let long = (60 << 10) - request.bytes().len();
    request = request.set("x-long", "x".repeat(long));
    let mut client = Client::connect(envoy.address());
    client.send(&request.bytes());
    wait_for("the head", || (upstream.bytes.lock().unwrap().len() == 60 << 10).then_some(()));
    assert_eq!(*upstream.bytes.lock().unwrap(), request.bytes());
}

#[test]
fn a_slow_head_and_a_silent_client_end_the_connection() {
    let upstream = Sink::start();
    let envoy = start(&upstream);
    let mut silent = Client::connect(envoy.address());
    let mut slow = Client::connect(envoy.address());
    let begin = std::time::Instant::now();
    let head = Request::upgrade("/ws").with("x-long", "x".repeat(4096)).bytes();
    let mut bytes = head.iter();
    // A byte now and then, for as long as somebody listens.
    while slow.stream.write_all(&[*bytes.next().unwrap()]).is_ok() {
        assert!(begin.elapsed() < PATIENCE, "still listening");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(silent.ends());
    let events =
        wait_for("both refusals", || Some(refusals(&envoy)).filter(|events| events.len() == 2));
    for event in events {
        assert_eq!(event["reason"], "handshake_malformed");
        assert!(event["detail"].as_str().unwrap().contains("10 s"), "{event}");
    }
    assert_eq!(upstream.all(), b"");
}
