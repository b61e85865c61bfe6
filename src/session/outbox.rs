//! What we have to say to one end of a connection ourselves. A filter can only
//! write where bytes pass, so frames of ours wait for the next ones in that
//! direction, or with `push` for the filter to ask.

use super::closes::SentClose;
use super::flow::Room;
use super::pings::{Payload, Pings, Pong, Secret};
use crate::frame::{FrameHeader, Opcode, Sender, close};
use crate::message::budget::{Charge, Holder};
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
    /// Pings that have gone there, ours and the other end's.
    pings: Pings,
    /// Those of ours since anything came from there.
    unanswered: u32,
    /// What is put in can go there at once.
    open: bool,
    /// Bytes that were written there unasked since it last showed that it reads.
    unread_bytes: usize,
    /// The number of the Ping whose Pong will show it, as will one to a later Ping of
    /// ours.
    proof: Option<u64>,
}

/// Length of a Ping of ours that is not masked.
const PING_BYTES: usize = 10;

impl Outbox {
    /// With nothing in it. `secret` should be another one for each.
    pub(super) fn new(holder: &Rc<Holder>, secret: Secret) -> Self {
        let charge = Charge::new(holder);
        Self {
            due: Vec::new(),
            holds_released: false,
            charge,
            sealed: false,
            due_close: None,
            pings: Pings::new(secret),
            unanswered: 0,
            open: false,
            unread_bytes: 0,
            proof: None,
        }
    }

    /// Returns true once nothing may follow what has gone there.
    pub(super) const fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// Returns true if what is put in can go there at once, without waiting for other
    /// bytes to go there.
    pub(super) const fn is_open(&self) -> bool {
        self.open
    }

    /// Records whether what is put in can go there at once (see [`Self::is_open`]).
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

    /// Returns true if frames of the other end, whose turn had come, have not gone there.
    pub(super) const fn holds_released(&self) -> bool {
        self.holds_released
    }

    /// Puts a frame in, if there is room for it.
    pub(super) fn add(&mut self, frame: &[u8]) {
        if self.takes(frame.len()) {
            self.due.extend_from_slice(frame);
        }
    }

    /// Charges so many bytes of ours, if there is room for them; where the worker has none,
    /// the connection gives way.
    fn takes(&mut self, bytes: usize) -> bool {
        let fits = self.due.len().saturating_add(bytes) <= MAX_DUE_BYTES;
        let is_read = self.unread_bytes < MAX_UNREAD_BYTES;
        !self.sealed && fits && is_read && self.charge.grow_or_give_way(bytes)
    }

    /// Puts frames of `sender` in, the other end, whose turn it is: they are bounded
    /// where they waited.
    pub(super) fn release(&mut self, sender: Sender, frames: &[u8]) {
        self.put(frames);
        self.pings.pass_on_frame(sender, frames);
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

    /// Records that the frame that was put in last is the other end's Close.
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

    /// Gives back what is due, of which nothing goes on.
    pub(super) fn discard(&mut self) {
        (self.due, self.due_close) = (Vec::new(), None);
        self.holds_released = false;
        self.charge.release();
    }

    /// Returns true if something is due that fits into this room.
    pub(super) fn has_for(&self, room: Room) -> bool {
        match room {
            Room::Nothing => false,
            Room::Controls => frames(&self.due).any(|(is_control, _)| is_control),
            Room::All => !self.is_empty(),
        }
    }

    /// Appends all that is due for which there is so much room, and returns the Close among
    /// it.
    pub(super) fn take_into(&mut self, room: Room, out: &mut Vec<u8>) -> Option<SentClose> {
        match room {
            Room::Nothing => return None,
            Room::Controls => self.take_controls_into(out),
            Room::All => {
                out.extend_from_slice(&self.due);
                self.due = Vec::new();
                self.charge.release();
            }
        }
        self.holds_released &= !self.due.is_empty();
        self.due_close.take()
    }

    /// Appends the control frames that are due. Replies of ours among them wait, but not
    /// for a Close: nothing follows that.
    fn take_controls_into(&mut self, out: &mut Vec<u8>) {
        let mut messages = Vec::new();
        for (is_control, frame) in frames(&self.due) {
            if is_control { &mut *out } else { &mut messages }.extend_from_slice(frame);
        }
        if self.due_close.is_some() {
            messages = Vec::new();
        }
        self.charge.shrink(self.due.len() - messages.len());
        self.due = messages;
    }

    /// Appends what [`Self::take_into`] does, which is written unasked, and returns the Close
    /// among it.
    /// From [`PROVE_BYTES`] on a Ping goes with it, whose Pong shows that the end reads.
    pub(super) fn push_into(&mut self, room: Room, out: &mut Vec<u8>) -> Option<SentClose> {
        let before = out.len();
        let close = self.take_into(room, out);
        self.unread_bytes = self.unread_bytes.saturating_add(out.len() - before);
        if self.unread_bytes >= PROVE_BYTES && self.proof.is_none() && !self.sealed {
            write_ping(&mut self.pings, None, out);
            self.proof = Some(self.pings.last());
        }
        close
    }

    /// Puts a Ping in, whose Pong shows that somebody is there, and is a chance to
    /// write in the other direction. Where there is no room for it, the end has left
    /// others unanswered.
    pub(super) fn ask(&mut self) {
        if self.sealed {
            return;
        }
        self.unanswered = self.unanswered.saturating_add(1);
        if self.takes(PING_BYTES) {
            write_ping(&mut self.pings, None, &mut self.due);
        }
    }

    /// Puts a Ping in as [`Self::ask`] does, unless one is not answered yet.
    pub(super) fn ask_once(&mut self) {
        if self.unanswered == 0 {
            self.ask();
        }
    }

    /// Appends a Ping to `out`, which goes there, unless one is not answered yet.
    pub(super) fn ask_now(&mut self, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
        if !self.sealed && self.unanswered == 0 {
            self.unanswered = 1;
            write_ping(&mut self.pings, key, out);
        }
    }

    /// A Ping of the other end goes there now, behind all that has been put in.
    pub(super) fn pass_on_ping(&mut self, payload: &[u8]) {
        self.pings.pass_on(payload);
    }

    /// Finds out what a Pong with this payload answers that came from there, however
    /// late.
    pub(super) fn answer(&mut self, payload: &[u8]) -> Pong {
        let pong = self.pings.answer(payload);
        match (pong, self.proof) {
            (Pong::Ours { number, .. }, Some(proof)) if number >= proof => {
                self.proof = None;
                self.unread_bytes = 0;
            }
            // It has read that Ping, but anybody could know the payload of this one;
            // and it need not answer both.
            (Pong::PassedOn { behind }, Some(proof)) if behind >= proof && !self.sealed => {
                write_ping(&mut self.pings, None, &mut self.due);
                self.proof = Some(self.pings.last());
            }
            _ => {}
        }
        pong
    }
}

/// Whole frames one by one, and whether each is a control frame.
fn frames(mut rest: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        let is_masked = rest.get(1).is_some_and(|bits| bits & 0x80 != 0);
        let sender = if is_masked { Sender::Client } else { Sender::Server };
        let (header, length) = FrameHeader::parse(rest, sender, true).ok()??;
        let payload = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
        let (frame, after) = rest.split_at_checked(length.saturating_add(payload))?;
        rest = after;
        Some((header.opcode.is_control(), frame))
    })
}

/// Appends the next Ping of ours.
fn write_ping(pings: &mut Pings, key: Option<[u8; 4]>, out: &mut Vec<u8>) {
    Payload::new(&pings.next()).write(Opcode::Ping, key, out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::budget::Budget;

    fn outbox() -> (Rc<Budget>, Outbox) {
        let budget = Budget::new(1 << 20);
        let outbox = Outbox::new(&Holder::new(&budget, None, 64), [1; 32]);
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
        outbox.take_into(Room::All, &mut out);
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
        outbox.take_into(Room::All, &mut out);
        assert_eq!((out.len(), budget.used_bytes()), (16_000, 0));
    }

    /// The payload of the one Ping that stands in `out`.
    fn ping(out: &[u8]) -> Vec<u8> {
        let at = out.windows(2).position(|w| w == b"\x89\x08").unwrap();
        out[at + 2..at + PING_BYTES].to_vec()
    }

    fn is_ours(outbox: &mut Outbox, payload: &[u8]) -> bool {
        matches!(outbox.answer(payload), Pong::Ours { .. })
    }

    #[test]
    fn one_ping_at_a_time_asks_for_a_chance_to_write() {
        let (_, mut outbox) = outbox();
        let mut out = Vec::new();
        outbox.ask_now(None, &mut out);
        outbox.ask_now(None, &mut out);
        assert_eq!(out.len(), PING_BYTES);
        assert!(is_ours(&mut outbox, &ping(&out)) && !is_ours(&mut outbox, b"another"));
        assert_eq!(outbox.unanswered(), 1);
        outbox.answered();
        assert_eq!(outbox.unanswered(), 0);
    }

    /// Writes to an end that never reads, until no more is written.
    fn fill(outbox: &mut Outbox) -> Vec<u8> {
        let mut out = Vec::new();
        for _ in 0..1000 {
            outbox.add(&[0; 1000]);
            outbox.push_into(Room::All, &mut out);
        }
        assert!((64_000..67_000).contains(&out.len()), "{}", out.len());
        out
    }

    #[test]
    fn an_end_that_does_not_read_is_written_no_more_until_it_does() {
        let (_, mut outbox) = outbox();
        let first = ping(&fill(&mut outbox));
        assert!(!is_ours(&mut outbox, b"guessed!") && is_ours(&mut outbox, &first));
        let second = ping(&fill(&mut outbox));
        assert!(!is_ours(&mut outbox, &first), "it has been answered");
        // A Ping for which there is no room is missed all the same.
        outbox.ask();
        assert_eq!((outbox.unanswered(), outbox.is_empty()), (1, true));
        // An end that is asked meanwhile by another Ping may answer that one alone.
        let mut beat = Vec::new();
        outbox.answered();
        outbox.ask_now(None, &mut beat);
        assert!(ping(&beat) != second && is_ours(&mut outbox, &ping(&beat)));
        fill(&mut outbox);
    }

    /// The payload of that one can be known without reading it.
    #[test]
    fn an_end_that_answers_the_other_ends_later_ping_alone_is_asked_again() {
        let (_, mut outbox) = outbox();
        fill(&mut outbox);
        outbox.pass_on_ping(b"");
        assert!(matches!(outbox.answer(b""), Pong::PassedOn { .. }));
        outbox.add(&[0; 1000]);
        let mut out = Vec::new();
        outbox.push_into(Room::All, &mut out);
        assert_eq!(out.len(), PING_BYTES, "no proof, and so nothing else");
        assert!(is_ours(&mut outbox, &ping(&out)));
        fill(&mut outbox);
    }
}
