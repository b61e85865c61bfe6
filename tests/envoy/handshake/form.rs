//! RFC 6455 §4.2.1: what is an opening handshake and what is none.

use super::edge;
use crate::client::{Client, KEY, Request};
use crate::edge::{Site, detail, shown};
use serde_json::json;
use std::io::Read;

pub(super) fn sites() -> Vec<Site> {
    vec![Site::new("form", json!({"policies": [{"name": "form"}]}))]
}

fn upgrade() -> Request {
    Request::upgrade("/ws")
}

fn method(name: &str) -> Request {
    Request { line: format!("{name} /ws HTTP/1.1"), ..upgrade() }
}

#[test]
fn an_opening_handshake_that_breaks_a_rule_is_refused_and_told_which() {
    let edge = edge("form");
    let key = "sec-websocket-key";
    let version = "sec-websocket-version";
    let offer = "sec-websocket-protocol";
    let extensions = "sec-websocket-extensions";
    for (request, told) in [
        (method("POST"), "the method"),
        (method("OPTIONS"), "the method"),
        (upgrade().without(key), "Sec-WebSocket-Key header is missing"),
        (upgrade().set(key, ""), "Sec-WebSocket-Key"),
        // 15, 17 and 16 bytes in an alphabet that is not base64's.
        (upgrade().set(key, "AAAAAAAAAAAAAAAAAAAA"), "Sec-WebSocket-Key"),
        (upgrade().set(key, "AAAAAAAAAAAAAAAAAAAAAAA="), "Sec-WebSocket-Key"),
        (upgrade().set(key, "AAAAAAAAAAAAAAAAAAAA-_=="), "Sec-WebSocket-Key"),
        (upgrade().set(key, b"\x80\xff\xfe"), "Sec-WebSocket-Key"),
        (upgrade().with(key, KEY), "Sec-WebSocket-Key"),
        (upgrade().set(key, format!("{KEY}, {KEY}")), "Sec-WebSocket-Key"),
        (upgrade().without(version), "Sec-WebSocket-Version header is missing"),
        (upgrade().with(version, "13"), "Sec-WebSocket-Version"),
        (upgrade().with(version, "8"), "Sec-WebSocket-Version"),
        (upgrade().set(version, "13, 8"), "Sec-WebSocket-Version"),
        (upgrade().set("host", ""), "the host is missing"),
        (upgrade().set("host", "user@chat.example.com"), "user information"),
        (upgrade().set("host", "chat.example.com:0"), "port"),
        (upgrade().with("host", "other.example.com"), "host"),
        (upgrade().set("connection", b"upgrade, \x80\xff"), "Connection"),
        (upgrade().with("content-length", "5"), "body"),
        (upgrade().with("sec-websocket-accept", "x"), "Sec-WebSocket-Accept"),
        (upgrade().with(offer, "chat, chat"), "subprotocol"),
        (upgrade().with(offer, " , ,"), "list of tokens"),
        (upgrade().with(offer, format!("chat{}", ",".repeat(33))), "too many commas"),
        (upgrade().with(offer, b"chat, \x80\xff"), "list of tokens"),
        (upgrade().with(extensions, "permessage-deflate; ="), "Extensions"),
        (upgrade().with(extensions, b"\x80\xff"), "Extensions"),
    ] {
        let answer = edge.refuses(&request, 400, "handshake_malformed");
        let said = detail(&answer).to_ascii_lowercase();
        assert!(said.contains(&told.to_ascii_lowercase()), "{}: {said}", shown(&request));
    }
}

#[test]
fn another_version_is_told_which_one_is_spoken() {
    let edge = edge("form");
    for version in [&b"8"[..], b"0", b"14", b"013", b"130", b"", b"1\xb3"] {
        let request = upgrade().set("sec-websocket-version", version);
        let answer = edge.refuses(&request, 426, "version_unsupported");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
    }
}

#[test]
fn upgrade_and_connection_are_lists_in_any_case_over_any_lines() {
    let edge = edge("form");
    for request in [
        upgrade().set("upgrade", "WebSocket"),
        upgrade().set("connection", "keep-alive, Upgrade"),
        upgrade().set("connection", "UPGRADE,keep-alive"),
        upgrade().set("connection", "keep-alive").with("connection", "upgrade"),
        upgrade().set("connection", "upgrade").with("connection", "Keep-Alive"),
    ] {
        edge.opens(&request);
    }
}

#[test]
fn an_upgrade_that_is_not_to_websocket_alone_opens_nothing() {
    let edge = edge("form");
    // Envoy opens upgrades of the one configured kind, and refuses these
    // before any filter runs.
    for request in [
        upgrade().set("upgrade", "websocket, h2c"),
        upgrade().with("upgrade", "h2c"),
        upgrade().with("upgrade", "websocket"),
        upgrade().set("upgrade", "websocket/13"),
        upgrade().set("upgrade", b"websocket\x80"),
        upgrade().set("upgrade", ""),
        upgrade().set("upgrade", "spdy/3"),
    ] {
        edge.stops(&request.bytes(), 403);
    }
    // Without `Connection: upgrade`, Upgrade is void (RFC 9110 §7.8), and Envoy
    // drops h2c: what is left is no upgrade.
    for request in [
        upgrade().without("connection"),
        upgrade().set("connection", "keep-alive"),
        upgrade().set("connection", "\"upgrade\""),
        upgrade().without("upgrade"),
        upgrade().set("upgrade", "h2c"),
    ] {
        edge.refuses(&request, 426, "not_websocket");
    }
}

#[test]
fn what_is_no_http_request_opens_nothing() {
    let edge = edge("form");
    let with_line = |line: &[u8]| {
        let bytes = upgrade().bytes();
        let end = bytes.windows(2).position(|w| w == b"\r\n").unwrap();
        [line, &bytes[end..]].concat()
    };
    for (bytes, status) in [
        (with_line(b"get /ws HTTP/1.1"), 400),
        (with_line(b"CONNECT /ws HTTP/1.1"), 400),
        (with_line(b"GET /ws HTTP/1.0"), 426),
        (with_line(b"GET ws HTTP/1.1"), 400),
        (with_line(b"GET \\ws HTTP/1.1"), 400),
        (with_line(b"GET /ws\x80\xff HTTP/1.1"), 400),
        (with_line(b"GET /ws?\x80\xff HTTP/1.1"), 400),
        (upgrade().without("host").bytes(), 400),
        (upgrade().set("host", b"\x80\xff").bytes(), 400),
        (upgrade().set("host", "chat.example.com, other").bytes(), 400),
        (upgrade().with("x-user-id ", "eve").bytes(), 400),
        (upgrade().with("x", b"a\0b").bytes(), 400),
    ] {
        edge.stops(&bytes, status);
    }
    // An answer to HEAD has no body that could say why.
    let head = edge.marked(&method("HEAD"));
    let mut client = Client::connect(edge.address);
    client.send(&head.bytes());
    let mut line = [0; 12];
    client.stream.read_exact(&mut line).unwrap();
    assert_eq!(line, *b"HTTP/1.1 400");
    edge.refusal(&head, "handshake_malformed");
}

#[test]
fn bytes_that_are_no_text_trap_nothing_wherever_they_stand() {
    let edge = edge("form");
    for name in ["origin", "user-agent", "cookie", "authorization", "x-forwarded-for", "via", "x"] {
        let opened = edge.opens(&upgrade().with(name, b"a\x80\xff\xfe\xc3(b"));
        assert!(opened.head.has(name), "{name}");
    }
    // They stand in events with what is no text replaced.
    let request = upgrade().with("origin", b"a\x80\xff(b").with("sec-websocket-accept", "x");
    let request = edge.marked(&request);
    let (_, answer) = Client::ask(edge.address, &request);
    assert_eq!(answer.status, 400);
    let event = edge.refusal(&request, "handshake_malformed");
    assert_eq!(event["origin"], "a\u{fffd}\u{fffd}(b");
}

#[test]
fn a_connection_header_cannot_name_what_upstream_must_get() {
    let edge = edge("form");
    for (sent, seen) in [
        ("upgrade, x-user-id", "Upgrade"),
        ("upgrade, close", "Upgrade"),
        ("sec-websocket-key, Upgrade", "Upgrade"),
        ("keep-alive, upgrade", "keep-alive, upgrade"),
    ] {
        let opened = edge.opens(&upgrade().set("connection", sent));
        assert_eq!(opened.head.all("connection"), [seen]);
    }
    let lines = upgrade().set("connection", "keep-alive").with("connection", "cookie, upgrade");
    assert_eq!(edge.opens(&lines).head.all("connection"), ["Upgrade"]);
}
