//! Counts the events of one worker in the metrics of [`crate::metric`]. A label that does
//! not apply is left out.

use crate::config::Config;
use crate::frame::Sender;
use crate::host::{MetricId, Metrics};
use crate::inspect::Action;
use crate::metric::{Family, Label, Series};
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

/// Labels of `wsguard_violations_total`: the policy and the rule by their places.
pub(super) type ViolationLabels = (usize, Sender, Reason, Action, Option<usize>);

/// Labels of `wsguard_closes_total`.
pub(super) type CloseLabels = (usize, Option<CloseLabel>, Option<EndedBy>);

/// The close code of a WebSocket, as far as metrics tell codes apart: there are as
/// many as clients like to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum CloseLabel {
    /// One that wsguard itself may send, or that says how most connections end.
    Code(u16),
    /// Another one, by its first digit.
    Class(u16),
}

impl CloseLabel {
    /// RFC 6455 §7.4.1: a Close without a code.
    pub(crate) const NO_STATUS: Self = Self::Class(1);
    /// No Close came (RFC 6455 §7.1.5).
    pub(crate) const ABNORMAL: Self = Self::Code(1006);

    /// Of the code in a Close.
    pub(crate) fn of(code: u16) -> Self {
        let ours = || Reason::ALL.iter().any(|reason| reason.close_code() == Some(code));
        let usual = matches!(code, 1000 | 1001 | 1006 | 1011);
        if usual || ours() { Self::Code(code) } else { Self::Class(code / 1000) }
    }
}

impl std::fmt::Display for CloseLabel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::Class(class) => write!(f, "{class}xxx"),
        }
    }
}

/// The side that ended a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EndedBy {
    /// One of its ends.
    Peer(Sender),
    /// The filter.
    Wsguard,
}

impl EndedBy {
    /// Name in events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Peer(sender) => sender.name(),
            Self::Wsguard => "wsguard",
        }
    }
}

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
    closes: RefCell<HashMap<CloseLabels, MetricId>>,
}

#[derive(Debug)]
struct PolicyMetrics {
    connections: MetricId,
    handshake_us: MetricId,
    connection_seconds: MetricId,
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
            buffered_bytes: define(host, Family::BufferedBytes, &[]),
            table_fill: define(host, Family::TableFill, &[]),
            bans_active: define(host, Family::BansActive, &[]),
            handshakes: RefCell::default(),
            violations: RefCell::default(),
            closes: RefCell::default(),
        }
    }

    pub(super) fn handshake(&self, config: &Config, host: &dyn Metrics, labels: HandshakeLabels) {
        let mut known = self.handshakes.borrow_mut();
        let id = known.entry(labels).or_insert_with(|| {
            let (policy, result, reason) = labels;
            let values = [
                (Label::Policy, policy.and_then(|index| name_of(config, index))),
                (Label::Result, Some(result.name())),
                (Label::Reason, reason.map(Reason::name)),
            ];
            define(host, Family::HandshakesTotal, &values)
        });
        host.add(*id, 1);
    }

    pub(super) fn violation(&self, config: &Config, host: &dyn Metrics, labels: ViolationLabels) {
        let mut known = self.violations.borrow_mut();
        let id = known.entry(labels).or_insert_with(|| {
            let (policy, sender, reason, action, rule) = labels;
            let rules = config.policies.get(policy).map(|policy| policy.messages(sender));
            let rules = rules.and_then(|rules| rules.rules.as_ref());
            let values = [
                (Label::Policy, name_of(config, policy)),
                (Label::Direction, Some(sender.name())),
                (Label::Reason, Some(reason.name())),
                (Label::Action, Some(action.name())),
                (Label::Rule, rules.and_then(|rules| Some(rules.name(rule?)))),
            ];
            define(host, Family::ViolationsTotal, &values)
        });
        host.add(*id, 1);
    }

    /// A WebSocket has ended that was open for so long.
    pub(super) fn closed(
        &self,
        config: &Config,
        host: &dyn Metrics,
        labels: CloseLabels,
        open_seconds: u64,
    ) {
        let (policy, code, by) = labels;
        let mut known = self.closes.borrow_mut();
        let id = known.entry(labels).or_insert_with(|| {
            let code = code.map(|code| code.to_string());
            let values = [
                (Label::Policy, name_of(config, policy)),
                (Label::Code, code.as_deref()),
                (Label::By, by.map(EndedBy::name)),
            ];
            define(host, Family::ClosesTotal, &values)
        });
        host.add(*id, 1);
        if let Some(metrics) = self.policies.get(policy) {
            host.record(metrics.connection_seconds, open_seconds);
        }
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
        let of_policy = |family| define(host, family, &[(Label::Policy, Some(policy))]);
        Self {
            connections: of_policy(Family::Connections),
            handshake_us: of_policy(Family::HandshakeUs),
            connection_seconds: of_policy(Family::ConnectionSeconds),
            client: FlowMetrics::define(policy, Sender::Client, host),
            server: FlowMetrics::define(policy, Sender::Server, host),
        }
    }
}

impl FlowMetrics {
    fn define(policy: &str, sender: Sender, host: &dyn Metrics) -> Self {
        let labels = [(Label::Policy, Some(policy)), (Label::Direction, Some(sender.name()))];
        let counter =
            |family| Counter { id: define(host, family, &labels), gathered: Cell::default() };
        Self {
            messages_total: counter(Family::MessagesTotal),
            bytes_total: counter(Family::BytesTotal),
            message_bytes: Histogram {
                id: define(host, Family::MessageBytes, &labels),
                gathered: RefCell::new(Vec::with_capacity(GATHERED_VALUES)),
            },
        }
    }
}

fn name_of(config: &Config, policy: usize) -> Option<&str> {
    config.policies.get(policy).map(|policy| policy.name.as_str())
}

/// Makes a metric known with those of its labels that have a value.
fn define(host: &dyn Metrics, family: Family, labels: &[(Label, Option<&str>)]) -> MetricId {
    let labels: Vec<(Label, &str)> = labels
        .iter()
        .filter_map(|(label, value)| Some((*label, value.filter(|value| !value.is_empty())?)))
        .collect();
    host.define(Series { family, labels: &labels })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever codes clients send, there are few labels.
    #[test]
    fn close_codes_are_told_apart_as_far_as_metrics_can_bear() {
        let label = |code| CloseLabel::of(code).to_string();
        for exact in [1000, 1001, 1002, 1006, 1007, 1008, 1009, 1011, 1013] {
            assert_eq!(label(exact), exact.to_string());
        }
        for (code, class) in [(1005, "1xxx"), (1010, "1xxx"), (3000, "3xxx"), (4999, "4xxx")] {
            assert_eq!(label(code), class);
        }
        let all: std::collections::BTreeSet<_> = (1000..5000).map(label).collect();
        assert!(all.len() < 20, "{all:?}");
    }
}
