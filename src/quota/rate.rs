//! Rates: at most so many in any period, however the period is laid.
//!
//! # The arithmetic
//!
//! A period is cut into sixteen slots. What was taken is counted by the slot in
//! which it came, and seventeen slots are looked at: the one that has begun and
//! the sixteen before it. Any period that ends now lies within those, so their
//! sum is never below what it holds, and `limit` is never passed, wherever a
//! period is laid. Nothing has to be saved up: all of `limit` may come at once.
//! The price is that something counts for up to a sixteenth longer than the
//! period. (A bucket that fills evenly would let almost twice as many through:
//! a full one, and what flows in while that is emptied.)
//!
//! What is refused is not counted.
//!
//! Time is the steady clock of the process, which all workers share and no jump
//! of the wall clock moves.
//!
//! # Where it is counted
//!
//! `per_connection` in a [`RateWindow`] of the connection, in wasm memory.
//! `per_ip` and `per_user` in the rate table in Envoy's shared data, which all
//! workers see: 1,024 shards of at most 16 KiB, each a key of its own that is
//! made when the first document is loaded. A subject's windows, in whatever
//! policy, stand in one shard, chosen by a hash with a secret of the process. To
//! take is to read that shard, judge, and set it by compare-and-set, beginning
//! again if another worker was faster; so what two take at once is judged one
//! after the other, and nobody owns anything: a VM that traps has taken all of
//! what it took, or nothing.
//!
//! A message takes no part in that where its worker holds a *lease* of the rate:
//! see `rate/lease.rs`, also for who may be refused because of others' leases.
//!
//! A window that has run out is worth nothing, is left out as soon as its room
//! is needed, and at the latest by the sweeps that each worker makes through the
//! table every twenty seconds.
//!
//! # When a shard is full
//!
//! A shard holds some 580 addresses that came once in a period, the table almost
//! 600,000. When more come, those windows are forgotten, a thirty-second of the
//! shard, that are the farthest below their limit. It is not forgotten that something was: the shard keeps, for each rate,
//! the most that any window forgotten had in each slot, the *floor*, and whoever
//! is not in the shard begins with that. So a limit is never passed, and nobody
//! is freed by whoever comes with many addresses; while such a flood lasts,
//! newcomers may have less than their limit, by about as many as have come
//! beyond the table's room, divided by that room.

use super::Unavailable;
use crate::reason::Reason;
use std::fmt;
use std::time::Duration;

mod connection;
mod lease;
mod shard;
mod table;
mod window;

pub use connection::{ConnectionRates, MessageRates, Moment, RateClient};
pub use shard::fuzz_rate_shard;
pub(super) use table::{Asked, RateTable, RuleId, SubjectId};
pub use window::RateWindow;

/// Slots of a period.
pub(super) const SLOTS: u64 = 16;

/// `100/1m`: at most `limit` in any `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    limit: u64,
    period: Duration,
}

impl Rate {
    /// At most `limit` in any `period`; `None` where one of them is nothing.
    /// A period is counted in microseconds, and rounded up to sixteen of them.
    #[must_use]
    pub fn new(limit: u64, period: Duration) -> Option<Self> {
        (limit > 0 && !period.is_zero()).then_some(Self { limit, period })
    }

    /// How many, or how many bytes.
    #[must_use]
    pub const fn limit(&self) -> u64 {
        self.limit
    }

    /// In how long a time.
    #[must_use]
    pub const fn period(&self) -> Duration {
        self.period
    }

    /// A sixteenth of the period, in microseconds, rounded up; never 0.
    pub(super) fn slot_us(&self) -> u64 {
        micros(self.period).div_ceil(SLOTS).max(1)
    }
}

/// `client.rate` and the like: a rate for each of those that may have one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Of one connection.
    pub per_connection: Option<Rate>,
    /// Of all connections of one address, over all workers.
    pub per_ip: Option<Rate>,
    /// Of all connections of one user, over all workers.
    pub per_user: Option<Rate>,
}

impl Rates {
    /// Whether there is one.
    #[must_use]
    pub const fn is_set(&self) -> bool {
        self.per_connection.is_some() || self.per_ip.is_some() || self.per_user.is_some()
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        [self.per_connection, self.per_ip, self.per_user].iter().flatten().count()
    }
}

/// What a rate counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Opening handshakes.
    Handshakes,
    /// Messages, pings and pongs.
    Messages,
    /// Bytes of their payload.
    Bytes,
}

/// An amount that is taken from rates at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Messages, pings and pongs.
    pub messages: u64,
    /// Bytes of their payload.
    pub bytes: u64,
}

impl Load {
    /// One whole message of so many bytes of payload.
    #[must_use]
    pub const fn message(bytes: u64) -> Self {
        Self { messages: 1, bytes }
    }

    /// Returns true if nothing is taken.
    #[must_use]
    pub const fn is_nothing(self) -> bool {
        self.messages == 0 && self.bytes == 0
    }

    /// Returns the part that a rate of this kind counts.
    const fn of(self, measure: Measure) -> u64 {
        match measure {
            Measure::Bytes => self.bytes,
            Measure::Messages => self.messages,
            Measure::Handshakes => 1,
        }
    }
}

/// Whose rate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Per {
    /// `per_connection`
    Connection,
    /// `per_ip`
    Ip,
    /// `per_user`
    User,
}

/// One more than a rate allows, or one that can't be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RateExceeded {
    /// The rate is used up.
    Reached {
        /// What is counted.
        measure: Measure,
        /// Whose rate it is.
        per: Per,
        /// The rate.
        rate: Rate,
        /// When as much as this will be allowed, if nothing comes before it;
        /// `None`: never, since it is more than a whole period's.
        retry_after: Option<Duration>,
    },
    /// It can't be counted.
    Unavailable(Unavailable),
}

impl RateExceeded {
    /// Its reason.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Reached { measure: Measure::Handshakes, .. } => Reason::HandshakeRate,
            Self::Reached { measure: Measure::Messages, .. } => Reason::MessageRate,
            Self::Reached { measure: Measure::Bytes, .. } => Reason::ByteRate,
            Self::Unavailable(_) => Reason::Overloaded,
        }
    }

    /// After how long the same may be allowed; `None`: never.
    #[must_use]
    pub const fn retry_after(self) -> Option<Duration> {
        match self {
            Self::Reached { retry_after, .. } => retry_after,
            Self::Unavailable(_) => Some(RETRY_UNCOUNTED),
        }
    }
}

/// Nobody knows when the table can be had again; others were faster a hundred
/// times, so soon.
const RETRY_UNCOUNTED: Duration = Duration::from_secs(1);

impl fmt::Display for RateExceeded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (measure, per, rate, retry_after) = match self {
            Self::Reached { measure, per, rate, retry_after } => (measure, per, rate, retry_after),
            Self::Unavailable(_) => {
                return f.write_str("too much comes at once to count it; try again later");
            }
        };
        let who = match per {
            Per::Connection => "this connection",
            Per::Ip => "this address",
            Per::User => "this user",
        };
        let what = match measure {
            Measure::Handshakes => "handshakes",
            Measure::Messages => "messages",
            Measure::Bytes => "bytes",
        };
        let period = humantime::format_duration(rate.period());
        write!(f, "{who} has used up the {} {what} that it may send in {period}", rate.limit())?;
        match retry_after {
            Some(wait) => write!(f, "; try again in {} s", whole_seconds(*wait)),
            None => f.write_str("; this is more than all of that"),
        }
    }
}

/// Seconds, rounded up, as `retry-after` has them (RFC 9110 §10.2.3); at least 1.
#[must_use]
pub fn whole_seconds(wait: Duration) -> u64 {
    wait.as_secs().saturating_add(u64::from(wait.subsec_nanos() > 0)).max(1)
}

/// What a window answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exceeded {
    /// As [`RateExceeded::retry_after`].
    pub retry_after: Option<Duration>,
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_nothing_or_in_no_time_is_none() {
        assert_eq!(Rate::new(0, Duration::from_secs(1)), None);
        assert_eq!(Rate::new(1, Duration::ZERO), None);
        let smallest = Rate::new(1, Duration::from_nanos(1)).unwrap();
        assert_eq!(smallest.slot_us(), 1);
        assert_eq!(Rate::new(1, Duration::from_millis(1)).unwrap().slot_us(), 63);
        assert_eq!(Rate::new(1, Duration::from_secs(60)).unwrap().slot_us(), 3_750_000);
    }

    #[test]
    fn what_is_used_up_is_told_with_the_time_to_wait() {
        let rate = Rate::new(100, Duration::from_secs(60)).unwrap();
        let reached = |retry_after| RateExceeded::Reached {
            measure: Measure::Messages,
            per: Per::User,
            rate,
            retry_after,
        };
        let soon = reached(Some(Duration::from_millis(2001)));
        assert_eq!(
            soon.to_string(),
            "this user has used up the 100 messages that it may send in 1m; try again in 3 s"
        );
        assert_eq!(soon.reason().name(), "message_rate");
        assert!(reached(None).to_string().ends_with("; this is more than all of that"));
        let uncounted = RateExceeded::Unavailable(Unavailable::Contended);
        assert_eq!(uncounted.reason().name(), "overloaded");
        assert!(size_of::<RateExceeded>() <= 64);
    }

    #[test]
    fn seconds_to_wait_are_rounded_up_and_never_0() {
        let whole = |millis| whole_seconds(Duration::from_millis(millis));
        assert_eq!([whole(0), whole(1), whole(1000), whole(1001)], [1, 1, 1, 2]);
        assert_eq!(whole_seconds(Duration::MAX), u64::MAX);
    }
}
