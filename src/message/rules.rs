//! What a policy says about the messages of one direction.

use crate::inspect::{Action, RuleSet};
use crate::quota::rate::Rates;
use std::time::Duration;

/// What one direction of a connection may send.
#[derive(Clone, Debug)]
pub struct MessageRules {
    /// Largest payload of one frame, in bytes.
    pub max_frame_bytes: u64,
    /// Largest payload of one message over all its fragments, in bytes.
    pub max_message_bytes: u64,
    /// Most frames that one message may be cut into.
    pub max_fragments: u32,
    /// Longest time from a message's first byte to its last.
    pub max_message_time: Duration,
    /// Whether text messages may pass.
    pub text: bool,
    /// Whether binary messages may pass.
    pub binary: bool,
    /// How many messages may come; pings and pongs count.
    pub rate: Rates,
    /// How many bytes of payload may come; those of pings and pongs count.
    pub bytes: Rates,
    /// Patterns to look for in complete messages.
    pub rules: Option<RuleSet>,
    /// What to do with a message that breaks `types`, or a rule without an
    /// action of its own. Framing, UTF-8 and size violations always close.
    pub on_violation: Action,
}

/// `max_message` where it is not written, in bytes.
const MAX_MESSAGE_BYTES: u64 = 1 << 20;

/// Fewest frames that a message may be cut into where `max_fragments` is not written.
const MIN_DEFAULT_FRAGMENTS: u32 = 128;

/// Payload of the smallest frames that a message of any length may be cut into where
/// `max_fragments` is not written, in bytes. Libraries cut at their write buffer: 4 KiB in
/// gorilla/websocket (less a header) and Boost.Beast.
const DEFAULT_FRAGMENT_BYTES: u64 = 1 << 10;

/// `max_message_time` where it is not written.
const MAX_MESSAGE_TIME: Duration = Duration::from_secs(300);

/// What holds where nothing is written.
impl Default for MessageRules {
    fn default() -> Self {
        Self {
            max_frame_bytes: MAX_MESSAGE_BYTES,
            max_message_bytes: MAX_MESSAGE_BYTES,
            max_fragments: Self::default_max_fragments(MAX_MESSAGE_BYTES),
            max_message_time: MAX_MESSAGE_TIME,
            text: true,
            binary: true,
            rate: Rates::default(),
            bytes: Rates::default(),
            rules: None,
            on_violation: Action::Close,
        }
    }
}

impl MessageRules {
    /// `max_fragments` where it is not written: enough for a message of the largest size in
    /// frames of 1 KiB.
    #[must_use]
    pub fn default_max_fragments(max_message_bytes: u64) -> u32 {
        let frames = max_message_bytes / DEFAULT_FRAGMENT_BYTES;
        u32::try_from(frames).unwrap_or(u32::MAX).max(MIN_DEFAULT_FRAGMENTS)
    }

    /// Returns true if a message must be held until all of it has been judged: its content is
    /// read, or a later frame may make it vanish or wait.
    #[must_use]
    pub const fn hold_messages(&self) -> bool {
        let may_vanish = matches!(self.on_violation, Action::Drop | Action::Reply | Action::Slow);
        self.rules.is_some() || self.bytes.is_set() && may_vanish
    }

    /// Whether any rate is to be asked.
    #[must_use]
    pub const fn has_rates(&self) -> bool {
        self.rate.is_set() || self.bytes.is_set()
    }
}
