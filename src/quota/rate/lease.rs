//! What a worker has taken of a shared rate ahead of use.
//!
//! A window tells only in which slot something was taken, so what is taken at
//! the beginning of a slot and used later in it was counted in time, and right.
//! A worker therefore takes some more of a rate than it needs at once, and hands
//! that out until the slot ends without asking the table: a *lease*. A lease
//! counts as used from the moment on at which it is taken. So more than the limit
//! never passes, whoever holds leases, and those of a VM that traps count until
//! they leave the window.
//!
//! The other way round, a lease that nobody uses keeps others from what is
//! there. So there is none while less than [`SINGLY`] messages like the one in
//! hand would still be let through, then each is taken by itself; above that it
//! is at most a [`PART`]th of what is left, and not more than what was used
//! since the tick before last. What is more than was used within a tick is given
//! back on it, all else on the next, to the slot that it was taken in. So a worker whose clients are the only ones
//! of a subject decides exactly as if there were no leases; and what others
//! hold can refuse somebody early only where almost that many messages of one
//! subject passed within two ticks.

use super::shard::{RateShard, Tag};
use super::table::{Asked, SubjectId, put};
use super::{Exceeded, Load, RateExceeded, micros};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// While fewer messages than this would be let through, each is taken by itself.
/// It is more than a client sends in the time in which a lease is given back,
/// unless it sends as fast as it can.
pub(super) const SINGLY: u64 = 1024;

/// Largest part of what is left that one worker takes ahead.
const PART: u64 = 64;

/// What may be used until a slot ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Lease {
    /// When the slot ends, in microseconds; 0 where there was none yet.
    pub(super) ends_us: u64,
    pub(super) left: u64,
}

impl Lease {
    pub(super) const fn covers(&self, now_us: u64, amount: u64) -> bool {
        now_us < self.ends_us && amount <= self.left
    }
}

/// One rate of a subject, as this worker knows it.
#[derive(Debug)]
pub(super) struct Line {
    asked: Asked,
    lease: Cell<Lease>,
    /// Used since the last tick, and between the two before it.
    used: Cell<u64>,
    used_before: Cell<u64>,
    /// Something was taken since the last tick.
    fresh: Cell<bool>,
    /// How much of the lease outlasts the last tick.
    kept: Cell<u64>,
}

impl Line {
    const fn new(asked: Asked) -> Self {
        Self {
            asked,
            lease: Cell::new(Lease { ends_us: 0, left: 0 }),
            used: Cell::new(0),
            used_before: Cell::new(0),
            fresh: Cell::new(false),
            kept: Cell::new(0),
        }
    }

    /// Takes what is asked for, and some more if there is
    /// enough. What is left of an earlier slot is given back.
    fn refill(
        &self,
        shard: &mut RateShard,
        subject: SubjectId,
        now: Duration,
        load: Load,
    ) -> Result<Lease, RateExceeded> {
        let Asked { rate, .. } = self.asked;
        let amount = self.asked.amount(load);
        if amount > rate.limit() {
            return Err(self.asked.reached(Exceeded { retry_after: None }));
        }
        self.change(shard, subject, now, |window, held| {
            let need = amount.saturating_sub(held);
            window.check(now, need, &rate).map_err(|exceeded| self.asked.reached(exceeded))?;
            window.add(need);
            let rest = rate.limit().saturating_sub(window.used());
            let ahead = if need > 0 { self.ahead(rest, amount) } else { 0 };
            window.add(ahead);
            Ok(held.saturating_add(need).saturating_add(ahead))
        })
    }

    /// Gives back what is held, but for what outlasts the last tick if that is
    /// kept.
    fn give_back(
        &self,
        shard: &mut RateShard,
        subject: SubjectId,
        (now, keeps): (Duration, bool),
    ) -> Result<Lease, RateExceeded> {
        let kept = if keeps { self.kept.get() } else { 0 };
        self.change(shard, subject, now, |window, held| {
            let kept = held.min(kept);
            window.give_back(window.newest(), held - kept);
            Ok(kept)
        })
    }

    /// Changes the window, and what is held of its newest slot, together.
    fn change(
        &self,
        shard: &mut RateShard,
        subject: SubjectId,
        now: Duration,
        change: impl FnOnce(&mut super::RateWindow, u64) -> Result<u64, RateExceeded>,
    ) -> Result<Lease, RateExceeded> {
        let Asked { rule, rate, .. } = self.asked;
        let tag = Tag { rule: rule.number(), subject: subject.number() };
        let mut window = shard.window(tag);
        window.advance(now, &rate);
        let ends_us = window.newest_ends_us(rate.slot_us());
        let lease = self.lease.get();
        let held = if lease.ends_us == ends_us {
            lease.left
        } else {
            let slot = (lease.ends_us / rate.slot_us()).saturating_sub(1);
            window.give_back(slot, lease.left);
            0
        };
        let left = change(&mut window, held)?;
        put(shard, (tag, rate, window), micros(now))?;
        Ok(Lease { ends_us, left })
    }

    /// How much more to take where `rest` is left.
    fn ahead(&self, rest: u64, amount: u64) -> u64 {
        if rest < amount.max(1).saturating_mul(SINGLY) {
            return 0;
        }
        self.used.get().max(self.used_before.get()).min(rest / PART)
    }

    fn covers(&self, now_us: u64, load: Load) -> bool {
        self.lease.get().covers(now_us, self.asked.amount(load))
    }

    fn spend(&self, load: Load) {
        let (amount, lease) = (self.asked.amount(load), self.lease.get());
        self.lease.set(Lease { left: lease.left.saturating_sub(amount), ..lease });
        self.used.set(self.used.get().saturating_add(amount));
    }

    /// The shard has been set.
    fn hold(&self, lease: Lease) {
        let before = self.lease.replace(lease);
        if lease.left > before.left {
            self.fresh.set(true);
        }
    }

    /// A tick has come: what was taken since the last one may be as much as was
    /// used, and what is older is not kept.
    fn turn(&self) {
        self.used_before.set(self.used.take());
        let fresh = self.fresh.take();
        self.kept.set(if fresh { self.used_before.get() } else { 0 });
    }

    /// Whether something was used of late.
    const fn is_busy(&self) -> bool {
        self.used_before.get() > 0
    }

    /// Whether it holds what can be used at `now_us`.
    const fn holds(&self, now_us: u64) -> bool {
        let Lease { ends_us, left } = self.lease.get();
        now_us < ends_us && left > 0
    }

    const fn has_too_much(&self, now_us: u64) -> bool {
        let kept = if self.holds(now_us) { self.kept.get() } else { 0 };
        self.lease.get().left > kept
    }
}

/// A subject's rates of one direction in one policy: one for all connections of
/// this worker, so that what one of them leaves the next can use.
#[derive(Debug)]
pub(in crate::quota) struct Account {
    subject: SubjectId,
    lines: Vec<Line>,
    /// Ticks look at it.
    watched: Cell<bool>,
}

/// Most rates that an account has: messages, bytes.
const LINES: usize = 2;

impl Account {
    /// Returns true if the leases cover `load`.
    pub(super) fn covers(&self, now_us: u64, load: Load) -> bool {
        self.lines.iter().all(|line| line.covers(now_us, load))
    }

    /// Uses what [`Self::covers`] has found, or [`super::RateTable::refill`] got.
    pub(super) fn spend(&self, load: Load) {
        self.lines.iter().for_each(|line| line.spend(load));
    }

    pub(super) const fn subject(&self) -> SubjectId {
        self.subject
    }

    /// What its rates hold after a change of the shard, all of them or none.
    pub(super) fn refill(
        &self,
        shard: &mut RateShard,
        now: Duration,
        load: Load,
    ) -> Result<[Lease; LINES], RateExceeded> {
        self.each(|line| line.refill(shard, self.subject, now, load))
    }

    /// The same, giving back what is held, but for what outlasts the last tick if
    /// that is kept.
    pub(super) fn give_back(
        &self,
        shard: &mut RateShard,
        (now, keeps): (Duration, bool),
    ) -> Result<[Lease; LINES], RateExceeded> {
        self.each(|line| line.give_back(shard, self.subject, (now, keeps)))
    }

    fn each(
        &self,
        mut change: impl FnMut(&Line) -> Result<Lease, RateExceeded>,
    ) -> Result<[Lease; LINES], RateExceeded> {
        let mut leases = [Lease::default(); LINES];
        for (lease, line) in leases.iter_mut().zip(&self.lines) {
            *lease = change(line)?;
        }
        Ok(leases)
    }

    /// The shard has been set.
    pub(super) fn hold(&self, leases: [Lease; LINES]) {
        self.lines.iter().zip(leases).for_each(|(line, lease)| line.hold(lease));
    }
}

/// Whose account: its subject, and the rates with their limits, which may be
/// another document's.
type Key = (u64, [(u64, u64); LINES]);

/// The accounts of the connections of this worker.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    by_key: RefCell<BTreeMap<Key, Weak<Account>>>,
    /// So many entries, and those that nobody has any more are left out.
    cleared_at: Cell<usize>,
    /// Those that used something lately, or still hold something.
    watched: RefCell<Vec<Rc<Account>>>,
}

/// Entries that are kept without a look at whether somebody has them.
const KEPT: usize = 64;

impl Accounts {
    /// The account of a subject with these rates.
    pub(super) fn open(&self, subject: SubjectId, asked: &[Asked]) -> Rc<Account> {
        let mut rates = [(0, 0); LINES];
        for (rate, asked) in rates.iter_mut().zip(asked) {
            *rate = (asked.rule.number(), asked.rate.limit());
        }
        let key = (subject.number(), rates);
        let mut by_key = self.by_key.borrow_mut();
        if let Some(account) = by_key.get(&key).and_then(Weak::upgrade) {
            return account;
        }
        if by_key.len() >= self.cleared_at.get().max(KEPT) {
            by_key.retain(|_, account| account.strong_count() > 0);
            self.cleared_at.set(by_key.len().saturating_mul(2));
        }
        let lines = asked.iter().take(LINES).map(|asked| Line::new(*asked)).collect();
        let account = Rc::new(Account { subject, lines, watched: Cell::new(false) });
        by_key.insert(key, Rc::downgrade(&account));
        account
    }

    /// Ticks look at it from now on, until it holds nothing and is used no more.
    pub(super) fn watch(&self, account: &Rc<Account>) {
        if !account.watched.replace(true) {
            self.watched.borrow_mut().push(Rc::clone(account));
        }
    }

    /// A tick has come: those that hold more than they use give it back. Where
    /// that can't be done before the slot ends it counts as used.
    pub(super) fn on_tick(&self, now_us: u64, give_back: impl Fn(&Account)) {
        let mut watched = self.watched.take();
        watched.retain(|account| {
            account.lines.iter().for_each(Line::turn);
            if account.lines.iter().any(|line| line.has_too_much(now_us)) {
                give_back(account);
            }
            let goes_on = |line: &Line| line.is_busy() || line.holds(now_us);
            let goes_on = account.lines.iter().any(goes_on);
            account.watched.set(goes_on);
            goes_on
        });
        self.watched.replace(watched);
    }

    #[cfg(test)]
    fn len(&self) -> (usize, usize) {
        (self.by_key.borrow().len(), self.watched.borrow().len())
    }
}

#[cfg(test)]
mod tests;
