//! Listeners that come from a file which Envoy watches, as a control plane's
//! would: what an update does to them.

use super::support::{Envoy, cluster, socket_address, stats_tags, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tempfile::TempDir;

/// Envoy with listeners from a watched file.
pub struct Lds {
    pub envoy: Envoy,
    dir: TempDir,
    version: u32,
}

impl Lds {
    /// Starts with this listener.
    pub fn start(listener: &Value, upstream: SocketAddr) -> Self {
        Self::start_with(std::slice::from_ref(listener), upstream)
    }

    /// Starts with these listeners.
    pub fn start_with(listeners: &[Value], upstream: SocketAddr) -> Self {
        let dir = TempDir::new().unwrap();
        write(&dir, 1, listeners);
        let envoy = Envoy::start(&json!({
            "node": {"id": "test", "cluster": "test"},
            "admin": {"address": socket_address("127.0.0.1", 0)},
            "stats_config": stats_tags(),
            "static_resources": {"clusters": [cluster(upstream)]},
            "dynamic_resources": {"lds_config": {
                "resource_api_version": "V3",
                "path_config_source": {"path": dir.path().join("lds.json")},
            }},
        }));
        Self { envoy, dir, version: 1 }
    }

    /// Offers another form of the listener, which Envoy may take or not.
    pub fn offer(&mut self, listener: &Value) {
        self.offer_all(std::slice::from_ref(listener));
    }

    /// The same of all listeners.
    pub fn offer_all(&mut self, listeners: &[Value]) {
        self.version += 1;
        write(&self.dir, self.version, listeners);
    }

    /// A counter of Envoy's own.
    pub fn counter(&self, name: &str) -> u64 {
        let page = self.envoy.get(&format!("/stats?filter=^{name}$"));
        page.trim().rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or(0)
    }

    /// Waits until a counter stands there.
    pub fn wait_for(&self, name: &str, value: u64) {
        wait_for(&format!("{name} to be {value}"), || (self.counter(name) == value).then_some(()));
    }
}

/// Envoy looks at the file when another one is moved in its place, so that it
/// never reads half of one.
fn write(dir: &TempDir, version: u32, listeners: &[Value]) {
    let mut resources = listeners.to_vec();
    for resource in &mut resources {
        resource["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
    }
    let response = json!({"version_info": version.to_string(), "resources": resources});
    let new = dir.path().join("new");
    std::fs::write(&new, response.to_string()).unwrap();
    std::fs::rename(new, dir.path().join("lds.json")).unwrap();
}
