//! Many workers, any order of events: rates are never passed in any sliding
//! period, bans come and end, and nothing lives on. Workers are run in turn on
//! one thread, and others run, or the VM traps, before and after any call of
//! shared data, as they would at once.

use super::random::Random;
use super::rules;
use proptest::prelude::*;
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::{Rc, Weak};
use std::time::Duration;
use wsguard::frame::Sender;
use wsguard::host::memory::MemoryHost;
use wsguard::host::{Cas, CasMismatch, Clock, SharedData, Timestamp};
use wsguard::quota::bans::{Strike, Suspect};
use wsguard::quota::rate::{
    ConnectionRates, Load, MessageRates, Moment, Rate, RateClient, RateExceeded, Rates,
};
use wsguard::quota::{Network, Quotas, Salt};
use wsguard::reason::Reason;

mod invariants;

const WORKERS: usize = 4;
const ADDRESSES: u8 = 3;
const USERS: [&str; 2] = ["ann", "bob"];
const PERIOD: Duration = Duration::from_secs(16);
const HANDSHAKES: u64 = 6;
const PER_IP: u64 = 9;
const PER_USER: u64 = 12;
const BYTES_PER_USER: u64 = 300;
/// So many that workers take ahead of use.
const CROWD: u64 = 3000;
const CROWD_BYTES: u64 = 26_000;
const THRESHOLD: u64 = 4;
const BAN: Duration = Duration::from_secs(40);

/// One in how many stores others run before it, and one traps before or behind
/// it.
const INTERLEAVED: u64 = 5;
const TRAPPED: u64 = 60;

/// The same of loads, of which a tick makes hundreds.
const INTERLEAVED_LOADS: u64 = 200;
const TRAPPED_LOADS: u64 = 4000;

/// What unwinds out of a trapped worker.
struct Trap;

struct Worker {
    host: Rc<Interleaved>,
    quotas: Rc<Quotas>,
    /// Of each address, one that sends much.
    crowds: [ConnectionRates; ADDRESSES as usize],
}

/// Something that was let through: when, and how much.
type Passed = Vec<(Duration, u64)>;

struct Fleet {
    shared: MemoryHost,
    now: Cell<Duration>,
    workers: RefCell<Vec<Option<Worker>>>,
    handshakes: RefCell<[Passed; ADDRESSES as usize]>,
    messages: RefCell<[Passed; ADDRESSES as usize]>,
    of_user: RefCell<[Passed; USERS.len()]>,
    bytes_of_user: RefCell<[Passed; USERS.len()]>,
    crowds: RefCell<[Passed; ADDRESSES as usize]>,
    bytes_of_crowds: RefCell<[Passed; ADDRESSES as usize]>,
    /// Until when an address must be refused, as whoever banned it was told.
    banned: RefCell<[Duration; ADDRESSES as usize]>,
    depth: Cell<u32>,
    random: Random,
    busy: Cell<bool>,
    /// Time stands still while a worker takes from two subjects one by one.
    frozen: Cell<bool>,
    traps: Cell<bool>,
    refused: Cell<u64>,
    bans: Cell<u64>,
    mismatches: Cell<u64>,
    trapped: Cell<u64>,
}

/// A worker's host: its calls to shared data let others run, and its wall clock
/// jumps.
struct Interleaved {
    inner: MemoryHost,
    fleet: Weak<Fleet>,
    /// When it last looked at the clock: what it took, it took then.
    looked: Cell<Duration>,
}

impl Fleet {
    fn start(seed: u64) -> Rc<Self> {
        let fleet = Rc::new(Self {
            shared: MemoryHost::at(Timestamp::default()),
            now: Cell::new(Duration::from_secs(1_000_000)),
            workers: RefCell::default(),
            handshakes: RefCell::default(),
            messages: RefCell::default(),
            of_user: RefCell::default(),
            bytes_of_user: RefCell::default(),
            crowds: RefCell::default(),
            bytes_of_crowds: RefCell::default(),
            banned: RefCell::default(),
            depth: Cell::new(0),
            random: Random::new(seed),
            busy: Cell::new(false),
            frozen: Cell::new(false),
            traps: Cell::new(false),
            refused: Cell::new(0),
            bans: Cell::new(0),
            mismatches: Cell::new(0),
            trapped: Cell::new(0),
        });
        let _ = Quotas::open(Rc::new(fleet.shared.beside()), Salt([1; 16]));
        for _ in 0..WORKERS {
            let worker = fleet.vm();
            fleet.workers.borrow_mut().push(Some(worker));
        }
        fleet.busy.set(true);
        fleet
    }

    fn vm(self: &Rc<Self>) -> Worker {
        let inner = self.shared.beside();
        let fleet = Rc::downgrade(self);
        let host = Rc::new(Interleaved { inner, fleet, looked: Cell::default() });
        let (busy, traps) = (self.busy.replace(false), self.traps.replace(false));
        let quotas = Quotas::open(Rc::clone(&host) as _, Salt([2; 16]));
        self.busy.set(busy);
        self.traps.set(traps);
        Worker { host, quotas, crowds: Default::default() }
    }

    fn turn(self: &Rc<Self>, index: usize, act: impl FnOnce(&Self, &mut Worker)) {
        let Some(mut worker) = self.workers.borrow_mut()[index].take() else { return };
        self.depth.set(self.depth.get() + 1);
        let (depth, frozen) = (self.depth.get(), self.frozen.get());
        let done = catch_unwind(AssertUnwindSafe(|| act(self, &mut worker)));
        self.depth.set(depth - 1);
        self.frozen.set(frozen);
        if let Err(cause) = done {
            if !cause.is::<Trap>() {
                resume_unwind(cause);
            }
            self.trapped.set(self.trapped.get() + 1);
            worker = self.vm();
        }
        self.workers.borrow_mut()[index] = Some(worker);
    }

    /// Runs before each call of shared data.
    fn between(self: &Rc<Self>, interleaved: u64, trapped: u64) {
        if self.busy.get() && self.depth.get() < 3 && self.random.below(interleaved) == 0 {
            if !self.frozen.get() && self.random.below(4) == 0 {
                self.pass(Duration::from_millis(self.random.below(700)));
            }
            let other = self.random.index(WORKERS);
            self.turn(other, Self::act);
        }
        self.trap(trapped);
    }

    fn trap(&self, one_in: u64) {
        if self.traps.get() && self.depth.get() > 0 && self.random.below(one_in) == 0 {
            resume_unwind(Box::new(Trap));
        }
    }

    fn pass(&self, by: Duration) {
        self.now.set(self.now.get() + by);
    }

    fn act(&self, worker: &mut Worker) {
        match self.random.below(10) {
            0..=2 => self.handshake(worker),
            3..=5 => self.message(worker),
            6..=7 => self.crowd(worker, self.random.index(ADDRESSES.into()), 500),
            8 => self.strike(worker),
            _ => worker.quotas.on_tick(),
        }
    }

    fn address(&self) -> (usize, IpAddr) {
        let place = self.random.index(ADDRESSES.into());
        (place, IpAddr::from([192, 0, 2, u8::try_from(place).unwrap()]))
    }

    fn handshake(&self, worker: &mut Worker) {
        let (place, address) = self.address();
        // Who is banned while the question is under way may pass yet.
        let until = self.banned.borrow()[place];
        let suspect = Suspect::Address(Some(address), 64);
        let banned = worker.quotas.banned(suspect, false);
        assert!(banned.is_some() || self.now.get() >= until);
        if let Some(banned) = banned {
            assert!(banned.remaining <= BAN, "bans end");
            return;
        }
        let rate = Rate::new(HANDSHAKES, PERIOD).unwrap();
        let network = Network::of(Some(address), 64);
        match worker.quotas.take_handshake("chat", rate, network) {
            Ok(()) => self.handshakes.borrow_mut()[place].push((worker.host.looked.get(), 1)),
            Err(error) => self.refuse(error),
        }
    }

    fn message(&self, worker: &mut Worker) {
        let ((place, address), user) = (self.address(), self.random.index(USERS.len()));
        // Of the address, of the user, or of both.
        let (by_ip, by_user) = [(true, false), (false, true), (true, true)][self.random.index(3)];
        let rate = |limit, wanted: bool| Rate::new(limit, PERIOD).filter(|_| wanted);
        let messages = Rates {
            per_connection: None,
            per_ip: rate(PER_IP, by_ip),
            per_user: rate(PER_USER, by_user),
        };
        let bytes = Rates { per_user: rate(BYTES_PER_USER, by_user), ..Rates::default() };
        let rates = rules::of_clients(&messages, &bytes);
        let client = rules::client(address, USERS[user]);
        let payload = self.random.below(60);
        let connection = (&mut ConnectionRates::default(), &mut Moment::default());
        self.frozen.set(self.frozen.get() || by_ip && by_user);
        match worker.quotas.take_message(rates, client, connection, Load::message(payload)) {
            Ok(()) => {
                let at = worker.host.looked.get();
                if by_ip {
                    self.messages.borrow_mut()[place].push((at, 1));
                }
                if by_user {
                    self.of_user.borrow_mut()[user].push((at, 1));
                    self.bytes_of_user.borrow_mut()[user].push((at, payload));
                }
            }
            Err(error) => self.refuse(error),
        }
    }

    /// A chunk of messages on one connection, which may have gone after it.
    fn crowd(&self, worker: &mut Worker, place: usize, most: u64) {
        let address = IpAddr::from([192, 0, 2, u8::try_from(place).unwrap()]);
        let per_ip = |limit| Rates { per_ip: Rate::new(limit, PERIOD), ..Rates::default() };
        let (messages, bytes) = (&per_ip(CROWD), &per_ip(CROWD_BYTES));
        let direction = Sender::Server;
        let rates = MessageRates { policy: "crowd", direction, messages, bytes };
        let client = RateClient { address: Some(address), ipv6_prefix: 64, user: None };
        let mut moment = Moment::default();
        for _ in 0..=self.random.below(most) {
            let (payload, connection) = (self.random.below(20), &mut worker.crowds[place]);
            match worker.quotas.take_message(
                rates,
                client,
                (connection, &mut moment),
                Load::message(payload),
            ) {
                Ok(()) => {
                    let at = worker.host.looked.get();
                    self.crowds.borrow_mut()[place].push((at, 1));
                    self.bytes_of_crowds.borrow_mut()[place].push((at, payload));
                }
                Err(error) => return self.refuse(error),
            }
        }
        if self.random.below(4) == 0 {
            worker.crowds[place] = ConnectionRates::default();
        }
    }

    fn strike(&self, worker: &mut Worker) {
        let (place, address) = self.address();
        let rules = rules::bans(THRESHOLD, PERIOD, BAN);
        let reason = Reason::CredentialsInvalid;
        let strike = Strike { policy: "chat", rules: &rules, report: false, reason };
        let begin = self.now.get();
        if worker.quotas.strike(strike, Suspect::Address(Some(address), 64)) {
            self.bans.set(self.bans.get() + 1);
            let until = &mut self.banned.borrow_mut()[place];
            *until = (*until).max(begin + BAN);
        }
    }

    fn refuse(&self, error: RateExceeded) {
        assert!(matches!(error, RateExceeded::Reached { .. }), "{error:?}");
        self.refused.set(self.refused.get() + 1);
    }
}

impl SharedData for Interleaved {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        if let Some(fleet) = self.fleet.upgrade() {
            fleet.between(INTERLEAVED_LOADS, TRAPPED_LOADS);
        }
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<(), CasMismatch> {
        let fleet = self.fleet.upgrade();
        if let Some(fleet) = &fleet {
            fleet.between(INTERLEAVED, TRAPPED);
        }
        let done = self.inner.store(key, value, cas);
        if let Some(fleet) = &fleet {
            fleet.mismatches.set(fleet.mismatches.get() + u64::from(done.is_err()));
            fleet.trap(TRAPPED);
        }
        done
    }
}

impl Clock for Interleaved {
    /// Jumps by up to an hour, back and forth.
    fn now(&self) -> Timestamp {
        let jump = self.fleet.upgrade().map_or(0, |fleet| fleet.random.below(7200));
        Timestamp::from_unix(Duration::from_secs(1_700_000_000 + jump))
    }

    fn monotonic(&self) -> Duration {
        self.looked.set(self.fleet.upgrade().map_or_else(Duration::default, |f| f.now.get()));
        self.looked.get()
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 12,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn no_rate_is_passed_and_bans_hold_and_end(seed: u64, traps: bool) {
        let fleet = Fleet::start(seed);
        fleet.traps.set(traps);
        for _ in 0..1500 {
            fleet.turn(fleet.random.index(WORKERS), Fleet::act);
            if fleet.random.below(3) == 0 {
                fleet.pass(Duration::from_millis(fleet.random.below(1200)));
            }
        }
        fleet.check();
        prop_assert!(fleet.refused.get() > 20, "rates were in the way");
        prop_assert!(fleet.bans.get() > 0, "somebody was banned");
        prop_assert!(!traps || fleet.trapped.get() > 3);
        if !traps {
            fleet.exhausts();
        }
        fleet.settles();
    }
}

/// The fleet itself: were nothing in anybody's way, nothing would be shown.
#[test]
fn the_fleet_brings_contention() {
    let fleet = Fleet::start(7);
    for _ in 0..3000 {
        fleet.turn(fleet.random.index(WORKERS), Fleet::act);
        fleet.pass(Duration::from_millis(fleet.random.below(600)));
    }
    fleet.check();
    assert!(fleet.mismatches.get() > 50, "{} lost tries", fleet.mismatches.get());
}
