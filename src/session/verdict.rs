//! What is decided about a message, and who decides what follows.

use super::flow::Room;
use super::gate::Passage;
use crate::frame::Opcode;
use crate::message::{Message, MessageType, Violation};
use crate::quota::rate::Load;
use std::time::Duration;

/// What to do about a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Let it pass.
    Pass,
    /// Let it wait for its turn, and what follows behind it.
    Wait,
    /// Cut out what matched.
    Sanitize,
    /// Let the message vanish.
    Vanish,
    /// Nothing more goes on.
    Stop,
}

/// Who is told what a flow finds.
pub(super) trait Judge {
    /// A violation in the frame that begins `offset` bytes into the stream.
    fn violation(&mut self, violation: Violation, offset: u64) -> Verdict;
    /// Appends what goes on in the place of a message, or control frame, that vanishes,
    /// where there is `room` for it; otherwise it goes when there is.
    fn in_its_place(&mut self, room: Room, out: &mut Vec<u8>);
    /// Returns true in mode report, where all bytes go on unchanged.
    fn only_watches(&self) -> bool;
    /// Mode report: the message whose last frame begins `offset` bytes into the
    /// stream goes on as it came, where enforce would reshape it; it is the last of
    /// its direction that is read.
    fn unread(&mut self, reshaping: Reshaping, offset: u64);
    /// Whether messages have to wait for their turn now.
    fn waits(&self) -> bool;
    /// Whether a Close has to wait for its turn now, behind messages that do.
    fn close_waits(&self) -> bool;
    /// Returns true if the whole message carries the sender's credential and is not
    /// forwarded. Rules for what reaches the receiver do not apply to it.
    fn swallows(&self, kind: MessageType, message: &[u8]) -> bool;
    /// Lets the rest of this chunk wait for its turn.
    fn hold_back(&mut self);
    /// Returns true if a message that waits may vanish when its turn has come: `load` is taken
    /// from the rates then.
    fn may_vanish(&self, load: Load) -> bool;
    /// Lets frames that `write` appends, the last of which began `offset` bytes
    /// into the stream, wait for their turn.
    fn enqueue(
        &mut self,
        queued: Queued,
        offset: u64,
        write: &mut dyn FnMut(&mut Vec<u8>),
    ) -> Result<(), Violation>;
    /// A whole message of this many payload bytes went by.
    fn message(&mut self, payload_bytes: u64);
    /// Takes a message, ping or pong, or what has come of one, from the rates.
    fn rate(&mut self, load: Load) -> Result<(), Violation>;
    /// Takes a message that is all there from the rates before anything else is known of
    /// it, and returns true if they allow it. The next [`Self::rate`] is about this
    /// message, takes nothing and gives the same answer.
    fn rate_ahead(&mut self, payload_bytes: u64) -> bool;
    /// Whether [`Self::read`] wants to see every message.
    fn reads(&self) -> bool;
    /// Whether [`Self::read`] would find nothing in a message and let it go on as it
    /// is.
    fn is_nothing_to_read(&self, message: &[u8]) -> bool;
    /// A whole message that breaks no rule, whose last frame begins `offset` bytes
    /// into the stream, and what becomes of it by who its sender is.
    fn read(
        &mut self,
        kind: MessageType,
        message: &[u8],
        offset: u64,
    ) -> Result<Passage, Violation>;
    /// A whole control frame, with its unmasked payload.
    fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Control;
    /// A Ping with this payload goes on now.
    fn ping_passes(&mut self, payload: &[u8]);
    /// Keeps the Pong with this payload until the client has been verified.
    fn owe_pong(&mut self, payload: &[u8]);
    /// The server message that was read last as [`Passage::Greeting`] goes on, now or in
    /// its turn.
    fn greeting_passes(&mut self);
    /// Returns true if [`Self::due`] would append something.
    fn is_due(&self, room: Room) -> bool;
    /// Appends what has waited for the end of a frame or message, and has `room` now.
    fn due(&mut self, room: Room, out: &mut Vec<u8>);
    /// The time of this chunk, by the steady clock.
    fn moment(&self) -> Duration;
}

/// Frames that wait for their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Queued {
    /// A message, of which so much is taken of the rates then.
    Message(Load),
    /// A Ping or Pong, which counts in the same way.
    Control(Load),
    /// A Close, which counts in none.
    Close,
}

/// How a compressed message that breaks no rule goes on, where it must not go on as
/// it came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reshaping {
    /// It came in fragments: the same compressed bytes in one frame.
    Join,
    /// It has a final block (BFINAL): not compressed.
    Inflate,
}

impl std::fmt::Display for Reshaping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Join => {
                "a compressed message came in fragments, which enforce would join into one frame"
            }
            Self::Inflate => {
                "a compressed message has a final block (BFINAL), and enforce would pass it on inflated"
            }
        })
    }
}

/// What becomes of a control frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Control {
    /// It goes on, where its rate has nothing against it.
    Passes,
    /// It goes nowhere, and counts.
    Vanishes,
    /// It counts, and is a Pong that goes on once the client has been verified, where
    /// neither its rate nor a rule has anything against it (see [`Judge::owe_pong`]).
    Owed,
    /// It answers a Ping of ours: it goes nowhere, and is nobody's. What
    /// [`Judge::in_its_place`] appends goes on instead.
    Ours,
}

/// The sender must be cut off: why was told to the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// Tells the judge of a violation of `message` before its content was read, if
/// there is one. Where it may pass, what is beyond a limit or unreadable is not
/// looked at any further.
#[inline]
pub(super) fn settle(
    outcome: Result<(), Violation>,
    message: &mut Message,
    offset: u64,
    judge: &mut impl Judge,
) -> Result<Verdict, Stopped> {
    match outcome {
        Ok(()) => Ok(Verdict::Pass),
        Err(violation) => settle_violation(violation, message, offset, judge),
    }
}

#[cold]
fn settle_violation(
    violation: Violation,
    message: &mut Message,
    offset: u64,
    judge: &mut impl Judge,
) -> Result<Verdict, Stopped> {
    let verdict = judge.violation(violation, offset);
    match verdict {
        Verdict::Stop | Verdict::Sanitize => return Err(Stopped),
        Verdict::Vanish => message.vanish(),
        Verdict::Wait => {}
        Verdict::Pass if violation.leaves_it_readable() => {}
        // What follows refers to what this message would have inflated to.
        Verdict::Pass if message.is_compressed() => return Err(Stopped),
        Verdict::Pass => message.skip(),
    }
    Ok(verdict)
}
