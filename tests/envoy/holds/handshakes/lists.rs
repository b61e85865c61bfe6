//! Empty elements in lists (RFC 9110 §5.6.1), as senders make them that merge values: they
//! were 400.

use super::edge;
use crate::client::{Client, Request};
use crate::edge::Site;
use crate::support::{Envoy, bootstrap_of, stream_listener, wait_for};
use crate::upstream::{Recorder, Script};
use serde_json::json;

const OFFER: &str = "sec-websocket-protocol";
const EXTENSIONS: &str = "sec-websocket-extensions";

pub(super) fn sites() -> Vec<Site> {
    let document = json!({"policies": [{
        "name": "lists", "handshake": {"compression": "inspect"},
    }]});
    vec![Site::new("lists", document)]
}

#[test]
fn empty_elements_are_read_past_and_do_not_go_on() {
    let edge = edge("lists");
    let ws = || Request::upgrade("/ws");
    for offer in ["chat,", ", chat", ",,chat,", "chat , ,", "\t,chat"] {
        let head = edge.opens(&ws().with(OFFER, offer)).head;
        assert_eq!(head.all(OFFER), ["chat"], "{offer}");
    }
    let head = edge.opens(&ws().with(OFFER, "a,,b").with(OFFER, ",c")).head;
    assert_eq!(head.all(OFFER), ["a, b, c"]);
    let deflate = "permessage-deflate; client_max_window_bits";
    for offer in [format!("{deflate},"), format!(", {deflate}"), format!("x,,{deflate} ,")] {
        let head = edge.opens(&ws().with(EXTENSIONS, &offer)).head;
        assert_eq!(head.all(EXTENSIONS), [deflate], "{offer}");
    }
    for connection in ["Upgrade,", ",keep-alive,, Upgrade"] {
        let head = edge.opens(&ws().set("connection", connection)).head;
        assert!(!head.all("connection").concat().contains(",,"), "{:?}", head.all("connection"));
    }
    // What goes on as it came, does.
    assert_eq!(edge.opens(&ws().with(OFFER, "a,b")).head.all(OFFER), ["a,b"]);
}

#[test]
fn lists_of_nothing_and_endless_ones_are_malformed() {
    let edge = edge("lists");
    let many = ",".repeat(33);
    for request in [
        Request::upgrade("/ws").with(OFFER, ","),
        Request::upgrade("/ws").with(OFFER, ""),
        Request::upgrade("/ws").with(OFFER, " , ,").with(OFFER, ","),
        Request::upgrade("/ws").with(EXTENSIONS, ","),
        Request::upgrade("/ws").with(EXTENSIONS, "a;,b"),
        Request::upgrade("/ws").with(OFFER, format!("chat{many}")),
        Request::upgrade("/ws").with(OFFER, &many[1..]).with(OFFER, ",chat"),
        Request::upgrade("/ws").with(EXTENSIONS, format!("{many}x")),
        Request::upgrade("/ws").set("connection", format!("Upgrade{many}")),
    ] {
        edge.refuses(&request, 400, "handshake_malformed");
    }
}

/// Envoy's HTTP takes `websocket,` for another protocol than `websocket`; before `tcp_proxy`
/// nobody has read it before.
#[test]
fn before_tcp_proxy_the_upgrade_may_be_a_list_too() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"filter": "stream", "policies": [{"name": "chat"}]});
    let envoy = Envoy::start(&bootstrap_of(&[stream_listener(&document)], recorder.address));
    let requests = ["websocket,", ", WebSocket ,"].map(|upgrade| {
        Request::upgrade("/ws")
            .set("upgrade", upgrade)
            .set("connection", ",Upgrade")
            .with(OFFER, "chat,")
    });
    for (index, request) in requests.iter().enumerate() {
        let (_, answer) = Client::ask(envoy.address(), request);
        assert_eq!(answer.status, 101, "{answer:?}");
        let seen = wait_for("upstream", || recorder.seen().into_iter().nth(index));
        let head = seen.head.to_ascii_lowercase();
        for line in ["upgrade: websocket\r\n", "connection: upgrade\r\n"] {
            assert!(head.contains(line), "{head}");
        }
        assert!(head.contains("sec-websocket-protocol: chat\r\n"), "{head}");
    }
}
