//! Quotas that hold over all workers of an Envoy, and after one has crashed.
//!
//! Envoy's shared data is a map of keys to bytes that all VMs with one `vm_id`
//! see. It has no delete, no expiry and no atomic add; only compare-and-set
//! ("CAS") on whole values. And a VM that traps never says goodbye: none of its
//! streams' ends is told. So nothing here adds and subtracts on a shared number.
//!
//! # The table
//!
//! What is counted is a *subject*: an address, a user or everybody, in a policy
//! or in the document, hashed with a secret of the process. The table has
//! [`SHARDS`] shards of at most 8 KiB, each one key; a subject stands in one of
//! them, chosen by its hash. One more key holds the members: the VM instances
//! that live. So there are 1,025 keys and at most 8 MiB whatever clients send,
//! room for some 240,000 subjects of one worker each before the first shard is
//! full. A connection takes one place for each of its limits.
//!
//! Each VM keeps a ledger of what it holds, in its own memory. Its
//! entries in the table, `(subject, owner, count)`, are a copy: to publish a
//! shard is to read it, put the ledger's counts in the place of the own entries,
//! and set it by CAS. That can be done at any time and any number of times, so a
//! write that fails is repaired by the next, and so is whatever else goes wrong.
//!
//! # Why a limit holds
//!
//! To take one, a VM (1) reads the shard, (2) reads the members, (3) leaves out
//! entries of owners that are no members, (4) refuses if what remains of the
//! subject is the limit, (5) sets the shard with one more, by the CAS of (1),
//! and begins again when that fails. All entries of a subject are in one value,
//! so two that take at once can't both pass (5) on the same count. An entry is
//! raised before its connection exists and lowered after it has gone, so the
//! sum is never below what is open. And (2) comes after (1): whoever has an
//! entry in what was read had joined before, so if it is not among the members
//! it has been struck out, and is not somebody whom we don't know yet.
//!
//! Several limits are taken one by one, and given back when one refuses. For
//! that moment others may see one more than there is, never one less.
//!
//! # Who is dead
//!
//! Every round (500 ms) a VM raises its beat among the members, and looks at
//! the others'. One that has not moved in ten rounds *of the observer* is struck
//! out, by CAS on the members, so not if it has beaten since. Its entries count
//! for nothing from then on, and the rounds sweep them out, a tenth of the table
//! each. So what a trapped VM held is free after 4 to 6 seconds: the *lease*.
//! No clock is compared between VMs: when the wall clock jumps nothing happens,
//! and when the whole process was stopped for an hour, nobody looks dead.
//!
//! Numbers of owners are never given twice, so the VM that takes the place of a
//! trapped one owns nothing of it. A worker that stood still for longer than the
//! lease while others ran finds at its next look that it was struck out, joins
//! under a new number and publishes its ledger again, whole. In between others
//! may have taken what it held: then there are more than the limit until enough
//! of them have ended, and nobody gets in before. Its connections are not cut.
//!
//! # What is given back when
//!
//! A [`Permit`] gives back when it is dropped, but others see it at the next tick
//! of this VM ([`Quotas::settle`]), or when it next takes something of the same
//! shard: while Envoy tears a stream down it tells the filter first and closes
//! upstream's connection after that, and a client of another worker must not be
//! there earlier than that.
//!
//! # What is not counted
//!
//! When the table can't count, a connection with a limit is refused
//! ([`Unavailable`], `overloaded`); what has no limit is let in. That is when
//! its shard is full, when 256 owners live already, when a hundred tries lost
//! against other workers, and when there are bytes in the table that we can't
//! have written. Those are overwritten at the next sweep; as every VM publishes
//! what it holds when its own sweep comes along, the shard is whole again within
//! ten rounds, and counts too little until then. Nobody but wsguard may write
//! keys that begin with `wsguard/`.
//!
//! Keys are made when a document is loaded: that happens on the main thread, in
//! a VM of its own, before workers get theirs. An absent key has no CAS, so two
//! workers that made it would overwrite one another.

use crate::event::limiter::LINES_PER_SECOND;
use crate::host::Common;
use bans::BanTable;
use rate::{
    Asked, ConnectionRates, Measure, MessageRates, Moment, Per, Rate, RateClient, RateExceeded,
    RateTable, RuleId, SubjectId,
};
use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;
use table::{NotTaken, Table};

pub mod bans;
pub mod connections;
mod ledger;
mod members;
pub mod rate;
mod shard;
mod subject;
mod table;
#[cfg(test)]
mod tests;

pub use members::fuzz_members;
pub use shard::fuzz_shard;
pub use subject::{Dimension, Network, Salt, Scope, Subject};

/// Shards of the table, each one key.
pub const SHARDS: u16 = 1024;

/// One VM's part in the table.
pub struct Quotas {
    table: RefCell<Table>,
    rates: RateTable,
    bans: BanTable,
    /// What dropped permits held, to be given back at the next callback.
    ended: RefCell<Vec<Subject>>,
}

impl Quotas {
    /// To be called when a document is loaded: makes the keys that are not there
    /// yet. `fresh` are random bytes for the process' secret, in case there is
    /// none.
    #[must_use]
    pub fn open(host: Rc<dyn Common>, fresh: Salt) -> Rc<Self> {
        let rates = RateTable::open(Rc::clone(&host));
        let bans = BanTable::open(Rc::clone(&host));
        let table = RefCell::new(Table::open(host, fresh));
        Rc::new(Self { table, rates, bans, ended: RefCell::default() })
    }

    /// The subject of a count.
    #[must_use]
    pub fn subject(&self, scope: Scope<'_>, dimension: Dimension<'_>) -> Subject {
        self.table.borrow().salt().subject(scope, dimension)
    }

    /// To be called at the beginning of ticks: gives back what permits held that
    /// were dropped, and tells the others.
    pub fn settle(&self) {
        self.release_ended();
        self.table.borrow_mut().tell();
    }

    /// The same for this VM alone. What it takes next tells the others of the same
    /// shard, and the next tick of all.
    fn release_ended(&self) {
        let ended = self.ended.take();
        if !ended.is_empty() {
            self.table.borrow_mut().release(&ended);
        }
    }

    /// To be called on every tick.
    pub fn on_tick(&self) {
        self.settle();
        self.table.borrow_mut().on_tick();
        self.rates.on_tick();
        self.bans.on_tick();
    }

    /// Takes one handshake of a policy from the rate of an address.
    ///
    /// # Errors
    /// When that is used up, or can't be counted.
    pub fn take_handshake(
        &self,
        policy: &str,
        per_ip: Rate,
        network: Network,
    ) -> Result<(), RateExceeded> {
        let salt = self.salt();
        let rule = RuleId::of(salt, Scope::Policy(policy), "handshakes", &per_ip, true);
        let measure = Measure::Handshakes;
        let asked = Asked { rule, rate: per_ip, measure, per: Per::Ip };
        self.rates.take(SubjectId::address(salt, network), &[asked], 0)
    }

    /// Takes one message of so many bytes from all rates of its direction in a
    /// policy, or from none of them. `connection` is what this direction of the
    /// connection has taken, with the time of the callback.
    ///
    /// # Errors
    /// The first that is used up, or can't be counted.
    pub fn take_message(
        &self,
        rates: MessageRates<'_>,
        client: RateClient<'_>,
        connection: (&mut ConnectionRates, &mut Moment),
        payload_bytes: u64,
    ) -> Result<(), RateExceeded> {
        rates.take(self, client, connection, payload_bytes)
    }

    /// Takes one event line of a policy from those of all workers together (see
    /// [`crate::event::limiter`]); without a name, of what no policy matches.
    /// When that can't be counted, it may be written.
    ///
    /// # Errors
    /// It may not, and nor may any other for so long.
    pub fn take_line(&self, policy: &str) -> Result<(), Duration> {
        let lines = u64::from(LINES_PER_SECOND);
        let Some(rate) = Rate::new(lines, Duration::from_secs(1)) else { return Ok(()) };
        let salt = self.salt();
        let rule = RuleId::of(salt, Scope::Document, "lines", &rate, false);
        let asked = Asked { rule, rate, measure: Measure::Messages, per: Per::User };
        match self.rates.take(SubjectId::lines(salt, policy), &[asked], 0) {
            Err(RateExceeded::Reached { retry_after, .. }) => {
                Err(retry_after.unwrap_or(rate.period()))
            }
            Ok(()) | Err(RateExceeded::Unavailable(_)) => Ok(()),
        }
    }

    /// This VM holds so many message bytes `now`, where it held `before`.
    pub fn hold_bytes(&self, before: u64, now: u64) {
        if before != now {
            let subject = self.subject(Scope::Document, Dimension::Buffered);
            self.table.borrow_mut().change_by(subject, before, now);
        }
    }

    /// What all VMs that live hold; `None` when it can't be read.
    #[must_use]
    pub fn held_bytes(&self) -> Option<u64> {
        self.held(self.subject(Scope::Document, Dimension::Buffered))
    }

    fn rates(&self) -> &RateTable {
        &self.rates
    }

    /// The secret of the process.
    pub(crate) fn salt(&self) -> Salt {
        self.table.borrow().salt()
    }

    /// What all VMs that live hold of a subject; `None` when it can't be read.
    #[must_use]
    pub fn held(&self, subject: Subject) -> Option<u64> {
        self.table.borrow().held(subject)
    }

    /// How full the fullest shard is, in percent, rounded up: at 100, new
    /// subjects of that shard are refused.
    #[must_use]
    pub fn fill_percent(&self) -> u64 {
        let counts = self.table.borrow().fill_percent();
        counts.max(self.rates.fill_percent()).max(self.bans.fill_percent())
    }
}

impl fmt::Debug for Quotas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quotas").finish_non_exhaustive()
    }
}

/// Why something can't be counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unavailable {
    /// The subject's shard is full.
    Full,
    /// As many VMs as can own anything live already.
    NoPlace,
    /// Other workers were faster at every try.
    Contended,
    /// There are bytes in the table that wsguard did not write.
    Damaged,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full => "the table of connection counts is full",
            Self::NoPlace => "more workers count connections than the table has places for",
            Self::Contended => "too many connections are being opened at once to count them",
            Self::Damaged => "the table of connection counts has been overwritten",
        })
    }
}

/// What one connection holds. It gives all of it back, once, when it is dropped.
#[derive(Debug)]
pub struct Permit {
    quotas: Rc<Quotas>,
    subjects: Vec<Subject>,
}

/// A limit that was not kept, by its place in what was asked for, or the reason
/// why it could not be held against anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// This one is reached.
    Limit(usize),
    /// It can't be counted.
    Unavailable(Unavailable),
}

impl Permit {
    /// Holds nothing yet.
    #[must_use]
    pub const fn empty(quotas: Rc<Quotas>) -> Self {
        Self { quotas, subjects: Vec::new() }
    }

    /// Takes one of each subject that is below its limit.
    ///
    /// # Errors
    /// The first that is refused; then none of these is held, and what was held
    /// before still is.
    pub fn take(&mut self, limits: &[(Subject, u64)]) -> Result<(), Refused> {
        if limits.is_empty() {
            return Ok(());
        }
        self.quotas.release_ended();
        let mut table = self.quotas.table.borrow_mut();
        let before = self.subjects.len();
        for (place, (subject, limit)) in limits.iter().enumerate() {
            if let Err(error) = table.take(*subject, *limit) {
                table.give_back(self.subjects.get(before..).unwrap_or_default());
                self.subjects.truncate(before);
                return Err(match error {
                    NotTaken::Limit => Refused::Limit(place),
                    NotTaken::Unavailable(cause) => Refused::Unavailable(cause),
                });
            }
            self.subjects.push(*subject);
        }
        Ok(())
    }

    /// Counts one more of a subject that has no limit; others see it at the next
    /// tick.
    pub fn count(&mut self, subject: Subject) {
        self.quotas.table.borrow_mut().count(subject);
        self.subjects.push(subject);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.quotas.ended.borrow_mut().append(&mut self.subjects);
    }
}
