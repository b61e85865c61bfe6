//! What upstream may answer to the opening handshake (RFC 6455 §4.1, the
//! client's checks): a proxy that opens the tunnel on less would let the two
//! ends disagree about what they speak.

use crate::frame::Deflate;
use crate::reason::Reason;

use super::Headers;
use super::deflate::{self, DeflateError, Offer};
use super::extensions::{Extension, ExtensionError};
use super::form::ValidHandshake;
use super::list::{self, List, Repeated};
use super::upgrade::Protocols;
use std::time::Duration;

/// What was offered to upstream, and so what it may agree to.
#[derive(Clone, PartialEq, Eq)]
pub struct Agreement {
    /// What its accept must be; `None` where it got no key.
    accept: Option<String>,
    /// As forwarded, which may be less than the client offered.
    subprotocols: Vec<String>,
    /// The forwarded extensions: no other is understood.
    deflate: Vec<Offer>,
    bearer: Option<String>,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The tunnel is open.
    Open {
        /// To be set as `Sec-WebSocket-Protocol` of the 101: a browser that
        /// presented its credential there fails without any of what it offered.
        add_subprotocol: Option<String>,
        /// How messages are compressed, if they are.
        deflate: Option<Deflate>,
    },
    /// Upstream's own refusal or redirect (3xx to 5xx): to be passed on
    /// unchanged, with no tunnel.
    PassThrough,
    /// Neither: to be replaced by our refusal.
    Refused(AnswerError),
}

/// Without the subprotocols, among which a forwarded credential may stand.
impl std::fmt::Debug for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Agreement")
            .field("accept", &self.accept)
            .field("deflate", &self.deflate)
            .field("bearer", &self.bearer)
            .finish_non_exhaustive()
    }
}

impl Agreement {
    /// Takes what of this handshake went on to upstream: the `subprotocols`
    /// that were left of its offer, and no extension. `bearer` is the entry
    /// that the client's credential stood behind, if it came that way.
    #[must_use]
    pub fn new(
        handshake: &ValidHandshake,
        subprotocols: Vec<String>,
        bearer: Option<String>,
    ) -> Self {
        let accept = Some(handshake.expected_accept());
        Self { accept, subprotocols, deflate: Vec::new(), bearer }
    }

    /// With these offers, which went on too.
    #[must_use]
    pub fn with_deflate(self, deflate: Vec<Offer>) -> Self {
        Self { deflate, ..self }
    }

    /// For upstream that speaks HTTP/2: it got no key, so whatever accept it
    /// may send means nothing (RFC 8441 §5).
    #[must_use]
    pub fn without_accept(self) -> Self {
        Self { accept: None, ..self }
    }

    /// The accept that upstream's answer must carry, where it got a key.
    #[must_use]
    pub fn accept(&self) -> Option<&str> {
        self.accept.as_deref()
    }

    /// Judges upstream's answer.
    #[must_use]
    pub fn judge(&self, status: u16, headers: &Headers) -> Answer {
        match status {
            101 => match self.judge_switch(headers) {
                Ok((add_subprotocol, deflate)) => Answer::Open { add_subprotocol, deflate },
                Err(error) => Answer::Refused(error),
            },
            300..=599 => Answer::PassThrough,
            _ => Answer::Refused(AnswerError::Status),
        }
    }

    /// Checks a 101; answers the subprotocol to add to it, and the compression.
    fn judge_switch(
        &self,
        headers: &Headers,
    ) -> Result<(Option<String>, Option<Deflate>), AnswerError> {
        match Protocols::of(headers) {
            Protocols::WebSocketAlone | Protocols::WebSocketAndCommas => {}
            _ => return Err(AnswerError::Upgrade),
        }
        let options = List::read(headers, "connection").map_err(|_| AnswerError::Connection)?;
        if !options.elements.iter().any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
            return Err(AnswerError::Connection);
        }
        self.judge_accept(headers)?;
        let deflate = self.judge_extensions(headers)?;
        let add_subprotocol = match self.judge_subprotocol(headers)? {
            Some(_) => None,
            None => self.bearer.clone(),
        };
        Ok((add_subprotocol, deflate))
    }

    fn judge_accept(&self, headers: &Headers) -> Result<(), AnswerError> {
        let Some(expected) = &self.accept else { return Ok(()) };
        let accept = list::single(headers, "sec-websocket-accept")
            .map_err(|Repeated| AnswerError::AcceptTwice)?
            .ok_or(AnswerError::AcceptMissing)?;
        if accept == expected.as_bytes() { Ok(()) } else { Err(AnswerError::AcceptWrong) }
    }

    fn judge_extensions(&self, headers: &Headers) -> Result<Option<Deflate>, AnswerError> {
        let accepted = Extension::parse_all(headers).map_err(AnswerError::Extensions)?;
        let offered =
            |extension: &Extension| extension.name() == deflate::NAME && !self.deflate.is_empty();
        if !accepted.iter().all(offered) {
            return Err(AnswerError::ExtensionNotOffered);
        }
        match accepted.as_slice() {
            [] => Ok(None),
            [answer] => {
                deflate::judge(&self.deflate, answer).map(Some).map_err(AnswerError::Deflate)
            }
            _ => Err(AnswerError::ExtensionTwice),
        }
    }

    fn judge_subprotocol<'a>(&self, headers: &'a Headers) -> Result<Option<&'a str>, AnswerError> {
        let picked = list::single(headers, "sec-websocket-protocol")
            .map_err(|Repeated| AnswerError::SubprotocolTwice)?;
        let Some(picked) = picked else { return Ok(None) };
        let picked = list::token(picked).ok_or(AnswerError::SubprotocolNotOffered)?;
        if self.subprotocols.iter().any(|offered| offered == picked) {
            Ok(Some(picked))
        } else {
            Err(AnswerError::SubprotocolNotOffered)
        }
    }
}

/// How upstream's answer breaks the agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AnswerError {
    /// Neither 101 nor 3xx to 5xx.
    Status,
    /// Bytes before the answer's head.
    Headless,
    /// No answer within this time.
    TimedOut(Duration),
    /// A 101 whose `Upgrade` is not `websocket` alone.
    Upgrade,
    /// A 101 whose `Connection` does not name `upgrade`.
    Connection,
    /// A 101 without `Sec-WebSocket-Accept`.
    AcceptMissing,
    /// Several `Sec-WebSocket-Accept`.
    AcceptTwice,
    /// `Sec-WebSocket-Accept` answers another key.
    AcceptWrong,
    /// `Sec-WebSocket-Extensions` breaks its grammar.
    Extensions(ExtensionError),
    /// An extension that upstream was not offered.
    ExtensionNotOffered,
    /// permessage-deflate more than once.
    ExtensionTwice,
    /// permessage-deflate, and not as it was offered.
    Deflate(DeflateError),
    /// Several subprotocols.
    SubprotocolTwice,
    /// A subprotocol that upstream was not offered.
    SubprotocolNotOffered,
}

impl AnswerError {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::UpstreamHandshake
    }
}

impl std::fmt::Display for AnswerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Status => {
                "upstream answered the upgrade with neither 101 nor an error: it may speak no WebSocket here"
            }
            Self::Headless => {
                "upstream sent bytes before the head of its answer, or an interim answer that names an upgrade"
            }
            Self::TimedOut(limit) => {
                return write!(f, "upstream did not answer the upgrade within {limit:?}");
            }
            Self::Upgrade => "upstream's 101 does not have Upgrade: websocket",
            Self::Connection => "upstream's 101 does not have Connection: Upgrade",
            Self::AcceptMissing => "upstream's 101 has no Sec-WebSocket-Accept",
            Self::AcceptTwice => "upstream's 101 has more than one Sec-WebSocket-Accept",
            Self::AcceptWrong => "upstream's Sec-WebSocket-Accept does not answer the client's key",
            Self::Extensions(error) => {
                return write!(f, "upstream's Sec-WebSocket-Extensions is malformed: {error}");
            }
            Self::ExtensionNotOffered => "upstream took an extension that it was not offered",
            Self::ExtensionTwice => "upstream took an extension more than once",
            Self::Deflate(error) => {
                return write!(f, "upstream's permessage-deflate is not as it was offered: {error}");
            }
            Self::SubprotocolTwice => "upstream picked more than one subprotocol",
            Self::SubprotocolNotOffered => "upstream picked a subprotocol that it was not offered",
        })
    }
}

/// Entry for the fuzzer: holds that nothing opens without the one right accept
/// where a key went up, and with no extension, subprotocol or window that did
/// not.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_answer(data: &[u8]) {
    let Some(([status, ..], text)) = data.split_at_checked(1) else { return };
    let agreement = Agreement {
        accept: (status & 2 == 0).then(|| "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()),
        subprotocols: vec!["a".to_owned(), "b".to_owned()],
        deflate: if status & 4 == 0 { Vec::new() } else { fuzz_offers() },
        bearer: (status % 2 == 0).then(|| "bearer".to_owned()),
    };
    let status = if *status < 128 { 101 } else { u16::from(*status) * 3 };
    let headers = super::fuzz::headers(text);
    let Answer::Open { add_subprotocol, deflate } = agreement.judge(status, &headers) else {
        return;
    };
    assert_eq!(status, 101);
    let all = |name| headers.all(name).collect::<Vec<_>>();
    if let Some(accept) = &agreement.accept {
        assert_eq!(all("sec-websocket-accept"), [accept.as_bytes()]);
    }
    assert_eq!(deflate.is_some(), !all("sec-websocket-extensions").is_empty());
    if let Some(Deflate { client, server }) = deflate {
        assert!(!agreement.deflate.is_empty());
        assert!((8..=12).contains(&client.bits) || client.bits == 15);
        assert!((8..=10).contains(&server.bits) && !server.takeover);
    }
    let picked = all("sec-websocket-protocol");
    assert!(picked.is_empty() || picked == [b"a"] || picked == [b"b"]);
    assert_eq!(add_subprotocol.is_some(), picked.is_empty() && agreement.bearer.is_some());
}

/// One offer, of which the server must take smaller windows.
fn fuzz_offers() -> Vec<Offer> {
    let head = super::fuzz::head(
        b"GET\n/\nh\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\n\
          sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n\
          sec-websocket-extensions: permessage-deflate; server_no_context_takeover; \
          server_max_window_bits=10; client_max_window_bits=12",
    );
    super::form::check(&head).map(|valid| Offer::all(&valid)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
