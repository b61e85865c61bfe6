//! The `Origin` header (RFC 6454 §7; RFC 6455 §10.2): which web pages may
//! connect. A browser sends it and no script in it can forge it; any other
//! client can send what it likes.

use crate::reason::Reason;

use super::RequestHead;
use super::host::{Host, HostError};

mod pattern;

pub use pattern::{OriginPattern, OriginPatternError};

/// Which origins may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRules {
    /// Any one of these.
    pub patterns: Vec<OriginPattern>,
    /// Whether a request without `Origin` may connect (a client that is no browser).
    pub allow_missing: bool,
}

impl OriginRules {
    /// Judges the request's `Origin`. `*` is any one value, since who may send any value
    /// loses nothing by one that no page has; a list of several is none. A value that is no
    /// web origin (`null`, `file://`) is compared letter by letter.
    ///
    /// # Errors
    /// [`OriginDenied`]; an empty or repeated header whatever the patterns.
    pub fn judge(&self, head: &RequestHead) -> Result<(), OriginDenied> {
        let mut lines = head.headers.all("origin");
        let Some(value) = lines.next() else {
            return if self.allow_missing { Ok(()) } else { Err(OriginDenied::Missing) };
        };
        // Proxies join lines with a comma, and RFC 6454 §7.1 separates origins by spaces.
        let separates = |byte: &u8| matches!(byte, b',' | b' ' | b'\t');
        if lines.next().is_some() || value.iter().any(separates) {
            return Err(OriginDenied::MoreThanOne);
        }
        if value.is_empty() {
            return Err(OriginDenied::Malformed(OriginError::Empty));
        }
        if value.iter().any(u8::is_ascii_control) {
            return Err(OriginDenied::Malformed(OriginError::ControlCharacter));
        }
        let origin = Origin::parse(value);
        let sent = Sent { value, origin: origin.as_ref().ok() };
        if self.patterns.iter().any(|pattern| pattern.matches(sent, head)) {
            return Ok(());
        }
        Err(match origin {
            Ok(_) => OriginDenied::NotListed,
            Err(_) if value == b"null" => OriginDenied::Null,
            Err(error) => OriginDenied::Malformed(error),
        })
    }
}

/// The one value of an `Origin` header.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// As it came.
    value: &'a [u8],
    /// The origin that the value names; `None` if it is not a web origin.
    origin: Option<&'a Origin>,
}

/// A serialized origin (RFC 6454 §6.2): scheme, host and port, where the
/// scheme's default port equals none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Lower case.
    scheme: String,
    host: Host,
    port: Option<u16>,
}

impl Origin {
    /// Reads `https://app.example.com` or `http://localhost:3000`.
    ///
    /// # Errors
    /// [`OriginError`] for anything before, between or behind.
    pub fn parse(text: &[u8]) -> Result<Self, OriginError> {
        if text.is_empty() {
            return Err(OriginError::Empty);
        }
        let colon = text.windows(3).position(|w| w == b"://").ok_or(OriginError::NoScheme)?;
        let (scheme, rest) = text.split_at(colon);
        let authority = rest.get(3..).unwrap_or_default();
        let scheme = parse_scheme(scheme)?;
        if authority.iter().any(|b| matches!(b, b'/' | b'?' | b'#')) {
            return Err(OriginError::Path);
        }
        let host = Host::parse(authority).map_err(OriginError::Host)?;
        // To a browser this is another origin than the one without the dot.
        if authority.ends_with(b".") || authority.windows(2).any(|w| w == b".:") {
            return Err(OriginError::TrailingDot);
        }
        let port = significant_port(&scheme, host.port());
        Ok(Self { scheme, host, port })
    }
}

fn parse_scheme(scheme: &[u8]) -> Result<String, OriginError> {
    let valid = scheme.first().is_some_and(u8::is_ascii_alphabetic)
        && scheme.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !valid {
        return Err(OriginError::BadScheme);
    }
    let scheme = std::str::from_utf8(scheme).map_err(|_| OriginError::BadScheme)?;
    Ok(scheme.to_ascii_lowercase())
}

/// Returns true if browsers give pages of this scheme an origin of scheme, host and port.
/// For other schemes (`file`, `app`, `chrome-extension`) the form of the value depends on
/// the program.
fn is_web_scheme(scheme: &str) -> bool {
    matches!(scheme, "http" | "https" | "ws" | "wss")
}

/// The port, unless it is what the scheme has by default.
fn significant_port(scheme: &str, port: Option<u16>) -> Option<u16> {
    let default = match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    };
    port.filter(|_| port != default)
}

/// Why an origin is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OriginError {
    /// Nothing there.
    Empty,
    /// No `://`.
    NoScheme,
    /// Something before `://` that is no scheme.
    BadScheme,
    /// Something behind host and port, be it only a slash.
    Path,
    /// A dot behind the host.
    TrailingDot,
    /// A byte that no header value has (RFC 9110 §5.5).
    ControlCharacter,
    /// No host.
    Host(HostError),
}

impl std::fmt::Display for OriginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "it is empty",
            Self::NoScheme => "it has no scheme",
            Self::BadScheme => "its scheme is none",
            Self::Path => "it has more than scheme, host and port",
            Self::TrailingDot => "its host ends in a dot",
            Self::ControlCharacter => "it has a control character",
            Self::Host(error) => return error.fmt(f),
        })
    }
}

/// Why a request's origin may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OriginDenied {
    /// No `Origin`, where one is needed.
    Missing,
    /// `Origin: null`.
    Null,
    /// Not a serialized origin.
    Malformed(OriginError),
    /// Several lines, or a list.
    MoreThanOne,
    /// None of those that may.
    NotListed,
}

impl OriginDenied {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::OriginDenied
    }
}

impl std::fmt::Display for OriginDenied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Missing => "the Origin header is missing, and this WebSocket needs one",
            Self::Null => {
                "the Origin is null: connect from a page with an origin of its own, not from a file or a sandboxed frame"
            }
            Self::Malformed(error) => {
                return write!(f, "the Origin header is not scheme://host[:port]: {error}");
            }
            Self::MoreThanOne => "the Origin header names more than one origin",
            Self::NotListed => "pages of this origin may not connect here",
        })
    }
}

/// Entry for the fuzzer: holds that an origin matches itself as a pattern, a web origin in
/// any letter case, that `*` lets in any one value, and that nothing is let in by another's.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_origin(data: &[u8]) {
    let mut head = super::fuzz::head(b"");
    head.headers = super::Headers::new(vec![("origin".to_owned(), data.to_vec())]);
    let judge = |text: &str, head: &RequestHead| {
        let patterns = OriginPattern::parse(text).into_iter().collect();
        OriginRules { patterns, allow_missing: true }.judge(head)
    };
    let other = "https://other.example.test:8443";
    assert!(judge(other, &head).is_err() || data.eq_ignore_ascii_case(other.as_bytes()));
    let one = |byte: &u8| !byte.is_ascii_control() && !matches!(byte, b',' | b' ');
    assert_eq!(judge("*", &head).is_ok(), !data.is_empty() && data.iter().all(one));
    let Ok(text) = std::str::from_utf8(data) else { return };
    let listed = OriginPattern::parse(text);
    let Ok(origin) = Origin::parse(data) else {
        let is_keyword = matches!(text, "*" | "same-origin");
        assert!(
            is_keyword || listed.is_err() || text.contains("//*.") || judge(text, &head).is_ok()
        );
        return;
    };
    assert!(data.iter().all(u8::is_ascii_graphic) && !data.contains(&b','));
    assert_eq!(judge(text, &head), Ok(()), "{text}");
    for spelled in [text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
        assert_eq!(Origin::parse(spelled.as_bytes()).as_ref(), Ok(&origin));
        let same = is_web_scheme(&origin.scheme) || spelled == text;
        assert_eq!(judge(&spelled, &head).is_ok(), same, "{spelled}");
    }
}

#[cfg(test)]
mod tests;
