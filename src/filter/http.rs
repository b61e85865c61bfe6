//! One HTTP stream: the session behind Envoy's HTTP filter callbacks.
//!
//! Data of an upgraded stream is never held by pausing: what must not go on yet
//! is taken into the session and the buffer emptied (on pause lengths lag, and
//! the last chunk can be missed). With `push` the response side is paused with
//! nothing in it, so that bytes of ours can be put there at any time.

use super::host::{self, Body};
use super::root::{Live, SharedSession, Worker};
use crate::guard::Guard;
use crate::handshake::upgrade::Upgrade;
use crate::reason::Reason;
use crate::session::{
    Admission, Arrival, Forwarded, Opening, Refusal, Session, admit, unasked_switch,
};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::cell::RefCell;
use std::rc::Rc;

/// One HTTP stream.
#[derive(Debug)]
pub(super) struct HttpFilter {
    id: u32,
    worker: Rc<Worker>,
    session: Option<SharedSession>,
    /// A request without a session that asked for no upgrade, until it is
    /// answered: its headers can't be read any more then.
    plain: Option<Box<Plain>>,
    /// We have answered in upstream's place: what follows is our own answer.
    answered: bool,
    /// Filter state is write-once: the first reason stands.
    reason_told: bool,
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

impl HttpFilter {
    pub(super) const fn new(id: u32, worker: Rc<Worker>) -> Self {
        Self { id, worker, session: None, plain: None, answered: false, reason_told: false }
    }

    fn refuse(&mut self, refusal: &Refusal) -> Action {
        self.tell_reason(refusal.reason);
        self.answered = true;
        host::respond(refusal);
        Action::Pause
    }

    fn tell_reason(&mut self, reason: Reason) {
        if !self.reason_told {
            self.reason_told = true;
            host::set_filter_state("reason", reason.name());
        }
    }

    fn on_body(&mut self, which: Body, size: usize, ends: bool) -> Action {
        let Some(session) = &self.session else { return Action::Continue };
        if self.answered {
            // Upstream may still be there; whatever the client sends is for
            // nobody.
            if matches!(which, Body::Request) && !host::replace_body(which, size, &[]) {
                host::reset();
            }
            return Action::Continue;
        }
        let Some(input) = host::body(which, size) else {
            // What can't be read must not go on.
            host::reset();
            return Action::Continue;
        };
        let session = Rc::clone(session);
        let mut session = session.borrow_mut();
        let mut out = Vec::new();
        let outcome = session.on_data(which.sender(), &input, &mut out);
        let (applied, left) = match outcome.forwarded {
            Forwarded::Unchanged => (true, size),
            Forwarded::Replaced => (host::replace_body(which, size, &out), out.len()),
        };
        if let Some(reason) = outcome.refused {
            self.tell_reason(reason);
        }
        if let (true, Some(refusal)) = (applied, session.take_refusal()) {
            return self.refuse(&refusal);
        }
        if outcome.reset || !applied {
            host::reset();
            return Action::Continue;
        }
        match which {
            Body::Response => keep_ready(&mut session, left, ends),
            _ => {
                push(&mut session);
                Action::Continue
            }
        }
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

    fn end(&mut self) {
        if let Some(session) = self.session.take() {
            self.worker.remove(self.id);
            session.borrow_mut().on_end();
        }
    }
}

impl Context for HttpFilter {
    fn on_done(&mut self) -> bool {
        self.end();
        true
    }
}

impl HttpContext for HttpFilter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let Some(guard) = self.worker.guard() else {
            // No document has loaded: Envoy refuses to start then, so this is
            // for the case that it does not.
            host::reset();
            return Action::Pause;
        };
        let arrival = host::arrival();
        let admitted = admit(&guard, &arrival);
        if let Some(policy) = admitted.policy.and_then(|index| guard.config().policies.get(index)) {
            host::set_filter_state("policy", &policy.name);
        }
        if let Some(reason) = admitted.reason {
            self.tell_reason(reason);
        }
        match admitted.admission {
            Admission::Pass(edits) => {
                host::edit_request(&edits);
                if Upgrade::of(&arrival.head) == Upgrade::None {
                    let policy = admitted.policy;
                    self.plain = Some(Box::new(Plain { guard, arrival, policy }));
                }
            }
            Admission::Refused(refusal) => return self.refuse(&refusal),
            Admission::Guarded(session, edits) => {
                host::edit_request(&edits);
                if let Some(user) = session.user() {
                    host::set_filter_state("user", user);
                }
                let session = Rc::new(RefCell::new(*session));
                self.worker.add(self.id, Live::Http(Rc::clone(&session)));
                self.session = Some(session);
            }
        }
        Action::Continue
    }

    fn on_http_request_body(&mut self, size: usize, ends: bool) -> Action {
        self.on_body(Body::Request, size, ends)
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        if self.answered {
            host::tidy_switch();
            return Action::Continue;
        }
        let Some(session) = &self.session else { return self.on_plain_answer() };
        let (status, headers) = host::answer();
        let opening = session.borrow_mut().on_response(status, &headers);
        match opening {
            Opening::Pass => {}
            Opening::Open(edits) | Opening::NoTunnel(edits) => host::edit_response(&edits),
            Opening::Refused(refusal) => return self.refuse(&refusal),
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, ends: bool) -> Action {
        self.on_body(Body::Response, size, ends)
    }
}

/// Ends a response body callback that leaves `left` bytes. With `push` the
/// response side waits all the time, with nothing in it, and what comes is let
/// go at once: so something can be put in at any other time.
fn keep_ready(session: &mut Session, left: usize, ends: bool) -> Action {
    let ready = session.pushes() && !ends;
    session.set_ready_to_push(ready);
    if ready {
        if left > 0 {
            host::resume_response();
        }
        return Action::Pause;
    }
    Action::Continue
}

/// Writes what the session has to say to the client, if it can be said now. The
/// last thing a callback may do.
pub(super) fn push(session: &mut Session) {
    let mut bytes = Vec::new();
    session.push(&mut bytes);
    if !bytes.is_empty() && !host::write_to_client(&bytes) {
        // What should have been said is lost: the connection must not go on as
        // if it had been.
        host::reset();
    }
}

impl Drop for HttpFilter {
    fn drop(&mut self) {
        self.end();
    }
}
