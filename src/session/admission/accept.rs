//! A handshake that goes to upstream: what of its head goes on, and the session
//! that watches over what follows.

use super::checks::Passed;
use super::request::{Request, Target};
use super::{Admission, Admitted};
use crate::auth::{self, AuthRules, Identity};
use crate::config::{Mode, Policy};
use crate::event::About;
use crate::frame::Sender;
use crate::handshake::answer::Agreement;
use crate::handshake::deflate::Offer;
use crate::handshake::form::ValidHandshake;
use crate::handshake::{Compression, HeadEdits, Upstream};
use crate::quota::Permit;
use crate::session::asking::Asking;
use crate::session::both::Both;
use crate::session::closes::Closes;
use crate::session::expiry::Expiry;
use crate::session::gate::Gate;
use crate::session::lifetime::Life;
use crate::session::opening::Pending;
use crate::session::outbox::Outbox;
use crate::session::queue::Queue;
use crate::session::{Flow, Phase, Session, pings};
use std::rc::Rc;

impl Request<'_> {
    /// Lets the request through with nothing but made-up identity headers, and other
    /// spellings of credential headers, removed.
    pub(super) fn pass(&self, policy: Option<usize>) -> Admitted {
        let rules = policy.and_then(|index| self.guard.policy(index));
        let mode = rules.map_or(self.guard.config().mode, |policy| policy.mode);
        let edits = match mode {
            Mode::Enforce => self.enforced_edits(),
            Mode::Report => self.base_edits(),
        };
        let admission = Admission::Pass(edits);
        Admitted { admission, policy, reason: None, target: None }
    }

    pub(super) fn base_edits(&self) -> HeadEdits {
        let names = &self.guard.config().identity_headers;
        HeadEdits { remove: auth::sent_identity_headers(self.head(), names), set: Vec::new() }
    }

    /// With what only mode enforce removes from every request that passes.
    fn enforced_edits(&self) -> HeadEdits {
        let mut edits = self.base_edits();
        let policies = self.guard.config().policies.iter();
        let rules: Vec<_> = policies.filter_map(|policy| policy.auth.as_ref()).collect();
        edits.remove.extend(auth::other_spellings(self.head(), &rules));
        edits
    }

    pub(super) fn enforce(
        &self,
        target: &Target,
        index: usize,
        policy: &Policy,
        handshake: &ValidHandshake,
        passed: Passed,
    ) -> Admitted {
        let mut edits = self.enforced_edits();
        edit_key(handshake, policy, &mut edits);
        self.edit_target(target, policy, &mut edits);
        let deflate = edit_extensions(handshake, policy, &mut edits);
        let rewrites = handshake.rewrites();
        if rewrites.subprotocols || passed.subprotocols != handshake.subprotocols() {
            let name = "sec-websocket-protocol".to_owned();
            if passed.subprotocols.is_empty() {
                edits.remove.push(name);
            } else {
                edits.set.push((name, passed.subprotocols.join(", ").into_bytes()));
            }
        }
        if rewrites.connection {
            edits.set.push(("connection".to_owned(), b"Upgrade".to_vec()));
        }
        if rewrites.upgrade {
            edits.set.push(("upgrade".to_owned(), b"websocket".to_vec()));
        }
        edits.set.extend(passed.identity_headers);
        let agreement = Agreement::new(handshake, passed.subprotocols, passed.marker);
        let agreement = agreement.with_deflate(deflate);
        let pending = Pending::new(
            agreement,
            policy,
            handshake,
            passed.identity.as_ref(),
            self.guard.monotonic(),
        );
        let about = self.about(passed.identity.as_ref());
        let permit = self.guard.count_open(policy, Some(passed.permit));
        let expiry = Expiry::of(passed.identity.as_ref(), policy.auth.as_ref());
        let held = (permit, expiry, passed.first_message);
        self.guarded(index, (about, passed.identity, passed.in_cookie), pending, edits, held)
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
        let agreement = agreement.with_deflate(Offer::all(handshake));
        let mut pending =
            Pending::new(agreement, policy, handshake, identity, self.guard.monotonic());
        pending.counted = passed.is_none();
        let mut edits = self.base_edits();
        edit_key(handshake, policy, &mut edits);
        let about = self.about(identity);
        let expiry = Expiry::of(identity, policy.auth.as_ref());
        // What is over a limit counts as open, and not against the limit: so
        // the next one gets the answer that it would get in mode enforce.
        let identity = identity.cloned();
        let in_cookie = passed.as_ref().is_some_and(|passed| passed.in_cookie);
        let (permit, gate) = passed.map(|passed| (passed.permit, passed.first_message)).unzip();
        let permit = self.guard.count_open(policy, permit);
        let held = (permit, expiry, gate.flatten());
        self.guarded(index, (about, identity, in_cookie), pending, edits, held)
    }

    fn guarded(
        &self,
        index: usize,
        (about, identity, in_cookie): (About, Option<Identity>, bool),
        pending: Pending,
        edits: HeadEdits,
        (permit, expiry, gate): (Permit, Expiry, Option<Gate>),
    ) -> Admitted {
        let rules = self.guard.policy(index).and_then(|policy| policy.auth.as_ref());
        let asks = rules.is_some_and(AuthRules::asks_in_messages);
        let outbox = |end| {
            let secret = pings::secret(self.guard, end, about.connection);
            Outbox::new(self.guard.budget(), secret)
        };
        let outboxes = Both { client: outbox(Sender::Client), server: outbox(Sender::Server) };
        let queue = || Queue::new(self.guard.budget());
        let session = Session {
            guard: Rc::clone(self.guard),
            policy: index,
            expiry,
            gate: gate.map(Box::new),
            user_permit: None,
            _permit: permit,
            about,
            user: identity.as_ref().and_then(|identity| identity.user.clone()),
            identity: identity.filter(|_| asks).map(Box::new),
            in_cookie,
            arrived: self.arrived,
            phase: Phase::Opening(Box::new(pending)),
            client: Flow::new(Sender::Client),
            server: Flow::new(Sender::Server),
            deflate: None,
            outboxes,
            queues: Both { client: queue(), server: queue() },
            asking: Asking::new(self.guard.budget()),
            taken: Both::default(),
            life: Life::begin(self.guard.monotonic()),
            messages: crate::event::PerDirection::default(),
            closes: Closes::default(),
            refusal: None,
            ended_for: None,
        };
        let admission = Admission::Guarded(Box::new(session), edits);
        Admitted { admission, policy: Some(index), reason: None, target: None }
    }
}

/// Gives upstream the key that a client over HTTP/2 has not. Over HTTP/2 there
/// is none; mode report leaves what the client sent, which means nothing there.
fn edit_key(handshake: &ValidHandshake, policy: &Policy, edits: &mut HeadEdits) {
    let name = "sec-websocket-key".to_owned();
    match (policy.handshake.upstream, handshake.is_http2()) {
        (Upstream::Http1, true) => edits.set.push((name, handshake.key().into())),
        (Upstream::Http2, false) if policy.mode == Mode::Enforce => edits.remove.push(name),
        (Upstream::Http1, false) | (Upstream::Http2, _) => {}
    }
}

/// Leaves of the offered extensions what may be agreed, and answers it.
fn edit_extensions(
    handshake: &ValidHandshake,
    policy: &Policy,
    edits: &mut HeadEdits,
) -> Vec<Offer> {
    let offers = match policy.handshake.compression {
        Compression::Inspect => Offer::all(handshake),
        Compression::Strip | Compression::Reject => Vec::new(),
    };
    let name = "sec-websocket-extensions".to_owned();
    if !offers.is_empty() {
        let offers: Vec<_> = offers.iter().map(Offer::to_string).collect();
        edits.set.push((name, offers.join(", ").into_bytes()));
    } else if handshake.offers_extensions() {
        edits.remove.push(name);
    }
    offers
}
