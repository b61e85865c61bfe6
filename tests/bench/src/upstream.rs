//! The application behind the proxies: one thread that answers messages with
//! so little work that it is never what limits.
//!
//! `/echo` sends each message back, `/answer/<n>` answers each with a text of n
//! bytes. Control frames but Close are not expected.

use crate::frames;
use crate::machine;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mio::event::Event;
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use sha1::{Digest, Sha1};
use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const LISTENER: Token = Token(0);
/// Read at once: a 256 KiB message with its header in two.
const CHUNK_BYTES: usize = 256 << 10;
/// RFC 6455 §1.3
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Where it listens, and the thread whose CPU is the upstream's.
pub struct Upstream {
    pub address: SocketAddr,
    pub thread: i32,
    answered: Arc<AtomicU64>,
}

struct Connection {
    stream: TcpStream,
    /// What each message is answered with, once the path is known.
    answer: Option<Answer>,
    /// Begins with a frame or a head that is not complete.
    input: Vec<u8>,
    output: Vec<u8>,
    written: usize,
    /// Messages answered and not yet counted.
    count: u64,
}

enum Answer {
    Echo,
    Fixed(Vec<u8>),
}

impl Upstream {
    /// Starts it; it ends with the process.
    pub fn start() -> std::io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
        let address = listener.local_addr()?;
        let answered = Arc::<AtomicU64>::default();
        let counted = Arc::clone(&answered);
        let (told, thread) = std::sync::mpsc::channel();
        std::thread::Builder::new().name("upstream".into()).spawn(move || {
            let _ = told.send(machine::this_thread());
            if let Err(error) = serve(listener, &counted) {
                eprintln!("the benchmark's upstream ended: {error}");
            }
        })?;
        let thread = thread.recv().map_err(|_| ErrorKind::BrokenPipe)?;
        Ok(Self { address, thread, answered })
    }

    /// Messages that it has answered so far.
    pub fn answered(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }
}

fn serve(mut listener: TcpListener, answered: &AtomicU64) -> std::io::Result<()> {
    let mut poll = Poll::new()?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let mut events = Events::with_capacity(1024);
    let mut connections = HashMap::new();
    let mut next = 1;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((mut stream, _)) = listener.accept() {
                    let _ = stream.set_nodelay(true);
                    let token = Token(next);
                    next += 1;
                    let both = Interest::READABLE | Interest::WRITABLE;
                    poll.registry().register(&mut stream, token, both)?;
                    connections.insert(token, Connection::new(stream));
                }
            } else if let Some(connection) = connections.get_mut(&event.token()) {
                if connection.on_event(event, &mut chunk).is_err() {
                    connections.remove(&event.token());
                } else {
                    answered.fetch_add(std::mem::take(&mut connection.count), Ordering::Relaxed);
                }
            }
        }
    }
}

impl Connection {
    fn new(stream: TcpStream) -> Self {
        Self { stream, answer: None, input: Vec::new(), output: Vec::new(), written: 0, count: 0 }
    }

    /// An error is the connection's end, also a good one.
    fn on_event(&mut self, event: &Event, chunk: &mut [u8]) -> std::io::Result<()> {
        if event.is_readable() {
            self.read(chunk)?;
        }
        self.write()
    }

    fn read(&mut self, chunk: &mut [u8]) -> std::io::Result<()> {
        loop {
            let length = match self.stream.read(chunk) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            if self.input.is_empty() && self.answer.is_some() {
                let used = self.take(&mut chunk[..length])?;
                self.input.extend_from_slice(&chunk[used..length]);
            } else {
                self.input.extend_from_slice(&chunk[..length]);
                let mut input = std::mem::take(&mut self.input);
                let used = self.take(&mut input)?;
                input.drain(..used);
                self.input = input;
            }
            // Less than asked for: the socket is empty (epoll(7)).
            if length < chunk.len() {
                return Ok(());
            }
        }
    }

    /// Answers the whole messages that `bytes` begin with; how many bytes.
    fn take(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let mut used = 0;
        if self.answer.is_none() {
            used = match find_head(bytes) {
                Some(end) => end,
                None => return Ok(0),
            };
            self.accept(&String::from_utf8_lossy(&bytes[..used]));
        }
        while let Some(found) = frames::find(&bytes[used..]) {
            let payload = &mut bytes[used + found.begin..used + found.end];
            if found.first == 0x88 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            match &self.answer {
                Some(Answer::Fixed(frame)) => self.output.extend_from_slice(frame),
                _ => {
                    if let Some(key) = found.key {
                        frames::mask(payload, key);
                    }
                    self.output.extend_from_slice(&frames::of_server(found.first, payload));
                }
            }
            used += found.end;
            self.count += 1;
        }
        Ok(used)
    }

    /// Writes the 101 (RFC 6455 §4.2.2).
    fn accept(&mut self, head: &str) {
        let header = |name: &str| {
            head.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                found.eq_ignore_ascii_case(name).then(|| value.trim())
            })
        };
        let key = header("sec-websocket-key").unwrap_or_default();
        let accept = STANDARD.encode(Sha1::digest(format!("{key}{GUID}")));
        let path = head.split(' ').nth(1).unwrap_or_default();
        self.answer = Some(match path.strip_prefix("/answer/").and_then(|n| n.parse().ok()) {
            Some(bytes) => Answer::Fixed(frames::of_server(frames::TEXT, &frames::json(bytes, 0))),
            None => Answer::Echo,
        });
        let mut lines = String::new();
        if header("sec-websocket-extensions").is_some_and(|e| e.contains("permessage-deflate")) {
            lines = format!("sec-websocket-extensions: {}\r\n", crate::workload::DEFLATE);
        }
        if let Some(offer) = header("sec-websocket-protocol") {
            let first = offer.split(',').next().unwrap_or_default().trim();
            lines.push_str(&format!("sec-websocket-protocol: {first}\r\n"));
        }
        self.output.extend_from_slice(
            format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\n\
                 connection: Upgrade\r\nsec-websocket-accept: {accept}\r\n{lines}\r\n"
            )
            .as_bytes(),
        );
    }

    fn write(&mut self) -> std::io::Result<()> {
        while self.written < self.output.len() {
            match self.stream.write(&self.output[self.written..]) {
                Ok(length) => self.written += length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.output.clear();
        self.written = 0;
        Ok(())
    }
}

/// Where a head ends, behind its empty line.
pub fn find_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4)
}
