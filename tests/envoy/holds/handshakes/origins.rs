//! Origins that are no web origin: `*` refused them, and no list could name them.

use super::{edge, new_edge};
use crate::client::Request;
use crate::edge::Site;
use crate::support::{Envoy, bootstrap};
use serde_json::{Value, json};

/// Default values of real clients: TinyWebsockets, Electron, Cordova, browser extensions,
/// sandboxed frames.
const SENT: [&str; 9] = [
    "https://github.com/gilmaimon/TinyWebsockets",
    "null",
    "file://",
    "app://.",
    "app://-",
    "capacitor://localhost",
    "chrome-extension://kbfnbcaeplbcioakkpcpgfkobkghlhen",
    "http://192.0.2.1/",
    "localhost",
];

/// Those that a list can name.
const LISTED: [&str; 6] = [SENT[0], SENT[1], SENT[2], SENT[3], SENT[4], SENT[6]];

fn document(name: &str, origins: &[&str]) -> Value {
    json!({"policies": [{"name": name, "handshake": {"origins": origins}}]})
}

pub(super) fn sites() -> Vec<Site> {
    vec![
        Site::new("any-origin", document("any-origin", &["*"])),
        Site::new("web-origins", document("web-origins", &["https://github.com"])),
    ]
}

pub(super) fn new_sites() -> Vec<Site> {
    vec![Site::new("listed-origins", document("listed-origins", &LISTED))]
}

fn from(origin: &str) -> Request {
    Request::upgrade("/ws").with("origin", origin)
}

#[test]
fn a_star_is_any_one_value() {
    let edge = edge("any-origin");
    for origin in SENT {
        edge.opens(&from(origin));
    }
    edge.opens(&Request::upgrade("/ws").with("origin", b"app://\xff"));
    for origin in
        ["", "https://a.example, https://b.example", "https://a.example https://b.example"]
    {
        edge.refuses(&from(origin), 403, "origin_denied");
    }
    edge.refuses(&from("null").with("origin", "null"), 403, "origin_denied");
    edge.refuses(&Request::upgrade("/ws"), 403, "origin_denied");
}

#[test]
fn a_list_names_them_letter_by_letter() {
    let edge = new_edge("listed-origins");
    for origin in LISTED {
        edge.opens(&from(origin));
    }
    for origin in [
        "https://github.com",
        "https://github.com/gilmaimon/TinyWebsockets/",
        "https://github.com/gilmaimon/tinywebsockets",
        "NULL",
        "file:///",
        "app://..",
        "App://.",
        "chrome-extension://KBFNBCAEPLBCIOAKKPCPGFKOBKGHLHEN",
        "moz-extension://kbfnbcaeplbcioakkpcpgfkobkghlhen",
        "capacitor://localhost",
    ] {
        edge.refuses(&from(origin), 403, "origin_denied");
    }
}

#[test]
fn a_list_of_web_origins_names_no_other() {
    let edge = super::edge("web-origins");
    edge.opens(&from("https://github.com"));
    edge.opens(&from("HTTPS://GitHub.com:443"));
    for origin in SENT {
        edge.refuses(&from(origin), 403, "origin_denied");
    }
}

/// Every page can make a sandboxed frame, whose origin is `null`.
#[test]
fn null_does_not_go_with_cookies() {
    let mut document = document("chat", &["https://app.example.com", "null"]);
    document["policies"][0]["auth"] = json!({
        "credentials": [{"cookie": "session"}],
        "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
    });
    let log = Envoy::refuses(&bootstrap(&document, "127.0.0.1:1".parse().unwrap()));
    assert!(log.contains("policies[0].auth.credentials[0]: "), "{log}");
    assert!(log.contains("cross-site WebSocket hijacking"), "{log}");
}
