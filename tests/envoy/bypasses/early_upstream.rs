//! Bytes of upstream's before the head of its answer. Envoy swallows interim
//! answers, but takes one with `Upgrade` for the beginning of the tunnel: what
//! follows reached the client as it was.

use crate::client::{Client, Request, text};
use crate::edge::first_close;
use crate::support::{Envoy, bootstrap_of, listener, stream_listener, wait_for};
use crate::upstream::each_request;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

const SWITCH: &str = "upgrade: websocket\r\nconnection: Upgrade\r\n";
const ACCEPT: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// What must not arrive.
const LEAK: &str = "LEAK<script>";

/// A head of this status, with the headers of an upgrade or without.
fn head(status: &str, lines: &str) -> String {
    format!("HTTP/1.1 {status}\r\n{lines}\r\n")
}

/// What upstream sends to a request for the path of this name, in segments.
fn answers() -> Vec<(&'static str, Vec<String>)> {
    let hints = head("103 Early Hints", SWITCH);
    let accepted = head("101 Switching Protocols", &format!("{SWITCH}{ACCEPT}"));
    let plain = head("103 Early Hints", "link: </a>\r\n");
    let ok = head("200 OK", "content-length: 12\r\n");
    let leak = || LEAK.to_owned();
    vec![
        ("hints", vec![hints.clone(), leak()]),
        ("hints-at-once", vec![format!("{hints}{LEAK}")]),
        ("continue", vec![head("100 Continue", SWITCH), leak()]),
        ("processing", vec![head("102 Processing", SWITCH), leak()]),
        ("resumption", vec![head("104 Upload Resumption Supported", SWITCH), leak()]),
        ("unknown", vec![head("199 X", SWITCH), leak()]),
        ("two", vec![hints.clone(), hints.clone(), leak()]),
        ("second", vec![plain.clone(), hints.clone(), leak()]),
        ("other", vec![head("103 X", "upgrade: other\r\nconnection: upgrade\r\n"), leak()]),
        ("then-accepted", vec![hints.clone(), accepted.clone(), leak()]),
        ("then-accepted-at-once", vec![format!("{hints}{accepted}\u{81}\u{1}a{LEAK}")]),
        ("then-ok", vec![hints.clone(), format!("{ok}{LEAK}")]),
        ("one-byte", vec![hints.clone(), "L".to_owned(), leak()]),
        ("with-accept", vec![head("103 X", &format!("{SWITCH}{ACCEPT}")), leak()]),
        ("no-head", vec![leak(), accepted.clone()]),
        ("empty-line", vec![format!("\r\n\r\n{LEAK}\r\n\r\n{accepted}")]),
        (
            "half-a-head",
            vec!["HTTP/1.1 103 X\r\nupgrade: web".to_owned(), format!("\n{LEAK}\r\n\r\n")],
        ),
        // These open.
        ("proper", vec![accepted.clone()]),
        ("plain-hints", vec![plain.clone(), plain.clone(), head("100 X", ""), accepted.clone()]),
    ]
}

/// What opens by the HTTP filter, and by the stream filter.
const GOOD: [&str; 2] = ["proper", "plain-hints"];

/// Answers as the path says.
fn upstream() -> SocketAddr {
    each_request(serve)
}

fn serve(request: String, mut stream: TcpStream) {
    stream.set_nodelay(true).unwrap();
    let path = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    let plain = (
        "plain",
        vec![
            head("103 X", "link: </a>\r\n"),
            format!("{}{LEAK}", head("200 OK", "content-length: 12\r\n")),
        ],
    );
    let answer = answers().into_iter().chain([plain]).find(|(name, _)| *name == path);
    for segment in answer.map(|(_, segments)| segments).unwrap_or_default() {
        // One byte for each character: some are no text.
        let bytes: Vec<u8> = segment.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
        if stream.write_all(&bytes).is_err() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
}

fn start() -> Envoy {
    let document = |mode: &str, filter: &str, handshake: Value| {
        json!({"filter": filter, "mode": mode,
            "policies": [{"name": "chat", "handshake": handshake}]})
    };
    let named = |name: &str, mut listener: Value| {
        listener["name"] = json!(name);
        listener
    };
    let plain = json!({"plain_http": "pass"});
    let listeners = [
        named("http", listener(&document("enforce", "http", plain))),
        named("close", listener(&document("enforce", "http", json!({"refuse_with": "close"})))),
        named("report", listener(&document("report", "http", json!({})))),
        named("stream", stream_listener(&document("enforce", "stream", json!({})))),
    ];
    Envoy::start(&bootstrap_of(&listeners, upstream()))
}

/// Every byte that comes until the connection ends.
fn all(client: &mut Client) -> String {
    let mut came = Vec::new();
    let _ = client.stream.read_to_end(&mut came);
    String::from_utf8_lossy(&came).into_owned()
}

fn ask(envoy: &Envoy, listener: &str, path: &str) -> Client {
    let mut client = Client::connect(envoy.listener(listener));
    client.send(&Request::upgrade(&format!("/{path}")).bytes());
    client
}

/// One event for each request for such a path.
fn refused(envoy: &Envoy, path: &str, kind: &str) -> Value {
    wait_for(&format!("{kind} of {path} in {}", envoy.log()), || {
        envoy.events().into_iter().find(|event| {
            event["event"] == kind
                && event["reason"] == "upstream_handshake"
                && event["path"] == format!("/{path}")
        })
    })
}

/// What Envoy itself finds wrong is answered by Envoy, and told nowhere.
const ENVOYS_OWN: [&str; 3] = ["no-head", "empty-line", "half-a-head"];

#[test]
fn nothing_reaches_a_client_before_upstreams_head() {
    let envoy = start();
    for (path, _) in answers().iter().filter(|(path, _)| !GOOD.contains(path)) {
        let mut client = ask(&envoy, "http", path);
        let answer = client.answer();
        assert!(!answer.head.contains("LEAK"), "{path}: {}", answer.head);
        assert!(answer.status >= 502, "{path}: {answer:?}");
        let body = String::from_utf8_lossy(&answer.body).into_owned();
        client.send(&text("into the tunnel"));
        let more = all(&mut client);
        assert!(!body.contains("LEAK") && !more.contains("LEAK"), "{path}: {body} {more}");
        if !ENVOYS_OWN.contains(path) {
            assert_eq!(answer.reason(), "upstream_handshake", "{path}: {body}");
            let event = refused(&envoy, path, "refused");
            assert_eq!(event["direction"], "server");
        }
    }
    envoy.assert_sound();
}

#[test]
fn a_browser_is_told_by_close() {
    let envoy = start();
    for path in ["hints", "then-accepted-at-once", "two"] {
        let mut client = ask(&envoy, "close", path);
        let answer = client.answer();
        assert_eq!(answer.status, 101, "{path}");
        assert_eq!(first_close(&mut client, &answer), (1011, "upstream_handshake".to_owned()));
        assert!(!all(&mut client).contains("LEAK"), "{path}");
    }
}

#[test]
fn before_tcp_proxy_the_connection_ends_without_a_byte() {
    let envoy = start();
    for (path, _) in answers().iter().filter(|(path, _)| !GOOD.contains(path)) {
        let mut client = ask(&envoy, "stream", path);
        assert_eq!(all(&mut client), "", "{path}");
        refused(&envoy, path, "refused");
    }
}

#[test]
fn interim_answers_without_an_upgrade_pass_as_before() {
    let envoy = start();
    for path in GOOD {
        let mut client = ask(&envoy, "http", path);
        assert_eq!(client.answer().status, 101, "{path}");
    }
    let (_, answer) = Client::ask(envoy.listener("http"), &Request::plain("/plain"));
    assert_eq!((answer.status, answer.body.as_slice()), (200, LEAK.as_bytes()));
}

#[test]
fn report_tells_and_lets_pass() {
    let envoy = start();
    for path in ["hints", "two", "then-accepted"] {
        let mut client = ask(&envoy, "report", path);
        refused(&envoy, path, "reported");
        let mut came = Vec::new();
        let mut byte = [0];
        while !came.ends_with(LEAK.as_bytes()) {
            client.stream.read_exact(&mut byte).unwrap();
            came.push(byte[0]);
        }
    }
}
