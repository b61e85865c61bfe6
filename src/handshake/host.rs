//! Host names, as `:authority` or `Host` carry them (RFC 9110 §7.2) and as a
//! policy names them.

use std::net::Ipv6Addr;

use crate::reason::Reason;

mod pattern;

pub use pattern::{HostPattern, HostPatternError};

/// Longest host name, in bytes of its textual form (RFC 1035 §2.3.4).
const MAX_NAME_BYTES: usize = 253;
/// Longest label, in bytes (RFC 1035 §2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// The host that a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host {
    /// Lower case, no trailing dot, no empty label; an IPv6 address canonical
    /// and in brackets.
    name: String,
    port: Option<u16>,
}

impl Host {
    /// Reads `host`, `host:port`, `[::1]` or `[::1]:port`; one trailing dot of
    /// a name is dropped.
    ///
    /// # Errors
    /// [`HostError`] for user information and for anything that is no host.
    pub fn parse(authority: &[u8]) -> Result<Self, HostError> {
        let text = std::str::from_utf8(authority).map_err(|_| HostError::BadCharacter)?;
        if text.is_empty() {
            return Err(HostError::Empty);
        }
        if text.contains('@') {
            return Err(HostError::Userinfo);
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']').ok_or(HostError::BadAddress)?;
            let address: Ipv6Addr = address.parse().map_err(|_| HostError::BadAddress)?;
            let port = match rest.strip_prefix(':') {
                Some(port) => Some(parse_port(port)?),
                None if rest.is_empty() => None,
                None => return Err(HostError::BadAddress),
            };
            return Ok(Self { name: format!("[{address}]"), port });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, port)) => (name, Some(parse_port(port)?)),
            None => (text, None),
        };
        Ok(Self { name: parse_name(name)?, port })
    }

    /// The name in lower case without a trailing dot; an IPv6 address
    /// canonical and in brackets.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The port, where one was named.
    #[must_use]
    pub const fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it is an address, which has no labels that a wildcard could
    /// stand for. The last label of a name is never all digits (WHATWG URL).
    fn is_address(&self) -> bool {
        let last = self.name.rsplit('.').next().unwrap_or_default();
        self.name.starts_with('[') || last.bytes().all(|b| b.is_ascii_digit())
    }
}

fn parse_name(name: &str) -> Result<String, HostError> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > MAX_NAME_BYTES {
        return Err(HostError::TooLong);
    }
    for label in name.split('.') {
        if label.is_empty() {
            return Err(HostError::EmptyLabel);
        }
        if label.len() > MAX_LABEL_BYTES {
            return Err(HostError::TooLong);
        }
        // Underscores are no host names to RFC 952, and common in clusters.
        if !label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
            return Err(HostError::BadCharacter);
        }
    }
    Ok(name.to_ascii_lowercase())
}

/// 1 to 65535 without leading zeros, so that one port has one spelling.
fn parse_port(text: &str) -> Result<u16, HostError> {
    if text.starts_with('0') || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(HostError::BadPort);
    }
    text.parse().map_err(|_| HostError::BadPort)
}

/// Why a host is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HostError {
    /// Nothing there.
    Empty,
    /// `user@host`.
    Userinfo,
    /// Two dots in a row, or one at the start.
    EmptyLabel,
    /// A character that no host name has.
    BadCharacter,
    /// A label over 63 bytes, or a name over 253.
    TooLong,
    /// A port that is not 1 to 65535.
    BadPort,
    /// Brackets without an IPv6 address in them.
    BadAddress,
}

impl HostError {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::HandshakeMalformed
    }
}

impl std::fmt::Display for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Empty => "the host is missing",
            Self::Userinfo => "the host has user information before an @",
            Self::EmptyLabel => "the host has an empty label",
            Self::BadCharacter => {
                "the host has a character other than ASCII letters, digits, hyphen, underscore and dot"
            }
            Self::TooLong => "the host is longer than 253 bytes, or a label of it than 63",
            Self::BadPort => "the host's port is not a number from 1 to 65535",
            Self::BadAddress => "the host has brackets around something else than an IPv6 address",
        })
    }
}

/// Entry for the fuzzer: holds that a host reads the same when read again,
/// matches itself as a pattern, and keeps no byte that could end a header or a
/// URL's authority.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_host(data: &[u8]) {
    let Ok(host) = Host::parse(data) else { return };
    let name = host.name();
    let again = Host::parse(name.as_bytes());
    assert_eq!(again.as_ref().map(Host::name), Ok(name));
    assert!(!name.is_empty() && !name.ends_with('.') && !name.contains(".."));
    assert!(name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase()));
    assert!(!name.contains(['/', '@', '?', '#', '\\', ',', '%']));
    let pattern = HostPattern::parse(name);
    assert!(pattern.is_ok_and(|pattern| pattern.matches(&host)));
    if let Ok(under) = HostPattern::parse(&format!("*.{name}")) {
        assert!(!under.matches(&host));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn host(text: &str) -> Result<(String, Option<u16>), HostError> {
        Host::parse(text.as_bytes()).map(|host| (host.name, host.port))
    }

    #[test]
    fn one_host_has_one_name() {
        for (text, name, port) in [
            ("chat.example.com", "chat.example.com", None),
            ("CHAT.Example.COM.", "chat.example.com", None),
            ("chat.example.com.:8443", "chat.example.com", Some(8443)),
            ("localhost:1", "localhost", Some(1)),
            ("my_service:65535", "my_service", Some(65535)),
            ("127.0.0.1:80", "127.0.0.1", Some(80)),
            ("[::1]", "[::1]", None),
            ("[0:0:0::0001]:443", "[::1]", Some(443)),
            ("[2001:DB8::A]", "[2001:db8::a]", None),
        ] {
            assert_eq!(host(text), Ok((name.to_owned(), port)), "{text}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let long_label = "a".repeat(64);
        let long_name = "a.".repeat(127) + "a";
        for (text, error) in [
            ("", HostError::Empty),
            (".", HostError::EmptyLabel),
            ("a..b", HostError::EmptyLabel),
            ("a..", HostError::EmptyLabel),
            (".a", HostError::EmptyLabel),
            (":80", HostError::EmptyLabel),
            ("::1", HostError::BadPort),
            ("user@a", HostError::Userinfo),
            ("evil.example@a", HostError::Userinfo),
            ("a b", HostError::BadCharacter),
            ("a,b", HostError::BadCharacter),
            ("a/b", HostError::BadCharacter),
            ("a%2eb", HostError::BadCharacter),
            ("a\\b", HostError::BadCharacter),
            ("b\u{fc}cher.example", HostError::BadCharacter),
            ("*.example.com", HostError::BadCharacter),
            ("a:", HostError::BadPort),
            ("a:0", HostError::BadPort),
            ("a:080", HostError::BadPort),
            ("a:65536", HostError::BadPort),
            ("a:80:80", HostError::BadPort),
            ("a:+80", HostError::BadPort),
            ("[::1", HostError::BadAddress),
            ("[::1]x", HostError::BadAddress),
            ("[::1]]", HostError::BadAddress),
            ("[127.0.0.1]", HostError::BadAddress),
            ("[fe80::1%25eth0]", HostError::BadAddress),
            (&long_label, HostError::TooLong),
            (&long_name, HostError::TooLong),
        ] {
            assert_eq!(host(text), Err(error), "{text}");
        }
        assert_eq!(Host::parse(b"a\xff"), Err(HostError::BadCharacter));
    }

    #[test]
    fn the_fuzz_entry_holds_on_seeds() {
        for seed in ["CHAT.example.com.:80", "[::FFFF:1.2.3.4]:1", "a..b", "127.0.0.1", ""] {
            fuzz_host(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_keep_the_invariants(data: Vec<u8>) {
            fuzz_host(&data);
        }

        #[test]
        fn likely_hosts_keep_the_invariants(text in r"[\[a-cA-C0-9:.*@%\]-]{0,16}") {
            fuzz_host(text.as_bytes());
        }
    }
}
