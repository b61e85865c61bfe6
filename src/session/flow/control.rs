//! Control frames (RFC 6455 §5.5): they go on at once, unless a rule, their
//! sender's rate or turn has something against it.

use super::{CloseSeen, Flow, Piece, stop, to_u64};
use crate::frame::header::MAX_CONTROL_BYTES;
use crate::frame::{FrameHeader, Opcode, close, mask};
use crate::message::{MessageRules, Violation};
use crate::session::content;
use crate::session::forward::Forward;
use crate::session::verdict::{Control, Judge, Stopped, Verdict};

/// Bytes of a Close's payload that are its code; the rest is its reason.
const CODE_BYTES: usize = 2;

/// How a control frame goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    /// As it came.
    AsItCame,
    /// A Close without its reason.
    WithoutReason,
    /// Not at all.
    Vanished,
}

impl Flow {
    /// Control frames go on at once, ahead of a held message, but whole.
    pub(super) fn control_piece(
        &mut self,
        piece: &Piece<'_>,
        rules: &MessageRules,
        forward: &mut Forward<'_>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        debug_assert!(piece.header.payload_bytes <= MAX_CONTROL_BYTES);
        self.control.extend_from_slice(piece.data);
        if !piece.end {
            return Ok(());
        }
        if let Some(key) = piece.header.mask {
            mask::apply(&mut self.control, key, 0);
        }
        match piece.header.opcode {
            Opcode::Close => self.close_frame(piece, rules, forward, judge),
            opcode => self.ping_or_pong(opcode, piece, rules, forward, judge),
        }
    }

    /// A whole Close, unmasked.
    fn close_frame(
        &mut self,
        piece: &Piece<'_>,
        rules: &MessageRules,
        forward: &mut Forward<'_>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let code = self.judge_close(judge)?;
        let control = judge.control(Opcode::Close, &self.control);
        let delivery = self.judge_content(Opcode::Close, rules, forward, judge)?;
        self.close = Some(CloseSeen { code });
        // Nothing goes on after it: what is held never will.
        self.message = None;
        self.content.discard();
        if control != Control::Passes {
            return Ok(());
        }
        let (mut header, mut begin) = (piece.header, piece.begin);
        if delivery == Delivery::WithoutReason {
            self.control.truncate(CODE_BYTES);
            header.payload_bytes = to_u64(self.control.len());
            begin = None;
        }
        if judge.close_waits() {
            return self.queue_control(&header, None, judge);
        }
        self.send_control(&header, begin, piece.after, forward);
        Ok(())
    }

    /// A whole Ping or Pong, unmasked.
    fn ping_or_pong(
        &mut self,
        opcode: Opcode,
        piece: &Piece<'_>,
        rules: &MessageRules,
        forward: &mut Forward<'_>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let control = judge.control(opcode, &self.control);
        if control == Control::Ours {
            forward.insert(|out| judge.in_its_place(out));
            return Ok(());
        }
        let rate = self.take_rate(forward, judge)?;
        // As with messages: what has vanished already is not read any more.
        if rate == Verdict::Vanish {
            return Ok(());
        }
        let delivery = self.judge_content(opcode, rules, forward, judge)?;
        if control == Control::Vanishes || delivery == Delivery::Vanished {
            return Ok(());
        }
        if rate == Verdict::Wait {
            return self.queue_control(&piece.header, Some(piece.header.payload_bytes), judge);
        }
        if opcode == Opcode::Ping {
            judge.ping_passes(&self.control);
        }
        self.send_control(&piece.header, piece.begin, piece.after, forward);
        Ok(())
    }

    /// Judges by the rules what a control frame carries that its sender chose: the
    /// payload of a Ping or Pong, whose bytes need be no text, or the reason of a
    /// Close. Where there is none, there is nothing to judge.
    fn judge_content(
        &self,
        opcode: Opcode,
        rules: &MessageRules,
        forward: &mut Forward<'_>,
        judge: &mut impl Judge,
    ) -> Result<Delivery, Stopped> {
        let is_close = opcode == Opcode::Close;
        let from = if is_close { CODE_BYTES } else { 0 };
        let content = self.control.get(from..).unwrap_or_default();
        if content.is_empty() {
            return Ok(Delivery::AsItCame);
        }
        let Err(violation) = content::judge_rules(content, rules) else {
            return Ok(Delivery::AsItCame);
        };
        match judge.violation(violation, self.frame_offset) {
            Verdict::Pass => return Ok(Delivery::AsItCame),
            Verdict::Stop => return Err(Stopped),
            Verdict::Vanish => forward.insert(|out| judge.in_its_place(out)),
            // Nothing is cut out of so little, and no time would help.
            Verdict::Sanitize | Verdict::Wait => {}
        }
        Ok(if is_close { Delivery::WithoutReason } else { Delivery::Vanished })
    }

    /// Lets the unmasked control frame that is complete go on; it begins at `begin`
    /// of the chunk, if all of it stands there as it goes on, and ends before `after`.
    fn send_control(
        &self,
        header: &FrameHeader,
        begin: Option<usize>,
        after: usize,
        forward: &mut Forward<'_>,
    ) {
        match begin {
            Some(begin) => forward.pass(begin, after),
            None => forward.insert(|out| self.write_control(header, out)),
        }
    }

    fn write_control(&self, header: &FrameHeader, out: &mut Vec<u8>) {
        header.encode(out);
        let begin = out.len();
        out.extend_from_slice(&self.control);
        if let (Some(key), Some(copy)) = (header.mask, out.get_mut(begin..)) {
            mask::apply(copy, key, 0);
        }
    }

    /// Counts a ping or pong in its rates, and says what follows from that.
    fn take_rate(
        &self,
        forward: &mut Forward<'_>,
        judge: &mut impl Judge,
    ) -> Result<Verdict, Stopped> {
        let Err(violation) = judge.rate(to_u64(self.control.len())) else {
            return Ok(Verdict::Pass);
        };
        let verdict = judge.violation(violation, self.frame_offset);
        match verdict {
            Verdict::Stop | Verdict::Sanitize => return Err(Stopped),
            Verdict::Vanish => forward.insert(|out| judge.in_its_place(out)),
            Verdict::Pass | Verdict::Wait => {}
        }
        Ok(verdict)
    }

    /// Lets the control frame that is complete wait for its turn.
    fn queue_control(
        &self,
        header: &FrameHeader,
        payload_bytes: Option<u64>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let queued = judge.enqueue(payload_bytes, self.frame_offset, &mut |out| {
            self.write_control(header, out);
        });
        queued.map_err(|violation| stop(judge, violation, self.frame_offset))
    }

    /// The code of the Close whose unmasked payload is complete, if it has one.
    fn judge_close(&self, judge: &mut impl Judge) -> Result<Option<u16>, Stopped> {
        let violation = match close::judge(&self.control) {
            Ok(code) => return Ok(code),
            Err(close::CloseError::Frame(error)) => Violation::Frame(error),
            Err(close::CloseError::ReasonNotUtf8) => Violation::InvalidUtf8,
        };
        judge.violation(violation, self.frame_offset);
        Err(Stopped)
    }
}
