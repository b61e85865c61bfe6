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
    /// Judges the request's `Origin`. `null` is no origin and matches `*`
    /// alone: every sandboxed frame and `data:` page has it.
    ///
    /// # Errors
    /// [`OriginDenied`]; a malformed or repeated header whatever the patterns.
    pub fn judge(&self, head: &RequestHead) -> Result<(), OriginDenied> {
        let mut lines = head.headers.all("origin");
        let Some(value) = lines.next() else {
            return if self.allow_missing { Ok(()) } else { Err(OriginDenied::Missing) };
        };
        if lines.next().is_some() || value.contains(&b',') {
            return Err(OriginDenied::MoreThanOne);
        }
        if value == b"null" {
            let any = self.patterns.iter().any(OriginPattern::is_any);
            return if any { Ok(()) } else { Err(OriginDenied::Null) };
        }
        let origin = Origin::parse(value).map_err(OriginDenied::Malformed)?;
        let listed = self.patterns.iter().any(|pattern| pattern.matches(&origin, head));
        if listed { Ok(()) } else { Err(OriginDenied::NotListed) }
    }
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

/// Entry for the fuzzer: holds that an origin matches itself as a pattern, in
/// any case, and that neither it nor junk is let in by another's.
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
    let Ok(origin) = Origin::parse(data) else {
        assert!(judge("*", &head).is_ok() == (data == b"null"));
        return;
    };
    assert!(data.iter().all(u8::is_ascii_graphic) && !data.contains(&b','));
    let Ok(text) = std::str::from_utf8(data) else { return };
    assert_eq!(judge("*", &head), Ok(()));
    for spelled in [text.to_owned(), text.to_ascii_lowercase(), text.to_ascii_uppercase()] {
        assert_eq!(judge(&spelled, &head), Ok(()), "{spelled}");
        assert_eq!(Origin::parse(spelled.as_bytes()).as_ref(), Ok(&origin));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handshake::Headers;
    use proptest::prelude::*;

    fn head(origins: &[&[u8]]) -> RequestHead {
        let line = |value: &&[u8]| ("origin".to_owned(), value.to_vec());
        let mut head = crate::handshake::fuzz::head(b"GET\n/ws\nchat.example.com");
        head.headers = Headers::new(origins.iter().map(line).collect());
        head
    }

    fn rules(patterns: &[&str]) -> OriginRules {
        let patterns = patterns.iter().map(|p| OriginPattern::parse(p).unwrap()).collect();
        OriginRules { patterns, allow_missing: false }
    }

    #[test]
    fn scheme_host_and_port_decide_and_the_default_port_is_none() {
        let rules = rules(&["https://app.example.com", "http://localhost:3000"]);
        for origin in [
            "https://app.example.com",
            "HTTPS://App.Example.Com",
            "https://app.example.com:443",
            "http://localhost:3000",
        ] {
            assert_eq!(rules.judge(&head(&[origin.as_bytes()])), Ok(()), "{origin}");
        }
        for origin in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://app.example.com:80",
            "https://example.com",
            "https://a.app.example.com",
            "https://app.example.com.evil.example",
            "https://evilapp.example.com",
            "http://localhost",
            "https://localhost:3000",
        ] {
            let judged = rules.judge(&head(&[origin.as_bytes()]));
            assert_eq!(judged, Err(OriginDenied::NotListed), "{origin}");
        }
    }

    #[test]
    fn anything_else_than_a_serialized_origin_is_denied_by_every_rule() {
        for (origin, error) in [
            (b"".as_slice(), OriginError::Empty),
            (b"app.example.com", OriginError::NoScheme),
            (b"NULL", OriginError::NoScheme),
            (b"null ", OriginError::NoScheme),
            (b"://app.example.com", OriginError::BadScheme),
            (b" https://app.example.com", OriginError::BadScheme),
            (b"4https://app.example.com", OriginError::BadScheme),
            (b"https://app.example.com/", OriginError::Path),
            (b"https://app.example.com/x", OriginError::Path),
            (b"https://app.example.com?x", OriginError::Path),
            (b"https://app.example.com#x", OriginError::Path),
            (b"https://app.example.com.", OriginError::TrailingDot),
            (b"https://app.example.com.:443", OriginError::TrailingDot),
            (b"file://", OriginError::Host(HostError::Empty)),
            (b"https://u@app.example.com", OriginError::Host(HostError::Userinfo)),
            (b"https://app.example.com:", OriginError::Host(HostError::BadPort)),
            (b"https://app.example.com ", OriginError::Host(HostError::BadCharacter)),
            (b"https://app.example.com\xff", OriginError::Host(HostError::BadCharacter)),
        ] {
            for pattern in ["*", "https://app.example.com"] {
                let judged = rules(&[pattern]).judge(&head(&[origin]));
                assert_eq!(judged, Err(OriginDenied::Malformed(error)), "{origin:?}");
            }
        }
        let two: [&[u8]; 2] = [b"https://app.example.com", b"https://app.example.com"];
        let joined: [&[u8]; 1] = [b"https://app.example.com,https://app.example.com"];
        assert_eq!(rules(&["*"]).judge(&head(&two)), Err(OriginDenied::MoreThanOne));
        assert_eq!(rules(&["*"]).judge(&head(&joined)), Err(OriginDenied::MoreThanOne));
    }

    #[test]
    fn null_is_let_in_by_a_star_alone() {
        assert_eq!(rules(&["*"]).judge(&head(&[b"null"])), Ok(()));
        let others = rules(&["https://app.example.com", "https://*.example.com", "same-origin"]);
        assert_eq!(others.judge(&head(&[b"null"])), Err(OriginDenied::Null));
    }

    #[test]
    fn a_missing_origin_is_a_choice_of_its_own() {
        assert_eq!(rules(&["*"]).judge(&head(&[])), Err(OriginDenied::Missing));
        let lenient = OriginRules { allow_missing: true, ..rules(&["same-origin"]) };
        assert_eq!(lenient.judge(&head(&[])), Ok(()));
        assert_eq!(lenient.judge(&head(&[b"https://evil.example"])), Err(OriginDenied::NotListed));
    }

    #[test]
    fn same_origin_is_scheme_host_and_port_of_the_request() {
        let rules = rules(&["same-origin"]);
        let judge = |origin: &str, authority: &str, https| {
            let mut head = head(&[origin.as_bytes()]);
            (head.authority, head.https) = (authority.as_bytes().to_vec(), https);
            rules.judge(&head).is_ok()
        };
        assert!(judge("https://chat.example.com", "Chat.Example.com", true));
        assert!(judge("https://chat.example.com", "chat.example.com.:443", true));
        assert!(judge("http://chat.example.com:8080", "chat.example.com:8080", false));
        assert!(!judge("http://chat.example.com", "chat.example.com", true));
        assert!(!judge("https://chat.example.com", "chat.example.com", false));
        assert!(!judge("https://chat.example.com:8443", "chat.example.com", true));
        assert!(!judge("https://chat.example.com", "chat.example.com:80", true));
        assert!(!judge("https://app.example.com", "chat.example.com", true));
        assert!(!judge("https://chat.example.com", "", true));
    }

    #[test]
    fn the_fuzz_entry_holds_on_seeds() {
        for seed in ["https://A.example:443", "null", "http://[::1]:80", "a://b/c", "x", ""] {
            fuzz_origin(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_keep_the_invariants(data: Vec<u8>) {
            fuzz_origin(&data);
        }

        #[test]
        fn likely_origins_keep_the_invariants(
            text in r"(https?|wss|x)://[a-cA-C1.*@]{0,8}(:[0-9]{0,5})?/?"
        ) {
            fuzz_origin(text.as_bytes());
        }
    }
}
