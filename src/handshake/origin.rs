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
    /// What it names, where it has the form of an origin.
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

/// Whether pages by this scheme have an origin of scheme, host and port in any browser. By
/// other schemes (`file`, `app`, `chrome-extension`) each program writes what it likes.
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
    fn what_is_no_web_origin_is_let_in_by_a_star_alone() {
        for (origin, denied) in [
            (b"app.example.com".as_slice(), OriginDenied::Malformed(OriginError::NoScheme)),
            (b"null", OriginDenied::Null),
            (b"NULL", OriginDenied::Malformed(OriginError::NoScheme)),
            (b"about:blank", OriginDenied::Malformed(OriginError::NoScheme)),
            (b"://app.example.com", OriginDenied::Malformed(OriginError::BadScheme)),
            (b"4https://app.example.com", OriginDenied::Malformed(OriginError::BadScheme)),
            (b"https://app.example.com/", OriginDenied::Malformed(OriginError::Path)),
            (b"https://app.example.com/x", OriginDenied::Malformed(OriginError::Path)),
            (b"https://app.example.com?x", OriginDenied::Malformed(OriginError::Path)),
            (b"https://app.example.com#x", OriginDenied::Malformed(OriginError::Path)),
            (b"https://app.example.com.", OriginDenied::Malformed(OriginError::TrailingDot)),
            (b"https://app.example.com.:443", OriginDenied::Malformed(OriginError::TrailingDot)),
            (b"file://", OriginDenied::Malformed(OriginError::Host(HostError::Empty))),
            (b"app://.", OriginDenied::Malformed(OriginError::Host(HostError::EmptyLabel))),
            (b"app://-", OriginDenied::NotListed),
            (b"chrome-extension://kbfnbcaeplbcioakkpcpgfkobkghlhen", OriginDenied::NotListed),
            (
                b"https://u@app.example.com",
                OriginDenied::Malformed(OriginError::Host(HostError::Userinfo)),
            ),
            (
                b"https://app.example.com:",
                OriginDenied::Malformed(OriginError::Host(HostError::BadPort)),
            ),
            (
                b"https://app.example.com\xff",
                OriginDenied::Malformed(OriginError::Host(HostError::BadCharacter)),
            ),
        ] {
            assert_eq!(rules(&["*"]).judge(&head(&[origin])), Ok(()), "{origin:?}");
            let listed = ["https://app.example.com", "https://*.example.com", "same-origin"];
            assert_eq!(rules(&listed).judge(&head(&[origin])), Err(denied), "{origin:?}");
        }
    }

    #[test]
    fn no_rule_lets_in_several_values_or_none() {
        for (lines, denied) in [
            (&[b"".as_slice()][..], OriginDenied::Malformed(OriginError::Empty)),
            (&[b"a\x01b"], OriginDenied::Malformed(OriginError::ControlCharacter)),
            (&[b"a\x7f"], OriginDenied::Malformed(OriginError::ControlCharacter)),
            (&[b"null", b"null"], OriginDenied::MoreThanOne),
            (&[b"https://app.example.com", b""], OriginDenied::MoreThanOne),
            (&[b"https://app.example.com,https://app.example.com"], OriginDenied::MoreThanOne),
            (&[b"https://app.example.com https://app.example.com"], OriginDenied::MoreThanOne),
            (&[b"null\tnull"], OriginDenied::MoreThanOne),
            (&[b"null,"], OriginDenied::MoreThanOne),
        ] {
            for pattern in ["*", "https://app.example.com", "null"] {
                assert_eq!(rules(&[pattern]).judge(&head(lines)), Err(denied), "{lines:?}");
            }
        }
    }

    #[test]
    fn what_is_no_web_origin_can_be_listed_and_matches_letter_by_letter() {
        for (listed, others) in [
            ("null", ["NULL", "null/", "nul"]),
            ("file://", ["file:///", "FILE://", "file://x"]),
            ("app://.", ["app://", "app://..", "App://."]),
            ("app://-", ["app://", "app://_", "app://-:443"]),
            ("chrome-extension://abc", ["chrome-extension://ABC", "moz-extension://abc", "null"]),
            (
                "capacitor://localhost",
                ["capacitor://localhost/", "capacitor://localhost.", "http://localhost"],
            ),
            (
                "https://github.com/gilmaimon/TinyWebsockets",
                [
                    "https://github.com",
                    "https://github.com/gilmaimon/tinywebsockets",
                    "https://github.com/gilmaimon/TinyWebsockets/",
                ],
            ),
        ] {
            let rules = rules(&[listed]);
            assert_eq!(rules.judge(&head(&[listed.as_bytes()])), Ok(()), "{listed}");
            for other in others {
                assert!(rules.judge(&head(&[other.as_bytes()])).is_err(), "{listed}: {other}");
            }
        }
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
        for seed in [
            "https://A.example:443",
            "null",
            "http://[::1]:80",
            "a://b/c",
            "file://",
            "App://.",
            "https://a/b",
            "*",
            "x",
            "",
        ] {
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
            text in r"(https?|wss|x|X)://[a-cA-C1.*@]{0,8}(:[0-9]{0,5})?/?[a ,]{0,2}"
        ) {
            fuzz_origin(text.as_bytes());
        }
    }
}
