//! What a policy asks of the client's transport.

use crate::reason::Reason;

use super::TlsRule;
use super::host::Host;
use super::path::NormalPath;

/// What is to be done with a request, by [`TlsRule::judge`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsVerdict {
    /// It may go on.
    Allowed,
    /// 308 with this `Location`.
    Redirect {
        /// The same place by https: printable ASCII, the host a checked one.
        location: String,
    },
    /// It may not.
    Denied(TlsRequired),
}

impl TlsRule {
    /// Judges a request by whether its connection is TLS, as Envoy trusts it.
    /// A redirect leaves the port out: that of https is not the one the
    /// request came to.
    #[must_use]
    pub fn judge(
        self,
        https: bool,
        host: &Host,
        path: &NormalPath,
        query: Option<&[u8]>,
    ) -> TlsVerdict {
        match self {
            Self::Optional => TlsVerdict::Allowed,
            _ if https => TlsVerdict::Allowed,
            Self::Required => TlsVerdict::Denied(TlsRequired),
            Self::Redirect => TlsVerdict::Redirect { location: location(host, path, query) },
        }
    }
}

fn location(host: &Host, path: &NormalPath, query: Option<&[u8]>) -> String {
    let mut location = format!("https://{}{}", host.name(), path.as_str());
    if let Some(query) = query {
        location.push('?');
        for byte in query {
            // A `#` would start a fragment; the others end a header line, or
            // are no text at all.
            if byte.is_ascii_graphic() && *byte != b'#' {
                location.push(char::from(*byte));
            } else {
                location.push_str(percent_encoding::percent_encode_byte(*byte));
            }
        }
    }
    location
}

/// A request without TLS, where TLS is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsRequired;

impl TlsRequired {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::TlsRequired
    }
}

impl std::fmt::Display for TlsRequired {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this WebSocket is open over TLS only: use wss://")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(
        rule: TlsRule,
        https: bool,
        host: &str,
        path: &str,
        query: Option<&[u8]>,
    ) -> TlsVerdict {
        let host = Host::parse(host.as_bytes()).unwrap();
        rule.judge(https, &host, &NormalPath::parse(path.as_bytes()).unwrap(), query)
    }

    #[test]
    fn without_tls_the_rule_decides() {
        let plain = |rule| judge(rule, false, "a.example", "/ws", None);
        assert_eq!(plain(TlsRule::Optional), TlsVerdict::Allowed);
        assert_eq!(plain(TlsRule::Required), TlsVerdict::Denied(TlsRequired));
        assert!(matches!(plain(TlsRule::Redirect), TlsVerdict::Redirect { .. }));
        for rule in [TlsRule::Optional, TlsRule::Required, TlsRule::Redirect] {
            assert_eq!(judge(rule, true, "a.example", "/ws", None), TlsVerdict::Allowed);
        }
    }

    #[test]
    fn a_redirect_goes_to_the_same_place_and_nowhere_else() {
        for (host, path, query, expected) in [
            ("A.example.:8080", "/ws", None, "https://a.example/ws"),
            ("[::1]:80", "/", Some(b"".as_slice()), "https://[::1]/?"),
            (
                "a.example",
                "//evil.example/",
                Some(b"a=1&b=%20?"),
                "https://a.example/evil.example/?a=1&b=%20?",
            ),
            ("a.example", "/", Some(b"a\r\nb: c\xff#d"), "https://a.example/?a%0D%0Ab:%20c%FF%23d"),
        ] {
            let location = expected.to_owned();
            let judged = judge(TlsRule::Redirect, false, host, path, query);
            assert_eq!(judged, TlsVerdict::Redirect { location });
        }
    }
}
