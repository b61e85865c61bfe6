//! What can be wrong with a message.

use super::{MessageRules, MessageType};
use crate::auth::AuthError;
use crate::frame::FrameError;
use crate::frame::deflate::InflateError;
use crate::inspect::Action;
use crate::quota::rate::{Per, RateExceeded};
use crate::reason::Reason;
use std::time::Duration;

/// What is wrong with a message; its sender is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// Framing is broken.
    Frame(FrameError),
    /// Bytes before the `101`.
    Early,
    /// Text, or a close reason, is not UTF-8.
    InvalidUtf8,
    /// A frame announces more bytes than `max_frame`.
    FrameTooBig {
        /// Announced.
        bytes: u64,
        /// Allowed.
        limit: u64,
    },
    /// The fragments so far announce more bytes than `max_message`.
    MessageTooBig {
        /// Announced.
        bytes: u64,
        /// Allowed.
        limit: u64,
    },
    /// More fragments than `max_fragments`.
    TooManyFragments {
        /// Announced so far.
        bytes: u64,
        /// Allowed.
        limit: u32,
    },
    /// It has not ended within `max_message_time`.
    Timeout {
        /// Announced so far.
        bytes: u64,
        /// Allowed.
        limit: Duration,
    },
    /// This type is not in `types`.
    TypeDenied(MessageType),
    /// The rule of this place in the list found its pattern.
    RuleMatched {
        /// Place in the list of rules.
        rule: usize,
        /// What the rule asks for.
        action: Action,
        /// Length of what was searched.
        bytes: usize,
    },
    /// A rule's sanitizing takes more work than a message may cost.
    TooComplex {
        /// Size of the message.
        bytes: usize,
    },
    /// A compressed message can't be, or would become too large to be, inflated.
    Inflate {
        /// Why.
        error: InflateError,
        /// Its length as it came.
        bytes: usize,
    },
    /// More than a rate allows, of messages or of bytes.
    Rate(RateExceeded),
    /// A message that should say who the client is does not, or asks for what
    /// the client may not have.
    Credential(AuthError),
    /// More messages wait than are held for one connection.
    QueueFull(Reason),
    /// Held bytes ran short, and this connection would hold the most of its address.
    Overloaded,
}

impl Violation {
    /// Its line in the table.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Frame(_) | Self::Early => Reason::ProtocolError,
            Self::InvalidUtf8 => Reason::InvalidUtf8,
            Self::FrameTooBig { .. } => Reason::FrameTooBig,
            Self::MessageTooBig { .. } => Reason::MessageTooBig,
            Self::TooManyFragments { .. } => Reason::TooManyFragments,
            Self::Timeout { .. } => Reason::MessageTimeout,
            Self::TypeDenied(_) => Reason::TypeDenied,
            Self::RuleMatched { .. } => Reason::RuleMatched,
            Self::TooComplex { .. } => Reason::MessageTooComplex,
            // RFC 7692 has no code for a stream that is none.
            Self::Inflate { error: InflateError::Corrupt, .. } => Reason::ProtocolError,
            Self::Inflate { error: InflateError::Forgotten, .. } => Reason::Overloaded,
            Self::Inflate { .. } => Reason::InflatedTooBig,
            Self::Rate(exceeded) => exceeded.reason(),
            Self::Credential(error) => error.reason(),
            Self::QueueFull(reason) => reason,
            Self::Overloaded => Reason::Overloaded,
        }
    }

    /// Describes the violation for events. Where the size of the message or the work that
    /// it took matters, the size is added.
    #[must_use]
    pub fn event_detail(self) -> String {
        match self {
            Self::RuleMatched { bytes, .. } => format!("{self}; {bytes} bytes were searched"),
            Self::Inflate { bytes, .. } => format!("{self}; {bytes} compressed bytes came"),
            Self::TooManyFragments { bytes, .. } => {
                format!("{self}; they announce {bytes} bytes or more")
            }
            Self::Timeout { bytes, .. } => {
                format!("{self}; its frames announce {bytes} bytes so far")
            }
            _ => self.to_string(),
        }
    }

    /// The place of the rule that matched.
    #[must_use]
    pub const fn rule(self) -> Option<usize> {
        match self {
            Self::RuleMatched { rule, .. } => Some(rule),
            _ => None,
        }
    }

    /// Returns true if the violation may count as a strike. `in_cookie` says that the
    /// client's credential came in a cookie: a page of a sibling subdomain may have set it,
    /// so the user may be another one.
    #[must_use]
    pub const fn is_blamed(self, in_cookie: bool) -> bool {
        match self {
            Self::Credential(error) => !in_cookie && error.is_blamed(),
            Self::Rate(RateExceeded::Reached { per: Per::User, .. }) => !in_cookie,
            _ => true,
        }
    }

    /// Whether its message can still be read, were it to pass.
    #[must_use]
    pub const fn leaves_it_readable(self) -> bool {
        matches!(self, Self::TypeDenied(_) | Self::Rate(_) | Self::RuleMatched { .. })
    }

    /// What the policy does about it in mode enforce.
    #[must_use]
    pub const fn action(self, rules: &MessageRules) -> Action {
        match self {
            Self::RuleMatched { action, .. } => action,
            Self::Rate(exceeded) => match rules.on_violation {
                // There is nothing to cut out of it, or no time would help.
                Action::Sanitize => Action::Close,
                Action::Slow if exceeded.retry_after().is_none() => Action::Close,
                action => action,
            },
            Self::TypeDenied(_) => match rules.on_violation {
                Action::Sanitize | Action::Slow => Action::Close,
                action => action,
            },
            _ => Action::Close,
        }
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Frame(error) => error.fmt(f),
            Self::Early => f.write_str("the client sent bytes before the 101"),
            Self::InvalidUtf8 => f.write_str("text or a close reason is not UTF-8"),
            Self::FrameTooBig { bytes, limit } => {
                write!(f, "a frame of {bytes} bytes, allowed are {limit}")
            }
            Self::MessageTooBig { bytes, limit } => {
                write!(f, "a message of {bytes} bytes or more, allowed are {limit}")
            }
            Self::TooManyFragments { limit, .. } => {
                write!(f, "a message in more than {limit} fragments")
            }
            Self::Timeout { limit, .. } => {
                let limit = humantime::format_duration(*limit);
                write!(f, "a message has not ended within {limit}")
            }
            Self::TypeDenied(MessageType::Text) => f.write_str("text messages are not allowed"),
            Self::TypeDenied(MessageType::Binary) => f.write_str("binary messages are not allowed"),
            Self::RuleMatched { .. } => f.write_str("the message matches a rule"),
            Self::TooComplex { bytes } => {
                write!(f, "sanitizing a message of {bytes} bytes takes more work than it may")
            }
            Self::Inflate { error, .. } => error.fmt(f),
            Self::Rate(exceeded) => exceeded.fmt(f),
            Self::Credential(error) => error.fmt(f),
            Self::QueueFull(_) => {
                f.write_str("more messages wait than are held for one connection")
            }
            Self::Overloaded => f.write_str(
                "held bytes ran short, and this connection would hold the most of its address",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn violations_stay_small() {
        assert!(size_of::<Violation>() <= 64);
    }
}
