//! The judge of an open connection: counts and tells what a flow finds, and
//! says by mode and action what follows.

use super::verdict::{Judge, Verdict};
use crate::config::Mode;
use crate::event::{About, Event, Kind};
use crate::frame::Sender;
use crate::guard::{Guard, effective};
use crate::inspect::Action;
use crate::message::Violation;
use crate::reason::Reason;

/// Judges what `sender` sends on one connection, for one chunk.
pub(super) struct Bench<'a> {
    guard: &'a Guard,
    policy: usize,
    mode: Mode,
    about: &'a About,
    sender: Sender,
    /// Whole messages that went by.
    pub(super) messages: u64,
    /// Why bytes were first refused, or in mode report would have been.
    pub(super) refused: Option<Reason>,
}

impl<'a> Bench<'a> {
    pub(super) fn new(guard: &'a Guard, policy: usize, about: &'a About, sender: Sender) -> Self {
        let mode = guard.policy(policy).map_or(Mode::Enforce, |policy| policy.mode);
        Self { guard, policy, mode, about, sender, messages: 0, refused: None }
    }
}

impl Judge for Bench<'_> {
    fn violation(&mut self, violation: Violation, offset: u64) -> Verdict {
        let rules = self.guard.policy(self.policy).map(|policy| &policy.client);
        let asked = violation.action(rules);
        let action = effective(self.mode, asked);
        let reason = violation.reason();
        let kind = match action {
            Action::Report => Kind::Reported,
            Action::Close => Kind::Refused,
        };
        let mut event = Event::new(self.guard.now(), kind, self.mode, self.about);
        event.reason = Some(reason);
        event.direction = Some(self.sender);
        event.offset = Some(offset);
        event.detail = Some(violation.to_string());
        if let Violation::RuleMatched { rule, .. } = violation {
            event.rule = rules.and_then(|r| r.rules.as_ref()).map(|rules| rules.name(rule));
        }
        self.guard.count_violation(self.policy, self.sender, reason, action);
        self.guard.tell(Some(self.policy), event);
        // What the policy itself only reports is no refusal in any mode.
        if asked == Action::Close {
            self.refused.get_or_insert(reason);
        }
        match action {
            Action::Report => Verdict::Pass,
            Action::Close => Verdict::Stop,
        }
    }

    fn message(&mut self, payload_bytes: u64) {
        self.messages += 1;
        self.guard.count_message(self.policy, self.sender, payload_bytes);
    }
}
