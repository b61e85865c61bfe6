//! The judge of an open connection: counts and tells what a flow finds, and
//! says by mode and action what follows.

use super::Session;
use super::asking::Asking;
use super::both::Both;
use super::content::write_message;
use super::gate::{Gate, Passage};
use super::outbox::Outbox;
use super::queue::{Full, Hold, Queue, Turn};
use super::verdict::{Control, Judge, Reshaping, Verdict};
use crate::auth::{Identity, asked_by, check_message};
use crate::config::Mode;
use crate::event::{About, Event, Kind};
use crate::frame::{Opcode, Sender};
use crate::guard::{Guard, effective};
use crate::inspect::Action;
use crate::message::{MessageRules, MessageType, Violation};
use crate::quota::rate::{ConnectionRates, Moment};
use crate::reason::Reason;
use serde::Serialize;

mod controls;

/// Judges what `sender` sends on one connection, for one chunk.
pub(super) struct Bench<'a> {
    guard: &'a Guard,
    policy: usize,
    mode: Mode,
    about: &'a About,
    /// Whom the credential names, as counts know it.
    user: Option<&'a str>,
    sender: Sender,
    outboxes: &'a mut Both<Outbox>,
    taken: &'a mut ConnectionRates,
    moment: Moment,
    queue: &'a mut Queue,
    who: Who<'a>,
    /// The message in hand need not wait for the gate.
    at_once: bool,
    /// Reason why the message waits; see [`Hold`].
    hold: Hold,
    /// It has been counted in the rates, and need not be when its turn has come.
    counted: bool,
    /// What the rates have said of it already.
    rated: Option<Result<(), Violation>>,
    /// A rate is used up: what comes now waits.
    slowed: bool,
    /// What goes on in the place of the message that vanished last.
    in_its_place: InItsPlace,
    /// Whole messages that went by.
    pub(super) messages: u64,
    /// Pings of the other end that were answered.
    pub(super) answered_pings: u64,
    /// Why bytes were first refused, or in mode report would have been.
    pub(super) refused: Option<Reason>,
}

/// What is known of the client, by which its messages are judged.
pub(super) struct Who<'a> {
    /// Where it has still to say who it is.
    pub(super) gate: Option<&'a mut Gate>,
    /// Who it is, where messages have to ask for what that may have.
    pub(super) identity: Option<&'a Identity>,
    /// The client's credential came in a cookie.
    pub(super) in_cookie: bool,
    /// What services are asked about.
    pub(super) asking: &'a mut Asking,
}

/// What goes on in the place of a message that vanishes.
enum InItsPlace {
    Nothing,
    /// This frame: what the client is told in the place of a server's message, or the
    /// Pong to the other end's Ping in the place of one to ours.
    Frame(Vec<u8>),
    /// A client's: a Ping, so that the server gives us a chance to answer.
    Ping,
}

/// What a client is told in a text message.
#[derive(Serialize)]
struct Reply<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    reason: &'a str,
    detail: &'a str,
}

impl<'a> Bench<'a> {
    pub(super) fn new(
        guard: &'a Guard,
        policy: usize,
        (about, user): (&'a About, Option<&'a str>),
        sender: Sender,
        outboxes: &'a mut Both<Outbox>,
        (taken, queue): (&'a mut ConnectionRates, &'a mut Queue),
        who: Who<'a>,
    ) -> Self {
        let mode = guard.policy(policy).map_or(Mode::Enforce, |policy| policy.mode);
        Self {
            guard,
            policy,
            mode,
            about,
            user,
            sender,
            outboxes,
            taken,
            moment: Moment::default(),
            queue,
            who,
            at_once: false,
            hold: Hold::Verified,
            counted: false,
            rated: None,
            slowed: false,
            in_its_place: InItsPlace::Nothing,
            messages: 0,
            answered_pings: 0,
            refused: None,
        }
    }

    /// For what is found between two chunks.
    pub(super) fn of(session: &'a mut Session, guard: &'a Guard, sender: Sender) -> Self {
        let who = Who {
            gate: session.gate.as_deref_mut(),
            identity: session.identity.as_deref(),
            in_cookie: session.in_cookie,
            asking: &mut session.asking,
        };
        let about = (&session.about, session.user.as_deref());
        let taken = (session.taken.of(sender), session.queues.of(sender));
        Self::new(guard, session.policy, about, sender, &mut session.outboxes, taken, who)
    }

    /// Whether a Close has to wait for the gate: a client that is being verified
    /// may leave after what it has said, and upstream hears of it behind that.
    fn holds_close(&self, gate: &Gate) -> bool {
        self.sender == Sender::Client && self.mode == Mode::Enforce && !gate.awaits()
    }

    fn rules(&self) -> Option<&'a MessageRules> {
        self.guard.policy(self.policy).map(|policy| policy.messages(self.sender))
    }

    fn tell(&self, violation: Violation, kind: Kind, offset: u64) {
        let mut event = Event::new(self.guard.now(), kind, self.mode, self.about);
        event.reason = Some(violation.reason());
        event.direction = Some(self.sender);
        event.offset = Some(offset);
        event.detail = Some(violation.event_detail());
        if let Some(rule) = violation.rule() {
            let rules = self.rules().and_then(|rules| rules.rules.as_ref());
            event.rule = rules.map(|rules| rules.name(rule));
        }
        self.guard.tell(Some(self.policy), event);
    }

    /// Answers the client: in the place of what the server sent, or when
    /// something can next be written to it.
    fn reply(&mut self, reason: Reason, detail: &str) {
        let reply = Reply { kind: "error", reason: reason.name(), detail };
        let text = serde_json::to_vec(&reply).unwrap_or_default();
        let mut frame = Vec::new();
        write_message(MessageType::Text, &text, None, &mut frame);
        self.in_its_place = match self.sender {
            Sender::Server => InItsPlace::Frame(frame),
            Sender::Client => {
                self.outboxes.client.add(&frame);
                let asked =
                    self.guard.policy(self.policy).is_some_and(|policy| policy.lifetime.push);
                let client = &self.outboxes.client;
                let needs_none = asked && client.is_open() || client.is_sealed();
                if needs_none { InItsPlace::Nothing } else { InItsPlace::Ping }
            }
        };
    }
}

impl Judge for Bench<'_> {
    fn violation(&mut self, violation: Violation, offset: u64) -> Verdict {
        let asked = self.rules().map_or(Action::Close, |rules| violation.action(rules));
        let action = effective(self.mode, asked);
        let reason = violation.reason();
        let (kind, verdict) = match action {
            Action::Report => (Kind::Reported, Verdict::Pass),
            Action::Slow => (Kind::Slowed, Verdict::Wait),
            Action::Sanitize => (Kind::Sanitized, Verdict::Sanitize),
            Action::Drop => (Kind::Dropped, Verdict::Vanish),
            Action::Reply => (Kind::Replied, Verdict::Vanish),
            Action::Close => (Kind::Refused, Verdict::Stop),
        };
        self.slowed |= action == Action::Slow;
        if action == Action::Reply {
            self.reply(reason, &violation.to_string());
        }
        self.guard.count_violation(self.policy, self.sender, reason, (action, violation.rule()));
        self.tell(violation, kind, offset);
        let blamed = self.sender == Sender::Client && violation.is_blamed(self.who.in_cookie);
        if blamed && asked != Action::Report {
            self.guard.strike(self.policy, reason, self.about, self.user);
        }
        // What leaves the connection open is no refusal in any mode.
        if asked == Action::Close {
            self.refused.get_or_insert(reason);
        }
        verdict
    }

    fn in_its_place(&mut self, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.in_its_place, InItsPlace::Nothing) {
            InItsPlace::Nothing => {}
            InItsPlace::Frame(frame) => out.extend_from_slice(&frame),
            InItsPlace::Ping => {
                let key = key_of_ours(self.guard);
                self.outboxes.server.ask_now(Some(key), out);
            }
        }
    }

    fn only_watches(&self) -> bool {
        self.mode == Mode::Report
    }

    fn unread(&mut self, reshaping: Reshaping, offset: u64) {
        let whose = match self.sender {
            Sender::Client => "the client's",
            Sender::Server => "the server's",
        };
        let mut event = Event::new(self.guard.now(), Kind::Reported, self.mode, self.about);
        event.direction = Some(self.sender);
        event.offset = Some(offset);
        event.detail = Some(format!("{reshaping}; {whose} messages pass unseen from here on"));
        self.guard.tell(Some(self.policy), event);
    }

    fn waits(&self) -> bool {
        let gate = self.who.gate.is_some() && self.mode == Mode::Enforce;
        let at_once = self.at_once && !self.slowed;
        !at_once && (gate || self.close_waits())
    }

    fn close_waits(&self) -> bool {
        match &self.who.gate {
            Some(gate) => self.holds_close(gate),
            None => self.slowed || self.hold == Hold::Granted || !self.queue.is_empty(),
        }
    }

    fn reads(&self) -> bool {
        let rules = self.guard.policy(self.policy).and_then(|policy| policy.auth.as_ref());
        let reads = rules.is_some_and(|rules| rules.first_message.is_some());
        let asks = self.who.identity.is_some();
        self.who.gate.is_some() || self.sender == Sender::Client && (reads || asks)
    }

    fn is_nothing_to_read(&self, message: &[u8]) -> bool {
        let rules = self.guard.policy(self.policy).and_then(|policy| policy.auth.as_ref());
        let Some(rules) = rules.filter(|_| self.sender == Sender::Client) else {
            return self.who.gate.is_none();
        };
        let cuts = rules.first_message.as_ref().is_some_and(|f| f.cut_out(true, message).is_some());
        let asks_nothing = || asked_by(rules, message).is_ok_and(|asked| asked.is_empty());
        self.who.gate.is_none() && !cuts && (self.who.identity.is_none() || asks_nothing())
    }

    fn read(
        &mut self,
        kind: MessageType,
        message: &[u8],
        offset: u64,
    ) -> Result<Passage, Violation> {
        self.counted = !self.waits();
        let rules = self.guard.policy(self.policy).and_then(|policy| policy.auth.as_ref());
        let Some(rules) = rules else { return Ok(Passage::AsItIs) };
        let (mut passage, mut asked) = (Passage::AsItIs, Vec::new());
        if let Some(first) = &rules.first_message {
            if let Some(gate) = &mut self.who.gate {
                let from = (self.sender, kind);
                (passage, asked) = gate.read((rules, first), from, message)?;
            } else if self.sender == Sender::Client {
                let is_text = kind == MessageType::Text;
                passage = first.cut_out(is_text, message).map_or(passage, Passage::Instead);
            }
        }
        let is_behind = !self.queue.is_empty();
        match passage {
            Passage::AtOnce if is_behind => (self.at_once, passage) = (true, Passage::Ahead),
            Passage::AtOnce => self.at_once = true,
            Passage::Greeting => (self.at_once, self.hold) = (!is_behind, Hold::Nothing),
            _ => {}
        }
        if let (Sender::Client, Some(identity)) = (self.sender, self.who.identity) {
            let desk = self.guard.desk(self.policy, self.about.ip);
            let left = check_message(rules, identity, message, desk);
            asked = left.map_err(Violation::Credential)?;
        }
        // Mode report asks as well, and lets pass what asks.
        if !asked.is_empty() && self.mode == Mode::Enforce {
            self.hold = Hold::Granted;
        }
        let taken = self.who.asking.push(offset, asked);
        taken.map_err(|Full| Violation::QueueFull(Reason::Overloaded))?;
        Ok(passage)
    }

    fn swallows(&self, kind: MessageType, message: &[u8]) -> bool {
        let awaits = self.who.gate.as_ref().is_some_and(|gate| gate.awaits());
        let rules = self.guard.policy(self.policy).and_then(|policy| policy.auth.as_ref());
        let first = rules.and_then(|rules| rules.first_message.as_ref());
        let is_text = kind == MessageType::Text;
        awaits
            && self.sender == Sender::Client
            && first.is_some_and(|f| f.swallows(is_text, message))
    }

    fn may_vanish(&self) -> bool {
        let may = |rules: &MessageRules| {
            rules.has_rates() && matches!(rules.on_violation, Action::Drop | Action::Reply)
        };
        !self.counted && self.rules().is_some_and(may)
    }

    fn enqueue(
        &mut self,
        payload_bytes: Option<u64>,
        offset: u64,
        write: &mut dyn FnMut(&mut Vec<u8>),
    ) -> Result<(), Violation> {
        let turn = match payload_bytes {
            Some(_) if self.counted => Turn::Counted,
            Some(bytes) => Turn::Counts(bytes),
            None => Turn::Close,
        };
        let queued = self.queue.push((turn, offset), self.hold, write);
        let answers = self.who.gate.is_some() || !self.who.asking.is_empty();
        let reason = if answers { Reason::Overloaded } else { Reason::MessageRate };
        queued.map_err(|Full| Violation::QueueFull(reason))
    }

    fn rate_ahead(&mut self, payload_bytes: u64) -> bool {
        let rated = self.rate(payload_bytes);
        self.rated = Some(rated);
        rated.is_ok()
    }

    fn rate(&mut self, payload_bytes: u64) -> Result<(), Violation> {
        if let Some(rated) = self.rated.take() {
            return rated;
        }
        let Some(policy) = self.guard.policy(self.policy) else { return Ok(()) };
        let rules = policy.messages(self.sender);
        if !rules.has_rates() {
            return Ok(());
        }
        let who = (self.about.ip, self.user);
        let from = (self.sender, rules);
        let taken = (&mut *self.taken, &mut self.moment);
        let taken = self.guard.message_rates(policy, from, who, taken, payload_bytes);
        taken.map_err(Violation::Rate)
    }

    fn message(&mut self, payload_bytes: u64) {
        self.messages += 1;
        (self.at_once, self.hold, self.counted) = (false, Hold::Verified, false);
        self.rated = None;
        self.guard.count_message(self.policy, self.sender, payload_bytes);
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Control {
        self.judge_control(opcode, payload)
    }

    fn ping_passes(&mut self, payload: &[u8]) {
        self.outboxes.of(self.sender.other()).pass_on_ping(payload);
    }
}

/// A masking key for a frame of ours. Its payload is nothing that a client
/// chose, so the key need not be secret (RFC 6455 §10.3).
pub(super) fn key_of_ours(guard: &Guard) -> [u8; 4] {
    guard.now().since_epoch().subsec_nanos().to_be_bytes()
}
