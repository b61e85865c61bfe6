//! What a complete head says, and how it is written again.

use super::{HeadError, MAX_HEADERS};
use crate::handshake::{HeadEdits, Headers, RequestHead};
use std::net::IpAddr;

pub(super) mod fuzz;

/// A request head. Its target is a path, and it has one host.
#[derive(Clone)]
pub struct Request {
    lines: Lines,
    method: String,
    target: String,
    host: Vec<u8>,
}

/// An answer's head.
#[derive(Clone, Debug)]
pub struct Response {
    lines: Lines,
    status: u16,
}

/// The head as it came, and where its header lines stand.
#[derive(Clone)]
struct Lines {
    bytes: Vec<u8>,
    headers: Vec<Line>,
}

#[derive(Clone)]
struct Line {
    /// In lower case.
    name: String,
    value: Vec<u8>,
    /// `bytes[begin..end]` is the line with its CR LF.
    begin: usize,
    end: usize,
}

/// Without values: a credential may stand among them.
impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.headers.iter().map(|line| &line.name)).finish()
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request").field("lines", &self.lines).finish_non_exhaustive()
    }
}

impl Request {
    /// Reads a head as [`super::HeadReader`] gives it.
    ///
    /// # Errors
    /// The first [`HeadError`].
    pub fn parse(head: Vec<u8>) -> Result<Self, HeadError> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut slots);
        let status = parsed.parse(&head).map_err(error)?;
        let headers = owned(parsed.headers);
        let (httparse::Status::Complete(length), Some(method), Some(target), Some(version)) =
            (status, parsed.method, parsed.path, parsed.version)
        else {
            return Err(HeadError::Ended);
        };
        let (method, target) = (method.to_owned(), target.to_owned());
        if version != 1 {
            return Err(HeadError::Version);
        }
        // One server cuts the fragment off that another takes for more of the
        // query; Envoy's HTTP refuses it too.
        if !target.starts_with('/') || !target.is_ascii() || target.contains('#') {
            return Err(HeadError::Target);
        }
        let lines = Lines::new(head, length, headers)?;
        let mut hosts = lines.headers.iter().filter(|line| line.name == "host");
        let host = match (hosts.next(), hosts.next()) {
            (Some(line), None) => line.value.clone(),
            (None, _) => return Err(HeadError::HostMissing),
            (Some(_), Some(_)) => return Err(HeadError::HostTwice),
        };
        Ok(Self { lines, method, target, host })
    }

    /// The head as policies judge it: `Host` is its authority.
    #[must_use]
    pub fn to_judge(&self, source: Option<IpAddr>, https: bool) -> RequestHead {
        let lines = self.lines.headers.iter().filter(|line| line.name != "host");
        RequestHead {
            method: self.method.clone().into_bytes(),
            target: self.target.clone().into_bytes(),
            authority: self.host.clone(),
            headers: Headers::new(lines.map(|l| (l.name.clone(), l.value.clone())).collect()),
            source,
            https,
            http2: false,
        }
    }

    /// Length of the body that follows, in bytes; `None` where only its chunks
    /// tell, or nothing that can be trusted does.
    #[must_use]
    pub fn body_bytes(&self) -> Option<u64> {
        if self.lines.has("content-length") { self.lines.content_length() } else { Some(0) }
            .filter(|_| !self.lines.has("transfer-encoding"))
    }

    /// Appends the head with these edits, `:path` among them.
    ///
    /// # Errors
    /// Where an edit would break its line; nothing was written then.
    pub fn write(&self, edits: &HeadEdits, out: &mut Vec<u8>) -> Result<(), HeadError> {
        let target = edits.set.iter().rev().find(|(name, _)| name == ":path");
        let Some((_, target)) = target else { return self.lines.write(None, edits, out) };
        if !target.starts_with(b"/") || !target.iter().all(u8::is_ascii_graphic) {
            return Err(HeadError::Target);
        }
        let line = [self.method.as_bytes(), b" ", target, b" HTTP/1.1\r\n"].concat();
        self.lines.write(Some(&line), edits, out)
    }
}

impl Response {
    /// Reads a head as [`super::HeadReader`] gives it. HTTP/1.0 may answer, but
    /// not open a WebSocket (RFC 6455 §4.1).
    ///
    /// # Errors
    /// The first [`HeadError`].
    pub fn parse(head: Vec<u8>) -> Result<Self, HeadError> {
        let mut slots = [httparse::EMPTY_HEADER; MAX_HEADERS];
        let mut parsed = httparse::Response::new(&mut slots);
        let state = parsed.parse(&head).map_err(error)?;
        let headers = owned(parsed.headers);
        let (httparse::Status::Complete(length), Some(status), Some(version)) =
            (state, parsed.code, parsed.version)
        else {
            return Err(HeadError::Ended);
        };
        if version != 1 && status == 101 {
            return Err(HeadError::Version);
        }
        Ok(Self { lines: Lines::new(head, length, headers)?, status })
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The header lines.
    #[must_use]
    pub fn headers(&self) -> Headers {
        let lines = self.lines.headers.iter();
        Headers::new(lines.map(|l| (l.name.clone(), l.value.clone())).collect())
    }

    /// Length of the body that follows a request which is no HEAD, in bytes;
    /// `None` where only its chunks or its end tell.
    #[must_use]
    pub fn body_bytes(&self) -> Option<u64> {
        match self.status {
            204 | 304 => Some(0),
            _ if self.lines.has("transfer-encoding") => None,
            _ => self.lines.content_length(),
        }
    }

    /// Appends the head with these edits.
    ///
    /// # Errors
    /// Where an edit would break its line; nothing was written then.
    pub fn write(&self, edits: &HeadEdits, out: &mut Vec<u8>) -> Result<(), HeadError> {
        self.lines.write(None, edits, out)
    }
}

impl Lines {
    /// Finds the lines of the parsed headers; `length` is how far they went.
    fn new(
        bytes: Vec<u8>,
        length: usize,
        headers: Vec<(String, Vec<u8>)>,
    ) -> Result<Self, HeadError> {
        let mut ends = line_ends(&bytes);
        let mut begin = ends.next().ok_or(HeadError::StartLine)?;
        let mut lines = Vec::with_capacity(headers.len());
        for (name, value) in headers {
            let end = ends.next().ok_or(HeadError::Ended)?;
            lines.push(Line { name: name.to_ascii_lowercase(), value, begin, end });
            begin = end;
        }
        // Behind the last of them there is the empty line, and nothing else.
        if ends.next() != Some(length) || begin + 2 != length || length != bytes.len() {
            return Err(HeadError::Ended);
        }
        drop(ends);
        Ok(Self { bytes, headers: lines })
    }

    fn has(&self, name: &str) -> bool {
        self.headers.iter().any(|line| line.name == name)
    }

    /// The one `Content-Length`, if it is a number.
    fn content_length(&self) -> Option<u64> {
        let mut lines = self.headers.iter().filter(|line| line.name == "content-length");
        let (Some(line), None) = (lines.next(), lines.next()) else { return None };
        let digits = line.value.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(&line.value).ok().filter(|_| digits)?.parse().ok()
    }

    fn write(
        &self,
        start_line: Option<&[u8]>,
        edits: &HeadEdits,
        out: &mut Vec<u8>,
    ) -> Result<(), HeadError> {
        let later = |index, name| edits.set.iter().skip(index + 1).any(|(n, _)| n == name);
        let set = edits.set.iter().enumerate();
        let set = set.filter(|(index, (name, _))| !name.starts_with(':') && !later(*index, name));
        for (_, (name, value)) in set.clone() {
            check_line(name, value)?;
        }
        let first = self.headers.first().map_or(self.bytes.len().saturating_sub(2), |l| l.begin);
        out.extend_from_slice(
            start_line.unwrap_or_else(|| self.bytes.get(..first).unwrap_or_default()),
        );
        let named = |line: &Line| {
            edits.remove.contains(&line.name)
                || edits.set.iter().any(|(name, _)| *name == line.name)
        };
        for line in self.headers.iter().filter(|line| !named(line)) {
            out.extend_from_slice(self.bytes.get(line.begin..line.end).unwrap_or_default());
        }
        for (_, (name, value)) in set {
            for part in [name.as_bytes(), b": ", value, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        out.extend_from_slice(b"\r\n");
        Ok(())
    }
}

/// Where each line ends, behind its CR LF.
fn line_ends(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1)
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, Vec<u8>)> {
    headers.iter().map(|header| (header.name.to_owned(), header.value.to_vec())).collect()
}

/// A line of ours must be one line, whatever it was made from.
fn check_line(name: &str, value: &[u8]) -> Result<(), HeadError> {
    let is_tchar = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(is_tchar) {
        return Err(HeadError::HeaderName);
    }
    let fits = |b: &u8| matches!(*b, b'\t' | b' '..=b'~' | 0x80..);
    if value.iter().all(fits) { Ok(()) } else { Err(HeadError::HeaderValue) }
}

const fn error(error: httparse::Error) -> HeadError {
    match error {
        httparse::Error::HeaderName => HeadError::HeaderName,
        httparse::Error::HeaderValue => HeadError::HeaderValue,
        httparse::Error::NewLine => HeadError::BareLineEnd,
        httparse::Error::Status | httparse::Error::Token => HeadError::StartLine,
        httparse::Error::TooManyHeaders => HeadError::TooManyHeaders,
        httparse::Error::Version => HeadError::Version,
    }
}
