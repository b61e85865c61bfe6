//! Messages on open connections: so many in flight on each, or at a fixed rate.

use super::{Held, PATIENCE, Trouble, latencies, nanos};
use crate::workload::Messages;
use hdrhistogram::Histogram;
use mio::net::TcpStream;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

const TIMER: Token = Token(usize::MAX);
const CHUNK_BYTES: usize = 256 << 10;
/// In an open loop: so many unanswered, and the proxy does not keep up.
const MOST_UNANSWERED: usize = 100_000;

/// When the next message is sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As soon as one is answered, so many in flight on each connection.
    Closed(usize),
    /// So many a second over all connections, whatever the answers do. Latency
    /// counts from when a message was due, not from when it was sent.
    Open(f64),
}

/// What a run did.
pub struct Sent {
    pub messages: u64,
    pub took: Duration,
    /// Nanoseconds from due to answered.
    pub latency: Histogram<u64>,
}

/// Open connections that send some messages in turn, again and again, and compare
/// what they are answered.
pub struct Fleet {
    poll: Poll,
    timer: OwnedFd,
    connections: Vec<Connection>,
    requests: Turn,
    responses: Turn,
    pace: Pace,
    chunk: Vec<u8>,
}

/// Frames of one size in turn, so many times that one write can take several.
struct Turn {
    bytes: Vec<u8>,
    one: usize,
    /// Behind the last of them, where the first stands again.
    end: usize,
}

impl Turn {
    fn new(frames: &[Vec<u8>]) -> Result<Self, Trouble> {
        let one = frames.first().map_or(0, Vec::len);
        if one == 0 || frames.iter().any(|frame| frame.len() != one) {
            return Err("messages that are sent in turn have to be of one size".into());
        }
        let turn = frames.concat();
        let times = (CHUNK_BYTES / turn.len()).clamp(1, 64);
        Ok(Self { bytes: turn.repeat(times), one, end: turn.len() })
    }
}

struct Connection {
    stream: TcpStream,
    /// Bytes that are due and not written.
    owed: usize,
    /// Where in the turn the next byte to write stands.
    written: usize,
    /// Where in the answers' turn the next byte to read stands.
    read: usize,
    /// When the messages in flight were due, the oldest first.
    due: VecDeque<Instant>,
}

impl Fleet {
    /// Takes over open connections.
    pub fn new(held: Held, messages: &Messages) -> Result<Self, Trouble> {
        let poll = Poll::new()?;
        let clock = TimerfdClockId::Monotonic;
        let timer = timerfd_create(clock, TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC)?;
        poll.registry().register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        let mut connections = Vec::new();
        for (place, mut stream) in held.streams.into_iter().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(place), both)?;
            let due = VecDeque::new();
            connections.push(Connection { stream, owed: 0, written: 0, read: 0, due });
        }
        let (requests, responses) =
            (Turn::new(&messages.requests)?, Turn::new(&messages.responses)?);
        let chunk = vec![0; CHUNK_BYTES];
        Ok(Self { poll, timer, connections, requests, responses, pace: messages.pace, chunk })
    }

    /// Sends for so long, then waits for the answers that are due.
    pub fn run(&mut self, duration: Duration) -> Result<Sent, Trouble> {
        let begin = Instant::now();
        let end = begin + duration;
        let mut run = Run { messages: 0, in_flight: 0, latency: latencies()? };
        let mut schedule = match self.pace {
            Pace::Closed(in_flight) => {
                for connection in &mut self.connections {
                    run.in_flight += in_flight;
                    connection.send(in_flight, begin, &self.requests)?;
                }
                None
            }
            Pace::Open(rate) => Some(Schedule::new(begin, end, rate)),
        };
        let mut events = Events::with_capacity(256);
        let mut heard = begin;
        while run.in_flight > 0 || schedule.as_ref().is_some_and(|s| s.next < end) {
            if let Some(schedule) = &mut schedule {
                run.in_flight += schedule.send(&mut self.connections, &self.requests)?;
                schedule.arm(&self.timer)?;
            }
            if let Err(error) = self.poll.poll(&mut events, Some(PATIENCE))
                && error.kind() != ErrorKind::Interrupted
            {
                return Err(error.into());
            }
            let now = Instant::now();
            if events.is_empty() && now - heard > PATIENCE {
                return Err("no answer for 20 s".into());
            }
            if !events.is_empty() {
                heard = now;
            }
            for event in &events {
                let Some(connection) = self.connections.get_mut(event.token().0) else { continue };
                if event.is_writable() {
                    connection.write(&self.requests)?;
                }
                if !event.is_readable() {
                    continue;
                }
                let answered = connection.read(&self.responses, &mut self.chunk)?;
                // Not that of the first event: those before this one took their time.
                let now = Instant::now();
                run.answered(connection, answered, now)?;
                if answered > 0 && schedule.is_none() && now < end {
                    run.in_flight += answered;
                    connection.send(answered, now, &self.requests)?;
                }
            }
        }
        Ok(Sent { messages: run.messages, took: begin.elapsed(), latency: run.latency })
    }
}

struct Run {
    messages: u64,
    in_flight: usize,
    latency: Histogram<u64>,
}

impl Run {
    fn answered(
        &mut self,
        connection: &mut Connection,
        count: usize,
        now: Instant,
    ) -> Result<(), Trouble> {
        for due in connection.due.drain(..count) {
            self.latency.record(nanos(now.saturating_duration_since(due)).max(1))?;
        }
        self.messages += count as u64;
        self.in_flight -= count;
        Ok(())
    }
}

/// Open loop: when the next message is due, and whose it is.
struct Schedule {
    next: Instant,
    end: Instant,
    step: Duration,
    place: usize,
}

impl Schedule {
    fn new(begin: Instant, end: Instant, rate: f64) -> Self {
        Self { next: begin, end, step: Duration::from_secs_f64(1.0 / rate), place: 0 }
    }

    /// Sends what has become due; how many.
    fn send(&mut self, connections: &mut [Connection], requests: &Turn) -> Result<usize, Trouble> {
        let now = Instant::now();
        let mut sent = 0;
        while self.next <= now && self.next < self.end {
            let place = self.place % connections.len();
            connections[place].send(1, self.next, requests)?;
            if connections[place].due.len() > MOST_UNANSWERED {
                return Err("the proxy does not keep up with the rate".into());
            }
            self.place += 1;
            self.next += self.step;
            sent += 1;
        }
        Ok(sent)
    }

    /// Wakes the loop when the next is due: epoll's own timeouts are whole
    /// milliseconds.
    fn arm(&self, timer: &OwnedFd) -> Result<(), Trouble> {
        let wait = self.next.saturating_duration_since(Instant::now());
        let wait = wait.max(Duration::from_nanos(1));
        let it_value =
            Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: wait.subsec_nanos().into() };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let once = Itimerspec { it_interval, it_value };
        timerfd_settime(timer, TimerfdTimerFlags::empty(), &once)?;
        Ok(())
    }
}

impl Connection {
    fn send(&mut self, count: usize, due: Instant, requests: &Turn) -> Result<(), Trouble> {
        self.due.extend(std::iter::repeat_n(due, count));
        self.owed += count * requests.one;
        self.write(requests)
    }

    fn write(&mut self, requests: &Turn) -> Result<(), Trouble> {
        while self.owed > 0 {
            let end = requests.bytes.len().min(self.written + self.owed);
            match self.stream.write(&requests.bytes[self.written..end]) {
                Ok(length) => {
                    self.owed -= length;
                    self.written = (self.written + length) % requests.end;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads what is there and compares it; how many answers are complete.
    fn read(&mut self, responses: &Turn, chunk: &mut [u8]) -> Result<usize, Trouble> {
        let mut answered = 0;
        loop {
            let length = match self.stream.read(chunk) {
                Ok(0) => return Err("the proxy closed a connection".into()),
                Ok(length) => length,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(answered),
                Err(error) => return Err(error.into()),
            };
            let mut rest = &chunk[..length];
            while !rest.is_empty() {
                let (piece, after) =
                    rest.split_at(rest.len().min(responses.bytes.len() - self.read));
                if piece != &responses.bytes[self.read..self.read + piece.len()] {
                    let told = String::from_utf8_lossy(&piece[..piece.len().min(200)]).into_owned();
                    return Err(format!("not the answer that was expected: {told:?}").into());
                }
                let end = self.read + piece.len();
                answered += end / responses.one - self.read / responses.one;
                self.read = end % responses.end;
                rest = after;
            }
            // Less than asked for: the socket is empty (epoll(7)).
            if length < chunk.len() {
                return Ok(answered);
            }
        }
    }
}
