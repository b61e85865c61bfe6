//! What we have to say to one end of a connection ourselves. A filter can only
//! write where bytes pass, so frames of ours wait for the next ones in that
//! direction, or with `push` for the filter to ask.

use crate::frame::{FrameHeader, Opcode, Sender, close, mask};
use crate::message::budget::{Budget, Charge};
use std::rc::Rc;

/// Most bytes that wait for one end. A client that goes on breaking rules while
/// nothing can be said to it gets no more answers than these.
const MAX_DUE_BYTES: usize = 16 << 10;

/// Frames of ours on their way to both ends.
#[derive(Debug)]
pub(super) struct Outboxes {
    client: Outbox,
    server: Outbox,
}

impl Outboxes {
    pub(super) fn new(budget: &Rc<Budget>) -> Self {
        Self { client: Outbox::new(budget), server: Outbox::new(budget) }
    }

    /// Frames that go to `receiver`.
    pub(super) const fn to(&mut self, receiver: Sender) -> &mut Outbox {
        match receiver {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        }
    }
}

/// Frames of ours on their way to one end.
#[derive(Debug)]
pub(super) struct Outbox {
    /// Whole frames. Invariant: at most [`MAX_DUE_BYTES`], and a Close behind
    /// them.
    due: Vec<u8>,
    charge: Charge,
    /// A Close has gone there or is due: it is the last frame.
    sealed: bool,
    /// Payload of our Ping that has gone there and was not answered.
    probe: Option<Probe>,
}

/// Payload of a Ping of ours, by which its Pong is known.
pub(super) type Probe = [u8; 8];

impl Outbox {
    fn new(budget: &Rc<Budget>) -> Self {
        Self { due: Vec::new(), charge: Charge::new(budget), sealed: false, probe: None }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.due.is_empty()
    }

    /// Puts a frame in that `write` appends, if there is room for it.
    pub(super) fn add(&mut self, frame: &[u8]) {
        let fits = self.due.len().saturating_add(frame.len()) <= MAX_DUE_BYTES;
        if !self.sealed && fits && self.charge.grow(frame.len()).is_ok() {
            self.due.extend_from_slice(frame);
        }
    }

    /// Puts the last frame in: a Close, unless one has gone there already.
    pub(super) fn close(&mut self, code: u16, reason: &str, key: Option<[u8; 4]>) {
        if !std::mem::replace(&mut self.sealed, true) {
            close::write(code, reason, key, &mut self.due);
        }
    }

    /// A Close has gone there: whatever is left can't follow it.
    pub(super) fn seal(&mut self) {
        self.sealed = true;
        self.due = Vec::new();
        self.charge.release();
    }

    /// Appends all that is due.
    pub(super) fn take_into(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.due);
        self.due = Vec::new();
        self.charge.release();
    }

    /// Appends a Ping to `out`, which goes there, unless one is not answered
    /// yet: its Pong is a chance to write that comes by itself.
    pub(super) fn ask(&mut self, payload: Probe, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        if self.sealed || self.probe.is_some() {
            return;
        }
        self.probe = Some(payload);
        let opcode = Opcode::Ping;
        let payload_bytes = u64::try_from(payload.len()).unwrap_or(0);
        FrameHeader { fin: true, compressed: false, opcode, mask: key, payload_bytes }.encode(out);
        let begin = out.len();
        out.extend_from_slice(&payload);
        if let (Some(key), Some(copy)) = (key, out.get_mut(begin..)) {
            mask::apply(copy, key, 0);
        }
    }

    /// Whether a Pong with this payload that came from there answers our Ping.
    pub(super) fn answers(&mut self, payload: &[u8]) -> bool {
        let ours = self.probe.is_some_and(|probe| probe == payload);
        if ours {
            self.probe = None;
        }
        ours
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outbox() -> (Rc<Budget>, Outbox) {
        let budget = Budget::new(1 << 20);
        let outbox = Outbox::new(&budget);
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
        outbox.ask([0; 8], None, &mut out);
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
    fn only_the_pong_to_our_ping_is_ours_and_only_once() {
        let (_, mut outbox) = outbox();
        let mut out = Vec::new();
        assert!(!outbox.answers(b"\x01\x01\x01\x01\x01\x01\x01\x01"));
        outbox.ask([1; 8], None, &mut out);
        outbox.ask([2; 8], None, &mut out);
        assert_eq!(out, b"\x89\x08\x01\x01\x01\x01\x01\x01\x01\x01");
        assert!(!outbox.answers(b"another"));
        assert!(outbox.answers(&[1; 8]));
        assert!(!outbox.answers(&[1; 8]));
    }
}
