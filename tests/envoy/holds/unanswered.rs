//! Handshakes that upstream never answers, where Envoy's route has no timeout, as those
//! of WebSockets often have: they held their places for ever.

use crate::client::{Client, Request};
use crate::edge::{detail, first_close};
use crate::frames::counter;
use crate::peers::peer;
use crate::support::{Envoy, bootstrap_of, listener, python, stream_listener, tied, wait_for};
use crate::upstream::{accepted, each_request};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// Of the policies here; a tick may come half a second later.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes that upstream sends for the path of each name before it falls silent.
const BEGINNINGS: [(&str, &str); 4] = [
    ("silent", ""),
    ("interim", "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"),
    ("two", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n"),
    ("half", "HTTP/1.1 101 Switching Protocols\r\nupgrade: websock"),
];

fn named(name: &str, mut listener: Value) -> Value {
    listener["name"] = json!(name);
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    if manager.get("upgrade_configs").is_some() {
        manager["http2_protocol_options"] = json!({"allow_connect": true});
    }
    listener
}

/// With a place for one connection.
fn document(filter: &str, name: &str, handshake: &Value) -> Value {
    let mut handshake = handshake.clone();
    handshake["upstream_timeout"] = json!(format!("{}s", TIMEOUT.as_secs()));
    json!({"filter": filter, "policies": [{
        "name": name, "handshake": handshake, "quotas": {"connections": {"total": 1}},
    }]})
}

/// Envoy, and a line for each request whose upstream connection has ended.
fn start() -> (Envoy, Receiver<String>) {
    let (tell, told) = channel();
    let upstream = each_request(move |head, stream| serve(&head, stream, &tell));
    let mut report = document("http", "report", &json!({}));
    report["mode"] = json!("report");
    let mut routed = named("routed", listener(&document("http", "routed", &json!({}))));
    let routes = "/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes/0";
    routed.pointer_mut(routes).unwrap()["route"]["timeout"] = json!("0.2s");
    let close = json!({"refuse_with": "close"});
    let listeners = [
        named("http", listener(&document("http", "http", &json!({})))),
        named("close", listener(&document("http", "close", &close))),
        named("stream", stream_listener(&document("stream", "stream", &json!({})))),
        named("report", listener(&report)),
        routed,
    ];
    (Envoy::start(&bootstrap_of(&listeners, upstream)), told)
}

/// Answers `/late` after more than its time, and all else never.
fn serve(head: &str, mut stream: TcpStream, tell: &Sender<String>) {
    let path = head.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
    if path == "late" {
        std::thread::sleep(TIMEOUT * 2);
        let _ = stream.write_all(accepted(head, "").as_bytes());
    }
    let beginning = BEGINNINGS.iter().find(|(name, _)| *name == path);
    let _ = stream.write_all(beginning.map_or("", |(_, bytes)| bytes).as_bytes());
    let _ = stream.read_to_end(&mut Vec::new());
    let _ = tell.send(path);
}

fn send(envoy: &Envoy, listener: &str, path: &str) -> Client {
    let mut client = Client::connect(envoy.listener(listener));
    client.send(&Request::upgrade(&format!("/{path}")).bytes());
    client
}

/// Returns the number of connections that hold a place under this policy.
fn places(envoy: &Envoy, policy: &str) -> usize {
    counter(envoy, &format!(r#"wsguard_connections{{policy="{policy}"}}"#))
}

fn are_free(envoy: &Envoy, policy: &str) {
    wait_for("its place to be free", || (places(envoy, policy) == 0).then_some(()));
}

#[test]
fn a_client_is_told_and_its_place_is_free() {
    let (envoy, ended) = start();
    for (path, _) in BEGINNINGS {
        let mut client = send(&envoy, "http", path);
        wait_for("it to have its place", || (places(&envoy, "http") == 1).then_some(()));
        let (_, full) = Client::ask(envoy.listener("http"), &Request::upgrade("/silent"));
        assert_eq!((full.status, full.reason().as_str()), (503, "connections_total"), "{path}");
        let answer = client.answer();
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_handshake"));
        assert_eq!(detail(&answer), "upstream did not answer the upgrade within 2s");
        assert_eq!(ended.recv().unwrap(), path, "nobody waits for upstream any more");
        are_free(&envoy, "http");
    }
    let events = envoy.events();
    let told = events.iter().filter(|e| e["reason"] == "upstream_handshake");
    assert_eq!(told.count(), BEGINNINGS.len(), "{events:?}");
    let first = envoy.event("refused", Some("upstream_handshake"));
    assert_eq!((&first["direction"], &first["policy"]), (&json!("server"), &json!("http")));
}

#[test]
fn a_browser_is_told_by_close() {
    let (envoy, ended) = start();
    let mut client = send(&envoy, "close", "silent");
    let answer = client.answer();
    assert_eq!(answer.status, 101);
    assert_eq!(first_close(&mut client, &answer), (1011, "upstream_handshake".to_owned()));
    assert_eq!(ended.recv().unwrap(), "silent");
    are_free(&envoy, "close");
}

#[test]
fn a_client_over_http2_is_told() {
    let (envoy, ended) = start();
    for (listener, status) in [("http", "502"), ("close", "200")] {
        let port = envoy.listener(listener).port().to_string();
        let mut command = tied(&python());
        command.arg(peer("http2.py")).args(["connect", &port, "hello"]).stdout(Stdio::piped());
        let output = command.spawn().unwrap().wait_with_output().unwrap();
        let saw: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(saw["answer"][":status"], status, "{saw}");
        if listener == "close" {
            assert_eq!(
                (&saw["code"], &saw["reason"]),
                (&json!(1011), &json!("upstream_handshake"))
            );
        }
        assert_eq!(ended.recv().unwrap(), "ws");
        are_free(&envoy, listener);
    }
}

#[test]
fn before_tcp_proxy_the_connection_ends() {
    let (envoy, ended) = start();
    for path in ["silent", "half"] {
        let mut client = send(&envoy, "stream", path);
        wait_for("it to have its place", || (places(&envoy, "stream") == 1).then_some(()));
        assert!(send(&envoy, "stream", path).ends(), "there is one place");
        assert!(client.ends(), "{path}");
        assert_eq!(ended.recv().unwrap(), path);
        are_free(&envoy, "stream");
    }
    let event = envoy.event("refused", Some("upstream_handshake"));
    assert_eq!(event["policy"], "stream");
}

#[test]
fn a_shorter_timeout_of_the_route_answers_first() {
    let (envoy, _ended) = start();
    let (_, answer) = Client::ask(envoy.listener("routed"), &Request::upgrade("/silent"));
    assert_eq!((answer.status, answer.reason().as_str()), (504, ""));
    are_free(&envoy, "routed");
    assert!(envoy.events().is_empty());
}

#[test]
fn report_tells_and_lets_the_late_answer_open() {
    let (envoy, _ended) = start();
    let mut client = send(&envoy, "report", "late");
    let event = envoy.event("reported", Some("upstream_handshake"));
    assert_eq!(event["detail"], "upstream did not answer the upgrade within 2s");
    assert_eq!(client.answer().status, 101);
    envoy.event("opened", None);
}
