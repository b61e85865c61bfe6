//! Control frames of an open connection: which Pongs are the other end's, and which
//! are ours.

use super::{Bench, InItsPlace, key_of_ours};
use crate::config::Mode;
use crate::frame::{Opcode, Sender};
use crate::session::pings::{Payload, Pong};
use crate::session::verdict::Control;

impl Bench<'_> {
    /// Says what becomes of a whole control frame, by its unmasked payload.
    pub(super) fn judge_control(&mut self, opcode: Opcode, payload: &[u8]) -> Control {
        // Nothing of a client goes up before the gate has opened.
        let enforced = self.sender == Sender::Client && self.mode == Mode::Enforce;
        let gate = self.who.gate.as_ref().filter(|_| enforced);
        let shut = gate.is_some_and(|gate| opcode != Opcode::Close || !self.holds_close(gate));
        if opcode == Opcode::Pong
            && let Some(control) = self.judge_pong(payload, shut)
        {
            return control;
        }
        if shut { Control::Vanishes } else { Control::Passes }
    }

    /// Decides about a Pong; `None` if it is treated as any other control frame.
    fn judge_pong(&mut self, payload: &[u8], shut: bool) -> Option<Control> {
        let (answered, control) = match self.outboxes.of(self.sender).answer(payload) {
            Pong::Ours { also, .. } => (also, Some(Control::Ours)),
            Pong::PassedOn { .. } => (Some(Payload::new(payload)), None),
            Pong::Late => return Some(Control::Vanishes),
            Pong::Unsolicited => return None,
        };
        let Some(answered) = answered else { return control };
        self.answered_pings += 1;
        match &mut self.who.gate {
            Some(gate) if shut => gate.owe_pong(answered),
            // The frame itself is that Pong.
            _ if control.is_none() => {}
            _ => self.in_its_place = InItsPlace::Frame(self.pong(&answered)),
        }
        control
    }

    /// A Pong that goes to the other end.
    fn pong(&self, payload: &Payload) -> Vec<u8> {
        let key = (self.sender == Sender::Client).then(|| key_of_ours(self.guard));
        let mut frame = Vec::new();
        payload.write(Opcode::Pong, key, &mut frame);
        frame
    }
}
