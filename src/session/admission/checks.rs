//! Every check of the contract, in its order. Those that another service has to
//! answer may wait, and nothing is held of the quotas while they do.

use super::denial::Denial;
use super::request::{Request, Target};
use crate::auth::authorize::Wish;
use crate::auth::{self, Attempt, AuthError, AwaitedCredential, Identity, Presented};
use crate::config::Policy;
use crate::handshake::form::{HandshakeError, ValidHandshake};
use crate::handshake::origin::OriginRules;
use crate::handshake::tls::TlsVerdict;
use crate::handshake::{subprotocol, user_agent};
use crate::host::{CallAnswer, CallId};
use crate::quota::Permit;
use crate::quota::connections::Client;
use crate::reason::Reason;
use crate::session::gate::Gate;
use std::time::Duration;

/// A handshake that has passed all that can be judged from its head alone.
pub(super) struct Entered {
    /// What is left of the subprotocol offer.
    subprotocols: Vec<String>,
    /// Where the policy has `auth`.
    attempt: Option<Attempt>,
}

/// A handshake that passed every check, and what of it goes on.
pub(super) struct Passed {
    /// What is left of the subprotocol offer.
    pub(super) subprotocols: Vec<String>,
    /// The entry that the client's credential stood behind.
    pub(super) marker: Option<String>,
    pub(super) identity: Option<Identity>,
    /// Its credential stands in a cookie.
    pub(super) in_cookie: bool,
    pub(super) identity_headers: Vec<(String, Vec<u8>)>,
    /// No place of the handshake holds a credential: it comes with the first
    /// message.
    pub(super) first_message: Option<Gate>,
    pub(super) permit: Permit,
}

impl Entered {
    /// Whether it waits for an answer that may still come.
    pub(super) fn is_waiting(&self, now: Duration) -> bool {
        self.attempt.as_ref().is_some_and(|attempt| attempt.is_waiting(now))
    }

    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub(super) fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        self.attempt.as_mut().is_some_and(|attempt| attempt.on_answer(id, answer))
    }
}

/// A subprotocol that stands twice may be a credential that does, which is never a strike.
fn malformed(policy: &Policy, error: HandshakeError) -> Denial {
    let sources = policy.auth.iter().flat_map(|auth| &auth.sources);
    let in_offer = sources.filter(|source| source.is_in_offer()).count() > 0;
    Denial::from(error).blameless_if(in_offer && error == HandshakeError::SubprotocolTwice)
}

impl<'a> Request<'a> {
    /// The checks up to the credential, which is found and not verified yet.
    pub(super) fn enter(
        &self,
        target: &Target,
        policy: &'a Policy,
        form: Result<&ValidHandshake, HandshakeError>,
    ) -> Result<Entered, Denial> {
        let (head, rules) = (self.head(), &policy.handshake);
        rules.addresses.judge(head.source)?;
        self.guard.check_address_ban(policy, head.source)?;
        let handshake = form.map_err(|error| malformed(policy, error))?;
        if let Some(first) = policy.auth.as_ref().and_then(|auth| auth.first_message.as_ref()) {
            first.begins_here(self.query)?;
        }
        match rules.tls.judge(head.https, handshake.host(), &target.path, self.query) {
            TlsVerdict::Allowed => {}
            TlsVerdict::Denied(error) => return Err(error.into()),
            TlsVerdict::Redirect { location } => {
                let detail = "redirected to https".to_owned();
                let location = Some(location);
                return Err(Denial { location, ..Denial::new(Reason::TlsRequired, detail) });
            }
        }
        if let Some(origins) = &rules.origins {
            origins.judge(head)?;
        }
        self.guard.take_handshake(policy, head.source)?;
        user_agent::judge(rules.user_agents_denied.as_ref(), &head.headers)?;
        let offer = handshake.subprotocols();
        let presented =
            policy.auth.as_ref().map(|auth| Presented::collect(auth, head, self.query, offer));
        if presented.as_ref().is_some_and(Presented::is_basic) {
            OriginRules::judge_ambient(rules.origins.as_ref(), head)?;
        }
        let left = presented.as_ref().map_or(offer, Presented::offer_left);
        let subprotocols = subprotocol::judge(rules.subprotocols.as_deref(), left)?;
        rules.compression.judge(handshake)?;
        let attempt = presented.map(Attempt::new);
        Ok(Entered { subprotocols, attempt })
    }

    /// The rest of the checks, as far as they can be made now; `None`: somebody
    /// else's answer is waited for, and this is to be called again.
    pub(super) fn pass_checks(
        &self,
        target: &Target,
        (index, policy): (usize, &Policy),
        entered: &mut Entered,
    ) -> Result<Option<Passed>, Denial> {
        let mut subprotocols = entered.subprotocols.clone();
        let (mut identity, mut identity_headers, mut marker) = (None, Vec::new(), None);
        let (mut first_message, mut in_cookie) = (None, false);
        if let (Some(rules), Some(attempt)) = (&policy.auth, &mut entered.attempt) {
            let (head, path) = (self.head(), target.path.as_str());
            let wish = Wish { head, path, query: self.query, said: &[] };
            let desk = self.guard.desk(index, self.head().source);
            let denied = |attempt: &Attempt, error: AuthError| Denial {
                identity: attempt.identity().cloned().map(Box::new),
                ..Denial::from(error).blameless_if(attempt.presented().is_in_cookie())
            };
            if rules.first_message.is_some() && attempt.presented().is_missing() {
                let awaited = AwaitedCredential::of(rules, wish);
                first_message = Some(Gate::new(awaited, &self.holder)?);
            } else if !attempt.advance(rules, wish, desk).map_err(|error| denied(attempt, error))? {
                return Ok(None);
            }
            if let Some(somebody) = attempt.identity() {
                let headers = auth::identity_headers(rules, somebody);
                identity_headers = headers.map_err(|error| denied(attempt, error))?;
            }
            identity = attempt.take_identity();
            let presented = attempt.presented();
            in_cookie = presented.is_in_cookie();
            marker = presented.subprotocol_marker().map(str::to_owned);
            subprotocols.extend_from_slice(presented.offer_forwarded());
        }
        let user = identity.as_ref().and_then(|identity| identity.user.as_deref());
        if let Err(banned) = self.guard.check_user_ban(policy, user) {
            return Err(Denial { identity: identity.map(Box::new), ..banned.into() });
        }
        let client = Client { address: self.head().source, user };
        let permit = match self.guard.take_quotas(policy, client) {
            Ok(permit) => permit,
            Err(error) => {
                // It is another's user, perhaps, that has so many.
                let of_cookie = in_cookie && error.reason() == Reason::ConnectionsPerUser;
                let denial = Denial::from(error).blameless_if(of_cookie);
                return Err(Denial { identity: identity.map(Box::new), ..denial });
            }
        };
        Ok(Some(Passed {
            subprotocols,
            marker,
            identity,
            in_cookie,
            identity_headers,
            first_message,
            permit,
        }))
    }
}
