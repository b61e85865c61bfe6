//! What others do in the middle of a taking.

use super::*;
use crate::host::{Cas, CasMismatch, Clock};
use std::cell::Cell;

/// A worker's host on which something else happens before one of its calls to
/// shared data.
struct Interrupted {
    inner: MemoryHost,
    /// Calls until then.
    calls: Cell<u32>,
    what: RefCell<Option<Box<dyn FnOnce()>>>,
}

impl Interrupted {
    fn call(&self) {
        let calls = self.calls.get();
        self.calls.set(calls.saturating_sub(1));
        if calls == 0
            && let Some(what) = self.what.take()
        {
            what();
        }
    }
}

impl SharedData for Interrupted {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        self.call();
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<(), CasMismatch> {
        self.call();
        self.inner.store(key, value, cas)
    }
}

impl Clock for Interrupted {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }
}

/// Another worker takes the last place before each of the calls that a taking
/// makes: one of the two gets it.
fn one_gets_it(another: fn(&mut Process) -> Rc<Quotas>) {
    let mut points = 0;
    for point in 0.. {
        let mut process = Process::new();
        let host = Rc::new(Interrupted {
            inner: process.first.beside(),
            calls: Cell::new(u32::MAX),
            what: RefCell::default(),
        });
        let one = Quotas::open(Rc::clone(&host) as Rc<dyn Common>, Salt([1; 16]));
        one.on_tick();
        let (other, others) = (another(&mut process), Rc::new(RefCell::default()));
        let slot = Rc::clone(&others);
        host.what.replace(Some(Box::new(move || {
            slot.replace(take(&other, 1).ok());
        })));
        host.calls.set(point);
        let ours = take(&one, 1).ok();
        if host.what.take().is_some() {
            // It makes no more calls than that.
            break;
        }
        points += 1;
        let theirs = others.take();
        assert!(ours.is_some() != theirs.is_some(), "at call {point}: {ours:?}, {theirs:?}");
        assert_eq!(one.held(subject(&one)), Some(1), "at call {point}");
    }
    assert!(points >= 3, "{points} calls");
}

#[test]
fn whoever_joins_and_takes_in_the_middle_of_anothers_taking_is_counted() {
    one_gets_it(Process::worker);
}

#[test]
fn whoever_is_there_and_takes_in_the_middle_of_anothers_taking_is_counted() {
    one_gets_it(|process| {
        let other = process.worker();
        other.on_tick();
        other
    });
}
