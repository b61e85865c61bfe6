//! No credential stands in a log, an event, an answer or a metric, at the most
//! talkative level of the filter.

use super::{claims, issuer, mint, now};
use crate::client::{Client, Request, text};
use crate::support::{Envoy, bootstrap, wait_for};
use crate::upstream::{Recorder, Script};
use crate::{TEST_API_KEY, TEST_SECRET};
use serde_json::{Value, json};
use std::path::Path;

fn document() -> Value {
    let policy = |name: &str, path: &str, mode: &str, refuse_with: &str| {
        json!({
            "name": name, "mode": mode, "match": {"paths": [path]},
            "handshake": {
                "origins": ["https://app.example.com"], "missing_origin": "allow",
                "subprotocols": ["chat"], "refuse_with": refuse_with,
            },
            "auth": {
                "credentials": [
                    {"header": "authorization"}, {"header": "x-api-key"}, {"query": "token"},
                    {"cookie": "session"}, {"subprotocol": "bearer"},
                ],
                "jwt": [
                    issuer(),
                    {"issuer": "https://shared.example.com", "algorithms": ["HS256"],
                     "keys": {"secret": {"env": "TEST_SECRET"}}},
                ],
                "api_keys": [{"id": "dash", "key": {"env": "TEST_API_KEY"}}],
            },
        })
    };
    json!({"policies": [
        policy("http", "/ws", "enforce", "http"),
        policy("close", "/close", "enforce", "close"),
        policy("report", "/report", "report", "http"),
    ]})
}

/// A credential, and what of it must not be found.
fn credentials() -> Vec<(String, Vec<String>)> {
    let marked = |claims: Value| mint(&json!({"claims": claims}));
    let mut tokens = vec![
        marked(claims(&json!({}))),
        marked(claims(&json!({"exp": now() - 3600}))),
        marked(claims(&json!({"aud": "other"}))),
        marked(claims(&json!({"iss": "https://evil.example"}))),
        mint(&json!({"key": "other ed25519", "claims": claims(&json!({}))})),
        mint(&json!({"alg": "none", "claims": claims(&json!({}))})),
        mint(&json!({"alg": "HS256", "secret": TEST_SECRET,
                     "claims": claims(&json!({"iss": "https://shared.example.com"}))})),
    ];
    tokens.push(format!("{}.more", tokens[0]));
    let mut all: Vec<_> = tokens
        .into_iter()
        .map(|token| {
            let parts = token.split('.').skip(1).filter(|part| part.len() > 20);
            let parts = parts.map(str::to_owned).collect();
            (token, parts)
        })
        .collect();
    for key in [TEST_API_KEY, "a-wrong-api-key-0123456789"] {
        all.push((key.to_owned(), vec![key.to_owned()]));
    }
    all
}

/// The credential in each place, and in some where it does not belong.
fn requests(path: &str, credential: &str) -> Vec<Request> {
    let ws = || Request::upgrade(path).with("sec-websocket-protocol", "chat");
    let to = |target: String| Request { line: format!("GET {target} HTTP/1.1"), ..ws() };
    let mut requests = vec![
        ws().with("authorization", format!("Bearer {credential}")),
        ws().with("authorization", format!("Basic {credential}")),
        ws().with("x-api-key", credential),
        ws().with("x-api-key", credential).with("x-api-key", credential),
        to(format!("{path}?token={credential}")),
        to(format!("{path}?a=1&token={credential}&token={credential}")),
        to(format!("{path}?tokens={credential}")),
        to(format!("/x%2f..{path}?token={credential}")),
        to(format!("/other?token={credential}")),
        ws().with("cookie", format!("session={credential}")),
        ws().set("sec-websocket-protocol", format!("chat, bearer, {credential}")),
        ws().set("sec-websocket-protocol", format!("bearer, {credential}")),
        ws().set("sec-websocket-protocol", format!("{credential}, {credential}")),
    ];
    // The same where they are no handshake, and where they are no upgrade (but
    // for those that would pass: this upstream takes them for upgrades).
    let malformed = |request: &Request| request.clone().without("sec-websocket-key");
    let plain = |request: &Request| request.clone().without("upgrade").without("connection");
    let refused = |request: &&Request| request.line.starts_with(&format!("GET {path}"));
    let mut others: Vec<_> = requests.iter().map(malformed).collect();
    if path != "/report" {
        others.extend(requests.iter().filter(refused).map(plain));
    }
    requests.extend(others);
    requests
}

/// An access log with every form of the path.
fn access_log_at(path: &Path) -> Value {
    let forms = [
        "%REQ(:PATH)%",
        "%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%",
        "%PATH(WQ:PATH)%",
        "%PATH(WQ:ORIG_OR_PATH)%",
        "%RESPONSE_CODE%",
    ];
    json!([{"name": "envoy.access_loggers.file", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": path,
        "log_format": {"text_format_source": {"inline_string": forms.join(" ") + "\n"}},
    }}])
}

/// Its lines, without those that cannot be otherwise: of a parameter that is none
/// of the places, and of the policy in mode report.
fn accesses(path: &Path) -> String {
    let log = wait_for("the access log", || {
        let log = std::fs::read_to_string(path).unwrap_or_default();
        (log.lines().filter(|line| line.contains("/close")).count() > 20).then_some(log)
    });
    let told = |line: &&str| !line.contains("tokens=") && !line.contains("/report");
    log.lines().filter(told).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_credential_stands_in_a_log_an_event_an_answer_or_a_metric() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let folder = tempfile::TempDir::new().unwrap();
    let access_log = folder.path().join("access");
    let mut bootstrap = bootstrap(&document(), upstream.address);
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    bootstrap.pointer_mut(manager).unwrap()["access_log"] = access_log_at(&access_log);
    let envoy = Envoy::start(&bootstrap);
    envoy.set_log_level("wasm", "trace");
    let mut secrets = vec![TEST_SECRET.to_owned()];
    let mut answers = String::new();
    let mut opened = 0;
    for (credential, parts) in credentials() {
        secrets.extend(parts);
        for path in ["/ws", "/close", "/report"] {
            for request in requests(path, &credential) {
                let (mut client, answer) = Client::ask(envoy.address(), &request);
                if answer.status == 101 && answer.body.is_empty() && path != "/close" {
                    opened += 1;
                    client.send(&text("hello"));
                }
                answers.push_str(&answer.head);
                answers.push_str(&String::from_utf8_lossy(&answer.body));
            }
        }
    }
    assert!(opened > 20, "{opened}");
    wait_for("the last events", || {
        envoy.events().iter().any(|event| event["event"] == "closed").then_some(())
    });
    let metrics = envoy.get("/stats/prometheus");
    let log = envoy.log();
    let accesses = accesses(&access_log);
    assert!(log.contains("[trace][wasm]"), "the filter's calls are logged");
    for secret in secrets {
        for (place, text) in
            [("log", &log), ("answer", &answers), ("metric", &metrics), ("access log", &accesses)]
        {
            // A client's own subprotocol may be named to it again, no token is.
            assert!(!text.contains(&secret), "{secret} stands in a {place}");
        }
    }
}
