//! One client's attempt to authenticate, which may have to wait for an answer
//! of somebody else's.

use super::error::AuthError;
use super::identity::{Identity, hash_prefix};
use super::jws::Compact;
use super::presented::Presented;
use super::remote::{Held, RemoteKeys, Want};
use super::verified::{TokenHash, VerifiedTokens};
use super::{AuthRules, Issuer, IssuerKeys, KeysUri, jwt};
use crate::host::{CallAnswer, CallId, Host, Signatures, Timestamp};
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// What one worker keeps for the verification of credentials by one document.
#[derive(Debug)]
pub struct Verifiers {
    remote: RemoteKeys,
    verified: RefCell<VerifiedTokens>,
}

impl Verifiers {
    /// For the `auth` of all policies.
    #[must_use]
    pub fn open<'a>(host: Rc<dyn Host>, auth: impl Iterator<Item = &'a AuthRules>) -> Self {
        let issuers = auth.flat_map(|auth| &auth.issuers);
        let uris: Vec<&KeysUri> = issuers.filter_map(Issuer::keys_uri).collect();
        Self { remote: RemoteKeys::open(host, uris.into_iter()), verified: RefCell::default() }
    }

    /// The keys that are published there, if there are any that are good.
    pub(super) fn published(&self, uri: &KeysUri, now: Timestamp) -> Option<Held> {
        self.remote.find(uri)?.held(now)
    }

    /// To be called on every tick of the root context.
    pub fn on_tick(&self) {
        self.remote.on_tick();
    }

    /// Hands over the answer of a call that was made on a tick; whether it was
    /// one of these.
    pub fn on_answer(&self, id: CallId, answer: &CallAnswer) -> bool {
        self.remote.on_answer(id, answer)
    }
}

/// Where and when a credential is verified.
#[derive(Clone, Copy)]
pub struct Desk<'a> {
    /// Now.
    pub now: Timestamp,
    /// What verifies signatures natively, where it can.
    pub signatures: &'a dyn Signatures,
    /// What the worker keeps.
    pub verifiers: &'a Verifiers,
    /// Place of the policy in the document.
    pub policy: usize,
}

/// One client's attempt, which can be advanced any number of times.
#[derive(Debug)]
pub struct Attempt {
    presented: Presented,
    since: Timestamp,
    /// Fetches of the issuer's keys that had ended when it began to wait for
    /// the next one, and until when it waits.
    awaited: Option<(u64, Duration)>,
}

impl Attempt {
    /// Has verified nothing yet.
    #[must_use]
    pub const fn new(presented: Presented, since: Timestamp) -> Self {
        Self { presented, since, awaited: None }
    }

    /// What was presented.
    #[must_use]
    pub const fn presented(&self) -> &Presented {
        &self.presented
    }

    /// Hands over the answer of a call that was made for it.
    pub fn on_answer(&mut self, _id: CallId, _answer: &CallAnswer) {}

    /// Verifies as far as that can be done now: a token of a configured issuer
    /// by that issuer's rules alone, anything else as an API key. `None`: it
    /// waits, and is to be advanced again on the next tick.
    ///
    /// # Errors
    /// Why it does not let the client in; [`AuthError::reason`] has its line in
    /// the table of refusals.
    pub fn advance(
        &mut self,
        rules: &AuthRules,
        desk: Desk<'_>,
    ) -> Result<Option<Identity>, AuthError> {
        let credential = self.presented.credential()?;
        let hash = TokenHash::of(desk.policy, credential);
        if let Some(identity) = desk.verifiers.verified.borrow().find(rules, &desk, hash) {
            return Ok(Some(identity));
        }
        let (issuer, token, claims) = match issued(rules, credential) {
            Ok(issued) => issued,
            Err(no_token) => {
                let key = rules.api_keys.find(credential).ok_or(no_token)?;
                return Ok(Some(Identity::of_api_key(key, desk.now)));
            }
        };
        let Some((mut identity, generation)) =
            by_issuer(issuer, &token, claims, desk, (self.since, &mut self.awaited))?
        else {
            return Ok(None);
        };
        if identity.key_id.is_empty() {
            identity.key_id = hash_prefix(credential);
        }
        desk.verifiers.verified.borrow_mut().keep(hash, &identity, generation, credential.len());
        Ok(Some(identity))
    }
}

/// Verifies a token by its issuer's keys, fixed or published; with the
/// generation of the keys that did it. `None`: a fetch may bring its key.
fn by_issuer(
    issuer: &Issuer,
    token: &Compact<'_>,
    claims: Map<String, Value>,
    desk: Desk<'_>,
    (since, awaited): (Timestamp, &mut Option<(u64, Duration)>),
) -> Result<Option<(Identity, u64)>, AuthError> {
    let uri = match &issuer.keys {
        IssuerKeys::Fixed(keys) => {
            let identity = jwt::verify(issuer, keys, token, claims, desk.now, desk.signatures)?;
            return Ok(Some((identity, 0)));
        }
        IssuerKeys::Published(uri) => uri,
    };
    jwt::check_header(issuer, token)?;
    let set = desk.verifiers.remote.find(uri).ok_or(AuthError::KeysUnavailable)?;
    let (rounds, failed) = set.rounds();
    let waiting = awaited.is_some_and(|(round, limit)| {
        // A clock that was set back must not keep anybody waiting.
        rounds == round && desk.now.since(since) < limit && desk.now >= since
    });
    let (want, otherwise) = match set.held(desk.now) {
        None => (Want::Any, AuthError::KeysUnavailable),
        Some(held) => {
            match jwt::verify(issuer, &held.keys, token, claims, desk.now, desk.signatures) {
                Ok(identity) => return Ok(Some((identity, held.generation))),
                // As long as the issuer can't be asked, nobody knows.
                Err(AuthError::UnknownKid) if failed => (Want::Unknown, AuthError::KeysUnavailable),
                Err(AuthError::UnknownKid) => (Want::Unknown, AuthError::UnknownKid),
                Err(error) => return Err(error),
            }
        }
    };
    if waiting {
        return Ok(None);
    }
    match awaited {
        // The fetch it waited for has ended, or takes too long.
        Some((round, _)) if rounds == *round => Err(AuthError::KeysUnavailable),
        Some(_) => Err(otherwise),
        None if set.ask(desk.now, want) => {
            *awaited = Some((rounds, set.timeout()));
            Ok(None)
        }
        None => Err(otherwise),
    }
}

/// A token of an issuer that is configured, nothing of it verified.
type Issued<'a> = (&'a Issuer, Compact<'a>, Map<String, Value>);

/// Goes by the unverified `iss`, which only chooses whose keys must have signed
/// it; otherwise says why the credential is no such token, which is told when
/// it is no API key either.
fn issued<'a>(rules: &'a AuthRules, credential: &'a [u8]) -> Result<Issued<'a>, AuthError> {
    let token = std::str::from_utf8(credential).ok().and_then(Compact::split);
    let Some(token) = token.filter(|_| !rules.issuers.is_empty()) else {
        // With API keys there are other forms than a token's.
        let only_tokens = rules.api_keys.is_empty();
        let why = if only_tokens { AuthError::NotCompact } else { AuthError::UnknownCredential };
        return Err(why);
    };
    let claims = token.payload()?;
    let iss = claims.get("iss").and_then(Value::as_str);
    let issuer = rules.issuers.iter().find(|issuer| Some(issuer.issuer.as_str()) == iss);
    Ok((issuer.ok_or(AuthError::UnknownIssuer)?, token, claims))
}
