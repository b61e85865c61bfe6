//! Identity headers that a client made up: removed from whatever passes.

use super::edge;
use crate::client::Request;
use crate::edge::Site;
use crate::upstream::Script;
use serde_json::{Value, json};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

pub(super) fn sites() -> Vec<Site> {
    vec![
        Site::new("identity", document()),
        Site::before(Script::Raw(OK), "plain-identity", document()),
    ]
}

/// A policy that sets identity headers, and others that set none.
fn document() -> Value {
    json!({
        "unmatched": "pass",
        "policies": [
            {"name": "auth", "match": {"paths": ["/auth"]}, "auth": {
                "credentials": [{"header": "x-api-key"}],
                "api_keys": [{"id": "dash", "key": {"env": "TEST_API_KEY"}}],
                "identity_headers": {"x-user-id": "sub", "x-workspace": "workspace"},
            }},
            {"name": "open", "match": {"paths": ["/open"]}, "handshake": {"plain_http": "pass"}},
        ],
    })
}

/// Every form in which a framework reads `x-user-id`, more than once.
fn forged(request: Request) -> Request {
    ["x-user-id", "X-User-Id", "x_user_id", "X_USER_ID", "x-user_id", "x_user-id", "x-user-id"]
        .iter()
        .fold(request, |request, name| request.with(name, "eve"))
        .with("x-workspace", "eve")
        .with("X_Workspace", "eve")
}

#[test]
fn upstream_gets_our_identity_headers_and_none_of_the_clients() {
    let edge = edge("identity");
    let request = Request::upgrade("/auth").with("x-api-key", crate::TEST_API_KEY);
    for request in [
        forged(request.clone()),
        // Hop-by-hop by the client's word: a next hop would drop ours.
        forged(request.clone().set("connection", "upgrade, x-user-id, x_user_id")),
        forged(request).with("connection", "x-user-id"),
    ] {
        let head = edge.opens(&request).head;
        assert_eq!(head.all("x-user-id"), ["key:dash"]);
        // The key has no such claim: not even an empty header.
        assert!(!head.has("x-workspace") && !head.mentions("eve"), "{head:?}");
        assert!(!head.all("connection")[0].contains("x-user-id"));
    }
}

#[test]
fn they_are_removed_where_no_policy_sets_them_too() {
    let edge = edge("identity");
    for path in ["/open", "/unmatched"] {
        let head = edge.opens(&forged(Request::upgrade(path))).head;
        assert!(!head.mentions("eve"), "{path}: {head:?}");
    }
}

#[test]
fn they_are_removed_from_plain_requests() {
    let edge = edge("plain-identity");
    for path in ["/open", "/unmatched", "/un%2fmatched"] {
        let (_, answer, head) = edge.passes(&forged(Request::plain(path)));
        assert_eq!(answer.status, 200);
        assert!(!head.mentions("eve"), "{path}: {head:?}");
    }
}
