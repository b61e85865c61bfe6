//! Upstream's answer to the opening handshake.

use super::admission::nameable;
use super::answered::{self, Answered};
use super::bench::Bench;
use super::forward::Forward;
use super::lifetime::Life;
use super::refusal::Refusal;
use super::verdict::Judge;
use super::{Forwarded, Outcome, Phase, Session};
use crate::auth::Identity;
use crate::config::{Mode, Policy};
use crate::event::{Event, Kind, Opened};
use crate::frame::{Deflate, Sender};
use crate::guard::HandshakeResult;
use crate::handshake::answer::{Agreement, Answer, AnswerError};
use crate::handshake::form::ValidHandshake;
use crate::handshake::{Compression, HeadEdits, Headers, RefuseWith, Upstream};
use crate::host::Timestamp;
use crate::message::Violation;
use crate::reason::Reason;
use std::rc::Rc;
use std::time::Duration;

/// What is kept of the handshake until upstream answers.
#[derive(Debug)]
pub(super) struct Pending {
    agreement: Agreement,
    /// What a refusal by close needs, and where upstream got no key the client
    /// too: the accept. A client over HTTP/2 expects none.
    accept: Option<String>,
    /// What a refusal by close needs: an offered subprotocol.
    offered: Option<String>,
    upstream: Upstream,
    key_id: Option<String>,
    authenticated_at: Option<Timestamp>,
    /// When the request went to upstream, by the steady clock.
    since: Duration,
    /// Mode report: that no answer came in time has been told.
    overdue: bool,
    /// The handshake has been counted as refused or reported already.
    pub(super) counted: bool,
    /// The client has sent bytes, which in mode report have gone on: what
    /// follows begins nobody knows where in a frame.
    pub(super) early: bool,
}

impl Pending {
    pub(super) fn new(
        agreement: Agreement,
        policy: &Policy,
        handshake: &ValidHandshake,
        identity: Option<&Identity>,
        now: Duration,
    ) -> Self {
        let upstream = policy.handshake.upstream;
        let accept = agreement.accept().filter(|_| !handshake.is_http2()).map(str::to_owned);
        let agreement = match upstream {
            Upstream::Http1 => agreement,
            Upstream::Http2 => agreement.without_accept(),
        };
        Self {
            agreement,
            accept,
            offered: nameable(policy, handshake.subprotocols()).map(str::to_owned),
            upstream,
            key_id: identity.map(|identity| identity.key_id.clone()),
            authenticated_at: identity.map(|identity| identity.authenticated_at),
            since: now,
            overdue: false,
            counted: false,
            early: false,
        }
    }

    /// How the client is told by a WebSocket that opens and closes at once.
    pub(super) fn refusal(&self, reason: Reason) -> Refusal {
        Refusal::close(reason, self.accept.clone(), self.offered.as_deref())
    }

    /// What to change in a 101: a client over HTTP/2 sent no key and expects no
    /// answer to one, any other does, also where upstream was sent none.
    fn edits(&self, add_subprotocol: Option<String>) -> HeadEdits {
        let mut edits = HeadEdits::default();
        let name = "sec-websocket-accept".to_owned();
        match (&self.accept, self.upstream) {
            (None, _) => edits.remove.push(name),
            (Some(accept), Upstream::Http2) => edits.set.push((name, accept.clone().into_bytes())),
            (Some(_), Upstream::Http1) => {}
        }
        let protocol = add_subprotocol.map(|value| value.into_bytes());
        edits.set.extend(protocol.map(|value| ("sec-websocket-protocol".to_owned(), value)));
        edits
    }
}

/// What becomes of upstream's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opening {
    /// It goes on unchanged.
    Pass,
    /// It goes on with these edits, without which Envoy would take it for the
    /// beginning of a tunnel.
    NoTunnel(HeadEdits),
    /// It goes on with these edits, and the WebSocket is open.
    Open(HeadEdits),
    /// It is replaced by this.
    Refused(Refusal),
}

/// What `opened` says where mode report let an extension through. Enforce strips
/// the offer, so neither side has done anything wrong.
const UNREAD: &str =
    "an extension was agreed that enforce strips from the offer: messages pass unseen";

/// What `opened` says where mode report let compression through that upstream
/// agreed to in another way than it was offered.
const MISAGREED: &str = "the two ends may not compress in the same way: messages pass unseen";

impl Session {
    /// Takes upstream's answer to the upgrade.
    pub fn on_response(&mut self, status: u16, headers: &Headers) -> Opening {
        let pending = match std::mem::replace(&mut self.phase, Phase::NoTunnel) {
            Phase::Opening(pending) => pending,
            other => {
                // Where an attempt has been refused, another one opens nothing.
                let refused = matches!(other, Phase::NoTunnel) && status == 101;
                self.phase = other;
                if refused && self.mode() == Mode::Enforce {
                    let reason = self.ended_for.unwrap_or(Reason::UpstreamHandshake);
                    return Opening::Refused(Refusal::http(reason, "it was refused before"));
                }
                return Opening::Pass;
            }
        };
        match pending.agreement.judge(status, headers) {
            Answer::Open { add_subprotocol, deflate } => {
                self.deflate = deflate;
                if let Some(Deflate { client, server }) = deflate {
                    self.client.compress(client, self.guard.budget());
                    self.server.compress(server, self.guard.budget());
                }
                self.open(&pending, self.guard.now(), None);
                Opening::Open(pending.edits(add_subprotocol))
            }
            Answer::PassThrough => {
                if !pending.counted {
                    self.guard.count_handshake(Some(self.policy), HandshakeResult::Upstream, None);
                }
                self.pass_answer(status, headers)
            }
            Answer::Refused(error) if self.mode() == Mode::Report && self.strips(error) => {
                self.open(&pending, self.guard.now(), Some(UNREAD));
                Opening::Open(pending.edits(None))
            }
            Answer::Refused(error) => self.refuse_answer(*pending, status, error),
        }
    }

    /// Bytes before upstream has answered: no conforming client sends any, and
    /// Envoy would hand them to upstream with whatever answer comes.
    pub(super) fn early_data(&mut self, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let unchanged = Outcome::forward(Forwarded::Unchanged);
        let Phase::Opening(pending) = &mut self.phase else { return unchanged };
        if input.is_empty() {
            return unchanged;
        }
        let refusal = pending.refusal(Reason::ProtocolError);
        let first = !std::mem::replace(&mut pending.early, true);
        let counts = first && !std::mem::replace(&mut pending.counted, true);
        let mut refused = None;
        if first {
            let guard = Rc::clone(&self.guard);
            let mut bench = Bench::of(self, &guard, Sender::Client);
            // Which mode it is decides below what follows.
            let _ = bench.violation(Violation::Early, 0);
            refused = bench.refused;
            if counts {
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
        self.refusal = Some(refusal);
        self.phase = Phase::NoTunnel;
        self.ended_for = refused;
        Outcome { forwarded: Forward::new(input, out).finish(), reset: true, refused }
    }

    /// Handles upstream's bytes that come before the head of its response. Envoy discards
    /// interim responses (RFC 9110 §15.2), but takes one with `Upgrade` for the start of a
    /// tunnel. All later bytes then come here, even the head of a valid 101.
    pub(super) fn headless_data(&mut self, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let unchanged = Outcome::forward(Forwarded::Unchanged);
        if input.is_empty() {
            return unchanged;
        }
        let Phase::Opening(pending) = std::mem::replace(&mut self.phase, Phase::NoTunnel) else {
            return unchanged;
        };
        let error = AnswerError::Headless;
        let refused = Some(error.reason());
        self.tell_refused_answer(&pending, error);
        if self.mode() == Mode::Report {
            self.count_unread(Sender::Server, input);
            return Outcome { refused, ..unchanged };
        }
        self.ended_for = refused;
        self.refusal = Some(self.refusal_of_answer(&pending, error));
        Outcome { forwarded: Forward::new(input, out).finish(), reset: true, refused }
    }

    /// The tick of a session whose upstream has not answered: whether it has had its
    /// time. Then the client is told so, and mode report only tells.
    pub(super) fn opening_tick(&mut self) -> Outcome {
        let unchanged = Outcome::forward(Forwarded::Unchanged);
        let limit = self.policy().map(|policy| policy.handshake.upstream_timeout);
        let (Phase::Opening(pending), Some(limit)) = (&mut self.phase, limit) else {
            return unchanged;
        };
        let waited = self.guard.monotonic().saturating_sub(pending.since);
        if pending.overdue || waited < limit {
            return unchanged;
        }
        let Phase::Opening(mut pending) = std::mem::replace(&mut self.phase, Phase::NoTunnel)
        else {
            return unchanged;
        };
        let error = AnswerError::TimedOut(limit);
        let refused = Some(error.reason());
        self.tell_refused_answer(&pending, error);
        if self.mode() == Mode::Report {
            (pending.overdue, pending.counted) = (true, true);
            self.phase = Phase::Opening(pending);
            return Outcome { refused, ..unchanged };
        }
        self.ended_for = refused;
        self.refusal = Some(self.refusal_of_answer(&pending, error));
        Outcome { reset: true, refused, ..unchanged }
    }

    /// Says that its handshake is counted now, by whoever ends it before upstream
    /// has answered; whether it was already.
    pub(super) const fn mark_counted(&mut self) -> bool {
        match &mut self.phase {
            Phase::Opening(pending) => std::mem::replace(&mut pending.counted, true),
            _ => true,
        }
    }

    /// Upstream's own refusal goes on. One that has the headers of an upgrade,
    /// as a 426 should (RFC 9110 §15.5.22), is read by Envoy as if what follows
    /// were a tunnel, without an end: we see to that it ends.
    fn pass_answer(&mut self, status: u16, headers: &Headers) -> Opening {
        if self.mode() == Mode::Report || headers.all("upgrade").next().is_none() {
            return Opening::Pass;
        }
        let left = answered::body_bytes(status, headers);
        self.phase = Phase::Answered(Answered { left, since: self.guard.monotonic() });
        let remove = ["upgrade", "connection"].map(str::to_owned).to_vec();
        Opening::NoTunnel(HeadEdits { remove, set: Vec::new() })
    }

    /// Whether mode enforce would have removed from the offer what upstream took.
    fn strips(&self, error: AnswerError) -> bool {
        let compression = self.policy().map(|policy| policy.handshake.compression);
        match error {
            AnswerError::ExtensionNotOffered => true,
            AnswerError::Deflate(_) | AnswerError::ExtensionTwice => {
                compression != Some(Compression::Inspect)
            }
            _ => false,
        }
    }

    fn refuse_answer(&mut self, pending: Pending, status: u16, error: AnswerError) -> Opening {
        self.tell_refused_answer(&pending, error);
        if self.mode() == Mode::Report {
            if status != 101 {
                return Opening::Pass;
            }
            let unread = matches!(error, AnswerError::Deflate(_) | AnswerError::ExtensionTwice);
            let edits = pending.edits(None);
            let (now, pending) = (self.guard.now(), Pending { counted: true, ..pending });
            self.open(&pending, now, unread.then_some(MISAGREED));
            return Opening::Open(edits);
        }
        self.ended_for = Some(error.reason());
        Opening::Refused(self.refusal_of_answer(&pending, error))
    }

    /// Tells that upstream's answer is refused, or in mode report would be, and
    /// counts the handshake so.
    fn tell_refused_answer(&self, pending: &Pending, error: AnswerError) {
        let reason = error.reason();
        let (kind, result) = match self.mode() {
            Mode::Enforce => (Kind::Refused, HandshakeResult::Refused),
            Mode::Report => (Kind::Reported, HandshakeResult::Reported),
        };
        let mut event = Event::new(self.guard.now(), kind, self.mode(), &self.about);
        event.reason = Some(reason);
        event.direction = Some(Sender::Server);
        event.detail = Some(error.to_string());
        self.guard.tell(Some(self.policy), event);
        if !pending.counted {
            self.guard.count_handshake(Some(self.policy), result, Some(reason));
        }
    }

    /// The refusal that the client gets in place of such a response.
    fn refusal_of_answer(&self, pending: &Pending, error: AnswerError) -> Refusal {
        let refuse_with = self.policy().map(|policy| policy.handshake.refuse_with);
        if refuse_with == Some(RefuseWith::Close) {
            pending.refusal(error.reason())
        } else {
            Refusal::http(error.reason(), &error.to_string())
        }
    }

    /// Frames go both ways from now on; `unread` says why they can't be read.
    fn open(&mut self, pending: &Pending, now: Timestamp, unread: Option<&str>) {
        let unseen = unread.is_some() || pending.early;
        let opened = self.guard.monotonic();
        self.life = Life::begin(opened);
        self.phase = if unseen { Phase::Unseen(opened) } else { Phase::Open(opened) };
        if !pending.counted {
            self.guard.count_handshake(Some(self.policy), HandshakeResult::Accepted, None);
        }
        let took = now.since(self.arrived).as_micros();
        self.guard.count_opened(self.policy, u64::try_from(took).unwrap_or(u64::MAX));
        if self.gate.is_none() {
            self.tell_opened(pending.key_id.as_deref(), pending.authenticated_at, unread);
        }
    }

    /// Tells that the WebSocket is open, and whose it is. One that begins with a
    /// first message is when that has been verified.
    pub(super) fn tell_opened(
        &self,
        key_id: Option<&str>,
        authenticated_at: Option<Timestamp>,
        unread: Option<&str>,
    ) {
        let mut event = Event::new(self.guard.now(), Kind::Opened, self.mode(), &self.about);
        event.detail = unread.map(str::to_owned);
        event.opened = Some(Opened { key_id, authenticated_at });
        self.guard.tell(Some(self.policy), event);
    }
}
