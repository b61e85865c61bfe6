//! A connection that gives way where held bytes run short.

use super::parts::State;
use super::trouble::Trouble;
use super::{StreamConnection, unchanged};
use crate::frame::Sender;
use crate::message::budget::Holder;
use crate::session::{Outcome, Session};
use std::rc::Rc;

impl StreamConnection {
    /// Returns the account of the bytes that it and its session hold.
    #[must_use]
    pub const fn holder(&self) -> &Rc<Holder> {
        &self.holder
    }

    /// Ends it if its holder [gives way](Holder::gives_way); all that it holds is given back. Mode report only
    /// tells where the WebSocket is open; a head that can't be held goes nowhere.
    pub fn give_way(&mut self) -> Outcome {
        if !self.holder.gives_way() {
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
