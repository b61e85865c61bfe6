//! The table in shared data, and one VM's part in it.

use super::ledger::Ledger;
use super::members::{Members, OwnerId};
use super::shard::{MAX_SHARD_BYTES, Shard};
use super::subject::{Salt, Subject};
use super::{SHARDS, Unavailable};
use crate::host::{Cas, Common};
use std::rc::Rc;
use std::time::Duration;

/// A layout of another version has other keys.
const MEMBERS_KEY: &str = "wsguard/quota/1/members";

/// Each try that fails is another VM's success, so this is never reached but
/// by a VM that loses against more than all others.
const TRIES: u32 = 100;

/// Least time between two rounds. Ticks come more often, since each listener
/// of a VM brings its own.
const ROUND: Duration = Duration::from_millis(450);

/// Shards that are gone through in a round: all of them in ten.
const SWEPT: u16 = SHARDS.div_ceil(10);

/// Far beyond what others may have got of owners' numbers.
const NUMBERS_LEFT_OUT: u32 = 1 << 20;

/// Why one more was not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotTaken {
    /// The limit is reached.
    Limit,
    /// It could not be counted.
    Unavailable(Unavailable),
}

impl From<Unavailable> for NotTaken {
    fn from(cause: Unavailable) -> Self {
        Self::Unavailable(cause)
    }
}

/// What one VM knows of the table and holds in it.
pub(super) struct Table {
    host: Rc<dyn Common>,
    salt: Salt,
    /// Who we are, as far as we know; struck out, we find out at the next look
    /// at the members.
    me: Option<OwnerId>,
    watch: super::members::Watch,
    ledger: Ledger,
    last_round: Option<Duration>,
    /// Where the next round sweeps on.
    sweep_at: u16,
    /// Bytes of the fullest shard: in this sweep so far, and in the last one.
    fullest_so_far: usize,
    fullest: usize,
}

/// A shard as it was read.
struct Current {
    shard: Shard,
    /// What stands there; `None`: nothing, or what is no shard.
    bytes: Option<Vec<u8>>,
    cas: Option<Cas>,
}

impl Table {
    /// Makes the keys that are not there yet; `fresh` becomes the salt of the
    /// process if there is none.
    pub(super) fn open(host: Rc<dyn Common>, fresh: Salt) -> Self {
        let empty = Shard::default().encode().unwrap_or_default();
        for key in (0..SHARDS).map(shard_key) {
            if host.load(&key).is_none() {
                // Nobody can have put anything in it since: see the module's doc.
                let _ = host.store(&key, &empty, None);
            }
        }
        if host.load(MEMBERS_KEY).is_none() {
            let _ = host.store(MEMBERS_KEY, &Members::new(fresh, None).encode(), None);
        }
        let members = host.load(MEMBERS_KEY).and_then(|(m, _)| Members::decode(&m).ok());
        Self {
            salt: members.map_or(fresh, |members| members.salt()),
            host,
            me: None,
            watch: super::members::Watch::default(),
            ledger: Ledger::default(),
            last_round: None,
            sweep_at: 0,
            fullest_so_far: 0,
            fullest: 0,
        }
    }

    pub(super) const fn salt(&self) -> Salt {
        self.salt
    }

    /// Counts one more of the subject if that is not above the limit. Once it
    /// answers yes, every VM sees it.
    pub(super) fn take(&mut self, subject: Subject, limit: u64) -> Result<(), NotTaken> {
        let index = subject.shard();
        for _ in 0..TRIES {
            let Some(me) = self.me else {
                self.join()?;
                continue;
            };
            let Current { mut shard, bytes, cas } = self.read(index);
            if bytes.is_none() {
                // Sweeps mend it.
                return Err(Unavailable::Damaged.into());
            }
            // After the shard: whoever has an entry there joined before.
            let members = self.members().ok_or(Unavailable::Damaged)?;
            if !members.lives(me) {
                self.join()?;
                continue;
            }
            shard.retain(|owner| members.lives(owner));
            shard.settle(me, self.ledger.of_shard(index));
            if shard.held(subject) >= limit {
                return Err(NotTaken::Limit);
            }
            shard.add(me, subject);
            let bytes = shard.encode().map_err(|_| Unavailable::Full)?;
            if self.host.store(&shard_key(index), &bytes, cas).is_ok() {
                self.ledger.add(subject);
                self.ledger.published(index);
                return Ok(());
            }
        }
        Err(Unavailable::Contended.into())
    }

    /// Counts one more, whatever there is; others see it when they are told.
    pub(super) fn count(&mut self, subject: Subject) {
        self.ledger.add(subject);
        self.ledger.touch(subject.shard());
    }

    /// Counts `now` of a subject in the place of `before`. What cannot be told to
    /// the others now, the next round tells.
    pub(super) fn change_by(&mut self, subject: Subject, before: u64, now: u64) {
        self.ledger.change_by(subject, before, now);
        if self.me.is_some() || self.join().is_ok() {
            let _ = self.publish(subject.shard());
        }
    }

    /// Gives back. What cannot be told to the others now, the next round tells.
    pub(super) fn give_back(&mut self, subjects: &[Subject]) {
        self.release(subjects);
        self.tell();
    }

    /// Gives back; others see it when they are told ([`Self::tell`]), or with what
    /// is taken next of the same shard.
    pub(super) fn release(&mut self, subjects: &[Subject]) {
        for subject in subjects {
            self.ledger.remove(*subject);
        }
    }

    /// Tells the others what they don't know yet.
    pub(super) fn tell(&mut self) {
        for index in self.ledger.unpublished() {
            // Who owns nothing can tell nothing.
            if self.publish(index) == Err(Unavailable::NoPlace) {
                return;
            }
        }
    }

    /// What all that live hold of a subject; `None` when it can't be read.
    pub(super) fn held(&self, subject: Subject) -> Option<u64> {
        let Current { mut shard, bytes, .. } = self.read(subject.shard());
        bytes?;
        let members = self.members()?;
        shard.retain(|owner| members.lives(owner));
        Some(shard.held(subject))
    }

    /// How full the fullest shard was in the last sweep, in percent, rounded up.
    pub(super) fn fill_percent(&self) -> u64 {
        let percent = self.fullest.saturating_mul(100).div_ceil(MAX_SHARD_BYTES);
        u64::try_from(percent).unwrap_or(u64::MAX)
    }

    /// Once in a [`ROUND`]: shows that this VM lives, strikes out who does not,
    /// tells what others don't know yet, and goes through a tenth of the table.
    pub(super) fn on_tick(&mut self) {
        let now = self.host.monotonic();
        if self.last_round.is_some_and(|last| now.saturating_sub(last) < ROUND) {
            return;
        }
        self.last_round = Some(now);
        if self.beat(true).is_err() {
            return;
        }
        self.tell();
        for _ in 0..SWEPT {
            self.sweep(self.sweep_at);
            self.sweep_at += 1;
            if self.sweep_at >= SHARDS {
                self.sweep_at = 0;
                self.fullest = std::mem::take(&mut self.fullest_so_far);
            }
        }
    }

    /// Leaves out the dead, and mends what does not say what we hold.
    fn sweep(&mut self, index: u16) {
        let current = self.read(index);
        let bytes = current.bytes.as_ref().map_or(0, Vec::len);
        let ours = self.ledger.holds_any_of(index);
        if current.bytes.is_none() || ours || !current.shard.is_empty() {
            let _ = self.publish(index);
        }
        if !current.shard.is_empty() {
            self.fullest_so_far = self.fullest_so_far.max(bytes);
        }
    }

    /// Makes a shard say what the ledger does, without the dead; writes only
    /// where it said something else.
    fn publish(&mut self, index: u16) -> Result<(), Unavailable> {
        for _ in 0..TRIES {
            let Current { mut shard, bytes, cas } = self.read(index);
            let members = self.members().ok_or(Unavailable::Damaged)?;
            let Some(me) = self.me.filter(|me| members.lives(*me)) else {
                // Joining makes the next round tell everything.
                self.ledger.touch(index);
                return Err(Unavailable::NoPlace);
            };
            shard.retain(|owner| members.lives(owner));
            shard.settle(me, self.ledger.of_shard(index));
            let wanted = shard.encode().map_err(|_| Unavailable::Full)?;
            let stands = bytes.as_ref() == Some(&wanted);
            if stands || self.host.store(&shard_key(index), &wanted, cas).is_ok() {
                self.ledger.published(index);
                return Ok(());
            }
        }
        self.ledger.touch(index);
        Err(Unavailable::Contended)
    }

    /// Becomes an owner, for the first time or after having been struck out,
    /// and tells the others all that we hold.
    fn join(&mut self) -> Result<(), Unavailable> {
        self.beat(false)?;
        self.tell();
        Ok(())
    }

    /// Shows that this VM lives, in a round of its own or because it has to be
    /// known now.
    fn beat(&mut self, round: bool) -> Result<(), Unavailable> {
        let mut observed = !round;
        for _ in 0..TRIES {
            let (bytes, cas) = self.host.load(MEMBERS_KEY).unzip();
            let members = bytes.and_then(|bytes| Members::decode(&bytes).ok());
            let mut members = members.unwrap_or_else(|| self.members_anew());
            if members.salt() != self.salt {
                // All that we knew is gone, and our number may be another's.
                self.salt = members.salt();
                self.me = None;
            }
            if !observed {
                observed = true;
                self.watch.observe(&members, self.me);
            }
            members.strike_out(&self.watch);
            let known = self.me.filter(|me| members.beat(*me));
            let Some(me) = known.or_else(|| members.join().ok()) else {
                self.me = None;
                return Err(Unavailable::NoPlace);
            };
            if self.host.store(MEMBERS_KEY, &members.encode(), cas).is_ok() {
                self.me = Some(me);
                if known.is_none() {
                    self.ledger.touch_all();
                }
                return Ok(());
            }
        }
        Err(Unavailable::Contended)
    }

    /// Members in the place of ones that are gone or damaged.
    fn members_anew(&self) -> Members {
        let last = self.me.map(|me| OwnerId(me.0.saturating_add(NUMBERS_LEFT_OUT)));
        Members::new(self.salt, last)
    }

    /// Those that live; `None` when that can't be read, or is of another process
    /// than ours: the next round mends or accepts it.
    fn members(&self) -> Option<Members> {
        let (bytes, _) = self.host.load(MEMBERS_KEY)?;
        Members::decode(&bytes).ok().filter(|members| members.salt() == self.salt)
    }

    fn read(&self, index: u16) -> Current {
        let Some((bytes, cas)) = self.host.load(&shard_key(index)) else {
            return Current { shard: Shard::default(), bytes: None, cas: None };
        };
        match Shard::decode(&bytes) {
            Ok(shard) => Current { shard, bytes: Some(bytes), cas: Some(cas) },
            Err(_) => Current { shard: Shard::default(), bytes: None, cas: Some(cas) },
        }
    }
}

fn shard_key(index: u16) -> String {
    format!("wsguard/quota/1/{index:04}")
}
