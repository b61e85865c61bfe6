//! The account of message bytes that a worker holds over all its connections. When a limit
//! would be passed, it decides which connection ends.
//!
//! Each byte is a connection's ([`Holder`]), and each connection an address'. Three sums
//! have limits:
//!
//! | sum | limit | over it gives way |
//! |---|---|---|
//! | of an address | `buffered_per_ip` | of this address |
//! | of all connections whose first message has not been verified | a quarter of the worker's | of them, the address that holds the most |
//! | of the worker | `buffered_per_worker` | the address that holds the most |
//!
//! An address that gives way first loses the windows of its idle connections, the one that
//! was not used for the longest time first; then connections, the one that holds the most
//! first. The connection that asks for more counts with what it asks for, and
//! where it has to give way itself it gets nothing. Another one has its bytes taken off
//! the account at once and is ended at the end of the callback
//! ([`Budget::take_given_way`]), by which its memory is really free.
//!
//! An address, and a connection, is known here only while it holds something, so idle
//! connections cost nothing.

use crate::quota::Network;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

mod charge;
mod contest;
mod window;

pub use charge::Charge;
use window::Window;
pub use window::WindowCharge;

/// Connections whose first message has not been verified have together at most one of so
/// many parts of the account.
const UNVERIFIED_PART: u64 = 4;

/// The worker's account of held bytes.
///
/// Invariants: each sum is that over its living [`Charge`]s and [`WindowCharge`]s, and at
/// most its limit.
#[derive(Debug)]
pub struct Budget {
    worker_bytes: Cell<u64>,
    address_bytes: Cell<u64>,
    /// The bytes that the gauge was last told of.
    told_bytes: Cell<u64>,
    used_bytes: Cell<u64>,
    unverified_bytes: Cell<u64>,
    /// Those that hold something.
    addresses: RefCell<BTreeMap<Key, Rc<Address>>>,
    /// The last number that a holder got.
    last_number: Cell<u64>,
    /// Counts the messages that were inflated, to know which window is used the least.
    last_use: Cell<u64>,
    /// Connections that have given way and have not been ended, by the filter's numbers.
    given_way: RefCell<Vec<u32>>,
}

/// Key of a sum: the connections of one network, or one connection whose address nobody
/// knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Network(Network),
    Unknown(u64),
}

/// The connections of one address, and the bytes that they hold.
#[derive(Debug, Default)]
struct Address {
    bytes: Cell<u64>,
    unverified_bytes: Cell<u64>,
    /// Those that hold something, by their numbers.
    holders: RefCell<BTreeMap<u64, Rc<Holder>>>,
}

/// There is no room: whoever asks holds too much already, or would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

/// The sum that had no room for more when a connection gave way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// Of its address.
    Address,
    /// Of all whose first message has not been verified.
    Unverified,
    /// Of the worker.
    Worker,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => {
                "held bytes ran short (limits.buffered_per_ip), and of its address this connection \
                 held the most"
            }
            Self::Unverified => {
                "held bytes ran short of clients whose first message is not verified (a quarter of \
                 limits.buffered_per_worker), and of them this connection held the most of the \
                 address that held the most"
            }
            Self::Worker => {
                "held bytes ran short (limits.buffered_per_worker), and this connection held the \
                 most of the address that held the most"
            }
        })
    }
}

impl Budget {
    /// An account of this many bytes, of which one address may have as many.
    #[must_use]
    pub fn new(worker_bytes: u64) -> Rc<Self> {
        Self::with_limits(worker_bytes, worker_bytes)
    }

    /// An account of `worker_bytes`, of which one address may have `address_bytes`.
    #[must_use]
    pub fn with_limits(worker_bytes: u64, address_bytes: u64) -> Rc<Self> {
        let budget = Rc::new(Self {
            worker_bytes: Cell::new(0),
            address_bytes: Cell::new(0),
            told_bytes: Cell::new(0),
            used_bytes: Cell::new(0),
            unverified_bytes: Cell::new(0),
            addresses: RefCell::default(),
            last_number: Cell::new(0),
            last_use: Cell::new(0),
            given_way: RefCell::default(),
        });
        budget.set_limits(worker_bytes, address_bytes);
        budget
    }

    /// Changes the limits. Where more is held than a lower one allows, room is made when the
    /// next bytes are asked for.
    pub fn set_limits(&self, worker_bytes: u64, address_bytes: u64) {
        self.worker_bytes.set(worker_bytes);
        self.address_bytes.set(address_bytes.min(worker_bytes));
    }

    /// Returns the bytes that the gauge was last told of, which is told `now_bytes` now.
    pub(crate) const fn tell(&self, now_bytes: u64) -> u64 {
        self.told_bytes.replace(now_bytes)
    }

    /// Bytes held now.
    #[must_use]
    pub const fn used_bytes(&self) -> u64 {
        self.used_bytes.get()
    }

    /// The connections that have given way since this was last asked, by the filter's
    /// numbers ([`Holder::set_number`]): they are to be ended now.
    #[must_use]
    pub fn take_given_way(&self) -> Vec<u32> {
        self.given_way.take()
    }

    /// A number that is larger than any before.
    fn next(last: &Cell<u64>) -> u64 {
        last.set(last.get().saturating_add(1));
        last.get()
    }

    fn limit(&self, shortage: Shortage) -> u64 {
        match shortage {
            Shortage::Address => self.address_bytes.get(),
            Shortage::Unverified => self.worker_bytes.get() / UNVERIFIED_PART,
            Shortage::Worker => self.worker_bytes.get(),
        }
    }
}

/// A connection, to the account.
pub struct Holder {
    budget: Rc<Budget>,
    key: Key,
    /// Larger than that of any that came before.
    number: u64,
    /// The filter's number for it.
    outer_number: Cell<Option<u32>>,
    bytes: Cell<u64>,
    /// Its first message is to be verified, and has not been.
    unverified: Cell<bool>,
    /// It gets nothing any more.
    has_given_way: Cell<bool>,
    /// Why it has, until somebody has asked.
    notice: Cell<Option<Shortage>>,
    /// While it holds something.
    address: RefCell<Option<Rc<Address>>>,
    windows: RefCell<Vec<Rc<Window>>>,
}

/// A connection of this account whose first message has not been verified, until this is
/// dropped.
#[derive(Debug)]
pub struct Unverified {
    holder: Rc<Holder>,
}

impl Holder {
    /// A connection from this address, which holds nothing yet. IPv6 addresses are summed
    /// by the network of `ipv6_prefix`; without an address it stands by itself.
    #[must_use]
    pub fn new(budget: &Rc<Budget>, address: Option<IpAddr>, ipv6_prefix: u8) -> Rc<Self> {
        let number = Budget::next(&budget.last_number);
        let key = match address {
            Some(_) => Key::Network(Network::of(address, ipv6_prefix)),
            None => Key::Unknown(number),
        };
        Self::with_key(budget, key, number)
    }

    fn with_key(budget: &Rc<Budget>, key: Key, number: u64) -> Rc<Self> {
        Rc::new(Self {
            budget: Rc::clone(budget),
            key,
            number,
            outer_number: Cell::new(None),
            bytes: Cell::new(0),
            unverified: Cell::new(false),
            has_given_way: Cell::new(false),
            notice: Cell::new(None),
            address: RefCell::default(),
            windows: RefCell::default(),
        })
    }

    /// Returns a new holder for a connection that has given way and goes on.
    #[must_use]
    pub fn renew(&self) -> Rc<Self> {
        let number = Budget::next(&self.budget.last_number);
        let new = Self::with_key(&self.budget, self.key, number);
        new.outer_number.set(self.outer_number.get());
        new
    }

    /// Says by which number [`Budget::take_given_way`] names it.
    pub fn set_number(&self, number: u32) {
        self.outer_number.set(Some(number));
    }

    /// Returns true if it has given way and is to be ended, at the end of the callback at the
    /// latest: until [`Self::take_notice`].
    #[must_use]
    pub const fn gives_way(&self) -> bool {
        self.notice.get().is_some()
    }

    /// Why it has given way, once: it is to be ended now.
    pub fn take_notice(&self) -> Option<Shortage> {
        self.notice.take()
    }

    /// Counts it among those whose first message has not been verified.
    ///
    /// # Errors
    /// [`Exhausted`] if there is no room for its bytes in the quarter of these connections.
    pub fn await_credential(self: &Rc<Self>) -> Result<Unverified, Exhausted> {
        let bytes = self.bytes.get();
        self.take_off(bytes);
        self.unverified.set(true);
        if self.grow(bytes).is_err() {
            self.unverified.set(false);
            // There was room for them before.
            self.add(bytes);
            return Err(Exhausted);
        }
        Ok(Unverified { holder: Rc::clone(self) })
    }

    /// Takes `bytes` more, if there is room for them or others make it.
    ///
    /// Over a limit it costs O(a + h log h) for a addresses and the h connections of
    /// those that give way, and each time a connection ends, or windows go that make so
    /// much room that a steady flow of messages does not have this cost for each.
    fn grow(self: &Rc<Self>, bytes: u64) -> Result<(), Exhausted> {
        self.try_grow(bytes).map_err(|_| Exhausted)
    }

    /// Takes `bytes` more, or returns the sum that has no room; `None` if it has given way.
    fn try_grow(self: &Rc<Self>, bytes: u64) -> Result<(), Option<Shortage>> {
        if bytes == 0 {
            return Ok(());
        }
        if self.has_given_way.get() {
            return Err(None);
        }
        let address = self.enter();
        let room = self.budget.make_room(self, &address, bytes);
        if room.is_ok() {
            self.add(bytes);
        } else if self.bytes.get() == 0 {
            self.leave();
        }
        room.map_err(Some)
    }

    /// Puts bytes on the account for which there is room.
    fn add(self: &Rc<Self>, bytes: u64) {
        if bytes == 0 {
            return;
        }
        let address = self.enter();
        raise(&self.bytes, bytes);
        raise(&address.bytes, bytes);
        raise(&self.budget.used_bytes, bytes);
        if self.unverified.get() {
            raise(&address.unverified_bytes, bytes);
            raise(&self.budget.unverified_bytes, bytes);
        }
    }

    /// Takes bytes off the account; nothing where it has given way, and so has none.
    fn take_off(&self, bytes: u64) {
        let bytes = bytes.min(self.bytes.get());
        let Some(address) = self.address.borrow().clone().filter(|_| bytes > 0) else { return };
        self.bytes.set(self.bytes.get() - bytes);
        lower(&address.bytes, bytes);
        lower(&self.budget.used_bytes, bytes);
        if self.unverified.get() {
            lower(&address.unverified_bytes, bytes);
            lower(&self.budget.unverified_bytes, bytes);
        }
        if self.bytes.get() == 0 {
            self.leave();
        }
    }

    /// Its address, where it is known from now on.
    fn enter(self: &Rc<Self>) -> Rc<Address> {
        if let Some(address) = &*self.address.borrow() {
            return Rc::clone(address);
        }
        let mut addresses = self.budget.addresses.borrow_mut();
        let address = Rc::clone(addresses.entry(self.key).or_default());
        address.holders.borrow_mut().insert(self.number, Rc::clone(self));
        self.address.replace(Some(Rc::clone(&address)));
        address
    }

    /// It holds nothing any more.
    fn leave(&self) {
        let Some(address) = self.address.take() else { return };
        let mut holders = address.holders.borrow_mut();
        // Whoever calls this has the connection, too.
        let this = holders.remove(&self.number);
        if holders.is_empty() {
            self.budget.addresses.borrow_mut().remove(&self.key);
        }
        drop(holders);
        drop(this);
    }

    /// Gives up all that it holds.
    fn give_way(&self, shortage: Shortage) {
        for window in &*self.windows.borrow() {
            window.forget();
        }
        self.has_given_way.set(true);
        self.notice.set(Some(shortage));
        self.budget.given_way.borrow_mut().extend(self.outer_number.get());
        self.take_off(self.bytes.get());
    }

    /// Its first message has been verified.
    fn verified(&self) {
        if self.unverified.replace(false)
            && let Some(address) = &*self.address.borrow()
        {
            lower(&address.unverified_bytes, self.bytes.get());
            lower(&self.budget.unverified_bytes, self.bytes.get());
        }
    }
}

fn raise(sum: &Cell<u64>, bytes: u64) {
    sum.set(sum.get().saturating_add(bytes));
}

fn lower(sum: &Cell<u64>, bytes: u64) {
    sum.set(sum.get().saturating_sub(bytes));
}

impl Drop for Unverified {
    fn drop(&mut self) {
        self.holder.verified();
    }
}

/// Without those that hold something beside it.
impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder").field("bytes", &self.bytes.get()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
