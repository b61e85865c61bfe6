//! An upstream that records every byte it gets after its 101: what it never
//! saw, the filter never let through. Real servers are in `peers`; this one is
//! for what no real server tells.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use super::support::wait_for;

/// What one connection brought.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The request head, as text.
    pub head: String,
    /// Every byte behind the head.
    pub bytes: Vec<u8>,
    /// The connection has ended.
    pub ended: bool,
}

/// Records, and answers by script.
pub struct Recorder {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

/// What the recorder answers.
#[derive(Clone)]
pub enum Script {
    /// A proper 101, then these bytes, then it echoes a Close.
    Accept(Vec<u8>),
    /// A proper 101 with one more header line.
    AcceptWith(&'static str),
    /// Accepts the upgrade, and sends these bytes behind the 101.
    AcceptSaying(&'static str, &'static [u8]),
    /// These bytes in the place of an answer.
    Raw(&'static [u8]),
    /// A proper 101, but only once something has come behind the request, or its
    /// end has.
    Late,
}

impl Recorder {
    pub fn start(script: Script) -> Self {
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let shared = Arc::clone(&seen);
        let address = each_request(move |head, stream| serve(head, stream, &script, &shared));
        Self { address, seen }
    }

    /// What all connections brought so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits for the first connection to end; what it brought.
    pub fn ended(&self) -> Seen {
        wait_for("upstream's connection to end", || {
            self.seen().into_iter().next().filter(|seen| seen.ended)
        })
    }
}

/// Listens on a free port, and hands each connection with the head of its request to a
/// thread of its own. It holds nothing but its port, and ends with the test process.
pub fn each_request(serve: impl Fn(String, TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let serve = serve.clone();
            std::thread::spawn(move || {
                let (mut head, mut byte) = (Vec::new(), [0]);
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read(&mut byte) {
                        Ok(1) => head.push(byte[0]),
                        _ => return,
                    }
                }
                serve(String::from_utf8_lossy(&head).into_owned(), stream);
            });
        }
    });
    address
}

/// The head of a proper 101 to this request, with these lines more.
pub fn accepted(head: &str, lines: &str) -> String {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
         sec-websocket-accept: {}\r\n{lines}\r\n",
        accept(head)
    )
}

fn serve(head: String, mut stream: TcpStream, script: &Script, shared: &Mutex<Vec<Seen>>) {
    let index = {
        let mut seen = shared.lock().unwrap();
        seen.push(Seen { head: head.clone(), ..Seen::default() });
        seen.len() - 1
    };
    let extra = match script {
        Script::AcceptWith(line) | Script::AcceptSaying(line, _) => format!("{line}\r\n"),
        _ => String::new(),
    };
    let accepted = accepted(&head, &extra);
    let answer = match script {
        Script::Raw(bytes) => bytes.to_vec(),
        Script::Accept(first) => [accepted.as_bytes(), first].concat(),
        Script::AcceptSaying(_, first) => [accepted.as_bytes(), first].concat(),
        Script::AcceptWith(_) => accepted.into_bytes(),
        Script::Late => {
            let _ = stream.peek(&mut [0]);
            accepted.into_bytes()
        }
    };
    let _ = stream.write_all(&answer);
    let mut chunk = [0; 65536];
    while let Ok(length @ 1..) = stream.read(&mut chunk) {
        let close = {
            let bytes = &mut shared.lock().unwrap()[index].bytes;
            bytes.extend_from_slice(&chunk[..length]);
            frames(bytes).into_iter().find(|(first, _)| *first == 0x88)
        };
        if let Some((_, payload)) = close {
            // The server's part of the closing handshake: echo, and end.
            let mut echo = vec![0x88, u8::try_from(payload.len()).unwrap()];
            echo.extend(payload);
            let _ = stream.write_all(&echo);
            break;
        }
    }
    shared.lock().unwrap()[index].ended = true;
}

/// The whole frames that a client's bytes begin with: first byte and unmasked
/// payload of each.
pub fn frames(bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    let mut found = Vec::new();
    let mut rest = bytes;
    while let [first, second, after @ ..] = rest {
        let (begin, length) = match second & 0x7F {
            126 if after.len() >= 2 => (2, usize::from(u16::from_be_bytes([after[0], after[1]]))),
            127 if after.len() >= 8 => {
                let wide = u64::from_be_bytes(after[..8].try_into().unwrap());
                (8, usize::try_from(wide).unwrap())
            }
            126 | 127 => break,
            short => (0, usize::from(short)),
        };
        let Some(key) = after.get(begin..begin + 4) else { break };
        let Some(masked) = after.get(begin + 4..begin + 4 + length) else { break };
        let payload = masked.iter().zip(key.iter().cycle()).map(|(byte, key)| byte ^ key);
        found.push((*first, payload.collect()));
        rest = &after[begin + 4 + length..];
    }
    found
}

fn accept(head: &str) -> String {
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then(|| value.trim())
    });
    tokio_tungstenite::tungstenite::handshake::derive_accept_key(key.unwrap_or_default().as_bytes())
}
