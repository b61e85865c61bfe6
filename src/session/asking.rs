//! Messages of an open connection that wait until a service has granted what
//! they ask for, and what follows behind them.

use super::bench::Bench;
use super::queue::Full;
use super::verdict::{Judge, Verdict};
use super::{Forwarded, Outcome, Phase, Session};
use crate::auth::{AskedFor, AuthError, AuthRules, Desk, Identity, Inquiry};
use crate::frame::Sender;
use crate::guard::Guard;
use crate::host::{CallAnswer, CallId};
use crate::message::Violation;
use crate::message::budget::{Charge, Holder};
use crate::reason::Reason;
use std::collections::VecDeque;
use std::rc::Rc;

/// Most messages of a connection that wait for a service. In mode enforce they
/// are in its queue, too, which has bounds of its own.
const MAX_ASKING: usize = 1024;

/// What the messages of one client ask services for, in their order: one
/// question is under way at a time, so that no client makes a flood of them.
#[derive(Debug)]
pub(super) struct Asking {
    waiting: VecDeque<Wants>,
    inquiry: Inquiry,
    charge: Charge,
    holder: Rc<Holder>,
}

/// What one message asks for.
#[derive(Debug)]
struct Wants {
    /// Where in the stream it stands.
    offset: u64,
    /// What has not been granted yet, the next one first; never nothing.
    asked: VecDeque<AskedFor>,
    /// What it takes of the worker's account.
    bytes: usize,
}

impl Asking {
    pub(super) fn new(holder: &Rc<Holder>) -> Self {
        let (waiting, charge) = (VecDeque::new(), Charge::new(holder));
        Self { waiting, inquiry: Inquiry::default(), charge, holder: Rc::clone(holder) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes what a message asks for. Nothing is no question.
    pub(super) fn push(&mut self, offset: u64, asked: Vec<AskedFor>) -> Result<(), Full> {
        if asked.is_empty() {
            return Ok(());
        }
        if self.waiting.len() >= MAX_ASKING {
            return Err(Full);
        }
        let values: usize = asked.iter().map(|(_, value)| value.len()).sum();
        let bytes = values + asked.len() * size_of::<AskedFor>() + size_of::<Wants>();
        self.charge.grow(bytes).map_err(|_| Full)?;
        self.waiting.push_back(Wants { offset, asked: asked.into(), bytes });
        Ok(())
    }

    /// Gives back all of it, and waits for no answer any more: nothing of what
    /// asks will go on.
    pub(super) fn discard(&mut self) {
        *self = Self::new(&self.holder);
    }

    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub(super) fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        self.inquiry.on_answer(id, answer)
    }

    /// Where the first message stands if all that it asks for has been granted, as
    /// far as that can be known now: then it is not the first any more.
    fn advance(
        &mut self,
        rules: &AuthRules,
        identity: &Identity,
        desk: Desk<'_>,
    ) -> Result<Option<u64>, AuthError> {
        let Some(first) = self.waiting.front_mut() else { return Ok(None) };
        while let Some(asked) = first.asked.front() {
            if !self.inquiry.advance(rules, identity, asked, desk)? {
                return Ok(None);
            }
            first.asked.pop_front();
        }
        Ok(self.take())
    }

    /// Takes the first message out; where it stands in the stream.
    fn take(&mut self) -> Option<u64> {
        let first = self.waiting.pop_front()?;
        if self.waiting.is_empty() {
            self.discard();
        } else {
            self.charge.shrink(first.bytes);
        }
        Some(first.offset)
    }
}

impl Session {
    /// Asks services for what messages wait for, and lets go what has been granted,
    /// as far as that can be done now. A no ends the connection, or in mode report
    /// is told. Nobody is asked before it is known who the client is.
    pub(super) fn inquire(&mut self) -> Outcome {
        let mut outcome = Outcome::forward(Forwarded::Unchanged);
        let guard = Rc::clone(&self.guard);
        let policy = guard.policy(self.policy);
        let Some(rules) = policy.and_then(|policy| policy.auth.as_ref()) else { return outcome };
        while let (true, Some(identity)) = (self.is_asking(), &self.identity) {
            let desk = guard.desk(self.policy, self.about.ip);
            match self.asking.advance(rules, identity, desk) {
                Ok(None) => break,
                Ok(Some(offset)) => self.queues.client.grant(offset),
                Err(error) => outcome = outcome.and(self.deny(&guard, error)),
            }
        }
        outcome.and(self.release(Sender::Client))
    }

    /// Whether messages wait for a service to grant what they ask for.
    pub(super) fn is_asking(&self) -> bool {
        let ended = !matches!(self.phase, Phase::Open(_) | Phase::Unseen(_));
        !ended && self.gate.is_none() && !self.asking.is_empty()
    }

    /// The first message that waits may not have what it asks for, or nobody can
    /// say so.
    fn deny(&mut self, guard: &Guard, error: AuthError) -> Outcome {
        let offset = self.asking.take().unwrap_or_default();
        let mut bench = Bench::of(self, guard, Sender::Client);
        let verdict = bench.violation(Violation::Credential(error), offset);
        let refused = bench.refused;
        match verdict {
            Verdict::Pass => Outcome { refused, ..Outcome::forward(Forwarded::Unchanged) },
            _ => self.close_for(Sender::Client, refused.unwrap_or(Reason::AccessDenied)),
        }
    }
}
