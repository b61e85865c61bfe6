//! Origins as a policy names them.

use super::super::RequestHead;
use super::super::host::{Host, HostPattern, HostPatternError};
use super::{Origin, Sent, is_web_scheme, parse_scheme, significant_port};

/// One entry of `origins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// `*`
    Any,
    /// `same-origin`
    Same,
    /// `scheme://host[:port]`, where the host may start with `*.`.
    Listed { scheme: String, host: HostPattern, port: Option<u16> },
    /// A value that is no web origin, as it is sent.
    Literal(String),
}

impl OriginPattern {
    /// Reads `https://app.example.com`, `https://*.example.com:8443`, `same-origin`, `*`,
    /// or a value that is no web origin, as it is sent: `null`, `file://`, `app://.`,
    /// `https://app.example.com/path`.
    ///
    /// # Errors
    /// [`OriginPatternError`], which says what to write instead.
    pub fn parse(text: &str) -> Result<Self, OriginPatternError> {
        match text {
            "" => return Err(OriginPatternError::Empty),
            "*" => return Ok(Self(Shape::Any)),
            "same-origin" => return Ok(Self(Shape::Same)),
            "null" => return Ok(Self(Shape::Literal(text.to_owned()))),
            _ => {}
        }
        let (scheme, rest) = text.split_once("://").ok_or(OriginPatternError::NoScheme)?;
        let scheme = parse_scheme(scheme.as_bytes()).map_err(|_| OriginPatternError::BadScheme)?;
        if !is_web_scheme(&scheme) && !rest.contains('*') {
            return Self::literal(text);
        }
        let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if path == "/" {
            return Err(OriginPatternError::Slash);
        }
        if path.contains('*') || !path.is_empty() && host.contains('*') {
            return Err(OriginPatternError::Path);
        }
        if host.ends_with('.') || host.contains(".:") {
            return Err(OriginPatternError::TrailingDot);
        }
        let (host, port) = HostPattern::with_port(host).map_err(OriginPatternError::Host)?;
        if !path.is_empty() {
            return Self::literal(text);
        }
        let port = significant_port(&scheme, port);
        Ok(Self(Shape::Listed { scheme, host, port }))
    }

    /// A value that is compared letter by letter.
    fn literal(text: &str) -> Result<Self, OriginPatternError> {
        let one_value = text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b',');
        if one_value {
            Ok(Self(Shape::Literal(text.to_owned())))
        } else {
            Err(OriginPatternError::SeveralValues)
        }
    }

    /// Returns true if anybody can serve a page that matches: `*`, a wildcard directly
    /// below a top-level domain (`https://*.com`), or `null`, the origin of every sandboxed
    /// frame.
    #[must_use]
    pub fn is_anybodys(&self) -> bool {
        match &self.0 {
            Shape::Any => true,
            Shape::Same => false,
            Shape::Listed { host, .. } => host.is_below_top_level(),
            Shape::Literal(text) => text == "null",
        }
    }

    /// Whether this origin is meant, in a request with this head.
    #[must_use]
    pub fn matches(&self, sent: Sent<'_>, head: &RequestHead) -> bool {
        match &self.0 {
            Shape::Any => true,
            Shape::Same => sent.origin.is_some_and(|origin| is_same_origin(origin, head)),
            Shape::Listed { scheme, host, port } => sent.origin.is_some_and(|origin| {
                origin.scheme == *scheme && host.matches(&origin.host) && origin.port == *port
            }),
            Shape::Literal(text) => sent.value == text.as_bytes(),
        }
    }
}

/// Whether the page comes from where the request goes.
fn is_same_origin(origin: &Origin, head: &RequestHead) -> bool {
    let scheme = if head.https { "https" } else { "http" };
    Host::parse(&head.authority).is_ok_and(|host| {
        origin.scheme == scheme
            && origin.host.name() == host.name()
            && origin.port == significant_port(scheme, host.port())
    })
}

/// Why an origin pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginPatternError {
    /// Nothing there.
    Empty,
    /// A character that no single value has.
    SeveralValues,
    /// No `://`.
    NoScheme,
    /// Something before `://` that is no scheme.
    BadScheme,
    /// A slash behind it.
    Slash,
    /// A `*` in or before a path, query or fragment.
    Path,
    /// A dot behind the host.
    TrailingDot,
    /// No host or host pattern.
    Host(HostPatternError),
}

impl std::fmt::Display for OriginPatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty; write an origin like https://app.example.com",
            Self::SeveralValues => {
                "has a space, a comma or another character that no single origin has; write each as an item of its own"
            }
            Self::NoScheme => "has no scheme; write it like https://app.example.com",
            Self::BadScheme => {
                "has a scheme that is none; write https:// or http:// before the host"
            }
            Self::Slash => "ends in a slash, and no origin does; remove it",
            Self::Path => {
                "has a path and a *, and no browser sends a path; write scheme, host and port only"
            }
            Self::TrailingDot => "has a dot behind its host; remove it",
            Self::Host(HostPatternError::Wildcard) => {
                "has a * that is not the host's first label; write it like https://*.example.com"
            }
            Self::Host(HostPatternError::WildcardAddress) => {
                "has a * in an address; write the whole address"
            }
            Self::Host(HostPatternError::Host(error)) => {
                return write!(f, "is no origin: {error}; write it like https://app.example.com");
            }
            Self::Host(error) => return error.fmt(f),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_or_more_whole_labels_of_the_host() {
        let head = crate::handshake::fuzz::head(b"");
        let matches = |pattern: &str, origin: &str| {
            let value = origin.as_bytes();
            let origin = Origin::parse(value).unwrap();
            let sent = Sent { value, origin: Some(&origin) };
            OriginPattern::parse(pattern).unwrap().matches(sent, &head)
        };
        assert!(matches("https://*.example.com", "https://a.example.com"));
        assert!(matches("https://*.example.com", "https://a.b.Example.com:443"));
        assert!(matches("https://*.example.com:8443", "https://a.example.com:8443"));
        for origin in [
            "https://example.com",
            "https://badexample.com",
            "https://a.example.com:8443",
            "http://a.example.com",
            "https://a.example.com.evil.example",
        ] {
            assert!(!matches("https://*.example.com", origin), "{origin}");
        }
        assert!(!matches("https://*.example.com:8443", "https://a.example.com"));
        assert!(matches("app://*.example.com", "app://a.Example.com"));
        assert!(!matches("app://*.example.com", "app://example.com"));
    }

    #[test]
    fn a_star_null_and_a_wildcard_below_a_top_level_domain_are_anybodys() {
        for text in ["*", "https://*.com", "app://*.com", "null"] {
            assert!(OriginPattern::parse(text).unwrap().is_anybodys(), "{text}");
        }
        for text in ["same-origin", "https://*.example.com", "file://", "app://."] {
            assert!(!OriginPattern::parse(text).unwrap().is_anybodys());
        }
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, mend) in [
            ("", "write an origin"),
            ("app.example.com", "write it like https://"),
            ("*.example.com", "write it like https://"),
            ("*://app.example.com", "write https://"),
            ("https://app.example.com/", "remove it"),
            ("https://app.example.com/*", "scheme, host and port only"),
            ("https://*.example.com/chat", "scheme, host and port only"),
            ("https://app.example.com/chat?*", "scheme, host and port only"),
            ("https://app.example.com./chat", "remove it"),
            ("https://u@app.example.com/chat", "is no origin"),
            ("https://app.example.com/a b", "an item of its own"),
            ("https://app.example.com/a,b", "an item of its own"),
            ("file:// file://", "an item of its own"),
            ("app://\u{e4}", "an item of its own"),
            ("app://*", "like https://*.example.com"),
            ("app://x*", "like https://*.example.com"),
            ("about:blank", "write it like https://"),
            ("https://app.example.com.", "remove it"),
            ("https://*", "like https://*.example.com"),
            ("https://app.*.com", "like https://*.example.com"),
            ("https://*.0.0.1", "whole address"),
            ("https://app.example.com:x", "port"),
            ("https://", "host is missing"),
        ] {
            let told = OriginPattern::parse(text).unwrap_err().to_string();
            assert!(told.contains(mend), "{text}: {told}");
        }
    }
}
