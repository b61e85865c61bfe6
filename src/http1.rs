//! HTTP/1.1 heads (RFC 9112) out of a byte stream, for the stream filter: what
//! comes before the first frame, in each direction.
//!
//! Two readers that disagree about a head are how requests are smuggled, so
//! everything that RFC 9112 lets a recipient forgive is refused here: bare CR or
//! LF at a line's end, empty lines before the start line, folded lines, white
//! space before a colon, HTTP/1.0, targets in another form than a path, and a
//! `Host` that is missing or there twice. What passes goes on byte for byte, but
//! for the lines that [`crate::handshake::HeadEdits`] names.
//!
//! # Bounds
//!
//! [`MAX_HEAD_BYTES`], [`MAX_HEADERS`] and, by the clock of who feeds the reader,
//! [`HEAD_TIMEOUT`]. A byte is looked at twice, however the head is cut.

use crate::reason::Reason;
use std::time::Duration;

mod head;
#[cfg(test)]
mod tests;

pub use head::{Request, Response};

/// Longest head, in bytes, its empty line included: Envoy's own limit for
/// request headers (`max_request_headers_kb`), so that both filter kinds take
/// the same.
pub const MAX_HEAD_BYTES: usize = 60 << 10;

/// Most header lines of a head: Envoy's own limit (`max_headers_count`).
pub const MAX_HEADERS: usize = 100;

/// How long a client may take to send its head, from the connection's first
/// moment on, TLS included: as `request_headers_timeout` in the examples.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Collects a head from chunks.
#[derive(Default)]
pub struct HeadReader {
    /// Invariant: at most [`MAX_HEAD_BYTES`], all of them seen by [`Self::step`].
    bytes: Vec<u8>,
    /// Lines that have ended.
    lines: usize,
    /// Bytes of the line in progress, its CR included.
    line_bytes: usize,
    after_cr: bool,
}

/// Without the bytes: a credential may stand among them.
impl std::fmt::Debug for HeadReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HeadReader").field("lines", &self.lines).finish_non_exhaustive()
    }
}

/// What a chunk brought.
pub enum Read {
    /// The head goes on; the reader has taken all of the chunk.
    Incomplete,
    /// The head is complete.
    Complete {
        /// Every byte of it, from the start line to the empty line.
        head: Vec<u8>,
        /// How many bytes of the chunk belong to it.
        used: usize,
    },
}

impl HeadReader {
    /// Takes the next chunk. To be dropped after anything but
    /// [`Read::Incomplete`].
    ///
    /// # Errors
    /// As soon as no continuation could make a head of it, or it is too long;
    /// the same one however the bytes are cut.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Read, HeadError> {
        for (index, byte) in chunk.iter().enumerate() {
            if self.bytes.len() + index == MAX_HEAD_BYTES {
                return Err(HeadError::TooLong);
            }
            if self.step(*byte)? {
                let used = index + 1;
                self.bytes.extend_from_slice(chunk.get(..used).unwrap_or_default());
                return Ok(Read::Complete { head: std::mem::take(&mut self.bytes), used });
            }
        }
        self.bytes.extend_from_slice(chunk);
        Ok(Read::Incomplete)
    }

    /// Every byte taken so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Sees one byte; whether it ends the head.
    fn step(&mut self, byte: u8) -> Result<bool, HeadError> {
        match (byte, self.after_cr) {
            (b'\n', true) => {
                self.after_cr = false;
                return self.end_line();
            }
            (b'\n', false) | (_, true) => return Err(HeadError::BareLineEnd),
            (b' ' | b'\t', false) if self.line_bytes == 0 => {
                return Err(if self.lines == 0 { HeadError::StartLine } else { HeadError::Folded });
            }
            (b'\r', false) => self.after_cr = true,
            (b'\t' | b' '..=b'~' | 0x80.., false) => {}
            _ => return Err(HeadError::ControlByte),
        }
        self.line_bytes += 1;
        Ok(false)
    }

    fn end_line(&mut self) -> Result<bool, HeadError> {
        // Of an empty line only its CR was counted.
        if self.line_bytes == 1 {
            return if self.lines == 0 { Err(HeadError::StartLine) } else { Ok(true) };
        }
        // The start line is none of the headers.
        if self.lines > MAX_HEADERS {
            return Err(HeadError::TooManyHeaders);
        }
        self.lines += 1;
        self.line_bytes = 0;
        Ok(false)
    }
}

/// Why a head can't be read. Whose fault it is, who reads it knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadError {
    /// Longer than [`MAX_HEAD_BYTES`].
    TooLong,
    /// More header lines than [`MAX_HEADERS`].
    TooManyHeaders,
    /// CR without LF, or LF without CR.
    BareLineEnd,
    /// Another control byte than CR, LF and TAB.
    ControlByte,
    /// No request line or status line.
    StartLine,
    /// Another version than HTTP/1.1.
    Version,
    /// A request target that is no path: absolute form, authority form or `*`;
    /// or one with a fragment.
    Target,
    /// A line that continues the one before (obs-fold).
    Folded,
    /// A line without a colon, or whose name is no token right before it.
    HeaderName,
    /// A value with a byte that may stand in none.
    HeaderValue,
    /// A request without `Host`.
    HostMissing,
    /// A request with several `Host`.
    HostTwice,
    /// The connection has ended inside of it.
    Ended,
}

impl HeadError {
    /// What the refusal of a request is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::HandshakeMalformed
    }
}

impl std::fmt::Display for HeadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::TooLong => "the head is longer than 60 KiB",
            Self::TooManyHeaders => "the head has more than 100 header lines",
            Self::BareLineEnd => "a line of the head does not end with CR LF",
            Self::ControlByte => "the head holds a control character",
            Self::StartLine => "the first line is none of HTTP/1.1",
            Self::Version => "the version is not HTTP/1.1",
            Self::Target => "the request target is no path, or has a # in it",
            Self::Folded => "a header line continues on the next line",
            Self::HeaderName => "a header line has no name, or no colon right behind it",
            Self::HeaderValue => "a header value holds a character that may stand in none",
            Self::HostMissing => "the Host header is missing",
            Self::HostTwice => "the Host header is there more than once",
            Self::Ended => "the connection has ended inside of the head",
        })
    }
}

/// Entry for the fuzzer: the first byte says how the rest is cut. Holds that any
/// cut gives the same, that a head that is read comes out again byte for byte,
/// and that edits change the lines that they name and nothing else.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_head(data: &[u8]) {
    let Some(([cut, ..], stream)) = data.split_at_checked(1) else { return };
    let whole = read_in(stream, stream.len().max(1));
    assert_eq!(whole, read_in(stream, usize::from(*cut).max(1)));
    let Ok(Some(head)) = whole else { return };
    assert!(stream.starts_with(&head) && head.ends_with(b"\r\n\r\n"));
    assert!(head.len() <= MAX_HEAD_BYTES);
    head::fuzz::parsed(&head);
}

/// The head that a stream begins with, read in pieces of `size` bytes.
fn read_in(stream: &[u8], size: usize) -> Result<Option<Vec<u8>>, HeadError> {
    let mut reader = HeadReader::default();
    for chunk in stream.chunks(size) {
        if let Read::Complete { head, .. } = reader.push(chunk)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}
