//! One connection before `tcp_proxy`: what Envoy's network filter callbacks
//! bring, handed to the core, and its answers applied.
//!
//! Data is paused only while a request waits for the answer of a service. At other times
//! what must not go on yet is taken into the core and the buffer emptied. A filter behind
//! this one that pauses would have Envoy show the same bytes here once more, so
//! `tcp_proxy` comes next, which never pauses.

use super::body::Body;
use super::host;
use super::live::Live;
use super::root::Worker;
use crate::frame::Sender;
use crate::host::{CallAnswer, CallId};
use crate::reason::Reason;
use crate::session::{Forwarded, Outcome, StreamConnection};
use proxy_wasm::traits::{Context, StreamContext};
use proxy_wasm::types::{Action, PeerType};
use std::cell::RefCell;
use std::rc::Rc;

/// A connection that both its callbacks and the tick can reach.
pub(super) type SharedConnection = Rc<RefCell<Connection>>;

/// Where a connection stands.
#[derive(Debug)]
pub(super) struct Connection {
    core: StreamConnection,
    /// Filter state is write-once. The policy stands in it.
    policy_told: bool,
    /// The first reason does.
    reason_told: bool,
    /// The user does, who may become known later.
    user_told: bool,
    /// It has given way while another connection's callback ran: whether to close it now,
    /// and why.
    gave_way: Option<Outcome>,
}

impl Connection {
    /// Whether it is to be closed now, and why if that is news.
    pub(super) fn on_tick(&mut self) -> (bool, Option<Reason>) {
        let outcome = self.core.on_tick();
        (outcome.reset, outcome.refused)
    }

    /// Returns true if its request is held, or if it has given way.
    pub(super) const fn is_waiting(&self) -> bool {
        self.core.is_waiting() || self.gave_way.is_some()
    }

    /// Says by which number the account of held bytes names it.
    pub(super) fn set_number(&self, id: u32) {
        self.core.holder().set_number(id);
    }

    /// Gives back all that it holds, where it gives way. What follows needs host calls
    /// about this connection: [`Self::advance`].
    pub(super) fn give_way(&mut self) {
        if self.core.holder().gives_way() {
            self.gave_way = Some(self.core.give_way());
        }
    }

    /// Hands over an answer, which may be somebody else's; whether it was its
    /// request's.
    pub(super) fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        self.core.on_answer(id, answer)
    }

    /// Decides about a request that is held, if that can be done now, and lets
    /// it go on or closes. Host calls must be about this connection.
    pub(super) fn advance(&mut self) {
        if let Some(outcome) = self.gave_way.take() {
            self.tell(outcome.refused);
            if outcome.reset {
                host::close();
            }
            return;
        }
        let mut out = Vec::new();
        let Some(outcome) = self.core.advance(&mut out) else { return };
        self.tell(outcome.refused);
        if outcome.reset || !host::resume_downstream(&out) {
            host::close();
        }
    }

    fn on_data(&mut self, which: Body, size: usize, ends: bool) -> Action {
        let Some(input) = host::body(which, size) else {
            // What can't be read must not go on.
            host::close();
            return Action::Pause;
        };
        if self.core.awaits_request() {
            // Not known before the TLS handshake is over.
            self.core.set_https(host::is_tls());
        }
        let mut out = Vec::new();
        let outcome = self.core.on_data(which.sender(), &input, ends, &mut out);
        let applied = match outcome.forwarded {
            Forwarded::Unchanged => true,
            Forwarded::Replaced => host::replace_body(which, size, &out),
        };
        self.tell(outcome.refused);
        if outcome.reset || !applied {
            host::close();
            return Action::Pause;
        }
        // So that the buffer can be filled later, and read on from there.
        if self.core.is_waiting() && matches!(which, Body::Downstream) {
            return Action::Pause;
        }
        Action::Continue
    }

    /// Sets what access logs may show.
    fn tell(&mut self, refused: Option<Reason>) {
        let settled = !self.core.is_waiting();
        if let (false, true, Some(policy)) = (self.policy_told, settled, self.core.policy_name()) {
            self.policy_told = true;
            host::set_filter_state("policy", policy);
        }
        if let (false, Some(user)) = (self.user_told, self.core.user()) {
            self.user_told = true;
            host::set_filter_state("user", user);
        }
        if let (false, Some(reason)) = (self.reason_told, refused) {
            self.reason_told = true;
            host::set_filter_state("reason", reason.name());
        }
    }
}

/// One downstream connection.
#[derive(Debug)]
pub(super) struct StreamFilter {
    id: u32,
    worker: Rc<Worker>,
    connection: Option<SharedConnection>,
}

impl StreamFilter {
    pub(super) const fn new(id: u32, worker: Rc<Worker>) -> Self {
        Self { id, worker, connection: None }
    }

    fn on_data(&mut self, which: Body, size: usize, ends: bool) -> Action {
        let Some(connection) = &self.connection else {
            host::close();
            return Action::Pause;
        };
        let mut connection = connection.borrow_mut();
        let action = connection.on_data(which, size, ends);
        if connection.is_waiting() {
            self.worker.wait(self.id);
        }
        drop(connection);
        self.worker.end_given_way();
        action
    }

    /// The TCP connection of `sender` has been closed, by that or by Envoy.
    fn on_close(&self, sender: Sender, peer: PeerType) {
        if let (Some(connection), PeerType::Remote) = (&self.connection, peer) {
            connection.borrow_mut().core.on_transport_end(sender);
        }
    }

    fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.worker.remove(self.id);
            connection.borrow_mut().core.on_end();
        }
    }
}

impl Context for StreamFilter {
    /// The answer of a call that a callback of this connection made.
    fn on_http_call_response(&mut self, token: u32, headers: usize, body_bytes: usize, _: usize) {
        let answer = host::call_answer(headers, body_bytes);
        if let Some(connection) = &self.connection {
            let mut connection = connection.borrow_mut();
            connection.on_answer(CallId(token), &answer);
            connection.advance();
        }
        self.worker.end_given_way();
    }

    fn on_done(&mut self) -> bool {
        self.end();
        true
    }
}

impl StreamContext for StreamFilter {
    fn on_downstream_close(&mut self, peer: PeerType) {
        self.on_close(Sender::Client, peer);
    }

    fn on_upstream_close(&mut self, peer: PeerType) {
        self.on_close(Sender::Server, peer);
    }

    fn on_new_connection(&mut self) -> Action {
        let peer = host::peer();
        let Some(guard) = self.worker.guard_for(peer.connection) else {
            // No document has loaded: Envoy refuses to start then, so this is
            // for the case that it does not.
            host::close();
            return Action::Pause;
        };
        let core = StreamConnection::new(guard, peer);
        let connection = Connection {
            core,
            policy_told: false,
            reason_told: false,
            user_told: false,
            gave_way: None,
        };
        let connection = Rc::new(RefCell::new(connection));
        self.worker.add(self.id, Live::Stream(Rc::clone(&connection)));
        self.connection = Some(connection);
        Action::Continue
    }

    fn on_downstream_data(&mut self, size: usize, ends: bool) -> Action {
        self.on_data(Body::Downstream, size, ends)
    }

    fn on_upstream_data(&mut self, size: usize, ends: bool) -> Action {
        self.on_data(Body::Upstream, size, ends)
    }
}

impl Drop for StreamFilter {
    fn drop(&mut self) {
        self.end();
    }
}
