//! `quotas.connections`: how many connections may be open at once.

use super::rate::Rate;
use super::{Dimension, Network, Permit, Quotas, Refused, Scope, Subject, Unavailable};
use crate::reason::Reason;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

/// IPv6 clients are counted by this prefix where none is written: the least
/// that networks give to one site.
pub const IPV6_PREFIX_DEFAULT: u8 = 64;

/// `quotas`, of a policy or of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaRules {
    /// Most connections of one address.
    pub per_ip: Option<u64>,
    /// Most connections of one user.
    pub per_user: Option<u64>,
    /// Most connections of all clients together.
    pub total: Option<u64>,
    /// How many handshakes one address may open; a policy's only.
    pub handshakes_per_ip: Option<Rate>,
    /// Leading bits of an IPv6 address that make one client, for all that is
    /// counted by address.
    pub ipv6_prefix: u8,
}

impl Default for QuotaRules {
    fn default() -> Self {
        Self {
            per_ip: None,
            per_user: None,
            total: None,
            handshakes_per_ip: None,
            ipv6_prefix: IPV6_PREFIX_DEFAULT,
        }
    }
}

impl QuotaRules {
    /// How many limits of connections there are.
    #[must_use]
    pub fn limits(&self) -> usize {
        [self.per_ip, self.per_user, self.total].iter().flatten().count()
    }
}

/// Which limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// `per_ip`
    PerIp,
    /// `per_user`
    PerUser,
    /// `total`
    Total,
}

/// A connection that is one too many, or can't be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QuotaExceeded {
    /// The limit is reached.
    Reached {
        /// Which.
        limit: Limit,
        /// How many it allows.
        most: u64,
        /// It is the document's, over all policies.
        document: bool,
    },
    /// It can't be counted.
    Unavailable(Unavailable),
}

impl QuotaExceeded {
    /// Its reason.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Reached { limit: Limit::PerIp, .. } => Reason::ConnectionsPerIp,
            Self::Reached { limit: Limit::PerUser, .. } => Reason::ConnectionsPerUser,
            Self::Reached { limit: Limit::Total, .. } => Reason::ConnectionsTotal,
            Self::Unavailable(_) => Reason::Overloaded,
        }
    }
}

impl fmt::Display for QuotaExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (limit, most, document) = match self {
            Self::Reached { limit, most, document } => (limit, most, document),
            Self::Unavailable(cause) => return write!(f, "{cause}; try again later"),
        };
        let place = if *document { "over all policies" } else { "here" };
        match limit {
            Limit::PerIp => {
                write!(f, "this address has the {most} connections open that it may have {place}")?;
            }
            Limit::PerUser => {
                write!(f, "this user has the {most} connections open that one may have {place}")?;
            }
            Limit::Total => {
                return write!(f, "all {most} connections {place} are taken; try again later");
            }
        }
        f.write_str("; close one of them first")
    }
}

/// Who asks for a connection.
#[derive(Clone, Copy, Debug)]
pub struct Client<'a> {
    /// Its address; all clients without one count as one.
    pub address: Option<IpAddr>,
    /// Whom its credential names. Without one `per_user` does not apply.
    pub user: Option<&'a str>,
}

/// Takes what a connection in the policy of this name needs: the policy's
/// limits, then the document's.
///
/// # Errors
/// The first limit that is reached; then it holds nothing.
pub fn take(
    quotas: &Rc<Quotas>,
    policy: (&str, &QuotaRules),
    document: &QuotaRules,
    client: Client<'_>,
) -> Result<Permit, QuotaExceeded> {
    let (name, rules) = policy;
    let mut limits = limits_of(quotas, Scope::Policy(name), rules, client);
    limits.extend(limits_of(quotas, Scope::Document, document, client));
    let asked: Vec<(Subject, u64)> =
        limits.iter().map(|limit| (limit.subject, limit.most)).collect();
    let mut permit = Permit::empty(Rc::clone(quotas));
    match permit.take(&asked) {
        Ok(()) => Ok(permit),
        Err(Refused::Unavailable(cause)) => Err(QuotaExceeded::Unavailable(cause)),
        Err(Refused::Limit(place)) => Err(match limits.get(place) {
            Some(Asked { limit, most, document, .. }) => {
                QuotaExceeded::Reached { limit: *limit, most: *most, document: *document }
            }
            // Places are those of what was asked.
            None => QuotaExceeded::Unavailable(Unavailable::Damaged),
        }),
    }
}

/// The subject of `wsguard_connections` of a policy.
#[must_use]
pub fn open_in(quotas: &Quotas, policy: &str) -> Subject {
    quotas.subject(Scope::Policy(policy), Dimension::Open)
}

struct Asked {
    subject: Subject,
    limit: Limit,
    most: u64,
    document: bool,
}

fn limits_of(
    quotas: &Quotas,
    scope: Scope<'_>,
    rules: &QuotaRules,
    client: Client<'_>,
) -> Vec<Asked> {
    let network = Network::of(client.address, rules.ipv6_prefix);
    let limits = [
        (Limit::PerIp, rules.per_ip, Some(Dimension::Address(network))),
        (Limit::PerUser, rules.per_user, client.user.map(Dimension::User)),
        (Limit::Total, rules.total, Some(Dimension::Total)),
    ];
    // A subject is a hash: none is made of what has no limit.
    let asked = limits.into_iter().filter_map(|(limit, most, dimension)| {
        let (most, dimension) = most.zip(dimension)?;
        let subject = quotas.subject(scope, dimension);
        Some(Asked { subject, limit, most, document: scope == Scope::Document })
    });
    asked.collect()
}
