//! One HTTP stream: the session behind Envoy's HTTP filter callbacks.
//!
//! Data of an upgraded stream is never held by pausing: what must not go on yet
//! is taken into the session and the buffer emptied (on pause lengths lag, and
//! the last chunk can be missed). With `push` the response side is paused with
//! nothing in it, so that bytes of ours can be put there at any time. The
//! request's headers are held as long as somebody else's answer is waited for;
//! Envoy holds what the client sends behind them.

use super::body::Body;
use super::downlink::Downlink;
use super::host;
use crate::guard::Guard;
use crate::host::{CallAnswer, CallId};
use crate::reason::Reason;
use crate::session::{
    Admission, Admitted, Arrival, Forwarded, Outcome, PendingAdmission, Refusal, Session,
    unasked_switch,
};
use proxy_wasm::types::Action;
use std::cell::RefCell;
use std::rc::Rc;

mod callbacks;

pub(super) use callbacks::HttpFilter;

/// A stream that both its callbacks and the tick can reach.
pub(super) type SharedStream = Rc<RefCell<HttpStream>>;

/// Where a stream stands.
#[derive(Debug, Default)]
pub(super) struct HttpStream {
    /// The request's headers are held.
    pending: Option<Box<PendingAdmission>>,
    session: Option<Box<Session>>,
    downlink: Downlink,
    /// A request without a session that asked for no upgrade, until it is
    /// answered: its headers can't be read any more then.
    plain: Option<Box<Plain>>,
    /// The status that we have answered with in upstream's place: what follows is
    /// our own answer.
    answered: Option<u16>,
    /// A request that was held has been decided on while another stream's callback ran.
    decided: Option<Box<Admitted>>,
    /// It has given way in such a callback: whether to reset it now, and why.
    gave_way: Option<Outcome>,
    /// A refusal to send at the next tick: Envoy discards a local reply that is made inside
    /// `on_http_response_body`. One that a tick decided on is sent in the same tick.
    due: Option<Refusal>,
    /// Filter state is write-once: the first reason stands.
    reason_told: bool,
    /// The user does, who may become known later.
    user_told: bool,
}

/// A plain request that was let through.
#[derive(Debug)]
struct Plain {
    /// Who did so.
    guard: Rc<Guard>,
    arrival: Arrival,
    /// The policy that matched.
    policy: Option<usize>,
}

impl HttpStream {
    /// Returns whether to reset the stream now, and the reason if it has not been reported
    /// yet. A refusal may have to be sent afterwards ([`Self::is_refused`]).
    pub(super) fn on_tick(&mut self) -> (bool, Option<Reason>) {
        let Some(session) = &mut self.session else { return (false, None) };
        let outcome = session.on_tick();
        if let Some(refusal) = session.take_refusal() {
            self.due = Some(refusal);
            return (false, None);
        }
        let news = outcome.refused.filter(|_| !self.reason_told);
        self.reason_told |= news.is_some();
        (outcome.reset, news)
    }

    /// Returns true if [`Self::advance`] has a refusal to send.
    pub(super) const fn is_refused(&self) -> bool {
        self.due.is_some()
    }

    /// Whether [`Self::push`] has something to write.
    pub(super) fn has_to_push(&self) -> bool {
        self.is_behind() || self.session.as_ref().is_some_and(|session| session.has_to_push())
    }

    /// Whether more waits for the client than could go on at once.
    pub(super) const fn is_behind(&self) -> bool {
        self.downlink.is_behind()
    }

    /// Writes what there is for the client, if that can be done now. The last
    /// thing a callback may do; host calls must be about this stream.
    pub(super) fn push(&mut self) {
        let Some(session) = &mut self.session else { return };
        if !self.downlink.write(session) {
            // What should have been said is lost: the connection must not go on
            // as if it had been.
            host::reset();
        }
    }

    /// Whether somebody else's answer is waited for: about its request, which is
    /// held, about its first message, or about what its messages ask for.
    pub(super) fn is_waiting(&self) -> bool {
        let asks = self.session.as_ref().is_some_and(|session| session.is_waiting());
        let is_decided = self.decided.is_some() || self.gave_way.is_some() || self.due.is_some();
        self.pending.is_some() || is_decided || asks
    }

    /// Says by which number the account of held bytes names it.
    pub(super) fn set_number(&self, id: u32) {
        if let Some(pending) = &self.pending {
            pending.set_number(id);
        }
        if let Some(session) = &self.session {
            session.holder().set_number(id);
        }
    }

    /// Gives back all that it holds, where it gives way. What follows needs host calls
    /// about this stream: [`Self::advance`].
    pub(super) fn give_way(&mut self) {
        if let Some(pending) = &mut self.pending {
            if let Some(admitted) = pending.give_way() {
                self.pending = None;
                self.decided = Some(Box::new(admitted));
            }
        } else if let Some(session) =
            self.session.as_mut().filter(|session| session.holder().gives_way())
        {
            let outcome = session.give_way();
            match session.take_refusal() {
                Some(refusal) => self.due = Some(refusal),
                None => self.gave_way = Some(outcome),
            }
        }
    }

    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub(super) fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        if let Some(pending) = &mut self.pending {
            pending.on_answer(id, answer)
        } else if let Some(session) = &mut self.session {
            session.on_answer(id, answer)
        } else {
            false
        }
    }

    /// Decides about what waits, if that can be done now: lets the request go on
    /// or answers it, lets what is held go on or ends the connection. Host calls
    /// must be about this stream.
    pub(super) fn advance(&mut self) {
        if let Some(refusal) = self.due.take() {
            self.refuse(&refusal);
        } else if let Some(admitted) = self.decided.take() {
            self.go_on(*admitted);
        } else if let Some(outcome) = self.gave_way.take() {
            self.follow(outcome);
        } else if let Some(pending) = &mut self.pending {
            let Some(admitted) = pending.advance() else { return };
            self.pending = None;
            self.go_on(admitted);
        } else if let Some(session) = self.session.as_mut().filter(|s| s.is_waiting()) {
            let outcome = session.advance();
            self.tell_user();
            self.follow(outcome);
        }
    }

    /// Lets a request go on that was held, or answers it.
    fn go_on(&mut self, admitted: Admitted) {
        if self.apply(admitted) == Action::Continue {
            host::resume_request();
        }
    }

    /// Resets the stream, or writes what there is for the client.
    fn follow(&mut self, outcome: Outcome) {
        if let Some(reason) = outcome.refused {
            self.tell_reason(reason);
        }
        if outcome.reset {
            host::reset();
        } else {
            self.push();
        }
    }

    /// Does what was decided. Host calls must be about this stream.
    fn apply(&mut self, admitted: Admitted) -> Action {
        if let Some(reason) = admitted.reason {
            self.tell_reason(reason);
        }
        if let Some(target) = admitted.target {
            host::set_target(&target);
        }
        match admitted.admission {
            Admission::Pass(edits) => host::edit_request(&edits),
            Admission::Refused(refusal) => return self.refuse(&refusal),
            Admission::Guarded(session, edits) => {
                host::edit_request(&edits);
                self.session = Some(session);
                self.tell_user();
            }
            Admission::Waiting(pending) => {
                self.pending = Some(pending);
                return Action::Pause;
            }
        }
        Action::Continue
    }

    fn refuse(&mut self, refusal: &Refusal) -> Action {
        self.tell_reason(refusal.reason);
        self.answered = Some(refusal.status);
        // Its places are free at once, however long the client takes to read the answer.
        if let Some(mut session) = self.session.take() {
            session.on_end();
        }
        host::respond(refusal);
        Action::Pause
    }

    /// To be called whenever it may have become known who the client is.
    fn tell_user(&mut self) {
        let user = self.session.as_ref().and_then(|session| session.user());
        if let (false, Some(user)) = (self.user_told, user) {
            self.user_told = true;
            host::set_filter_state("user", user);
        }
    }

    fn tell_reason(&mut self, reason: Reason) {
        if !self.reason_told {
            self.reason_told = true;
            host::set_filter_state("reason", reason.name());
        }
    }

    fn on_body(&mut self, which: Body, size: usize, ends: bool) -> Action {
        if self.answered.is_some() {
            // Upstream may still be there; whatever the client sends is for
            // nobody.
            if matches!(which, Body::Request) && !host::replace_body(which, size, &[]) {
                host::reset();
            }
            return Action::Continue;
        }
        if self.due.is_some() {
            if !host::replace_body(which, size, &[]) {
                host::reset();
            }
            return if matches!(which, Body::Request) { Action::Continue } else { Action::Pause };
        }
        let Some(session) = &mut self.session else { return Action::Continue };
        if ends {
            session.on_transport_end(which.sender());
        }
        let Some(input) = host::body(which, size) else {
            // What can't be read must not go on.
            host::reset();
            return Action::Continue;
        };
        let mut out = Vec::new();
        let outcome = session.on_data(which.sender(), &input, &mut out);
        let refusal = session.take_refusal();
        let action = match (which, outcome.forwarded) {
            (Body::Response, forwarded) if refusal.is_none() => {
                self.downlink.on_body(session, (&input, forwarded, &out), ends)
            }
            (_, Forwarded::Unchanged) => Some(Action::Continue),
            (_, Forwarded::Replaced) => {
                host::replace_body(which, size, &out).then_some(Action::Continue)
            }
        };
        if let Some(reason) = outcome.refused {
            self.tell_reason(reason);
        }
        let (Some(action), false) = (action, outcome.reset && refusal.is_none()) else {
            host::reset();
            return Action::Continue;
        };
        if let Some(refusal) = refusal {
            if matches!(which, Body::Response) {
                self.due = Some(refusal);
                return Action::Pause;
            }
            return self.refuse(&refusal);
        }
        if matches!(which, Body::Request) {
            self.tell_user();
            self.push();
        }
        action
    }

    /// An answer to a request that has no session.
    fn on_plain_answer(&mut self) -> Action {
        if let Some(plain) = self.plain.take()
            && host::is_switch()
        {
            let refusal = unasked_switch(&plain.guard, &plain.arrival, plain.policy);
            if let Some(refusal) = refusal {
                return self.refuse(&refusal);
            }
            self.tell_reason(Reason::UpstreamHandshake);
        }
        Action::Continue
    }

    fn on_end(&mut self) {
        if let Some(pending) = self.pending.take() {
            pending.on_end();
        }
        if let Some(mut session) = self.session.take() {
            if self.downlink.is_behind() {
                session.on_unwritten();
            }
            session.on_end();
        }
    }
}
