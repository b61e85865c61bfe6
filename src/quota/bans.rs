//! Bans: whoever strikes too often within a window is refused for a while.
//!
//! A strike is a refusal with a weight. An address or a user whose strikes of a
//! window reach the threshold is banned for the duration; then its strikes are
//! forgotten. What is refused because of a ban is no strike, so a ban ends,
//! whatever the client does meanwhile.
//!
//! # What bans span
//!
//! Each policy says what is a strike in it, how many are too many, and for how
//! long. The strikes of all policies with a window of the same length are added
//! up, and whoever is banned by one policy is refused by all policies of every
//! document that has bans, on all workers and listeners. A policy in mode report
//! has strikes and bans of its own, which refuse nobody: policies in mode report
//! heed both kinds, ones that enforce only those of their own.
//!
//! # Where they stand
//!
//! Strikes are windows of the rate table ([`super::rate`]), without a floor:
//! where there is no room, those who are the farthest from the threshold are
//! forgotten, and nobody gets strikes that others made. Bans have a table of
//! their own, 256 shards of at most 16 KiB, each one key, made when the first
//! document is loaded: room for 40,000 addresses at least. In a shard that is
//! full, first those go that have ended, then the one that ends first, which
//! `unbanned` tells. So to free one address, an attacker must get as many others
//! banned as there is room for, each by a threshold of strikes, within the
//! duration.
//!
//! The time is that of the steady clock, so no jump of the wall clock bans or
//! frees anybody. Nobody owns a ban: a VM that traps has banned or has not, and
//! the strikes that led to a ban are forgotten only when it stands.

use super::Quotas;
use super::rate::{Rate, RuleId, SubjectId};
use super::subject::{Network, Scope};
use crate::reason::Reason;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

mod shard;
mod table;

pub use shard::fuzz_ban_shard;
pub(super) use table::BanTable;

/// `bans` of a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BanRules {
    /// This much weight within `window` bans.
    pub threshold: u64,
    /// How long a strike counts.
    pub window: Duration,
    /// How long a ban lasts.
    pub duration: Duration,
    /// Addresses are struck and banned.
    pub by_ip: bool,
    /// Users are.
    pub by_user: bool,
    /// Whether connections that are open end, too.
    pub open: bool,
    /// Weights that are written, over those of [`default_weight`].
    pub weights: Vec<(Reason, u64)>,
}

impl BanRules {
    /// How much a refusal for this reason counts; 0: nothing.
    #[must_use]
    pub fn weight(&self, reason: Reason) -> u64 {
        let written = self.weights.iter().find(|(written, _)| *written == reason);
        written.map_or_else(|| default_weight(reason), |(_, weight)| *weight)
    }
}

/// What counts where nothing is written: what no page can make its visitors'
/// browsers do to an application that checks origins.
#[must_use]
pub const fn default_weight(reason: Reason) -> u64 {
    match reason {
        Reason::CredentialsInvalid
        | Reason::UserAgentDenied
        | Reason::HandshakeRate
        | Reason::MessageRate
        | Reason::ByteRate
        | Reason::ProtocolError
        | Reason::MessageTooComplex
        | Reason::RuleMatched => 1,
        _ => 0,
    }
}

/// Whether a refusal for this reason can be a client's strike at all: not what
/// upstream or this side did or does by the clock, and not a ban itself.
#[must_use]
pub const fn can_strike(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::AuthUnavailable
            | Reason::Banned
            | Reason::ConnectionsTotal
            | Reason::CredentialsRevoked
            | Reason::HeartbeatMissed
            | Reason::IdleTimeout
            | Reason::LifetimeExceeded
            | Reason::NoPolicy
            | Reason::Overloaded
            | Reason::UpstreamHandshake
    )
}

/// Who is banned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Who {
    /// Clients of this address, or of its IPv6 network; `None`: Envoy told none.
    Address(Option<IpAddr>),
    /// This user; cut to what an event repeats.
    User(String),
}

/// A ban.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    pub(super) subject: u64,
    /// When it ends, in microseconds of the steady clock.
    pub(super) until_us: u64,
    /// The policy that banned.
    pub policy: String,
    /// Whom.
    pub who: Who,
    /// Of a policy in mode report: it refuses nobody.
    pub report: bool,
}

/// A ban that is there no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub ban: Ban,
    /// It had to make room for others before its time.
    pub forgotten: bool,
}

/// Somebody is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Banned {
    /// For how long from now on.
    pub remaining: Duration,
    /// The user, not the address.
    pub user: bool,
}

impl fmt::Display for Banned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = if self.user { "user" } else { "address" };
        let wait = super::rate::whole_seconds(self.remaining);
        write!(f, "this {who} is banned for what it did before; try again in {wait} s")
    }
}

/// One whom strikes and bans are about.
#[derive(Clone, Copy, Debug)]
pub enum Suspect<'a> {
    /// An address, and the leading bits of an IPv6 one that make one client.
    Address(Option<IpAddr>, u8),
    /// A user.
    User(&'a str),
}

impl Suspect<'_> {
    const fn is_user(self) -> bool {
        matches!(self, Self::User(_))
    }

    fn who(self) -> Who {
        match self {
            Self::Address(address, _) => Who::Address(address),
            Self::User(user) => Who::User(crate::event::bounded(user.as_bytes(), 256)),
        }
    }

    fn subject(self, quotas: &Quotas, report: bool) -> SubjectId {
        let salt = quotas.salt();
        let subject = match self {
            Self::Address(address, prefix) => {
                SubjectId::address(salt, Network::of(address, prefix))
            }
            Self::User(user) => SubjectId::user(salt, user),
        };
        if report { subject.apart() } else { subject }
    }
}

/// A strike.
#[derive(Clone, Copy, Debug)]
pub struct Strike<'a> {
    /// Name of the policy that refused.
    pub policy: &'a str,
    /// Its rules.
    pub rules: &'a BanRules,
    /// It is in mode report.
    pub report: bool,
    /// Why.
    pub reason: Reason,
}

impl Quotas {
    /// Counts a strike; whether that bans the suspect, from now on. When it
    /// can't be counted, because a hundred tries lost against other workers, it
    /// counts for nothing.
    #[must_use]
    pub fn strike(&self, strike: Strike<'_>, suspect: Suspect<'_>) -> bool {
        let Strike { policy, rules, report, reason } = strike;
        let wanted = if suspect.is_user() { rules.by_user } else { rules.by_ip };
        let weight = rules.weight(reason);
        let Some(rate) = Rate::new(rules.threshold, rules.window) else { return false };
        if weight == 0 || !wanted || !can_strike(reason) {
            return false;
        }
        let subject = suspect.subject(self, report);
        if self.bans.remaining(subject).is_some() {
            return false;
        }
        let rule = RuleId::of(self.salt(), Scope::Document, "strikes", &rate, false);
        if !self.rates.reach(subject, (rule, rate), weight).unwrap_or(false) {
            return false;
        }
        let banned =
            self.bans.ban(subject, rules.duration, (policy.to_owned(), suspect.who(), report));
        if banned {
            self.rates.forget(subject, (rule, rate));
        }
        banned
    }

    /// Whether a suspect is banned now, by all that any worker has done so far;
    /// `report`: bans of policies in mode report count, too.
    #[must_use]
    pub fn banned(&self, suspect: Suspect<'_>, report: bool) -> Option<Banned> {
        let remaining = self.bans.remaining(suspect.subject(self, false));
        let reported = || self.bans.remaining(suspect.subject(self, true)).filter(|_| report);
        let remaining = remaining.or_else(reported)?;
        Some(Banned { remaining, user: suspect.is_user() })
    }

    /// The same by what was known in the last round (500 ms), without asking
    /// shared data: for connections that are open.
    #[must_use]
    pub fn banned_lately(&self, suspect: Suspect<'_>, report: bool) -> bool {
        let known = |report| self.bans.is_known(suspect.subject(self, report));
        !self.bans.nobody_is_known() && (known(false) || report && known(true))
    }

    /// How many bans there are; as of the last round.
    #[must_use]
    pub fn bans_active(&self) -> u64 {
        self.bans.active()
    }

    /// Takes the bans that this VM has found ended, or has put an end to.
    #[must_use]
    pub fn take_ended_bans(&self) -> Vec<Ended> {
        self.bans.take_ended()
    }
}

#[cfg(test)]
mod tests;
