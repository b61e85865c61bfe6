//! One client's attempt to authenticate, which may have to wait for an answer
//! of somebody else's.

use super::ask::{
    Asked, MAX_ASKED, MAX_ASKED_PER_ADDRESS, MAX_WAITING, MAX_WAITING_PER_ADDRESS, Slot, UnderWay,
};
use super::authorize::{Authorization, Wish};
use super::cache::{Cache, MAX_NO};
use super::error::AuthError;
use super::identity::{Identity, hash_prefix};
use super::jws::Compact;
use super::presented::{Credential, Presented};
use super::remote::{Held, RemoteKeys, RemoteSet, Want};
use super::verified::VerifiedTokens;
use super::{AuthRules, Issuer, IssuerKeys, KeysUri, SessionRules, jwt};
use crate::host::{Call, CallAnswer, CallId, Calls, Host, Level, Log, Signatures, Timestamp};
use crate::quota::Network;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

/// Most answers of each kind that are kept.
const MAX_CACHED: usize = 4096;

/// How often the log is told that services fail.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Log line for a token signed by ES256 or ES384 that neither the host nor the module can
/// verify.
const NO_VERIFY_SIGNATURE: &str = "wsguard: tokens signed by ES256 and ES384 can't be verified: \
    this host has no foreign function verify_signature; use a stock Envoy, or build the module \
    with the feature own-ecdsa";

/// What one worker keeps for the verification of credentials by one document.
#[derive(Debug)]
pub struct Verifiers {
    remote: RemoteKeys,
    verified: RefCell<VerifiedTokens>,
    /// Who the sessions are of, and the credentials that are of none.
    sessions: RefCell<Cache<Identity>>,
    strangers: RefCell<Cache<AuthError>>,
    /// What `authorize` callouts have said.
    pub(super) granted: RefCell<Cache<bool>>,
    pub(super) under_way: Rc<RefCell<UnderWay>>,
    /// The handshakes that wait for keys.
    waiting: Rc<RefCell<UnderWay>>,
    /// When the log was last told that a service has failed, by the steady clock.
    told: Cell<Option<Duration>>,
}

impl Verifiers {
    /// For the `auth` of all policies.
    #[must_use]
    pub fn open<'a>(host: Rc<dyn Host>, auth: impl Iterator<Item = &'a AuthRules>) -> Self {
        let issuers = auth.flat_map(|auth| &auth.issuers);
        let uris: Vec<&KeysUri> = issuers.filter_map(Issuer::keys_uri).collect();
        Self {
            remote: RemoteKeys::open(host, uris.into_iter()),
            verified: RefCell::default(),
            sessions: RefCell::new(Cache::new(MAX_CACHED)),
            strangers: RefCell::new(Cache::new(MAX_CACHED)),
            granted: RefCell::new(Cache::new(MAX_CACHED)),
            under_way: UnderWay::at_most(MAX_ASKED, MAX_ASKED_PER_ADDRESS),
            waiting: UnderWay::at_most(MAX_WAITING, MAX_WAITING_PER_ADDRESS),
            told: Cell::default(),
        }
    }

    /// Tells the operator that a service has failed, now and then.
    pub(super) fn tell(&self, what: &str, call: &Call, answer: &CallAnswer, desk: Desk<'_>) {
        let cause = match answer {
            CallAnswer::Whole { status: 200, .. } => "the answer can't be read".to_owned(),
            CallAnswer::Whole { status, .. } => format!("the answer is {status}"),
            CallAnswer::TooLong => "the answer is longer than 256KiB".to_owned(),
            CallAnswer::Reset => "the connection was reset, or no answer came in time".to_owned(),
        };
        let Call { cluster, authority, .. } = call;
        self.warn(&format!("wsguard {what}: {authority} by cluster {cluster}: {cause}"), desk);
    }

    /// Writes a line for the operator, now and then.
    fn warn(&self, line: &str, desk: Desk<'_>) {
        let rested = |told: Duration| desk.monotonic.saturating_sub(told) >= TELL_EVERY;
        if self.told.get().is_none_or(rested) {
            self.told.set(Some(desk.monotonic));
            desk.log.write(Level::Warn, line);
        }
    }

    /// The keys that are published there, if there are any that are good; `now` is
    /// of the steady clock.
    pub(super) fn published(&self, uri: &KeysUri, now: Duration) -> Option<Held> {
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
    /// Now: what dates in credentials are compared with.
    pub now: Timestamp,
    /// The same by the steady clock: what is waited and kept for so long.
    pub monotonic: Duration,
    /// What verifies signatures natively, where it can.
    pub signatures: &'a dyn Signatures,
    /// What asks services.
    pub calls: &'a dyn Calls,
    /// Where the operator is told of services that fail.
    pub log: &'a dyn Log,
    /// The client's address, as the policy counts it.
    pub address: Network,
    /// What the worker keeps.
    pub verifiers: &'a Verifiers,
    /// Place of the policy in the document.
    pub policy: usize,
}

/// One client's attempt, which can be advanced any number of times.
#[derive(Debug)]
pub struct Attempt {
    presented: Presented,
    /// The fetch of the issuer's keys that it waits for.
    awaited: Option<Awaited>,
    /// The question about it that is under way.
    asked: Option<Asked>,
    /// Who it is, once that is known.
    identity: Option<Identity>,
    authorization: Authorization,
}

/// A fetch of an issuer's keys that is waited for.
#[derive(Debug)]
struct Awaited {
    set: Rc<RemoteSet>,
    /// How many of its fetches had ended when the waiting began.
    rounds: u64,
    /// How long it is waited for, by the steady clock.
    until: Duration,
    _slot: Slot,
}

impl Awaited {
    /// Whether it goes on, and its time is not over.
    fn is_open(&self, now: Duration) -> bool {
        self.set.rounds().0 == self.rounds && now < self.until
    }
}

impl Attempt {
    /// Has verified nothing yet.
    #[must_use]
    pub fn new(presented: Presented) -> Self {
        Self {
            presented,
            awaited: None,
            asked: None,
            identity: None,
            authorization: Authorization::default(),
        }
    }

    /// What was presented.
    #[must_use]
    pub const fn presented(&self) -> &Presented {
        &self.presented
    }

    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        self.asked.as_mut().is_some_and(|asked| asked.on_answer(id, answer))
            || self.authorization.on_answer(id, answer)
    }

    /// Whether it waits for an answer that may still come. As long as that is so
    /// [`Self::advance`] has nothing to do, and looks at nothing that the client
    /// sent: that is long, and what calls comes again and again.
    #[must_use]
    pub fn is_waiting(&self, now: Duration) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.is_open(now))
            || self.awaited.as_ref().is_some_and(|fetch| fetch.is_open(now))
            || self.authorization.is_waiting(now)
    }

    /// The same, taken out.
    pub fn take_identity(&mut self) -> Option<Identity> {
        self.identity.take()
    }

    /// Whom it has named, also where it does not reach to what was asked for.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Verifies and authorizes as far as that can be done now. `false`: it
    /// waits, and is to be advanced again on the next tick, or when its answer
    /// has come. Afterwards [`Self::identity`] says who it is.
    ///
    /// # Errors
    /// Why it does not let the client in; [`AuthError::reason`] has its line in
    /// the table of refusals.
    pub fn advance(
        &mut self,
        rules: &AuthRules,
        wish: Wish<'_>,
        desk: Desk<'_>,
    ) -> Result<bool, AuthError> {
        if self.is_waiting(desk.monotonic) {
            return Ok(false);
        }
        if self.identity.is_none() {
            self.identity = self.identify(rules, desk)?;
        }
        let Some(identity) = &self.identity else { return Ok(false) };
        self.authorization.advance(&rules.authorize, identity, wish, desk)
    }

    /// A token of a configured issuer is verified by that issuer's rules alone;
    /// anything else is an API key, or what the session service knows.
    fn identify(
        &mut self,
        rules: &AuthRules,
        desk: Desk<'_>,
    ) -> Result<Option<Identity>, AuthError> {
        let credential = match self.presented.credential()? {
            Credential::Token(token) => token.as_slice(),
            Credential::ApiKey { id, key } => {
                let key = rules.api_keys.find_by_id(id, key).ok_or(AuthError::UnknownCredential)?;
                return Ok(Some(Identity::of_api_key(key, desk.now)));
            }
        };
        if let Some(identity) = desk.verifiers.verified.borrow().find(rules, &desk, credential) {
            return Ok(Some(identity));
        }
        let (issuer, token, claims) = match issued(rules, credential) {
            Ok(issued) => issued,
            Err(no_token) => {
                if let Some(key) = rules.api_keys.find(credential) {
                    return Ok(Some(Identity::of_api_key(key, desk.now)));
                }
                let session = rules.session.as_ref().ok_or(no_token)?;
                return by_service(session, credential, desk, &mut self.asked);
            }
        };
        let verified = by_issuer(issuer, &token, claims, desk, &mut self.awaited);
        if matches!(verified, Err(AuthError::Unverifiable)) {
            desk.verifiers.warn(NO_VERIFY_SIGNATURE, desk);
        }
        let Some((mut identity, generation)) = verified? else { return Ok(None) };
        self.awaited = None;
        if identity.key_id.is_empty() {
            identity.key_id = hash_prefix(credential);
        }
        let token = (desk.policy, credential);
        desk.verifiers.verified.borrow_mut().keep(token, &identity, generation);
        Ok(Some(identity))
    }
}

/// What answers about a credential are kept under: another policy may ask another
/// service.
fn question_hash(policy: usize, credential: &[u8]) -> [u8; 32] {
    let policy = u64::try_from(policy).unwrap_or(u64::MAX).to_be_bytes();
    Sha256::new().chain_update(policy).chain_update(credential).finalize().into()
}

/// Asks the session service, unless that was done a while ago.
fn by_service(
    session: &SessionRules,
    credential: &[u8],
    desk: Desk<'_>,
    asked: &mut Option<Asked>,
) -> Result<Option<Identity>, AuthError> {
    let verifiers = desk.verifiers;
    let call = session.question(credential)?;
    let hash = question_hash(desk.policy, credential);
    let Some(question) = asked else {
        let sessions = verifiers.sessions.borrow();
        // Its end is a date, which the time that it is kept for knows nothing of.
        let ended = |known: &Identity| known.expires.is_some_and(|end| desk.now >= end);
        if let Some(known) = sessions.find(&hash, desk.monotonic).filter(|known| !ended(known)) {
            let identity = Identity { authenticated_at: desk.now, ..known.clone() };
            return Ok(Some(identity));
        }
        if let Some(refused) = verifiers.strangers.borrow().find(&hash, desk.monotonic) {
            return Err(*refused);
        }
        let otherwise = AuthError::SessionUnavailable;
        let with = (desk.calls, desk.monotonic);
        *asked = Some(Asked::ask(&call, with, &verifiers.under_way, desk.address, otherwise)?);
        return Ok(None);
    };
    let Some(answer) = question.answer(desk.monotonic) else { return Ok(None) };
    *asked = None;
    let read = session.read(&answer, credential, desk.now);
    // It may be our own credential that is refused (RFC 7662 §2.3).
    let doubts_us = session.authorization.is_some() && answer.status() == Some(401);
    if doubts_us || read == Err(AuthError::SessionUnavailable) {
        verifiers.tell("session service", &call, &answer, desk);
    }
    let bytes = answer.body_bytes();
    match (&read, session.cache) {
        (Err(AuthError::SessionUnavailable), _) | (_, None) => {}
        (Ok(identity), Some(time)) => {
            let kept = (identity.clone(), bytes);
            verifiers.sessions.borrow_mut().keep(hash, kept, desk.monotonic, time);
        }
        (Err(error), Some(time)) => {
            let time = time.min(MAX_NO);
            verifiers.strangers.borrow_mut().keep(hash, (*error, 0), desk.monotonic, time);
        }
    }
    read.map(Some)
}

/// Verifies a token by its issuer's keys, fixed or published; with the
/// generation of the keys that did it. `None`: a fetch may bring its key.
fn by_issuer(
    issuer: &Issuer,
    token: &Compact<'_>,
    claims: Map<String, Value>,
    desk: Desk<'_>,
    awaited: &mut Option<Awaited>,
) -> Result<Option<(Identity, u64)>, AuthError> {
    let header = jwt::check_header(issuer, token)?;
    let token = (token, &header);
    let uri = match &issuer.keys {
        IssuerKeys::Fixed(keys) => {
            let identity = jwt::verify(issuer, keys, token, claims, desk.now, desk.signatures)?;
            return Ok(Some((identity, 0)));
        }
        IssuerKeys::Published(uri) => uri,
    };
    let set = desk.verifiers.remote.find(uri).ok_or(AuthError::KeysUnavailable)?;
    let (rounds, failed) = set.rounds();
    let (want, otherwise) = match set.held(desk.monotonic) {
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
    match awaited {
        Some(fetch) if fetch.rounds == rounds && desk.monotonic < fetch.until => Ok(None),
        // It takes too long.
        Some(fetch) if fetch.rounds == rounds => Err(AuthError::KeysUnavailable),
        // It has ended, and did not bring the key.
        Some(_) => Err(otherwise),
        None if set.ask(desk.monotonic, want) => {
            let slot = Slot::take(&desk.verifiers.waiting, desk.address)?;
            let until = desk.monotonic.saturating_add(set.timeout());
            *awaited = Some(Awaited { set: Rc::clone(set), rounds, until, _slot: slot });
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
        let only_tokens = rules.api_keys.is_empty() && rules.session.is_none();
        let why = if only_tokens { AuthError::NotCompact } else { AuthError::UnknownCredential };
        return Err(why);
    };
    let claims = token.payload()?;
    let iss = claims.get("iss").and_then(Value::as_str);
    let issuer = rules.issuers.iter().find(|issuer| Some(issuer.issuer.as_str()) == iss);
    Ok((issuer.ok_or(AuthError::UnknownIssuer)?, token, claims))
}
