//! What is decided about a message, and who decides what follows.

use crate::frame::mask;
use crate::message::{Message, MessageRules, MessageType, Violation};

/// What to do about a violation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Let it pass.
    Pass,
    /// Nothing more goes on.
    Stop,
}

/// Who is told what a flow finds.
pub(super) trait Judge {
    /// A violation in the frame that begins `offset` bytes into the stream.
    fn violation(&mut self, violation: Violation, offset: u64) -> Verdict;
    /// A whole message of this many payload bytes went by.
    fn message(&mut self, payload_bytes: u64);
}

/// The sender must be cut off: why was told to the judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stopped;

/// Tells the judge of a violation of `message`. Where it may pass, what is
/// beyond a limit or unreadable is not looked at any further.
pub(super) fn settle(
    outcome: Result<(), Violation>,
    message: &mut Message,
    offset: u64,
    judge: &mut dyn Judge,
) -> Result<(), Stopped> {
    let Err(violation) = outcome else { return Ok(()) };
    match judge.violation(violation, offset) {
        Verdict::Stop => Err(Stopped),
        Verdict::Pass => {
            if !can_be_read_on(violation) {
                message.skip();
            }
            Ok(())
        }
    }
}

/// Whether a message with this violation can still be held and looked at.
const fn can_be_read_on(violation: Violation) -> bool {
    matches!(violation, Violation::TypeDenied(_) | Violation::RuleMatched { .. })
}

pub(super) const fn judge_type(
    kind: MessageType,
    rules: Option<&MessageRules>,
) -> Result<(), Violation> {
    match (rules, kind) {
        (Some(MessageRules { text: false, .. }), MessageType::Text)
        | (Some(MessageRules { binary: false, .. }), MessageType::Binary) => {
            Err(Violation::TypeDenied(kind))
        }
        _ => Ok(()),
    }
}

pub(super) fn judge_rules(payload: &[u8], rules: Option<&MessageRules>) -> Result<(), Violation> {
    let found = rules.and_then(|rules| rules.rules.as_ref()).and_then(|rules| rules.find(payload));
    match found {
        Some(found) => Err(Violation::RuleMatched { rule: found.rule, action: found.action }),
        None => Ok(()),
    }
}

/// Judges a message whose whole `payload`, masked with `key`, stands in one
/// chunk; `scratch` is where it is unmasked.
pub(super) fn judge_whole(
    kind: MessageType,
    payload: &[u8],
    key: Option<[u8; 4]>,
    rules: Option<&MessageRules>,
    scratch: &mut Vec<u8>,
) -> Result<(), Violation> {
    let has_rules = rules.is_some_and(|rules| rules.rules.is_some());
    if kind == MessageType::Binary && !has_rules {
        return Ok(());
    }
    scratch.clear();
    scratch.extend_from_slice(payload);
    if let Some(key) = key {
        mask::apply(scratch, key, 0);
    }
    if kind == MessageType::Text {
        simdutf8::basic::from_utf8(scratch).map_err(|_| Violation::InvalidUtf8)?;
    }
    judge_rules(scratch, rules)
}
