//! What we have to say to one end of a connection ourselves. A filter can only
//! write where bytes pass, so frames of ours wait for the next ones in that
//! direction, or with `push` for the filter to ask.

use super::closes::SentClose;
use crate::frame::{FrameHeader, Opcode, close, mask};
use crate::message::budget::{Budget, Charge};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;

/// Most bytes that wait for one end. A client that goes on breaking rules while
/// nothing can be said to it gets no more answers than these.
const MAX_DUE_BYTES: usize = 16 << 10;

/// Most bytes that are written unasked, and so past all of Envoy's flow control,
/// to an end that does not show that it reads: about these.
const MAX_UNREAD_BYTES: usize = 64 << 10;

/// From how many of them on it is asked to.
const PROVE_BYTES: usize = 16 << 10;

/// Frames of ours on their way to one end.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Whole frames. Ours are at most [`MAX_DUE_BYTES`], and a Close behind them.
    due: Vec<u8>,
    /// Some of them are the other end's, whose turn it was.
    holds_released: bool,
    charge: Charge,
    /// A Close has gone there or is due: it is the last frame.
    sealed: bool,
    /// The one that is due.
    due_close: Option<SentClose>,
    /// Payload of our Pings that go there, by which their Pongs are known.
    probe: Probe,
    /// Pings that have gone there since anything came from there.
    unanswered: u32,
    /// Pings that have gone there, less the Pongs to them: what else looks like
    /// one is the other end's own, or a flood of them would count nowhere.
    awaited: u32,
    /// What is put in can go there at once.
    open: bool,
    /// Bytes that were written there unasked since it last showed that it reads.
    unread_bytes: usize,
    /// Payload of the Ping whose Pong will show it; nobody can know it who does
    /// not read.
    proof: Option<Probe>,
    /// How many there were.
    proofs: u64,
    random: RandomState,
}

/// Payload of a Ping of ours.
pub(super) type Probe = [u8; 8];

impl Outbox {
    /// With nothing in it. `probe` should be another one for each connection.
    pub(super) fn new(budget: &Rc<Budget>, probe: Probe) -> Self {
        let charge = Charge::new(budget);
        let random = RandomState::new();
        Self {
            due: Vec::new(),
            holds_released: false,
            charge,
            sealed: false,
            due_close: None,
            probe,
            unanswered: 0,
            awaited: 0,
            open: false,
            unread_bytes: 0,
            proof: None,
            proofs: 0,
            random,
        }
    }

    /// Whether nothing may follow what has gone there.
    pub(super) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether what is put in can go there at once, and needs not wait for other
    /// bytes to go there.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Says so.
    pub(super) const fn set_open(&mut self, open: bool) {
        self.open = open;
    }

    /// Pings of ours that have gone there since anything came from there.
    pub(super) const fn unanswered(&self) -> u32 {
        self.unanswered
    }

    /// Something has come from there.
    pub(super) const fn answered(&mut self) {
        self.unanswered = 0;
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Whether frames of the other end's, whose turn it was, have not gone there.
    pub(super) const fn holds_released(&self) -> bool {
        self.holds_released
    }

    /// Puts a frame in that `write` appends, if there is room for it.
    pub(super) fn add(&mut self, frame: &[u8]) {
        let fits = self.due.len().saturating_add(frame.len()) <= MAX_DUE_BYTES;
        let is_read = self.unread_bytes < MAX_UNREAD_BYTES;
        if !self.sealed && fits && is_read && self.charge.grow(frame.len()).is_ok() {
            self.due.extend_from_slice(frame);
        }
    }

    /// Puts frames of the other end in, whose turn it is: they are bounded where
    /// they waited.
    pub(super) fn release(&mut self, frames: &[u8]) {
        self.put(frames);
        self.holds_released |= !self.sealed;
    }

    /// Puts frames of ours in that go in the place of such ones.
    pub(super) fn put(&mut self, frames: &[u8]) {
        if !self.sealed {
            // What waited has been charged; were there no room left by now, it
            // still takes none that it had not.
            let _ = self.charge.grow(frames.len());
            self.due.extend_from_slice(frames);
        }
    }

    /// What has been put in last is a Close of the other end's.
    pub(super) const fn end(&mut self) {
        if !self.sealed {
            self.sealed = true;
            self.due_close = Some(SentClose::Relayed);
        }
    }

    /// Puts the last frame in: a Close, unless one has gone there already.
    pub(super) fn close(&mut self, code: u16, reason: &str, key: Option<[u8; 4]>) {
        if !std::mem::replace(&mut self.sealed, true) {
            close::write(code, reason, key, &mut self.due);
            self.due_close = Some(SentClose::Ours(code));
        }
    }

    /// A Close has gone there: whatever is left can't follow it.
    pub(super) fn seal(&mut self) {
        self.sealed = true;
        self.due_close = None;
        self.due = Vec::new();
        self.holds_released = false;
        self.charge.release();
    }

    /// Appends all that is due; the Close among it, if there is one.
    pub(super) fn take_into(&mut self, out: &mut Vec<u8>) -> Option<SentClose> {
        out.extend_from_slice(&self.due);
        self.due = Vec::new();
        self.holds_released = false;
        self.charge.release();
        self.due_close.take()
    }

    /// The same, to be written unasked.
    pub(super) fn push_into(&mut self, out: &mut Vec<u8>) -> Option<SentClose> {
        self.unread_bytes = self.unread_bytes.saturating_add(self.due.len());
        let close = self.take_into(out);
        if self.unread_bytes >= PROVE_BYTES && self.proof.is_none() && !self.sealed {
            self.proofs = self.proofs.wrapping_add(1);
            self.proof = Some(self.random.hash_one(self.proofs).to_be_bytes());
            self.encode_ping(None, out);
        }
        close
    }

    /// Puts a Ping in, whose Pong shows that somebody is there, and is a chance to
    /// write in the other direction.
    pub(super) fn ask(&mut self) {
        if !self.sealed {
            let mut ping = Vec::new();
            self.write_ping(None, &mut ping);
            self.add(&ping);
        }
    }

    /// The same, unless one is not answered yet.
    pub(super) fn ask_once(&mut self) {
        if self.unanswered == 0 {
            self.ask();
        }
    }

    /// Appends a Ping to `out`, which goes there, unless one is not answered yet.
    pub(super) fn ask_now(&mut self, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        if !self.sealed && self.unanswered == 0 {
            self.write_ping(key, out);
        }
    }

    /// Whether a Pong with this payload that came from there answers a Ping of
    /// ours, however late; each answers one.
    pub(super) fn is_ours(&mut self, payload: &[u8]) -> bool {
        if self.proof.is_some_and(|proof| proof == payload) {
            self.proof = None;
            self.unread_bytes = 0;
            return true;
        }
        let ours = self.awaited > 0 && self.probe == payload;
        self.awaited -= u32::from(ours);
        ours
    }

    fn write_ping(&mut self, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        self.unanswered = self.unanswered.saturating_add(1);
        self.awaited = self.awaited.saturating_add(1);
        self.encode_ping(key, out);
    }

    fn encode_ping(&self, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        // Of several Pings the last alone may be answered (RFC 6455 §5.5.3).
        let probe = self.proof.unwrap_or(self.probe);
        let opcode = Opcode::Ping;
        let payload_bytes = u64::try_from(probe.len()).unwrap_or(0);
        FrameHeader { fin: true, compressed: false, opcode, mask: key, payload_bytes }.encode(out);
        let begin = out.len();
        out.extend_from_slice(&probe);
        if let (Some(key), Some(copy)) = (key, out.get_mut(begin..)) {
            mask::apply(copy, key, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> (Rc<Budget>, Outbox) {
        let budget = Budget::new(1 << 20);
        let outbox = Outbox::new(&budget, [1; 8]);
        (budget, outbox)
    }

    #[test]
    fn nothing_follows_a_close() {
        let (_, mut outbox) = outbox();
        outbox.add(b"first");
        outbox.close(1008, "", None);
        outbox.add(b"late");
        outbox.close(1001, "", None);
        let mut out = Vec::new();
        outbox.ask();
        outbox.ask_now(None, &mut out);
        outbox.take_into(&mut out);
        assert_eq!(out, b"first\x88\x02\x03\xf0");
        assert!(outbox.is_empty());
    }

    #[test]
    fn what_waits_is_bounded_and_given_back() {
        let (budget, mut outbox) = outbox();
        for _ in 0..100 {
            outbox.add(&[0; 1000]);
        }
        assert_eq!(budget.used_bytes(), 16_000);
        let mut out = Vec::new();
        outbox.take_into(&mut out);
        assert_eq!((out.len(), budget.used_bytes()), (16_000, 0));
    }

    #[test]
    fn one_ping_at_a_time_asks_for_a_chance_to_write() {
        let (_, mut outbox) = outbox();
        let mut out = Vec::new();
        outbox.ask_now(None, &mut out);
        outbox.ask_now(None, &mut out);
        assert_eq!(out, b"\x89\x08\x01\x01\x01\x01\x01\x01\x01\x01");
        assert!(outbox.is_ours(&[1; 8]) && !outbox.is_ours(b"another"));
        assert_eq!(outbox.unanswered(), 1);
        outbox.answered();
        assert_eq!(outbox.unanswered(), 0);
    }

    #[test]
    fn an_end_that_does_not_read_is_written_no_more_until_it_does() {
        let (_, mut outbox) = outbox();
        let mut out = Vec::new();
        for _ in 0..1000 {
            outbox.add(&[0; 1000]);
            outbox.push_into(&mut out);
        }
        let ping = |out: &[u8]| {
            let at = out.windows(2).position(|w| w == b"\x89\x08").unwrap();
            out[at + 2..at + 10].to_vec()
        };
        assert!((64_000..67_000).contains(&out.len()), "{}", out.len());
        let first = ping(&out);
        assert!(!outbox.is_ours(b"guessed!") && outbox.is_ours(&first));
        out.clear();
        for _ in 0..1000 {
            outbox.add(&[0; 1000]);
            outbox.push_into(&mut out);
        }
        assert!((64_000..67_000).contains(&out.len()), "{}", out.len());
        assert!(!outbox.is_ours(&first), "it has been answered");
        // Whoever is asked meanwhile by another Ping may answer that one alone.
        let mut beat = Vec::new();
        outbox.write_ping(None, &mut beat);
        assert_eq!(ping(&beat), ping(&out));
    }
}
