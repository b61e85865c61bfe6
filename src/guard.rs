//! What one worker shares between its sessions: the checked document, the host,
//! the account of held bytes, metrics, and the cap on event lines.

use crate::auth::{Desk, Verifiers};
use crate::config::{Config, Mode, Policy};
use crate::event::Kind;
use crate::event::limiter::Limiter;
use crate::frame::Sender;
use crate::host::{CallAnswer, CallId, Host, Timestamp};
use crate::inspect::Action;
use crate::message::MessageRules;
use crate::message::budget::Budget;
use crate::quota::rate::{ConnectionRates, Load, MessageRates, Moment, RateClient, RateExceeded};
use crate::quota::{Network, Permit, Quotas, Salt, connections};
use crate::reason::Reason;
use crate::session::Scratch;
use metrics::{CloseLabels, MetricTable};
use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

mod bans;
mod held;
mod lines;
mod metrics;
pub mod succession;

pub(crate) use metrics::CloseLabel;
pub use metrics::{EndedBy, HandshakeResult};

/// The worker's scratch memory is given back when it has grown past this, in
/// bytes: a few large messages must not cost their size for ever.
const SCRATCH_KEPT_BYTES: usize = 256 << 10;

/// One document at work on one worker. A new document makes a new guard;
/// sessions stay with the one that admitted them.
pub struct Guard {
    config: Config,
    host: Rc<dyn Host>,
    metrics: MetricTable,
    /// One per policy, and one for what no policy matches.
    limiters: RefCell<Vec<Limiter>>,
    budget: Rc<Budget>,
    quotas: Rc<Quotas>,
    verifiers: Verifiers,
    /// Of the newest document, once there is a newer one.
    successor: RefCell<Weak<Guard>>,
    scratch: RefCell<Scratch>,
}

impl Guard {
    /// Puts a document to work by itself, as tests do: what it counts is hashed
    /// without a secret.
    #[must_use]
    pub fn new(config: Config, host: Rc<dyn Host>) -> Rc<Self> {
        let quotas = Quotas::open(Rc::<dyn Host>::clone(&host), Salt([0; 16]));
        Self::with_quotas(config, host, quotas)
    }

    /// Puts a document to work. All guards of a VM share its `quotas`.
    #[must_use]
    pub fn with_quotas(config: Config, host: Rc<dyn Host>, quotas: Rc<Quotas>) -> Rc<Self> {
        let (worker, address) = (config.buffered_per_worker_bytes, config.buffered_per_ip_bytes);
        Self::with_budget(config, host, quotas, Budget::with_limits(worker, address))
    }

    /// Puts a newer document to work in the place of this one. Both have one account of held
    /// bytes, whose limits are those of the newer document.
    #[must_use]
    pub fn replaced_by(&self, config: Config) -> Rc<Self> {
        let budget = Rc::clone(&self.budget);
        budget.set_limits(config.buffered_per_worker_bytes, config.buffered_per_ip_bytes);
        Self::with_budget(config, Rc::clone(&self.host), Rc::clone(&self.quotas), budget)
    }

    fn with_budget(
        config: Config,
        host: Rc<dyn Host>,
        quotas: Rc<Quotas>,
        budget: Rc<Budget>,
    ) -> Rc<Self> {
        let metrics = MetricTable::define(&config, &*host);
        let limiters = vec![Limiter::default(); config.policies.len() + 1];
        let auth = config.policies.iter().filter_map(|policy| policy.auth.as_ref());
        let verifiers = Verifiers::open(Rc::clone(&host), auth);
        Rc::new(Self {
            config,
            host,
            metrics,
            limiters: RefCell::new(limiters),
            budget,
            quotas,
            verifiers,
            successor: RefCell::default(),
            scratch: RefCell::default(),
        })
    }

    /// The document.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// To be called on every tick: tells what has gathered since the last one.
    pub fn on_tick(&self) {
        self.tell_quotas();
        self.metrics.tell_gathered(&*self.host);
        self.tell_buffered(self.buffered_bytes());
        self.tell_all_suppressed(self.now());
        self.scratch.borrow_mut().shrink(SCRATCH_KEPT_BYTES);
    }

    /// To be called when a newer document has taken its place, or that one's.
    pub fn succeed_by(&self, newer: &Rc<Self>) {
        self.successor.replace(Rc::downgrade(newer));
    }

    /// No document has taken its place after all.
    pub(crate) fn stand_alone(&self) {
        self.successor.replace(Weak::new());
    }

    /// Of the newest document, if that is another one.
    pub(crate) fn successor(&self) -> Option<Rc<Self>> {
        self.successor.borrow().upgrade()
    }

    /// To be called often, several times a second: what handshakes wait for.
    pub fn on_short_tick(&self) {
        self.verifiers.on_tick();
    }

    /// Hands over the answer of a call that was made on a tick; whether it was for
    /// keys, which any handshake may wait for.
    pub fn on_call_answer(&self, id: CallId, answer: &CallAnswer) -> bool {
        self.verifiers.on_answer(id, answer)
    }

    /// What credentials are verified with.
    pub(crate) const fn verifiers(&self) -> &Verifiers {
        &self.verifiers
    }

    /// Where a client's credential is verified.
    pub(crate) fn desk(&self, policy: usize, address: Option<IpAddr>) -> Desk<'_> {
        let rules = self.policy(policy).map_or(&self.config.quotas, |policy| &policy.quotas);
        Desk {
            now: self.now(),
            monotonic: self.monotonic(),
            signatures: &*self.host,
            calls: &*self.host,
            log: &*self.host,
            address: Network::of(address, rules.ipv6_prefix),
            verifiers: &self.verifiers,
            policy,
        }
    }

    /// The secret of the process.
    pub(crate) fn salt(&self) -> Salt {
        self.quotas.salt()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.host.now()
    }

    /// Time of the steady clock.
    pub(crate) fn monotonic(&self) -> Duration {
        self.host.monotonic()
    }

    /// Takes what a connection needs of its policy's and the document's quotas.
    pub(crate) fn take_quotas(
        &self,
        policy: &Policy,
        client: connections::Client<'_>,
    ) -> Result<Permit, connections::QuotaExceeded> {
        let rules = (policy.name.as_str(), &policy.quotas);
        connections::take(&self.quotas, rules, &self.config.quotas, client)
    }

    /// Takes one handshake from the rate of its address, if there is one.
    pub(crate) fn take_handshake(
        &self,
        policy: &Policy,
        address: Option<IpAddr>,
    ) -> Result<(), RateExceeded> {
        let Some(rate) = policy.quotas.handshakes_per_ip else { return Ok(()) };
        let network = Network::of(address, policy.quotas.ipv6_prefix);
        self.quotas.take_handshake(&policy.name, rate, network)
    }

    /// Takes a message, ping or pong of `sender`, or what has come of one, from the
    /// rates that are written in `rules`, those of its direction: to be asked before
    /// it goes on. `connection` is what this direction of the connection has taken,
    /// with the time of the callback.
    ///
    /// # Errors
    /// The first rate that is used up; then `load` counts in none.
    pub(crate) fn message_rates(
        &self,
        policy: &Policy,
        (sender, rules): (Sender, &MessageRules),
        (address, user): (Option<IpAddr>, Option<&str>),
        connection: (&mut ConnectionRates, &mut Moment),
        load: Load,
    ) -> Result<(), RateExceeded> {
        let client = RateClient { address, ipv6_prefix: policy.quotas.ipv6_prefix, user };
        let rates = MessageRates {
            policy: &policy.name,
            direction: sender,
            messages: &rules.rate,
            bytes: &rules.bytes,
        };
        self.quotas.take_message(rates, client, connection, load)
    }

    /// Takes what is a user's, who is known only now, of the policy's and the
    /// document's quotas.
    pub(crate) fn take_user_quota(
        &self,
        policy: &Policy,
        user: Option<&str>,
    ) -> Result<Permit, connections::QuotaExceeded> {
        let of_user = |rules: &connections::QuotaRules| connections::QuotaRules {
            per_ip: None,
            total: None,
            handshakes_per_ip: None,
            ..*rules
        };
        let (rules, document) = (of_user(&policy.quotas), of_user(&self.config.quotas));
        let client = connections::Client { address: None, user };
        connections::take(&self.quotas, (policy.name.as_str(), &rules), &document, client)
    }

    /// Makes a connection count as open, with what it has taken.
    pub(crate) fn count_open(&self, policy: &Policy, permit: Option<Permit>) -> Permit {
        let mut permit = permit.unwrap_or_else(|| Permit::empty(Rc::clone(&self.quotas)));
        permit.count(connections::open_in(&self.quotas, &policy.name));
        permit
    }

    /// Whether its gauges may be forgotten: every policy that `newer` does not
    /// have has no connections any more, on whatever worker. Until then some
    /// worker has to tell how many there are.
    #[must_use]
    pub fn is_settled(&self, newer: &Self) -> bool {
        let names = |guard: &Self, name: &str| guard.config.policies.iter().any(|p| p.name == name);
        let gone = self.config.policies.iter().filter(|policy| !names(newer, &policy.name));
        gone.map(|policy| connections::open_in(&self.quotas, &policy.name))
            .all(|open| self.quotas.held(open) == Some(0))
    }

    /// The gauges are what the table says, whoever holds it: so they are right
    /// again by themselves after a worker has trapped.
    fn tell_quotas(&self) {
        for (index, policy) in self.config.policies.iter().enumerate() {
            let open = self.quotas.held(connections::open_in(&self.quotas, &policy.name));
            if let Some(open) = open {
                self.metrics.connections(&*self.host, index, open);
            }
        }
        self.metrics.table_fill(&*self.host, self.quotas.fill_percent());
        self.tell_bans();
    }

    pub(crate) const fn scratch(&self) -> &RefCell<Scratch> {
        &self.scratch
    }

    pub(crate) fn policy(&self, index: usize) -> Option<&Policy> {
        self.config.policies.get(index)
    }

    pub(crate) fn count_handshake(
        &self,
        policy: Option<usize>,
        result: HandshakeResult,
        reason: Option<Reason>,
    ) {
        self.metrics.handshake(&self.config, &*self.host, (policy, result, reason));
    }

    pub(crate) fn count_opened(&self, policy: usize, handshake_us: u64) {
        self.metrics.opened(&*self.host, policy, handshake_us);
    }

    pub(crate) fn count_violation(
        &self,
        policy: usize,
        sender: Sender,
        reason: Reason,
        (action, rule): (Action, Option<usize>),
    ) {
        let labels = (policy, sender, reason, action, rule);
        self.metrics.violation(&self.config, &*self.host, labels);
    }

    /// Counts a WebSocket that has ended.
    pub(crate) fn count_closed(&self, labels: CloseLabels, open_for: Duration) {
        self.metrics.closed(&self.config, &*self.host, labels, open_for.as_secs());
    }

    pub(crate) fn count_message(&self, policy: usize, sender: Sender, payload_bytes: u64) {
        self.metrics.message(&*self.host, policy, sender, payload_bytes);
    }

    pub(crate) fn count_chunk(&self, policy: usize, sender: Sender, messages: u64, bytes: u64) {
        self.metrics.chunk(policy, sender, messages, bytes);
    }
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The document may hold secrets.
        f.debug_struct("Guard").finish_non_exhaustive()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.metrics.tell_gathered(&*self.host);
        // Its connections have gone; those of a newer document are told by that one.
        if self.successor().is_none() {
            self.tell_buffered(0);
        }
    }
}

/// What a policy does with a violation: its own action, or none in mode report.
#[must_use]
pub(crate) const fn effective(mode: Mode, action: Action) -> Action {
    match mode {
        Mode::Enforce => action,
        Mode::Report => Action::Report,
    }
}

/// Returns the event kind and the result under which a refused handshake is counted. In mode
/// report it is only reported.
#[must_use]
pub(crate) const fn refused(mode: Mode) -> (Kind, HandshakeResult) {
    match mode {
        Mode::Enforce => (Kind::Refused, HandshakeResult::Refused),
        Mode::Report => (Kind::Reported, HandshakeResult::Reported),
    }
}
