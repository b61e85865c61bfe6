//! The one table of refusals: what each reason is called, which HTTP status it
//! has before the upgrade and which WebSocket close code after it.

/// Why wsguard refused, closed or reported something.
///
/// The names are part of the contract with users: they stand in problem
/// documents, close reasons, events and metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// The opening handshake is not what RFC 6455 §4.2.1 asks for.
    HandshakeMalformed,
    /// `Sec-WebSocket-Version` is not 13 (RFC 6455 §4.4).
    VersionUnsupported,
    /// No policy matches the upgrade.
    NoPolicy,
    /// A request on a guarded path that is no WebSocket upgrade.
    NotWebsocket,
    /// The policy asks for TLS and the request came without.
    TlsRequired,
    /// The client address is not allowed.
    AddressDenied,
    /// The `Origin` is not allowed, or missing where one is needed.
    OriginDenied,
    /// The `User-Agent` matches a denied pattern.
    UserAgentDenied,
    /// None of the offered subprotocols is allowed.
    SubprotocolDenied,
    /// Compression was offered where the policy rejects it.
    CompressionDenied,
    /// No credential where one is required.
    CredentialsMissing,
    /// The credential does not verify.
    CredentialsInvalid,
    /// The credential was good and is past its time.
    CredentialsExpired,
    /// The key that the credential was verified with has been removed.
    CredentialsRevoked,
    /// What verifies credentials can't be had: an issuer's keys, or a service.
    AuthUnavailable,
    /// No credential came in a first message in time.
    AuthDeadline,
    /// The credential is good, and does not reach to what was asked for.
    AccessDenied,
    /// This address has as many connections open as it may.
    ConnectionsPerIp,
    /// This user has as many connections open as one may.
    ConnectionsPerUser,
    /// As many connections are open as may be.
    ConnectionsTotal,
    /// This address has opened as many handshakes lately as it may.
    HandshakeRate,
    /// This address or user is banned for what it did before.
    Banned,
    /// Upstream answered the upgrade in a way that opens no agreed tunnel.
    UpstreamHandshake,
    /// All connections of this worker hold as many bytes as they may, more waits
    /// before a first message than is held, or connections or rates can't be counted.
    Overloaded,
    /// RFC 6455 framing is broken.
    ProtocolError,
    /// Text, or a close reason, is not UTF-8.
    InvalidUtf8,
    /// One frame is larger than `max_frame`.
    FrameTooBig,
    /// One message is larger than `max_message`.
    MessageTooBig,
    /// A compressed message would inflate to more than `max_message`.
    InflatedTooBig,
    /// One message has more fragments than `max_fragments`.
    TooManyFragments,
    /// One message has not ended within `max_message_time`.
    MessageTimeout,
    /// Messages of this type are not allowed.
    TypeDenied,
    /// A rule found its pattern in the message.
    RuleMatched,
    /// More work than one message may cost.
    MessageTooComplex,
    /// More messages lately than are allowed.
    MessageRate,
    /// More bytes of messages lately than are allowed.
    ByteRate,
    /// No whole message came for too long.
    IdleTimeout,
    /// The connection has been open for as long as it may.
    LifetimeExceeded,
    /// The client has answered none of the pings sent to it.
    HeartbeatMissed,
}

/// One line of the table.
struct Row {
    name: &'static str,
    /// HTTP status before the upgrade; `None` where it cannot happen there.
    http: Option<u16>,
    /// Close code after the upgrade (RFC 6455 §7.4.1), or with
    /// `refuse_with: close`; `None` where it cannot happen there.
    close: Option<u16>,
    /// RFC 9457 `title`.
    title: &'static str,
}

const fn row(name: &'static str, http: u16, close: u16, title: &'static str) -> Row {
    Row {
        name,
        http: if http == 0 { None } else { Some(http) },
        close: if close == 0 { None } else { Some(close) },
        title,
    }
}

impl Reason {
    /// Every reason, in the order of the table.
    pub const ALL: [Self; 39] = [
        Self::HandshakeMalformed,
        Self::VersionUnsupported,
        Self::NoPolicy,
        Self::NotWebsocket,
        Self::TlsRequired,
        Self::AddressDenied,
        Self::OriginDenied,
        Self::UserAgentDenied,
        Self::SubprotocolDenied,
        Self::CompressionDenied,
        Self::CredentialsMissing,
        Self::CredentialsInvalid,
        Self::CredentialsExpired,
        Self::CredentialsRevoked,
        Self::AuthUnavailable,
        Self::AuthDeadline,
        Self::AccessDenied,
        Self::ConnectionsPerIp,
        Self::ConnectionsPerUser,
        Self::ConnectionsTotal,
        Self::HandshakeRate,
        Self::Banned,
        Self::UpstreamHandshake,
        Self::Overloaded,
        Self::ProtocolError,
        Self::InvalidUtf8,
        Self::FrameTooBig,
        Self::MessageTooBig,
        Self::InflatedTooBig,
        Self::TooManyFragments,
        Self::MessageTimeout,
        Self::TypeDenied,
        Self::RuleMatched,
        Self::MessageTooComplex,
        Self::MessageRate,
        Self::ByteRate,
        Self::IdleTimeout,
        Self::LifetimeExceeded,
        Self::HeartbeatMissed,
    ];

    #[rustfmt::skip]
    const fn row(self) -> Row {
        match self {
            Self::HandshakeMalformed => row("handshake_malformed", 400, 1002, "Malformed WebSocket handshake"),
            Self::VersionUnsupported => row("version_unsupported", 426, 1002, "Unsupported WebSocket version"),
            Self::NoPolicy           => row("no_policy",           403, 1008, "No WebSocket is offered here"),
            Self::NotWebsocket       => row("not_websocket",       426,    0, "WebSocket upgrade required"),
            Self::TlsRequired        => row("tls_required",        403, 1008, "TLS required"),
            Self::AddressDenied      => row("address_denied",      403, 1008, "Client address not allowed"),
            Self::OriginDenied       => row("origin_denied",       403, 1008, "Origin not allowed"),
            Self::UserAgentDenied    => row("user_agent_denied",   403, 1008, "User agent not allowed"),
            Self::SubprotocolDenied  => row("subprotocol_denied",  400, 1008, "No offered subprotocol is allowed"),
            Self::CompressionDenied  => row("compression_denied",  400, 1008, "Compression not allowed"),
            Self::CredentialsMissing => row("credentials_missing", 401, 1008, "Credentials required"),
            Self::CredentialsInvalid => row("credentials_invalid", 401, 1008, "Credentials not valid"),
            Self::CredentialsExpired => row("credentials_expired", 401, 1008, "Credentials expired"),
            Self::CredentialsRevoked => row("credentials_revoked",   0, 1008, "Credentials revoked"),
            Self::AuthDeadline       => row("auth_deadline",         0, 1008, "No credential in time"),
            Self::AuthUnavailable    => row("auth_unavailable",    503, 1013, "Credentials can't be checked now"),
            Self::AccessDenied       => row("access_denied",       403, 1008, "Access denied"),
            Self::ConnectionsPerIp   => row("connections_per_ip",  429, 1008, "Too many connections of this address"),
            Self::ConnectionsPerUser => row("connections_per_user", 429, 1008, "Too many connections of this user"),
            Self::ConnectionsTotal   => row("connections_total",   503, 1013, "Too many connections"),
            Self::HandshakeRate      => row("handshake_rate",      429, 1013, "Too many handshakes"),
            Self::Banned             => row("banned",              429, 1008, "Banned"),
            Self::UpstreamHandshake  => row("upstream_handshake",  502, 1011, "Upstream did not complete the upgrade"),
            Self::Overloaded         => row("overloaded",          503, 1013, "Overloaded"),
            Self::ProtocolError      => row("protocol_error",        0, 1002, "WebSocket protocol error"),
            Self::InvalidUtf8        => row("invalid_utf8",          0, 1007, "Invalid UTF-8"),
            Self::FrameTooBig        => row("frame_too_big",         0, 1009, "Frame too big"),
            Self::MessageTooBig      => row("message_too_big",       0, 1009, "Message too big"),
            Self::InflatedTooBig     => row("inflated_too_big",      0, 1009, "Inflated message too big"),
            Self::TooManyFragments   => row("too_many_fragments",    0, 1008, "Too many fragments"),
            Self::MessageTimeout     => row("message_timeout",       0, 1008, "Message took too long"),
            Self::TypeDenied         => row("type_denied",           0, 1003, "Message type not allowed"),
            Self::RuleMatched        => row("rule_matched",          0, 1008, "Message matches a rule"),
            Self::MessageTooComplex  => row("message_too_complex",   0, 1008, "Message takes too much work"),
            Self::MessageRate        => row("message_rate",          0, 1008, "Too many messages"),
            Self::ByteRate           => row("byte_rate",             0, 1008, "Too many bytes"),
            Self::IdleTimeout        => row("idle_timeout",          0, 1001, "Idle for too long"),
            Self::LifetimeExceeded   => row("lifetime_exceeded",     0, 1001, "Open for too long"),
            Self::HeartbeatMissed    => row("heartbeat_missed",      0, 1001, "No answer to pings"),
        }
    }

    /// Name in problem documents, close reasons, events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().name
    }

    /// HTTP status of the refusal before the upgrade.
    #[must_use]
    pub const fn http_status(self) -> Option<u16> {
        self.row().http
    }

    /// WebSocket close code after the upgrade (RFC 6455 §7.4.1).
    #[must_use]
    pub const fn close_code(self) -> Option<u16> {
        self.row().close
    }

    /// RFC 9457 `title`: a short summary that is the same at every occurrence.
    #[must_use]
    pub const fn title(self) -> &'static str {
        self.row().title
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_metric_safe() {
        let mut seen = std::collections::BTreeSet::new();
        for reason in Reason::ALL {
            assert!(seen.insert(reason.name()), "{} twice", reason.name());
            assert!(
                reason
                    .name()
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
            );
        }
    }

    #[test]
    fn every_reason_can_be_told_to_somebody() {
        for reason in Reason::ALL {
            assert!(reason.http_status().is_some() || reason.close_code().is_some());
        }
    }

    #[test]
    fn close_reasons_fit_a_control_frame() {
        // RFC 6455 §5.5: 125 bytes, two of them the code.
        for reason in Reason::ALL {
            assert!(reason.name().len() <= 123);
        }
    }
}
