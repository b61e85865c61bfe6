//! One connection before `tcp_proxy`: what Envoy's network filter callbacks
//! bring, handed to the core, and its answers applied.
//!
//! Data is never paused: what must not go on yet is taken into the core and the
//! buffer emptied. A filter behind that pauses would have Envoy show the same
//! bytes here once more, so `tcp_proxy` comes next, and it never does.

use super::host::{self, Body};
use super::root::{Live, Worker};
use crate::session::{Forwarded, StreamConnection};
use proxy_wasm::traits::{Context, StreamContext};
use proxy_wasm::types::Action;
use std::cell::RefCell;
use std::rc::Rc;

/// A connection that both its callbacks and the tick can reach.
pub(super) type SharedConnection = Rc<RefCell<StreamConnection>>;

/// One downstream connection.
#[derive(Debug)]
pub(super) struct StreamFilter {
    id: u32,
    worker: Rc<Worker>,
    connection: Option<SharedConnection>,
    /// Policy and user stand in filter state.
    facts_told: bool,
    /// Filter state is write-once: the first reason stands.
    reason_told: bool,
}

impl StreamFilter {
    pub(super) const fn new(id: u32, worker: Rc<Worker>) -> Self {
        Self { id, worker, connection: None, facts_told: false, reason_told: false }
    }

    fn on_data(&mut self, which: Body, size: usize, ends: bool) -> Action {
        let (Some(connection), Some(input)) = (&self.connection, host::body(which, size)) else {
            // What can't be read must not go on.
            host::close();
            return Action::Pause;
        };
        let mut connection = connection.borrow_mut();
        if connection.awaits_request() {
            // Not known before the TLS handshake is over.
            connection.set_https(host::is_tls());
        }
        let mut out = Vec::new();
        let outcome = connection.on_data(which.sender(), &input, ends, &mut out);
        let applied = match outcome.forwarded {
            Forwarded::Unchanged => true,
            Forwarded::Replaced => host::replace_body(which, size, &out),
        };
        if let (false, Some(policy)) = (self.facts_told, connection.policy_name()) {
            self.facts_told = true;
            host::set_filter_state("policy", policy);
            if let Some(user) = connection.user() {
                host::set_filter_state("user", user);
            }
        }
        if let (false, Some(reason)) = (self.reason_told, outcome.refused) {
            self.reason_told = true;
            host::set_filter_state("reason", reason.name());
        }
        if outcome.reset || !applied {
            host::close();
            return Action::Pause;
        }
        Action::Continue
    }

    fn end(&mut self) {
        if let Some(connection) = self.connection.take() {
            self.worker.remove(self.id);
            connection.borrow_mut().on_end();
        }
    }
}

impl Context for StreamFilter {
    fn on_done(&mut self) -> bool {
        self.end();
        true
    }
}

impl StreamContext for StreamFilter {
    fn on_new_connection(&mut self) -> Action {
        let Some(guard) = self.worker.guard() else {
            // No document has loaded: Envoy refuses to start then, so this is
            // for the case that it does not.
            host::close();
            return Action::Pause;
        };
        let connection = Rc::new(RefCell::new(StreamConnection::new(guard, host::peer())));
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
