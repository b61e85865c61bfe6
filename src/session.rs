//! One connection: the opening handshake, both directions after it, its end.
//!
//! A session is sans-IO. A filter hands it heads and bytes as they come and
//! applies what it answers; the session alone knows the order of checks, and
//! the filter kinds (HTTP, stream) differ only in how they apply the answers.
//!
//! ```text
//! admit ─► Refused                       (nothing reaches upstream)
//!       └► Guarded ─ on_response ─► Refused, Pass (no tunnel)
//!                                └► Open ─ on_data ⇄ ─► Closing ─► on_end
//! ```

use crate::config::{Mode, Policy};
use crate::event::{About, Closed, Event, Kind, PerDirection};
use crate::frame::{Sender, close};
use crate::guard::{Guard, effective};
use crate::host::Timestamp;
use crate::inspect::Action;
use crate::message::Violation;
use crate::quota::Permit;
use crate::reason::Reason;
use flow::{CloseSeen, Flow, Handling, Judge, Stopped, Surroundings, Verdict};
use forward::Forward;
use std::rc::Rc;
use std::time::Duration;

mod admission;
mod flow;
mod forward;
mod opening;
mod refusal;

pub use admission::{Admission, Admitted, Arrival, admit};
pub use forward::Forwarded;
pub use opening::Opening;
pub use refusal::Refusal;

/// How long a peer has to answer our Close before the connection is reset.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// One guarded connection.
#[derive(Debug)]
pub struct Session {
    guard: Rc<Guard>,
    /// Place of its policy in the document.
    policy: usize,
    about: About,
    arrived: Timestamp,
    phase: Phase,
    client: Flow,
    server: Flow,
    messages: PerDirection,
    /// The Close that went by first, from either side.
    first_close: Option<CloseSeen>,
    /// What it holds of the quotas, as long as it lives.
    _permit: Permit,
    /// Why we ended it, if we did.
    ended_for: Option<Reason>,
}

#[derive(Debug)]
enum Phase {
    /// Upstream has not answered yet.
    Opening(opening::Pending),
    /// There is no tunnel: nothing of the client goes on, whatever it sends.
    NoTunnel,
    /// Frames go both ways.
    Open(Timestamp),
    /// Mode report after a framing error, or with an extension that can't be
    /// read: bytes pass unseen.
    Unseen(Timestamp),
    /// We are ending it.
    Closing(Timestamp, Closing),
}

/// Closes that are still to be written, at the next chance that the host gives
/// us to write in that direction.
#[derive(Debug)]
struct Closing {
    since: Timestamp,
    to_client: Option<Reason>,
    to_server: Option<Reason>,
}

/// What a filter does after handing over bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub struct Outcome {
    /// What goes on to the other side.
    pub forwarded: Forwarded,
    /// Reset the connection, both sides, now.
    pub reset: bool,
    /// Why bytes were refused, when they were in this call.
    pub refused: Option<Reason>,
}

impl Outcome {
    const fn forward(forwarded: Forwarded) -> Self {
        Self { forwarded, reset: false, refused: None }
    }
}

impl Session {
    /// Takes the next bytes that `sender` sent (none is fine). When the answer
    /// is [`Forwarded::Replaced`], what goes on in their place has been
    /// appended to `out`.
    pub fn on_data(&mut self, sender: Sender, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        match (&self.phase, sender) {
            (Phase::Open(_), _) => self.open_data(sender, input, out),
            (Phase::Closing(..), _) => self.closing_data(sender, input, out),
            (Phase::Unseen(_), _) | (Phase::NoTunnel | Phase::Opening(_), Sender::Server) => {
                Outcome::forward(Forwarded::Unchanged)
            }
            (Phase::NoTunnel, Sender::Client) => {
                Outcome::forward(Forward::new(input, out).finish())
            }
            (Phase::Opening(_), Sender::Client) => self.early_data(input, out),
        }
    }

    /// To be called on every tick: whether to reset the connection now.
    #[must_use]
    pub fn on_tick(&self) -> bool {
        let Phase::Closing(_, closing) = &self.phase else { return false };
        let now = self.guard.now();
        // A clock that was set back must not keep the connection for ever.
        now.since(closing.since) >= CLOSE_TIMEOUT || now < closing.since
    }

    /// To be called once, when the connection has ended in whatever way.
    pub fn on_end(&mut self) {
        let (Phase::Open(since) | Phase::Unseen(since) | Phase::Closing(since, _)) = self.phase
        else {
            return;
        };
        self.phase = Phase::NoTunnel;
        let now = self.guard.now();
        let ours = self.ended_for.and_then(Reason::close_code);
        let mut event = Event::new(now, Kind::Closed, self.mode(), &self.about);
        event.reason = self.ended_for;
        event.closed = Some(Closed {
            messages: self.messages,
            bytes: PerDirection {
                client: self.client.stream_bytes(),
                server: self.server.stream_bytes(),
            },
            duration: now.since(since),
            code: ours.or_else(|| self.first_close.and_then(|close| close.code)),
        });
        self.guard.tell(Some(self.policy), event);
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

    fn policy(&self) -> Option<&Policy> {
        self.guard.policy(self.policy)
    }

    fn mode(&self) -> Mode {
        self.policy().map_or(Mode::Enforce, |policy| policy.mode)
    }

    /// How bytes of this sender are treated.
    fn handling(&self, sender: Sender) -> Handling {
        match (self.mode(), sender) {
            (Mode::Report, _) => Handling::Observe,
            (Mode::Enforce, Sender::Client) => Handling::Hold,
            // There are no rules for what the server sends yet: only framing.
            (Mode::Enforce, Sender::Server) => Handling::Relay,
        }
    }

    fn open_data(&mut self, sender: Sender, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let guard = Rc::clone(&self.guard);
        let handling = self.handling(sender);
        let mut forward = Forward::new(input, out);
        if handling == Handling::Observe {
            forward.pass(0, input.len());
        }
        let mut scratch = guard.scratch().borrow_mut();
        let mut with = Surroundings {
            handling,
            rules: guard
                .policy(self.policy)
                .filter(|_| sender == Sender::Client)
                .map(|p| &p.client),
            budget: guard.budget(),
            scratch: &mut scratch,
        };
        let mut bench = Bench {
            guard: &guard,
            policy: self.policy,
            mode: self.mode(),
            about: &self.about,
            sender,
            messages: 0,
            refused: None,
        };
        let flow = match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        };
        let done = flow.process(input, &mut forward, &mut with, &mut bench);
        self.first_close = self.first_close.or_else(|| flow.close_seen());
        let (messages, refused) = (bench.messages, bench.refused);
        self.messages.add(sender, messages);
        let bytes = u64::try_from(input.len()).unwrap_or(u64::MAX);
        guard.count_chunk(self.policy, sender, messages, bytes);
        match done {
            Ok(()) => Outcome { refused, ..Outcome::forward(forward.finish()) },
            Err(Stopped) => self.stop(sender, handling, refused, forward),
        }
    }

    /// The sender broke a rule that ends the connection.
    fn stop(
        &mut self,
        sender: Sender,
        handling: Handling,
        refused: Option<Reason>,
        mut forward: Forward<'_>,
    ) -> Outcome {
        let since = match self.phase {
            Phase::Open(since) => since,
            _ => self.arrived,
        };
        self.flow(sender).discard();
        if handling == Handling::Observe {
            self.flow(sender.other()).discard();
            self.phase = Phase::Unseen(since);
            return Outcome { refused, ..Outcome::forward(forward.finish()) };
        }
        let reason = refused.unwrap_or(Reason::ProtocolError);
        self.ended_for = Some(reason);
        let mut closing = Closing { since: self.guard.now(), to_client: None, to_server: None };
        match sender {
            Sender::Client => closing.to_client = Some(reason),
            Sender::Server => closing.to_server = Some(reason),
        }
        self.phase = Phase::Closing(since, closing);
        let reset = !self.flow(sender).at_boundary(handling);
        if !reset {
            let mask = self.mask_towards(sender.other());
            close::write(close_code(reason), "", mask, forward.insert());
        }
        Outcome { forwarded: forward.finish(), reset, refused }
    }

    /// We are ending the connection: of what `sender` sends nothing goes on but
    /// the rest of a frame that has begun to; then our Close to the other side,
    /// if it is due.
    fn closing_data(&mut self, sender: Sender, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let mask = self.mask_towards(sender.other());
        let mut forward = Forward::new(input, out);
        if let Phase::Closing(_, closing) = &mut self.phase {
            let (flow, due) = match sender {
                Sender::Server => (&mut self.server, &mut closing.to_client),
                Sender::Client => (&mut self.client, &mut closing.to_server),
            };
            // What the client sends is held whole, so only the server can be
            // inside a frame.
            let boundary = sender == Sender::Client || flow.finish_frame(input, &mut forward);
            if let (Some(reason), true) = (*due, boundary) {
                close::write(close_code(reason), reason.name(), mask, forward.insert());
                *due = None;
            }
        }
        Outcome::forward(forward.finish())
    }

    /// Bytes before upstream has answered: no conforming client sends any, and
    /// Envoy would hand them to upstream with whatever answer comes.
    fn early_data(&mut self, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        if input.is_empty() || self.mode() == Mode::Report {
            return Outcome::forward(Forwarded::Unchanged);
        }
        let mut bench = Bench {
            guard: &self.guard,
            policy: self.policy,
            mode: self.mode(),
            about: &self.about,
            sender: Sender::Client,
            messages: 0,
            refused: None,
        };
        let _ = bench.violation(Violation::Early, 0);
        let refused = bench.refused;
        self.guard.count_handshake(
            Some(self.policy),
            crate::guard::HandshakeResult::Refused,
            refused,
        );
        self.phase = Phase::NoTunnel;
        self.ended_for = refused;
        Outcome { forwarded: Forward::new(input, out).finish(), reset: true, refused }
    }

    fn flow(&mut self, sender: Sender) -> &mut Flow {
        match sender {
            Sender::Client => &mut self.client,
            Sender::Server => &mut self.server,
        }
    }

    /// A masking key for a frame of ours that goes to `receiver`. Its payload
    /// is a code and a name of ours, nothing that a client chose, so the key
    /// need not be secret (RFC 6455 §10.3).
    fn mask_towards(&self, receiver: Sender) -> Option<[u8; 4]> {
        match receiver {
            Sender::Client => None,
            Sender::Server => {
                Some(self.guard.host().now().since_epoch().subsec_nanos().to_be_bytes())
            }
        }
    }
}

/// Every reason that can end an open connection has a code; were one without,
/// 1008 says at least that it was policy.
fn close_code(reason: Reason) -> u16 {
    reason.close_code().unwrap_or(1008)
}

/// Counts and tells what a flow finds, and says by mode and action what follows.
struct Bench<'a> {
    guard: &'a Guard,
    policy: usize,
    mode: Mode,
    about: &'a About,
    sender: Sender,
    messages: u64,
    refused: Option<Reason>,
}

impl Judge for Bench<'_> {
    fn violation(&mut self, violation: Violation, offset: u64) -> Verdict {
        let rules = self.guard.policy(self.policy).map(|policy| &policy.client);
        let action = effective(self.mode, violation.action(rules));
        let reason = violation.reason();
        let kind = match action {
            Action::Report => Kind::Reported,
            Action::Close => Kind::Refused,
        };
        let mut event = Event::new(self.guard.now(), kind, self.mode, self.about);
        event.reason = Some(reason);
        event.direction = Some(self.sender);
        event.offset = Some(offset);
        event.detail = Some(violation.to_string());
        if let Violation::RuleMatched { rule, .. } = violation {
            event.rule = rules.and_then(|r| r.rules.as_ref()).map(|rules| rules.name(rule));
        }
        self.guard.count_violation(self.policy, self.sender, reason, action);
        self.guard.tell(Some(self.policy), event);
        self.refused = Some(reason);
        match action {
            Action::Report => Verdict::Pass,
            Action::Close => Verdict::Stop,
        }
    }

    fn message(&mut self, payload_bytes: u64) {
        self.messages += 1;
        self.guard.count_message(self.policy, self.sender, payload_bytes);
    }
}
