//! A fleet of workers over one shared data, in random orders: others run
//! between any two of a worker's calls to it, workers trap in the middle of one,
//! stand still, and come back. Deterministic by its seed.

use crate::random::Random;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::{Rc, Weak};
use std::time::Duration;
use wsguard::host::memory::MemoryHost;
use wsguard::host::{Cas, CasMismatch, Clock, SharedData, Timestamp};
use wsguard::quota::{Dimension, Permit, Quotas, Refused, Salt, Scope, Subject, Unavailable};

pub const WORKERS: usize = 4;
const USERS: [&str; 3] = ["ann", "bob", "cid"];
const LIMIT: u64 = 4;
const ROUND: Duration = Duration::from_millis(500);

/// Rounds after which a dead worker's counts are free: the lease, and one in
/// which it is seen for the first time.
pub const LEASE: u32 = 11;

/// One in how many calls to shared data others run before it.
const INTERLEAVED_STORES: u64 = 4;
const INTERLEAVED_LOADS: u64 = 100;

/// One in how many calls to shared data traps, before or after it is done.
const TRAPPED: u64 = 200;

/// One in how many of those takes longer than the lease.
const STUCK: u64 = 100;

/// What unwinds out of a trapped worker.
struct Trap;

pub struct Worker {
    host: Rc<Interleaved>,
    quotas: Rc<Quotas>,
    /// Connections that are open, by user.
    open: Vec<(usize, Permit)>,
    /// Message bytes that it holds.
    held_bytes: u64,
    /// Rounds that it will stand still.
    pub stalled: u32,
}

/// The process.
pub struct Fleet {
    shared: MemoryHost,
    workers: RefCell<Vec<Option<Worker>>>,
    /// Connections by worker and user, as upstream sees them.
    upstream: RefCell<[[u64; USERS.len()]; WORKERS]>,
    /// Rounds that each has missed.
    missed: RefCell<[u32; WORKERS]>,
    /// Who may have been struck out and has had no round since.
    doubtful: RefCell<[bool; WORKERS]>,
    depth: Cell<u32>,
    pub random: Random,
    /// Clients come and go, also in the middle of what somebody else does.
    busy: Cell<bool>,
    pub traps: Cell<bool>,
    pub stalls: Cell<bool>,
    /// Times that somebody stood still in the middle of something.
    pub stuck: Cell<u64>,
    vms: Cell<u8>,
    /// Times that a limit was in the way, and that a worker lost every try.
    pub refused: Cell<u64>,
    pub contended: Cell<u64>,
    pub mismatches: Cell<u64>,
}

/// A worker's host: its calls to shared data let others run.
struct Interleaved {
    inner: MemoryHost,
    fleet: Weak<Fleet>,
}

impl Worker {
    fn hold(&mut self, now: u64) {
        let before = std::mem::replace(&mut self.held_bytes, now);
        self.quotas.hold_bytes(before, now);
    }
}

impl Fleet {
    pub fn start(seed: u64) -> Rc<Self> {
        let fleet = Rc::new(Self {
            shared: MemoryHost::at(Timestamp::default()),
            workers: RefCell::default(),
            upstream: RefCell::default(),
            missed: RefCell::default(),
            doubtful: RefCell::default(),
            depth: Cell::new(0),
            random: Random::new(seed),
            busy: Cell::new(false),
            traps: Cell::new(false),
            stalls: Cell::new(false),
            stuck: Cell::new(0),
            vms: Cell::new(0),
            refused: Cell::new(0),
            contended: Cell::new(0),
            mismatches: Cell::new(0),
        });
        // The main thread makes the keys, alone.
        let _ = Quotas::open(Rc::new(fleet.shared.beside()), Salt([1; 16]));
        for _ in 0..WORKERS {
            let worker = fleet.vm();
            fleet.workers.borrow_mut().push(Some(worker));
        }
        fleet.busy.set(true);
        fleet
    }

    fn vm(self: &Rc<Self>) -> Worker {
        self.vms.set(self.vms.get().wrapping_add(1));
        let inner = self.shared.beside();
        let host = Rc::new(Interleaved { inner, fleet: Rc::downgrade(self) });
        // One that traps while it is configured has never been there.
        let traps = self.traps.replace(false);
        let quotas = Quotas::open(Rc::clone(&host) as _, Salt([self.vms.get(); 16]));
        self.traps.set(traps);
        Worker { host, quotas, open: Vec::new(), held_bytes: 0, stalled: 0 }
    }

    /// A worker takes a turn, unless it is in the middle of one.
    pub fn turn(self: &Rc<Self>, index: usize, act: impl FnOnce(&Rc<Self>, usize, &mut Worker)) {
        let Some(mut worker) = self.workers.borrow_mut()[index].take() else { return };
        self.depth.set(self.depth.get() + 1);
        let depth = self.depth.get();
        let done = catch_unwind(AssertUnwindSafe(|| act(self, index, &mut worker)));
        self.depth.set(depth - 1);
        if let Err(cause) = done {
            if !cause.is::<Trap>() {
                resume_unwind(cause);
            }
            // Its streams end without a word, and Envoy starts another VM.
            for (_, permit) in worker.open.drain(..) {
                std::mem::forget(permit);
            }
            self.upstream.borrow_mut()[index] = Default::default();
            self.doubtful.borrow_mut()[index] = false;
            self.missed.borrow_mut()[index] = 0;
            worker = self.vm();
        }
        self.workers.borrow_mut()[index] = Some(worker);
    }

    /// Runs when a worker calls shared data.
    fn between(self: &Rc<Self>, one_in: u64) {
        if self.busy.get() && self.depth.get() < 3 && self.random.below(one_in) == 0 {
            let other = self.random.index(WORKERS);
            self.turn(other, Self::act);
        }
        if self.stalls.get() && self.depth.get() == 1 && self.random.below(one_in * STUCK) == 0 {
            // Whoever called stands still, while all others go on.
            self.stuck.set(self.stuck.get() + 1);
            (0..=LEASE + 1).for_each(|_| self.round());
        }
        self.trap();
    }

    fn trap(&self) {
        if self.traps.get() && self.depth.get() > 0 && self.random.below(TRAPPED) == 0 {
            resume_unwind(Box::new(Trap));
        }
    }

    pub fn act(self: &Rc<Self>, index: usize, worker: &mut Worker) {
        if worker.stalled > 0 {
            return;
        }
        match self.random.below(9) {
            0..=3 => self.connect(index, worker),
            4..=6 => self.disconnect(index, worker),
            7 => worker.hold(self.random.below(1000)),
            _ => worker.quotas.on_tick(),
        }
    }

    fn connect(self: &Rc<Self>, index: usize, worker: &mut Worker) {
        let user = self.random.index(USERS.len());
        let mut permit = Permit::empty(Rc::clone(&worker.quotas));
        let total = worker.quotas.subject(Scope::Document, Dimension::Total);
        let of_user = subject(&worker.quotas, user);
        match permit.take(&[(of_user, LIMIT), (total, LIMIT * 2)]) {
            Ok(()) => {
                worker.open.push((user, permit));
                self.upstream.borrow_mut()[index][user] += 1;
                // Who stood still between its look and its taking can't know.
                if !self.doubtful.borrow()[index] {
                    self.check(user);
                }
            }
            Err(Refused::Limit(_)) => self.refused.set(self.refused.get() + 1),
            Err(Refused::Unavailable(Unavailable::Contended)) => {
                self.contended.set(self.contended.get() + 1);
            }
            Err(refused) => panic!("{refused:?}"),
        }
    }

    /// Upstream's connection ends, and then the filter hears of it or of
    /// something else.
    fn disconnect(self: &Rc<Self>, index: usize, worker: &mut Worker) {
        if worker.open.is_empty() {
            return;
        }
        let at = self.random.index(worker.open.len());
        let (user, permit) = worker.open.swap_remove(at);
        drop(permit);
        if self.random.below(2) == 0 {
            self.between_events(index, user, worker);
        } else {
            self.upstream.borrow_mut()[index][user] -= 1;
        }
    }

    /// Others run while Envoy has told the filter and not yet closed upstream's.
    fn between_events(self: &Rc<Self>, index: usize, user: usize, worker: &mut Worker) {
        if self.busy.get() && self.depth.get() < 3 {
            let other = self.random.index(WORKERS);
            self.turn(other, Self::act);
        }
        self.upstream.borrow_mut()[index][user] -= 1;
        worker.quotas.settle();
    }

    /// No limit is passed by workers that are not struck out.
    fn check(&self, user: usize) {
        let upstream = self.upstream.borrow();
        let doubtful = self.doubtful.borrow();
        let sure = upstream.iter().zip(doubtful.iter()).filter(|(_, doubtful)| !**doubtful);
        let (of_user, total) = sure.fold((0, 0), |(of_user, total), (open, _)| {
            (of_user + open[user], total + open.iter().sum::<u64>())
        });
        assert!(of_user <= LIMIT, "{of_user} connections of {}", USERS[user]);
        assert!(total <= LIMIT * 2, "{total} connections");
    }

    /// Time passes, and everybody who does not stand still has a round.
    pub fn round(self: &Rc<Self>) {
        for (missed, doubtful) in
            self.missed.borrow_mut().iter_mut().zip(self.doubtful.borrow_mut().iter_mut())
        {
            *missed += 1;
            // Others may be some rounds ahead, when one of them is stuck in this.
            *doubtful |= *missed >= LEASE - 3;
        }
        for index in 0..WORKERS {
            self.turn(index, |fleet, index, worker| {
                worker.host.inner.advance(ROUND);
                if fleet.random.below(20) == 0 {
                    let jump = Duration::from_secs(fleet.random.below(7200));
                    worker.host.inner.set(Timestamp::from_unix(jump));
                }
                worker.stalled = worker.stalled.saturating_sub(1);
                if worker.stalled == 0 {
                    let stuck = fleet.stuck.get();
                    worker.quotas.on_tick();
                    if fleet.stuck.get() == stuck {
                        fleet.missed.borrow_mut()[index] = 0;
                        fleet.doubtful.borrow_mut()[index] = false;
                    }
                }
            });
        }
    }

    /// What the table says of each user, by any worker.
    fn held(&self) -> [u64; USERS.len()] {
        let workers = self.workers.borrow();
        let quotas = &workers[0].as_ref().unwrap().quotas;
        std::array::from_fn(|user| quotas.held(subject(quotas, user)).unwrap())
    }

    fn open(&self) -> [u64; USERS.len()] {
        let upstream = self.upstream.borrow();
        std::array::from_fn(|user| upstream.iter().map(|open| open[user]).sum())
    }

    /// What all workers hold, and what the table says of it.
    fn held_bytes(&self) -> (u64, Option<u64>) {
        let workers = self.workers.borrow();
        let held = workers.iter().flatten().map(|worker| worker.held_bytes).sum();
        (held, workers[0].as_ref().unwrap().quotas.held_bytes())
    }

    /// All that is wrong has been mended: the table says what there is, and
    /// when all has ended, nothing is left in it.
    pub fn settles(self: &Rc<Self>) {
        self.busy.set(false);
        self.traps.set(false);
        self.stalls.set(false);
        (0..=LEASE * 3 + 10).for_each(|_| self.round());
        assert_eq!(self.held(), self.open());
        let (held, told) = self.held_bytes();
        assert_eq!(told, Some(held));
        for index in 0..WORKERS {
            self.turn(index, |fleet, index, worker| {
                worker.open.clear();
                worker.hold(0);
                fleet.upstream.borrow_mut()[index] = Default::default();
            });
        }
        (0..=10).for_each(|_| self.round());
        let keys = self.shared.shared_keys();
        assert_eq!(keys.len(), 2305);
        for key in keys.iter().filter(|key| !key.ends_with("members")) {
            assert_eq!(self.shared.load(key).unwrap().0, [1], "an entry lives on in {key}");
        }
    }
}

fn subject(quotas: &Quotas, user: usize) -> Subject {
    quotas.subject(Scope::Policy("chat"), Dimension::User(USERS[user]))
}

impl SharedData for Interleaved {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        if let Some(fleet) = self.fleet.upgrade() {
            fleet.between(INTERLEAVED_LOADS);
        }
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<(), CasMismatch> {
        let fleet = self.fleet.upgrade();
        if let Some(fleet) = &fleet {
            fleet.between(INTERLEAVED_STORES);
        }
        let done = self.inner.store(key, value, cas);
        if let Some(fleet) = &fleet {
            fleet.mismatches.set(fleet.mismatches.get() + u64::from(done.is_err()));
            fleet.trap();
        }
        done
    }
}

impl Clock for Interleaved {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }
}
