//! Requests that are no upgrade, upgrades that no policy matches.

use super::edge;
use crate::client::{Client, Request};
use crate::edge::{Site, detail};
use crate::upstream::Script;
use serde_json::json;

pub(super) fn sites() -> Vec<Site> {
    let rejecting = json!({"policies": [
        {"name": "ws", "match": {"paths": ["/ws"]}, "handshake": {"plain_http": "reject"}},
        {"name": "both", "match": {"paths": ["/both"]}, "handshake": {"plain_http": "pass"}},
        {"name": "away", "match": {"paths": ["/away"]},
         "handshake": {"addresses": {"deny": ["127.0.0.1"]}}},
    ]});
    let passing = json!({
        "unmatched": "pass",
        "policies": [{"name": "ws", "match": {"paths": ["/ws"]},
                      "handshake": {"origins": ["https://app.example.com"]}}],
    });
    vec![
        Site::before(Script::Raw(OK), "plain", rejecting.clone()),
        Site::new("unmatched-rejected", rejecting),
        Site::new("unmatched-passed", passing.clone()),
        Site::before(Script::Raw(SWITCHES), "unasked", passing),
    ]
}

/// And what somebody before us would take for frames.
const SWITCHES: &[u8] = b"HTTP/1.1 101 X\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
    sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n\x81\x02hi";

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

#[test]
fn plain_requests_on_a_guarded_path_are_refused_or_passed_as_configured() {
    let edge = edge("plain");
    for method in ["GET", "POST", "DELETE", "OPTIONS", "PROPFIND"] {
        let line = format!("{method} /ws HTTP/1.1");
        let request = Request { line, ..Request::plain("/ws") };
        let answer = edge.refuses(&request, 426, "not_websocket");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"));
    }
    edge.refuses(&Request::plain("/away"), 403, "address_denied");
    for path in ["/both", "/nobody", "/nobody?token=x"] {
        let (_, answer, head) = edge.passes(&Request::plain(path).with("cookie", "a=b"));
        assert_eq!((answer.status, answer.body.as_slice()), (200, b"ok".as_slice()));
        assert_eq!((head.target(), head.all("cookie")), (path, vec!["a=b"]));
    }
}

#[test]
fn an_upgrade_that_no_policy_matches_is_refused() {
    let edge = edge("unmatched-rejected");
    let answer = edge.refuses(&Request::upgrade("/other"), 403, "no_policy");
    assert!(!answer.head.contains("/ws") && !detail(&answer).contains("/ws"));
    let request = edge.marked(&Request::upgrade("/other"));
    Client::ask(edge.address, &request);
    let event = edge.refusal(&request, "no_policy");
    assert_eq!((&event["policy"], event["path"].as_str()), (&json!(null), Some("/other")));
    edge.opens(&Request::upgrade("/ws"));
}

#[test]
fn an_upgrade_that_no_policy_matches_passes_where_that_is_configured() {
    let edge = edge("unmatched-passed");
    // Unguarded: not even its form is judged.
    let odd = Request::upgrade("/other//x").set("sec-websocket-key", "odd");
    assert_eq!(edge.opens(&odd).head.target(), "/other//x");
    edge.refuses(&Request::upgrade("//ws"), 403, "origin_denied");
    // A path without a normal form may be a guarded one to upstream.
    edge.refuses(&Request::upgrade("/x%2f..%2fws"), 400, "handshake_malformed");
}

#[test]
fn a_101_that_was_not_asked_for_is_no_answer_to_a_plain_request() {
    let edge = edge("unasked");
    let request = edge.marked_as_passing(&Request::plain("/page?x=1").with("origin", "null"));
    let (_, answer) = Client::ask(edge.address, &request);
    assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_handshake"));
    assert!(detail(&answer).contains("did not ask for an upgrade"));
    let event = edge.refusal(&request, "upstream_handshake");
    assert_eq!((&event["policy"], &event["path"]), (&json!(null), &json!("/page")));
    assert_eq!((&event["direction"], &event["origin"]), (&json!("server"), &json!("null")));
    // Who asks for one, and is let through unguarded, gets what upstream answers.
    edge.opens(&Request::upgrade("/other"));
}
