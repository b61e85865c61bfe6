//! What Envoy is started with.

use base64::Engine;
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::Path;

const FILTERS: &str = "type.googleapis.com/envoy.extensions.filters";

/// What a Lua script would do to look at messages: read every chunk.
const LUA: &str = "function read(handle)
  for chunk in handle:bodyChunks() do
    local bytes = chunk:getBytes(0, chunk:length())
  end
end
function envoy_on_request(handle) read(handle) end
function envoy_on_response(handle) read(handle) end";

/// A filter of Envoy's before the router.
pub fn http_filter(name: &str, config: Value) -> Value {
    json!({"name": name, "typed_config": config})
}

/// The Lua filter that reads what goes by.
pub fn lua() -> Value {
    http_filter(
        "lua",
        json!({
            "@type": format!("{FILTERS}.http.lua.v3.Lua"),
            "default_source_code": {"inline_string": LUA},
        }),
    )
}

/// The least that a wasm filter can do.
const COPIES: &str = include_str!("../peers/copies.wat");

/// A wasm filter that only has copied what goes by.
pub fn copies() -> Value {
    // Nothing, which Envoy refuses, where the text is wrong: the tests tell.
    let code = wat::parse_str(COPIES).unwrap_or_default();
    let code = base64::engine::general_purpose::STANDARD.encode(code);
    wasm("http", "copies", &json!({"inline_bytes": code}), "")
}

/// wsguard with this document, as a filter of this kind, `http` or `network`.
pub fn wsguard(kind: &str, wasm: &Path, document: &Value) -> Value {
    self::wasm(kind, "wsguard", &json!({"filename": wasm}), &document.to_string())
}

fn wasm(kind: &str, name: &str, code: &Value, configuration: &str) -> Value {
    http_filter(
        name,
        json!({
            "@type": format!("{FILTERS}.{kind}.wasm.v3.Wasm"),
            "config": {
                "name": name,
                "root_id": name,
                "failure_policy": "FAIL_RELOAD",
                "configuration": {
                    "@type": "type.googleapis.com/google.protobuf.StringValue",
                    "value": configuration,
                },
                "vm_config": {
                    "vm_id": name,
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": code},
                },
            },
        }),
    )
}

/// An HTTP listener with these filters before the router.
pub fn http(filters: &[Value], upstream: SocketAddr) -> Value {
    let mut http_filters = filters.to_vec();
    http_filters
        .push(http_filter("router", json!({"@type": format!("{FILTERS}.http.router.v3.Router")})));
    let manager = format!("{FILTERS}.network.http_connection_manager.v3.HttpConnectionManager");
    let manager = json!({"name": "http", "typed_config": {
        "@type": manager,
        "stat_prefix": "edge",
        "use_remote_address": true,
        "stream_idle_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": http_filters,
        "route_config": {"virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "upstream", "timeout": "0s"}}],
        }]},
    }});
    whole(&[manager], upstream)
}

/// A TCP listener with these filters before `tcp_proxy`.
pub fn stream(filters: &[Value], upstream: SocketAddr) -> Value {
    let mut filters = filters.to_vec();
    filters.push(json!({"name": "tcp_proxy", "typed_config": {
        "@type": format!("{FILTERS}.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": "stream",
        "cluster": "upstream",
        "idle_timeout": "0s",
    }}));
    whole(&filters, upstream)
}

fn whole(filters: &[Value], upstream: SocketAddr) -> Value {
    let address =
        |port: u16| json!({"socket_address": {"address": "127.0.0.1", "port_value": port}});
    let endpoint = json!({"endpoint": {"address": address(upstream.port())}});
    json!({
        "admin": {"address": address(0)},
        "static_resources": {
            "listeners": [{
                "name": "edge",
                "address": address(0),
                "per_connection_buffer_limit_bytes": 65_536,
                "filter_chains": [{"filters": filters}],
            }],
            "clusters": [{
                "name": "upstream",
                "connect_timeout": "2s",
                "per_connection_buffer_limit_bytes": 32_768,
                // A benchmark of more than 1,024 connections.
                "circuit_breakers": {"thresholds": [{
                    "max_connections": 100_000, "max_requests": 100_000,
                    "max_pending_requests": 100_000,
                }]},
                "load_assignment": {
                    "cluster_name": "upstream", "endpoints": [{"lb_endpoints": [endpoint]}],
                },
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_filter_that_only_copies_is_a_module() {
        let code = wat::parse_str(super::COPIES).unwrap();
        assert!(code.starts_with(b"\0asm"));
    }
}
