//! The opening handshake's way in: the checks in their order, and what of the
//! request head goes on to upstream.

mod accept;
mod checks;
mod denial;
mod pending;
mod request;

use super::Session;
use super::refusal::Refusal;
use crate::config::{Mode, Policy, Unmatched};
use crate::event::{About, Kind};
use crate::guard::Guard;
use crate::handshake::form::{self, ValidHandshake};
use crate::handshake::host::Host;
use crate::handshake::path::LenientPath;
use crate::handshake::upgrade::Upgrade;
use crate::handshake::{HeadEdits, PlainHttp, RequestHead};
use crate::message::budget::Holder;
use crate::reason::Reason;
use checks::Entered;
use denial::Denial;
use request::{Request, Target, TargetError, matches_host, may_match_path};
use std::rc::Rc;

pub(super) use denial::nameable;
pub use pending::PendingAdmission;
pub(super) use request::name;

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
    /// It is held until somebody else has answered.
    Waiting(Box<PendingAdmission>),
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
    /// Of a request that is refused, or held, and whose query holds a credential:
    /// path and query without it.
    pub target: Option<Vec<u8>>,
}

/// What events tell of a request that nobody has judged.
pub(super) fn about(guard: &Rc<Guard>, arrival: &Arrival) -> About {
    let holder = guard.holder(arrival.head.source);
    Request::read(guard, arrival, guard.now(), holder).about(None)
}

/// Judges a request.
#[must_use]
pub fn admit(guard: &Rc<Guard>, arrival: &Arrival) -> Admitted {
    admit_with(guard, arrival, guard.holder(arrival.head.source))
}

/// Judges a request of a connection that is known to the account already.
pub(super) fn admit_with(guard: &Rc<Guard>, arrival: &Arrival, holder: Rc<Holder>) -> Admitted {
    let request = Request::read(guard, arrival, guard.now(), holder);
    let upgrade = Upgrade::of(&arrival.head);
    let target = match &request.target {
        Ok(target) => target,
        Err(fault) => return request.ambiguous(upgrade, fault),
    };
    let found = request.policy(upgrade, target);
    if upgrade != Upgrade::None
        && let Some(other) = request.other_reading(target, found)
        && let Some(admitted) = request.differing(found, other)
    {
        return admitted;
    }
    match (upgrade, found) {
        (Upgrade::None, None) => request.pass(None),
        (_, None) => request.unmatched(),
        (Upgrade::None | Upgrade::Other, Some((index, policy))) => {
            request.no_websocket(upgrade, index, policy)
        }
        (Upgrade::WebSocket, Some((index, policy))) => request.upgrade(target, index, policy),
    }
}

impl<'a> Request<'a> {
    /// A host or path that another server may read in another way: no policy
    /// can be said to match, so the strictest that might decides. An upgrade is
    /// never meant for anything but a WebSocket; a plain request is refused
    /// where a lenient server might find a path that takes upgrades only. It
    /// passes at a host that is certain, and that only others' policies name.
    fn ambiguous(&self, upgrade: Upgrade, error: &TargetError) -> Admitted {
        let lenient = LenientPath::read(self.raw_path);
        let host = Host::parse(&self.head().authority).ok();
        let meant = |policy: &&Policy| {
            upgrade != Upgrade::None
                || policy.handshake.plain_http == PlainHttp::Reject
                    && host.as_ref().is_none_or(|host| matches_host(policy, host))
                    && lenient.as_ref().is_some_and(|path| may_match_path(policy, path))
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

    /// Decides about an upgrade whose path is `found`'s as normalized, and `other`'s in the
    /// lenient reading. An application of `other` might be reached under `found`, so the
    /// mode of `other` decides. `None`: `other` only reports, and it goes on under `found`,
    /// which enforces and has an event of this, or is refused since no policy was found.
    fn differing(&self, found: Option<(usize, &Policy)>, other: &Policy) -> Option<Admitted> {
        let config = self.guard.config();
        let rejects = config.unmatched == Unmatched::Reject && config.mode == Mode::Enforce;
        let is_enforced = match found {
            Some((_, policy)) => policy.mode == Mode::Enforce,
            None => rejects,
        };
        let detail = "servers that leave letter case, a last slash, or dots, spaces and ;… at the \
                      end of a segment aside take this path for another one that is offered \
                      here; write it as the path that is meant (where the application tells \
                      them apart, its policy says match.exact)";
        let denial = Denial::new(Reason::HandshakeMalformed, detail.to_owned());
        let index = found.map(|(index, _)| index);
        if other.mode == Mode::Report && is_enforced {
            if index.is_some() {
                self.log_denial(index, (Kind::Reported, other.mode), &denial);
            }
            return None;
        }
        let form = form::check(self.head()).ok();
        Some(self.deny(index, other.mode, form.as_ref(), denial))
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
        let entered = self.enter(target, policy, form.as_ref().map_err(|error| *error));
        match (entered, form) {
            (Ok(mut entered), Ok(handshake)) => {
                let admitted = self.proceed(target, (index, policy), &handshake, &mut entered);
                admitted.unwrap_or_else(|| PendingAdmission::wait(self, index, handshake, entered))
            }
            (Err(denial), form) => self.deny(Some(index), policy.mode, form.ok().as_ref(), denial),
            (Ok(_), Err(error)) => self.deny(Some(index), policy.mode, None, error.into()),
        }
    }

    /// Decides, unless somebody else's answer is waited for.
    fn proceed(
        &self,
        target: &Target,
        (index, policy): (usize, &Policy),
        handshake: &ValidHandshake,
        entered: &mut Entered,
    ) -> Option<Admitted> {
        Some(match (self.pass_checks(target, (index, policy), entered), policy.mode) {
            (Ok(None), _) => return None,
            (Ok(Some(passed)), Mode::Enforce) => {
                self.enforce(target, index, policy, handshake, passed)
            }
            (Ok(Some(passed)), Mode::Report) => {
                self.observe(index, policy, handshake, Some(passed))
            }
            (Err(denial), mode) => self.deny(Some(index), mode, Some(handshake), denial),
        })
    }
}
