//! The in-process host: a clock that tests set, a log and metrics that they
//! read, and no native signatures.

use super::{Clock, Hash, Level, Log, MetricId, MetricKind, Metrics, Signatures, Timestamp};
use std::cell::{Cell, RefCell};
use std::time::Duration;

/// A metric as the in-process host keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Counter, gauge or histogram.
    pub kind: MetricKind,
    /// The full name, labels included.
    pub name: String,
    /// Sum of a counter, value of a gauge, number of records of a histogram.
    pub value: i64,
}

/// Answers every trait of [`super`] inside the process.
#[derive(Debug)]
pub struct MemoryHost {
    now: Cell<Timestamp>,
    lines: RefCell<Vec<(Level, String)>>,
    metrics: RefCell<Vec<Metric>>,
}

impl MemoryHost {
    /// A host whose clock stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { now: Cell::new(now), lines: RefCell::default(), metrics: RefCell::default() }
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let now = self.now.get().since_epoch().saturating_add(by);
        self.now.set(Timestamp::from_unix(now));
    }

    /// Sets the clock, also back.
    pub fn set(&self, now: Timestamp) {
        self.now.set(now);
    }

    /// Takes the lines logged so far.
    pub fn take_lines(&self) -> Vec<(Level, String)> {
        self.lines.take()
    }

    /// Value of the metric with this full name; 0 when nobody defined it.
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

impl Clock for MemoryHost {
    fn now(&self) -> Timestamp {
        self.now.get()
    }
}

impl Log for MemoryHost {
    fn write(&self, level: Level, line: &str) {
        self.lines.borrow_mut().push((level, line.to_owned()));
    }
}

impl Metrics for MemoryHost {
    fn define(&self, kind: MetricKind, name: &str) -> MetricId {
        let mut metrics = self.metrics.borrow_mut();
        let index = metrics.iter().position(|m| m.name == name).unwrap_or_else(|| {
            metrics.push(Metric { kind, name: name.to_owned(), value: 0 });
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

impl Signatures for MemoryHost {
    fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}
