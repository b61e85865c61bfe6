//! A connection that gives way where held bytes run short.

use super::{Forwarded, Outcome, Phase, Session};
use crate::config::Mode;
use crate::message::budget::{Holder, Shortage};
use crate::reason::Reason;
use std::rc::Rc;

impl Session {
    /// Returns its account of held bytes.
    #[must_use]
    pub const fn holder(&self) -> &Rc<Holder> {
        &self.holder
    }

    /// Ends it if its holder [gives way](Holder::gives_way); all that it holds is given back. Afterwards there
    /// may be something to push, or, before upstream has answered, a refusal to take. Mode
    /// report only tells, and its bytes pass unseen.
    pub fn give_way(&mut self) -> Outcome {
        let goes_on = Outcome::forward(Forwarded::Unchanged);
        let Some(shortage) = self.holder.take_notice() else { return goes_on };
        self.outboxes.client.discard();
        self.outboxes.server.discard();
        match self.phase {
            Phase::Opening(_) => self.give_way_unopened(shortage),
            Phase::Open(opened) | Phase::Unseen(opened) => {
                let outcome = self.end_for(Reason::Overloaded, Some(shortage.to_string()));
                if self.mode() == Mode::Report {
                    self.hold_nothing();
                    self.phase = Phase::Unseen(opened);
                }
                outcome
            }
            // What was due to be said has been given back.
            Phase::Closing { .. } => Outcome { reset: true, ..goes_on },
            // Upstream's answer passes, and needs nothing of what was held.
            Phase::NoTunnel | Phase::Answered(_) => {
                self.hold_nothing();
                goes_on
            }
        }
    }

    fn give_way_unopened(&mut self, shortage: Shortage) -> Outcome {
        self.hold_nothing();
        self.refuse_unopened(Reason::Overloaded, &shortage.to_string())
    }

    /// Gives back all that it holds. Nothing of the client is read any more, not even its
    /// credential.
    fn hold_nothing(&mut self) {
        self.discard();
        if let Some(gate) = &mut self.gate {
            gate.read_no_more();
        }
    }
}
