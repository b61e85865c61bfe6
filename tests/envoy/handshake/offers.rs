//! What a client may offer: subprotocols and compression.

use super::edge;
use crate::client::Request;
use crate::edge::{Site, detail};
use crate::upstream::Script;
use serde_json::{Value, json};

pub(super) fn sites() -> Vec<Site> {
    let policy = |handshake: Value| json!({"policies": [{"name": "ws", "handshake": handshake}]});
    let takes = Script::AcceptWith("sec-websocket-extensions: permessage-deflate");
    vec![
        Site::new("offers", policy(json!({}))),
        Site::new(
            "subprotocols",
            policy(json!({"subprotocols": ["ag-ui", "graphql-transport-ws"]})),
        ),
        Site::new("no-compression", policy(json!({"compression": "reject"}))),
        Site::before(takes, "compressing", policy(json!({}))),
    ]
}

const OFFER: &str = "sec-websocket-protocol";
const EXTENSIONS: &str = "sec-websocket-extensions";

#[test]
fn subprotocols_that_are_not_allowed_leave_the_offer() {
    let edge = edge("subprotocols");
    let offer = |names: &str| Request::upgrade("/ws").with(OFFER, names);
    for (offered, seen) in [
        ("ag-ui", "ag-ui"),
        ("chat, ag-ui", "ag-ui"),
        ("graphql-transport-ws,evil ,ag-ui", "graphql-transport-ws, ag-ui"),
    ] {
        assert_eq!(edge.opens(&offer(offered)).head.all(OFFER), [seen]);
    }
    let lines = offer("chat, ag-ui").with(OFFER, "mqtt").with(OFFER, "graphql-transport-ws");
    assert_eq!(edge.opens(&lines).head.all(OFFER), ["ag-ui, graphql-transport-ws"]);
    for denied in ["chat", "AG-UI", "chat, mqtt", "ag-ui2"] {
        let answer = edge.refuses(&offer(denied), 400, "subprotocol_denied");
        assert!(detail(&answer).contains("ag-ui, graphql-transport-ws"), "says what is allowed");
    }
    let none = edge.refuses(&Request::upgrade("/ws"), 400, "subprotocol_denied");
    assert!(detail(&none).contains("none is offered"));
}

#[test]
fn without_a_list_every_offer_goes_on_as_it_came() {
    let edge = edge("offers");
    let offered = Request::upgrade("/ws").with(OFFER, "chat,  v2").with(OFFER, "mqtt");
    assert_eq!(edge.opens(&offered).head.all(OFFER), ["chat,  v2", "mqtt"]);
    assert!(!edge.opens(&Request::upgrade("/ws")).head.has(OFFER));
}

#[test]
fn compression_is_stripped_from_the_offer() {
    let edge = edge("offers");
    for offered in ["permessage-deflate; client_max_window_bits", "x-webkit-deflate-frame, mux"] {
        let request = Request::upgrade("/ws").with(EXTENSIONS, offered);
        let opened = edge.opens(&request.with(EXTENSIONS, "permessage-deflate"));
        assert!(!opened.head.has(EXTENSIONS));
        assert_eq!(opened.answer.header(EXTENSIONS), None);
    }
}

#[test]
fn compression_that_upstream_takes_all_the_same_is_refused() {
    let edge = edge("compressing");
    for request in
        [Request::upgrade("/ws"), Request::upgrade("/ws").with(EXTENSIONS, "permessage-deflate")]
    {
        let (_, answer, head) = edge.passes(&request);
        assert_eq!((answer.status, answer.reason().as_str()), (502, "upstream_handshake"));
        assert!(detail(&answer).contains("extension"));
        assert!(!head.has(EXTENSIONS));
    }
}

#[test]
fn compression_can_be_refused() {
    let edge = edge("no-compression");
    let offer = |names: &str| Request::upgrade("/ws").with(EXTENSIONS, names);
    for offered in [
        "permessage-deflate",
        "Permessage-Deflate; server_no_context_takeover",
        "mux, permessage-bzip2",
        "x-webkit-deflate-frame",
    ] {
        edge.refuses(&offer(offered), 400, "compression_denied");
    }
    let second = offer("mux").with(EXTENSIONS, "permessage-deflate");
    edge.refuses(&second, 400, "compression_denied");
    edge.opens(&Request::upgrade("/ws"));
    // What is not compression is not refused, and not passed on either.
    assert!(!edge.opens(&offer("mux; max-channels=4")).head.has(EXTENSIONS));
}
