//! Envoy's callbacks for one HTTP stream.

use super::super::body::Body;
use super::super::host;
use super::super::root::{Live, Worker};
use super::{Plain, SharedStream};
use crate::handshake::upgrade::Upgrade;
use crate::host::CallId;
use crate::session::{Admission, Opening, admit};
use proxy_wasm::traits::{Context, HttpContext};
use proxy_wasm::types::Action;
use std::rc::Rc;

/// One HTTP stream.
#[derive(Debug)]
pub(in crate::filter) struct HttpFilter {
    id: u32,
    worker: Rc<Worker>,
    stream: SharedStream,
}

impl HttpFilter {
    pub(in crate::filter) fn new(id: u32, worker: Rc<Worker>) -> Self {
        Self { id, worker, stream: Rc::default() }
    }

    fn on_body(&self, which: Body, size: usize, ends: bool) -> Action {
        let mut stream = self.stream.borrow_mut();
        let action = stream.on_body(which, size, ends);
        if stream.is_behind() {
            self.worker.hurry(self.id);
        }
        if stream.is_waiting() {
            self.worker.wait(self.id);
        }
        action
    }

    fn end(&self) {
        self.worker.remove(self.id);
        self.stream.borrow_mut().on_end();
    }
}

impl Context for HttpFilter {
    /// The answer of a call that a callback of this stream made.
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_bytes: usize, _: usize) {
        let answer = host::call_answer(headers, body_bytes);
        let mut stream = self.stream.borrow_mut();
        stream.on_answer(CallId(token), &answer);
        stream.advance();
        if stream.is_behind() {
            self.worker.hurry(self.id);
        }
    }

    fn on_done(&mut self) -> bool {
        if let (Some(session), Some(sender)) =
            (&mut self.stream.borrow_mut().session, host::broken_off_by())
        {
            session.on_transport_end(sender);
        }
        self.end();
        true
    }
}

impl HttpContext for HttpFilter {
    fn on_http_request_headers(&mut self, _: usize, _: bool) -> Action {
        let arrival = host::arrival();
        #[cfg(feature = "trap")]
        if crate::filter::probe::answers(&arrival.head) {
            return Action::Pause;
        }
        let Some(guard) = self.worker.guard_for(arrival.connection) else {
            // No document has loaded: Envoy refuses to start then, so this is
            // for the case that it does not.
            host::reset();
            return Action::Pause;
        };
        let admitted = admit(&guard, &arrival);
        if let Some(policy) = admitted.policy.and_then(|index| guard.config().policies.get(index)) {
            host::set_filter_state("policy", &policy.name);
        }
        let passes = matches!(admitted.admission, Admission::Pass(_));
        let (action, goes_on) = {
            let mut stream = self.stream.borrow_mut();
            if passes && Upgrade::of(&arrival.head) == Upgrade::None {
                let policy = admitted.policy;
                stream.plain = Some(Box::new(Plain { guard, arrival, policy }));
            }
            let action = stream.apply(admitted);
            (action, stream.is_waiting() || stream.session.is_some())
        };
        if goes_on {
            self.worker.add(self.id, Live::Http(Rc::clone(&self.stream)));
        }
        action
    }

    fn on_http_request_body(&mut self, size: usize, ends: bool) -> Action {
        self.on_body(Body::Request, size, ends)
    }

    fn on_http_response_headers(&mut self, _: usize, _: bool) -> Action {
        let mut stream = self.stream.borrow_mut();
        if let Some(status) = stream.answered {
            if status == 101 {
                host::tidy_switch();
            }
            return Action::Continue;
        }
        // Envoy has answered itself: nothing else can any more.
        stream.due = None;
        let Some(session) = &mut stream.session else { return stream.on_plain_answer() };
        let (status, headers) = host::answer();
        match session.on_response(status, &headers) {
            Opening::Pass => {}
            Opening::Open(edits) | Opening::NoTunnel(edits) => host::edit_response(&edits),
            Opening::Refused(refusal) => return stream.refuse(&refusal),
        }
        Action::Continue
    }

    fn on_http_response_body(&mut self, size: usize, ends: bool) -> Action {
        self.on_body(Body::Response, size, ends)
    }
}

impl Drop for HttpFilter {
    fn drop(&mut self) {
        self.end();
    }
}
