//! Offered compression (RFC 7692).

use crate::reason::Reason;

use super::Compression;
use super::form::ValidHandshake;

impl Compression {
    /// Judges what the client offers. Whoever strips removes the whole
    /// `Sec-WebSocket-Extensions` header: no other extension is known here.
    /// Whoever inspects lets upstream have [`super::deflate::Offer::all`].
    ///
    /// # Errors
    /// [`CompressionDenied`] where compression is offered and rejected.
    pub fn judge(self, handshake: &ValidHandshake) -> Result<(), CompressionDenied> {
        match self {
            Self::Reject if handshake.offers_compression() => Err(CompressionDenied),
            Self::Reject | Self::Strip | Self::Inspect => Ok(()),
        }
    }
}

/// Compression was offered where it may not be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompressionDenied;

impl CompressionDenied {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::CompressionDenied
    }
}

impl std::fmt::Display for CompressionDenied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "compression may not be offered here: leave permessage-deflate out of Sec-WebSocket-Extensions",
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::{form, fuzz};

    #[test]
    fn an_offer_is_refused_where_it_is_rejected_only() {
        let handshake = |extensions: &str| {
            let head = format!(
                "GET\n/\nh\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\n\
                 sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n{extensions}"
            );
            form::check(&fuzz::head(head.as_bytes())).unwrap()
        };
        let deflate = handshake("sec-websocket-extensions: mux, permessage-deflate");
        assert_eq!(Compression::Reject.judge(&deflate), Err(CompressionDenied));
        assert_eq!(Compression::Strip.judge(&deflate), Ok(()));
        assert_eq!(Compression::Inspect.judge(&deflate), Ok(()));
        for other in [handshake(""), handshake("sec-websocket-extensions: mux")] {
            assert_eq!(Compression::Reject.judge(&other), Ok(()));
        }
    }
}
