//! One table of cases, in one Envoy with a listener of each filter kind and one
//! `wsguard.wasm`: what HTTP refuses with a status is a closed connection here,
//! by the same reason; what follows the upgrade is the same to the byte.

use super::of_kind;
use crate::client::{Client, Request, frame, text};
use crate::support::{Envoy, bootstrap_of, listener, stream_listener, wait_for};
use crate::upstream::{Recorder, Script, frames};
use crate::{TEST_API_KEY, TEST_SECRET};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::net::SocketAddr;

fn document() -> Value {
    json!({"policies": [
        {
            "name": "chat",
            "match": {"hosts": ["chat.example.com"], "paths": ["/ws", "/rooms/*"]},
            "handshake": {
                "origins": ["https://app.example.com"],
                "user_agents_denied": ["(?i)sqlmap"],
                "subprotocols": ["ag-ui"],
            },
            "auth": {
                "credentials": [
                    {"header": "authorization"}, {"header": "x-api-key"}, {"query": "token"},
                    {"cookie": "session"}, {"subprotocol": "bearer"},
                ],
                "jwt": [{
                    "issuer": "https://issuer.example.com", "audiences": ["chat"],
                    "algorithms": ["HS256"], "keys": {"secret": {"env": "TEST_SECRET"}},
                }],
                "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
                "identity_headers": {"x-user-id": "sub"},
            },
        },
        {"name": "away", "match": {"paths": ["/away"]},
         "handshake": {"addresses": {"deny": ["127.0.0.0/8"]}}},
        {"name": "tls", "match": {"paths": ["/tls"]}, "handshake": {"tls": "required"}},
        {"name": "flat", "match": {"paths": ["/flat"]}, "handshake": {"compression": "reject"}},
        {
            "name": "messages",
            "match": {"paths": ["/messages"]},
            "client": {
                "max_frame": "1KiB", "max_message": "2KiB", "max_fragments": 3, "types": ["text"],
                "rules": [{"name": "no-scripts", "pattern": "(?i)<script", "action": "close"}],
            },
        },
    ]})
}

/// A token of HS256, or whatever the header says.
fn token(header: &Value, claims: &Value) -> String {
    let part = |json: &Value| BASE64_URL_SAFE_NO_PAD.encode(json.to_string());
    let signed = format!("{}.{}", part(header), part(claims));
    let mut mac = Hmac::<Sha256>::new_from_slice(TEST_SECRET.as_bytes()).unwrap();
    mac.update(signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
}

fn claims() -> Value {
    // The end of 2099.
    json!({"iss": "https://issuer.example.com", "aud": "chat", "sub": "u", "exp": 4_102_444_799_u64})
}

fn bearer(header: &Value, change: (&str, Value)) -> String {
    let mut claims = claims();
    claims[change.0] = change.1;
    format!("Bearer {}", token(header, &claims))
}

/// An upgrade that is right but for a credential.
fn page() -> Request {
    Request::upgrade("/ws")
        .with("origin", "https://app.example.com")
        .with("sec-websocket-protocol", "ag-ui")
}

fn good() -> Request {
    page().with("x-api-key", TEST_API_KEY)
}

fn at(target: &str) -> Request {
    Request { line: format!("GET {target} HTTP/1.1"), ..good() }
}

/// A change to a good request, and why it is refused; an empty reason: it opens.
fn handshakes() -> Vec<(Request, &'static str)> {
    let hs256 = json!({"alg": "HS256"});
    let authorization = |value: String| page().with("authorization", value);
    let jwt = token(&hs256, &claims());
    vec![
        (good(), ""),
        (at("//ws?a=b"), ""),
        (at("/x/../%77s"), ""),
        (at("/rooms/7"), ""),
        (at("/ws%2f"), "handshake_malformed"),
        (at("/ws\\x"), "handshake_malformed"),
        (at("/other"), "no_policy"),
        (good().set("host", "other.example.com"), "no_policy"),
        (good().without("origin"), "origin_denied"),
        (good().set("origin", "null"), "origin_denied"),
        (good().set("origin", "https://app.example.com.evil.example"), "origin_denied"),
        (good().with("user-agent", "SQLMap/1.8"), "user_agent_denied"),
        (good().set("sec-websocket-protocol", "chat"), "subprotocol_denied"),
        (good().set("sec-websocket-version", "8"), "version_unsupported"),
        (good().set("sec-websocket-key", "c2hvcnQ="), "handshake_malformed"),
        (good().without("sec-websocket-key"), "handshake_malformed"),
        (good().with("sec-websocket-key", crate::client::KEY), "handshake_malformed"),
        (good().with("sec-websocket-extensions", "permessage-deflate"), ""),
        (good().with("sec-websocket-extensions", "permessage-deflate; ="), "handshake_malformed"),
        (good().with("x-forwarded-for", "10.0.0.1").with("x_user_id", "root"), ""),
        (good().with("x-text", b"\x80\xff"), ""),
        (Request::upgrade("/away").with("x-forwarded-for", "10.0.0.1"), "address_denied"),
        (Request::upgrade("/tls").with("x-forwarded-proto", "https"), "tls_required"),
        (
            Request::upgrade("/flat").with("sec-websocket-extensions", "permessage-deflate"),
            "compression_denied",
        ),
        (Request::plain("/ws").with("x-api-key", TEST_API_KEY), "not_websocket"),
        (page(), "credentials_missing"),
        (page().with("x-api-key", "guess"), "credentials_invalid"),
        (good().with("x-api-key", TEST_API_KEY), "credentials_invalid"),
        (authorization(format!("Bearer {jwt}")), ""),
        (page().with("cookie", format!("a=b; session={jwt}")), ""),
        (page().set("sec-websocket-protocol", format!("ag-ui, bearer, {jwt}")), ""),
        (Request { line: format!("GET /ws?token={jwt} HTTP/1.1"), ..page() }, ""),
        (authorization(format!("Bearer {jwt}x")), "credentials_invalid"),
        (
            authorization(bearer(&json!({"alg": "none"}), ("sub", json!("u")))),
            "credentials_invalid",
        ),
        (authorization(bearer(&hs256, ("exp", json!(1)))), "credentials_expired"),
        (authorization(bearer(&hs256, ("aud", json!("other")))), "credentials_invalid"),
    ]
}

fn ask(address: SocketAddr, request: &Request, refused: bool, is_stream: bool) -> Option<Client> {
    let mut client = Client::connect(address);
    client.send(&request.bytes());
    if refused && is_stream {
        assert!(client.ends(), "nothing is said: {request:?}");
        return None;
    }
    let answer = client.answer();
    assert_eq!(answer.status == 101, !refused, "{request:?} {answer:?}");
    (!refused).then_some(client)
}

fn count(envoy: &Envoy, reason: &str) -> usize {
    envoy.events().iter().filter(|event| event["reason"] == reason).count()
}

/// Both listeners of one Envoy, and whether it is the stream filter.
fn both(envoy: &Envoy) -> [(SocketAddr, bool); 2] {
    [(envoy.listener("edge"), false), (envoy.listener("stream"), true)]
}

fn start(upstream: &Recorder, document: &Value) -> Envoy {
    Envoy::start(&bootstrap_of(
        &[listener(&of_kind("http", document)), stream_listener(&of_kind("stream", document))],
        upstream.address,
    ))
}

#[test]
fn handshakes_and_credentials_are_judged_the_same() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = start(&upstream, &document());
    for (request, reason) in handshakes() {
        let mut heads = Vec::new();
        for (address, is_stream) in both(&envoy) {
            let (told, seen) = (count(&envoy, reason), upstream.seen().len());
            let client = ask(address, &request, !reason.is_empty(), is_stream);
            if reason.is_empty() {
                heads.push(essence(&upstream.seen()[seen].head));
            } else {
                wait_for(&format!("{reason} for {request:?}\n{}", envoy.log()), || {
                    (count(&envoy, reason) > told).then_some(())
                });
                assert_eq!(upstream.seen().len(), seen, "{request:?}");
            }
            drop(client);
        }
        // Upstream is told the same by both.
        assert!(heads.iter().all(|head| *head == heads[0]), "{heads:#?}");
    }
}

/// A head in the order of its lines, without what Envoy's own HTTP adds or
/// writes in another way.
fn essence(head: &str) -> Vec<String> {
    let head = head.to_lowercase();
    let (first, lines) = head.trim_end().split_once("\r\n").unwrap();
    for secret in [TEST_API_KEY, "eyj", "permessage", "root"] {
        assert!(!head.contains(secret), "{head}");
    }
    let ours = |line: &&str| !line.starts_with("x-") || line.starts_with("x-user");
    let mut lines: Vec<_> = lines.split("\r\n").filter(ours).map(str::to_owned).collect();
    lines.sort();
    lines.insert(0, first.to_owned());
    lines
}

/// What a client sends after the upgrade, and what it gets: a Close with this
/// code and reason.
fn messages() -> Vec<(Vec<u8>, u16, &'static str)> {
    let split = |pieces: &[&[u8]]| pieces.concat();
    vec![
        (text("<ScRiPt>"), 1008, "rule_matched"),
        (
            split(&[&frame(0x01, b"a <scr"), &frame(0x89, b""), &frame(0x80, b"ipt>")]),
            1008,
            "rule_matched",
        ),
        (text(&"x".repeat(1025)), 1009, "frame_too_big"),
        (
            split(&[&frame(0x01, &[b'x'; 1024]), &frame(0x00, &[b'x'; 1024]), &frame(0x80, b"x")]),
            1009,
            "message_too_big",
        ),
        (
            split(&[&frame(0x01, b"a"), &frame(0, b"b"), &frame(0, b"c"), &frame(0x80, b"d")]),
            1008,
            "too_many_fragments",
        ),
        (frame(0x82, b"binary"), 1003, "type_denied"),
        (frame(0x81, b"\xff"), 1007, "invalid_utf8"),
        (frame(0x83, b""), 1002, "protocol_error"),
        (b"\x81\x02hi".to_vec(), 1002, "protocol_error"),
        (frame(0xC1, b"rsv"), 1002, "protocol_error"),
        (frame(0x80, b"continues nothing"), 1002, "protocol_error"),
    ]
}

#[test]
fn messages_are_judged_the_same_and_both_sides_get_their_close() {
    let upstream = Recorder::start(Script::Accept(frame_of_server(b"welcome")));
    let envoy = start(&upstream, &document());
    let of_kind = |kind: &str| {
        let events = envoy.events().into_iter();
        events.filter(|event| event["event"] == kind).collect::<Vec<_>>()
    };
    let mut ended = 0;
    for (bytes, code, reason) in messages() {
        for (address, is_stream) in both(&envoy) {
            let case = format!("{reason}, stream: {is_stream}");
            let mut client = Client::open(address, &Request::upgrade("/messages"));
            assert_eq!(client.frame().unwrap().payload, b"welcome");
            client.send(&text("hello"));
            client.send(&bytes);
            let closed = std::iter::from_fn(|| client.frame()).find(|frame| frame.first == 0x88);
            let closed = closed.unwrap_or_else(|| panic!("no Close for {case}"));
            assert_eq!(closed.close(), (code, reason.to_owned()), "{case}");
            assert!(client.ends(), "and then the end");
            let seen = wait_for("upstream's connection to end", || {
                upstream.seen().get(ended).cloned().filter(|seen| seen.ended)
            });
            let seen = frames(&seen.bytes);
            let data: Vec<_> = seen.iter().filter(|(first, _)| first & 8 == 0).collect();
            assert_eq!(data, [&(0x81, b"hello".to_vec())], "{case}");
            assert_eq!(seen.last(), Some(&(0x88, code.to_be_bytes().to_vec())), "{case}");
            ended += 1;
            let events = wait_for(&format!("{case} in {}", envoy.log()), || {
                let (refused, closed) = (of_kind("refused"), of_kind("closed"));
                let all = refused.len() == ended && closed.len() == ended;
                all.then(|| [refused, closed, of_kind("opened")].map(|mut of| of.pop().unwrap()))
            });
            for event in &events {
                assert_eq!(
                    (&event["policy"], &event["ip"]),
                    (&json!("messages"), &json!("127.0.0.1"))
                );
            }
            assert_eq!((&events[0]["reason"], &events[1]["code"]), (&json!(reason), &json!(code)));
        }
    }
}

#[test]
fn both_kinds_count_connections_together() {
    let document =
        json!({"policies": [{"name": "chat", "quotas": {"connections": {"per_ip": 1}}}]});
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = start(&upstream, &document);
    let [(edge, _), (stream, _)] = both(&envoy);
    let request = Request::upgrade("/ws");
    let opens = |address| {
        let mut client = Client::connect(address);
        client.send(&request.bytes());
        (!client.ends()).then_some(client)
    };
    let first = Client::open(edge, &request);
    assert!(opens(stream).is_none());
    envoy.event("refused", Some("connections_per_ip"));
    drop(first);
    let second = wait_for("the place to be free", || opens(stream));
    let (_, answer) = Client::ask(edge, &request);
    assert_eq!(answer.reason(), "connections_per_ip");
    drop(second);
    wait_for("the place to be free again", || opens(stream));
    // However it ends: refused by a rule of ours, or by upstream.
    let mut third = wait_for("the place to be free again", || opens(stream));
    third.send(&frame(0x83, b""));
    let _fourth = wait_for("the place of one that was cut off", || opens(stream));
}

fn frame_of_server(payload: &[u8]) -> Vec<u8> {
    [&[0x81, u8::try_from(payload.len()).unwrap()], payload].concat()
}
