//! Records which close codes were really sent to each end, and which side ended the
//! connection.

use super::both::Both;
use crate::frame::Sender;
use crate::guard::{CloseLabel, EndedBy};

/// A Close that has gone to one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SentClose {
    /// One of ours, with this code.
    Ours(u16),
    /// The other end's.
    Relayed,
}

/// The Closes of one connection.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Closes {
    /// The end whose Close came first, whether or not it went on.
    first: Option<Sender>,
    /// Code of the other end's Close that went to each end; it may have none.
    relayed: Both<Option<Option<u16>>>,
    /// Code of the Close of ours that went to each end.
    ours: Both<Option<u16>>,
    /// The end whose transport ended first.
    gone: Option<Sender>,
}

impl Closes {
    /// A Close of this end has come.
    pub(super) fn came(&mut self, sender: Sender) {
        self.first.get_or_insert(sender);
    }

    /// A Close has gone to `receiver`; the other end's had this `code`.
    pub(super) fn sent(&mut self, receiver: Sender, close: SentClose, code: Option<u16>) {
        match close {
            SentClose::Ours(code) => {
                self.ours.of(receiver).get_or_insert(code);
            }
            SentClose::Relayed => {
                self.relayed.of(receiver).get_or_insert(code);
            }
        }
    }

    /// The Close that was taken for `receiver` last was not sent after all.
    pub(super) const fn lost(&mut self, receiver: Sender) {
        *self.ours.of(receiver) = None;
        *self.relayed.of(receiver) = None;
    }

    /// The transport of this end has ended.
    pub(super) fn gone(&mut self, sender: Sender) {
        self.gone.get_or_insert(sender);
    }

    /// The first Close that was relayed.
    fn first_relayed(&self) -> Option<Option<u16>> {
        let Both { client, server } = self.relayed;
        if self.first == Some(Sender::Server) { client.or(server) } else { server.or(client) }
    }

    /// The close code that somebody was sent; ours goes first where `we_ended` it.
    pub(super) fn code(&self, we_ended: bool) -> Option<u16> {
        let ours = self.ours.server.or(self.ours.client);
        let relayed = self.first_relayed().flatten();
        if we_ended { ours.or(relayed) } else { relayed.or(ours) }
    }

    /// Returns the close code as a label for metrics.
    pub(super) fn label(&self, we_ended: bool) -> CloseLabel {
        match self.code(we_ended) {
            Some(code) => CloseLabel::of(code),
            None if self.first_relayed().is_some() => CloseLabel::NO_STATUS,
            None => CloseLabel::ABNORMAL,
        }
    }

    /// Returns the side that ended the connection; `None` if Envoy did.
    pub(super) fn ended_by(&self, we_ended: bool) -> Option<EndedBy> {
        if we_ended {
            return Some(EndedBy::Wsguard);
        }
        self.first.or(self.gone).map(EndedBy::Peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ours_goes_first_where_we_ended_it_and_was_sent() {
        let mut closes = Closes::default();
        assert_eq!((closes.code(true), closes.label(true)), (None, CloseLabel::ABNORMAL));
        closes.came(Sender::Client);
        closes.sent(Sender::Server, SentClose::Relayed, Some(1000));
        closes.sent(Sender::Client, SentClose::Ours(1008), None);
        assert_eq!((closes.code(true), closes.code(false)), (Some(1008), Some(1000)));
        // It waited for a client that did not read.
        closes.lost(Sender::Client);
        assert_eq!(closes.code(true), Some(1000));
    }

    #[test]
    fn a_close_without_a_code_is_one_all_the_same() {
        let mut closes = Closes::default();
        closes.came(Sender::Server);
        closes.sent(Sender::Client, SentClose::Relayed, None);
        closes.sent(Sender::Server, SentClose::Relayed, Some(1000));
        assert_eq!((closes.code(false), closes.label(false)), (None, CloseLabel::NO_STATUS));
    }

    #[test]
    fn the_first_close_says_who_ended_it_and_else_the_first_end_that_went() {
        let mut closes = Closes::default();
        assert_eq!(closes.ended_by(false), None);
        closes.gone(Sender::Server);
        closes.gone(Sender::Client);
        assert_eq!(closes.ended_by(false), Some(EndedBy::Peer(Sender::Server)));
        closes.came(Sender::Client);
        assert_eq!(closes.ended_by(false), Some(EndedBy::Peer(Sender::Client)));
        assert_eq!(closes.ended_by(true), Some(EndedBy::Wsguard));
    }
}
