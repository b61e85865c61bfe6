//! WebSockets over HTTP/2 (RFC 8441) to upstream: there is no key and no accept
//! there, and an HTTP/1.1 client gets the accept that it needs all the same.

use super::support::{Envoy, bootstrap_of, listener, python, tied, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Lines};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// An echo server that speaks HTTP/2 and nothing else; it ends with the test.
struct Echo {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    address: SocketAddr,
}

impl Echo {
    fn start() -> Self {
        let mut child = tied(&python())
            .arg(peer("http2.py"))
            .arg("serve")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().unwrap().unwrap().parse().unwrap();
        Self { child, lines, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// The request of the WebSocket that ended next, and the Close it ended with.
    fn ended(&mut self) -> (Vec<(String, String)>, u64) {
        let seen: Value = self.lines.next().unwrap().unwrap().parse().unwrap();
        let head = serde_json::from_value(seen["head"].clone()).unwrap();
        (head, seen["code"].as_u64().unwrap())
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Envoy with HTTP/2 on both sides; an HTTP/1.1 client may come too.
fn edge(mode: &str, upstream: SocketAddr) -> Envoy {
    let document = json!({"mode": mode, "policies": [{
        "name": "chat",
        "handshake": {"upstream": "http2"},
        "client": {"rules": [{"name": "no-scripts", "pattern": "<script", "action": "close"}]},
    }]});
    let mut listener = listener(&document);
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["http2_protocol_options"] = json!({"allow_connect": true});
    let mut bootstrap = bootstrap_of(&[listener], upstream);
    let options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    bootstrap["static_resources"]["clusters"][0]["typed_extension_protocol_options"] = json!({
        options: {
            "@type": format!("type.googleapis.com/{options}"),
            "explicit_http_config": {"http2_protocol_options": {"allow_connect": true}},
        },
    });
    Envoy::start(&bootstrap)
}

/// What a peer printed.
fn run(arguments: &[&str]) -> Value {
    let mut command = Command::new(python());
    let mut child = command
        .arg(peer(arguments[0]))
        .args(&arguments[1..])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let status = wait_for("the client to end", || child.try_wait().unwrap());
    let output = child.wait_with_output().unwrap();
    assert!(status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn header<'a>(head: &'a [(String, String)], name: &str) -> Option<&'a str> {
    head.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

#[test]
fn a_client_of_http1_converses_with_a_server_of_http2() {
    for mode in ["enforce", "report"] {
        let mut echo = Echo::start();
        let envoy = edge(mode, echo.address);
        let url = format!("ws://127.0.0.1:{}/ws", envoy.address().port());
        // It checks the accept, as every client does.
        let saw = run(&["connect.py", &url]);
        assert_eq!((&saw["echo"], &saw["code"]), (&json!("hello"), &json!(1000)), "{saw}");
        let (head, code) = echo.ended();
        assert_eq!(header(&head, ":protocol"), Some("websocket"));
        assert_eq!(header(&head, "sec-websocket-version"), Some("13"));
        let key = header(&head, "sec-websocket-key");
        assert_eq!(key.is_some(), mode == "report", "{mode} strips nothing else: {head:?}");
        assert_eq!(code, 1000);
        envoy.event("opened", None);
    }
}

#[test]
fn a_client_of_http2_converses_with_a_server_of_http2() {
    let mut echo = Echo::start();
    let envoy = edge("enforce", echo.address);
    let port = envoy.address().port().to_string();
    let saw = run(&["http2.py", "connect", &port, "hello"]);
    assert_eq!(saw["answer"][":status"], "200");
    assert_eq!(saw["answer"]["sec-websocket-accept"], Value::Null);
    assert_eq!((&saw["echo"], &saw["code"]), (&json!("hello"), &json!(4001)), "{saw}");
    let (head, code) = echo.ended();
    assert_eq!((header(&head, "sec-websocket-key"), code), (None, 4001));

    let saw = run(&["http2.py", "connect", &port, "a <script> b"]);
    assert_eq!((&saw["echo"], &saw["code"]), (&Value::Null, &json!(1008)), "{saw}");
    assert_eq!(saw["reason"], "rule_matched");
    assert_eq!(echo.ended().1, 1008);
}
