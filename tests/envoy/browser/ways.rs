//! How a page says who its user is, and what it sees of a refusal.

use super::{Browser, Pages};
use crate::TEST_API_KEY;
use crate::peers::Echo;
use crate::support::{Envoy, bootstrap_of, listener};
use crate::upstream::{Recorder, Script};
use serde_json::{Value, json};
use std::net::SocketAddr;

const APP: &str = "app.localhost";
const WRONG: &str = "a-wrong-key-of-mallory";

/// The ways that a page has, by the names of the listeners that take them.
const WAYS: [&str; 4] = ["cookie", "subprotocol", "query", "first"];

/// A listener for each, which refuses with `refuse_with`.
fn start(pages: &Pages, refuse_with: &str, upstream: SocketAddr) -> Envoy {
    let ack = r#"{"type":"ready"}"#;
    let credentials = [
        json!({"cookie": "session"}),
        json!({"subprotocol": "bearer"}),
        json!({"query": "token"}),
        json!({"first_message": {"pointer": "/token", "when": {"/type": "auth"}, "ack": ack}}),
    ];
    let listeners: Vec<Value> = WAYS
        .iter()
        .zip(credentials)
        .map(|(name, credential)| {
            let mut listener = listener(&json!({"policies": [{
                "name": name,
                "handshake": {"origins": [pages.origin(APP)], "refuse_with": refuse_with},
                "auth": {
                    "credentials": [credential],
                    "api_keys": [{"id": "page", "key": {"env": "TEST_API_KEY"}}],
                },
                "lifetime": {"push": true},
            }]}));
            listener["name"] = json!(name);
            listener
        })
        .collect();
    Envoy::start(&bootstrap_of(&listeners, upstream))
}

/// Where and with which subprotocols a page connects that has this key, and what
/// it says first. That of the cookie is sent by the browser.
fn attempt(envoy: &Envoy, way: &str, key: &str) -> (String, Value, Vec<String>) {
    let url = format!("ws://{APP}:{}/ws", envoy.listener(way).port());
    match way {
        "subprotocol" => (url, json!(["bearer", key]), vec![]),
        "query" => (format!("{url}?token={key}"), json!([]), vec![]),
        "first" => {
            let first = json!({"type": "auth", "token": key});
            (url, json!([]), vec![format!("say:{first}")])
        }
        _ => (url, json!([]), vec![]),
    }
}

/// What the page sees of a connection in each way.
fn talk(browser: &Browser, envoy: &Envoy, key: &str) -> Vec<super::Saw> {
    let attempts: Vec<_> = WAYS.iter().map(|way| attempt(envoy, way, key)).collect();
    let steps: Vec<Vec<&str>> = attempts
        .iter()
        .map(|(_, _, first)| first.iter().map(String::as_str).chain(["say:hello"]).collect())
        .collect();
    let sockets: Vec<_> = attempts
        .iter()
        .zip(&steps)
        .map(|((url, protocols, _), steps)| (url.clone(), protocols.clone(), steps.as_slice()))
        .collect();
    browser.talk(&sockets)
}

fn login(pages: &Pages, key: &str) -> String {
    pages.login(APP, &format!("session={key}; HttpOnly; SameSite=Lax"))
}

#[test]
fn a_page_opens_and_converses_in_each_way_that_it_has() {
    let (pages, echo, browser) = (Pages::start(), Echo::start(), Browser::start());
    let envoy = start(&pages, "http", echo.address);
    browser.open(&login(&pages, TEST_API_KEY));
    assert_eq!(browser.run("return document.cookie;", json!(null)), "", "no script can read it");
    let mut sent_along = 0;
    for (way, saw) in WAYS.iter().zip(talk(&browser, &envoy, TEST_API_KEY)) {
        let ready = (*way == "first").then_some(r#"{"type":"ready"}"#);
        let expected: Vec<_> = ready.into_iter().chain(["hello"]).collect();
        assert_eq!((saw.messages(), saw.close()), (expected, (1000, "done")), "{way}");
        // A browser takes no connection that picks none of those it offered.
        let picked = if *way == "subprotocol" { "bearer" } else { "" };
        assert_eq!(saw.opened(), Some(picked), "{way}");
        let mut upstream = echo.ended();
        assert_eq!(upstream["messages"], 1, "{way}");
        // The browser sends the cookie to all of them, and one looks for it.
        sent_along +=
            u8::from(upstream["headers"].as_object_mut().unwrap().remove("cookie").is_some());
        assert!(!upstream.to_string().contains(TEST_API_KEY), "{upstream}");
    }
    assert_eq!(sent_along, 3);
}

#[test]
fn a_page_with_a_wrong_key_sees_1008_and_why_where_it_can_be_told() {
    let pages = Pages::start();
    let browser = Browser::start();
    browser.open(&login(&pages, WRONG));
    for (refuse_with, told) in [("close", (1008, "credentials_invalid")), ("http", (1006, ""))] {
        let upstream = Recorder::start(Script::Accept(Vec::new()));
        let envoy = start(&pages, refuse_with, upstream.address);
        for (way, saw) in WAYS.iter().zip(talk(&browser, &envoy, WRONG)) {
            // Here the upgrade has been accepted before the key comes.
            let told = if *way == "first" { (1008, "credentials_invalid") } else { told };
            assert_eq!((saw.close(), saw.messages()), (told, vec![]), "{way}, {refuse_with}");
            assert_eq!(saw.opened().is_some(), told.0 == 1008, "{way}, {refuse_with}");
        }
        let seen = upstream.seen();
        assert_eq!(seen.len(), 1, "only the upgrade that a first message was to follow");
        let sent = crate::upstream::frames(&upstream.ended().bytes);
        assert!(sent.iter().all(|(first, _)| *first == 0x88), "{sent:?}");
        assert!(!envoy.log().contains(WRONG));
    }
}

#[test]
fn a_browser_answers_heartbeats_by_itself() {
    let (pages, echo, browser) = (Pages::start(), Echo::start(), Browser::start());
    let policy = json!({"name": "beats", "lifetime": {"heartbeat": "4s", "push": true}});
    let envoy =
        Envoy::start(&bootstrap_of(&[listener(&json!({"policies": [policy]}))], echo.address));
    browser.open(&pages.page(APP));
    let url = format!("ws://{APP}:{}/ws", envoy.address().port());
    // Longer than the two that a client may miss.
    let saw = browser.talk(&[(url, json!([]), &["wait:15000", "say:hello"])]);
    assert_eq!((saw[0].messages(), saw[0].close()), (vec!["hello"], (1000, "done")));
    let ended = echo.ended();
    assert_eq!((&ended["messages"], &ended["pongs"]), (&json!(1), &json!(0)));
}
