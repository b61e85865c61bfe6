//! Which policy a request meets, however its path is spelled. Envoy's own
//! normalization is off here, so that it is the filter that decides.

use super::edge;
use crate::client::Request;
use crate::edge::{Site, detail};
use crate::upstream::Script;
use serde_json::{Value, json};

pub(super) fn sites() -> Vec<Site> {
    let hosts = json!({"policies": [
        {"name": "admin", "match": {"hosts": ["admin.example.com", "*.ops.example.com"]},
         "handshake": {"origins": ["https://app.example.com"]}},
    ]});
    vec![
        Site::new("paths", rooms()),
        Site::before(Script::Raw(OK), "plain-paths", rooms()),
        Site::new("hosts", hosts.clone()),
        Site::before(Script::Raw(OK), "plain-hosts", hosts),
    ]
}

/// The first lets everyone in, so that a refusal shows which one a request met.
fn rooms() -> Value {
    json!({"policies": [
        {"name": "ws", "match": {"paths": ["/ws"]}},
        {"name": "rooms", "match": {"paths": ["/rooms/*"]},
         "handshake": {"origins": ["https://app.example.com"]}},
    ]})
}

#[test]
fn a_path_meets_the_policy_of_its_normal_form_and_upstream_sees_that() {
    let edge = edge("paths");
    for spelled in [
        "/ws",
        "//ws",
        "///ws",
        "/%77s",
        "/%77%73",
        "/x/../ws",
        "/x/%2e%2e/ws",
        "/x/.%2E/ws",
        "/./ws",
        "/.//ws",
        "/rooms/../ws",
        "/rooms/%2e%2e/ws",
        "/rooms/a/../../ws",
    ] {
        assert_eq!(edge.opens(&Request::upgrade(spelled)).head.target(), "/ws", "{spelled}");
        let with_query = format!("{spelled}?a=%2F..//b?c");
        let opened = edge.opens(&Request::upgrade(&with_query));
        assert_eq!(opened.head.target(), "/ws?a=%2F..//b?c", "{spelled}");
    }
    let page = |path: &str| Request::upgrade(path).with("origin", "https://app.example.com");
    for (spelled, seen) in [
        ("/rooms/a", "/rooms/a"),
        ("/rooms//a", "/rooms/a"),
        ("/rooms/a/.", "/rooms/a/"),
        ("/ws/../rooms/%61", "/rooms/a"),
        ("/rooms/%c3%a4%3f", "/rooms/%C3%A4%3F"),
    ] {
        assert_eq!(edge.opens(&page(spelled)).head.target(), seen);
        edge.refuses(&Request::upgrade(spelled), 403, "origin_denied");
    }
}

#[test]
fn a_path_that_servers_read_differently_is_refused() {
    let edge = edge("paths");
    for (path, told) in [
        ("/ws%2f", "encoded slash"),
        ("/x%2f..%2fws", "encoded slash"),
        ("/\\ws", "backslash"),
        ("/x/..\\ws", "backslash"),
        ("/ws%5c", "backslash"),
        ("/ws/..;/x", "; parameter"),
        ("/x/..;a=b/ws", "; parameter"),
        ("/x/%2e%2e%3b/ws", "; parameter"),
        ("/..", "leaves the root"),
        ("/../ws", "leaves the root"),
        ("/%2e%2e/ws", "leaves the root"),
        ("/x//../ws", "double slash"),
        ("/ws%00", "control character"),
        ("/ws%0d%0ax:%20y", "control character"),
        ("/ws%", "two hexadecimal digits"),
        ("/ws%u0041", "two hexadecimal digits"),
        ("/ws%ff", "no UTF-8"),
        ("/%c0%afws", "no UTF-8"),
    ] {
        let answer = edge.refuses(&Request::upgrade(path), 400, "handshake_malformed");
        assert!(detail(&answer).contains(told), "{path}: {}", detail(&answer));
    }
    // Envoy itself takes no fragment in a request.
    edge.stops(&Request::upgrade("/ws#x").bytes(), 400);
}

#[test]
fn a_path_that_only_resembles_a_policys_meets_none() {
    let edge = edge("paths");
    for path in ["/ws/%2e%2e/x", "/wsx", "/%2577s", "/x/ws", "/ws%3F", "/ws%3fx", "/"] {
        edge.refuses(&Request::upgrade(path), 403, "no_policy");
    }
    // Servers that are less strict take these for a policy's.
    for path in ["/WS", "/ws/", "/ws.", "/rooms", "/Rooms/1", "/ws%20", "/%77s;v=1"] {
        let answer = edge.refuses(&Request::upgrade(path), 400, "handshake_malformed");
        assert!(detail(&answer).contains("match.exact"), "{path}: {}", detail(&answer));
    }
}

#[test]
fn a_host_meets_its_policy_in_any_case_with_port_and_trailing_dot() {
    let edge = edge("hosts");
    let to = |host: &str| Request::upgrade("/x").set("host", host);
    for host in [
        "admin.example.com",
        "ADMIN.example.com",
        "admin.example.com.",
        "admin.example.com:8443",
        "Admin.Example.Com.:80",
        "a.ops.example.com",
        "a.b.OPS.example.com",
    ] {
        edge.refuses(&to(host), 403, "origin_denied");
    }
    for host in ["ops.example.com", "xadmin.example.com", "admin.example.com.evil.example", "[::1]"]
    {
        edge.refuses(&to(host), 403, "no_policy");
    }
    // A target in absolute form: its host counts, not the Host line's.
    let absolute = Request::upgrade("http://admin.example.com/x");
    edge.refuses(&absolute, 403, "origin_denied");
    let other = Request::upgrade("http://other.example.com/x").set("host", "admin.example.com");
    edge.refuses(&other, 403, "no_policy");
}

#[test]
fn a_plain_request_cannot_reach_a_guarded_path_by_another_spelling() {
    let edge = edge("plain-paths");
    for path in ["/ws", "//ws", "/%77s", "/x/../ws", "/rooms/a", "/rooms/%2e%2e/ws"] {
        edge.refuses(&Request::plain(path), 426, "not_websocket");
    }
    for path in ["/x%2f..%2fws", "/x/..;/ws", "/x\\..\\ws", "/rooms%2fa", "/a//../ws", "/ws%2f"] {
        edge.refuses(&Request::plain(path), 400, "handshake_malformed");
    }
    for path in ["/x", "/y%2fz", "/ws/x", "/WS", "/a;b"] {
        let (_, answer, head) = edge.passes(&Request::plain(path));
        assert_eq!((answer.status, head.target()), (200, path), "and unchanged");
    }
}

#[test]
fn a_plain_request_at_a_host_without_policies_passes_however_its_path_is_spelled() {
    let edge = edge("plain-hosts");
    let to = |host: &str, path: &str| Request::plain(path).set("host", host);
    for path in ["/a%2Fb", "/a;b/..;/c", "/a//../b", "/%ff"] {
        let (_, answer, head) = edge.passes(&to("shop.example.com", path));
        assert_eq!((answer.status, head.target()), (200, path));
        edge.refuses(&to("admin.example.com", path), 400, "handshake_malformed");
        // Which policy this host is of is not certain.
        edge.refuses(&to("admin.example.com@shop", path), 400, "handshake_malformed");
    }
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";
