//! One worker does everything that is counted, and its VM traps at one point of
//! it: before a call of shared data, or behind it, before it has heard. Each
//! point in turn; whatever it was, what the others count is right.
//!
//! Nobody else runs meanwhile, so between two stores all loads are one point.

use super::rules;
use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::rc::Rc;
use std::time::Duration;
use wsguard::host::memory::MemoryHost;
use wsguard::host::{Cas, CasMismatch, Clock, SharedData, Timestamp};
use wsguard::quota::bans::{Strike, Suspect};
use wsguard::quota::rate::{ConnectionRates, Load, Moment, Rate, Rates};
use wsguard::quota::{Dimension, Network, Permit, Quotas, Salt, Scope, Subject};
use wsguard::reason::Reason;

const ROUND: Duration = Duration::from_millis(500);
const PERIOD: Duration = Duration::from_secs(60);
const DURATION: Duration = Duration::from_secs(900);
/// Of connections, handshakes, messages and strikes alike.
const LIMIT: u64 = 5;

/// What unwinds out of the trapped worker.
struct Trap;

/// A host that traps its worker's VM at a point.
struct Doomed {
    inner: MemoryHost,
    /// Points until then.
    left: Cell<u32>,
    /// Nothing was loaded since the last store.
    fresh: Cell<bool>,
}

impl Doomed {
    fn point(&self) {
        let left = self.left.get();
        self.left.set(left.saturating_sub(1));
        if left == 1 {
            resume_unwind(Box::new(Trap));
        }
    }
}

impl SharedData for Doomed {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        if self.fresh.replace(false) {
            self.point();
        }
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<(), CasMismatch> {
        self.point();
        let done = self.inner.store(key, value, cas);
        self.point();
        self.fresh.set(true);
        done
    }
}

impl Clock for Doomed {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }
}

const ADDRESS: [u8; 4] = [192, 0, 2, 1];

fn suspect() -> Suspect<'static> {
    Suspect::Address(Some(IpAddr::from(ADDRESS)), 64)
}

/// What somebody has got.
#[derive(Default)]
struct Got {
    connections: Vec<Permit>,
    handshakes: u64,
    messages: u64,
    strikes: u64,
    banned: bool,
}

fn connections(quotas: &Quotas) -> [Subject; 2] {
    let network = Network::of(Some(IpAddr::from(ADDRESS)), 64);
    let address = quotas.subject(Scope::Policy("chat"), Dimension::Address(network));
    [address, quotas.subject(Scope::Document, Dimension::Total)]
}

fn connect(quotas: &Rc<Quotas>, got: &RefCell<Got>) -> bool {
    let mut permit = Permit::empty(Rc::clone(quotas));
    let taken = permit.take(&connections(quotas).map(|subject| (subject, LIMIT))).is_ok();
    if taken {
        permit.count(quotas.subject(Scope::Policy("chat"), Dimension::Open));
        got.borrow_mut().connections.push(permit);
    }
    taken
}

fn handshake(quotas: &Quotas, got: &RefCell<Got>) -> bool {
    let network = Network::of(Some(IpAddr::from(ADDRESS)), 64);
    let rate = Rate::new(LIMIT, PERIOD).unwrap();
    let taken = quotas.take_handshake("chat", rate, network).is_ok();
    got.borrow_mut().handshakes += u64::from(taken);
    taken
}

/// By the rates of an address and a user, of messages and of bytes.
fn message(quotas: &Quotas, got: &RefCell<Got>) -> bool {
    let rate = |limit| Rate::new(limit, PERIOD);
    let messages = Rates { per_ip: rate(LIMIT), per_user: rate(LIMIT), ..Rates::default() };
    let bytes = Rates { per_user: rate(1_000), ..Rates::default() };
    let rates = rules::of_clients(&messages, &bytes);
    let client = rules::client(IpAddr::from(ADDRESS), "ann");
    let connection = (&mut ConnectionRates::default(), &mut Moment::default());
    let taken = quotas.take_message(rates, client, connection, Load::message(10)).is_ok();
    got.borrow_mut().messages += u64::from(taken);
    taken
}

/// Whether it bans.
fn strike(quotas: &Quotas, got: &RefCell<Got>) -> bool {
    let rules = rules::bans(LIMIT, PERIOD, DURATION);
    let reason = Reason::CredentialsInvalid;
    let strike = Strike { policy: "chat", rules: &rules, report: false, reason };
    let banned = quotas.strike(strike, suspect());
    let mut got = got.borrow_mut();
    got.strikes += 1;
    got.banned |= banned;
    banned
}

/// All of it, in the order of a connection's life.
fn everything(quotas: &Rc<Quotas>, got: &RefCell<Got>, strikes: u64) {
    assert!(quotas.banned(suspect(), false).is_none());
    for _ in 0..2 {
        assert!(handshake(quotas, got));
        assert!(connect(quotas, got));
    }
    quotas.hold_bytes(0, 700);
    for _ in 0..3 {
        assert!(message(quotas, got));
    }
    quotas.hold_bytes(700, 300);
    assert!(quotas.take_line("chat").is_ok());
    for _ in 0..strikes {
        strike(quotas, got);
    }
    // It ends at upstream, and the next callback tells the others.
    drop(got.borrow_mut().connections.pop());
    quotas.settle();
    quotas.on_tick();
}

/// What another worker gets right afterwards is what is left, or one less: what
/// the trap came upon in the middle may count, and nobody has got it.
fn what_is_left(other: &Rc<Quotas>, got: &Got, at: u32) {
    let rest = RefCell::new(Got::default());
    while connect(other, &rest) {}
    while handshake(other, &rest) {}
    while message(other, &rest) {}
    let told = got.banned.then(|| other.banned(suspect(), false));
    assert!(told.is_none_or(|told| told.is_some()), "at {at}: a ban that was told stands");
    if other.banned(suspect(), false).is_none() {
        while !strike(other, &rest) {}
    }
    let rest = rest.into_inner();
    let open = got.connections.len() + rest.connections.len();
    assert!([LIMIT, LIMIT - 1].contains(&(open as u64)), "at {at}: {open} open");
    for (first, second) in [(got.handshakes, rest.handshakes), (got.messages, rest.messages)] {
        let sum = first + second;
        assert!([LIMIT, LIMIT - 1].contains(&sum), "at {at}: {first} and {second}");
    }
    if rest.banned {
        let sum = got.strikes + rest.strikes;
        assert!([LIMIT, LIMIT - 1].contains(&sum), "at {at}: {sum}");
    }
    let banned = other.banned(suspect(), false).expect("now at last");
    assert!(banned.remaining <= DURATION);
    drop(rest);
    other.settle();
}

/// After the lease nothing counts of what the dead held, and when all periods
/// are over nothing is left.
fn nothing_lives_on(shared: &MemoryHost, (host, other): (&MemoryHost, &Rc<Quotas>), at: u32) {
    for _ in 0..=11 {
        host.advance(ROUND);
        other.on_tick();
    }
    for subject in connections(other) {
        assert_eq!(other.held(subject), Some(0), "at {at}");
    }
    let open = other.subject(Scope::Policy("chat"), Dimension::Open);
    assert_eq!((other.held(open), other.held_bytes()), (Some(0), Some(0)), "at {at}");
    host.advance(DURATION);
    for _ in 0..40 {
        host.advance(ROUND);
        other.on_tick();
    }
    assert_eq!(other.bans_active(), 0, "at {at}");
    for key in shared.shared_keys().iter().filter(|key| !key.ends_with("members")) {
        assert_eq!(shared.load(key).unwrap().0, [1], "an entry lives on in {key}, at {at}");
    }
}

/// Whether there is such a point.
fn trap_at(at: u32, strikes: u64) -> bool {
    let shared = MemoryHost::at(Timestamp::default());
    let _ = Quotas::open(Rc::new(shared.beside()), Salt([1; 16]));
    let host = Rc::new(shared.beside());
    let other = Quotas::open(Rc::clone(&host) as _, Salt([2; 16]));
    other.on_tick();
    let doomed =
        Rc::new(Doomed { inner: shared.beside(), left: Cell::new(0), fresh: Cell::default() });
    let quotas = Quotas::open(Rc::clone(&doomed) as _, Salt([3; 16]));
    let got = RefCell::new(Got::default());
    doomed.left.set(at);
    doomed.fresh.set(true);
    let done = catch_unwind(AssertUnwindSafe(|| everything(&quotas, &got, strikes)));
    let trapped = match done {
        Ok(()) => false,
        Err(cause) if cause.is::<Trap>() => true,
        Err(cause) => resume_unwind(cause),
    };
    let mut got = got.into_inner();
    what_is_left(&other, &got, at);
    // Its VM is gone, and tells nobody.
    got.connections.drain(..).for_each(std::mem::forget);
    std::mem::forget(quotas);
    nothing_lives_on(&shared, (&host, &other), at);
    trapped
}

#[test]
fn a_trap_at_any_point_leaves_counts_right_and_nothing_behind() {
    for strikes in [LIMIT - 2, LIMIT] {
        let points = (1..).take_while(|at| trap_at(*at, strikes)).count();
        assert!(points > 40, "{points} points");
    }
}
