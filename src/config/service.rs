//! A service of the operator's that is asked over HTTP: where it is, and how
//! long it may take.

use super::names;
use super::node::Node;
use super::object::Object;
use super::units::Bound;
use std::time::Duration;

/// In seconds. A handshake waits for it, and clients give up after some.
const TIMEOUT: Bound = Bound { most: 30, text: "30s" };
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(2);

/// In seconds. What was taken away holds for as long.
const CACHE: Bound = Bound { most: 3600, text: "1h" };

/// Reads `cluster`, `host` and `path`.
pub(super) fn read(object: &Object<'_>) -> Option<(String, String, String)> {
    let cluster = cluster(object);
    let host = object.require("host", "the service's name, for its `Host` header");
    let host = host.and_then(authority);
    let path = object.require("path", "one that begins with /").and_then(|node| {
        let path = node.line()?;
        node.take(names::path(path)).map(|()| path.to_owned())
    });
    Some((cluster?, host?, path?))
}

/// Reads `cluster`.
pub(super) fn cluster(object: &Object<'_>) -> Option<String> {
    let node = object.require("cluster", "the name of the cluster in Envoy's configuration")?;
    let name = node.line()?;
    node.take(names::cluster(name)).map(|()| name.to_owned())
}

/// Reads a `host`.
pub(super) fn authority(node: &Node<'_>) -> Option<String> {
    let host = node.line()?;
    node.take(names::authority(host)).map(|()| host.to_owned())
}

/// Reads `timeout`, or gives the default.
pub(super) fn timeout(object: &Object<'_>) -> Option<Duration> {
    object.get("timeout").map_or(Some(TIMEOUT_DEFAULT), |node| node.period(TIMEOUT))
}

/// Reads `cache`; without it every answer is asked for.
pub(super) fn cache(object: &Object<'_>) -> Option<Option<Duration>> {
    match object.get("cache") {
        None => Some(None),
        Some(node) => node.period(CACHE).map(Some),
    }
}
