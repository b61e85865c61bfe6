//! A request as admission sees it: what is read from it once.

use super::Arrival;
use crate::auth::Identity;
use crate::config::Policy;
use crate::event::{About, bounded};
use crate::guard::Guard;
use crate::handshake::RequestHead;
use crate::handshake::host::{Host, HostError};
use crate::handshake::path::{NormalPath, PathError, split_target};
use crate::host::Timestamp;
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
}

impl<'a> Request<'a> {
    pub(super) fn read(guard: &'a Rc<Guard>, arrival: &'a Arrival, arrived: Timestamp) -> Self {
        let (raw_path, query) = split_target(&arrival.head.target);
        let host = Host::parse(&arrival.head.authority).map_err(TargetError::Host);
        let path = NormalPath::parse(raw_path).map_err(TargetError::Path);
        let target = path.and_then(|path| Ok(Target { host: host?, path }));
        Self { guard, arrival, raw_path, query, target, arrived }
    }

    pub(super) fn head(&self) -> &'a RequestHead {
        &self.arrival.head
    }

    /// The first policy for this host and path.
    pub(super) fn policy(&self, target: &Target) -> Option<(usize, &'a Policy)> {
        let mut policies = self.guard.config().policies.iter().enumerate();
        policies.find(|(_, policy)| {
            matches_host(policy, &target.host) && matches_path(policy, target.path.as_str())
        })
    }

    pub(super) fn about(&self, identity: Option<&Identity>) -> About {
        let head = self.head();
        let value =
            |name| head.headers.all(name).next().map(|value| bounded(value, EVENT_VALUE_BYTES));
        let path = self.target.as_ref().ok().map(|target| target.path.as_str().as_bytes());
        About {
            ip: head.source,
            path: bounded(path.unwrap_or(self.raw_path), EVENT_PATH_BYTES),
            origin: value("origin"),
            user_agent: value("user-agent"),
            connection: self.arrival.connection,
            request_id: self.arrival.request_id.as_ref().map(|id| bounded(id, EVENT_VALUE_BYTES)),
            user: identity
                .and_then(|identity| identity.user.as_ref())
                .map(|user| bounded(user.as_bytes(), EVENT_VALUE_BYTES)),
            credential: identity.map(|identity| identity.kind.name()),
        }
    }
}

/// Whether a policy is for this host, whatever the path.
pub(super) fn matches_host(policy: &Policy, host: &Host) -> bool {
    policy.hosts.is_empty() || policy.hosts.iter().any(|pattern| pattern.matches(host))
}

/// Whether a policy is for this path, whatever the host.
pub(super) fn matches_path(policy: &Policy, path: &str) -> bool {
    policy.paths.is_empty() || policy.paths.iter().any(|pattern| pattern.matches(path))
}
