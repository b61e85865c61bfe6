//! envoy/stream.yaml, as it stands.

use crate::client::{Client, Request, frame};
use crate::examples::{relies_on, text};
use crate::support::{Envoy, wait_for};
use crate::upstream::{Recorder, Script};
use serde_json::{Value, json};

/// As long as the example asks for.
const KEY: &str = "0123456789abcdef0123456789abcdef";

fn page() -> Request {
    Request::upgrade("/rooms/7").with("origin", "https://app.example.com").with("x-api-key", KEY)
}

/// The line of the access log for the connection with this reason.
fn logged(envoy: &Envoy, reason: &Value) -> Value {
    wait_for(&format!("an access log line with {reason} in {}", envoy.log()), || {
        let log = envoy.log();
        let mut lines = log.lines().filter_map(|line| line.parse::<Value>().ok());
        lines.find(|line| line["reason"] == *reason)
    })
}

fn guards(envoy: &Envoy, upstream: &Recorder) {
    let seen = upstream.seen().len();
    let mut evil = Client::connect(envoy.address());
    evil.send(&page().set("origin", "https://evil.example").bytes());
    assert!(evil.ends());
    let line = logged(envoy, &json!("origin_denied"));
    assert_eq!((&line["policy"], &line["ip"]), (&json!("chat"), &json!("127.0.0.1")));
    assert_eq!(upstream.seen().len(), seen);

    let client = Client::open(envoy.address(), &page());
    assert_eq!(envoy.event("opened", None)["user"], "key:dashboard");
    let head = upstream.seen()[seen].head.to_lowercase();
    assert!(head.contains("x-user-id: key:dashboard\r\n") && !head.contains(KEY), "{head}");
    drop(client);
    assert_eq!(logged(envoy, &Value::Null)["user"], "key:dashboard");
    envoy.metric("wsguard_handshakes_total{policy=\"chat\",result=\"accepted\"} 1");
    envoy.metric(
        "wsguard_handshakes_total{policy=\"chat\",result=\"refused\",reason=\"origin_denied\"} 1",
    );
}

#[test]
fn the_example_starts_guards_and_has_what_wsguard_relies_on() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy =
        Envoy::start_with(&text("stream.yaml", upstream.address), &[("DASHBOARD_KEY", KEY)]);
    guards(&envoy, &upstream);
    let dump: Value = envoy.get("/config_dump").parse().unwrap();
    relies_on("stream.yaml", &dump);
    let listener = dump["configs"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|config| config.pointer("/static_listeners/0/listener"));
    let filters = listener.unwrap()["filter_chains"][0]["filters"].as_array().unwrap().clone();
    let names: Vec<_> = filters.iter().map(|filter| filter["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["wsguard", "envoy.filters.network.tcp_proxy"], "directly before it");
    assert_eq!(filters[1]["typed_config"]["idle_timeout"], "0s");
}

#[test]
fn where_envoy_can_it_connects_for_accepted_upgrades_only() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let mut document = text("stream.yaml", upstream.address);
    for line in ["upstream_connect_mode: ON_DOWNSTREAM_DATA", "max_early_data_bytes: 65536"] {
        assert_eq!(document.matches(&format!("# {line}")).count(), 1);
        document = document.replace(&format!("# {line}"), line);
    }
    if Envoy::version() < (1, 37) {
        // As the example says; a later one must know them.
        let said = Envoy::refuses_with(&document, &[("DASHBOARD_KEY", KEY)]);
        let named = ["upstream_connect_mode", "max_early_data_bytes"];
        assert!(named.iter().any(|field| said.contains(field)), "{said}");
        return;
    }
    let envoy = Envoy::start_with(&document, &[("DASHBOARD_KEY", KEY)]);
    guards(&envoy, &upstream);
    // One for the accepted upgrade, none for the refused one.
    envoy.counter("cluster.app.upstream_cx_total", 1);
    drop(Client::connect(envoy.address()));
    let open = Client::open(envoy.address(), &page());
    envoy.counter("cluster.app.upstream_cx_total", 2);
    drop(open);
}

#[test]
fn a_client_that_reads_nothing_cannot_keep_its_connection() {
    // More than every buffer on the way takes.
    let message = [&[0x82, 126, 0xFF, 0xFF][..], &[b'x'; 0xFFFF]].concat();
    let endless = message.repeat(512);
    let upstream = Recorder::start(Script::Accept(endless));
    let written = text("stream.yaml", upstream.address);
    assert_eq!(written.matches("int_value: 60000").count(), 1);
    // The example's minute would be long for a test.
    let document = written.replace("int_value: 60000", "int_value: 2000");
    let envoy = Envoy::start_with(&document, &[("DASHBOARD_KEY", KEY)]);
    let mut client = Client::connect(envoy.address());
    client.send(&page().bytes());
    envoy.event("opened", None);
    client.send(&frame(0x82, b"binary"));
    envoy.event("refused", Some("type_denied"));
    upstream.ended();
    assert_eq!(envoy.event("closed", Some("type_denied"))["code"], 1003);
}
