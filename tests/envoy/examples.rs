//! The configurations in `envoy/`: each starts as it stands, with ports and the
//! filter's path put in, guards what it says, and has what wsguard relies on.

use super::client::{Client, Request, frame};
use super::support::{Envoy, wasm};
use super::upstream::{Recorder, Script};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Keys of the tests' own, as long as the examples ask for.
const KEY: &str = "0123456789abcdef0123456789abcdef";

/// An example and two of its clients.
struct Example {
    file: &'static str,
    environment: &'static [(&'static str, &'static str)],
    /// Gets in, known as this user.
    good: fn() -> Request,
    user: &'static str,
    /// Is refused for this reason.
    bad: fn() -> Request,
    reason: &'static str,
}

const EXAMPLES: [Example; 2] = [
    Example {
        file: "http.yaml",
        environment: &[("DASHBOARD_KEY", KEY)],
        good: || of_the_page("/rooms/7").with("x-api-key", KEY),
        user: "key:dashboard",
        bad: || of_the_page("/ws").set("origin", "https://evil.example").with("x-api-key", KEY),
        reason: "origin_denied",
    },
    Example {
        file: "demo.yaml",
        environment: &[("WSGUARD_DEMO_SECRET", KEY), ("WSGUARD_DEMO_KEY", KEY)],
        good: || of_the_page("/ws").with("x-api-key", KEY),
        user: "key:robot",
        bad: || of_the_page("/ws"),
        reason: "credentials_missing",
    },
];

fn of_the_page(path: &str) -> Request {
    Request::upgrade(path).with("origin", "https://app.example.com")
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy")
}

/// An example's text, with this run's ports and filter in the place of its own.
pub fn text(file: &str, upstream: SocketAddr) -> String {
    let mut text = std::fs::read_to_string(folder().join(file)).unwrap();
    // Some have a second listener.
    text = text.replace("port_value: 10001", "port_value: 0");
    for (written, instead) in [
        ("port_value: 9901", "port_value: 0".to_owned()),
        ("port_value: 10000", "port_value: 0".to_owned()),
        ("port_value: 8765", format!("port_value: {}", upstream.port())),
        ("filename: dist/wsguard.wasm", format!("filename: {}", wasm().display())),
    ] {
        assert_eq!(text.matches(written).count(), 1, "{file} should say `{written}` once");
        text = text.replace(written, &instead);
    }
    text
}

/// One section of an example, as it stands.
pub fn section(file: &str, key: &str) -> String {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    let begin = text.find(&format!("\n{key}:")).unwrap() + 1;
    let ends = |line: &str| !line.starts_with([' ', '#']) && !line.trim().is_empty();
    let lines = text[begin..].lines();
    lines
        .enumerate()
        .take_while(|(n, line)| *n == 0 || !ends(line))
        .map(|(_, l)| format!("{l}\n"))
        .collect()
}

#[test]
fn every_example_is_tested() {
    let there: BTreeSet<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    // Those that need certificates, or are no HTTP, have modules of their own.
    let tested: BTreeSet<_> = EXAMPLES
        .iter()
        .map(|e| e.file.to_owned())
        .chain(["tls.yaml".to_owned(), "stream.yaml".to_owned()])
        .collect();
    assert_eq!(there, tested);
}

#[test]
fn every_example_starts_guards_and_has_what_wsguard_relies_on() {
    for example in &EXAMPLES {
        let upstream = Recorder::start(Script::Accept(Vec::new()));
        let envoy = Envoy::start_with(&text(example.file, upstream.address), example.environment);

        let address = envoy.listener("edge");

        let (_, answer) = Client::ask(address, &(example.bad)());
        assert_eq!(answer.reason(), example.reason, "{}: {answer:?}", example.file);
        assert!(upstream.seen().is_empty(), "{}", example.file);

        let _open = Client::open(address, &(example.good)());
        let opened = envoy.event("opened", None);
        assert_eq!(opened["user"], example.user, "{}", example.file);
        let head = upstream.seen()[0].head.to_lowercase();
        assert!(head.contains(&format!("x-user-id: {}\r\n", example.user)), "{head}");
        assert!(!head.contains(KEY), "{head}");

        relies_on(example.file, &envoy.get("/config_dump").parse().unwrap());
    }
}

/// The README's policy in the place of the example's.
fn with_policy_of_readme(upstream: SocketAddr) -> String {
    let readme = include_str!("../../README.md");
    let policy = readme.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    assert_eq!(policy.lines().count(), 10, "a policy in ten lines");
    let policy: String = policy.lines().map(|l| format!("{:20}{l}\n", "")).collect();
    let text = text("http.yaml", upstream);
    let begin =
        text.find("                  value:\n").unwrap() + "                  value:\n".len();
    let end = text.find("          - name: envoy.filters.http.router").unwrap();
    let text = [&text[..begin], &policy, &text[end..]].concat();
    text.replace("host_env_keys: [DASHBOARD_KEY]", "host_env_keys: [JWT_SECRET]")
}

/// A token with these claims, HS256 by [`KEY`].
fn token(claims: &Value) -> String {
    let part = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!("{}.{}", part(br#"{"alg":"HS256"}"#), part(claims.to_string().as_bytes()));
    let mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    let tag = mac.chain_update(&signed).finalize().into_bytes();
    format!("{signed}.{}", part(&tag))
}

#[test]
fn the_policy_of_the_readme_guards_what_it_says() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start_with(&with_policy_of_readme(upstream.address), &[("JWT_SECRET", KEY)]);
    let token = token(&json!({
        "iss": "https://issuer.example.com", "aud": "chat", "exp": 4_102_444_800_u64,
    }));
    let page = of_the_page("/ws");
    let offer =
        |token: &str| page.clone().with("sec-websocket-protocol", format!("bearer, {token}"));
    for (request, status, reason) in [
        (page.clone().set("host", "other.example.com"), 403, "no_policy"),
        (page.clone().set("origin", "https://evil.example"), 403, "origin_denied"),
        (page.clone(), 401, "credentials_missing"),
        (offer("a.b.c"), 401, "credentials_invalid"),
    ] {
        let (_, answer) = Client::ask(envoy.address(), &request);
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason));
    }
    let (mut client, answer) = Client::ask(envoy.address(), &offer(&token));
    assert_eq!((answer.status, answer.header("sec-websocket-protocol")), (101, Some("bearer")));
    client.send(&frame(0x81, b"<SCRIPT>"));
    assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
}

/// Holds what the contract asks of every example, by what Envoy says it runs
/// with.
pub fn relies_on(file: &str, dump: &Value) {
    let listeners = of_type(dump, "listener.v3.Listener");
    let guarded: Vec<_> =
        listeners.into_iter().filter(|l| !of_type(l, "wasm.v3.Wasm").is_empty()).collect();
    assert!(!guarded.is_empty(), "{file}: {dump}");
    for plugin in guarded.iter().flat_map(|listener| of_type(listener, "wasm.v3.Wasm")) {
        assert_eq!(plugin["config"]["failure_policy"], "FAIL_RELOAD", "{file}");
        assert_eq!(plugin["config"]["vm_config"]["vm_id"], "wsguard", "{file}");
    }
    for manager in guarded.iter().flat_map(|l| of_type(l, "HttpConnectionManager")) {
        manager_relies_on(file, manager);
    }
    let limits = |resources: &[&Value]| -> Vec<u64> {
        let limit = |resource: &&Value| resource["per_connection_buffer_limit_bytes"].as_u64();
        resources.iter().map(|r| limit(r).unwrap_or_else(|| panic!("{file}: {r}"))).collect()
    };
    let least = limits(&guarded).into_iter().min().unwrap();
    let most = limits(&of_type(dump, "cluster.v3.Cluster")).into_iter().max().unwrap();
    assert!(least >= most + 16_384, "{file}: {least} is not 16 KiB above {most}");
}

fn manager_relies_on(file: &str, manager: &Value) {
    for (key, value) in [
        ("/use_remote_address", json!(true)),
        ("/stream_idle_timeout", json!("0s")),
        ("/normalize_path", json!(true)),
        ("/merge_slashes", json!(true)),
        ("/path_with_escaped_slashes_action", json!("REJECT_REQUEST")),
        ("/common_http_protocol_options/headers_with_underscores_action", json!("REJECT_REQUEST")),
        // With filters of its own an upgrade would pass this one by.
        ("/upgrade_configs", json!([{"upgrade_type": "websocket"}])),
    ] {
        assert_eq!(manager.pointer(key), Some(&value), "{file}: {key}");
    }
    // First, but for what sets headers on our refusals too.
    let filters = manager["http_filters"].as_array().unwrap();
    let names = filters.iter().map(|filter| filter["name"].as_str().unwrap());
    let names: Vec<_> = names.filter(|name| *name != "browser-headers").collect();
    assert_eq!(names, ["wsguard", "envoy.filters.http.router"], "{file}");
}

/// Every object in a tree whose type ends so.
fn of_type<'a>(tree: &'a Value, ending: &str) -> Vec<&'a Value> {
    let mut found = Vec::new();
    if tree["@type"].as_str().is_some_and(|name| name.ends_with(ending)) {
        found.push(tree);
    }
    let children: Box<dyn Iterator<Item = &Value>> = match tree {
        Value::Object(members) => Box::new(members.values()),
        Value::Array(items) => Box::new(items.iter()),
        _ => Box::new(std::iter::empty()),
    };
    found.extend(children.flat_map(|child| of_type(child, ending)));
    found
}
