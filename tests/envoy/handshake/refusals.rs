//! How a refusal is told: a problem document, or a WebSocket that opens and
//! closes at once.

use super::edge;
use crate::client::{ACCEPT, Client, Request};
use crate::edge::{Site, detail};
use serde_json::json;

pub(super) fn sites() -> Vec<Site> {
    vec![
        Site::new(
            "statuses",
            json!({"policies": [
                {"name": "open", "match": {"paths": ["/open"]}},
                {"name": "auth", "auth": {
                    "credentials": [{"header": "x-api-key"}],
                    "api_keys": [{"id": "dash", "key": {"env": "TEST_API_KEY"}}],
                }},
            ]}),
        ),
        Site::new(
            "closing",
            json!({"policies": [
                {"name": "tls", "match": {"paths": ["/tls"]},
                 "handshake": {"refuse_with": "close", "tls": "required"}},
                {"name": "away", "match": {"paths": ["/away"]},
                 "handshake": {"refuse_with": "close", "addresses": {"allow": ["10.0.0.0/8"]}}},
                {"name": "ws", "handshake": {
                    "refuse_with": "close",
                    "origins": ["https://app.example.com"], "missing_origin": "allow",
                    "user_agents_denied": ["sqlmap"], "subprotocols": ["chat"], "compression": "reject",
                }},
            ]}),
        ),
        Site::new(
            "closing-origin",
            json!({"policies": [{"name": "ws", "handshake": {
                "refuse_with": "close", "origins": ["https://app.example.com"],
            }}]}),
        ),
        Site::new(
            "closing-form",
            json!({"policies": [
                {"name": "redirect", "match": {"paths": ["/redirect"]},
                 "handshake": {"refuse_with": "close", "tls": "redirect"}},
                {"name": "ws", "match": {"paths": ["/ws"]}, "handshake": {"refuse_with": "close"}},
            ]}),
        ),
        Site::new(
            "secrets",
            json!({"policies": [{"name": "internal-name", "handshake": {
                "origins": ["https://app.example.com"], "missing_origin": "allow",
                "addresses": {"deny": ["10.9.0.0/16"]},
                "user_agents_denied": ["(?i)sqlmap|nikto"],
            }}]}),
        ),
    ]
}

const OFFER: &str = "sec-websocket-protocol";

#[test]
fn each_status_carries_the_header_that_it_asks_for() {
    let edge = edge("statuses");
    let missing = edge.refuses(&Request::upgrade("/ws"), 401, "credentials_missing");
    assert_eq!(missing.header("www-authenticate"), Some("Bearer realm=\"wsguard\""));
    let bad = Request::upgrade("/ws").with("x-api-key", "guess");
    let invalid = edge.refuses(&bad, 401, "credentials_invalid");
    assert_eq!(
        invalid.header("www-authenticate"),
        Some("Bearer realm=\"wsguard\", error=\"invalid_token\"")
    );
    let version = Request::upgrade("/open").set("sec-websocket-version", "8");
    let version = edge.refuses(&version, 426, "version_unsupported");
    assert_eq!(version.header("sec-websocket-version"), Some("13"));
    let plain = edge.refuses(&Request::plain("/open"), 426, "not_websocket");
    assert_eq!(plain.header("sec-websocket-version"), Some("13"));
}

#[test]
fn refuse_with_close_opens_and_closes_with_code_and_reason() {
    let edge = edge("closing");
    let ws = || Request::upgrade("/ws").with(OFFER, "chat");
    for (request, reason) in [
        (Request::upgrade("/tls"), "tls_required"),
        (Request::upgrade("/away"), "address_denied"),
        (ws().with("origin", "https://evil.example"), "origin_denied"),
        (ws().with("user-agent", "sqlmap"), "user_agent_denied"),
        (ws().set(OFFER, "mqtt"), "subprotocol_denied"),
        (Request::upgrade("/ws"), "subprotocol_denied"),
        (ws().with("sec-websocket-extensions", "permessage-deflate"), "compression_denied"),
    ] {
        let offered = request.headers.iter().find(|(name, _)| name == OFFER);
        let offered = offered.map(|(_, value)| String::from_utf8(value.clone()).unwrap());
        let (mut client, answer) = edge.closes(&request, 1008, reason);
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT));
        assert_eq!(answer.header("upgrade"), Some("websocket"));
        assert_eq!(answer.header("connection"), Some("Upgrade"));
        // A browser fails the connection when it offered some and none, or one
        // that it did not offer, is named: then its script would see 1006.
        assert_eq!(answer.header(OFFER), offered.as_deref());
        assert_eq!(answer.header("sec-websocket-extensions"), None);
        assert!(client.ends(), "nothing follows the Close");
    }
    edge.opens(&ws());
}

#[test]
fn refuse_with_close_answers_the_key_that_was_sent() {
    let edge = edge("closing-origin");
    // RFC 6455 §1.3 has the other; this one is of Wikipedia's article.
    let request = Request::upgrade("/ws")
        .set("sec-websocket-key", "x3JJHMbDL1EzLkh9GBhXDw==")
        .with(OFFER, "v2, v1");
    let (_, answer) = edge.closes(&request, 1008, "origin_denied");
    assert_eq!(answer.header("sec-websocket-accept"), Some("HSmrc0sMlYUkAGmm5OPpG2HaGWk="));
    assert_eq!(answer.header(OFFER), Some("v2"));
}

#[test]
fn what_no_websocket_can_be_opened_for_is_told_by_http() {
    let edge = edge("closing-form");
    let ws = || Request::upgrade("/ws");
    edge.refuses(&ws().without("sec-websocket-key"), 400, "handshake_malformed");
    edge.refuses(&ws().set("sec-websocket-key", "short"), 400, "handshake_malformed");
    edge.refuses(&ws().set("sec-websocket-version", "8"), 426, "version_unsupported");
    edge.refuses(&Request::plain("/ws"), 426, "not_websocket");
    edge.refuses(&Request::upgrade("/ws/%2e%2e/x"), 403, "no_policy");
    let redirected = edge.marked(&Request::upgrade("/redirect"));
    let (_, answer) = Client::ask(edge.address, &redirected);
    assert_eq!(answer.status, 308);
}

#[test]
fn a_refusal_says_nothing_of_rules_and_other_clients() {
    let edge = edge("secrets");
    for (request, reason) in [
        (Request::upgrade("/ws").with("origin", "https://evil.example"), "origin_denied"),
        (Request::upgrade("/ws").with("user-agent", "x sqlmap y"), "user_agent_denied"),
    ] {
        let answer = edge.refuses(&request, 403, reason);
        for secret in ["app.example.com", "10.9", "nikto", "sqlmap", "internal-name", "127.0.0.1"] {
            assert!(!detail(&answer).contains(secret), "{secret}: {answer:?}");
            assert!(!answer.head.contains(secret), "{secret}: {answer:?}");
        }
    }
}
