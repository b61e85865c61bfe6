//! Metrics as Prometheus gets them, with the labels that the examples'
//! `stats_tags` make.

use super::client::{Client, Request, frame, text};
use super::examples;
use super::support::{Envoy, bootstrap, wait_for};
use super::upstream::{Recorder, Script};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use wsguard::host::MetricKind;
use wsguard::metric::{Family, Label};

const KEY: &str = "0123456789abcdef0123456789abcdef";

fn page(envoy: &Envoy) -> String {
    envoy.get("/stats/prometheus?filter=wsguard_")
}

/// The value of a gauge without labels.
fn gauge(envoy: &Envoy, name: &str) -> Option<u64> {
    page(envoy).lines().find_map(|line| line.strip_prefix(name)?.strip_prefix("{} ")?.parse().ok())
}

/// The statistics of a proxy of Istio's (`tools/packaging/common/envoy_bootstrap.json`),
/// where `extraStatTags` names our labels.
fn istios_stats() -> String {
    let regexes = [
        ("cluster_name", r"^cluster\.((.+?(\..+?\.svc\.cluster\.local)?)\.)"),
        ("tcp_prefix", r"^tcp\.((.*?)\.)\w+?$"),
        ("response_code", r"_rq(_(\d{3}))$"),
        ("response_code_class", r"_rq(_(\dxx))$"),
        ("mongo_prefix", r"^mongo\.(.+?)\.(collection|cmd|cx_|op_|delays_|decoding_)(.*?)$"),
    ];
    let others = [
        ("cache", r"(cache\.(.+?)\.)"),
        ("component", r"(component\.(.+?)\.)"),
        ("tag", r"(tag\.(.+?);\.)"),
        ("wasm_filter", r"(wasm_filter\.(.+?)\.)"),
        ("authz_enforce_result", r"rbac(\.(allowed|denied))"),
        ("authz_dry_run_action", r"(\.istio_dry_run_(allow|deny)_)"),
        ("authz_dry_run_result", r"(\.shadow_(allowed|denied))"),
    ];
    let extra = Label::ALL.map(|label| (label.name(), format!(r"({}=\.=(.*?);\.;)", label.name())));
    let of_istio = |known: &[(&str, &str)]| -> Vec<Value> {
        known.iter().map(|(name, regex)| json!({"tag_name": name, "regex": regex})).collect()
    };
    let extra = extra.map(|(name, regex)| json!({"tag_name": name, "regex": regex}));
    let tags = [of_istio(&regexes), extra.to_vec(), of_istio(&others)].concat();
    let included = ["cluster_manager", "listener_manager", "server", "wasm"];
    let patterns: Vec<Value> = included.iter().map(|prefix| json!({"prefix": prefix})).collect();
    let stats = json!({
        "use_all_default_tags": false,
        "stats_tags": tags,
        "stats_matcher": {"inclusion_list": {"patterns": patterns}},
    });
    format!("stats_config: {stats}\n")
}

#[test]
fn the_example_names_metrics_and_labels_as_the_contract_does() {
    let upstream = Recorder::start(Script::Accept(b"\x81\x02hi".to_vec()));
    let example = examples::text("http.yaml", upstream.address);
    names_metrics_and_labels(&example);
}

#[test]
fn istios_own_tags_make_the_same_labels() {
    let upstream = Recorder::start(Script::Accept(b"\x81\x02hi".to_vec()));
    let example = examples::text("http.yaml", upstream.address);
    let own = examples::section("http.yaml", "stats_config");
    assert!(example.contains(&own), "{own}");
    names_metrics_and_labels(&example.replace(&own, &istios_stats()));
}

fn names_metrics_and_labels(bootstrap: &str) {
    let envoy = Envoy::start_with(bootstrap, &[("DASHBOARD_KEY", KEY)]);
    let good =
        Request::upgrade("/ws").with("origin", "https://app.example.com").with("x-api-key", KEY);
    Client::ask(envoy.address(), &good.clone().set("origin", "https://evil.example"));
    Client::ask(envoy.address(), &good.clone().without("x-api-key"));
    Client::ask(envoy.address(), &Request::upgrade("/else"));
    let mut client = Client::open(envoy.address(), &good);
    assert_eq!(client.frame().unwrap().payload, b"hi");
    let sent = [text("hello"), frame(0x89, b""), frame(0x82, b"binary")].concat();
    client.send(&sent);
    while client.frame().is_some() {}
    drop(client);
    let mut client = Client::open(envoy.address(), &good);
    client.send(&text("<script>"));
    while client.frame().is_some() {}
    drop(client);

    for line in [
        r#"wsguard_handshakes_total{policy="chat",result="accepted"} 2"#,
        r#"wsguard_handshakes_total{policy="chat",result="refused",reason="origin_denied"} 1"#,
        r#"wsguard_handshakes_total{policy="chat",result="refused",reason="credentials_missing"} 1"#,
        r#"wsguard_handshakes_total{result="refused",reason="no_policy"} 1"#,
        // What was refused is no message; its bytes came all the same.
        r#"wsguard_messages_total{policy="chat",direction="client"} 1"#,
        r#"wsguard_messages_total{policy="chat",direction="server"} 2"#,
        &format!(r#"wsguard_bytes_total{{policy="chat",direction="client"}} {}"#, sent.len() + 14),
        r#"wsguard_violations_total{policy="chat",direction="client",reason="rule_matched",action="close",rule="no-scripts"} 1"#,
        r#"wsguard_closes_total{policy="chat",code="1008",by="wsguard"} 1"#,
        r#"wsguard_closes_total{policy="chat",code="1003",by="wsguard"} 1"#,
        r#"wsguard_connection_seconds_count{policy="chat"} 2"#,
        r#"wsguard_violations_total{policy="chat",direction="client",reason="type_denied",action="close"} 1"#,
        r#"wsguard_handshake_us_count{policy="chat"} 2"#,
        r#"wsguard_message_bytes_count{policy="chat",direction="client"} 1"#,
        r#"wsguard_message_bytes_count{policy="chat",direction="server"} 2"#,
        r#"wsguard_connections{policy="chat"} 0"#,
        "wsguard_buffered_bytes{} 0",
    ] {
        envoy.metric(line);
    }
    for family in Family::ALL {
        let kind = match family.kind() {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
            MetricKind::Histogram => "histogram",
        };
        envoy.metric(&format!("# TYPE {} {kind}", family.name()));
    }
    // A label that no tag has taken would still stand in a name.
    let page = page(&envoy);
    let types = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let names: BTreeSet<_> = types.map(|line| line.split_once(' ').unwrap().0).collect();
    assert_eq!(names, Family::ALL.iter().map(|family| family.name()).collect());
}

#[test]
fn held_bytes_are_in_the_gauge_until_they_are_not() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy =
        Envoy::start(&bootstrap(&json!({"policies": [{"name": "chat"}]}), upstream.address));
    let name = "wsguard_buffered_bytes";
    let mut clients: Vec<_> =
        (0..4).map(|_| Client::open(envoy.address(), &Request::upgrade("/ws"))).collect();
    let first = frame(0x01, &[b'a'; 100_000]);
    for client in &mut clients {
        client.send(&first);
    }
    wait_for("four messages to be held", || gauge(&envoy, name).filter(|bytes| *bytes >= 400_000));
    // One is completed, one is refused, one's client dies, one goes on waiting.
    clients[0].send(&frame(0x80, b"b"));
    clients[1].send(&frame(0x81, b"b"));
    clients.remove(2);
    wait_for("one message to be held", || {
        gauge(&envoy, name).filter(|bytes| (100_000..200_000).contains(bytes))
    });
    drop(clients);
    wait_for("nothing to be held", || gauge(&envoy, name).filter(|bytes| *bytes == 0));
}

#[test]
fn handshakes_that_are_reported_or_upstreams_own_refusal_are_told_apart() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [
        {
            "name": "watched", "mode": "report", "match": {"paths": ["/watched"]},
            "handshake": {"origins": ["https://app.example.com"]},
            "client": {"types": ["binary"]},
        },
        {
            "name": "chat", "match": {"paths": ["/ws", "/gone"]},
            "client": {"types": ["binary"], "on_violation": "report"},
        },
    ]});
    let mut tree = bootstrap(&document, upstream.address);
    let host = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/route_config\
                /virtual_hosts/0/routes";
    let routes = tree.pointer_mut(host).unwrap().as_array_mut().unwrap();
    routes.insert(0, json!({"match": {"prefix": "/gone"}, "direct_response": {"status": 404}}));
    let tags = examples::section("http.yaml", "stats_config");
    let whole =
        format!("admin: {}\nstatic_resources: {}\n{tags}", tree["admin"], tree["static_resources"]);
    let envoy = Envoy::start_with(&whole, &[]);

    let mut watched = Client::open(envoy.address(), &Request::upgrade("/watched"));
    watched.send(&text("a"));
    let mut chat = Client::open(envoy.address(), &Request::upgrade("/ws"));
    chat.send(&[text("a"), text("b")].concat());
    assert_eq!(Client::ask(envoy.address(), &Request::upgrade("/gone")).1.status, 404);
    for line in [
        r#"wsguard_handshakes_total{policy="watched",result="reported",reason="origin_denied"} 1"#,
        r#"wsguard_handshakes_total{policy="chat",result="accepted"} 1"#,
        r#"wsguard_handshakes_total{policy="chat",result="upstream"} 1"#,
        r#"wsguard_violations_total{policy="watched",direction="client",reason="type_denied",action="report"} 1"#,
        r#"wsguard_violations_total{policy="chat",direction="client",reason="type_denied",action="report"} 2"#,
        // What is only reported went by, and counts.
        r#"wsguard_messages_total{policy="chat",direction="client"} 2"#,
    ] {
        envoy.metric(line);
    }
    // Each handshake counts once.
    assert_eq!(page(&envoy).lines().filter(|l| l.starts_with("wsguard_handshakes_")).count(), 3);
}
