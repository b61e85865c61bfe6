//! Where clients of others put their credential: behind a prefix of a subprotocol
//! (Kubernetes, OpenAI Realtime), in Basic (OCPP chargers), and behind a marker in any letter
//! case and at any place of the offer.

use super::{edge, new_edge};
use crate::client::Request;
use crate::credentials::{good_token, issuer};
use crate::edge::{Edge, Site};
use crate::peers::{node, peer};
use crate::support::{python, tied};
use crate::upstream::Script;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use std::process::Command;

const OFFER: &str = "sec-websocket-protocol";
const KUBERNETES: &str = "base64url.bearer.authorization.k8s.io.";
const OPENAI: &str = "openai-insecure-api-key.";
const KEY: &str = crate::TEST_API_KEY;

fn document(name: &str, credentials: &Value, more: &Value) -> Value {
    let mut policy = json!({
        "name": name,
        "auth": {
            "credentials": credentials,
            "jwt": [issuer()],
            "api_keys": [{"id": "CP-1", "key": {"env": "TEST_API_KEY"}}],
            "identity_headers": {"x-user-id": "sub"},
        },
    });
    for (key, value) in more.as_object().unwrap() {
        policy[key] = value.clone();
    }
    json!({"policies": [policy]})
}

pub(super) fn sites() -> Vec<Site> {
    let marker = json!([{"header": "authorization"}, {"subprotocol": "bearer"}]);
    vec![Site::new("marker", document("marker", &marker, &json!({})))]
}

pub(super) fn new_sites() -> Vec<Site> {
    let all = json!([
        {"header": "authorization"},
        {"header": "authorization", "scheme": "basic"},
        {"subprotocol": "bearer"},
        {"subprotocol_prefix": KUBERNETES, "encoding": "base64url"},
        {"subprotocol_prefix": OPENAI},
    ]);
    let says = |line| Script::AcceptSaying(line, b"\x81\x05hello");
    let picks = says("sec-websocket-protocol: v4.channel.k8s.io");
    let charging = says("sec-websocket-protocol: ocpp1.6");
    let basic = json!([{"header": "authorization", "scheme": "basic"}]);
    let listed = json!({"handshake": {"subprotocols": ["ocpp1.6", "ocpp2.0.1"]}});
    let mut forwarding = document("forwarded-places", &all, &json!({}));
    forwarding["policies"][0]["auth"]["forward"] = json!(true);
    let close = json!({"handshake": {"refuse_with": "close"}});
    vec![
        Site::new("all-places", document("all-places", &all, &json!({}))),
        Site::before(picks, "kubernetes", document("kubernetes", &all, &json!({}))),
        Site::before(charging, "charging", document("charging", &basic, &listed)),
        Site::new("forwarded-places", forwarding),
        Site::new("closed-places", document("closed-places", &all, &close)),
    ]
}

fn base64url(text: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(text)
}

fn basic(pair: &str) -> Request {
    let value = format!("Basic {}", BASE64_STANDARD.encode(pair));
    Request::upgrade("/ws").with("authorization", value)
}

fn offering(entries: &str) -> Request {
    Request::upgrade("/ws").with(OFFER, entries)
}

#[test]
fn the_marker_stands_anywhere_in_any_letter_case_and_is_named_as_it_was_written() {
    let edge = edge("marker");
    let token = good_token();
    for (offer, left, named) in [
        (format!("bearer, {token}"), None, "bearer"),
        (format!("Bearer, {token}"), None, "Bearer"),
        (format!("chat, BEARER, {token}"), Some("chat"), "BEARER"),
        (format!("v1, bearer, {token}, v2"), Some("v1, v2"), "bearer"),
    ] {
        let opened = edge.opens(&offering(&offer));
        assert_eq!(opened.head.all(OFFER), left.as_slice(), "{offer}");
        assert_eq!(opened.answer.header(OFFER), Some(named), "{offer}");
        assert!(!opened.head.mentions(&token));
    }
    for offer in
        ["Bearer".to_owned(), "chat, BEARER".to_owned(), format!("bearer, {token}, Bearer, x")]
    {
        edge.refuses(&offering(&offer), 401, "credentials_invalid");
    }
    edge.refuses(&offering(&format!("bearers, {token}")), 401, "credentials_missing");
}

#[test]
fn a_header_of_another_scheme_holds_no_credential() {
    let edge = edge("marker");
    let token = good_token();
    let basic = || Request::upgrade("/ws").with("authorization", "Basic YTpi");
    let answer = edge.refuses(&basic(), 401, "credentials_missing");
    assert_eq!(answer.header("www-authenticate"), Some("Bearer realm=\"wsguard\""));
    let opened = edge.opens(&basic().with(OFFER, format!("bearer, {token}")));
    assert!(!opened.head.has("authorization"), "a listed place is stripped");
    let malformed = Request::upgrade("/ws").with("authorization", "Bearer");
    edge.refuses(&malformed.with(OFFER, format!("bearer, {token}")), 401, "credentials_invalid");
}

#[test]
fn a_token_behind_a_prefix_is_read_and_gone_from_what_upstream_sees() {
    let edge = new_edge("all-places");
    let token = good_token();
    for (offer, left, user) in [
        (
            format!("v4.channel.k8s.io, {KUBERNETES}{}", base64url(&token)),
            "v4.channel.k8s.io",
            "alice",
        ),
        (format!("{KUBERNETES}{}, v5", base64url(KEY)), "v5", "key:CP-1"),
        (
            format!("realtime, {OPENAI}{KEY}, openai-beta.realtime-v1"),
            "realtime, openai-beta.realtime-v1",
            "key:CP-1",
        ),
        (format!("realtime, OpenAI-Insecure-API-Key.{KEY}"), "realtime", "key:CP-1"),
        (format!("{OPENAI}{token}"), "", "alice"),
    ] {
        let opened = edge.opens(&offering(&offer));
        assert_eq!(opened.head.all("x-user-id"), [user], "{offer}");
        assert_eq!(opened.head.all(OFFER).concat(), left, "{offer}");
        assert!(!opened.head.mentions(KEY) && !opened.head.mentions(&token));
        assert_eq!(opened.answer.header(OFFER), None, "the token would stand in it");
    }
    for offer in [
        KUBERNETES.to_owned(),
        format!("{KUBERNETES}{}", base64url("guess")),
        format!("{KUBERNETES}{token}"),
        format!("{KUBERNETES}a+b"),
        format!("{OPENAI}{}", base64url(KEY)),
        OPENAI.to_owned(),
        format!("{OPENAI}{KEY}, OPENAI-insecure-api-key.{KEY}"),
        format!("chat, Bearer, {OPENAI}{KEY}"),
    ] {
        edge.refuses(&offering(&offer), 401, "credentials_invalid");
    }
    edge.refuses(&offering("x-openai-insecure-api-key.a"), 401, "credentials_missing");
}

#[test]
fn basic_is_an_api_keys_id_and_the_key() {
    let edge = new_edge("all-places");
    let opened = edge.opens(&basic(&format!("CP-1:{KEY}")));
    assert_eq!(opened.head.all("x-user-id"), ["key:CP-1"]);
    assert!(!opened.head.has("authorization"));
    for pair in [
        format!("CP-2:{KEY}"),
        format!("cp-1:{KEY}"),
        format!(":{KEY}"),
        "CP-1:guess-of-some-length".to_owned(),
        "CP-1:".to_owned(),
        KEY.to_owned(),
        format!("alice:{}", good_token()),
    ] {
        let answer = edge.refuses(&basic(&pair), 401, "credentials_invalid");
        let named = answer.header("www-authenticate").unwrap();
        assert!(named.contains("Bearer realm=") && named.contains("Basic realm="), "{named}");
    }
    let twice = basic(&format!("CP-1:{KEY}")).with("authorization", format!("Bearer {KEY}"));
    edge.refuses(&twice, 401, "credentials_invalid");
    let missing = new_edge("charging").refuses(&offering("ocpp1.6"), 401, "credentials_missing");
    let challenge = "Basic realm=\"wsguard\", charset=\"UTF-8\"";
    assert_eq!(missing.header("www-authenticate"), Some(challenge));
}

#[test]
fn with_forward_upstream_sees_them_as_they_were_sent() {
    let edge = new_edge("forwarded-places");
    let offer = format!("realtime, {OPENAI}{KEY}");
    let opened = edge.opens(&offering(&offer));
    assert_eq!(opened.head.all(OFFER), [offer]);
    assert_eq!(opened.answer.header(OFFER), None);
    let request = basic(&format!("CP-1:{KEY}"));
    let sent = String::from_utf8(request.headers.last().unwrap().1.clone()).unwrap();
    assert_eq!(edge.opens(&request).head.all("authorization"), [sent]);
}

#[test]
fn a_refusal_by_close_names_no_subprotocol_that_holds_a_token() {
    let edge = new_edge("closed-places");
    let guess = base64url("guess");
    for (offer, named) in [
        (format!("{KUBERNETES}{guess}"), None),
        (format!("{KUBERNETES}{guess}, v4"), Some("v4")),
        (format!("{OPENAI}guess"), None),
        (format!("{OPENAI}guess, BEARER, x"), Some("BEARER")),
    ] {
        let (_, answer) = edge.closes(&offering(&offer), 1008, "credentials_invalid");
        assert_eq!(answer.header(OFFER), named, "{offer}");
    }
}

/// Runs tests/peers/connect.py or tests/peers/node/connect.js.
fn run(mut command: Command, edge: &Edge, user: &str, subprotocols: &[&str]) -> Value {
    command.arg(format!("ws://{user}{}/ws", edge.address));
    command.args(subprotocols.iter().map(|name| format!("subprotocol={name}")));
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"))
}

fn by_python(edge: &Edge, user: &str, subprotocols: &[&str]) -> Value {
    let mut command = tied(&python());
    command.arg(peer("connect.py"));
    run(command, edge, user, subprotocols)
}

fn by_node(edge: &Edge, user: &str, subprotocols: &[&str]) -> Value {
    let mut command = node();
    command.arg(peer("node/connect.js"));
    run(command, edge, user, subprotocols)
}

#[test]
fn libraries_of_others_open_with_kubectls_subprotocols_and_as_ocpp_chargers() {
    let kubernetes = new_edge("kubernetes");
    let prefixed = format!("{KUBERNETES}{}", base64url(&good_token()));
    let forged = format!("{KUBERNETES}{}", base64url("guess"));
    let charging = new_edge("charging");
    let charger = format!("CP-1:{KEY}@");
    for connect in [by_python, by_node] {
        let opened = connect(&kubernetes, "", &["v4.channel.k8s.io", &prefixed]);
        assert_eq!(opened["subprotocol"], "v4.channel.k8s.io", "{opened}");
        assert_eq!(opened["echo"], "hello", "{opened}");
        let refused = connect(&kubernetes, "", &["v4.channel.k8s.io", &forged]);
        assert_eq!(refused["status"], 401, "{refused}");

        let opened = connect(&charging, &charger, &["ocpp1.6"]);
        assert_eq!((&opened["subprotocol"], &opened["echo"]), (&json!("ocpp1.6"), &json!("hello")));
        for wrong in ["CP-1:guess@", "CP-2:an-api-key-of-tests@", ""] {
            let refused = connect(&charging, wrong, &["ocpp1.6"]);
            assert_eq!(refused["status"], 401, "{wrong} {refused}");
        }
    }
    kubernetes.passed_or_not();
    charging.passed_or_not();
    let heads: Vec<String> = kubernetes.upstream.seen().into_iter().map(|seen| seen.head).collect();
    assert_eq!(heads.len(), 2);
    assert!(heads.iter().all(|head| !head.contains(KUBERNETES)), "{heads:#?}");
    let heads: Vec<String> = charging.upstream.seen().into_iter().map(|seen| seen.head).collect();
    assert_eq!(heads.len(), 2);
    let told = |head: &String| head.contains("x-user-id: key:CP-1") && !head.contains("Basic");
    assert!(heads.iter().all(told), "{heads:#?}");
}
