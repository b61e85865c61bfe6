//! Passes connections on between a client and a server, and counts the frames that neither
//! of them shows to its user.

use crate::support::wait_for;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// A place that clients connect to in the place of the server.
pub struct Tap {
    pub address: SocketAddr,
    seen: Arc<Mutex<Seen>>,
}

/// Frames of all WebSockets so far.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub from_client: Frames,
    pub from_server: Frames,
    /// Directions of connections that have not ended.
    open: usize,
}

/// Frames in one direction.
#[derive(Clone, Debug, Default)]
pub struct Frames {
    pub messages: usize,
    pub compressed: usize,
    pub pings: usize,
    pub pongs: usize,
    /// Code (1005: none) and reason of each Close.
    pub closes: Vec<(u16, String)>,
}

impl Tap {
    pub fn before(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen::default()));
        let shared = Arc::clone(&seen);
        // Ends with the test process; it holds nothing but its own port.
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if let Ok(server) = TcpStream::connect(server) {
                    pass_both(&client, &server, &shared);
                }
            }
        });
        Self { address, seen }
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until no connection is open, and returns all that was seen.
    pub fn ended(&self) -> Seen {
        wait_for("connections to end", || Some(self.seen()).filter(|seen| seen.open == 0))
    }
}

/// The frames of one direction among all that was seen.
type Direction = fn(&mut Seen) -> &mut Frames;

fn pass_both(client: &TcpStream, server: &TcpStream, seen: &Arc<Mutex<Seen>>) {
    seen.lock().unwrap().open += 2;
    let of_client: Direction = |seen| &mut seen.from_client;
    let of_server: Direction = |seen| &mut seen.from_server;
    for (from, to, frames) in [(client, server, of_client), (server, client, of_server)] {
        let (from, to) = (from.try_clone().unwrap(), to.try_clone().unwrap());
        let seen = Arc::clone(seen);
        std::thread::spawn(move || {
            pass(&from, &to, |stream| stream.count(frames(&mut seen.lock().unwrap())));
            seen.lock().unwrap().open -= 1;
        });
    }
}

/// Passes bytes on until an end comes, each once it is counted.
fn pass(mut from: &TcpStream, mut to: &TcpStream, count: impl Fn(&mut Stream)) {
    let _ = (from.set_nodelay(true), to.set_nodelay(true));
    let mut stream = Stream::default();
    let mut chunk = [0; 65536];
    while let Ok(length @ 1..) = from.read(&mut chunk) {
        stream.bytes.extend_from_slice(&chunk[..length]);
        count(&mut stream);
        if to.write_all(&chunk[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// One direction of a connection.
#[derive(Default)]
struct Stream {
    bytes: Vec<u8>,
    /// A WebSocket has begun.
    is_open: bool,
}

impl Stream {
    fn count(&mut self, frames: &mut Frames) {
        // Envoy may open it on a connection that has carried plain requests.
        while !self.is_open {
            let Some(end) = self.bytes.windows(4).position(|w| w == b"\r\n\r\n") else { return };
            let head = String::from_utf8_lossy(&self.bytes[..end]).to_lowercase();
            self.is_open = head.lines().any(|line| line == "upgrade: websocket");
            self.bytes.drain(..end + 4);
        }
        while let Some((first, payload, length)) = whole_frame(&self.bytes) {
            frames.compressed += usize::from(first & 0x40 != 0);
            match first & 0x0F {
                0x1 | 0x2 => frames.messages += 1,
                0x8 => frames.closes.push(close(&payload)),
                0x9 => frames.pings += 1,
                0xA => frames.pongs += 1,
                _ => {}
            }
            self.bytes.drain(..length);
        }
    }
}

fn close(payload: &[u8]) -> (u16, String) {
    let Some((code, reason)) = payload.split_first_chunk() else { return (1005, String::new()) };
    (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
}

/// The first byte and the payload, unmasked, of a frame that has come whole, and its length.
fn whole_frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let second = *bytes.get(1)?;
    let (begin, length) = match second & 0x7F {
        126 => (4, u64::from(u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?))),
        127 => (10, u64::from_be_bytes(*bytes.get(2..)?.first_chunk()?)),
        short => (2, u64::from(short)),
    };
    let (key, begin) = match second & 0x80 {
        0 => ([0; 4], begin),
        _ => (*bytes.get(begin..)?.first_chunk()?, begin + 4),
    };
    let end = begin + usize::try_from(length).unwrap();
    let payload = bytes.get(begin..end)?.iter().zip(key.iter().cycle());
    Some((bytes[0], payload.map(|(byte, key)| byte ^ key).collect(), end))
}
