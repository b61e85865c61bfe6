//! The bans in shared data.

use super::shard::{BanShard, MAX_SHARD_BYTES};
use super::{Ban, Ended, Who};
use crate::host::{Cas, Common};
use crate::quota::rate::{SubjectId, micros};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::Duration;

/// Shards of the table, each one key.
const SHARDS: u64 = 256;

/// Each try that fails is another VM's success.
const TRIES: u32 = 100;

/// Least time between two rounds of a VM, whose listeners bring a tick each.
const ROUND: Duration = Duration::from_millis(450);

/// One VM's view of the bans.
pub(in crate::quota) struct BanTable {
    host: Rc<dyn Common>,
    last_round: Cell<Option<Duration>>,
    /// As of the last round: subjects, and until when.
    known: RefCell<HashMap<u64, u64>>,
    ended: RefCell<Vec<Ended>>,
    fullest: Cell<usize>,
}

impl BanTable {
    /// Makes the keys that are not there yet.
    pub(in crate::quota) fn open(host: Rc<dyn Common>) -> Self {
        for key in (0..SHARDS).map(shard_key) {
            if host.load(&key).is_none() {
                let _ = host.store(&key, &BanShard::default().encode(), None);
            }
        }
        Self {
            host,
            last_round: Cell::default(),
            known: RefCell::default(),
            ended: RefCell::default(),
            fullest: Cell::default(),
        }
    }

    /// For how long a subject is banned yet.
    pub(in crate::quota) fn remaining(&self, subject: SubjectId) -> Option<Duration> {
        let (bytes, _) = self.host.load(&key_of(subject))?;
        let until = BanShard::until_us(&bytes, subject.number())?;
        let left = until.saturating_sub(micros(self.host.monotonic()));
        (left > 0).then(|| Duration::from_micros(left))
    }

    /// Bans a subject; false when it is banned already, or others were faster a
    /// hundred times.
    pub(in crate::quota) fn ban(
        &self,
        subject: SubjectId,
        duration: Duration,
        (policy, who, report): (String, Who, bool),
    ) -> bool {
        let key = key_of(subject);
        for _ in 0..TRIES {
            let (mut shard, cas) = self.read(&key);
            let now_us = micros(self.host.monotonic());
            let until_us = now_us.saturating_add(micros(duration));
            let mut ended = take_ended(&mut shard, now_us);
            let number = subject.number();
            let (policy, who) = (policy.clone(), who.clone());
            if !shard.insert(Ban { subject: number, until_us, policy, who, report }) {
                return false;
            }
            let mut bytes = shard.encode();
            while bytes.len() > MAX_SHARD_BYTES {
                let Some(ban) = first_to_end(&mut shard, number) else { return false };
                ended.push(Ended { ban, forgotten: true });
                bytes = shard.encode();
            }
            if self.host.store(&key, &bytes, cas).is_ok() {
                self.ended.borrow_mut().append(&mut ended);
                self.known.borrow_mut().insert(number, until_us);
                return true;
            }
        }
        false
    }

    /// To be called on every tick: takes out what has ended, and looks who is
    /// banned.
    pub(in crate::quota) fn on_tick(&self) {
        let now = self.host.monotonic();
        if self.last_round.get().is_some_and(|last| now.saturating_sub(last) < ROUND) {
            return;
        }
        self.last_round.set(Some(now));
        let (mut known, mut fullest) = (HashMap::new(), 0);
        for key in (0..SHARDS).map(shard_key) {
            let Some((bytes, _)) = self.host.load(&key) else { continue };
            let before = known.len();
            known.extend(BanShard::heads(&bytes));
            if known.len() > before {
                fullest = fullest.max(bytes.len());
            }
        }
        let now_us = micros(now);
        let over: Vec<u64> =
            known.iter().filter(|(_, until)| **until <= now_us).map(|(s, _)| *s).collect();
        for subject in over {
            known.remove(&subject);
            self.take_out(&shard_key(subject % SHARDS), now_us);
        }
        self.known.replace(known);
        self.fullest.set(fullest);
    }

    /// Takes what has ended out of a shard. Whoever does so tells of it, and
    /// nobody else; should another one be faster, the next round looks again.
    fn take_out(&self, key: &str, now_us: u64) {
        let (mut shard, cas) = self.read(key);
        let mut ended = take_ended(&mut shard, now_us);
        if !ended.is_empty() && self.host.store(key, &shard.encode(), cas).is_ok() {
            self.ended.borrow_mut().append(&mut ended);
        }
    }

    pub(in crate::quota) fn is_known(&self, subject: SubjectId) -> bool {
        let until = self.known.borrow().get(&subject.number()).copied();
        until.is_some_and(|until| until > micros(self.host.monotonic()))
    }

    pub(in crate::quota) fn nobody_is_known(&self) -> bool {
        self.known.borrow().is_empty()
    }

    pub(in crate::quota) fn active(&self) -> u64 {
        u64::try_from(self.known.borrow().len()).unwrap_or(u64::MAX)
    }

    pub(in crate::quota) fn take_ended(&self) -> Vec<Ended> {
        self.ended.take()
    }

    /// How full the fullest shard was in the last round, in percent, rounded up.
    pub(in crate::quota) fn fill_percent(&self) -> u64 {
        let percent = self.fullest.get().saturating_mul(100).div_ceil(MAX_SHARD_BYTES);
        u64::try_from(percent).unwrap_or(u64::MAX)
    }

    /// Bytes that nobody of us wrote are an empty shard.
    fn read(&self, key: &str) -> (BanShard, Option<Cas>) {
        let (bytes, cas) = self.host.load(key).unzip();
        let shard = bytes.and_then(|bytes| BanShard::decode(&bytes).ok());
        (shard.unwrap_or_default(), cas)
    }
}

/// Takes out those that have ended.
fn take_ended(shard: &mut BanShard, now_us: u64) -> Vec<Ended> {
    let bans = std::mem::take(&mut shard.bans);
    let (ended, active): (Vec<Ban>, Vec<Ban>) =
        bans.into_iter().partition(|ban| ban.until_us <= now_us);
    shard.bans = active;
    ended.into_iter().map(|ban| Ended { ban, forgotten: false }).collect()
}

/// Takes out the one that would end first, but for one.
fn first_to_end(shard: &mut BanShard, but: u64) -> Option<Ban> {
    let others = shard.bans.iter().enumerate().filter(|(_, ban)| ban.subject != but);
    let (place, _) = others.min_by_key(|(_, ban)| ban.until_us)?;
    Some(shard.bans.remove(place))
}

fn key_of(subject: SubjectId) -> String {
    shard_key(subject.number() % SHARDS)
}

fn shard_key(index: u64) -> String {
    format!("wsguard/ban/1/{index:03}")
}
