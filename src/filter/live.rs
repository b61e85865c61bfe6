//! Streams and connections that callbacks of others, and ticks, can reach.

use super::http::SharedStream;
use super::stream::SharedConnection;
use crate::host::{CallAnswer, CallId};
use crate::reason::Reason;

/// A stream or connection of Envoy's, under its context id.
#[derive(Debug)]
pub(super) enum Live {
    /// An HTTP stream.
    Http(SharedStream),
    /// A connection before `tcp_proxy`.
    Stream(SharedConnection),
}

impl Live {
    /// Returns true if the stream must be ended now, and the reason if it has not been
    /// reported yet.
    pub(super) fn on_tick(&self) -> (bool, Option<Reason>) {
        match self {
            Self::Http(stream) => stream.borrow_mut().on_tick(),
            Self::Stream(connection) => connection.borrow_mut().on_tick(),
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        match self {
            Self::Http(stream) => stream.borrow().is_waiting(),
            Self::Stream(connection) => connection.borrow().is_waiting(),
        }
    }

    /// Returns true if bytes for the client are left over for the next tick.
    pub(super) fn is_behind(&self) -> bool {
        matches!(self, Self::Http(stream) if stream.borrow().is_behind())
    }

    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub(super) fn on_answer(&self, id: CallId, answer: &CallAnswer) -> bool {
        match self {
            Self::Http(stream) => stream.borrow_mut().on_answer(id, answer),
            Self::Stream(connection) => connection.borrow_mut().on_answer(id, answer),
        }
    }

    pub(super) fn advance(&self) {
        match self {
            Self::Http(stream) => stream.borrow_mut().advance(),
            Self::Stream(connection) => connection.borrow_mut().advance(),
        }
    }

    /// Says by which number the account of held bytes names it.
    pub(super) fn set_number(&self, id: u32) {
        match self {
            Self::Http(stream) => stream.borrow().set_number(id),
            Self::Stream(connection) => connection.borrow().set_number(id),
        }
    }

    /// Gives back what it holds, where it gives way; what follows has to wait for a tick
    /// of its own ([`Self::advance`]).
    pub(super) fn give_way(&self) {
        match self {
            Self::Http(stream) => stream.borrow_mut().give_way(),
            Self::Stream(connection) => connection.borrow_mut().give_way(),
        }
    }
}
