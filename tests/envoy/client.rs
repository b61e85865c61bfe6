//! A client that can misbehave: raw requests and frames over TCP. Well-behaved
//! clients are tokio-tungstenite and Python `websockets`.

use super::support::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;
use tokio::net::TcpSocket;

/// The key of RFC 6455 §1.3.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// A request head under construction.
#[derive(Clone, Debug)]
pub struct Request {
    pub line: String,
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// A proper upgrade of `path`.
    pub fn upgrade(path: &str) -> Self {
        Self { line: format!("GET {path} HTTP/1.1"), headers: Vec::new() }
            .with("host", "chat.example.com")
            .with("upgrade", "websocket")
            .with("connection", "Upgrade")
            .with("sec-websocket-key", KEY)
            .with("sec-websocket-version", "13")
    }

    /// A plain GET of `path`.
    pub fn plain(path: &str) -> Self {
        Self { line: format!("GET {path} HTTP/1.1"), headers: Vec::new() }
            .with("host", "chat.example.com")
    }

    /// One more header line.
    pub fn with(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let mut request = self;
        request.headers.push((name.to_owned(), value.as_ref().to_vec()));
        request
    }

    /// Without any line of this name.
    pub fn without(self, name: &str) -> Self {
        let mut request = self;
        request.headers.retain(|(n, _)| n != name);
        request
    }

    /// With this line in the place of all of its name.
    pub fn set(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).with(name, value)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.line.clone().into_bytes();
        bytes.extend_from_slice(b"\r\n");
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}

/// An answer to a request.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    /// What came behind the head in the same reads; all of the body for a
    /// refusal.
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (n, value) = line.split_once(':')?;
            n.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    /// The problem document's `reason`.
    pub fn reason(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// A connection.
pub struct Client {
    pub stream: TcpStream,
    /// Bytes read and not yet taken.
    rest: Vec<u8>,
}

/// A frame as the server sent it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub first: u8,
    pub payload: Vec<u8>,
}

impl Frame {
    /// Code and reason, of a Close.
    pub fn close(&self) -> (u16, String) {
        assert_eq!(self.first, 0x88, "not a Close: {self:?}");
        let code = u16::from_be_bytes([self.payload[0], self.payload[1]]);
        (code, String::from_utf8(self.payload[2..].to_vec()).unwrap())
    }
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, rest: Vec::new() }
    }

    /// Connects from this address of the machine.
    pub fn connect_from(local: IpAddr, address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let connect = async {
            let socket = TcpSocket::new_v4().unwrap();
            socket.bind((local, 0).into()).unwrap();
            socket.connect(address).await.unwrap().into_std().unwrap()
        };
        let stream = runtime.block_on(connect);
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, rest: Vec::new() }
    }

    /// The same connection, to be written to by another thread.
    pub fn sharing(other: &Self) -> Self {
        Self { stream: other.stream.try_clone().unwrap(), rest: Vec::new() }
    }

    /// Sends a request and reads its answer.
    pub fn ask(address: SocketAddr, request: &Request) -> (Self, Answer) {
        let mut client = Self::connect(address);
        client.send(&request.bytes());
        let answer = client.answer();
        (client, answer)
    }

    /// An opened WebSocket.
    pub fn open(address: SocketAddr, request: &Request) -> Self {
        let (client, answer) = Self::ask(address, request);
        assert_eq!(answer.status, 101, "{answer:?}");
        client
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// Sends each piece in a TCP segment of its own.
    pub fn send_apart(&mut self, pieces: &[&[u8]]) {
        for piece in pieces {
            self.send(piece);
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    pub fn answer(&mut self) -> Answer {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            assert!(self.fill(), "the connection ended: {:?}", String::from_utf8_lossy(&self.rest));
        };
        let head = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest.drain(..end);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut answer = Answer { status, head, body: Vec::new() };
        if let Some(length) = answer.header("content-length").and_then(|l| l.parse().ok()) {
            while self.rest.len() < length {
                assert!(self.fill(), "the body ended early");
            }
            answer.body = self.rest.drain(..length).collect();
        }
        answer
    }

    /// The next frame, or `None` when the connection has ended or was reset.
    pub fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, length)) = self.whole_frame() {
                self.rest.drain(..length);
                return Some(frame);
            }
            if !self.fill() {
                return None;
            }
        }
    }

    fn whole_frame(&self) -> Option<(Frame, usize)> {
        let short = *self.rest.get(1)?;
        let (begin, length) = match short {
            126 => (4, usize::from(u16::from_be_bytes(self.rest.get(2..4)?.try_into().unwrap()))),
            127 => {
                let wide = u64::from_be_bytes(self.rest.get(2..10)?.try_into().unwrap());
                (10, usize::try_from(wide).unwrap())
            }
            short => (2, usize::from(short)),
        };
        let payload = self.rest.get(begin..begin + length)?.to_vec();
        Some((Frame { first: self.rest[0], payload }, begin + length))
    }

    /// Whether the connection ends, by whatever way, with nothing more to read.
    pub fn ends(&mut self) -> bool {
        self.rest.is_empty() && !self.fill()
    }

    fn fill(&mut self) -> bool {
        let mut chunk = [0; 65536];
        match self.stream.read(&mut chunk) {
            Ok(0) => false,
            Ok(length) => {
                self.rest.extend_from_slice(&chunk[..length]);
                true
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("nothing came"),
            Err(_) => false,
        }
    }
}

/// A client's frame: `first` is FIN, RSV and opcode.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let key = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(0x80 | u8::try_from(length).unwrap()),
        length @ 126..=65535 => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(0x80 | 127);
            bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend(key);
    bytes.extend(payload.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

pub fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload.as_bytes())
}
