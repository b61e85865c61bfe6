//! Control frames (RFC 6455 §5.5): they go on at once, unless their sender's
//! rate or turn has something against it.

use super::{CloseSeen, Flow, Piece, stop, to_u64};
use crate::frame::header::MAX_CONTROL_BYTES;
use crate::frame::{Opcode, close, mask};
use crate::message::Violation;
use crate::session::forward::Forward;
use crate::session::verdict::{Control, Judge, Stopped, Verdict};

impl Flow {
    /// Control frames go on at once, ahead of a held message, but whole.
    pub(super) fn control_piece(
        &mut self,
        piece: &Piece<'_>,
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
        let opcode = piece.header.opcode;
        let is_close = opcode == Opcode::Close;
        if is_close {
            self.judge_close(judge)?;
        }
        let control = judge.control(opcode, &self.control);
        let goes_on = match control {
            Control::Ours => false,
            Control::Passes | Control::Vanishes if is_close => control == Control::Passes,
            Control::Passes | Control::Vanishes => {
                self.take_control(piece, control, forward, judge)?
            }
        };
        if !goes_on {
            return Ok(());
        }
        if is_close && judge.close_waits() {
            return self.queue_control(piece, None, judge);
        }
        match piece.begin {
            Some(begin) => forward.pass(begin, piece.after),
            None => {
                if let Some(key) = piece.header.mask {
                    mask::apply(&mut self.control, key, 0);
                }
                forward.insert(|out| {
                    piece.header.encode(out);
                    out.extend_from_slice(&self.control);
                });
            }
        }
        Ok(())
    }

    /// Counts a ping or pong in its rates: whether it goes on.
    fn take_control(
        &self,
        piece: &Piece<'_>,
        control: Control,
        forward: &mut Forward<'_>,
        judge: &mut impl Judge,
    ) -> Result<bool, Stopped> {
        let passes = control == Control::Passes;
        let Err(violation) = judge.rate(to_u64(self.control.len())) else { return Ok(passes) };
        match judge.violation(violation, self.frame_offset) {
            Verdict::Pass => Ok(passes),
            Verdict::Vanish => {
                forward.insert(|out| judge.in_its_place(out));
                Ok(false)
            }
            Verdict::Wait if !passes => Ok(false),
            Verdict::Wait => {
                self.queue_control(piece, Some(piece.header.payload_bytes), judge).map(|()| false)
            }
            Verdict::Stop | Verdict::Sanitize => Err(Stopped),
        }
    }

    /// Lets the control frame that is complete wait for its turn.
    fn queue_control(
        &self,
        piece: &Piece<'_>,
        payload_bytes: Option<u64>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let queued = judge.enqueue(payload_bytes, self.frame_offset, &mut |out| {
            piece.header.encode(out);
            let begin = out.len();
            out.extend_from_slice(&self.control);
            if let (Some(key), Some(copy)) = (piece.header.mask, out.get_mut(begin..)) {
                mask::apply(copy, key, 0);
            }
        });
        queued.map_err(|violation| stop(judge, violation, self.frame_offset))
    }

    /// Judges the Close whose unmasked payload is complete.
    fn judge_close(&mut self, judge: &mut impl Judge) -> Result<(), Stopped> {
        let violation = match close::judge(&self.control) {
            Ok(code) => {
                self.close = Some(CloseSeen { code });
                // Nothing goes on after it: what is held never will.
                self.message = None;
                self.content.discard();
                return Ok(());
            }
            Err(close::CloseError::Frame(error)) => Violation::Frame(error),
            Err(close::CloseError::ReasonNotUtf8) => Violation::InvalidUtf8,
        };
        judge.violation(violation, self.frame_offset);
        Err(Stopped)
    }
}
