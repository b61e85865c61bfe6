//! Endings that no message causes: silence, age, a client that has gone without
//! a word. Looked at on every tick, by the steady clock, which no jump of the
//! wall clock moves.

use super::{Forwarded, Outcome, Phase, Session, close_code};
use crate::config::{Mode, Policy};
use crate::event::{Event, Kind};
use crate::frame::Sender;
use crate::inspect::Action;
use crate::reason::Reason;
use std::rc::Rc;
use std::time::Duration;

/// `lifetime`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// How long no whole message may come, of either end.
    pub idle: Duration,
    /// A Ping counts as activity, as a message does, once it has been answered.
    pub ping_counts: bool,
    /// How long a connection may be open.
    pub max: Option<Duration>,
    /// Whether the filter writes to the client unasked.
    pub push: bool,
    /// How often the client is sent a Ping.
    pub heartbeat: Option<Duration>,
}

impl Default for Lifetime {
    fn default() -> Self {
        let idle = Duration::from_secs(300);
        Self { idle, ping_counts: true, max: None, push: false, heartbeat: None }
    }
}

/// How long one end has to answer the other end's Close.
pub const HALF_CLOSED_TIMEOUT: Duration = Duration::from_secs(10);

/// Pings that a client may miss before it is taken for gone.
const MISSED_PINGS: u32 = 2;

/// What is remembered of an open connection; times of the steady clock.
#[derive(Debug)]
pub(super) struct Life {
    pub(super) opened: Duration,
    /// When activity was last seen, as of the last tick.
    active: Duration,
    /// There was some since then.
    is_active: bool,
    /// When the client was last sent a Ping.
    asked: Duration,
    /// When the first Close went by.
    half_closed: Option<Duration>,
    /// When `progress` was last told, or was due.
    progressed: Duration,
    /// Mode report: what was told already.
    reported: bool,
}

impl Life {
    pub(super) const fn begin(now: Duration) -> Self {
        Self {
            opened: now,
            active: now,
            is_active: false,
            asked: now,
            half_closed: None,
            progressed: now,
            reported: false,
        }
    }

    /// A whole message came, or what counts as one.
    pub(super) const fn mark_active(&mut self) {
        self.is_active = true;
    }

    /// A Close went by.
    pub(super) fn half_close(&mut self, now: Duration) {
        self.half_closed.get_or_insert(now);
    }

    fn ended(&self, rules: &Lifetime, now: Duration) -> Option<Reason> {
        if rules.max.is_some_and(|max| now.saturating_sub(self.opened) >= max) {
            return Some(Reason::LifetimeExceeded);
        }
        let idle = now.saturating_sub(self.active) >= rules.idle;
        idle.then_some(Reason::IdleTimeout)
    }
}

impl Session {
    /// Tells that the connection lives on, as often as the document says.
    pub(super) fn tell_progress(&mut self) {
        let Some(every) = self.guard.config().progress else { return };
        let now = self.guard.monotonic();
        let is_open = matches!(self.phase, Phase::Open(_) | Phase::Unseen(_));
        if !is_open || now.saturating_sub(self.life.progressed) < every {
            return;
        }
        self.life.progressed = now;
        let mut event = Event::new(self.guard.now(), Kind::Progress, self.mode(), &self.about);
        event.progress = Some(self.traffic(now.saturating_sub(self.life.opened)));
        self.guard.tell(Some(self.policy), event);
    }

    /// The tick of an open connection whose bytes pass unseen: that its
    /// credential has ended can be told all the same.
    pub(super) fn unseen_tick(&mut self) -> Outcome {
        match self.expiry.due(&self.guard, self.policy_name(), self.guard.now()) {
            Some(reason) => self.end(reason),
            None => Outcome::forward(Forwarded::Unchanged),
        }
    }

    /// An open connection's tick: whether to reset it now.
    pub(super) fn live_tick(&mut self) -> Outcome {
        let goes_on = Outcome::forward(Forwarded::Unchanged);
        let guard = Rc::clone(&self.guard);
        let Some(policy) = guard.policy(self.policy) else { return goes_on };
        let rules = policy.lifetime;
        let now = self.guard.monotonic();
        if std::mem::take(&mut self.life.is_active) {
            self.life.active = now;
        }
        let released = self.release_on_tick();
        if released.refused.is_some() {
            return released;
        }
        if let Some(since) = self.life.half_closed {
            let waited = now.saturating_sub(since) >= HALF_CLOSED_TIMEOUT;
            return Outcome { reset: waited && self.mode() == Mode::Enforce, ..goes_on };
        }
        let banned = guard.ended_by_ban(policy, self.about.ip, self.user.as_deref());
        let reason = self
            .expiry
            .due(&guard, &policy.name, guard.now())
            .or_else(|| banned.then_some(Reason::Banned))
            .or_else(|| self.deadline(policy, now))
            .or_else(|| self.life.ended(&rules, now))
            .or_else(|| self.heartbeat(&rules, now));
        if reason == Some(Reason::AuthDeadline) && !self.life.reported {
            guard.strike(self.policy, Reason::AuthDeadline, &self.about, None);
        }
        reason.map_or(goes_on, |reason| self.end(reason))
    }

    /// Whether the first message's credential is overdue.
    fn deadline(&self, policy: &Policy, now: Duration) -> Option<Reason> {
        let rules = policy.auth.as_ref()?.first_message.as_ref()?;
        let overdue = now.saturating_sub(self.life.opened) >= rules.deadline;
        (overdue && self.gate.as_ref()?.awaits()).then_some(Reason::AuthDeadline)
    }

    /// Asks the client whether it is there, when it is time to.
    fn heartbeat(&mut self, rules: &Lifetime, now: Duration) -> Option<Reason> {
        let due = now.saturating_sub(self.life.asked) >= rules.heartbeat?;
        // One that can't go out would be one that is not answered.
        if !due || !self.pushes() || !self.outboxes.client.is_open() {
            return None;
        }
        if self.outboxes.client.unanswered() >= MISSED_PINGS {
            return Some(Reason::HeartbeatMissed);
        }
        self.life.asked = now;
        self.outboxes.client.ask();
        None
    }

    /// Ends the connection for a reason that no message gives: with `push` both
    /// ends are told, without it the answer is to reset it now. Mode report only
    /// tells.
    pub(super) fn end(&mut self, reason: Reason) -> Outcome {
        self.end_for(reason, None)
    }

    /// The same, with what events say was wrong.
    pub(super) fn end_for(&mut self, reason: Reason, detail: Option<String>) -> Outcome {
        let goes_on = Outcome::forward(Forwarded::Unchanged);
        if !matches!(self.phase, Phase::Open(_) | Phase::Unseen(_)) {
            return goes_on;
        }
        if self.mode() == Mode::Report {
            let first = !std::mem::replace(&mut self.life.reported, true);
            // What was decided of a credential is told once, whatever else would
            // have ended the connection before.
            let is_news = first || detail.is_some();
            if is_news {
                self.tell_end(reason, (Action::Report, Kind::Reported), detail);
            }
            return Outcome { refused: is_news.then_some(reason), ..goes_on };
        }
        self.tell_end(reason, (Action::Close, Kind::Refused), detail);
        self.close_both(reason, [reason.name(); 2])
    }

    /// Ends an open connection for a message of `sender` that went by before: the
    /// other end is told no reason, since it did nothing wrong.
    pub(super) fn close_for(&mut self, sender: Sender, reason: Reason) -> Outcome {
        let told = match sender {
            Sender::Client => [reason.name(), ""],
            Sender::Server => ["", reason.name()],
        };
        self.close_both(reason, told)
    }

    /// Ends an open connection between messages: with `push` both ends are told,
    /// without it the answer is to reset it now.
    fn close_both(&mut self, reason: Reason, [client, server]: [&str; 2]) -> Outcome {
        let goes_on = Outcome::forward(Forwarded::Unchanged);
        let (Phase::Open(opened) | Phase::Unseen(opened)) = self.phase else { return goes_on };
        self.discard();
        self.ended_for = Some(reason);
        let told =
            self.pushes() && self.outboxes.client.is_open() && !self.outboxes.client.is_sealed();
        let (code, key) = (close_code(reason), self.key_towards(Sender::Server));
        self.outboxes.client.close(code, client, None);
        self.outboxes.server.close(code, server, key);
        self.phase = Phase::Closing { opened, since: self.guard.monotonic() };
        Outcome { reset: !told, refused: Some(reason), ..goes_on }
    }

    /// Counts it, and tells it where `closed` is not enough: what ends by its age
    /// or for silence is no attack.
    fn tell_end(&self, reason: Reason, (action, kind): (Action, Kind), detail: Option<String>) {
        self.guard.count_violation(self.policy, Sender::Client, reason, (action, None));
        let known = match reason {
            _ if detail.is_some() => "",
            Reason::AuthDeadline => "no credential has come in time",
            Reason::CredentialsExpired => "the credential has ended while the connection was open",
            Reason::CredentialsRevoked => "the key that verified its credential has been removed",
            Reason::Banned => "its address or user has been banned",
            _ if kind == Kind::Reported => "it would have ended now",
            _ => return,
        };
        let mut event = Event::new(self.guard.now(), kind, self.mode(), &self.about);
        event.reason = Some(reason);
        event.detail = detail.or_else(|| Some(known.to_owned()));
        self.guard.tell(Some(self.policy), event);
    }
}
