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

use crate::config::{Mode, Policy};
use crate::event::{About, Closed, Event, Kind, PerDirection};
use crate::frame::{Sender, close};
use crate::guard::{Guard, HandshakeResult};
use crate::host::Timestamp;
use crate::message::Violation;
use crate::quota::Permit;
use crate::reason::Reason;
use bench::Bench;
use flow::{CloseSeen, Flow, Handling, Surroundings, to_u64};
use forward::Forward;
use std::rc::Rc;
use std::time::Duration;
use verdict::{Judge, Stopped};

mod admission;
mod bench;
mod expiry;
mod flow;
mod forward;
mod fuzz;
mod opening;
mod refusal;
mod stream;
mod verdict;

pub use admission::{Admission, Admitted, Arrival, PendingAdmission, admit};
pub use forward::Forwarded;
pub use fuzz::fuzz_session;
pub use opening::Opening;
pub use refusal::Refusal;
pub use stream::{ANSWER_TIMEOUT, Peer, SILENCE_TIMEOUT, StreamConnection};

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
    /// The first Close that went by.
    first_close: Option<CloseSeen>,
    /// What its credential depends on.
    expiry: expiry::Expiry,
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
    /// Why bytes of this call were first refused, or in mode report would have
    /// been.
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
            (Phase::Unseen(_), _) => {
                self.count_unread(sender, input);
                Outcome::forward(Forwarded::Unchanged)
            }
            (Phase::Opening(_), Sender::Client) => self.early_data(input, out),
            (Phase::NoTunnel, Sender::Client) if self.mode() == Mode::Enforce => {
                Outcome::forward(Forward::new(input, out).finish())
            }
            (Phase::NoTunnel | Phase::Opening(_), _) => Outcome::forward(Forwarded::Unchanged),
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
        let since = match std::mem::replace(&mut self.phase, Phase::NoTunnel) {
            Phase::Open(since) | Phase::Unseen(since) | Phase::Closing(since, _) => since,
            Phase::Opening(pending) if !pending.counted => {
                let result = HandshakeResult::Abandoned;
                return self.guard.count_handshake(Some(self.policy), result, None);
            }
            Phase::Opening(_) | Phase::NoTunnel => return,
        };
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

    fn open_data(&mut self, sender: Sender, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let guard = Rc::clone(&self.guard);
        let mut forward = match self.mode() {
            Mode::Enforce => Forward::new(input, out),
            Mode::Report => Forward::untouched(input, out),
        };
        // There are no rules for what the server sends yet: only framing.
        let (flow, handling, rules) = match sender {
            Sender::Client => {
                let rules = guard.policy(self.policy).map(|policy| &policy.client);
                (&mut self.client, Handling::Hold, rules)
            }
            Sender::Server => (&mut self.server, Handling::Relay, None),
        };
        let mut scratch = guard.scratch().borrow_mut();
        let budget = guard.budget();
        let mut with = Surroundings { handling, rules, budget, scratch: &mut scratch };
        let mut bench = Bench::new(&guard, self.policy, &self.about, sender);
        let done = flow.process(input, &mut forward, &mut with, &mut bench);
        self.first_close = self.first_close.or(flow.close_seen());
        let (messages, refused) = (bench.messages, bench.refused);
        self.messages.add(sender, messages);
        guard.count_chunk(self.policy, sender, messages, to_u64(input.len()));
        match done {
            Ok(()) => Outcome { refused, ..Outcome::forward(forward.finish()) },
            Err(Stopped) => self.stop(sender, refused, forward),
        }
    }

    /// The sender broke a rule that ends the connection.
    fn stop(&mut self, sender: Sender, refused: Option<Reason>, forward: Forward<'_>) -> Outcome {
        let since = match self.phase {
            Phase::Open(since) => since,
            _ => self.arrived,
        };
        // Nothing of what either side holds will go on.
        self.client.discard();
        self.server.discard();
        if self.mode() == Mode::Report {
            self.phase = Phase::Unseen(since);
            return Outcome { refused, ..Outcome::forward(forward.finish()) };
        }
        let reason = refused.unwrap_or(Reason::ProtocolError);
        self.ended_for = Some(reason);
        // The sender is told too, at the next chance to write to it, unless the
        // other end's own Close has gone there already: it is the last frame.
        let due = self.flow(sender.other()).close_seen().is_none().then_some(reason);
        let (to_client, to_server) = match sender {
            Sender::Client => (due, None),
            Sender::Server => (None, due),
        };
        self.phase =
            Phase::Closing(since, Closing { since: self.guard.now(), to_client, to_server });
        let reset = !self.flow(sender).at_boundary();
        let mut forward = forward;
        if !reset {
            let mask = self.mask_towards(sender.other());
            forward.insert(|out| close::write(close_code(reason), "", mask, out));
        }
        Outcome { forwarded: forward.finish(), reset, refused }
    }

    /// We are ending the connection: of what `sender` sends nothing goes on but
    /// the rest of a frame that has begun to; then our Close to the other side,
    /// if it is due.
    fn closing_data(&mut self, sender: Sender, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        self.count_unread(sender, input);
        let mask = self.mask_towards(sender.other());
        let mut forward = Forward::new(input, out);
        if let Phase::Closing(_, closing) = &mut self.phase {
            let (flow, due) = match sender {
                Sender::Server => (&mut self.server, &mut closing.to_client),
                Sender::Client => (&mut self.client, &mut closing.to_server),
            };
            if flow.finish_frame(input, &mut forward)
                && let Some(reason) = due.take()
            {
                forward.insert(|out| close::write(close_code(reason), reason.name(), mask, out));
            }
        }
        Outcome::forward(forward.finish())
    }

    /// Bytes before upstream has answered: no conforming client sends any, and
    /// Envoy would hand them to upstream with whatever answer comes.
    fn early_data(&mut self, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let unchanged = Outcome::forward(Forwarded::Unchanged);
        let Phase::Opening(pending) = &mut self.phase else { return unchanged };
        if input.is_empty() {
            return unchanged;
        }
        let mut refused = None;
        if !std::mem::replace(&mut pending.early, true) {
            let mut bench = Bench::new(&self.guard, self.policy, &self.about, Sender::Client);
            // Which mode it is decides below what follows.
            let _ = bench.violation(Violation::Early, 0);
            refused = bench.refused;
            if !std::mem::replace(&mut pending.counted, true) {
                let result = match self.mode() {
                    Mode::Enforce => HandshakeResult::Refused,
                    Mode::Report => HandshakeResult::Reported,
                };
                self.guard.count_handshake(Some(self.policy), result, refused);
            }
        }
        if self.mode() == Mode::Report {
            self.count_unread(Sender::Client, input);
            return Outcome { refused, ..unchanged };
        }
        self.phase = Phase::NoTunnel;
        self.ended_for = refused;
        Outcome { forwarded: Forward::new(input, out).finish(), reset: true, refused }
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
