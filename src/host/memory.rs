//! The in-process host: a clock that tests set, a log and metrics that they
//! read, shared data as Envoy keeps it, and no native signatures.

use super::{
    Call, CallId, Calls, Cas, CasMismatch, Clock, Hash, Level, Log, MetricId, MetricKind, Metrics,
    NotCalled, SharedData, Signatures, Timestamp,
};
use crate::metric::Series;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::rc::Rc;
use std::time::Duration;

/// A metric as the in-process host keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// Name and labels, as Prometheus shows them.
    pub name: String,
    /// Sum of a counter, value of a gauge, number of records of a histogram.
    pub value: i64,
}

/// Answers every trait of [`super`] inside the process.
#[derive(Debug)]
pub struct MemoryHost {
    now: Cell<Timestamp>,
    monotonic: Cell<Duration>,
    shared: Rc<RefCell<Shared>>,
    lines: RefCell<Vec<(Level, String)>>,
    least_level: Cell<Level>,
    metrics: RefCell<Vec<Metric>>,
    calls: RefCell<Vec<(CallId, Call)>>,
    called: Cell<u32>,
    unreachable: Cell<bool>,
}

impl MemoryHost {
    /// A host whose clock stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self {
            now: Cell::new(now),
            monotonic: Cell::default(),
            shared: Rc::default(),
            lines: RefCell::default(),
            least_level: Cell::new(Level::Info),
            metrics: RefCell::default(),
            calls: RefCell::default(),
            called: Cell::default(),
            unreachable: Cell::default(),
        }
    }

    /// The host of another worker of the same process: shared data is the same,
    /// all else its own.
    #[must_use]
    pub fn beside(&self) -> Self {
        let beside = Self { shared: Rc::clone(&self.shared), ..Self::at(self.now.get()) };
        beside.monotonic.set(self.monotonic.get());
        beside
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let now = self.now.get().since_epoch().saturating_add(by);
        self.now.set(Timestamp::from_unix(now));
        self.monotonic.set(self.monotonic.get().saturating_add(by));
    }

    /// The keys of shared data, in order.
    #[must_use]
    pub fn shared_keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.shared.borrow().values.keys().cloned().collect();
        keys.sort_unstable();
        keys
    }

    /// Sets the clock, also back.
    pub fn set(&self, now: Timestamp) {
        self.now.set(now);
    }

    /// Takes the lines logged so far.
    pub fn take_lines(&self) -> Vec<(Level, String)> {
        self.lines.take()
    }

    /// Leaves out lines that are quieter than this from now on.
    pub fn set_least_level(&self, level: Level) {
        self.least_level.set(level);
    }

    /// Takes the calls made so far; nobody but the test answers them.
    pub fn take_calls(&self) -> Vec<(CallId, Call)> {
        self.calls.take()
    }

    /// Whether calls are refused, as by an Envoy without the cluster.
    pub fn set_unreachable(&self, unreachable: bool) {
        self.unreachable.set(unreachable);
    }

    /// Value of the metric that Prometheus shows so,
    /// `wsguard_connections{policy="chat"}` say; 0 when it was not defined.
    #[must_use]
    pub fn metric(&self, name: &str) -> i64 {
        self.metrics.borrow().iter().find(|m| m.name == name).map_or(0, |m| m.value)
    }

    /// Everything that was defined, in that order.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        self.metrics.borrow().clone()
    }

    fn change(&self, id: MetricId, change: impl FnOnce(&mut Metric)) {
        let index = usize::try_from(id.0).unwrap_or(usize::MAX);
        if let Some(metric) = self.metrics.borrow_mut().get_mut(index) {
            change(metric);
        }
    }
}

/// What the workers of a process share. As in Envoy, versions count over all
/// keys and are never 0.
#[derive(Debug, Default)]
struct Shared {
    values: HashMap<String, (Vec<u8>, NonZeroU32)>,
    last_cas: u32,
}

impl Clock for MemoryHost {
    fn now(&self) -> Timestamp {
        self.now.get()
    }

    fn monotonic(&self) -> Duration {
        self.monotonic.get()
    }
}

impl SharedData for MemoryHost {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        let shared = self.shared.borrow();
        let (value, cas) = shared.values.get(key)?;
        Some((value.clone(), Cas(*cas)))
    }

    fn store(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<(), CasMismatch> {
        let mut shared = self.shared.borrow_mut();
        let current = shared.values.get(key).map(|(_, current)| *current);
        if let (Some(current), Some(Cas(read))) = (current, cas)
            && current != read
        {
            return Err(CasMismatch);
        }
        shared.last_cas = shared.last_cas.checked_add(1).unwrap_or(1);
        let next = NonZeroU32::new(shared.last_cas).unwrap_or(NonZeroU32::MIN);
        shared.values.insert(key.to_owned(), (value.to_vec(), next));
        Ok(())
    }
}

impl Log for MemoryHost {
    fn write(&self, level: Level, line: &str) {
        if self.writes(level) {
            self.lines.borrow_mut().push((level, line.to_owned()));
        }
    }

    fn writes(&self, level: Level) -> bool {
        level >= self.least_level.get()
    }
}

impl Metrics for MemoryHost {
    fn define(&self, series: Series<'_>) -> MetricId {
        let mut metrics = self.metrics.borrow_mut();
        let name = series.to_string();
        let index = metrics.iter().position(|m| m.name == name).unwrap_or_else(|| {
            metrics.push(Metric { kind: series.family.kind(), name, value: 0 });
            metrics.len() - 1
        });
        MetricId(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn add(&self, id: MetricId, offset: i64) {
        self.change(id, |metric| metric.value += offset);
    }

    fn record(&self, id: MetricId, value: u64) {
        self.change(id, |metric| {
            metric.value = match metric.kind {
                MetricKind::Histogram => metric.value + 1,
                MetricKind::Counter | MetricKind::Gauge => i64::try_from(value).unwrap_or(i64::MAX),
            };
        });
    }
}

impl Calls for MemoryHost {
    fn call(&self, call: &Call) -> Result<CallId, NotCalled> {
        if self.unreachable.get() {
            return Err(NotCalled);
        }
        let id = CallId(self.called.get() + 1);
        self.called.set(id.0);
        self.calls.borrow_mut().push((id, call.clone()));
        Ok(id)
    }
}

impl Signatures for MemoryHost {
    fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (MemoryHost, MemoryHost) {
        let one = MemoryHost::at(Timestamp::default());
        let other = one.beside();
        (one, other)
    }

    /// The rules of proxy-wasm-cpp-host's `SharedData`, which the end-to-end
    /// tests meet in Envoy.
    #[test]
    fn a_value_is_set_only_over_the_one_that_was_read() {
        let (one, other) = two();
        assert_eq!(one.load("k"), None);
        one.store("k", b"1", None).unwrap();
        let (value, read) = other.load("k").unwrap();
        assert_eq!(value, b"1");
        one.store("k", b"2", Some(read)).unwrap();
        assert_eq!(other.store("k", b"3", Some(read)), Err(CasMismatch), "the same bytes or not");
        assert_eq!(one.load("k").unwrap().0, b"2");
    }

    #[test]
    fn the_same_bytes_set_again_are_another_version() {
        let (one, other) = two();
        one.store("k", b"1", None).unwrap();
        let (_, read) = other.load("k").unwrap();
        one.store("k", b"2", Some(read)).unwrap();
        let (_, again) = one.load("k").unwrap();
        one.store("k", b"1", Some(again)).unwrap();
        assert_eq!(other.store("k", b"3", Some(read)), Err(CasMismatch));
    }

    #[test]
    fn without_a_version_a_value_is_overwritten() {
        let (one, other) = two();
        one.store("k", b"1", None).unwrap();
        other.store("k", b"2", None).unwrap();
        assert_eq!(one.load("k").unwrap().0, b"2");
    }

    #[test]
    fn an_absent_key_takes_any_version() {
        let (one, _) = two();
        one.store("a", b"1", None).unwrap();
        let (_, cas) = one.load("a").unwrap();
        one.store("b", b"2", Some(cas)).unwrap();
        assert_eq!(one.load("b").unwrap().0, b"2");
    }

    #[test]
    fn the_wall_clock_jumps_and_the_monotonic_one_does_not() {
        let (one, _) = two();
        one.advance(Duration::from_secs(10));
        one.set(Timestamp::from_unix(Duration::from_secs(3)));
        assert_eq!(one.monotonic(), Duration::from_secs(10));
    }
}
