//! Upstream's answer to the opening handshake.

use super::admission::nameable;
use super::answered::{self, Answered};
use super::refusal::Refusal;
use super::{Phase, Session};
use crate::auth::Identity;
use crate::config::{Mode, Policy};
use crate::event::{Event, Kind, Opened};
use crate::frame::Sender;
use crate::guard::HandshakeResult;
use crate::handshake::answer::{Agreement, Answer, AnswerError};
use crate::handshake::form::ValidHandshake;
use crate::handshake::{HeadEdits, Headers, RefuseWith};
use crate::host::Timestamp;
use crate::reason::Reason;

/// What is kept of the handshake until upstream answers.
#[derive(Debug)]
pub(super) struct Pending {
    agreement: Agreement,
    /// What a refusal by close needs: accept and an offered subprotocol.
    accept: Option<String>,
    offered: Option<String>,
    http2: bool,
    key_id: Option<String>,
    authenticated_at: Option<Timestamp>,
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
    ) -> Self {
        Self {
            agreement,
            accept: handshake.accept_for_client(),
            offered: nameable(policy, handshake.subprotocols()).map(str::to_owned),
            http2: handshake.is_http2(),
            key_id: identity.map(|identity| identity.key_id.clone()),
            authenticated_at: identity.map(|identity| identity.authenticated_at),
            counted: false,
            early: false,
        }
    }

    /// How the client is told by a WebSocket that opens and closes at once.
    pub(super) fn refusal(&self, reason: Reason) -> Refusal {
        Refusal::close(reason, self.accept.clone(), self.offered.as_deref())
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

impl Session {
    /// Takes upstream's answer to the upgrade.
    pub fn on_response(&mut self, status: u16, headers: &Headers) -> Opening {
        let pending = match std::mem::replace(&mut self.phase, Phase::NoTunnel) {
            Phase::Opening(pending) => pending,
            other => {
                self.phase = other;
                return Opening::Pass;
            }
        };
        match pending.agreement.judge(status, headers) {
            Answer::Open { add_subprotocol } => {
                let now = self.guard.now();
                self.open(&pending, now, None);
                let name = "sec-websocket-protocol".to_owned();
                let set = add_subprotocol.map(|value| (name, value.into_bytes()));
                // A client over HTTP/2 sent no key and expects no answer to one.
                let accept = pending.http2.then(|| "sec-websocket-accept".to_owned());
                let remove = accept.into_iter().collect();
                Opening::Open(HeadEdits { remove, set: set.into_iter().collect() })
            }
            Answer::PassThrough => {
                if !pending.counted {
                    self.guard.count_handshake(Some(self.policy), HandshakeResult::Upstream, None);
                }
                self.pass_answer(status, headers)
            }
            Answer::Refused(AnswerError::ExtensionNotOffered) if self.mode() == Mode::Report => {
                self.open(&pending, self.guard.now(), Some(UNREAD));
                Opening::Pass
            }
            Answer::Refused(error) => self.refuse_answer(pending, status, error),
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
        self.phase = Phase::Answered(Answered { left, since: self.guard.now() });
        let remove = ["upgrade", "connection"].map(str::to_owned).to_vec();
        Opening::NoTunnel(HeadEdits { remove, set: Vec::new() })
    }

    fn refuse_answer(&mut self, pending: Pending, status: u16, error: AnswerError) -> Opening {
        let reason = error.reason();
        let (kind, result) = match self.mode() {
            Mode::Enforce => (Kind::Refused, HandshakeResult::Refused),
            Mode::Report => (Kind::Reported, HandshakeResult::Reported),
        };
        let now = self.guard.now();
        let mut event = Event::new(now, kind, self.mode(), &self.about);
        event.reason = Some(reason);
        event.direction = Some(Sender::Server);
        event.detail = Some(error.to_string());
        self.guard.tell(Some(self.policy), event);
        if !pending.counted {
            self.guard.count_handshake(Some(self.policy), result, Some(reason));
        }
        if self.mode() == Mode::Report {
            if status == 101 {
                self.open(&Pending { counted: true, ..pending }, now, None);
            }
            return Opening::Pass;
        }
        self.ended_for = Some(reason);
        let refuse_with = self.policy().map(|policy| policy.handshake.refuse_with);
        Opening::Refused(if refuse_with == Some(RefuseWith::Close) {
            pending.refusal(reason)
        } else {
            Refusal::http(reason, &error.to_string())
        })
    }

    /// Frames go both ways from now on; `unread` says why they can't be read.
    fn open(&mut self, pending: &Pending, now: Timestamp, unread: Option<&str>) {
        let unseen = unread.is_some() || pending.early;
        self.phase = if unseen { Phase::Unseen(now) } else { Phase::Open(now) };
        if !pending.counted {
            self.guard.count_handshake(Some(self.policy), HandshakeResult::Accepted, None);
        }
        let took = now.since(self.arrived).as_micros();
        self.guard.count_opened(self.policy, u64::try_from(took).unwrap_or(u64::MAX));
        let mut event = Event::new(now, Kind::Opened, self.mode(), &self.about);
        event.detail = unread.map(str::to_owned);
        event.opened = Some(Opened {
            key_id: pending.key_id.as_deref(),
            authenticated_at: pending.authenticated_at,
        });
        self.guard.tell(Some(self.policy), event);
    }
}
