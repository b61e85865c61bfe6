//! The client for browsers, in Chromium.

use super::{APP, TEST_API_KEY, WRONG, at, example, plain_ways, start};
use crate::browser::{Browser, Pages};
use crate::credentials::{ISSUER, claims, jwks, mint, now};
use crate::peers::Echo;
use crate::support::Envoy;
use crate::upstream::{Recorder, Script};
use serde_json::{Value, json};

/// The client with its way's `dial`, before this Envoy.
fn client(way: &super::Way, envoy: &Envoy) -> Option<String> {
    let dial = example(way.heading, "js")?;
    let client = example("In a browser", "js").unwrap();
    let address = format!("{APP}:{}", envoy.listener(way.name).port());
    Some(at(&format!("{dial}\n{client}"), &address))
}

fn login(browser: &Browser, pages: &Pages, key: &str) {
    browser.open(&pages.login(APP, &format!("session={key}; HttpOnly; SameSite=Lax")));
}

/// The messages in a log.
fn shown(log: &Value) -> Vec<&str> {
    log.as_array().unwrap().iter().filter_map(|entry| entry["shown"].as_str()).collect()
}

/// The closes in a log.
fn closes(log: &Value) -> Vec<(u64, &str)> {
    let closes = log.as_array().unwrap().iter();
    closes.filter_map(|e| Some((e["code"].as_u64()?, e["reason"].as_str().unwrap()))).collect()
}

#[test]
fn the_client_converses_and_leaves_a_dead_line_in_every_way() {
    let (pages, echo, browser) = (Pages::start(), Echo::start(), Browser::start());
    let envoy = start(&pages.origin(APP), &json!({}), echo.address);
    login(&browser, &pages, TEST_API_KEY);
    let mut ran = 0;
    for way in plain_ways() {
        let Some(code) = client(way, &envoy) else { continue };
        let body = r#"
            const client = runClient(given.code, [given.key]);
            await client.until((entry) => entry.shown === "hello");
            client.pass(15);
            await client.until((entry) => entry.shown === '{"type":"ping"}');
            client.pass(46);
            await client.until((entry) => entry.shown === "hello", 2);
            return client.end();"#;
        let saw = browser.run(body, json!({"code": code, "key": TEST_API_KEY}));
        assert_eq!(saw["sockets"], 2, "{}: {saw}", way.name);
        assert_eq!(closes(&saw["log"]).len(), 1, "{}: {saw}", way.name);
        if way.name == "message" {
            assert!(shown(&saw["log"]).contains(&r#"{"type":"ready"}"#), "{saw}");
        }
        ran += 1;
    }
    assert_eq!(ran, 4);
}

#[test]
fn the_client_gives_up_where_its_key_is_wrong() {
    let (pages, browser) = (Pages::start(), Browser::start());
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = start(&pages.origin(APP), &json!({}), upstream.address);
    login(&browser, &pages, WRONG);
    for way in plain_ways() {
        let Some(code) = client(way, &envoy) else { continue };
        let body = "
            const client = runClient(given.code, [given.key]);
            await client.until((entry) => entry.code);
            return client.end();";
        let saw = browser.run(body, json!({"code": code, "key": WRONG}));
        let told = vec![(1008, "credentials_invalid")];
        assert_eq!((closes(&saw["log"]), &saw["sockets"]), (told, &json!(1)), "{}", way.name);
    }
}

/// Over an expired token, the longest time that a connection may last, and a rate
/// of handshakes: with a fresh token each time, and waits that double until a
/// message has come.
#[test]
fn the_client_comes_back_with_a_fresh_token_and_with_back_off() {
    let (pages, echo, browser) = (Pages::start(), Echo::start(), Browser::start());
    let more = json!({
        "auth": {"jwt": [{"issuer": ISSUER, "audiences": ["chat"], "algorithms": ["EdDSA"],
                          "keys": {"jwks": jwks()}}]},
        "lifetime": {"max": "4s", "push": true},
        "quotas": {"handshakes": {"per_ip": "2/25s"}},
    });
    let envoy = start(&pages.origin(APP), &more, echo.address);
    browser.open(&pages.page(APP));
    let way = plain_ways().find(|way| way.name == "subprotocol").unwrap();
    let code = client(way, &envoy).unwrap();
    let expired = mint(&json!({"claims": claims(&json!({"exp": now() - 3600}))}));
    let good = mint(&json!({"claims": claims(&json!({}))}));
    let body = r#"
        const client = runClient(given.code, given.tokens);
        await client.until((entry) => entry.shown === "hello", 2);
        return client.end();"#;
    let saw = browser.run(body, json!({"code": code, "tokens": [expired, good]}));
    let closes = closes(&saw["log"]);
    assert_eq!(closes[..2], [(1008, "credentials_expired"), (1001, "lifetime_exceeded")], "{saw}");
    assert!(closes.len() >= 3, "{saw}");
    assert!(closes[2..].iter().all(|close| *close == (1013, "handshake_rate")), "{saw}");
    assert_eq!(saw["tokens"], saw["sockets"], "a fresh token for each");
    let mut wait = 500.0;
    for entry in saw["log"].as_array().unwrap() {
        if entry["shown"].is_string() {
            wait = 500.0;
        } else if let Some(waited) = entry["wait"].as_f64() {
            assert!((wait * 0.5..wait * 1.5).contains(&waited), "{waited}: {saw}");
            wait = (wait * 2.0).min(30_000.0);
        }
    }
}
