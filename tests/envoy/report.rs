//! Mode report with real peers: everything passes as it is, and is told.

use super::client::{Client, Request, frame, text};
use super::peers::{Echo, document, python_client};
use super::support::{Envoy, bootstrap, wait_for};
use super::upstream::{Recorder, Script};
use serde_json::{Value, json};

fn reporting() -> Value {
    let mut document = document();
    document["mode"] = json!("report");
    document
}

/// Kind and reason of every event but the ends of connections.
fn told(envoy: &Envoy, count: usize) -> Vec<(String, Value)> {
    wait_for(&format!("{count} events in\n{}", envoy.log()), || {
        let events = envoy.events();
        assert!(events.iter().all(|event| event["mode"] == "report"), "{events:?}");
        let kind =
            |event: &Value| (event["event"].as_str().unwrap().to_owned(), event["reason"].clone());
        let told: Vec<_> = events.iter().map(kind).filter(|(kind, _)| kind != "closed").collect();
        (told.len() >= count).then_some(told)
    })
}

fn kinds(told: &[(String, Value)]) -> Vec<(&str, Option<&str>)> {
    told.iter().map(|(kind, reason)| (kind.as_str(), reason.as_str())).collect()
}

/// Two peers that agree on permessage-deflate keep it: it is told once, and
/// what they say passes unseen.
#[test]
fn compression_between_real_peers_goes_on_working() {
    let echo = Echo::start();
    let mut document = reporting();
    document["policies"][0]["auth"] = json!({
        "credentials": [{"header": "x-api-key"}],
        "api_keys": [{"id": "k", "key": {"env": "TEST_API_KEY"}}],
        "identity_headers": {"x-user-id": "sub"},
    });
    let envoy = Envoy::start(&bootstrap(&document, echo.address));
    let saw =
        python_client(envoy.address().port(), &["text:1000000", "say:<script>", "binary:1000000"]);
    let deflate = json!(["permessage-deflate"]);
    assert_eq!(saw, json!({"echoed": 3, "extensions": deflate, "code": 1000, "reason": "done"}));
    let seen = echo.ended();
    assert_eq!((&seen["messages"], &seen["code"]), (&json!(3), &json!(1000)));
    assert_eq!(seen["extensions"], deflate);
    let names = seen["headers"].as_object().unwrap().keys();
    assert!(!names.map(|name| name.to_lowercase()).any(|name| name == "x-user-id"), "{seen}");
    assert_eq!(
        kinds(&told(&envoy, 3)),
        [
            ("reported", Some("credentials_missing")),
            ("opened", None),
            ("reported", Some("rule_matched")),
        ],
        "what is compressed is read"
    );
    let closed = envoy.event("closed", None);
    assert!(closed["bytes"]["client"].as_u64().unwrap() > 0, "{closed}");
}

#[test]
fn every_violation_passes_and_is_counted_as_reported() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&bootstrap(&reporting(), upstream.address));
    let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
    let sent = [
        text("<script>"),
        frame(0x01, b"<scr"),
        frame(0x89, b""),
        frame(0x80, b"ipt>"),
        frame(0x81, b"\xff"),
        frame(0x82, &vec![0; (4 << 20) + 1]),
        text("good"),
        frame(0x83, b"a reserved opcode"),
        text("<script> that nobody looks at"),
        frame(0x88, b"\x03\xe8"),
    ];
    for bytes in &sent {
        client.send(bytes);
    }
    assert_eq!(client.frame().unwrap().close(), (1000, String::new()));
    let seen = upstream.ended();
    assert!(seen.bytes == sent.concat(), "something was changed");
    assert_eq!(
        kinds(&told(&envoy, 6)),
        [
            ("opened", None),
            ("reported", Some("rule_matched")),
            ("reported", Some("rule_matched")),
            ("reported", Some("invalid_utf8")),
            ("reported", Some("frame_too_big")),
            ("reported", Some("protocol_error")),
        ]
    );
    for (reason, count) in
        [("rule_matched", 2), ("invalid_utf8", 1), ("frame_too_big", 1), ("protocol_error", 1)]
    {
        let rule = if reason == "rule_matched" { ",rule=\"no-scripts\"" } else { "" };
        envoy.metric(&format!(
            "wsguard_violations_total{{policy=\"chat\",direction=\"client\",reason=\"{reason}\",\
             action=\"report\"{rule}}} {count}"
        ));
    }
    assert!(!envoy.get("/stats/prometheus?filter=wsguard_violations").contains("\"close\""));
}

/// What enforce refuses at the handshake goes on to upstream as it came.
#[test]
fn a_handshake_that_would_be_refused_reaches_upstream_as_it_came() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let mut document = reporting();
    document["policies"][0]["handshake"] =
        json!({"origins": ["https://app.example.com"], "subprotocols": ["chat"]});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address));
    let request = Request::upgrade("/ws?token=kept")
        .with("origin", "https://evil.example")
        .with("sec-websocket-protocol", "other")
        .with("sec-websocket-extensions", "permessage-deflate");
    let mut client = Client::open(envoy.address(), &request);
    client.send(&text("<script>"));
    client.send(&frame(0x88, b""));
    assert_eq!(client.frame().unwrap().payload, b"");
    let seen = upstream.ended();
    assert!(seen.head.starts_with("GET /ws?token=kept HTTP/1.1\r\n"));
    for line in [
        "origin: https://evil.example",
        "sec-websocket-protocol: other",
        "sec-websocket-extensions: permessage-deflate",
    ] {
        assert!(seen.head.contains(&format!("\r\n{line}\r\n")), "{line} in {}", seen.head);
    }
    assert_eq!(seen.bytes, [text("<script>"), frame(0x88, b"")].concat());
    assert_eq!(
        kinds(&told(&envoy, 3)),
        [("reported", Some("origin_denied")), ("opened", None), ("reported", Some("rule_matched")),]
    );
}
