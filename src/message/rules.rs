//! What a policy says about the messages of one direction.

use crate::inspect::{Action, RuleSet};
use crate::quota::rate::Rates;

/// What one direction of a connection may send.
#[derive(Clone, Debug)]
pub struct MessageRules {
    /// Largest payload of one frame, in bytes.
    pub max_frame_bytes: u64,
    /// Largest payload of one message over all its fragments, in bytes.
    pub max_message_bytes: u64,
    /// Most frames that one message may be cut into.
    pub max_fragments: u32,
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

/// What holds where nothing is written.
impl Default for MessageRules {
    fn default() -> Self {
        Self {
            max_frame_bytes: 1 << 20,
            max_message_bytes: 1 << 20,
            max_fragments: 128,
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
    /// Whether any rate is to be asked.
    #[must_use]
    pub const fn has_rates(&self) -> bool {
        self.rate.is_set() || self.bytes.is_set()
    }
}
