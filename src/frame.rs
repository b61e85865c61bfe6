//! Frames (RFC 6455 §5.2): header, masking, the streaming decoder, close
//! payloads, UTF-8 across frames and compressed messages (RFC 7692).

pub mod close;
pub mod decoder;
pub mod deflate;
pub mod header;
pub mod mask;
pub mod utf8;

pub use decoder::{Decoder, Item};
pub use deflate::{Deflate, InflateError, Inflater, Window};
pub use header::{FrameHeader, Opcode};

/// Which end of the connection sent the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The client: every frame must be masked (RFC 6455 §5.1).
    Client,
    /// The server: no frame may be masked.
    Server,
}

impl Sender {
    /// Name in events and metrics (`direction`).
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Server => "server",
        }
    }

    /// The other end.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }
}

/// A broken rule of RFC 6455 framing; whoever sent it is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// RSV1, RSV2 or RSV3 without an extension that gives it a meaning (§5.2).
    ReservedBits,
    /// An opcode that RFC 6455 reserves (§5.2).
    ReservedOpcode(u8),
    /// A client's frame without mask (§5.1).
    MaskMissing,
    /// A server's frame with mask (§5.1).
    MaskPresent,
    /// A control frame in fragments (§5.5).
    ControlFragmented,
    /// A control frame whose payload is longer than 125 bytes (§5.5).
    ControlTooLong,
    /// A payload length in more bytes than it needs (§5.2).
    LengthNotMinimal,
    /// A payload length with the most significant bit set (§5.2).
    LengthTooLarge,
    /// A continuation frame without a message to continue (§5.4).
    ContinuationUnexpected,
    /// A new message before the last one was finished (§5.4).
    ContinuationExpected,
    /// A Close payload of one byte (§5.5.1).
    CloseTruncated,
    /// A close code that must not be sent (§7.4).
    CloseCode(u16),
}

impl std::fmt::Display for FrameError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::ReservedBits => f.write_str("a reserved bit is set and no extension was agreed"),
            Self::ReservedOpcode(opcode) => write!(f, "opcode {opcode:#x} is reserved"),
            Self::MaskMissing => f.write_str("a client's frame is not masked"),
            Self::MaskPresent => f.write_str("a server's frame is masked"),
            Self::ControlFragmented => f.write_str("a control frame is fragmented"),
            Self::ControlTooLong => f.write_str("a control frame is longer than 125 bytes"),
            Self::LengthNotMinimal => f.write_str("a payload length is not minimally encoded"),
            Self::LengthTooLarge => f.write_str("a payload length is larger than 2^63-1"),
            Self::ContinuationUnexpected => f.write_str("a continuation frame continues nothing"),
            Self::ContinuationExpected => {
                f.write_str("a new message begins before the last one ended")
            }
            Self::CloseTruncated => f.write_str("a close frame has a payload of one byte"),
            Self::CloseCode(code) => write!(f, "close code {code} must not be sent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_stay_small() {
        assert!(size_of::<FrameError>() <= 8);
    }
}
