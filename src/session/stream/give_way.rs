//! A connection that gives way where held bytes run short.

use super::parts::State;
use super::trouble::Trouble;
use super::{StreamConnection, unchanged};
use crate::frame::Sender;
use crate::session::{Outcome, Session};

impl StreamConnection {
    /// Says by which number [`Guard::take_given_way`](crate::guard::Guard::take_given_way)
    /// names it.
    pub fn set_number(&self, number: u32) {
        self.holder.set_number(number);
    }

    /// Whether it is to be ended by [`Self::give_way`], at the end of the callback at the
    /// latest.
    #[must_use]
    pub fn gives_way(&self) -> bool {
        self.holder.has_notice()
    }

    /// Ends it if [`Self::gives_way`]: all that it holds is given back at once. Mode report
    /// only tells where the WebSocket is open; a head that can't be held goes nowhere.
    pub fn give_way(&mut self) -> Outcome {
        if !self.gives_way() {
            return unchanged();
        }
        let outcome = match (&self.state, &mut self.session) {
            (State::Answer(_) | State::Tunnel, Some(session)) => Session::give_way(session),
            (State::Request(_) | State::Waiting(_) | State::Answer(_), _) => {
                self.holder.take_notice();
                self.give_up(Trouble::Memory(Sender::Client))
            }
            (State::Tunnel | State::Answered(_) | State::Over, _) => {
                self.holder.take_notice();
                self.over()
            }
        };
        self.settle(outcome)
    }
}
