//! Opening handshakes: one connection each, some at a time.

use super::{PATIENCE, Trouble, latencies, nanos, status_of};
use hdrhistogram::Histogram;
use mio::event::Event;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a run of handshakes did.
pub struct Shaken {
    pub handshakes: u64,
    pub took: Duration,
    /// Nanoseconds from `connect` to the answer's head.
    pub latency: Histogram<u64>,
}

/// Connections that stay open; they close when dropped.
pub struct Held {
    pub streams: Vec<TcpStream>,
}

/// Sends each head on a connection of its own, so many at a time, and closes it
/// when it has an answer of this status.
pub fn shake<'a>(
    address: SocketAddr,
    heads: impl Iterator<Item = &'a [u8]>,
    status: u16,
    parallel: usize,
) -> Result<Shaken, Trouble> {
    Opener::new(address, status)?.run(heads, parallel, None)
}

/// The same, and keeps the connections, which get a 101.
pub fn hold<'a>(
    address: SocketAddr,
    heads: impl Iterator<Item = &'a [u8]>,
    parallel: usize,
) -> Result<Held, Trouble> {
    let mut streams = Vec::new();
    Opener::new(address, 101)?.run(heads, parallel, Some(&mut streams))?;
    Ok(Held { streams })
}

struct Opener {
    address: SocketAddr,
    status: u16,
    poll: Poll,
}

struct Opening<'a> {
    stream: TcpStream,
    head: &'a [u8],
    sent: bool,
    answer: Vec<u8>,
    began: Instant,
}

impl Opener {
    fn new(address: SocketAddr, status: u16) -> Result<Self, Trouble> {
        Ok(Self { address, status, poll: Poll::new()? })
    }

    fn run<'a>(
        &mut self,
        mut heads: impl Iterator<Item = &'a [u8]>,
        parallel: usize,
        mut kept: Option<&mut Vec<TcpStream>>,
    ) -> Result<Shaken, Trouble> {
        let begin = Instant::now();
        let mut shaken = Shaken { handshakes: 0, took: Duration::ZERO, latency: latencies()? };
        let mut open: Vec<Option<Opening<'a>>> = Vec::new();
        for place in 0..parallel {
            open.push(self.begin(heads.next(), place)?);
        }
        let mut events = Events::with_capacity(256);
        while open.iter().any(Option::is_some) {
            if let Err(error) = self.poll.poll(&mut events, Some(PATIENCE))
                && error.kind() != ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            if events.is_empty() {
                return Err("no answer to a handshake for 20 s".into());
            }
            for event in &events {
                let place = event.token().0;
                let Some(slot) = open.get_mut(place) else { continue };
                let Some(opening) = slot else { continue };
                if !opening.on_event(event, self.status)? {
                    continue;
                }
                shaken.latency.record(nanos(opening.began.elapsed()).max(1))?;
                shaken.handshakes += 1;
                if let (Some(done), Some(kept)) = (slot.take(), &mut kept) {
                    let mut stream = done.stream;
                    self.poll.registry().deregister(&mut stream)?;
                    kept.push(stream);
                }
                *slot = self.begin(heads.next(), place)?;
            }
        }
        shaken.took = begin.elapsed();
        Ok(shaken)
    }

    fn begin<'a>(
        &self,
        head: Option<&'a [u8]>,
        place: usize,
    ) -> Result<Option<Opening<'a>>, Trouble> {
        let Some(head) = head else { return Ok(None) };
        let began = Instant::now();
        let mut stream = TcpStream::connect(self.address)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(place), both)?;
        Ok(Some(Opening { stream, head, sent: false, answer: Vec::new(), began }))
    }
}

impl Opening<'_> {
    /// Whether the answer is there.
    fn on_event(&mut self, event: &Event, status: u16) -> Result<bool, Trouble> {
        if !self.sent && event.is_writable() {
            if let Some(error) = self.stream.take_error()? {
                return Err(error.into());
            }
            let _ = self.stream.set_nodelay(true);
            // A head is far smaller than a new socket's buffer.
            if self.stream.write(self.head)? != self.head.len() {
                return Err("a request head did not fit into the socket's buffer".into());
            }
            self.sent = true;
        }
        if !event.is_readable() {
            return Ok(false);
        }
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk) {
            Ok(0) => return Err("the proxy closed a connection before it answered".into()),
            Ok(length) => self.answer.extend_from_slice(&chunk[..length]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error.into()),
        }
        match status_of(&self.answer) {
            None => Ok(false),
            Some(found) if found == status => Ok(true),
            Some(_) => {
                let told = String::from_utf8_lossy(&self.answer).into_owned();
                Err(format!("expected status {status}, got: {told}").into())
            }
        }
    }
}
