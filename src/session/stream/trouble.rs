//! What goes wrong around the heads.

use super::StreamConnection;
use crate::event::{About, Event, Kind};
use crate::frame::Sender;
use crate::guard::{Guard, HandshakeResult};
use crate::handshake::answer::AnswerError;
use crate::http1::HeadError;
use crate::reason::Reason;
use crate::session::{Outcome, Session};
use std::time::Duration;

/// Why a connection ends before it is a WebSocket, where no check of the
/// handshake says so.
#[derive(Clone, Copy, Debug)]
pub(super) enum Trouble {
    /// The request's head.
    Request(HeadError),
    RequestTimeout,
    /// The body of a request that report would let pass.
    Body,
    NotAnUpgrade,
    Memory(Sender),
    /// Upstream's head.
    Answer(HeadError),
    /// Upstream sent something before there was a request.
    Unasked,
    /// The client sent something before there was an answer.
    Early,
    /// Mode report: upstream has not answered for so long a request that enforce would
    /// have refused.
    Silent(Duration),
}

impl Trouble {
    /// Writes that a connection ends, or in mode report would, for this; gives
    /// the reason.
    pub(super) fn tell(
        self,
        guard: &Guard,
        policy: Option<usize>,
        kind: Kind,
        about: &About,
    ) -> Option<Reason> {
        let mode = policy.and_then(|index| guard.policy(index)).map(|policy| policy.mode);
        let mut event = Event::new(guard.now(), kind, mode.unwrap_or(guard.config().mode), about);
        let reason = Some(self.reason());
        event.reason = reason;
        event.direction = Some(self.direction());
        event.detail = Some(self.to_string());
        guard.tell(policy, event);
        reason
    }

    /// Counts the handshake, once, that ends so.
    pub(super) fn count(self, guard: &Guard, policy: Option<usize>, kind: Kind) {
        let result = match kind {
            Kind::Reported => HandshakeResult::Reported,
            _ => HandshakeResult::Refused,
        };
        guard.count_handshake(policy, result, Some(self.reason()));
    }

    /// What the refusal is called.
    const fn reason(self) -> Reason {
        match self {
            Self::Request(error) => error.reason(),
            Self::RequestTimeout | Self::Body => Reason::HandshakeMalformed,
            Self::NotAnUpgrade => Reason::NotWebsocket,
            Self::Memory(_) => Reason::Overloaded,
            Self::Answer(_) | Self::Unasked | Self::Silent(_) => Reason::UpstreamHandshake,
            Self::Early => Reason::ProtocolError,
        }
    }

    /// Whose bytes it is about.
    pub(super) const fn direction(self) -> Sender {
        match self {
            Self::Memory(sender) => sender,
            Self::Answer(_) | Self::Unasked | Self::Silent(_) => Sender::Server,
            _ => Sender::Client,
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Request(error) => return write!(f, "the request can't be read: {error}"),
            Self::RequestTimeout => "no complete request head within 10 s",
            Self::Body => "a request whose body is chunked, or of no clear length, can't pass here",
            Self::NotAnUpgrade => "this listener takes WebSocket upgrades only",
            Self::Memory(_) => "no memory is left to hold the head",
            Self::Answer(error) => return write!(f, "upstream's answer can't be read: {error}"),
            Self::Unasked => "upstream sent something before the request",
            Self::Early => "the client sent something before upstream's answer",
            Self::Silent(limit) => return AnswerError::TimedOut(*limit).fmt(f),
        })
    }
}

impl StreamConnection {
    /// Ends the connection, and says why.
    pub(super) fn give_up(&mut self, trouble: Trouble) -> Outcome {
        let about = self.session.as_ref().map(|session| session.about.clone());
        let about = about.unwrap_or_else(|| self.about());
        let refused = trouble.tell(&self.guard, self.policy, Kind::Refused, &about);
        let counted = self.session.as_mut().map_or(self.counted, Session::mark_counted);
        if !counted {
            trouble.count(&self.guard, self.policy, Kind::Refused);
        }
        if let (Some(reason), Some(policy), true) =
            (refused, self.policy, trouble.direction() == Sender::Client)
        {
            let user = self.session.as_ref().and_then(|session| session.user.as_deref());
            self.guard.strike(policy, reason, &about, user);
        }
        Outcome { refused, ..self.over() }
    }

    /// Describes the connection to events.
    pub(super) fn about(&self) -> About {
        About { ip: self.peer.source, connection: self.peer.connection, ..About::default() }
    }
}
