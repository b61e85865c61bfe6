//! The rate table in shared data.

use super::lease::{Account, Accounts};
use super::shard::{MAX_SHARD_BYTES, RateShard, Record, Tag};
use super::window::RateWindow;
use super::{Exceeded, Load, Measure, Per, Rate, micros};
use crate::host::{Cas, Common};
use crate::quota::{Network, Salt, Scope, Unavailable};
use sha2::{Digest, Sha256};
use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;

/// Shards of the table, each one key.
const SHARDS: u16 = 1024;

/// Each try that fails is another VM's success.
const TRIES: u32 = 100;

/// Least time between two rounds of a VM, whose listeners bring a tick each.
const ROUND: Duration = Duration::from_millis(450);

/// Ticks of a worker come every 50 ms for each of its configurations; one that
/// comes sooner than this after another is not a new one.
const TICK: Duration = Duration::from_millis(40);

/// Shards that are gone through in a round: all of them in forty.
const SWEPT: u16 = SHARDS.div_ceil(40);

/// One rate of one policy and direction, hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::quota) struct RuleId(u64);

impl RuleId {
    /// The rate `name` of a policy or the document. Another limit is the same
    /// rate; another period is another one, since slots are the period's. With
    /// `floor` nobody is ever counted below what it has; without, whoever is
    /// forgotten is.
    pub(in crate::quota) fn of(
        salt: Salt,
        scope: Scope<'_>,
        name: &str,
        rate: &Rate,
        floor: bool,
    ) -> Self {
        let slot_us = rate.slot_us().to_be_bytes();
        let hash = match scope {
            Scope::Document => hashed(salt, &[b"rate", name.as_bytes(), &slot_us]),
            Scope::Policy(policy) => {
                hashed(salt, &[b"rate", name.as_bytes(), &slot_us, policy.as_bytes()])
            }
        };
        Self(hash & !1 | u64::from(floor))
    }

    pub(super) const fn number(self) -> u64 {
        self.0
    }
}

/// Whom a rate is about, hashed; never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::quota) struct SubjectId(u64);

impl SubjectId {
    pub(in crate::quota) fn address(salt: Salt, network: Network) -> Self {
        Self(hashed(salt, &[b"address", &network.bytes()]).max(1))
    }

    pub(in crate::quota) fn user(salt: Salt, user: &str) -> Self {
        Self(hashed(salt, &[b"user", user.as_bytes()]).max(1))
    }

    /// The event lines of a policy.
    pub(in crate::quota) fn lines(salt: Salt, policy: &str) -> Self {
        Self(hashed(salt, &[b"lines", policy.as_bytes()]).max(1))
    }

    pub(in crate::quota) const fn number(self) -> u64 {
        self.0
    }

    /// Another one that nobody else has.
    pub(in crate::quota) fn apart(self) -> Self {
        Self((self.0 ^ 0x5555_5555_5555_5555).max(1))
    }

    /// The shard in which all its windows stand.
    fn shard(self) -> u16 {
        // Below `SHARDS`, which is below 2^16.
        u16::try_from(self.0 % u64::from(SHARDS)).unwrap_or(0)
    }
}

/// What is to be taken of one rate.
#[derive(Clone, Copy, Debug)]
pub(in crate::quota) struct Asked {
    pub(in crate::quota) rule: RuleId,
    pub(in crate::quota) rate: Rate,
    pub(in crate::quota) measure: Measure,
    pub(in crate::quota) per: Per,
}

impl Asked {
    /// Returns the part of `load` that this rate counts.
    pub(super) const fn amount(&self, load: Load) -> u64 {
        load.of(self.measure)
    }

    pub(super) fn reached(&self, exceeded: Exceeded) -> super::RateExceeded {
        super::RateExceeded::Reached {
            measure: self.measure,
            per: self.per,
            rate: self.rate,
            retry_after: exceeded.retry_after,
        }
    }
}

/// One VM's part in the table: what it has taken ahead, and how far it has swept.
pub(in crate::quota) struct RateTable {
    host: Rc<dyn Common>,
    accounts: Accounts,
    last_round: Cell<Option<Duration>>,
    last_tick: Cell<Option<Duration>>,
    sweep_at: Cell<u16>,
    /// Bytes of the fullest shard: in this sweep so far, and in the last one.
    fullest_so_far: Cell<usize>,
    fullest: Cell<usize>,
}

impl RateTable {
    /// Makes the keys that are not there yet.
    pub(in crate::quota) fn open(host: Rc<dyn Common>) -> Self {
        for key in (0..SHARDS).map(shard_key) {
            if host.load(&key).is_none() {
                let _ = host.store(&key, RateShard::empty().bytes(), None);
            }
        }
        Self {
            host,
            accounts: Accounts::default(),
            last_round: Cell::default(),
            last_tick: Cell::default(),
            sweep_at: Cell::default(),
            fullest_so_far: Cell::default(),
            fullest: Cell::default(),
        }
    }

    /// The time by which rates are held.
    pub(in crate::quota) fn now(&self) -> Duration {
        self.host.monotonic()
    }

    /// Takes one, or so many bytes, of each of these rates of a subject, or of
    /// none of them.
    pub(in crate::quota) fn take(
        &self,
        subject: SubjectId,
        asked: &[Asked],
        bytes: u64,
    ) -> Result<(), super::RateExceeded> {
        self.change(subject, |shard, now| {
            let now_us = micros(now);
            for one in asked {
                let tag = Tag { rule: one.rule.0, subject: subject.0 };
                let mut window = shard.window(tag);
                window
                    .take(now, one.amount(Load::message(bytes)), &one.rate)
                    .map_err(|e| one.reached(e))?;
                put(shard, (tag, one.rate, window), now_us)?;
            }
            Ok(())
        })
    }

    /// The account of a subject on this worker, for these rates: of messages, of
    /// bytes, or both.
    pub(super) fn account(&self, subject: SubjectId, asked: &[Asked]) -> Rc<Account> {
        self.accounts.open(subject, asked)
    }

    /// Takes what `load` needs of each rate of an account,
    /// and some more (see [`super::lease`]), or nothing: when that was.
    pub(super) fn refill(
        &self,
        account: &Rc<Account>,
        load: Load,
    ) -> Result<Duration, super::RateExceeded> {
        let (now, leases) = self
            .change(account.subject(), |shard, now| Ok((now, account.refill(shard, now, load)?)))?;
        account.hold(leases);
        self.accounts.watch(account);
        Ok(now)
    }

    /// Gives back what is held, but for what outlasts the last tick if that is
    /// kept. Should that fail, it is tried again on the next tick.
    pub(super) fn give_back(&self, account: &Account, keeps: bool) {
        let given =
            self.change(account.subject(), |shard, now| account.give_back(shard, (now, keeps)));
        if let Ok(leases) = given {
            account.hold(leases);
        }
    }

    /// Counts `amount`, whatever the rate allows; whether the limit is reached.
    pub(in crate::quota) fn reach(
        &self,
        subject: SubjectId,
        (rule, rate): (RuleId, Rate),
        amount: u64,
    ) -> Result<bool, Unavailable> {
        let counted = self.change(subject, |shard, now| {
            let tag = Tag { rule: rule.0, subject: subject.0 };
            let mut window = shard.window(tag);
            window.advance(now, &rate);
            window.add(amount);
            put(shard, (tag, rate, window), micros(now))?;
            Ok(window.used() >= rate.limit())
        });
        counted.map_err(|_| Unavailable::Contended)
    }

    /// Forgets what was counted of a subject.
    pub(in crate::quota) fn forget(&self, subject: SubjectId, (rule, rate): (RuleId, Rate)) {
        let tag = Tag { rule: rule.0, subject: subject.0 };
        let _ = self.change(subject, |shard, now| {
            put(shard, (tag, rate, RateWindow::default()), micros(now))
        });
    }

    /// Changes the shard of a subject, beginning again when somebody was faster.
    fn change<T>(
        &self,
        subject: SubjectId,
        change: impl Fn(&mut RateShard, Duration) -> Result<T, super::RateExceeded>,
    ) -> Result<T, super::RateExceeded> {
        let key = shard_key(subject.shard());
        for _ in 0..TRIES {
            let (mut shard, cas) = self.read(&key);
            // After the shard: whatever stands in it is not of the future.
            let done = change(&mut shard, self.host.monotonic())?;
            if self.host.store(&key, shard.bytes(), cas).is_ok() {
                return Ok(done);
            }
        }
        Err(super::RateExceeded::Unavailable(Unavailable::Contended))
    }

    /// Bytes that nobody of us wrote are an empty shard: there is no truth
    /// elsewhere that would mend them.
    fn read(&self, key: &str) -> (RateShard, Option<Cas>) {
        let (bytes, cas) = self.host.load(key).unzip();
        let shard = bytes.and_then(|bytes| RateShard::of(bytes).ok());
        (shard.unwrap_or_else(RateShard::empty), cas)
    }

    /// How full the fullest shard was in the last sweep, in percent, rounded up.
    pub(in crate::quota) fn fill_percent(&self) -> u64 {
        let percent = self.fullest.get().saturating_mul(100).div_ceil(MAX_SHARD_BYTES);
        u64::try_from(percent).unwrap_or(u64::MAX)
    }

    /// To be called on every tick: gives back what was taken ahead and not used,
    /// and leaves out what has run out, in some shards.
    pub(in crate::quota) fn on_tick(&self) {
        let now = self.host.monotonic();
        if self.last_tick.get().is_some_and(|last| now.saturating_sub(last) < TICK) {
            return;
        }
        self.last_tick.set(Some(now));
        self.accounts.on_tick(micros(now), |account| self.give_back(account, true));
        if self.last_round.get().is_some_and(|last| now.saturating_sub(last) < ROUND) {
            return;
        }
        self.last_round.set(Some(now));
        for _ in 0..SWEPT {
            let index = self.sweep_at.get();
            self.sweep(index, micros(now));
            let next = (index + 1) % SHARDS;
            self.sweep_at.set(next);
            if next == 0 {
                self.fullest.set(self.fullest_so_far.take());
            }
        }
    }

    fn sweep(&self, index: u16, now_us: u64) {
        let key = shard_key(index);
        let (mut shard, cas) = self.read(&key);
        if shard.is_empty() {
            return;
        }
        if shard.sweep(now_us) {
            // Whoever was faster has left it out too, or the next sweep does.
            let _ = self.host.store(&key, shard.bytes(), cas);
        }
        if !shard.is_empty() {
            self.fullest_so_far.set(self.fullest_so_far.get().max(shard.bytes().len()));
        }
    }
}

pub(super) fn put(
    shard: &mut RateShard,
    (tag, rate, window): (Tag, Rate, RateWindow),
    now_us: u64,
) -> Result<(), super::RateExceeded> {
    let share = u128::from(window.used()) * 255 / u128::from(rate.limit());
    let share = u8::try_from(share).unwrap_or(u8::MAX);
    let record = Record { tag, slot_us: rate.slot_us(), share, window };
    let full = super::RateExceeded::Unavailable(Unavailable::Full);
    shard.put(&record, now_us).map_err(|_| full)
}

/// The first 64 bits of a hash with the secret of the process, each part with its
/// length before it.
fn hashed(salt: Salt, parts: &[&[u8]]) -> u64 {
    let mut hash = Sha256::new();
    hash.update(salt.0);
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    let digest: [u8; 32] = hash.finalize().into();
    digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn shard_key(index: u16) -> String {
    format!("wsguard/rate/1/{index:04}")
}

#[cfg(test)]
mod tests;
