//! What upstream answers to an upgrade: a tunnel opens on the one right 101,
//! and on nothing else.

use super::edge;
use crate::client::{ACCEPT, Client, Request, text};
use crate::edge::{Edge, Site, detail, first_close};
use crate::support::wait_for;
use crate::upstream::Script;
use serde_json::{Value, json};

/// At host `close.example.com`, refusals are told by close.
fn document() -> Value {
    json!({"policies": [
        {"name": "close", "match": {"hosts": ["close.example.com"]},
         "handshake": {"refuse_with": "close"}},
        {"name": "http"},
    ]})
}

pub(super) fn sites() -> Vec<Site> {
    let broken = broken().into_iter().map(|(name, script, _)| (name, script));
    let own = own().into_iter().map(|(name, _, script)| (name, script));
    let all = broken.chain(own).chain(proper());
    all.map(|(name, script)| Site::before(script, name, document())).collect()
}

/// Clients to whom no tunnel is open, though they send what they would on one.
#[derive(Default)]
struct Shut(Vec<(Edge, Client)>);

impl Shut {
    fn add(&mut self, edge: Edge, mut client: Client) {
        client.send(&text("into the tunnel"));
        self.0.push((edge, client));
    }

    /// Once Envoy is done with the clients, upstream has seen no byte of them.
    fn assert(mut self) {
        for (edge, client) in &mut self.0 {
            assert!(client.ends(), "{}: more was sent", edge.site);
        }
        for (edge, _) in self.0 {
            let bytes: Vec<u8> = edge.upstream.seen().into_iter().flat_map(|s| s.bytes).collect();
            assert_eq!(bytes, b"", "{}", edge.site);
        }
    }
}

const UPGRADE: &str = "upgrade: websocket";
const CONNECTION: &str = "connection: Upgrade";
const RIGHT: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// An answer of this status line with these header lines.
fn says(status: &str, lines: &[&str]) -> Script {
    let head: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    // Upstreams live as long as the process.
    Script::Raw(format!("HTTP/1.1 {status}\r\n{head}\r\n").into_bytes().leak())
}

fn switches(lines: &[&str]) -> Script {
    says("101 Switching Protocols", lines)
}

/// 101s and 2xx that open no tunnel, and what the refusal says of each.
fn broken() -> Vec<(&'static str, Script, &'static str)> {
    let wrong = "sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let other_case = "sec-websocket-accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    let deflate = "sec-websocket-extensions: permessage-deflate";
    let chat = "sec-websocket-protocol: chat";
    let neither = "neither 101 nor an error";
    let no_text = b"HTTP/1.1 101 X\r\nupgrade: websocket\x80\r\nconnection: \xff\r\n\r\n";
    vec![
        ("ok", Script::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"), neither),
        ("ok-upgrade", says("200 OK", &[UPGRADE, CONNECTION, RIGHT]), neither),
        ("no-content", says("204 No Content", &[]), neither),
        ("unknown", says("299 X", &["content-length: 0"]), neither),
        ("beyond", says("999 X", &["content-length: 0"]), neither),
        ("bare", switches(&[]), "Upgrade: websocket"),
        ("no-upgrade", switches(&[CONNECTION, RIGHT]), "Upgrade: websocket"),
        ("two", switches(&["upgrade: websocket, h2c", CONNECTION, RIGHT]), "Upgrade: websocket"),
        ("no-text", Script::Raw(no_text), "Upgrade: websocket"),
        ("no-connection", switches(&[UPGRADE, RIGHT]), "Connection: Upgrade"),
        ("no-accept", switches(&[UPGRADE, CONNECTION]), "no Sec-WebSocket-Accept"),
        ("wrong-accept", switches(&[UPGRADE, CONNECTION, wrong]), "does not answer"),
        ("other-case", switches(&[UPGRADE, CONNECTION, other_case]), "does not answer"),
        ("two-accepts", switches(&[UPGRADE, CONNECTION, RIGHT, RIGHT]), "more than one"),
        ("extension", switches(&[UPGRADE, CONNECTION, RIGHT, deflate]), "took an extension"),
        ("subprotocol", switches(&[UPGRADE, CONNECTION, RIGHT, chat]), "not offered"),
    ]
}

/// Refusals and redirects of upstream's own.
fn own() -> Vec<(&'static str, u16, Script)> {
    let denied = b"HTTP/1.1 403 X\r\nx-own: a\r\ncontent-length: 4\r\n\r\nnope";
    let moved = ["location: /elsewhere", "content-length: 0", "x-own: a"];
    // As a 426 should be (RFC 9110 §15.5.22), and what would be an answer to the
    // client's next request, were it to arrive.
    let asks = "HTTP/1.1 426 X\r\nupgrade: websocket\r\nconnection: Upgrade, keep-alive\r\n\
        x-own: a\r\ncontent-length: 4\r\n\r\nnopeHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
    vec![
        ("pretends", 403, says("403 X", &[UPGRADE, CONNECTION, RIGHT, "x-own: a"])),
        ("asks", 426, Script::Raw(asks.as_bytes())),
        ("moved", 301, says("301 Moved Permanently", &moved)),
        ("denied", 403, Script::Raw(denied)),
        ("busy", 503, says("503 X", &["x-own: a", "retry-after: 7", "content-length: 0"])),
    ]
}

/// 101s that open the tunnel.
fn proper() -> Vec<(&'static str, Script)> {
    let case = ["Upgrade: WebSocket", "Connection: keep-alive, UPGRADE", RIGHT];
    let hints = format!(
        "HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n\
         HTTP/1.1 101 X\r\n{UPGRADE}\r\n{CONNECTION}\r\n{RIGHT}\r\n\r\n"
    );
    let no_text = b"HTTP/1.1 101 \xff\r\nx: \x80\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    vec![
        ("proper", switches(&[UPGRADE, CONNECTION, RIGHT])),
        ("cases", switches(&case)),
        ("lines", switches(&[UPGRADE, "connection: x", "connection: upgrade", RIGHT])),
        ("proper-no-text", Script::Raw(no_text)),
        ("hints", Script::Raw(hints.into_bytes().leak())),
    ]
}

#[test]
fn an_answer_that_breaks_the_agreement_opens_no_tunnel() {
    let mut shut = Shut::default();
    for (name, _, told) in broken() {
        let at_http = edge(name);
        let (client, answer, _) = at_http.passes(&Request::upgrade("/ws"));
        let (status, reason, said) = (answer.status, answer.reason(), detail(&answer));
        assert_eq!((status, reason.as_str()), (502, "upstream_handshake"), "{name}");
        assert!(said.contains(told), "{name}: {said}");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        shut.add(at_http, client);

        let at_close = edge(name);
        let request = Request::upgrade("/ws").set("host", "close.example.com");
        let (mut client, answer, _) = at_close.passes(&request);
        assert_eq!((answer.status, answer.header("sec-websocket-accept")), (101, Some(ACCEPT)));
        let close = first_close(&mut client, &answer);
        assert_eq!(close, (1011, "upstream_handshake".to_owned()), "{name}");
        shut.add(at_close, client);
    }
    shut.assert();
}

#[test]
fn upstreams_own_refusal_passes_unchanged_and_opens_no_tunnel() {
    let mut shut = Shut::default();
    for (name, status, _) in own() {
        for host in ["chat.example.com", "close.example.com"] {
            let edge = edge(name);
            let (client, answer, _) = edge.passes(&Request::upgrade("/ws").set("host", host));
            assert_eq!((answer.status, answer.header("x-own")), (status, Some("a")), "{name}");
            match name {
                "moved" => assert_eq!(answer.header("location"), Some("/elsewhere")),
                "denied" => assert_eq!(answer.body, b"nope"),
                "asks" => {
                    assert_eq!(answer.body, b"nope");
                    assert_eq!(answer.header("connection"), Some("close"));
                    assert_eq!(answer.header("upgrade"), None);
                }
                "busy" => assert_eq!(answer.header("retry-after"), Some("7")),
                _ => {}
            }
            shut.add(edge, client);
        }
    }
    shut.assert();
}

#[test]
fn a_proper_answer_opens_whatever_stands_around_it() {
    for (name, _) in proper() {
        let edge = edge(name);
        let request = edge.marked_as_passing(&Request::upgrade("/ws"));
        let (mut client, answer) = Client::ask(edge.address, &request);
        assert_eq!(answer.status, 101, "{name}");
        assert_eq!(answer.header("sec-websocket-accept"), Some(ACCEPT), "{name}");
        client.send(&text("hello"));
        wait_for("the message to arrive", || {
            edge.seen(&request).filter(|seen| seen.bytes == text("hello"))
        });
        assert_eq!(edge.event(&request, "opened")["policy"], "http");
    }
}
