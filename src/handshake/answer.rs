//! What upstream may answer to the opening handshake (RFC 6455 §4.1, the
//! client's checks): a proxy that opens the tunnel on less would let the two
//! ends disagree about what they speak.

use crate::reason::Reason;

use super::Headers;
use super::extensions::{Extension, ExtensionError};
use super::form::ValidHandshake;
use super::list::{self, Repeated};
use super::upgrade::Protocols;

/// What was offered to upstream, and so what it may agree to.
#[derive(Clone, PartialEq, Eq)]
pub struct Agreement {
    accept: String,
    /// As forwarded, which may be less than the client offered.
    subprotocols: Vec<String>,
    /// Names of the forwarded extensions; none as long as none is understood.
    extensions: Vec<String>,
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
            .field("extensions", &self.extensions)
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
        let accept = handshake.expected_accept();
        Self { accept, subprotocols, extensions: Vec::new(), bearer }
    }

    /// Judges upstream's answer.
    #[must_use]
    pub fn judge(&self, status: u16, headers: &Headers) -> Answer {
        match status {
            101 => match self.judge_switch(headers) {
                Ok(add_subprotocol) => Answer::Open { add_subprotocol },
                Err(error) => Answer::Refused(error),
            },
            300..=599 => Answer::PassThrough,
            _ => Answer::Refused(AnswerError::Status),
        }
    }

    /// Checks a 101; answers the subprotocol to add to it.
    fn judge_switch(&self, headers: &Headers) -> Result<Option<String>, AnswerError> {
        if Protocols::of(headers) != Protocols::WebSocketAlone {
            return Err(AnswerError::Upgrade);
        }
        let mut options = list::elements(headers, "connection");
        if !options.any(|option| option.eq_ignore_ascii_case(b"upgrade")) {
            return Err(AnswerError::Connection);
        }
        let accept = list::single(headers, "sec-websocket-accept")
            .map_err(|Repeated| AnswerError::AcceptTwice)?
            .ok_or(AnswerError::AcceptMissing)?;
        if accept != self.accept.as_bytes() {
            return Err(AnswerError::AcceptWrong);
        }
        self.judge_extensions(headers)?;
        match self.judge_subprotocol(headers)? {
            Some(_) => Ok(None),
            None => Ok(self.bearer.clone()),
        }
    }

    fn judge_extensions(&self, headers: &Headers) -> Result<(), AnswerError> {
        let accepted = Extension::parse_all(headers).map_err(AnswerError::Extensions)?;
        let offered = |extension: &Extension| {
            self.extensions.iter().any(|name| name.eq_ignore_ascii_case(extension.name()))
        };
        if accepted.iter().all(offered) { Ok(()) } else { Err(AnswerError::ExtensionNotOffered) }
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
            Self::Upgrade => "upstream's 101 does not have Upgrade: websocket",
            Self::Connection => "upstream's 101 does not have Connection: Upgrade",
            Self::AcceptMissing => "upstream's 101 has no Sec-WebSocket-Accept",
            Self::AcceptTwice => "upstream's 101 has more than one Sec-WebSocket-Accept",
            Self::AcceptWrong => "upstream's Sec-WebSocket-Accept does not answer the client's key",
            Self::Extensions(error) => {
                return write!(f, "upstream's Sec-WebSocket-Extensions is malformed: {error}");
            }
            Self::ExtensionNotOffered => "upstream took an extension that it was not offered",
            Self::SubprotocolTwice => "upstream picked more than one subprotocol",
            Self::SubprotocolNotOffered => "upstream picked a subprotocol that it was not offered",
        })
    }
}

/// Entry for the fuzzer: holds that nothing opens without the one right accept,
/// and that what opens says the same when each list is joined on one line.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_answer(data: &[u8]) {
    let Some(([status, ..], text)) = data.split_at_checked(1) else { return };
    let agreement = Agreement {
        accept: "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned(),
        subprotocols: vec!["a".to_owned(), "b".to_owned()],
        extensions: Vec::new(),
        bearer: (status % 2 == 0).then(|| "bearer".to_owned()),
    };
    let status = if *status < 128 { 101 } else { u16::from(*status) * 3 };
    let headers = super::fuzz::headers(text);
    let Answer::Open { add_subprotocol } = agreement.judge(status, &headers) else { return };
    assert_eq!(status, 101);
    let all = |name| headers.all(name).collect::<Vec<_>>();
    assert_eq!(all("sec-websocket-accept"), [agreement.accept.as_bytes()]);
    assert!(all("sec-websocket-extensions").is_empty());
    let picked = all("sec-websocket-protocol");
    assert!(picked.is_empty() || picked == [b"a"] || picked == [b"b"]);
    assert_eq!(add_subprotocol.is_some(), picked.is_empty() && agreement.bearer.is_some());
}

#[cfg(test)]
mod tests;
