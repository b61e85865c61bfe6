//! What upstream answers to an upgrade, when it opens nothing.

use super::of_kind;
use crate::client::{Client, Request, text};
use crate::support::{Envoy, bootstrap_of, cluster, stream_listener, wait_for};
use crate::upstream::{Recorder, Script};
use serde_json::json;
use std::net::SocketAddr;

fn start(script: Script) -> (Recorder, Envoy) {
    let upstream = Recorder::start(script);
    let document = json!({"policies": [{"name": "chat"}]});
    let listener = stream_listener(&of_kind("stream", &document));
    let envoy = Envoy::start(&bootstrap_of(&[listener], upstream.address));
    (upstream, envoy)
}

#[test]
fn upstreams_own_refusal_passes_and_no_second_request_does() {
    let (upstream, envoy) = start(Script::Raw(
        b"HTTP/1.1 403 Forbidden\r\nconnection: keep-alive\r\ncontent-length: 6\r\n\r\nnobody",
    ));
    let (mut client, answer) = Client::ask(envoy.address(), &Request::upgrade("/ws"));
    assert_eq!((answer.status, answer.body.as_slice()), (403, &b"nobody"[..]));
    assert_eq!(answer.header("connection"), Some("close"));
    // It may be gone already; what counts is what upstream gets.
    let _ = std::io::Write::write_all(&mut client.stream, &Request::plain("/secret").bytes());
    assert!(client.ends());
    assert_eq!(upstream.ended().bytes, b"");
    assert_eq!(upstream.seen().len(), 1);
    assert_eq!(envoy.events().len(), 0, "it is no violation");
}

#[test]
fn an_answer_that_is_none_ends_the_connection() {
    let says = [
        (Script::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"), "neither 101"),
        (Script::Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"), "neither 101"),
        (
            Script::Raw(b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n"),
            "no Sec-WebSocket-Accept",
        ),
        (Script::AcceptWith("sec-websocket-extensions: permessage-deflate"), "extension"),
        (Script::AcceptWith("sec-websocket-protocol: chat"), "subprotocol"),
        (Script::Raw(b"220 smtp.example.com\r\n\r\n"), "can't be read"),
        (Script::Raw(b"HTTP/1.1 101 X\nupgrade: websocket\n\n"), "can't be read"),
    ];
    let document = of_kind("stream", &json!({"policies": [{"name": "chat"}]}));
    let mut bootstrap = bootstrap_of(&[], SocketAddr::from(([127, 0, 0, 1], 1)));
    let mut upstreams = Vec::new();
    for (index, (script, says)) in says.into_iter().enumerate() {
        let upstream = Recorder::start(script);
        let name = format!("answer-{index}");
        let mut listener = stream_listener(&document);
        listener["name"] = json!(name);
        listener["filter_chains"][0]["filters"][1]["typed_config"]["cluster"] = json!(name);
        let mut behind = cluster(upstream.address);
        behind["name"] = json!(name);
        behind["load_assignment"]["cluster_name"] = json!(name);
        let resources = &mut bootstrap["static_resources"];
        resources["listeners"].as_array_mut().unwrap().push(listener);
        resources["clusters"].as_array_mut().unwrap().push(behind);
        upstreams.push((name, upstream, says));
    }
    let envoy = Envoy::start(&bootstrap);
    for (index, (name, upstream, says)) in upstreams.iter().enumerate() {
        let mut client = Client::connect(envoy.listener(name));
        client.send(&Request::upgrade("/ws").bytes());
        assert!(client.ends(), "{says}");
        let event = wait_for(&format!("{says} in {}", envoy.log()), || {
            envoy.events().into_iter().nth(index)
        });
        assert_eq!(
            (&event["event"], &event["reason"]),
            (&json!("refused"), &json!("upstream_handshake"))
        );
        assert!(event["detail"].as_str().unwrap().contains(says), "{event}");
        assert_eq!(upstream.ended().bytes, b"");
    }
}

#[test]
fn bytes_before_the_101_never_reach_upstream() {
    let (upstream, envoy) = start(Script::Late);
    let mut client = Client::connect(envoy.address());
    client.send(&Request::upgrade("/ws").bytes());
    wait_for("the upgrade", || upstream.seen().pop());
    client.send(&text("too early"));
    assert!(client.ends());
    assert_eq!(upstream.ended().bytes, b"");
    assert_eq!(envoy.event("refused", Some("protocol_error"))["policy"], "chat");
}
