//! Every host call. Values are read as bytes: the SDK's string getters trap
//! the VM on bytes that are not UTF-8, and its setters trap on a status they
//! don't expect, so each is called only where the host can't refuse it.

use super::body::Body;
use crate::frame::Sender;
use crate::handshake::{HeadEdits, Headers, RequestHead};
use crate::host::{CallAnswer, MAX_ANSWER_BYTES};
use crate::quota::Salt;
use crate::session::{Arrival, Peer, Refusal};
use proxy_wasm::hostcalls;
use proxy_wasm::types::{BufferType, LogLevel, MapType};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::time::Duration;

mod envoy;

pub(super) use envoy::Envoy;

const OTHER_KIND: &str = "; does `filter` in its configuration say what it is in Envoy, http before \
                          the router or stream before tcp_proxy?";

/// Registers the root context, and makes a panic say where it happened (but
/// nothing of what it was about: that may be a client's data).
pub(super) fn start(root: proxy_wasm::types::NewRootContext) {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(ToString::to_string).unwrap_or_default();
        // The SDK finds no context of the kind that Envoy calls.
        let hint = if place.contains("dispatcher.rs") { OTHER_KIND } else { "" };
        let _ = hostcalls::log(LogLevel::Critical, &format!("wsguard trapped at {place}{hint}"));
    }));
    proxy_wasm::set_root_context(root);
}

/// Random bytes, as WASI gives them to the standard library for its maps.
pub(super) fn random() -> Salt {
    let halves = [RandomState::new().hash_one(0u8), RandomState::new().hash_one(1u8)];
    let mut bytes = [0; 16];
    for (byte, random) in bytes.iter_mut().zip(halves.iter().flat_map(|half| half.to_be_bytes())) {
        *byte = random;
    }
    Salt(bytes)
}

/// What came of the call whose callback this is, by the numbers it brings.
pub(super) fn call_answer(headers: usize, body_bytes: usize) -> CallAnswer {
    if headers == 0 {
        return CallAnswer::Reset;
    }
    if body_bytes > MAX_ANSWER_BYTES {
        return CallAnswer::TooLong;
    }
    let status = hostcalls::get_map_value_bytes(MapType::HttpCallResponseHeaders, ":status");
    let status = status.ok().flatten();
    let status = status.and_then(|text| std::str::from_utf8(&text).ok()?.parse().ok());
    let body = match body_bytes {
        0 => Some(Vec::new()),
        _ => hostcalls::get_buffer(BufferType::HttpCallResponseBody, 0, body_bytes).ok().flatten(),
    };
    match (status, body.filter(|body| body.len() == body_bytes)) {
        (Some(status), Some(body)) => CallAnswer::Whole { status, body },
        _ => CallAnswer::Reset,
    }
}

/// The bytes of this body callback; `None` where the host does not give them
/// all.
pub(super) fn body(which: Body, size: usize) -> Option<Vec<u8>> {
    if size == 0 {
        return Some(Vec::new());
    }
    let bytes = hostcalls::get_buffer(which.buffer(), 0, size).ok().flatten()?;
    (bytes.len() == size).then_some(bytes)
}

/// Puts `bytes` in the place of this body callback's bytes; whether that was
/// done.
#[must_use]
pub(super) fn replace_body(which: Body, size: usize, bytes: &[u8]) -> bool {
    hostcalls::set_buffer(which.buffer(), 0, size, bytes).is_ok()
}

/// Writes `bytes` to the client of the current stream, whose response side waits
/// with nothing in it. Nothing else of the stream may be changed afterwards in
/// the same callback.
pub(super) fn write_to_client(bytes: &[u8]) -> bool {
    hostcalls::set_buffer(BufferType::HttpResponseBody, 0, 0, bytes).is_ok() && resume_response()
}

/// Lets what the response side holds go on, once this callback is over.
pub(super) fn resume_response() -> bool {
    hostcalls::resume_http_response().is_ok()
}

#[cfg(feature = "bench")]
fn has_header(name: &str) -> bool {
    hostcalls::get_map_value_bytes(MapType::HttpRequestHeaders, name)
        .is_ok_and(|value| value.is_some())
}

/// The request of the current stream, from its headers callback.
pub(super) fn arrival() -> Arrival {
    #[cfg(feature = "bench")]
    if has_header("x-wsguard-bench") {
        super::bench::run();
    }
    let mut head = RequestHead {
        method: Vec::new(),
        target: Vec::new(),
        authority: Vec::new(),
        headers: Headers::default(),
        source: source_address(),
        https: false,
        http2: property(&["request", "protocol"])
            .is_some_and(|version| !version.starts_with(b"HTTP/1")),
    };
    let mut lines = Vec::new();
    for (name, value) in hostcalls::get_map_bytes(MapType::HttpRequestHeaders).unwrap_or_default() {
        match name.as_str() {
            ":method" => head.method = value,
            ":path" => head.target = value,
            ":authority" => head.authority = value,
            pseudo if pseudo.starts_with(':') => {}
            _ => lines.push((name, value)),
        }
    }
    head.headers = Headers::new(lines);
    // Envoy writes this header by the connection, or by the proxy that it is
    // told to trust; `request.scheme` is the client's own word over HTTP/2.
    let scheme = |value: &[u8]| value == b"https";
    head.https = head.headers.all("x-forwarded-proto").next().is_some_and(scheme)
        && head.headers.all("x-forwarded-proto").all(scheme);
    // What `request.id` is, which would be one more call.
    let request_id = head.headers.all("x-request-id").next().map(<[u8]>::to_vec);
    Arrival { head, connection: connection_id(), request_id }
}

/// The client of the current connection.
pub(super) fn peer() -> Peer {
    Peer { source: source_address(), connection: connection_id() }
}

/// Whether the current connection is TLS, once its TLS handshake is over.
pub(super) fn is_tls() -> bool {
    property(&["connection", "tls_version"]).is_some_and(|version| !version.is_empty())
}

/// Status and headers of the answer, from its headers callback.
pub(super) fn answer() -> (u16, Headers) {
    let mut status = 0;
    let mut lines = Vec::new();
    for (name, value) in hostcalls::get_map_bytes(MapType::HttpResponseHeaders).unwrap_or_default()
    {
        if name == ":status" {
            status = std::str::from_utf8(&value).ok().and_then(|s| s.parse().ok()).unwrap_or(0);
        } else if !name.starts_with(':') {
            lines.push((name, value));
        }
    }
    (status, Headers::new(lines))
}

/// Whether the answer is a 101, from its headers callback.
pub(super) fn is_switch() -> bool {
    let status = hostcalls::get_map_value_bytes(MapType::HttpResponseHeaders, ":status");
    status.ok().flatten().is_some_and(|status| status == b"101")
}

/// A 101 of ours: Envoy gives every answer with a body a length and a type, which
/// no 101 may have (RFC 9110 §8.6).
pub(super) fn tidy_switch() {
    if is_switch() {
        for name in ["content-length", "content-type"] {
            let _ = hostcalls::remove_map_value(MapType::HttpResponseHeaders, name);
        }
    }
}

/// Applies edits to the request's head.
pub(super) fn edit_request(edits: &HeadEdits) {
    edit(MapType::HttpRequestHeaders, edits);
}

/// Sets path and query of the request, for access logs.
pub(super) fn set_target(target: &[u8]) {
    let _ = hostcalls::set_map_value_bytes(MapType::HttpRequestHeaders, ":path", Some(target));
}

/// Applies edits to the answer's head.
pub(super) fn edit_response(edits: &HeadEdits) {
    edit(MapType::HttpResponseHeaders, edits);
}

fn edit(map: MapType, edits: &HeadEdits) {
    for name in &edits.remove {
        let _ = hostcalls::remove_map_value(map, name);
    }
    for (name, value) in &edits.set {
        // Envoy's replace changes the first of several lines only: remove
        // first. A pseudo-header is there once, and can't be removed.
        if name.starts_with(':') {
            let _ = hostcalls::set_map_value_bytes(map, name, Some(value));
        } else {
            let _ = hostcalls::remove_map_value(map, name);
            let _ = hostcalls::add_map_value_bytes(map, name, value);
        }
    }
}

/// Answers the request in upstream's place.
pub(super) fn respond(refusal: &Refusal) {
    let headers = refusal.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let _ = hostcalls::send_http_response(refusal.status.into(), headers, Some(&refusal.body));
}

/// Lets the current stream's request go on that its headers callback held.
pub(super) fn resume_request() {
    let _ = hostcalls::resume_http_request();
}

/// Sends `bytes` on to the upstream of the current connection, whose last data
/// callback paused; whether that was done.
#[must_use]
pub(super) fn resume_downstream(bytes: &[u8]) -> bool {
    hostcalls::set_buffer(BufferType::DownstreamData, 0, 0, bytes).is_ok()
        && hostcalls::resume_downstream().is_ok()
}

/// Resets the current stream, both sides. The last thing a callback may do.
pub(super) fn reset() {
    let _ = hostcalls::reset_http_request();
}

/// Closes the current connection, once what was written to it before has been
/// sent; upstream's with it. The last thing a callback may do: what it leaves in
/// its buffer does not go on any more.
pub(super) fn close() {
    let _ = hostcalls::close_downstream();
}

/// The end that has broken the current HTTP stream off, if one of them did; from the
/// callback that it has ended. Envoy itself may have, for its own timeouts say.
pub(super) fn broken_off_by() -> Option<Sender> {
    let details = property(&["response", "code_details"])?;
    let by_client: [&[u8]; 3] =
        [b"downstream_remote_disconnect", b"http2.remote_reset", b"http2.remote_refuse"];
    if by_client.iter().any(|known| details.starts_with(known)) {
        return Some(Sender::Client);
    }
    details.starts_with(b"upstream_reset_after_response_started").then_some(Sender::Server)
}

/// Makes host calls be about the stream `id`; false when it has gone.
pub(super) fn enter(id: u32) -> bool {
    hostcalls::set_effective_context(id).is_ok()
}

/// Sets `wasm.wsguard.<name>` in filter state, for access logs. To be called
/// once per name and stream: filter state is write-once.
pub(super) fn set_filter_state(name: &str, value: &str) {
    let name = format!("wsguard.{name}");
    let _ = hostcalls::set_property(vec![&name], Some(value.as_bytes()));
}

/// Asks for ticks.
pub(super) fn tick_every(period: Duration) {
    let _ = hostcalls::set_tick_period(period);
}

/// The document that Envoy hands over, as JSON of this many bytes.
pub(super) fn document(size: usize) -> Vec<u8> {
    hostcalls::get_buffer(BufferType::PluginConfiguration, 0, size)
        .ok()
        .flatten()
        .unwrap_or_default()
}

/// What the operator calls the plugin whose root context this is: `name` and
/// `root_id`.
pub(super) fn plugin() -> [String; 2] {
    ["plugin_name", "plugin_root_id"].map(|name| {
        let value = property(&[name]).unwrap_or_default();
        String::from_utf8_lossy(&value).into_owned()
    })
}

fn property(path: &[&str]) -> Option<Vec<u8>> {
    hostcalls::get_property(path.to_vec()).ok().flatten()
}

fn connection_id() -> Option<u64> {
    let bytes = property(&["connection", "id"])?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn source_address() -> Option<std::net::IpAddr> {
    let address = property(&["source", "address"])?;
    let address: SocketAddr = std::str::from_utf8(&address).ok()?.parse().ok()?;
    Some(address.ip())
}
