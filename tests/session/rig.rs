//! An open connection, and frames to send on it.

use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use wsguard::config::Config;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::handshake::{Headers, RequestHead};
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::reason::Reason;
use wsguard::session::{Admission, Arrival, Forwarded, Opening, Session, admit};

/// When every test begins: 2026-11-22T10:00:00Z.
pub const BEGIN: Duration = Duration::from_secs(1_795_341_600);

/// One worker, its host, and one connection.
pub struct Rig {
    pub host: Rc<MemoryHost>,
    pub guard: Rc<Guard>,
    pub session: Session,
}

/// What became of a chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub bytes: Vec<u8>,
    pub reset: bool,
    pub refused: Option<Reason>,
}

/// A document with one policy `chat` whose `client` section is this.
pub fn client(rules: Value) -> Value {
    json!({"policies": [{"name": "chat", "client": rules}]})
}

/// The same in mode report.
pub fn reporting(rules: Value) -> Value {
    json!({"mode": "report", "policies": [{"name": "chat", "client": rules}]})
}

pub fn worker(document: &Value) -> (Rc<MemoryHost>, Rc<Guard>) {
    let host = Rc::new(MemoryHost::at(Timestamp::from_unix(BEGIN)));
    let config = Config::parse(&document.to_string(), &|_| None).unwrap();
    let guard = Guard::new(config, Rc::<MemoryHost>::clone(&host));
    (host, guard)
}

pub fn headers(lines: &[(&str, &str)]) -> Headers {
    Headers::new(lines.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect())
}

/// A proper upgrade, by the example of RFC 6455 §1.3, with more header lines.
pub fn arrival(more: &[(&str, &str)]) -> Arrival {
    let mut lines = vec![
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];
    lines.extend(more);
    let head = RequestHead {
        method: b"GET".to_vec(),
        target: b"/ws".to_vec(),
        authority: b"chat.example.com".to_vec(),
        headers: headers(&lines),
        source: Some([192, 0, 2, 7].into()),
        https: false,
        http2: false,
    };
    Arrival { head, connection: Some(42), request_id: None }
}

/// A session that waits for upstream's answer.
pub fn admitted(guard: &Rc<Guard>, arrival: &Arrival) -> Session {
    match admit(guard, arrival).admission {
        Admission::Guarded(session, _) => *session,
        other => panic!("not guarded: {other:?}"),
    }
}

/// Upstream's proper 101, with more header lines.
pub fn switching(more: &[(&str, &str)]) -> Headers {
    let mut lines = vec![
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    lines.extend(more);
    headers(&lines)
}

/// One more open connection of this worker.
pub fn opened(guard: &Rc<Guard>) -> Session {
    let mut session = admitted(guard, &arrival(&[]));
    match session.on_response(101, &switching(&[])) {
        Opening::Open(_) => session,
        other => panic!("not open: {other:?}"),
    }
}

/// Hands bytes over as a filter does.
pub fn hand(session: &mut Session, sender: Sender, bytes: &[u8]) -> Step {
    let mut out = Vec::new();
    let outcome = session.on_data(sender, bytes, &mut out);
    let bytes = match outcome.forwarded {
        Forwarded::Unchanged => {
            assert!(out.is_empty(), "bytes that nobody would see");
            bytes.to_vec()
        }
        Forwarded::Replaced => out,
    };
    Step { bytes, reset: outcome.reset, refused: outcome.refused }
}

impl Rig {
    /// An open connection; what was logged of its opening is taken away.
    pub fn open(document: &Value) -> Self {
        let (host, guard) = worker(document);
        let session = opened(&guard);
        host.take_lines();
        Self { host, guard, session }
    }

    /// A new connection of the same worker in the place of this one, a second
    /// later, so that the cap on event lines is not met.
    pub fn reopen(&mut self) {
        self.host.advance(Duration::from_secs(1));
        self.session = opened(&self.guard);
        self.host.take_lines();
    }

    /// The client sends; what goes on to the server.
    pub fn client(&mut self, bytes: &[u8]) -> Step {
        hand(&mut self.session, Sender::Client, bytes)
    }

    /// What is written to the client unasked.
    pub fn pushed(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        self.session.set_ready_to_push(true);
        self.session.push(&mut out);
        out
    }

    /// The client's Pong to the Ping that is pushed; what goes on in its place.
    pub fn turn(&mut self) -> Vec<u8> {
        self.turn_behind(b"")
    }

    /// The same, where the Ping is pushed behind something else.
    pub fn turn_behind(&mut self, ahead: &[u8]) -> Vec<u8> {
        let pushed = self.pushed();
        assert_eq!(pushed.get(..ahead.len()), Some(ahead), "{pushed:?}");
        let ping = &pushed[ahead.len()..];
        assert_eq!(ping.get(..2), Some(&[0x89, 8][..]), "{ping:?}");
        self.client(&masked(0x8A, &ping[2..])).bytes
    }

    /// The server sends; what goes on to the client.
    pub fn server(&mut self, bytes: &[u8]) -> Step {
        hand(&mut self.session, Sender::Server, bytes)
    }

    /// The client sends in pieces; everything that goes on.
    pub fn client_in(&mut self, pieces: &[&[u8]]) -> Vec<u8> {
        pieces.iter().flat_map(|piece| self.client(piece).bytes).collect()
    }

    /// Events since the last call.
    pub fn events(&self) -> Vec<Value> {
        events(&self.host)
    }

    /// The one event since the last call.
    pub fn event(&self) -> Value {
        let events = self.events();
        assert_eq!(events.len(), 1, "{events:?}");
        events[0].clone()
    }

    /// Bytes that the worker holds, as its gauge says.
    pub fn buffered(&self) -> i64 {
        self.guard.on_tick();
        self.host.metric("wsguard_buffered_bytes")
    }
}

/// Events that were logged since the last call; without what the operator is told
/// of services that fail.
pub fn events(host: &MemoryHost) -> Vec<Value> {
    let parse =
        |line: String| serde_json::from_str(line.strip_prefix("wsguard ").unwrap()).unwrap();
    let lines = host.take_lines().into_iter().map(|(_, line)| line);
    let told: Vec<Value> = lines.filter(|line| !line.contains(" by cluster ")).map(parse).collect();
    for detail in told.iter().filter_map(|event| event["detail"].as_str()) {
        assert!(!detail.contains("  ") && !detail.contains('\n'), "{detail:?}");
    }
    told
}

/// A frame; `first` is FIN, RSV and opcode, `key` the mask where it is one of
/// the client's.
pub fn raw(first: u8, payload: &[u8], key: Option<[u8; 4]>) -> Vec<u8> {
    let masked = if key.is_some() { 0x80 } else { 0 };
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(masked | u8::try_from(length).unwrap()),
        length @ 126..=65535 => {
            bytes.push(masked | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(masked | 127);
            bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend(key.iter().flatten());
    let key = key.unwrap_or_default();
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// A client's frame.
pub fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    raw(first, payload, Some([0x37, 0xfa, 0x21, 0x3d]))
}

/// A server's frame.
pub fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    raw(first, payload, None)
}

/// A client's whole text message.
pub fn text(payload: &str) -> Vec<u8> {
    masked(0x81, payload.as_bytes())
}

/// The Close that a client sees.
pub fn told_client(code: u16, reason: &str) -> Vec<u8> {
    plain(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}

/// Whether `bytes` are one masked Close with this code and reason, and nothing
/// else.
pub fn is_masked_close(bytes: &[u8], code: u16, reason: &str) -> bool {
    let Some(key) = bytes.get(2..6).and_then(|key| key.try_into().ok()) else { return false };
    bytes == raw(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat(), Some(key))
}

#[track_caller]
pub fn assert_masked_close(bytes: &[u8], code: u16, reason: &str) {
    assert!(is_masked_close(bytes, code, reason), "no Close({code}, {reason:?}): {bytes:02x?}");
}
