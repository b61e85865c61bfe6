//! The Pings that have gone to one end and whose Pongs have not come: ours, and those
//! of the other end that were passed on.
//!
//! An end may answer only the latest Ping that it has read (RFC 6455 §5.5.3), so its
//! Pong to one of ours may be all that it says to those of the other end before it.
//! Each Ping of ours has a payload of its own: a Pong tells which one it is for, and
//! so which Pings of the other end it covers.

use crate::frame::header::MAX_CONTROL_BYTES;
use crate::frame::{FrameHeader, Opcode, Sender, mask};
use crate::guard::Guard;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;

/// Payload of a Ping of ours.
pub(super) type Probe = [u8; 8];

/// Secret from which the payloads of one connection's Pings are derived. No other
/// connection has these payloads, and an end cannot know one before it has read the Ping.
pub(super) type Secret = [u8; 32];

/// Most open Pings of the other end that are remembered, the latest of all and the
/// latest before each of ours among them. The Pong to one that is not goes on as it
/// comes, as any Pong that nobody asked for; none is made for it.
const MAX_OPEN: usize = 8;

/// Pings of ours whose Pongs are known as such, the latest ones; a power of two.
const WINDOW: u64 = 64;

/// Payload bytes of a control frame at most.
const MAX_PAYLOAD: usize = 125;

/// A secret for the Pings that go to one end of a new connection.
pub(super) fn secret(guard: &Guard, end: Sender, connection: Option<u64>) -> Secret {
    let nanos = guard.now().since_epoch().as_nanos().to_be_bytes();
    let connection = connection.unwrap_or_default().to_be_bytes();
    guard.salt().secret(&[b"pings", end.name().as_bytes(), &nanos, &connection])
}

/// The Pings that have gone to one end.
pub(super) struct Pings {
    secret: Secret,
    /// Ours so far; they are numbered from 1.
    sent: u64,
    /// Which of the last [`WINDOW`] no Pong has come to: the lowest bit is the latest.
    awaited: u64,
    /// Those of the other end, in their order; `<= MAX_OPEN`.
    open: VecDeque<PassedOn>,
    /// The one of the other end for which a Pong was last made out of one to ours. Its
    /// own may still come.
    made: Option<Payload>,
}

/// A Ping of the other end.
struct PassedOn {
    payload: Payload,
    /// Number of our Pings that had been sent before it.
    behind: u64,
}

/// The payload of a control frame.
#[derive(Clone, Copy)]
pub(super) struct Payload {
    bytes: [u8; MAX_PAYLOAD],
    length: usize,
}

/// The Ping that a Pong answers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pong {
    /// The Ping of ours with this number.
    Ours {
        /// The latest Ping of the other end that was open before it: it is answered too.
        also: Option<Payload>,
        number: u64,
    },
    /// A Ping of the other end, before which so many of ours had gone.
    PassedOn { behind: u64 },
    /// A Ping of the other end that has been sent a Pong already.
    Late,
    /// None.
    Unsolicited,
}

impl Pings {
    /// None has gone there.
    pub(super) const fn new(secret: Secret) -> Self {
        Self { secret, sent: 0, awaited: 0, open: VecDeque::new(), made: None }
    }

    /// The number of the Ping of ours that went there last; 0 before the first.
    pub(super) const fn last(&self) -> u64 {
        self.sent
    }

    /// The payload of a Ping of ours that goes there now.
    pub(super) fn next(&mut self) -> Probe {
        self.sent = self.sent.wrapping_add(1);
        self.awaited = (self.awaited << 1) | 1;
        self.probe(self.sent)
    }

    /// A Ping of the other end goes there now.
    pub(super) fn pass_on(&mut self, payload: &[u8]) {
        // Once, for as long as the connection lives.
        self.open.reserve_exact(MAX_OPEN - self.open.len());
        if self.open.len() >= MAX_OPEN {
            let neighbours = self.open.iter().zip(self.open.iter().skip(1));
            let mut same = neighbours.map(|(ping, next)| ping.behind == next.behind);
            self.open.remove(same.position(|same| same).unwrap_or(0));
        }
        let payload = Payload::new(payload);
        self.open.push_back(PassedOn { payload, behind: self.sent });
    }

    /// Records the Ping in `frames`, which are whole frames of `sender`; does nothing if
    /// they are no Ping.
    pub(super) fn pass_on_frame(&mut self, sender: Sender, frames: &[u8]) {
        let Ok(Some((header, length))) = FrameHeader::parse(frames, sender, true) else { return };
        if header.opcode != Opcode::Ping || header.payload_bytes > MAX_CONTROL_BYTES {
            return;
        }
        let mut payload = Payload::new(frames.get(length..).unwrap_or_default());
        if let Some(key) = header.mask {
            mask::apply(payload.bytes_mut(), key, 0);
        }
        self.pass_on(payload.bytes());
    }

    /// Finds out what a Pong that came from there answers. Each Ping is answered once;
    /// those before it that are passed over will have no other answer, unless one comes.
    pub(super) fn answer(&mut self, payload: &[u8]) -> Pong {
        if let Some(number) = self.number_of(payload) {
            let before = self.open.iter().take_while(|ping| ping.behind < number).count();
            let also = self.open.drain(..before).next_back().map(|ping| ping.payload);
            if also.is_some() {
                self.made = also;
            }
            return Pong::Ours { also, number };
        }
        let found = self.open.iter().position(|ping| ping.payload.bytes() == payload);
        if let Some(ping) = found.and_then(|place| self.open.drain(..=place).next_back()) {
            return Pong::PassedOn { behind: ping.behind };
        }
        match self.made.take_if(|made| made.bytes() == payload) {
            Some(_) => Pong::Late,
            None => Pong::Unsolicited,
        }
    }

    /// The number of the Ping of ours that has this payload and no Pong yet, which has
    /// one now.
    fn number_of(&mut self, payload: &[u8]) -> Option<u64> {
        let payload = Probe::try_from(payload).ok()?;
        let age = self.sent.wrapping_sub(u64::from_be_bytes(payload)) % WINDOW;
        let (number, bit) = (self.sent.checked_sub(age)?, 1u64 << age);
        let is_ours = self.awaited & bit != 0 && self.probe(number) == payload;
        if is_ours {
            self.awaited &= !bit;
        }
        is_ours.then_some(number)
    }

    /// The payload of the Ping of ours with this number, which ends with the lowest
    /// bits of that.
    fn probe(&self, number: u64) -> Probe {
        let hash = Sha256::new().chain_update(self.secret).chain_update(number.to_be_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        let [a, b, c, d, e, f, g, h, ..] = hash;
        let hash = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        (hash - hash % WINDOW + number % WINDOW).to_be_bytes()
    }
}

impl Payload {
    /// Copies a payload. Bytes beyond the longest payload of a control frame are cut off.
    pub(super) fn new(payload: &[u8]) -> Self {
        let mut bytes = [0; MAX_PAYLOAD];
        let length = payload.len().min(MAX_PAYLOAD);
        for (byte, from) in bytes.iter_mut().zip(payload) {
            *byte = *from;
        }
        Self { bytes, length }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }

    /// Appends a whole control frame with it to `out`.
    pub(super) fn write(&self, opcode: Opcode, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        let payload_bytes = u64::try_from(self.length).unwrap_or(MAX_CONTROL_BYTES);
        FrameHeader { fin: true, compressed: false, opcode, mask: key, payload_bytes }.encode(out);
        let begin = out.len();
        out.extend_from_slice(self.bytes());
        if let (Some(key), Some(copy)) = (key, out.get_mut(begin..)) {
            mask::apply(copy, key, 0);
        }
    }
}

/// Without the secret, and without what the ends chose.
impl std::fmt::Debug for Pings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pings")
            .field("sent", &self.sent)
            .field("awaited", &self.awaited)
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Payload").field(&self.length).finish()
    }
}

#[cfg(test)]
mod tests;
