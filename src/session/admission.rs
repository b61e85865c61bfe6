//! The opening handshake's way in: the checks in their order, and what of the
//! request head goes on to upstream.

mod request;

use request::{Request, Target, TargetError, matches_host, matches_path};

use super::bench::probe;
use super::both::Both;
use super::lifetime::Life;
use super::opening::Pending;
use super::outbox::Outbox;
use super::refusal::Refusal;
use super::{Flow, Phase, Session};
use crate::auth::{self, AuthError, CredentialSource, Identity, Presented};
use crate::config::{Mode, Policy, Unmatched};
use crate::event::{About, Event, Kind};
use crate::frame::Sender;
use crate::guard::{Guard, HandshakeResult};
use crate::handshake::answer::Agreement;
use crate::handshake::deflate::Offer;
use crate::handshake::form::{self, HandshakeError, ValidHandshake};
use crate::handshake::host::{Host, HostError};
use crate::handshake::path::{PathError, careless};
use crate::handshake::tls::TlsVerdict;
use crate::handshake::upgrade::Upgrade;
use crate::handshake::{
    Compression, HeadEdits, PlainHttp, RefuseWith, RequestHead, Upstream, subprotocol, user_agent,
};
use crate::quota::Permit;
use crate::quota::bans::Banned;
use crate::quota::connections::{Client, QuotaExceeded};
use crate::quota::rate::RateExceeded;
use crate::reason::Reason;
use std::rc::Rc;
use std::time::Duration;

/// A request as a filter hands it over.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Its head.
    pub head: RequestHead,
    /// Envoy's `connection.id`.
    pub connection: Option<u64>,
    /// Envoy's `request.id`.
    pub request_id: Option<Vec<u8>>,
}

/// What becomes of a request.
#[derive(Debug)]
pub enum Admission {
    /// It is none of ours: it passes with these edits.
    Pass(HeadEdits),
    /// It goes to upstream with these edits, and the session watches over what
    /// follows.
    Guarded(Box<Session>, HeadEdits),
    /// It is answered in upstream's place.
    Refused(Refusal),
}

/// What an admission was decided by, for access logs.
#[derive(Debug)]
pub struct Admitted {
    /// What becomes of the request.
    pub admission: Admission,
    /// Place of the policy that matched, if one did.
    pub policy: Option<usize>,
    /// Why it was refused, or in mode report would have been.
    pub reason: Option<Reason>,
}

/// What events tell of a request that nobody has judged.
pub(super) fn about(guard: &Rc<Guard>, arrival: &Arrival) -> About {
    Request::read(guard, arrival).about(None)
}

/// Judges a request.
#[must_use]
pub fn admit(guard: &Rc<Guard>, arrival: &Arrival) -> Admitted {
    let request = Request::read(guard, arrival);
    let upgrade = Upgrade::of(&arrival.head);
    let target = match &request.target {
        Ok(target) => target,
        Err(fault) => return request.ambiguous(upgrade, fault),
    };
    match (upgrade, request.policy(target)) {
        (Upgrade::None, None) => request.pass(None),
        (_, None) => request.unmatched(),
        (Upgrade::None | Upgrade::Other, Some((index, policy))) => {
            request.no_websocket(upgrade, index, policy)
        }
        (Upgrade::WebSocket, Some((index, policy))) => request.upgrade(target, index, policy),
    }
}

/// Why a handshake is refused.
struct Denial {
    reason: Reason,
    detail: String,
    /// Told as a redirect to this place.
    location: Option<String>,
    /// Who it was, once that is known.
    identity: Option<Box<Identity>>,
    /// After how long the same may be allowed, where that is known.
    retry_after: Option<Duration>,
}

macro_rules! denial_from {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Denial {
            fn from(error: $error) -> Self {
                Self::new(error.reason(), error.to_string())
            }
        }
    )*};
}

denial_from!(
    HandshakeError,
    HostError,
    PathError,
    AuthError,
    crate::handshake::address::AddressDenied,
    crate::handshake::compression::CompressionDenied,
    crate::handshake::origin::OriginDenied,
    crate::handshake::subprotocol::SubprotocolDenied<'_>,
    crate::handshake::tls::TlsRequired,
    crate::handshake::user_agent::UserAgentDenied,
    QuotaExceeded,
);

impl Denial {
    const fn new(reason: Reason, detail: String) -> Self {
        Self { reason, detail, location: None, identity: None, retry_after: None }
    }
}

impl From<Banned> for Denial {
    fn from(banned: Banned) -> Self {
        let retry_after = Some(banned.remaining);
        Self { retry_after, ..Self::new(Reason::Banned, banned.to_string()) }
    }
}

impl From<RateExceeded> for Denial {
    fn from(error: RateExceeded) -> Self {
        let retry_after = error.retry_after();
        Self { retry_after, ..Self::new(error.reason(), error.to_string()) }
    }
}

impl From<TargetError> for Denial {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Host(error) => error.into(),
            TargetError::Path(error) => error.into(),
        }
    }
}

/// A handshake that passed every check, and what of it goes on.
struct Passed {
    /// What is left of the subprotocol offer.
    subprotocols: Vec<String>,
    /// The entry that the client's credential stood behind.
    marker: Option<String>,
    identity: Option<Identity>,
    identity_headers: Vec<(String, Vec<u8>)>,
    permit: Permit,
}

impl<'a> Request<'a> {
    /// A host or path that another server may read in another way: no policy
    /// can be said to match, so the strictest that might decides. An upgrade is
    /// never meant for anything but a WebSocket; a plain request is refused
    /// where a careless server might find a path that takes upgrades only. It
    /// passes at a host that is certain, and that only others' policies name.
    fn ambiguous(&self, upgrade: Upgrade, error: &TargetError) -> Admitted {
        let careless = careless(self.raw_path);
        let host = Host::parse(&self.head().authority).ok();
        let meant = |policy: &&Policy| {
            upgrade != Upgrade::None
                || policy.handshake.plain_http == PlainHttp::Reject
                    && host.as_ref().is_none_or(|host| matches_host(policy, host))
                    && careless.as_ref().is_some_and(|path| matches_path(policy, path))
        };
        let config = self.guard.config();
        let mut policies = config.policies.iter().filter(meant).peekable();
        if policies.peek().is_none() {
            return self.pass(None);
        }
        let enforced = policies.any(|policy| policy.mode == Mode::Enforce);
        let mode = if enforced { Mode::Enforce } else { config.mode };
        self.deny(None, mode, None, (*error).into())
    }

    /// An upgrade that no policy is for.
    fn unmatched(&self) -> Admitted {
        let config = self.guard.config();
        match config.unmatched {
            Unmatched::Pass => self.pass(None),
            Unmatched::Reject => {
                let detail = "no WebSocket is offered at this host and path".to_owned();
                self.deny(None, config.mode, None, Denial::new(Reason::NoPolicy, detail))
            }
        }
    }

    /// A request for a guarded path that is no upgrade to a WebSocket.
    fn no_websocket(&self, upgrade: Upgrade, index: usize, policy: &Policy) -> Admitted {
        if upgrade == Upgrade::None && policy.handshake.plain_http == PlainHttp::Pass {
            return self.pass(Some(index));
        }
        let denial = match policy.handshake.addresses.judge(self.head().source) {
            Err(error) => error.into(),
            Ok(()) => {
                let detail = "this path takes WebSocket upgrades only".to_owned();
                Denial::new(Reason::NotWebsocket, detail)
            }
        };
        self.deny(Some(index), policy.mode, None, denial)
    }

    fn upgrade(&self, target: &Target, index: usize, policy: &'a Policy) -> Admitted {
        let form = form::check(self.head());
        match self.checks(target, policy, &form) {
            Ok(passed) => match (form, policy.mode) {
                (Ok(handshake), Mode::Enforce) => {
                    self.enforce(target, index, policy, &handshake, passed)
                }
                (Ok(handshake), Mode::Report) => {
                    self.observe(index, policy, &handshake, Some(passed))
                }
                (Err(error), mode) => self.deny(Some(index), mode, None, error.into()),
            },
            Err(denial) => self.deny(Some(index), policy.mode, form.ok().as_ref(), denial),
        }
    }

    /// Every check of the contract, in its order; what later work brings (bans,
    /// rates, authorize) has its place marked.
    fn checks(
        &self,
        target: &Target,
        policy: &'a Policy,
        form: &Result<ValidHandshake, HandshakeError>,
    ) -> Result<Passed, Denial> {
        let (head, rules) = (self.head(), &policy.handshake);
        rules.addresses.judge(head.source)?;
        self.guard.check_address_ban(policy, head.source)?;
        let handshake = form.as_ref().map_err(|error| Denial::from(*error))?;
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
        user_agent::judge(rules.user_agents_denied.as_ref(), &head.headers)?;
        self.guard.take_handshake(policy, head.source)?;
        let offer = handshake.subprotocols();
        let presented = policy
            .auth
            .as_ref()
            .map(|auth| (auth, Presented::collect(auth, head, self.query, offer)));
        let left = presented.as_ref().map_or(offer, |(_, presented)| presented.offer_left());
        let mut subprotocols = subprotocol::judge(rules.subprotocols.as_deref(), left)?;
        rules.compression.judge(handshake)?;
        let (mut identity, mut identity_headers, mut marker) = (None, Vec::new(), None);
        if let Some((auth, presented)) = presented {
            let now = self.guard.now();
            let somebody = auth::authenticate(auth, &presented, now, self.guard.host())?;
            identity_headers = auth::identity_headers(auth, &somebody)?;
            identity = Some(somebody);
            marker = presented.subprotocol_marker().map(str::to_owned);
            subprotocols.extend_from_slice(presented.offer_forwarded());
        }
        let user = identity.as_ref().and_then(|identity| identity.user.as_deref());
        if let Err(banned) = self.guard.check_user_ban(policy, user) {
            return Err(Denial { identity: identity.map(Box::new), ..banned.into() });
        }
        // authorize
        let taken = self.guard.take_quotas(policy, Client { address: head.source, user });
        let permit = match taken {
            Ok(permit) => permit,
            Err(error) => return Err(Denial { identity: identity.map(Box::new), ..error.into() }),
        };
        Ok(Passed { subprotocols, marker, identity, identity_headers, permit })
    }

    /// Lets the request through with nothing but made-up identity headers
    /// removed.
    fn pass(&self, policy: Option<usize>) -> Admitted {
        Admitted { admission: Admission::Pass(self.base_edits()), policy, reason: None }
    }

    fn base_edits(&self) -> HeadEdits {
        let names = &self.guard.config().identity_headers;
        HeadEdits { remove: auth::sent_identity_headers(self.head(), names), set: Vec::new() }
    }

    /// Refuses, or in mode report says so and watches.
    fn deny(
        &self,
        policy: Option<usize>,
        mode: Mode,
        handshake: Option<&ValidHandshake>,
        denial: Denial,
    ) -> Admitted {
        let Denial { reason, detail, location, identity, retry_after } = denial;
        let rules = policy.and_then(|index| self.guard.policy(index));
        let (kind, result) = match mode {
            Mode::Enforce => (Kind::Refused, HandshakeResult::Refused),
            Mode::Report => (Kind::Reported, HandshakeResult::Reported),
        };
        self.guard.count_handshake(policy, result, Some(reason));
        let about = self.about(identity.as_deref());
        let mut event = Event::new(self.guard.now(), kind, mode, &about);
        event.reason = Some(reason);
        event.direction = Some(Sender::Client);
        event.detail = Some(detail.clone());
        self.guard.tell(policy, event);
        if let Some(index) = policy {
            let user = identity.as_ref().and_then(|identity| identity.user.as_deref());
            self.guard.strike(index, reason, &about, user);
        }
        let admission = match (mode, policy.zip(rules), handshake) {
            (Mode::Report, Some((index, rules)), Some(handshake)) => {
                let observed = self.observe(index, rules, handshake, None);
                return Admitted { reason: Some(reason), ..observed };
            }
            (Mode::Report, ..) => Admission::Pass(self.base_edits()),
            (Mode::Enforce, ..) => Admission::Refused(match (rules, handshake, location) {
                (_, _, Some(location)) => Refusal::redirect(reason, location),
                (Some(rules), Some(handshake), None)
                    if rules.handshake.refuse_with == RefuseWith::Close =>
                {
                    let offered = nameable(rules, handshake.subprotocols());
                    Refusal::close(reason, handshake.accept_for_client(), offered)
                }
                _ => Refusal::http(reason, &detail).retry_after(retry_after),
            }),
        };
        Admitted { admission, policy, reason: Some(reason) }
    }

    fn enforce(
        &self,
        target: &Target,
        index: usize,
        policy: &Policy,
        handshake: &ValidHandshake,
        passed: Passed,
    ) -> Admitted {
        let mut edits = self.base_edits();
        edit_key(handshake, policy, &mut edits);
        self.edit_target(target, policy, &mut edits);
        let deflate = edit_extensions(handshake, policy, &mut edits);
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
        let agreement = agreement.with_deflate(deflate);
        let pending = Pending::new(agreement, policy, handshake, passed.identity.as_ref());
        let about = self.about(passed.identity.as_ref());
        let permit = self.guard.count_open(policy, Some(passed.permit));
        self.guarded(index, about, pending, edits, permit)
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
    fn observe(
        &self,
        index: usize,
        policy: &Policy,
        handshake: &ValidHandshake,
        passed: Option<Passed>,
    ) -> Admitted {
        let identity = passed.as_ref().and_then(|passed| passed.identity.as_ref());
        let agreement = Agreement::new(handshake, handshake.subprotocols().to_vec(), None);
        let agreement = agreement.with_deflate(Offer::all(handshake));
        let mut pending = Pending::new(agreement, policy, handshake, identity);
        pending.counted = passed.is_none();
        let mut edits = self.base_edits();
        edit_key(handshake, policy, &mut edits);
        let about = self.about(identity);
        // What is over a limit counts as open, and not against the limit: so
        // the next one gets the answer that it would get in mode enforce.
        let permit = self.guard.count_open(policy, passed.map(|passed| passed.permit));
        self.guarded(index, about, pending, edits, permit)
    }

    fn guarded(
        &self,
        index: usize,
        about: About,
        pending: Pending,
        edits: HeadEdits,
        permit: Permit,
    ) -> Admitted {
        let probe = probe(self.guard);
        let outbox = || Outbox::new(self.guard.budget(), probe);
        let session = Session {
            guard: Rc::clone(self.guard),
            policy: index,
            _permit: permit,
            about,
            arrived: self.guard.now(),
            phase: Phase::Opening(pending),
            client: Flow::new(Sender::Client),
            server: Flow::new(Sender::Server),
            deflate: None,
            outboxes: Both { client: outbox(), server: outbox() },
            taken: Both::default(),
            life: Life::begin(self.guard.monotonic()),
            messages: crate::event::PerDirection::default(),
            first_close: None,
            ready_to_push: false,
            refusal: None,
            ended_for: None,
        };
        let admission = Admission::Guarded(Box::new(session), edits);
        Admitted { admission, policy: Some(index), reason: None }
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

/// The subprotocol that a refusal by close names, so that a browser takes the
/// handshake for complete: the marker of a credential, or one that is allowed,
/// before whatever else was offered, which might be a token.
pub(super) fn nameable<'a>(policy: &Policy, offer: &'a [String]) -> Option<&'a str> {
    let markers = policy.auth.iter().flat_map(|auth| &auth.sources).filter_map(|s| match s {
        CredentialSource::Subprotocol(marker) => Some(marker),
        _ => None,
    });
    let known: Vec<_> = markers.chain(policy.handshake.subprotocols.iter().flatten()).collect();
    let found = offer.iter().find(|name| known.contains(name));
    found.or_else(|| offer.first()).map(String::as_str)
}
