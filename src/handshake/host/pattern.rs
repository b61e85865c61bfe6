//! Hosts as a policy names them.

use super::{Host, HostError};

/// A host as a policy's `match.hosts` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(Shape);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    /// This name.
    Exact(String),
    /// One or more labels before this, which starts with its dot.
    Under(String),
}

impl HostPattern {
    /// Reads `chat.example.com` or `*.example.com`.
    ///
    /// # Errors
    /// [`HostPatternError`], which says what to write instead.
    pub fn parse(text: &str) -> Result<Self, HostPatternError> {
        if text.is_empty() {
            return Err(HostPatternError::Empty);
        }
        if text == "*" {
            return Err(HostPatternError::Any);
        }
        if text.contains("://") {
            return Err(HostPatternError::Scheme);
        }
        if text.contains('/') {
            return Err(HostPatternError::Path);
        }
        let (pattern, port) = Self::with_port(text)?;
        if port.is_some() { Err(HostPatternError::Port) } else { Ok(pattern) }
    }

    /// Reads a pattern that may name a port, as in an origin.
    pub(in crate::handshake) fn with_port(
        text: &str,
    ) -> Result<(Self, Option<u16>), HostPatternError> {
        let (name, is_wildcard) = match text.strip_prefix("*.") {
            Some(name) => (name, true),
            None => (text, false),
        };
        if name.contains('*') {
            return Err(HostPatternError::Wildcard);
        }
        let host = Host::parse(name.as_bytes()).map_err(HostPatternError::Host)?;
        let port = host.port;
        if !is_wildcard {
            return Ok((Self(Shape::Exact(host.name)), port));
        }
        if host.is_address() {
            return Err(HostPatternError::WildcardAddress);
        }
        Ok((Self(Shape::Under(format!(".{}", host.name))), port))
    }

    /// Whether this host is meant, whatever its port. A wildcard stands for
    /// one or more whole labels: `*.example.com` is not `example.com`.
    #[must_use]
    pub fn matches(&self, host: &Host) -> bool {
        match &self.0 {
            Shape::Exact(name) => host.name == *name,
            // No name starts with a dot, so there is a whole label before it.
            Shape::Under(suffix) => host.name.ends_with(suffix.as_str()),
        }
    }

    /// Whether it is a wildcard right below a top-level domain, where anybody
    /// can have a name.
    #[must_use]
    pub fn is_below_top_level(&self) -> bool {
        matches!(&self.0, Shape::Under(suffix) if !suffix.trim_start_matches('.').contains('.'))
    }
}

/// Why a host pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostPatternError {
    /// Nothing there.
    Empty,
    /// A `*` alone.
    Any,
    /// A `*` elsewhere than as the first label.
    Wildcard,
    /// A `*` before an address.
    WildcardAddress,
    /// A scheme before it.
    Scheme,
    /// A port behind it.
    Port,
    /// A path behind it.
    Path,
    /// No host.
    Host(HostError),
}

impl std::fmt::Display for HostPatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "is empty; write a host like chat.example.com or *.example.com",
            Self::Any => "matches every host; leave `hosts` out for that",
            Self::Wildcard => "has a * that is not its first label; write it like *.example.com",
            Self::WildcardAddress => "has a * in an address; write the whole address",
            Self::Scheme => "has a scheme; write the host alone, like chat.example.com",
            Self::Port => "has a port, and hosts match on any port; write the host alone",
            Self::Path => "has a path; write the host alone, and the path into `paths`",
            Self::Host(error) => {
                return write!(f, "is no host: {error}; write it like chat.example.com");
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_one_or_more_whole_labels() {
        let pattern = HostPattern::parse("*.Example.com").unwrap();
        let matches = |text: &str| pattern.matches(&Host::parse(text.as_bytes()).unwrap());
        assert!(matches("chat.example.com") && matches("a.b.EXAMPLE.com.:81"));
        for other in ["example.com", "badexample.com", "example.com.evil", "a.example.org"] {
            assert!(!matches(other), "{other}");
        }
    }

    #[test]
    fn an_exact_pattern_is_this_host_on_any_port() {
        let pattern = HostPattern::parse("chat.example.com").unwrap();
        let matches = |text: &str| pattern.matches(&Host::parse(text.as_bytes()).unwrap());
        assert!(matches("chat.example.com") && matches("CHAT.example.com.:8080"));
        assert!(!matches("a.chat.example.com") && !matches("example.com"));
        assert!(HostPattern::parse("[::1]").unwrap().matches(&Host::parse(b"[0::1]:443").unwrap()));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, mend) in [
            ("", "write a host"),
            ("*", "leave `hosts` out"),
            ("https://a.example", "has a scheme"),
            ("a.example:443", "has a port"),
            ("*.a.example:443", "has a port"),
            ("a.example/ws", "has a path"),
            ("a.*.example", "first label"),
            ("*a.example", "first label"),
            ("*.*.example", "first label"),
            ("*.0.0.1", "whole address"),
            ("*.[::1]", "whole address"),
            ("*.", "is no host"),
            ("a..example", "empty label"),
        ] {
            let told = HostPattern::parse(text).unwrap_err().to_string();
            assert!(told.contains(mend), "{text}: {told}");
        }
    }
}
