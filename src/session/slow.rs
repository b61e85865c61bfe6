//! Messages that wait for a rate (`slow`) or behind others, and their turn.

use super::Session;
use super::queue::Turn;
use crate::config::Mode;
use crate::frame::Sender;
use crate::quota::rate::Moment;
use std::rc::Rc;

impl Session {
    /// Lets what waits of `sender` go to the other end's outbox, as far as the
    /// rates allow now and what it asks for has been granted.
    pub(super) fn release(&mut self, sender: Sender) {
        let shut = self.gate.is_some() && self.mode() == Mode::Enforce;
        if shut || self.queues.of(sender).is_empty() {
            return;
        }
        let guard = Rc::clone(&self.guard);
        let Some(policy) = guard.policy(self.policy) else { return };
        let from = (sender, policy.messages(sender));
        let who = (self.about.ip, self.user.as_deref());
        let queue = self.queues.of(sender);
        let mut moment = Moment::default();
        while let Some(first) = queue.first() {
            let may_go = match first.turn {
                _ if first.asks => false,
                Turn::Counts(bytes) => {
                    let taken = (self.taken.of(sender), &mut moment);
                    guard.message_rates(policy, from, who, taken, bytes).is_ok()
                }
                Turn::Counted | Turn::Close => true,
            };
            let Some(first) = may_go.then(|| queue.take()).flatten() else { return };
            let outbox = self.outboxes.of(sender.other());
            outbox.release(&first.frames);
            if first.turn == Turn::Close {
                outbox.end();
                self.life.half_close(guard.monotonic());
            }
        }
    }

    /// What waits has its turn by the clock, too.
    pub(super) fn release_on_tick(&mut self) {
        for sender in [Sender::Client, Sender::Server] {
            self.release(sender);
        }
        self.ask_for_turn();
    }

    /// Upstream can be written to in the place of something that the client sends
    /// only: asks the client for a Pong if something waits for that.
    pub(super) fn ask_for_turn(&mut self) {
        if !self.outboxes.server.is_empty() {
            self.outboxes.client.ask_once();
        }
    }
}
