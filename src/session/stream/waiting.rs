//! A request that waits for somebody else's answer.

use super::parts::State;
use super::trouble::Trouble;
use super::{StreamConnection, unchanged};
use crate::frame::Sender;
use crate::host::{CallAnswer, CallId};
use crate::session::Outcome;

impl StreamConnection {
    /// Whether the request waits for somebody else's answer: the data callback
    /// must pause, and [`Self::advance`] is to be called on every tick.
    #[must_use]
    pub const fn is_waiting(&self) -> bool {
        matches!(self.state, State::Waiting(_))
    }

    /// Decides about a request that waits, if that can be done now. What goes on
    /// to upstream has been appended to `out`.
    pub fn advance(&mut self, out: &mut Vec<u8>) -> Option<Outcome> {
        let State::Waiting(waiting) = &mut self.state else { return None };
        let admitted = waiting.1.advance()?;
        let State::Waiting(waiting) = std::mem::replace(&mut self.state, State::Over) else {
            return None;
        };
        let outcome = self.follow(waiting.0, admitted, &[], out);
        Some(self.settle(outcome))
    }

    /// Hands over an answer, which may be somebody else's; whether it was its
    /// request's.
    pub fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        match &mut self.state {
            State::Waiting(waiting) => waiting.1.on_answer(id, answer),
            _ => false,
        }
    }

    /// No client sends anything before the answer, and no server before the
    /// request.
    pub(super) fn while_waiting(&mut self, sender: Sender, input: &[u8], ends: bool) -> Outcome {
        match (sender, input.is_empty()) {
            (Sender::Client, true) if ends => {
                self.on_end();
                self.over()
            }
            (_, true) => unchanged(),
            (Sender::Client, false) => self.give_up(Trouble::Early),
            (Sender::Server, false) => self.give_up(Trouble::Unasked),
        }
    }
}
