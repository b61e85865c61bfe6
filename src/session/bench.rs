//! The judge of an open connection: counts and tells what a flow finds, and
//! says by mode and action what follows.

use super::Session;
use super::asking::Asking;
use super::both::Both;
use super::closes::SentClose;
use super::flow::Room;
use super::gate::{Gate, Passage};
use super::outbox::Outbox;
use super::pings::Payload;
use super::queue::{Full, Hold, Queue, Turn};
use super::verdict::{Control, Judge, Queued, Reshaping, Verdict};
use crate::auth::first_message::FirstMessageRules;
use crate::auth::{AuthRules, Identity, asked_by, check_message};
use crate::config::Mode;
use crate::event::{About, Event, Kind};
use crate::frame::{Opcode, Sender};
use crate::guard::{Guard, effective};
use crate::inspect::Action;
use crate::message::{MessageRules, MessageType, Violation};
use crate::quota::rate::{ConnectionRates, Load, Moment};
use crate::reason::Reason;
use std::time::Duration;

mod controls;
mod reply;

pub(super) use controls::key_of_ours;

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
    /// What the rates have said of it already.
    rated: Option<Result<(), Violation>>,
    /// A rate is used up: what comes now waits.
    slowed: bool,
    /// What goes on in the place of the message that vanished last.
    in_its_place: InItsPlace,
    /// Whole messages that went by.
    pub(super) messages: u64,
    /// A Close that has gone to the other end behind a frame in progress.
    pub(super) due_close: Option<SentClose>,
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
    /// This one: what the client is told in the place of what the server sent.
    Message(Vec<u8>),
    /// The Pong to the other end's Ping in the place of one to ours.
    Pong(Vec<u8>),
    /// A client's: a Ping, so that the server gives us a chance to answer.
    Ping,
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
            rated: None,
            slowed: false,
            in_its_place: InItsPlace::Nothing,
            messages: 0,
            due_close: None,
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

    fn auth(&self) -> Option<&'a AuthRules> {
        self.guard.policy(self.policy)?.auth.as_ref()
    }

    fn first_message(&self) -> Option<&'a FirstMessageRules> {
        self.auth()?.first_message.as_ref()
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

    fn in_its_place(&mut self, room: Room, out: &mut Vec<u8>) {
        match std::mem::replace(&mut self.in_its_place, InItsPlace::Nothing) {
            InItsPlace::Nothing => {}
            InItsPlace::Message(frame) if room != Room::All => self.outboxes.client.add(&frame),
            InItsPlace::Message(frame) | InItsPlace::Pong(frame) => out.extend_from_slice(&frame),
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
        let reads = || self.first_message().is_some() || self.who.identity.is_some();
        self.who.gate.is_some() || self.sender == Sender::Client && reads()
    }

    fn is_nothing_to_read(&self, message: &[u8]) -> bool {
        let Some(rules) = self.auth().filter(|_| self.sender == Sender::Client) else {
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
        let Some(rules) = self.auth() else { return Ok(Passage::AsItIs) };
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
            // Where a rate makes it wait all the same, nothing else does.
            Passage::AtOnce => (self.at_once, self.hold) = (true, Hold::Nothing),
            Passage::Greeting => (self.at_once, self.hold) = (!is_behind, Hold::Nothing),
            _ => {}
        }
        if matches!(passage, Passage::AtOnce) && is_behind {
            passage = Passage::Ahead;
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
        let is_text = kind == MessageType::Text;
        awaits
            && self.sender == Sender::Client
            && self.first_message().is_some_and(|first| first.swallows(is_text, message))
    }

    fn hold_back(&mut self) {
        self.slowed = true;
    }

    fn may_vanish(&self, load: Load) -> bool {
        let may = |rules: &MessageRules| {
            rules.has_rates() && matches!(rules.on_violation, Action::Drop | Action::Reply)
        };
        !load.is_nothing() && self.rules().is_some_and(may)
    }

    fn enqueue(
        &mut self,
        queued: Queued,
        offset: u64,
        write: &mut dyn FnMut(&mut Vec<u8>),
    ) -> Result<(), Violation> {
        let turn = match queued {
            Queued::Message(load) | Queued::Control(load) => Turn::Counts(load),
            Queued::Close => Turn::Close,
        };
        // The server's control frames go on before the client has been verified.
        let is_free = self.sender == Sender::Server && !matches!(queued, Queued::Message(_));
        let hold = if is_free { Hold::Nothing } else { self.hold };
        let queued = self.queue.push((turn, offset), hold, write);
        let answers = self.who.gate.is_some() || !self.who.asking.is_empty();
        let reason = if answers { Reason::Overloaded } else { Reason::MessageRate };
        queued.map_err(|Full| Violation::QueueFull(reason))
    }

    fn rate_ahead(&mut self, payload_bytes: u64) -> bool {
        let rated = self.rate(Load::message(payload_bytes));
        self.rated = Some(rated);
        rated.is_ok()
    }

    fn rate(&mut self, load: Load) -> Result<(), Violation> {
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
        let taken = self.guard.message_rates(policy, from, who, taken, load);
        taken.map_err(Violation::Rate)
    }

    fn message(&mut self, payload_bytes: u64) {
        self.messages += 1;
        (self.at_once, self.hold) = (false, Hold::Verified);
        self.rated = None;
        self.guard.count_message(self.policy, self.sender, payload_bytes);
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8]) -> Control {
        self.judge_control(opcode, payload)
    }

    fn ping_passes(&mut self, payload: &[u8]) {
        self.outboxes.of(self.sender.other()).pass_on_ping(payload);
    }

    fn is_due(&self, room: Room) -> bool {
        let Both { client, server } = &*self.outboxes;
        let outbox = if self.sender == Sender::Client { server } else { client };
        outbox.has_for(room)
    }

    fn due(&mut self, room: Room, out: &mut Vec<u8>) {
        self.due_close = self.outboxes.of(self.sender.other()).take_into(room, out);
    }

    fn moment(&self) -> Duration {
        self.guard.monotonic()
    }

    fn owe_pong(&mut self, payload: &[u8]) {
        self.who.gate.iter_mut().for_each(|gate| gate.owe_pong(Payload::new(payload)));
    }

    fn greeting_passes(&mut self) {
        self.who.gate.iter_mut().for_each(|gate| gate.greeting_passes());
    }
}
