//! The metrics of the contract. A metric's labels stand in its Envoy name as
//! `.label.value`, from which `stats_tags` make labels; one that does not apply
//! is left out.

use crate::config::Config;
use crate::frame::Sender;
use crate::host::{MetricId, MetricKind, Metrics};
use crate::inspect::Action;
use crate::reason::Reason;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// How an opening handshake ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HandshakeResult {
    /// Upstream accepted, the WebSocket is open.
    Accepted,
    /// wsguard refused.
    Refused,
    /// wsguard would have refused, were its mode not report.
    Reported,
    /// Upstream itself answered with another status than 101.
    Upstream,
    /// The client left before upstream had answered.
    Abandoned,
}

impl HandshakeResult {
    const fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused => "refused",
            Self::Reported => "reported",
            Self::Upstream => "upstream",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Labels of `wsguard_handshakes_total`; the policy by its place.
type HandshakeLabels = (Option<usize>, HandshakeResult, Option<Reason>);

/// Labels of `wsguard_violations_total`.
type ViolationLabels = (usize, Sender, Reason, Action);

/// Ids of everything that is counted: those of the good path are looked up
/// once, the others when they are first needed.
#[derive(Debug)]
pub(super) struct MetricTable {
    policies: Vec<PolicyMetrics>,
    buffered_bytes: MetricId,
    table_fill: MetricId,
    bans_active: MetricId,
    handshakes: RefCell<HashMap<HandshakeLabels, MetricId>>,
    violations: RefCell<HashMap<ViolationLabels, MetricId>>,
}

#[derive(Debug)]
struct PolicyMetrics {
    connections: MetricId,
    handshake_us: MetricId,
    client: FlowMetrics,
    server: FlowMetrics,
}

#[derive(Debug)]
struct FlowMetrics {
    messages_total: Counter,
    bytes_total: Counter,
    message_bytes: Histogram,
}

/// A counter of what goes by. Every chunk counts, and a call to the host costs as
/// much as reading a small message, so the host is told on the next tick.
#[derive(Debug)]
struct Counter {
    id: MetricId,
    gathered: Cell<u64>,
}

impl Counter {
    fn add(&self, count: u64) {
        self.gathered.set(self.gathered.get().saturating_add(count));
    }

    fn tell(&self, host: &dyn Metrics) {
        let gathered = self.gathered.take();
        if gathered > 0 {
            host.add(self.id, i64::try_from(gathered).unwrap_or(i64::MAX));
        }
    }
}

/// A histogram of what goes by, told likewise, or when as many values have
/// gathered as are kept.
#[derive(Debug)]
struct Histogram {
    id: MetricId,
    gathered: RefCell<Vec<u64>>,
}

/// Values of a histogram that are kept until they are told.
const GATHERED_VALUES: usize = 64;

impl Histogram {
    fn record(&self, host: &dyn Metrics, value: u64) {
        let mut gathered = self.gathered.borrow_mut();
        gathered.push(value);
        if gathered.len() >= GATHERED_VALUES {
            self.record_all(host, &mut gathered);
        }
    }

    fn tell(&self, host: &dyn Metrics) {
        self.record_all(host, &mut self.gathered.borrow_mut());
    }

    fn record_all(&self, host: &dyn Metrics, gathered: &mut Vec<u64>) {
        for value in gathered.drain(..) {
            host.record(self.id, value);
        }
    }
}

impl MetricTable {
    pub(super) fn define(config: &Config, host: &dyn Metrics) -> Self {
        let policies = config.policies.iter().map(|p| PolicyMetrics::define(&p.name, host));
        Self {
            policies: policies.collect(),
            buffered_bytes: host.define(MetricKind::Gauge, "wsguard_buffered_bytes"),
            table_fill: host.define(MetricKind::Gauge, "wsguard_table_fill"),
            bans_active: host.define(MetricKind::Gauge, "wsguard_bans_active"),
            handshakes: RefCell::default(),
            violations: RefCell::default(),
        }
    }

    pub(super) fn handshake(&self, config: &Config, host: &dyn Metrics, labels: HandshakeLabels) {
        let mut known = self.handshakes.borrow_mut();
        let id = known.entry(labels).or_insert_with(|| {
            let (policy, result, reason) = labels;
            let mut name = "wsguard_handshakes_total".to_owned();
            if let Some(policy) = policy.and_then(|index| config.policies.get(index)) {
                label(&mut name, "policy", &policy.name);
            }
            label(&mut name, "result", result.name());
            if let Some(reason) = reason {
                label(&mut name, "reason", reason.name());
            }
            host.define(MetricKind::Counter, &name)
        });
        host.add(*id, 1);
    }

    pub(super) fn violation(&self, config: &Config, host: &dyn Metrics, labels: ViolationLabels) {
        let mut known = self.violations.borrow_mut();
        let id = known.entry(labels).or_insert_with(|| {
            let (policy, sender, reason, action) = labels;
            let mut name = "wsguard_violations_total".to_owned();
            if let Some(policy) = config.policies.get(policy) {
                label(&mut name, "policy", &policy.name);
            }
            label(&mut name, "direction", sender.name());
            label(&mut name, "reason", reason.name());
            label(&mut name, "action", action.name());
            host.define(MetricKind::Counter, &name)
        });
        host.add(*id, 1);
    }

    pub(super) fn opened(&self, host: &dyn Metrics, policy: usize, handshake_us: u64) {
        if let Some(metrics) = self.policies.get(policy) {
            host.record(metrics.handshake_us, handshake_us);
        }
    }

    pub(super) fn message(&self, host: &dyn Metrics, policy: usize, sender: Sender, bytes: u64) {
        if let Some(metrics) = self.flow(policy, sender) {
            metrics.message_bytes.record(host, bytes);
        }
    }

    /// Gathers what [`Self::tell_gathered`] tells.
    pub(super) fn chunk(&self, policy: usize, sender: Sender, messages: u64, bytes: u64) {
        if let Some(metrics) = self.flow(policy, sender) {
            metrics.messages_total.add(messages);
            metrics.bytes_total.add(bytes);
        }
    }

    /// Tells the host what has gathered since the last time.
    pub(super) fn tell_gathered(&self, host: &dyn Metrics) {
        for flow in self.policies.iter().flat_map(|policy| [&policy.client, &policy.server]) {
            flow.messages_total.tell(host);
            flow.bytes_total.tell(host);
            flow.message_bytes.tell(host);
        }
    }

    /// What all workers hold.
    pub(super) fn buffered(&self, host: &dyn Metrics, bytes: u64) {
        host.record(self.buffered_bytes, bytes);
    }

    /// What is open over all workers.
    pub(super) fn connections(&self, host: &dyn Metrics, policy: usize, open: u64) {
        if let Some(metrics) = self.policies.get(policy) {
            host.record(metrics.connections, open);
        }
    }

    /// How full the fullest part of the table of counts is, in percent.
    pub(super) fn table_fill(&self, host: &dyn Metrics, percent: u64) {
        host.record(self.table_fill, percent);
    }

    /// How many addresses and users are banned.
    pub(super) fn bans_active(&self, host: &dyn Metrics, count: u64) {
        host.record(self.bans_active, count);
    }

    fn flow(&self, policy: usize, sender: Sender) -> Option<&FlowMetrics> {
        let metrics = self.policies.get(policy)?;
        Some(match sender {
            Sender::Client => &metrics.client,
            Sender::Server => &metrics.server,
        })
    }
}

impl PolicyMetrics {
    fn define(policy: &str, host: &dyn Metrics) -> Self {
        let mut handshake_us = "wsguard_handshake_us".to_owned();
        label(&mut handshake_us, "policy", policy);
        let mut connections = "wsguard_connections".to_owned();
        label(&mut connections, "policy", policy);
        Self {
            connections: host.define(MetricKind::Gauge, &connections),
            handshake_us: host.define(MetricKind::Histogram, &handshake_us),
            client: FlowMetrics::define(policy, Sender::Client, host),
            server: FlowMetrics::define(policy, Sender::Server, host),
        }
    }
}

impl FlowMetrics {
    fn define(policy: &str, sender: Sender, host: &dyn Metrics) -> Self {
        let define = |kind, name: &str| {
            let mut name = name.to_owned();
            label(&mut name, "policy", policy);
            label(&mut name, "direction", sender.name());
            host.define(kind, &name)
        };
        let counter =
            |name| Counter { id: define(MetricKind::Counter, name), gathered: Cell::default() };
        Self {
            messages_total: counter("wsguard_messages_total"),
            bytes_total: counter("wsguard_bytes_total"),
            message_bytes: Histogram {
                id: define(MetricKind::Histogram, "wsguard_message_bytes"),
                gathered: RefCell::new(Vec::with_capacity(GATHERED_VALUES)),
            },
        }
    }
}

fn label(name: &mut String, key: &str, value: &str) {
    for part in [".", key, ".", value] {
        name.push_str(part);
    }
}
