//! A handshake that waits for somebody else's answer.

use super::checks::Entered;
use super::request::Request;
use super::{Admission, Admitted, Arrival};
use crate::auth;
use crate::config::Mode;
use crate::guard::{Guard, HandshakeResult};
use crate::handshake::form::ValidHandshake;
use crate::host::{CallAnswer, CallId, Timestamp};
use crate::message::budget::{Charge, Holder};
use std::fmt;
use std::rc::Rc;

/// A handshake that is held. It holds nothing of the quotas, and its head counts
/// as held bytes.
pub struct PendingAdmission {
    guard: Rc<Guard>,
    arrival: Arrival,
    arrived: Timestamp,
    /// Place of its policy in the document.
    policy: usize,
    handshake: ValidHandshake,
    entered: Entered,
    holder: Rc<Holder>,
    /// For the head.
    _charge: Charge,
}

impl PendingAdmission {
    pub(super) fn wait(
        request: &Request<'_>,
        policy: usize,
        handshake: ValidHandshake,
        entered: Entered,
    ) -> Admitted {
        let guard = request.guard;
        let mut charge = Charge::new(&request.holder);
        let rules = guard.policy(policy);
        let mode = rules.map_or(guard.config().mode, |policy| policy.mode);
        if let Err(full) = charge.grow(bytes(request.arrival)) {
            return request.deny(Some(policy), mode, Some(&handshake), full.into());
        }
        // The client may leave while it waits. What goes on is edited once more.
        let auth = rules.and_then(|policy| policy.auth.as_ref());
        let auth = auth.filter(|auth| mode == Mode::Enforce && !auth.forward);
        let (path, query) = (request.raw_path, request.query);
        let target = auth::target_without_credentials(auth.into_iter(), path, query);
        let pending = Self {
            guard: Rc::clone(guard),
            arrival: request.arrival.clone(),
            arrived: request.arrived,
            policy,
            handshake,
            entered,
            holder: Rc::clone(&request.holder),
            _charge: charge,
        };
        let admission = Admission::Waiting(Box::new(pending));
        Admitted { admission, policy: Some(policy), reason: None, target }
    }

    /// Decides if that can be done now; to be called on every tick, and when an
    /// answer has come. It is over once it has been decided.
    pub fn advance(&mut self) -> Option<Admitted> {
        if self.entered.is_waiting(self.guard.monotonic()) {
            return None;
        }
        let holder = Rc::clone(&self.holder);
        let request = Request::read(&self.guard, &self.arrival, self.arrived, holder);
        // It had a target and a policy when it came.
        let (Ok(target), Some(policy)) = (&request.target, self.guard.policy(self.policy)) else {
            return None;
        };
        request.proceed(target, (self.policy, policy), &self.handshake, &mut self.entered)
    }

    /// Says by which number the account names it where it gives way.
    pub fn set_number(&self, number: u32) {
        self.holder.set_number(number);
    }

    /// Decides that it does not go on, where held bytes ran short and it gave way; mode
    /// report only tells. It is over then.
    pub fn give_way(&mut self) -> Option<Admitted> {
        let shortage = self.holder.take_notice()?;
        let rules = self.guard.policy(self.policy);
        let mode = rules.map_or(self.guard.config().mode, |policy| policy.mode);
        let holder = self.holder.renew();
        let request = Request::read(&self.guard, &self.arrival, self.arrived, holder);
        Some(request.deny(Some(self.policy), mode, Some(&self.handshake), shortage.into()))
    }

    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        self.entered.on_answer(id, answer)
    }

    /// To be called when the client has gone before it was decided.
    pub fn on_end(&self) {
        self.guard.count_handshake(Some(self.policy), HandshakeResult::Abandoned, None);
    }
}

/// Without what the client sent.
impl fmt::Debug for PendingAdmission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingAdmission")
            .field("policy", &self.policy)
            .field("arrived", &self.arrived)
            .finish_non_exhaustive()
    }
}

/// How many bytes a held head has, roughly.
fn bytes(arrival: &Arrival) -> usize {
    let head = &arrival.head;
    let lines = head.headers.iter().map(|(name, value)| name.len() + value.len() + 64);
    lines.sum::<usize>() + head.target.len() + head.authority.len()
}
