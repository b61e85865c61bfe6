//! What Envoy is started with, where it is no example.

use super::wasm;
use serde_json::{Value, json};
use std::net::SocketAddr;
use wsguard::metric::Label;

/// A bootstrap with one HTTP listener, wsguard with `document`, and `upstream`.
pub fn bootstrap(document: &Value, upstream: SocketAddr) -> Value {
    json!({
        "admin": {"address": socket_address("127.0.0.1", 0)},
        "stats_config": stats_tags(),
        "static_resources": {
            "listeners": [listener(document)],
            "clusters": [cluster(upstream)],
        },
    })
}

/// Makes labels of what stands in the names of metrics, as every example does.
pub fn stats_tags() -> Value {
    let tag = |label: Label| {
        let name = label.name();
        json!({"tag_name": name, "regex": format!(r"({name}=\.=(.*?);\.;)")})
    };
    json!({"stats_tags": Label::ALL.map(tag)})
}

/// The same with a proxy before Envoy that is trusted to say who the client is,
/// by what it appends to `x-forwarded-for`: so a test can be at any address.
pub fn behind_a_proxy(bootstrap: Value) -> Value {
    let mut bootstrap = bootstrap;
    for listener in bootstrap["static_resources"]["listeners"].as_array_mut().unwrap() {
        trust_a_proxy(listener);
    }
    bootstrap
}

/// The same of one listener.
pub fn trust_a_proxy(listener: &mut Value) {
    listener["filter_chains"][0]["filters"][0]["typed_config"]["xff_num_trusted_hops"] = 1.into();
}

/// A bootstrap whose first listener has its connections spread evenly over the
/// workers.
pub fn balanced(bootstrap: Value) -> Value {
    let mut bootstrap = bootstrap;
    bootstrap["static_resources"]["listeners"][0]["connection_balance_config"] =
        json!({"exact_balance": {}});
    bootstrap
}

pub fn socket_address(host: &str, port: u16) -> Value {
    json!({"socket_address": {"address": host, "port_value": port}})
}

pub fn cluster(upstream: SocketAddr) -> Value {
    json!({
        "name": "upstream",
        "per_connection_buffer_limit_bytes": 16384,
        "connect_timeout": "60s",
        "load_assignment": {
            "cluster_name": "upstream",
            "endpoints": [{"lb_endpoints": [{"endpoint": {
                "address": socket_address("127.0.0.1", upstream.port())
            }}]}],
        },
    })
}

/// An HTTP listener on a free port with wsguard before the router.
pub fn listener(document: &Value) -> Value {
    json!({
        "name": "edge",
        "address": socket_address("127.0.0.1", 0),
        "per_connection_buffer_limit_bytes": 65536,
        "filter_chains": [{"filters": [{
            "name": "envoy.filters.network.http_connection_manager",
            "typed_config": connection_manager(document),
        }]}],
    })
}

fn connection_manager(document: &Value) -> Value {
    let extension = "type.googleapis.com/envoy.extensions.filters";
    json!({
        "@type": format!("{extension}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": "edge",
        "codec_type": "AUTO",
        "use_remote_address": true,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{
                "match": {"prefix": "/"},
                "route": {"cluster": "upstream", "timeout": "0s"},
            }],
        }]},
        "http_filters": [
            {"name": "wsguard", "typed_config": wasm_filter(document)},
            {"name": "router", "typed_config": {
                "@type": format!("{extension}.http.router.v3.Router"),
            }},
        ],
    })
}

/// A bootstrap with these listeners before `upstream`.
pub fn bootstrap_of(listeners: &[Value], upstream: SocketAddr) -> Value {
    json!({
        "admin": {"address": socket_address("127.0.0.1", 0)},
        "stats_config": stats_tags(),
        "static_resources": {"listeners": listeners, "clusters": [cluster(upstream)]},
    })
}

/// A TCP listener on a free port with wsguard before `tcp_proxy`.
pub fn stream_listener(document: &Value) -> Value {
    let network = "type.googleapis.com/envoy.extensions.filters.network";
    json!({
        "name": "stream",
        "address": socket_address("127.0.0.1", 0),
        "per_connection_buffer_limit_bytes": 65536,
        "filter_chains": [{"filters": [
            {"name": "wsguard", "typed_config": wasm_plugin("network", document)},
            {"name": "envoy.filters.network.tcp_proxy", "typed_config": {
                "@type": format!("{network}.tcp_proxy.v3.TcpProxy"),
                "stat_prefix": "stream",
                "cluster": "upstream",
                "idle_timeout": "0s",
            }},
        ]}],
    })
}

fn wasm_filter(document: &Value) -> Value {
    wasm_plugin("http", document)
}

/// The plugin as a filter of this kind, `http` or `network`.
fn wasm_plugin(kind: &str, document: &Value) -> Value {
    let types = "type.googleapis.com";
    json!({
        "@type": format!("{types}/envoy.extensions.filters.{kind}.wasm.v3.Wasm"),
        "config": {
            "name": "wsguard",
            "root_id": "wsguard",
            "failure_policy": "FAIL_RELOAD",
            "configuration": {
                "@type": format!("{types}/google.protobuf.StringValue"),
                "value": document.to_string(),
            },
            "vm_config": {
                "vm_id": "wsguard",
                "runtime": "envoy.wasm.runtime.v8",
                "code": {"local": {"filename": wasm()}},
                "environment_variables": {"key_values": {
                    "TEST_SECRET": crate::TEST_SECRET,
                    "INTROSPECTION_SECRET": "Basic Y2xpZW50OnNlY3JldA==",
                    "TEST_API_KEY": crate::TEST_API_KEY,
                }},
            },
        },
    })
}
