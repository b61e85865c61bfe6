//! A frame's header: its place in the message, and the type, limits and rates that can be
//! judged before its payload has come.

use super::{Flow, Room, Surroundings, parts};
use crate::frame::{FrameError, FrameHeader};
use crate::message::{Fate, Message, MessageRules, MessageType, Violation, begins};
use crate::session::forward::Forward;
use crate::session::verdict::{Judge, Stopped, Verdict, settle};

impl Flow {
    /// A header is complete: its place in the message, type and limits.
    pub(super) fn begin_frame(
        &mut self,
        header: &FrameHeader,
        forward: &mut Forward<'_>,
        with: &Surroundings<'_>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        if header.opcode.is_control() {
            self.control.clear();
            self.begun = self.begun.filter(|_| self.message.is_some());
            return Ok(());
        }
        let order = match (begins(header.opcode), &self.message) {
            (None, None) => Some(FrameError::ContinuationUnexpected),
            (Some(_), Some(_)) => Some(FrameError::ContinuationExpected),
            _ => None,
        };
        if let Some(error) = order {
            judge.violation(Violation::Frame(error), self.frame_offset);
            return Err(Stopped);
        }
        let mut denied = Ok(());
        let kind = begins(header.opcode);
        if let Some(kind) = kind {
            self.message = Some(Message::begin(kind, header, with.holder));
            self.begun = None;
            denied = judge_type(kind, with.rules);
        }
        let offset = self.frame_offset;
        let Some(message) = &mut self.message else { return Err(Stopped) };
        if settle(denied, message, offset, judge)? == Verdict::Vanish {
            forward.insert(|out| judge.in_its_place(Room::All, out));
        }
        let counted = message.count(header, with.rules);
        settle(counted, message, offset, judge)?;
        take_rate(message, offset, forward, judge)?;
        if kind.is_some() {
            let holds = self.content.is_compressed() || judge.reads() || judge.waits();
            message.go_on_in(parts::of(message, with.rules, holds));
        }
        Ok(())
    }
}

/// Counts what has been announced of a message in its rates, unless it has been.
pub(super) fn take_rate(
    message: &mut Message,
    offset: u64,
    forward: &mut Forward<'_>,
    judge: &mut impl Judge,
) -> Result<(), Stopped> {
    let counts = match message.fate() {
        // What waits is counted when its turn has come.
        Fate::Judged => !judge.waits() && !message.waits(),
        Fate::Vanishes => true,
        Fate::Unread => false,
    };
    let load = message.uncounted();
    if !counts || load.is_nothing() {
        return Ok(());
    }
    let taken = judge.rate(load);
    if taken.is_ok() {
        message.mark_counted();
    }
    let verdict = settle(taken, message, offset, judge)?;
    if verdict == Verdict::Wait {
        message.wait();
    } else if taken.is_err() {
        // Told once of a message.
        message.excuse();
    }
    if verdict == Verdict::Vanish {
        forward.insert(|out| judge.in_its_place(Room::All, out));
    }
    Ok(())
}

/// Says whether this type of message may pass.
pub(super) const fn judge_type(kind: MessageType, rules: &MessageRules) -> Result<(), Violation> {
    match kind {
        MessageType::Text if !rules.text => Err(Violation::TypeDenied(kind)),
        MessageType::Binary if !rules.binary => Err(Violation::TypeDenied(kind)),
        _ => Ok(()),
    }
}
