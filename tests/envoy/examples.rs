//! The configurations in `envoy/`: each starts as it stands, with ports and the
//! filter's path put in, guards what it says, and has what wsguard relies on.

use super::client::{Client, Request};
use super::support::{Envoy, wasm};
use super::upstream::{Recorder, Script};
use serde_json::Value;
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

#[test]
fn every_example_is_tested() {
    let there: BTreeSet<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    let tested: BTreeSet<_> = EXAMPLES.iter().map(|example| example.file.to_owned()).collect();
    assert_eq!(there, tested);
}

#[test]
fn every_example_starts_guards_and_has_what_wsguard_relies_on() {
    for example in &EXAMPLES {
        let upstream = Recorder::start(Script::Accept(Vec::new()));
        let envoy =
            Envoy::start_with(&text(example.file, upstream.address), example.environment);

        let (_, answer) = Client::ask(envoy.address(), &(example.bad)());
        assert_eq!(answer.reason(), example.reason, "{}: {answer:?}", example.file);
        assert!(upstream.seen().is_empty(), "{}", example.file);

        let _open = Client::open(envoy.address(), &(example.good)());
        let opened = envoy.event("opened", None);
        assert_eq!(opened["user"], example.user, "{}", example.file);
        let head = upstream.seen()[0].head.to_lowercase();
        assert!(head.contains(&format!("x-user-id: {}\r\n", example.user)), "{head}");
        assert!(!head.contains(KEY), "{head}");

        relies_on(example.file, &envoy.get("/config_dump").parse().unwrap());
    }
}

/// What the contract asks of every example, in what Envoy says it runs with.
fn relies_on(file: &str, dump: &Value) {
    let managers = of_type(dump, "HttpConnectionManager");
    let plugins = of_type(dump, "http.wasm.v3.Wasm");
    assert!(!managers.is_empty() && !plugins.is_empty(), "{file}: {dump}");
    for manager in managers {
        for (key, value) in [
            ("/use_remote_address", Value::from(true)),
            ("/stream_idle_timeout", "0s".into()),
            ("/normalize_path", true.into()),
            ("/merge_slashes", true.into()),
            ("/path_with_escaped_slashes_action", "REJECT_REQUEST".into()),
            (
                "/common_http_protocol_options/headers_with_underscores_action",
                "REJECT_REQUEST".into(),
            ),
            // With filters of its own an upgrade would pass this one by.
            ("/upgrade_configs", serde_json::json!([{"upgrade_type": "websocket"}])),
            // Before whatever else answers or rewrites requests.
            ("/http_filters/0/name", "wsguard".into()),
        ] {
            assert_eq!(manager.pointer(key), Some(&value), "{file}: {key}");
        }
    }
    for plugin in plugins {
        assert_eq!(plugin["config"]["failure_policy"], "FAIL_RELOAD", "{file}");
        assert_eq!(plugin["config"]["vm_config"]["vm_id"], "wsguard", "{file}");
    }
    let limits = |dump, list: &str| -> Vec<u64> {
        let resources = of_type(dump, list);
        assert!(!resources.is_empty(), "{file}: {list}");
        let limit = |resource: &&Value| resource["per_connection_buffer_limit_bytes"].as_u64();
        resources.iter().map(|r| limit(r).unwrap_or_else(|| panic!("{file}: {r}"))).collect()
    };
    let listeners = limits(dump, "listener.v3.Listener");
    let clusters = limits(dump, "cluster.v3.Cluster");
    let (least, most) = (listeners.iter().min().unwrap(), clusters.iter().max().unwrap());
    assert!(*least >= most + 16_384, "{file}: {least} is not 16 KiB above {most}");
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
