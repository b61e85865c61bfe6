//! How a connection ends: a Close to each end, or a reset where nobody answers.

use super::bench::key_of_ours;
use super::forward::Forward;
use super::{CLOSE_TIMEOUT, Forwarded, Outcome, Phase, Session, close_code};
use crate::config::Mode;
use crate::event::{Closed, Event, Kind, PerDirection};
use crate::frame::{Sender, close};
use crate::guard::HandshakeResult;
use crate::reason::Reason;

/// What `closed` says of a connection that ended before what it held had gone on.
const CUT_SHORT: &str = "messages that had waited for their turn did not go on";

impl Session {
    /// To be called on every tick: whether to reset the connection now, and why
    /// if that is news. There may be something to push afterwards.
    pub fn on_tick(&mut self) -> Outcome {
        let goes_on = Outcome::forward(Forwarded::Unchanged);
        let reset = match &self.phase {
            Phase::Open(_) => return self.live_tick(),
            Phase::Unseen(_) => return self.unseen_tick(),
            Phase::Opening(_) => return self.opening_tick(),
            Phase::Closing { since, .. } => {
                self.guard.monotonic().saturating_sub(*since) >= CLOSE_TIMEOUT
            }
            Phase::Answered(answered) => answered.is_over(self.guard.monotonic()),
            Phase::NoTunnel => false,
        };
        Outcome { reset, ..goes_on }
    }

    /// To be called once, when the connection has ended in whatever way.
    pub fn on_end(&mut self) {
        let since = match std::mem::replace(&mut self.phase, Phase::NoTunnel) {
            Phase::Open(since) | Phase::Unseen(since) => since,
            Phase::Closing { opened, .. } => opened,
            Phase::Opening(pending) if !pending.counted => {
                let result = HandshakeResult::Abandoned;
                return self.guard.count_handshake(Some(self.policy), result, None);
            }
            Phase::Opening(_) | Phase::NoTunnel | Phase::Answered(_) => return,
        };
        let now = self.guard.now();
        let ours = self.ended_for.and_then(Reason::close_code);
        let mut event = Event::new(now, Kind::Closed, self.mode(), &self.about);
        event.reason = self.ended_for;
        event.detail = self.is_cut_short().then(|| CUT_SHORT.to_owned());
        event.closed = Some(Closed {
            messages: self.messages,
            bytes: PerDirection {
                client: self.client.stream_bytes(),
                server: self.server.stream_bytes(),
            },
            duration: self.guard.monotonic().saturating_sub(since),
            code: ours.or_else(|| self.first_close.and_then(|close| close.code)),
        });
        self.guard.tell(Some(self.policy), event);
    }

    /// Whether something whose turn had not come, or could not be taken, has not
    /// gone on, and the connection has not ended because of it.
    fn is_cut_short(&self) -> bool {
        let (queues, outboxes) = (&self.queues, &self.outboxes);
        let waits = !queues.client.is_empty() || !queues.server.is_empty();
        let left = outboxes.client.holds_released() || outboxes.server.holds_released();
        self.ended_for.is_none() && (waits || left)
    }

    /// The sender broke a rule that ends the connection.
    pub(super) fn stop(
        &mut self,
        sender: Sender,
        refused: Option<Reason>,
        forward: Forward<'_>,
    ) -> Outcome {
        let opened = match self.phase {
            Phase::Open(opened) => opened,
            _ => self.life.opened,
        };
        if self.mode() == Mode::Report {
            self.discard_unread();
            self.phase = Phase::Unseen(opened);
            // What was asked for before is decided all the same, at once as far as
            // that can be done now.
            let decided = self.advance();
            return Outcome { refused, ..Outcome::forward(forward.finish()) }.and(decided);
        }
        // Nothing of what either side holds will go on.
        self.discard();
        let reason = refused.unwrap_or(Reason::ProtocolError);
        let receiver = sender.other();
        self.ended_for = Some(reason);
        self.phase = Phase::Closing { opened, since: self.guard.monotonic() };
        // The sender is told too, at the next chance to write to it, unless the
        // other end's own Close has gone there already: it is the last frame.
        let code = close_code(reason);
        let key = self.key_towards(sender);
        self.outboxes.of(sender).close(code, reason.name(), key);
        self.outboxes.of(receiver).seal();
        let key = self.key_towards(receiver);
        let mut forward = forward;
        forward.insert(|out| close::write(code, "", key, out));
        Outcome { refused, ..Outcome::forward(forward.finish()) }
    }

    /// We are ending the connection: nothing that `sender` sends goes on, but
    /// what we have to say to the other end.
    pub(super) fn closing_data(
        &mut self,
        sender: Sender,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Outcome {
        self.count_unread(sender, input);
        let mut forward = Forward::new(input, out);
        self.flush(sender.other(), &mut forward);
        Outcome::forward(forward.finish())
    }

    /// Gives back what either side holds: nothing of it will go on.
    pub(super) fn discard(&mut self) {
        self.discard_messages();
        self.discard_asked();
    }

    /// Mode report: bytes pass unseen from now on. What has been asked for is kept
    /// as long as there may be an answer to it.
    fn discard_unread(&mut self) {
        self.discard_messages();
        if self.gate.is_some() && !self.is_waiting() {
            self.discard_asked();
        }
    }

    fn discard_messages(&mut self) {
        self.client.discard();
        self.server.discard();
        self.queues.client.discard();
        self.queues.server.discard();
    }

    fn discard_asked(&mut self) {
        self.asking.discard();
        if let Some(gate) = &mut self.gate {
            gate.discard();
        }
    }

    /// A masking key for a frame of ours that goes to `receiver`.
    pub(super) fn key_towards(&self, receiver: Sender) -> Option<[u8; 4]> {
        (receiver == Sender::Server).then(|| key_of_ours(&self.guard))
    }
}
