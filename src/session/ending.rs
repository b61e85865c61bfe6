//! How a connection ends: a Close to each end, or a reset where nobody answers.

use super::bench::key_of_ours;
use super::closes::SentClose;
use super::forward::Forward;
use super::{CLOSE_TIMEOUT, Forwarded, Outcome, Phase, Session, close_code};
use crate::config::Mode;
use crate::event::{Closed, Event, Kind, PerDirection, Traffic};
use crate::frame::{Sender, close};
use crate::guard::{EndedBy, HandshakeResult};
use crate::reason::Reason;
use std::time::Duration;

/// What `closed` says of a connection that ended before what it held had gone on.
const CUT_SHORT: &str = "messages that had waited for their turn did not go on";

impl Session {
    /// To be called on every tick: whether to reset the connection now, and why
    /// if that is news. There may be something to push afterwards.
    pub fn on_tick(&mut self) -> Outcome {
        self.tell_progress();
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
        // What passes unseen may hold a Close.
        let unseen = matches!(self.phase, Phase::Unseen(_));
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
        let we_ended = self.ended_for.is_some();
        let by = self.closes.ended_by(we_ended);
        let open_for = self.guard.monotonic().saturating_sub(since);
        let code = (!unseen).then(|| self.closes.label(we_ended));
        self.guard.count_closed((self.policy, code, by), open_for);
        let mut event = Event::new(now, Kind::Closed, self.mode(), &self.about);
        event.reason = self.ended_for;
        event.detail = self.is_cut_short().then(|| CUT_SHORT.to_owned());
        event.closed = Some(Closed {
            traffic: self.traffic(open_for),
            code: self.closes.code(we_ended),
            by: by.map(EndedBy::name),
        });
        self.guard.tell(Some(self.policy), event);
    }

    /// Says that the transport of this end has ended, or was broken off by it.
    pub fn on_transport_end(&mut self, sender: Sender) {
        self.closes.gone(sender);
    }

    /// Says that what [`Self::push`] has given has not all been written, and will not.
    pub const fn on_unwritten(&mut self) {
        self.closes.lost(Sender::Client);
    }

    /// A Close may have gone to `receiver`.
    pub(super) fn note_sent(&mut self, receiver: Sender, close: Option<SentClose>) {
        if let Some(close) = close {
            let code = self.flow(receiver.other()).close_seen().and_then(|close| close.code);
            self.closes.sent(receiver, close, code);
        }
    }

    /// Returns the traffic so far of a connection that has been open for `duration`.
    pub(super) const fn traffic(&self, duration: Duration) -> Traffic {
        let (client, server) = (self.client.stream_bytes(), self.server.stream_bytes());
        Traffic { messages: self.messages, bytes: PerDirection { client, server }, duration }
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
        self.closes.sent(receiver, SentClose::Ours(code), None);
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
