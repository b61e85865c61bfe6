use super::*;
use crate::config::Config;
use crate::frame::{FrameHeader, Opcode};
use crate::host::Timestamp;
use crate::host::memory::MemoryHost;
use crate::http1::MAX_HEADERS;
use crate::reason::Reason;
use proptest::prelude::*;
use serde_json::{Value, json};

mod answers;
mod counted;
mod report;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
/// Text `hi`, masked with zeros.
const HI: &[u8] = b"\x81\x82\0\0\0\0hi";

struct Rig {
    host: Rc<MemoryHost>,
    guard: Rc<Guard>,
    connection: StreamConnection,
}

/// What goes on of a chunk, and what became of the connection.
type Seen = (Vec<u8>, bool, Option<Reason>);

impl Rig {
    fn new(members: Value) -> Self {
        let mut document = json!({
            "filter": "stream",
            "policies": [{
                "name": "chat",
                "match": {"paths": ["/ws"]},
                "handshake": {"origins": ["https://app.example.com"], "missing_origin": "allow"},
                "client": {"rules": [{"name": "r", "pattern": "<script", "action": "close"}]},
            }],
        });
        for (key, value) in members.as_object().unwrap() {
            document[key] = value.clone();
        }
        let environment = |_: &str| Some("an-api-key-of-tests".to_owned());
        let config = Config::parse(&document.to_string(), &environment).unwrap();
        let host =
            Rc::new(MemoryHost::at(Timestamp::from_unix(Duration::from_secs(1_800_000_000))));
        let guard = Guard::new(config, Rc::clone(&host) as _);
        let peer = Peer { source: "192.0.2.7".parse().ok(), connection: Some(42) };
        let connection = StreamConnection::new(Rc::clone(&guard), peer);
        Self { host, guard, connection }
    }

    fn enforce() -> Self {
        Self::new(json!({}))
    }

    fn report() -> Self {
        Self::new(json!({"mode": "report"}))
    }

    fn send(&mut self, sender: Sender, bytes: impl AsRef<[u8]>) -> Seen {
        let bytes = bytes.as_ref();
        let mut out = Vec::new();
        let outcome = self.connection.on_data(sender, bytes, false, &mut out);
        let on = if outcome.forwarded == Forwarded::Unchanged { bytes.to_vec() } else { out };
        (on, outcome.reset, outcome.refused)
    }

    fn client(&mut self, bytes: impl AsRef<[u8]>) -> Seen {
        self.send(Sender::Client, bytes)
    }

    fn server(&mut self, bytes: impl AsRef<[u8]>) -> Seen {
        self.send(Sender::Server, bytes)
    }

    fn open() -> Self {
        let mut rig = Self::enforce();
        assert_eq!(rig.client(upgrade("")), on(upgrade("")));
        assert_eq!(rig.server(SWITCH), on(SWITCH));
        rig.events();
        rig
    }

    fn events(&self) -> Vec<Value> {
        let lines = self.host.take_lines();
        lines
            .iter()
            .map(|(_, line)| line.strip_prefix("wsguard ").unwrap().parse().unwrap())
            .collect()
    }

    /// The one event since the last look.
    fn event(&self) -> Value {
        let mut events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events.remove(0)
    }

    fn held_bytes(&self) -> u64 {
        self.guard.budget().used_bytes()
    }
}

fn on(bytes: impl AsRef<[u8]>) -> Seen {
    (bytes.as_ref().to_vec(), false, None)
}

fn closed(reason: Reason) -> Seen {
    (Vec::new(), true, Some(reason))
}

fn upgrade(more: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n{more}\r\n"
    )
}

#[test]
fn an_accepted_upgrade_opens_a_guarded_tunnel() {
    let mut rig = Rig::open();
    assert_eq!(rig.held_bytes(), 0, "heads that have gone on are held no more");
    assert_eq!(rig.client(HI), on(HI));
    assert_eq!(rig.server(b"\x81\x02ok"), on(b"\x81\x02ok"));
    let (close, reset, reason) = rig.client(b"\x81\x87\0\0\0\0<script");
    assert_eq!((&close[..2], close.len(), reset), (&b"\x88\x82"[..], 8, false));
    assert_eq!(reason, Some(Reason::RuleMatched));
    let echo = rig.server(b"\x88\x02\x03\xf0");
    assert_eq!(echo, on(b"\x88\x0e\x03\xf0rule_matched"));
    rig.connection.on_end();
    rig.connection.on_end();
    let events = rig.events();
    let kinds: Vec<_> = events.iter().map(|e| e["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["refused", "closed"]);
    assert_eq!((&events[1]["ip"], &events[1]["connection"]), (&json!("192.0.2.7"), &json!("42")));
}

#[test]
fn nothing_goes_on_before_the_head_is_whole_and_judged() {
    let mut rig = Rig::enforce();
    let head = upgrade("X-Mine: 1\r\n");
    for byte in &head.as_bytes()[..head.len() - 1] {
        assert_eq!(rig.client([*byte]), on(b""));
    }
    assert!(rig.held_bytes() >= head.len() as u64 - 1);
    assert_eq!(rig.client(b"\n"), on(&head));
    let (last, rest) = SWITCH.as_bytes().split_last().map(|(last, rest)| ([*last], rest)).unwrap();
    for byte in rest {
        assert_eq!(rig.server([*byte]), on(b""));
    }
    // Frames behind the head go on with it.
    let (seen, ..) = rig.server([&last[..], b"\x81\x02ok"].concat());
    assert_eq!(seen, [SWITCH.as_bytes(), b"\x81\x02ok"].concat());
}

#[test]
fn the_first_request_must_be_an_accepted_upgrade() {
    let plain = |target: &str| format!("GET {target} HTTP/1.1\r\nHost: h\r\n\r\n");
    for (head, reason, policy) in [
        (plain("/ws"), Reason::NotWebsocket, json!("chat")),
        (plain("/other?token=s"), Reason::NotWebsocket, Value::Null),
        (upgrade("").replace("/ws", "/other"), Reason::NoPolicy, Value::Null),
        (upgrade("Origin: https://evil.example\r\n"), Reason::OriginDenied, json!("chat")),
        (upgrade("").replace("13", "8"), Reason::VersionUnsupported, json!("chat")),
        (upgrade("Content-Length: 3\r\n"), Reason::HandshakeMalformed, json!("chat")),
        (upgrade("Transfer-Encoding: chunked\r\n"), Reason::HandshakeMalformed, json!("chat")),
        (upgrade("").replace("1.1", "1.0"), Reason::HandshakeMalformed, Value::Null),
        (upgrade("Host: h\r\n"), Reason::HandshakeMalformed, Value::Null),
        (upgrade(" folded\r\n"), Reason::HandshakeMalformed, Value::Null),
        (upgrade("a: b\nc: d\r\n"), Reason::HandshakeMalformed, Value::Null),
        (upgrade(&"a: b\r\n".repeat(MAX_HEADERS)), Reason::HandshakeMalformed, Value::Null),
        ("x".repeat(70_000), Reason::HandshakeMalformed, Value::Null),
    ] {
        let mut rig = Rig::enforce();
        assert_eq!(rig.client(&head), closed(reason), "{head}");
        let event = rig.event();
        assert_eq!((&event["event"], &event["policy"]), (&json!("refused"), &policy), "{head}");
        assert_eq!(event["reason"], reason.name());
        assert_eq!((&event["ip"], &event["connection"]), (&json!("192.0.2.7"), &json!("42")));
        assert!(event["detail"].as_str().is_some_and(|detail| !detail.is_empty()));
        assert!(!event.to_string().contains("token"), "{event}");
        assert_eq!(rig.held_bytes(), 0);
        // A second request finds nothing there any more.
        assert_eq!(rig.client(upgrade("")), on(b""));
        assert_eq!(rig.server(SWITCH), on(b""));
        rig.connection.on_end();
        assert!(rig.events().is_empty());
        let label = if policy.is_null() { "" } else { "policy=\"chat\"," };
        let metric = format!(
            "wsguard_handshakes_total{{{label}result=\"refused\",reason=\"{}\"}}",
            reason.name()
        );
        assert_eq!(rig.host.metric(&metric), 1, "{metric}");
    }
}

#[test]
fn what_comes_behind_the_upgrade_before_the_answer_is_refused() {
    // Pipelined with the head, upstream sees not even that.
    for behind in [upgrade("").into_bytes(), HI.to_vec(), b"x".to_vec()] {
        for mode in [json!({}), json!({"mode": "report"})] {
            let mut rig = Rig::new(mode);
            let both = [upgrade("").as_bytes(), &behind].concat();
            assert_eq!(rig.client(&both), closed(Reason::ProtocolError));
            assert_eq!(rig.event()["reason"], "protocol_error");
            // Later, it sees the head and nothing else.
            let mut rig = Rig::enforce();
            assert_eq!(rig.client(upgrade("")), on(upgrade("")));
            assert_eq!(rig.client(&behind), closed(Reason::ProtocolError));
            assert_eq!(rig.server(SWITCH), on(b""));
        }
    }
}

#[test]
fn edits_reach_upstream_and_credentials_do_not() {
    let mut rig = Rig::new(json!({"policies": [{
        "name": "chat",
        "auth": {
            "credentials": [{"query": "token"}, {"header": "x-api-key"}],
            "api_keys": [{"id": "robot", "key": {"env": "KEY"}}],
            "identity_headers": {"x-user-id": "sub"},
        },
    }]}));
    let head = upgrade("X_User-ID: root\r\nX-Api-Key: k\r\nSec-WebSocket-Extensions: a\r\n")
        .replace("GET /ws ", "GET //ws?a=b&token=an-api-key-of-tests ")
        .replace("Connection: Upgrade", "Connection: Upgrade, X-Mine");
    let (seen, reset, _) = rig.client(&head);
    let seen = String::from_utf8(seen).unwrap();
    assert!(!reset && seen.starts_with("GET /ws?a=b HTTP/1.1\r\nHost: h\r\n"), "{seen}");
    let lower = seen.to_ascii_lowercase();
    for gone in ["root", "api-key", "tests", "extensions", "x-mine"] {
        assert!(!lower.contains(gone), "{gone} in {seen}");
    }
    assert!(lower.contains("connection: upgrade\r\n") && lower.ends_with("\r\n\r\n"), "{seen}");
    assert_eq!(rig.connection.policy_name(), Some("chat"));
    assert_eq!(rig.connection.user(), Some("key:robot"));
}

#[test]
fn a_slow_head_ends_the_connection() {
    let mut rig = Rig::enforce();
    rig.client(b"GET /ws HT");
    for _ in 0..9 {
        rig.host.advance(Duration::from_secs(1));
        rig.client(b"T");
        assert!(!rig.connection.on_tick().reset);
    }
    rig.host.advance(Duration::from_secs(1));
    let outcome = rig.connection.on_tick();
    assert_eq!((outcome.reset, outcome.refused), (true, Some(Reason::HandshakeMalformed)));
    assert!(rig.event()["detail"].as_str().unwrap().contains("10 s"));
    assert!(!rig.connection.on_tick().reset, "once");
    assert_eq!(rig.client(b"TP/1.1\r\n"), on(b""));
    assert_eq!(rig.held_bytes(), 0);
}

#[test]
fn an_endless_head_is_refused_at_the_same_byte_however_it_is_cut() {
    for size in [1, 2, 7, 4096] {
        let mut rig = Rig::enforce();
        let endless = [upgrade("").trim_end().as_bytes(), &vec![b'x'; 70_000]].concat();
        let seen = endless.chunks(size).map(|chunk| rig.client(chunk)).find(|seen| seen.1);
        assert_eq!(seen, Some(closed(Reason::HandshakeMalformed)), "{size}");
        assert!(rig.event()["detail"].as_str().unwrap().contains("60 KiB"));
    }
}

proptest! {
    /// What a conversation brings to each side does not depend on how it is cut.
    #[test]
    fn any_cut_brings_the_same(
        request_cut in 1usize..200, answer_cut in 1usize..200, size in 0usize..70_000,
    ) {
        let mut message = Vec::new();
        let payload_bytes = u64::try_from(size).unwrap();
        let (opcode, mask) = (Opcode::Binary, Some([0; 4]));
        FrameHeader { fin: true, compressed: false, opcode, mask, payload_bytes }.encode(&mut message);
        message.resize(message.len() + size, 7);
        let mut rig = Rig::enforce();
        let mut up = Vec::new();
        for chunk in upgrade("").as_bytes().chunks(request_cut) {
            up.extend(rig.client(chunk).0);
        }
        prop_assert_eq!(up, upgrade("").into_bytes());
        let answer = [SWITCH.as_bytes(), b"\x81\x02ok"].concat();
        let mut down = Vec::new();
        for chunk in answer.chunks(answer_cut) {
            down.extend(rig.server(chunk).0);
        }
        prop_assert_eq!(down, answer);
        let mut up = Vec::new();
        for chunk in message.chunks(answer_cut * 97) {
            up.extend(rig.client(chunk).0);
        }
        prop_assert_eq!(up, message);
    }
}
