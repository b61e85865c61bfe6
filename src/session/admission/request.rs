//! A request as admission sees it: what is read from it once.

use super::Arrival;
use crate::auth::Identity;
use crate::config::Policy;
use crate::event::{About, bounded};
use crate::guard::Guard;
use crate::handshake::RequestHead;
use crate::handshake::host::{Host, HostError};
use crate::handshake::path::{LenientPath, NormalPath, PathError, split_target};
use crate::handshake::upgrade::Upgrade;
use crate::host::Timestamp;
use crate::message::budget::Holder;
use std::rc::Rc;

/// Longest part of a client's value that an event repeats, in bytes.
const EVENT_VALUE_BYTES: usize = 256;

/// Longest part of a path that an event repeats, in bytes.
const EVENT_PATH_BYTES: usize = 1024;

/// Where a request goes, in the one form that policies match.
pub(super) struct Target {
    pub(super) host: Host,
    pub(super) path: NormalPath,
}

/// Why a target has no such form.
#[derive(Clone, Copy)]
pub(super) enum TargetError {
    Host(HostError),
    Path(PathError),
}

/// A request and what is read from it once.
pub(super) struct Request<'a> {
    pub(super) guard: &'a Rc<Guard>,
    pub(super) arrival: &'a Arrival,
    pub(super) raw_path: &'a [u8],
    pub(super) query: Option<&'a [u8]>,
    pub(super) target: Result<Target, TargetError>,
    /// When it came.
    pub(super) arrived: Timestamp,
    /// Its account of held bytes.
    pub(super) holder: Rc<Holder>,
}

impl<'a> Request<'a> {
    pub(super) fn read(
        guard: &'a Rc<Guard>,
        arrival: &'a Arrival,
        arrived: Timestamp,
        holder: Rc<Holder>,
    ) -> Self {
        let (raw_path, query) = split_target(&arrival.head.target);
        let host = Host::parse(&arrival.head.authority).map_err(TargetError::Host);
        let path = NormalPath::parse(raw_path).map_err(TargetError::Path);
        let target = path.and_then(|path| Ok(Target { host: host?, path }));
        Self { guard, arrival, raw_path, query, target, arrived, holder }
    }

    pub(super) fn head(&self) -> &'a RequestHead {
        &self.arrival.head
    }

    /// The first policy for this host and path. Plain requests are not let in by
    /// it: they also match by what the path is without `;…`.
    pub(super) fn policy(&self, upgrade: Upgrade, target: &Target) -> Option<(usize, &'a Policy)> {
        let path = target.path.as_str();
        self.first(target, |policy| match upgrade {
            Upgrade::None => {
                policy.paths.iter().any(|pattern| pattern.matches_without_parameters(path))
            }
            Upgrade::WebSocket | Upgrade::Other => matches_path(policy, path),
        })
    }

    /// The first policy for this host and the lenient reading of this path, where
    /// that is another one than `found`, the first for the path as normalized.
    /// `None` where it is the same, where `found` names this very path, and past
    /// policies whose application reads paths `exact`ly: an application that is
    /// less strict than we are must not be reached under another policy.
    pub(super) fn other_reading(
        &self,
        target: &Target,
        found: Option<(usize, &Policy)>,
    ) -> Option<&'a Policy> {
        let path = target.path.as_str();
        if found.is_some_and(|(_, policy)| policy.paths.iter().any(|p| p.names(path))) {
            return None;
        }
        let lenient = LenientPath::read(path.as_bytes())?;
        let matches_leniently =
            |policy: &Policy| policy.paths.iter().any(|p| p.matches_leniently(&lenient));
        let second = self.first(target, |policy| {
            if policy.exact { matches_path(policy, path) } else { matches_leniently(policy) }
        });
        match (found, second) {
            (Some((one, _)), Some((other, _))) if one == other => None,
            (_, Some((_, policy))) => Some(policy),
            (Some((index, _)), None) => self.guard.policy(index),
            (None, None) => None,
        }
    }

    fn first(
        &self,
        target: &Target,
        matches: impl Fn(&Policy) -> bool,
    ) -> Option<(usize, &'a Policy)> {
        let mut policies = self.guard.config().policies.iter().enumerate();
        policies.find(|(_, policy)| {
            matches_host(policy, &target.host) && (policy.paths.is_empty() || matches(policy))
        })
    }

    pub(super) fn about(&self, identity: Option<&Identity>) -> About {
        let head = self.head();
        let value =
            |name| head.headers.all(name).next().map(|value| bounded(value, EVENT_VALUE_BYTES));
        let path = self.target.as_ref().ok().map(|target| target.path.as_str().as_bytes());
        let mut about = About {
            ip: head.source,
            path: bounded(path.unwrap_or(self.raw_path), EVENT_PATH_BYTES),
            origin: value("origin"),
            user_agent: value("user-agent"),
            connection: self.arrival.connection,
            request_id: self.arrival.request_id.as_ref().map(|id| bounded(id, EVENT_VALUE_BYTES)),
            user: None,
            credential: None,
        };
        if let Some(identity) = identity {
            name(&mut about, identity);
        }
        about
    }
}

/// Says in events who it is.
pub(in crate::session) fn name(about: &mut About, identity: &Identity) {
    let user = identity.user.as_ref();
    about.user = user.map(|user| bounded(user.as_bytes(), EVENT_VALUE_BYTES));
    about.credential = Some(identity.kind.name());
}

/// Whether a policy is for this host, whatever the path.
pub(super) fn matches_host(policy: &Policy, host: &Host) -> bool {
    policy.hosts.is_empty() || policy.hosts.iter().any(|pattern| pattern.matches(host))
}

/// Returns true if a path pattern of the policy matches the normalized path.
fn matches_path(policy: &Policy, path: &str) -> bool {
    policy.paths.is_empty() || policy.paths.iter().any(|pattern| pattern.matches(path))
}

/// Returns true if a path pattern of the policy matches the lenient reading of a path
/// that has no normal form.
pub(super) fn may_match_path(policy: &Policy, path: &LenientPath) -> bool {
    policy.paths.is_empty() || policy.paths.iter().any(|pattern| pattern.matches_leniently(path))
}
