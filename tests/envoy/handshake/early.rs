//! Bytes that come too soon, or behind a refusal: they are for nobody.

use super::edge;
use crate::client::{Client, Request, text};
use crate::edge::{Edge, Site, first_close, shown};
use crate::support::wait_for;
use crate::upstream::{Script, frames};
use serde_json::{Value, json};

pub(super) fn sites() -> Vec<Site> {
    let document = json!({"policies": [
        {"name": "early", "match": {"paths": ["/ws"]}},
        {"name": "closed", "match": {"paths": ["/closed"]},
         "handshake": {"origins": ["https://app.example.com"], "refuse_with": "close"}},
    ]});
    // What a client sends once upstream has its request comes before this 101.
    vec![Site::before(Script::Late, "late", document.clone()), Site::new("early", document)]
}

fn told(edge: &Edge, request: &Request) -> Value {
    let event = edge.refusal(request, "protocol_error");
    assert_eq!((&event["direction"], &event["policy"]), (&json!("client"), &json!("early")));
    assert!(event["detail"].as_str().unwrap().contains("before the 101"), "{event}");
    event
}

/// The answer opens the WebSocket and closes it, and nothing follows.
fn closed(client: &mut Client) {
    let answer = client.answer();
    assert_eq!(answer.status, 101);
    assert_eq!(first_close(client, &answer), (1002, "protocol_error".to_owned()));
    assert!(client.ends(), "upstream's 101 does not follow");
}

#[test]
fn bytes_before_the_101_never_reach_upstream() {
    let edge = edge("late");
    let request = edge.marked_as_passing(&Request::upgrade("/ws"));
    let mut client = Client::connect(edge.address);
    client.send(&request.bytes());
    wait_for("upstream to have the request", || edge.seen(&request));
    client.send(&text("too early"));
    told(&edge, &request);
    closed(&mut client);
    let seen =
        wait_for("upstream's connection to end", || edge.seen(&request).filter(|seen| seen.ended));
    assert_eq!(seen.bytes, b"");
}

#[test]
fn bytes_behind_the_upgrade_in_one_segment_never_reach_upstream() {
    let edge = edge("late");
    let upgrade = Request::upgrade("/ws");
    let chunked = upgrade.clone().with("transfer-encoding", "chunked");
    let mut waiting = Vec::new();
    for (request, bytes) in [
        (&upgrade, text("too early")),
        (&upgrade, upgrade.bytes()),
        (&upgrade, Request::plain("/secret").bytes()),
        (&upgrade, b"\0".to_vec()),
        (&chunked, b"5\r\nhello\r\n0\r\n\r\n".to_vec()),
    ] {
        let request = edge.marked(request);
        let mut client = Client::connect(edge.address);
        client.send(&[request.bytes(), bytes].concat());
        waiting.push((client, request));
    }
    for (mut client, request) in waiting {
        closed(&mut client);
        told(&edge, &request);
    }
    // Whether a request reached upstream before the bytes behind it were seen
    // is not certain, but none of those bytes did.
    assert!(edge.upstream.seen().iter().all(|seen| seen.bytes.is_empty()));
    assert!(!edge.upstream.seen().iter().any(|seen| seen.head.contains("/secret")));
    edge.passed_or_not();
}

#[test]
fn a_request_behind_a_refused_upgrade_is_for_nobody() {
    let edge = edge("early");
    let good = edge.marked(&Request::upgrade("/ws")).bytes();
    let mut refused = Vec::new();
    for request in [
        Request::upgrade("/other"),
        Request::upgrade("/closed"),
        Request::upgrade("/ws").without("sec-websocket-key"),
    ] {
        let request = edge.marked(&request);
        // In one segment with it, and once the refusal is there.
        let mut client = Client::connect(edge.address);
        client.send(&[request.bytes(), good.clone()].concat());
        let answer = client.answer();
        refused.push((client, answer, request.clone()));
        let mut client = Client::connect(edge.address);
        client.send(&request.bytes());
        let answer = client.answer();
        client.send(&good);
        refused.push((client, answer, request));
    }
    for (mut client, answer, request) in refused {
        if answer.status == 101 {
            assert_eq!(first_close(&mut client, &answer).0, 1008);
        }
        assert!(client.ends(), "more was answered to {}", shown(&request));
    }
}

#[test]
fn a_request_behind_an_accepted_upgrade_is_no_frame() {
    let edge = edge("early");
    let request = edge.marked_as_passing(&Request::upgrade("/ws"));
    let mut client = Client::open(edge.address, &request);
    client.send(&edge.marked(&Request::upgrade("/ws")).bytes());
    assert_eq!(client.frame().unwrap().close(), (1002, "protocol_error".to_owned()));
    let seen =
        wait_for("upstream's connection to end", || edge.seen(&request).filter(|seen| seen.ended));
    assert_eq!(frames(&seen.bytes), [(0x88, 1002u16.to_be_bytes().to_vec())]);
}
