//! Both ends of one connection in the hands of a test: every byte that the
//! server sends, and every byte that it sees.

use crate::client::{Client, Request};
use crate::support::PATIENCE;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Where Envoy finds the servers.
pub struct Upstream {
    listener: TcpListener,
}

/// A server's end of an open WebSocket.
pub struct Server {
    pub stream: TcpStream,
}

impl Upstream {
    pub fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { listener }
    }

    pub fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    /// Opens a WebSocket through `envoy`: both ends of it.
    pub fn open(&self, envoy: SocketAddr, request: &Request) -> (Client, Server) {
        let mut client = Client::connect(envoy);
        client.send(&request.bytes());
        let mut server = self.take_request();
        server.accept();
        let answer = client.answer();
        assert_eq!(answer.status, 101, "{answer:?}");
        (client, server.server)
    }

    /// The same where the server takes these extensions.
    pub fn open_with(
        &self,
        envoy: SocketAddr,
        request: &Request,
        extensions: &str,
    ) -> (Client, Server) {
        let mut client = Client::connect(envoy);
        client.send(&request.bytes());
        let mut server = self.take_request();
        server.accept_with(&format!("sec-websocket-extensions: {extensions}\r\n"));
        let answer = client.answer();
        assert_eq!(answer.status, 101, "{answer:?}");
        (client, server.server)
    }

    /// The next connection, its request read and not answered.
    pub fn take_request(&self) -> Asked {
        let begin = Instant::now();
        let (mut stream, _) = loop {
            if let Ok(accepted) = self.listener.accept() {
                break accepted;
            }
            assert!(begin.elapsed() < PATIENCE, "Envoy does not connect upstream");
            std::thread::sleep(Duration::from_micros(200));
        };
        stream.set_nonblocking(false).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        Asked { head: String::from_utf8(head).unwrap(), server: Server { stream } }
    }
}

/// A server that has been asked for a WebSocket.
pub struct Asked {
    pub head: String,
    pub server: Server,
}

impl Asked {
    /// Says yes.
    pub fn accept(&mut self) {
        self.accept_with("");
    }

    /// Says yes with more header lines.
    pub fn accept_with(&mut self, lines: &str) {
        let key = self.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
        });
        let accept = derive_accept_key(key.unwrap().as_bytes());
        let answer = format!(
            "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
             sec-websocket-accept: {accept}\r\n{lines}\r\n"
        );
        self.server.send(answer.as_bytes());
    }
}

impl Server {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    /// The next bytes, as many as these, must be these.
    #[track_caller]
    pub fn expect(&mut self, bytes: &[u8]) {
        let mut seen = vec![0; bytes.len()];
        self.stream.read_exact(&mut seen).unwrap();
        assert!(seen == bytes, "{} bytes of something else", seen.len());
    }

    /// The next bytes must be one masked Close with this code and reason.
    #[track_caller]
    pub fn expect_close(&mut self, code: u16, reason: &str) {
        let mut seen = vec![0; 8 + reason.len()];
        self.stream.read_exact(&mut seen).unwrap();
        let payload: Vec<u8> =
            seen[6..].iter().zip(seen[2..6].iter().cycle()).map(|(b, k)| b ^ k).collect();
        assert_eq!(seen[..2], [0x88, 0x80 | u8::try_from(payload.len()).unwrap()], "{seen:02x?}");
        assert_eq!(payload, [&code.to_be_bytes(), reason.as_bytes()].concat());
    }

    /// The connection must end, in whatever way, with no further byte.
    #[track_caller]
    pub fn expect_end(&mut self) {
        let mut more = [0; 64];
        match self.stream.read(&mut more) {
            Ok(0) => {}
            Ok(length) => panic!("more came: {:02x?}", &more[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("it does not end"),
            Err(_) => {}
        }
    }

    /// Ends its side; the other must, too, without another byte.
    pub fn expect_nothing_but_the_end(self) {
        let mut server = self;
        server.stream.shutdown(std::net::Shutdown::Write).unwrap();
        server.expect_end();
    }
}

/// A server's frame; `first` is FIN, RSV and opcode.
pub fn plain(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..126 => bytes.push(u8::try_from(length).unwrap()),
        length @ 126..=65535 => {
            bytes.push(126);
            bytes.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
        length => {
            bytes.push(127);
            bytes.extend(u64::try_from(length).unwrap().to_be_bytes());
        }
    }
    bytes.extend(payload);
    bytes
}

/// A server's Close.
pub fn close(code: u16, reason: &str) -> Vec<u8> {
    plain(0x88, &[&code.to_be_bytes(), reason.as_bytes()].concat())
}
