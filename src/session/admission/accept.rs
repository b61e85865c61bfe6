//! A handshake that goes to upstream: what of its head goes on, and the session
//! that watches over what follows.

use super::checks::Passed;
use super::request::{Request, Target};
use super::{Admission, Admitted};
use crate::auth;
use crate::config::Policy;
use crate::event::About;
use crate::frame::Sender;
use crate::handshake::HeadEdits;
use crate::handshake::answer::Agreement;
use crate::handshake::form::ValidHandshake;
use crate::quota::Permit;
use crate::session::expiry::Expiry;
use crate::session::opening::Pending;
use crate::session::{Flow, Phase, Session};
use std::rc::Rc;

impl Request<'_> {
    /// Lets the request through with nothing but made-up identity headers
    /// removed.
    pub(super) fn pass(&self, policy: Option<usize>) -> Admitted {
        let admission = Admission::Pass(self.base_edits());
        Admitted { admission, policy, reason: None, target: None }
    }

    pub(super) fn base_edits(&self) -> HeadEdits {
        let names = &self.guard.config().identity_headers;
        HeadEdits { remove: auth::sent_identity_headers(self.head(), names), set: Vec::new() }
    }

    pub(super) fn enforce(
        &self,
        target: &Target,
        index: usize,
        policy: &Policy,
        handshake: &ValidHandshake,
        passed: Passed,
    ) -> Admitted {
        let mut edits = self.base_edits();
        add_key(handshake, &mut edits);
        self.edit_target(target, policy, &mut edits);
        if handshake.offers_extensions() {
            edits.remove.push("sec-websocket-extensions".to_owned());
        }
        if passed.subprotocols != handshake.subprotocols() {
            let name = "sec-websocket-protocol".to_owned();
            if passed.subprotocols.is_empty() {
                edits.remove.push(name);
            } else {
                edits.set.push((name, passed.subprotocols.join(", ").into_bytes()));
            }
        }
        if handshake.connection_needs_rewrite() {
            edits.set.push(("connection".to_owned(), b"Upgrade".to_vec()));
        }
        edits.set.extend(passed.identity_headers);
        let agreement = Agreement::new(handshake, passed.subprotocols, passed.marker);
        let pending = Pending::new(agreement, policy, handshake, passed.identity.as_ref());
        let about = self.about(passed.identity.as_ref());
        let permit = self.guard.count_open(policy, Some(passed.permit));
        let expiry = Expiry::of(passed.identity.as_ref(), policy.auth.as_ref());
        self.guarded(index, about, pending, edits, (permit, expiry))
    }

    /// What goes on to upstream is the path that was judged, not another
    /// spelling of it, and no credential.
    fn edit_target(&self, target: &Target, policy: &Policy, edits: &mut HeadEdits) {
        let path = target.path.as_str().as_bytes();
        if let Some(auth) = &policy.auth {
            auth::strip(auth, self.head(), self.query).add_to(path, edits);
        }
        let rewritten = edits.set.iter().any(|(name, _)| name == ":path");
        if !rewritten && path != self.raw_path {
            let rewritten = match self.query {
                Some(query) => [path, b"?", query].concat(),
                None => path.to_vec(),
            };
            edits.set.push((":path".to_owned(), rewritten));
        }
    }

    /// Mode report: nothing is stripped, and the session only watches.
    pub(super) fn observe(
        &self,
        index: usize,
        policy: &Policy,
        handshake: &ValidHandshake,
        passed: Option<Passed>,
    ) -> Admitted {
        let identity = passed.as_ref().and_then(|passed| passed.identity.as_ref());
        let agreement = Agreement::new(handshake, handshake.subprotocols().to_vec(), None);
        let mut pending = Pending::new(agreement, policy, handshake, identity);
        pending.counted = passed.is_none();
        let mut edits = self.base_edits();
        add_key(handshake, &mut edits);
        let about = self.about(identity);
        let expiry = Expiry::of(identity, policy.auth.as_ref());
        // What is over a limit counts as open, and not against the limit: so
        // the next one gets the answer that it would get in mode enforce.
        let permit = self.guard.count_open(policy, passed.map(|passed| passed.permit));
        self.guarded(index, about, pending, edits, (permit, expiry))
    }

    fn guarded(
        &self,
        index: usize,
        about: About,
        pending: Pending,
        edits: HeadEdits,
        (permit, expiry): (Permit, Expiry),
    ) -> Admitted {
        let session = Session {
            guard: Rc::clone(self.guard),
            policy: index,
            expiry,
            _permit: permit,
            about,
            arrived: self.arrived,
            phase: Phase::Opening(pending),
            client: Flow::new(Sender::Client),
            server: Flow::new(Sender::Server),
            messages: crate::event::PerDirection::default(),
            first_close: None,
            ended_for: None,
        };
        let admission = Admission::Guarded(Box::new(session), edits);
        Admitted { admission, policy: Some(index), reason: None, target: None }
    }
}

/// Gives upstream the key that a client over HTTP/2 has not.
fn add_key(handshake: &ValidHandshake, edits: &mut HeadEdits) {
    if handshake.is_http2() {
        edits.set.push(("sec-websocket-key".to_owned(), handshake.key().into()));
    }
}
