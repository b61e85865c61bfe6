//! One connection: the opening handshake, both directions after it, its end.
//!
//! A session is sans-IO. A filter hands it heads and bytes as they come and
//! applies what it answers; the session alone knows the order of checks, and
//! the filter kinds differ only in how they apply the answers: before `tcp_proxy` a
//! [`StreamConnection`] reads the heads and speaks to the session.
//!
//! ```text
//! admit ─► Refused                       (nothing reaches upstream)
//!       └► Guarded ─ on_response ─► Refused, Pass (no tunnel)
//!                                └► Open ─ on_data ⇄ ─► Closing ─► on_end
//! ```

use crate::auth::Identity;
use crate::config::{Mode, Policy};
use crate::event::{About, PerDirection};
use crate::frame::{Deflate, Sender};
use crate::guard::Guard;
use crate::host::Timestamp;
use crate::message::budget::Holder;
use crate::quota::Permit;
use crate::quota::rate::ConnectionRates;
use crate::reason::Reason;
use answered::Answered;
use asking::Asking;
use bench::{Bench, Who};
use both::Both;
use closes::{Closes, SentClose};
use flow::{Flow, Surroundings, to_u64};
use forward::Forward;
use gate::Gate;
use lifetime::Life;
use outbox::Outbox;
use queue::Queue;
use std::rc::Rc;
use std::time::Duration;
use verdict::Stopped;

mod admission;
mod answered;
mod asking;
mod bench;
mod both;
mod closes;
mod content;
mod ending;
mod expiry;
mod flow;
mod forward;
mod fuzz;
mod gate;
mod give_way;
mod lifetime;
mod opening;
mod outbox;
mod pings;
mod queue;
mod refusal;
mod slow;
mod stream;
mod unasked;
mod verdict;

pub(crate) use flow::Scratch;

pub use admission::{Admission, Admitted, Arrival, PendingAdmission, admit};
pub use answered::SILENCE_TIMEOUT;
pub use forward::Forwarded;
pub use fuzz::{fuzz_asking, fuzz_session};
pub use lifetime::{HALF_CLOSED_TIMEOUT, Lifetime};
pub use opening::Opening;
pub use pings::fuzz_pings;
pub use refusal::Refusal;
pub use stream::{Peer, StreamConnection};
pub use unasked::unasked_switch;

/// How long a peer has to answer our Close before the connection is reset.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One guarded connection.
#[derive(Debug)]
pub struct Session {
    guard: Rc<Guard>,
    /// Its account of held bytes.
    holder: Rc<Holder>,
    /// Place of its policy in the document.
    policy: usize,
    about: About,
    /// Whom its credential names, as counts know it.
    user: Option<String>,
    arrived: Timestamp,
    phase: Phase,
    client: Flow,
    server: Flow,
    /// How messages are compressed, once that is agreed.
    deflate: Option<Deflate>,
    outboxes: Both<Outbox>,
    life: Life,
    /// What of each end waits for its turn.
    queues: Both<Queue>,
    /// What of it waits for a service to grant what it asks for.
    asking: Asking,
    /// What each end has taken of its rates.
    taken: Both<ConnectionRates>,
    messages: PerDirection,
    /// Close codes that were really sent.
    closes: Closes,
    /// What its credential depends on.
    expiry: expiry::Expiry,
    /// What it holds of the quotas, as long as it lives; of the user's, once its
    /// first message has been verified.
    _permit: Permit,
    user_permit: Option<Permit>,
    /// Its first message is to say who it is, and has not been verified.
    gate: Option<Box<Gate>>,
    /// Who it is, where messages have to ask for what that may have.
    identity: Option<Box<Identity>>,
    /// Its credential stood in a cookie, so that what this grants, or its user has used up,
    /// is no fault of whoever sent it.
    in_cookie: bool,
    /// What a client is told that was refused before upstream had answered.
    refusal: Option<Refusal>,
    /// Why we ended it, if we did.
    ended_for: Option<Reason>,
    /// Messages that waited for their turn were discarded.
    lost_waiting: bool,
}

#[derive(Debug)]
enum Phase {
    /// Upstream has not answered yet.
    Opening(Box<opening::Pending>),
    /// There is no tunnel: nothing of the client goes on, whatever it sends.
    NoTunnel,
    /// The same, while an answer passes whose end Envoy does not see.
    Answered(Answered),
    /// Frames go both ways, since this time of the steady clock.
    Open(Duration),
    /// Mode report after a framing error, or with an extension that can't be
    /// read: bytes pass unseen.
    Unseen(Duration),
    /// We are ending it: only what is in the outboxes still goes on.
    Closing {
        /// When it was opened, by the steady clock.
        opened: Duration,
        /// When we began to end it, by the same.
        since: Duration,
    },
}

/// What a filter does after handing over bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// What goes on to the other side.
    pub forwarded: Forwarded,
    /// Reset the connection, both sides, now.
    pub reset: bool,
    /// Why bytes of this call were first refused, or in mode report would have
    /// been.
    pub refused: Option<Reason>,
}

impl Outcome {
    const fn forward(forwarded: Forwarded) -> Self {
        Self { forwarded, reset: false, refused: None }
    }

    /// The same, and what was found elsewhere in the same call.
    fn and(self, other: Self) -> Self {
        let refused = self.refused.or(other.refused);
        Self { reset: self.reset || other.reset, refused, ..self }
    }
}

impl Session {
    /// Takes the next bytes that `sender` sent (none is fine). When the answer
    /// is [`Forwarded::Replaced`], what goes on in their place has been
    /// appended to `out`.
    pub fn on_data(&mut self, sender: Sender, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let before = self.closes;
        let outcome = self.take_data(sender, input, out);
        if outcome.reset {
            // What was to go on with it does not.
            self.closes = before;
        }
        outcome
    }

    fn take_data(&mut self, sender: Sender, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        match (&self.phase, sender) {
            (Phase::Open(_), _) => self.open_data(sender, input, out),
            (Phase::Closing { .. }, _) => self.closing_data(sender, input, out),
            (Phase::Unseen(_), _) => {
                self.count_unread(sender, input);
                Outcome::forward(Forwarded::Unchanged)
            }
            (Phase::Opening(_), Sender::Client) => self.early_data(input, out),
            (Phase::NoTunnel | Phase::Answered(_), Sender::Client)
                if self.mode() == Mode::Enforce =>
            {
                Outcome::forward(Forward::new(input, out).finish())
            }
            (Phase::Answered(_), Sender::Server) => self.answer_data(input, out),
            (Phase::Opening(_), Sender::Server) => self.headless_data(input, out),
            _ => Outcome::forward(Forwarded::Unchanged),
        }
    }

    /// Whether the filter should keep the way to the client ready for
    /// [`Self::push`]: with `push`, as long as frames of ours may go there.
    #[must_use]
    pub fn pushes(&self) -> bool {
        let asked = self.policy().is_some_and(|p| p.lifetime.push && p.mode == Mode::Enforce);
        asked && matches!(self.phase, Phase::Open(_) | Phase::Closing { .. })
    }

    /// Says whether the filter can write to the client unasked.
    pub const fn set_ready_to_push(&mut self, ready: bool) {
        self.outboxes.client.set_open(ready);
    }

    /// Appends what is to be written to the client now, unasked, to `out`; with
    /// `push` and where the filter can. Otherwise it goes with the server's next
    /// bytes.
    pub fn push(&mut self, out: &mut Vec<u8>) {
        if self.has_to_push() {
            let close = self.outboxes.client.push_into(self.server.room(), out);
            self.note_sent(Sender::Client, close);
        }
    }

    /// Whether [`Self::push`] would append something.
    #[must_use]
    pub fn has_to_push(&self) -> bool {
        let client = &self.outboxes.client;
        client.is_open() && self.pushes() && client.has_for(self.server.room())
    }

    /// What a client is told whose handshake [`Self::on_data`] has refused, for
    /// a filter that can still answer.
    pub fn take_refusal(&mut self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// Name of its policy.
    #[must_use]
    pub fn policy_name(&self) -> &str {
        self.policy().map_or("", |policy| policy.name.as_str())
    }

    /// Whom its credential names.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.about.user.as_deref()
    }

    /// How its messages are compressed, if client and upstream agreed on that.
    #[must_use]
    pub const fn deflate(&self) -> Option<Deflate> {
        self.deflate
    }

    fn policy(&self) -> Option<&Policy> {
        self.guard.policy(self.policy)
    }

    fn mode(&self) -> Mode {
        self.policy().map_or(Mode::Enforce, |policy| policy.mode)
    }

    fn open_data(&mut self, sender: Sender, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let guard = Rc::clone(&self.guard);
        let Some(policy) = guard.policy(self.policy) else { return self.no_tunnel(input, out) };
        if !input.is_empty() {
            self.outboxes.of(sender).answered();
        }
        let released = self.release(sender);
        if released.refused.is_some() {
            return self.closing_data(sender, input, out).and(released);
        }
        let mut forward = match policy.mode {
            Mode::Enforce => Forward::new(input, out),
            Mode::Report => Forward::untouched(input, out),
        };
        self.flush(sender.other(), &mut forward);
        let flow = match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        let mut scratch = guard.scratch().borrow_mut();
        let (rules, holder) = (policy.messages(sender), &self.holder);
        let mut with = Surroundings { rules, holder, scratch: &mut scratch };
        let mut bench = {
            let taken = (self.taken.of(sender), self.queues.of(sender));
            let (gate, identity) = (self.gate.as_deref_mut(), self.identity.as_deref());
            let in_cookie = self.in_cookie;
            let who = Who { gate, identity, in_cookie, asking: &mut self.asking };
            Bench::new(
                &guard,
                self.policy,
                (&self.about, self.user.as_deref()),
                sender,
                &mut self.outboxes,
                taken,
                who,
            )
        };
        let done = flow.process(input, &mut forward, &mut with, &mut bench);
        let (messages, refused) = (bench.messages, bench.refused);
        let (pings, due_close) = (bench.answered_pings, bench.due_close);
        // It may be a message.
        let unread = flow.is_unread() && !input.is_empty();
        if let Some(close) = flow.close_seen() {
            self.closes.came(sender);
            self.follow_close(sender, close.code);
        }
        if messages > 0 || pings > 0 && policy.lifetime.ping_counts || unread {
            self.life.mark_active();
        }
        let gate = self.gate.as_mut().filter(|_| unread && sender == Sender::Client);
        gate.into_iter().for_each(|gate| gate.read_no_more());
        self.messages.add(sender, messages);
        guard.count_chunk(self.policy, sender, messages, to_u64(input.len()));
        drop(scratch);
        self.note_sent(sender.other(), due_close);
        match done {
            Ok(()) if sender == Sender::Client && (self.gate.is_some() || self.is_asking()) => {
                self.while_waiting(refused, forward)
            }
            Ok(()) => Outcome { refused, ..Outcome::forward(forward.finish()) },
            Err(Stopped) => self.stop(sender, refused, forward),
        }
    }

    /// The sender's Close has been seen: nothing of ours follows it, unless it
    /// waits for its turn, or goes nowhere, and so has not gone there yet.
    fn follow_close(&mut self, sender: Sender, code: Option<u16>) {
        if self.mode() == Mode::Report {
            self.closes.sent(sender.other(), SentClose::Relayed, code);
        }
        match (sender, &self.gate) {
            (Sender::Client, Some(_)) => return,
            // It has gone ahead of what was held, which can't follow it.
            (Sender::Server, Some(_)) => self.discard_queue(Sender::Server),
            (_, None) => {}
        }
        let outbox = self.outboxes.of(sender.other());
        if self.queues.of(sender).is_empty() && !outbox.is_sealed() {
            outbox.seal();
            self.closes.sent(sender.other(), SentClose::Relayed, code);
            self.life.half_close(self.guard.monotonic());
        }
    }

    /// Lets what we have to say to `receiver` go on, ahead of what comes, as far as there
    /// is room for it.
    fn flush(&mut self, receiver: Sender, forward: &mut Forward<'_>) {
        let room = self.flow(receiver.other()).room();
        let outbox = self.outboxes.of(receiver);
        if outbox.has_for(room) {
            let mut close = None;
            forward.insert(|out| close = outbox.take_into(room, out));
            self.note_sent(receiver, close);
        }
    }

    fn no_tunnel(&mut self, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        Outcome { reset: true, ..Outcome::forward(Forward::new(input, out).finish()) }
    }

    /// More of an answer that opened nothing.
    fn answer_data(&mut self, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        match &mut self.phase {
            Phase::Answered(answered) => answered.pass(&self.guard, input, out),
            _ => Outcome::forward(Forwarded::Unchanged),
        }
    }

    /// Counts bytes that are not looked at.
    fn count_unread(&mut self, sender: Sender, input: &[u8]) {
        let bytes = to_u64(input.len());
        self.flow(sender).count(bytes);
        self.guard.count_chunk(self.policy, sender, 0, bytes);
    }

    fn flow(&mut self, sender: Sender) -> &mut Flow {
        match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        }
    }
}

/// Every reason that can end an open connection has a code; were one without,
/// 1008 says at least that it was policy.
fn close_code(reason: Reason) -> u16 {
    reason.close_code().unwrap_or(1008)
}
