//! Messages that wait for a rate (`slow`) or behind others, and their turn.

use super::bench::Bench;
use super::queue::{Hold, Turn};
use super::verdict::{Judge, Verdict};
use super::{Forwarded, Outcome, Session};
use crate::config::Mode;
use crate::frame::Sender;
use crate::inspect::Action;
use crate::message::Violation;
use crate::quota::rate::Moment;
use std::rc::Rc;

impl Session {
    /// Lets what waits of `sender` go to the other end's outbox, as far as what it
    /// asks for has been granted. What is over a rate when its turn has come goes
    /// on waiting (`slow`), or is a violation then.
    pub(super) fn release(&mut self, sender: Sender) -> Outcome {
        let goes_on = Outcome::forward(Forwarded::Unchanged);
        let shut = self.gate.is_some() && self.mode() == Mode::Enforce;
        if self.queues.of(sender).is_empty() {
            return goes_on;
        }
        let guard = Rc::clone(&self.guard);
        let Some(policy) = guard.policy(self.policy) else { return goes_on };
        let rules = policy.messages(sender);
        let mut moment = Moment::default();
        while let Some(first) = self.queues.of(sender).first() {
            if first.hold == Hold::Granted || shut && first.hold != Hold::Nothing {
                return goes_on;
            }
            let taken = match first.turn {
                Turn::Counts(bytes) => {
                    let who = (self.about.ip, self.user.as_deref());
                    let taken = (self.taken.of(sender), &mut moment);
                    guard.message_rates(policy, (sender, rules), who, taken, bytes)
                }
                Turn::Counted | Turn::Close => Ok(()),
            };
            let over = taken.map_err(Violation::Rate);
            if over.is_err_and(|violation| violation.action(rules) == Action::Slow) {
                return goes_on;
            }
            let Some(first) = self.queues.of(sender).take() else { return goes_on };
            if let Err(violation) = over {
                let mut bench = Bench::of(self, &guard, sender);
                match bench.violation(violation, first.offset) {
                    Verdict::Pass => {}
                    Verdict::Vanish => {
                        let mut instead = Vec::new();
                        bench.in_its_place(&mut instead);
                        self.outboxes.of(sender.other()).put(&instead);
                        continue;
                    }
                    _ => return self.close_for(sender, violation.reason()),
                }
            }
            let outbox = self.outboxes.of(sender.other());
            outbox.release(sender, &first.frames);
            if first.turn == Turn::Close {
                outbox.end();
                self.life.half_close(guard.monotonic());
            }
        }
        goes_on
    }

    /// What waits has its turn by the clock, too.
    pub(super) fn release_on_tick(&mut self) -> Outcome {
        let ended = self.release_all();
        self.ask_for_turn();
        ended
    }

    /// Lets what waits of both ends go.
    pub(super) fn release_all(&mut self) -> Outcome {
        let client = self.release(Sender::Client);
        // Where that has ended it, nothing waits any more.
        client.and(self.release(Sender::Server))
    }

    /// Upstream can be written to in the place of something that the client sends
    /// only: asks the client for a Pong if something waits for that.
    pub(super) fn ask_for_turn(&mut self) {
        if !self.outboxes.server.is_empty() {
            self.outboxes.client.ask_once();
        }
    }
}
