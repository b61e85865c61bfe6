//! Where a credential may stand, and that upstream doesn't see it.

use super::{edge, good_token, issuer};
use crate::TEST_API_KEY;
use crate::client::Request;
use crate::edge::{Opened, Site, detail};
use crate::upstream::Script;
use serde_json::{Value, json};

const OFFER: &str = "sec-websocket-protocol";

pub(super) fn sites() -> Vec<Site> {
    let document = |name: &str, forward: bool| {
        json!({"policies": [{
            "name": name,
            "handshake": {"origins": ["https://app.example.com"], "missing_origin": "allow"},
            "auth": auth(forward),
        }]})
    };
    let picks = Script::AcceptWith("sec-websocket-protocol: chat");
    let listed = json!({"policies": [{
        "name": "listed", "auth": auth(false),
        "handshake": {"origins": ["https://app.example.com"], "missing_origin": "allow",
                      "subprotocols": ["chat"]},
    }]});
    vec![
        Site::new("places", document("places", false)),
        Site::new("forwarding", document("forwarding", true)),
        Site::before(picks, "picking", document("picking", false)),
        Site::new("listed", listed),
    ]
}

fn auth(forward: bool) -> Value {
    json!({
        "credentials": [
            {"header": "authorization"}, {"header": "x-api-key"}, {"query": "token"},
            {"cookie": "session"}, {"subprotocol": "bearer"},
        ],
        "forward": forward,
        "jwt": [issuer()],
        "api_keys": [
            {"id": "dash", "key": {"env": "TEST_API_KEY"}},
            // SHA-256 of "another-key-of-tests".
            {"id": "hashed", "sha256": "18137d790529a8ea002a393f2cc28b7a3d24ea22d9671ee7bfe939a21e6145c0"},
        ],
        "identity_headers": {"x-user-id": "sub"},
    })
}

/// An upgrade with this credential, in each place that may hold it.
fn presented(token: &str) -> [(&'static str, Request); 8] {
    let ws = || Request::upgrade("/ws?a=1&b=2");
    let query = |query: &str| Request::upgrade(&format!("/ws?{query}"));
    [
        ("authorization", ws().with("authorization", format!("Bearer {token}"))),
        ("lower case scheme", ws().with("Authorization", format!("bearer  {token}"))),
        ("x-api-key", ws().with("x-api-key", token)),
        ("query", query(&format!("a=1&token={token}&b=2"))),
        ("encoded name", query(&format!("a=1&b=2&%74oken={token}"))),
        ("cookie", ws().with("cookie", format!("c=3; session={token}; d=4"))),
        ("cookies", ws().with("cookie", "c=3").with("cookie", format!("session={token};d=4"))),
        ("subprotocol", ws().with(OFFER, format!("chat, bearer, {token}"))),
    ]
}

fn assert_rest_is_there(place: &str, opened: &Opened) {
    assert_eq!(opened.head.target(), "/ws?a=1&b=2", "{place}");
    if place.starts_with("cookie") {
        assert_eq!(opened.head.all("cookie"), ["c=3; d=4"], "{place}");
    }
    if place == "subprotocol" {
        assert_eq!(opened.head.all(OFFER), ["chat"]);
    }
}

#[test]
fn a_credential_is_taken_in_each_place_and_gone_from_what_upstream_sees() {
    let edge = edge("places");
    let token = good_token();
    for (credential, user) in [(token.as_str(), "alice"), (TEST_API_KEY, "key:dash")] {
        for (place, request) in presented(credential) {
            let opened = edge.opens(&request);
            assert!(!opened.head.mentions(credential), "{place}: {:?}", opened.head);
            assert_eq!(opened.head.all("x-user-id"), [user], "{place}");
            assert_rest_is_there(place, &opened);
        }
    }
}

#[test]
fn a_place_that_held_nothing_else_is_gone_altogether() {
    let edge = edge("places");
    let token = good_token();
    let query = edge.opens(&Request::upgrade(&format!("//ws?token={token}"))).head;
    assert_eq!(query.target(), "/ws");
    let cookie = Request::upgrade("/ws").with("cookie", format!("session={token}"));
    assert!(!edge.opens(&cookie).head.has("cookie"));
    let offer = Request::upgrade("/ws").with(OFFER, format!("bearer, {token}"));
    assert!(!edge.opens(&offer).head.has(OFFER));
}

#[test]
fn every_listed_place_is_emptied_whichever_decided() {
    let edge = edge("places");
    let request = Request::upgrade("/ws?token=secret-1&%74oken=secret-2&a=1")
        .with("authorization", format!("Bearer {}", good_token()))
        .with("x-api-key", "secret-3")
        .with("x_api_key", "secret-4")
        .with("X_Api-Key", "secret-5")
        .with("x-api-key", "secret-6")
        .with("cookie", "session=secret-7; b=2; session=secret-8")
        .with("cookie", "session=\"secret-9\"")
        .with(OFFER, "v1, bearer, secret-10")
        .with(OFFER, "v2");
    let head = edge.opens(&request).head;
    assert!(!head.mentions("secret-"), "{head:?}");
    assert_eq!((head.target(), head.all("cookie")), ("/ws?a=1", vec!["b=2"]));
    assert_eq!(head.all(OFFER), ["v1, v2"]);
}

#[test]
fn with_forward_upstream_sees_it_as_it_was_sent() {
    let edge = edge("forwarding");
    let token = good_token();
    for (place, request) in presented(&token) {
        let head = edge.opens(&request).head;
        assert!(head.mentions(&token), "{place}: {head:?}");
        assert_eq!(head.target().as_bytes(), request.line.split(' ').nth(1).unwrap().as_bytes());
        for (name, value) in &request.headers {
            // Values are compared as sent; each line of them is still there.
            let value = String::from_utf8_lossy(value).into_owned();
            assert!(head.all(name).contains(&value.as_str()), "{place}: {name}: {head:?}");
        }
    }
}

#[test]
fn the_101_names_the_marker_where_upstream_picks_no_subprotocol() {
    let token = good_token();
    let offer = |names: &str| Request::upgrade("/ws").with(OFFER, names);
    let with_token = offer(&format!("chat, bearer, {token}"));
    let named = |site: &str, request: &Request| {
        edge(site).opens(request).answer.header(OFFER).map(str::to_owned)
    };
    assert_eq!(named("places", &with_token).as_deref(), Some("bearer"));
    assert_eq!(named("picking", &with_token).as_deref(), Some("chat"));
    assert_eq!(named("listed", &with_token).as_deref(), Some("bearer"));
    // Another place decided, but a browser that offered some wants one named.
    let both = with_token.with("authorization", format!("Bearer {token}"));
    assert_eq!(named("places", &both).as_deref(), Some("bearer"));
    let none = Request::upgrade("/ws").with("authorization", format!("Bearer {token}"));
    assert_eq!(named("places", &none), None);
    // Marker and token leave the offer before the list is asked.
    let only = offer(&format!("bearer, {token}"));
    edge("listed").refuses(&only, 400, "subprotocol_denied");
    let kept = edge("listed").opens(&offer(&format!("mqtt, chat, bearer, {token}")));
    assert_eq!(kept.head.all(OFFER), ["chat"]);
}

#[test]
fn the_first_listed_place_decides() {
    let edge = edge("places");
    let token = good_token();
    let cookie = format!("session={token}");
    let ws = || Request::upgrade("/ws");
    for request in [
        ws().with("authorization", "Bearer bad").with("x-api-key", TEST_API_KEY),
        ws().with("authorization", "").with("cookie", &cookie),
        ws().with("x-api-key", "").with("cookie", &cookie),
        ws().with("x-api-key", "bad").with(OFFER, format!("bearer, {token}")),
        Request::upgrade("/ws?token").with("cookie", &cookie),
        ws().with("cookie", "session=").with(OFFER, format!("bearer, {token}")),
    ] {
        edge.refuses(&request, 401, "credentials_invalid");
    }
    let good_first = ws().with("authorization", format!("Bearer {token}")).with("x-api-key", "bad");
    edge.opens(&good_first);
    // One of another scheme is none.
    edge.opens(&ws().with("authorization", "Basic YTpi").with("cookie", &cookie));
    edge.refuses(&ws(), 401, "credentials_missing");
    // Not a listed place.
    edge.refuses(&Request::upgrade(&format!("/ws?Token={token}")), 401, "credentials_missing");
    edge.refuses(&ws().with("x-token", &token), 401, "credentials_missing");
}

#[test]
fn two_credentials_in_one_place_are_refused() {
    let edge = edge("places");
    let token = good_token();
    let bearer = format!("Bearer {token}");
    let ws = || Request::upgrade("/ws");
    for request in [
        ws().with("authorization", &bearer).with("authorization", &bearer),
        ws().with("authorization", &bearer).with("authorization", "Basic YTpi"),
        ws().with("authorization", format!("{bearer}, {bearer}")),
        ws().with("authorization", format!("{bearer},")),
        ws().with("x-api-key", TEST_API_KEY).with("x-api-key", TEST_API_KEY),
        ws().with("x-api-key", format!("{TEST_API_KEY},{TEST_API_KEY}")),
        Request::upgrade(&format!("/ws?token={token}&token={token}")),
        Request::upgrade(&format!("/ws?token={token}&%74oken=x")),
        ws().with("cookie", format!("session={token}; session={token}")),
        ws().with("cookie", format!("session={token}")).with("cookie", "session=x"),
    ] {
        let answer = edge.refuses(&request, 401, "credentials_invalid");
        assert!(detail(&answer).contains("more than one credential"), "{}", detail(&answer));
    }
    // In an offer the same name twice is malformed before it is a credential.
    let offer = ws().with(OFFER, format!("bearer, {token}, bearer, {token}"));
    edge.refuses(&offer, 400, "handshake_malformed");
    let nothing_behind = ws().with(OFFER, "chat, bearer");
    edge.refuses(&nothing_behind, 401, "credentials_invalid");
}

#[test]
fn bytes_that_are_no_text_are_no_credential() {
    let edge = edge("places");
    let ws = || Request::upgrade("/ws");
    for request in [
        ws().with("authorization", b"Bearer \x80\xff\xfe"),
        ws().with("authorization", b"\xff\xfe"),
        ws().with("x-api-key", b"\x80\xff"),
        ws().with("cookie", b"session=\x80\xff"),
        Request::upgrade("/ws?token=%80%FF%00"),
    ] {
        edge.refuses(&request, 401, "credentials_invalid");
    }
    // Nor do they hide one from the strip.
    let request = ws()
        .with("authorization", format!("Bearer {}", good_token()))
        .with("cookie", b"\xff\xfe=\x80; session=\x80secret; b=2");
    let head = edge.opens(&request).head;
    assert!(!head.mentions("secret") && head.all("cookie")[0].ends_with("; b=2"), "{head:?}");
}

#[test]
fn an_api_key_is_taken_by_its_text_or_its_hash() {
    let edge = edge("places");
    let with = |key: &str| Request::upgrade("/ws").with("x-api-key", key);
    assert_eq!(edge.opens(&with("another-key-of-tests")).head.all("x-user-id"), ["key:hashed"]);
    for key in ["an-api-key-of-test", "an-api-key-of-testsx", "AN-API-KEY-OF-TESTS", "dash", "x"] {
        edge.refuses(&with(key), 401, "credentials_invalid");
    }
    // The hash is no key.
    let hash = "18137d790529a8ea002a393f2cc28b7a3d24ea22d9671ee7bfe939a21e6145c0";
    edge.refuses(&with(hash), 401, "credentials_invalid");
}
