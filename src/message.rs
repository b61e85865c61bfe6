//! Fragments → messages, with their limits (RFC 6455 §5.4), and what can be
//! wrong with a message.

use crate::frame::header::MAX_HEADER_BYTES;
use crate::frame::utf8::Utf8Stream;
use crate::frame::{FrameError, FrameHeader, Opcode, mask};
use crate::inspect::{Action, RuleSet};
use crate::quota::rate::Rates;
use crate::reason::Reason;
use budget::{Budget, Charge};
use std::rc::Rc;

pub mod budget;

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

/// Text or binary (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// UTF-8
    Text,
    /// Any bytes
    Binary,
}

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
        /// Allowed.
        limit: u32,
    },
    /// This type is not in `types`.
    TypeDenied(MessageType),
    /// The rule of this place in the list found its pattern.
    RuleMatched {
        /// Place in the list of rules.
        rule: usize,
        /// What the rule asks for.
        action: Action,
    },
    /// The worker holds as many message bytes as it may.
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
            Self::TypeDenied(_) => Reason::TypeDenied,
            Self::RuleMatched { .. } => Reason::RuleMatched,
            Self::Overloaded => Reason::Overloaded,
        }
    }

    /// What the policy does about it in mode enforce.
    #[must_use]
    pub const fn action(self, rules: Option<&MessageRules>) -> Action {
        match (self, rules) {
            (Self::RuleMatched { action, .. }, _) => action,
            (Self::TypeDenied(_), Some(rules)) => rules.on_violation,
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
            Self::TooManyFragments { limit } => {
                write!(f, "a message in more than {limit} fragments")
            }
            Self::TypeDenied(MessageType::Text) => f.write_str("text messages are not allowed"),
            Self::TypeDenied(MessageType::Binary) => f.write_str("binary messages are not allowed"),
            Self::RuleMatched { .. } => f.write_str("the message matches a rule"),
            Self::Overloaded => f.write_str("this worker holds as many message bytes as it may"),
        }
    }
}

/// A message of which not everything has come or been judged: its frames'
/// headers and its unmasked payload, from which the very bytes that came can be
/// made again.
#[derive(Debug)]
pub struct Message {
    kind: MessageType,
    /// Announced by the headers so far. Invariant: `<= max_message_bytes`,
    /// unless the message is skipped.
    announced_bytes: u64,
    fragments: u32,
    utf8: Utf8Stream,
    headers: Vec<FrameHeader>,
    payload: Vec<u8>,
    charge: Charge,
    skipped: bool,
}

impl Message {
    /// Begins with its first frame; nothing is held yet.
    #[must_use]
    pub fn begin(kind: MessageType, budget: &Rc<Budget>) -> Self {
        Self {
            kind,
            announced_bytes: 0,
            fragments: 0,
            utf8: Utf8Stream::default(),
            headers: Vec::new(),
            payload: Vec::new(),
            charge: Charge::new(budget),
            skipped: false,
        }
    }

    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        self.kind
    }

    /// Payload bytes that its headers have announced so far.
    #[must_use]
    pub const fn announced_bytes(&self) -> u64 {
        self.announced_bytes
    }

    /// Whether all of it stands in one frame so far and none of that is held.
    #[must_use]
    pub const fn is_fresh(&self) -> bool {
        self.fragments == 1 && self.headers.is_empty()
    }

    /// Whether it is let through without being held or looked at.
    #[must_use]
    pub const fn is_skipped(&self) -> bool {
        self.skipped
    }

    /// Gives up on inspecting it (mode report, after its first violation), and
    /// gives back what it held.
    pub fn skip(&mut self) {
        self.skipped = true;
        self.headers = Vec::new();
        self.payload = Vec::new();
        self.charge.release();
    }

    /// Counts the next frame in.
    ///
    /// # Errors
    /// The limit that its header breaks, before any payload is read.
    pub fn count(
        &mut self,
        header: &FrameHeader,
        rules: Option<&MessageRules>,
    ) -> Result<(), Violation> {
        self.fragments = self.fragments.saturating_add(1);
        self.announced_bytes = self.announced_bytes.saturating_add(header.payload_bytes);
        let (Some(rules), false) = (rules, self.skipped) else { return Ok(()) };
        if header.payload_bytes > rules.max_frame_bytes {
            let (bytes, limit) = (header.payload_bytes, rules.max_frame_bytes);
            return Err(Violation::FrameTooBig { bytes, limit });
        }
        if self.announced_bytes > rules.max_message_bytes {
            let (bytes, limit) = (self.announced_bytes, rules.max_message_bytes);
            return Err(Violation::MessageTooBig { bytes, limit });
        }
        if self.fragments > rules.max_fragments {
            return Err(Violation::TooManyFragments { limit: rules.max_fragments });
        }
        Ok(())
    }

    /// Takes a masked piece of the payload of the frame `header`, `offset`
    /// bytes into it.
    ///
    /// # Errors
    /// Text that can't become UTF-8, and a worker that can hold no more.
    pub fn hold(
        &mut self,
        header: &FrameHeader,
        piece: &[u8],
        offset: u64,
    ) -> Result<(), Violation> {
        if offset == 0 {
            reserve(&mut self.headers, 1, usize::MAX, &mut self.charge)?;
            self.headers.push(*header);
        }
        let begin = self.payload.len();
        // The last frame says how much will come, and the first how much at
        // least; how many small ones come between them nobody knows.
        let known = header.fin || self.fragments == 1;
        let most = if known { self.announced_bytes } else { u64::MAX };
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        reserve(&mut self.payload, piece.len(), most, &mut self.charge)?;
        self.payload.extend_from_slice(piece);
        let held = self.payload.get_mut(begin..).unwrap_or_default();
        if let Some(key) = header.mask {
            mask::apply(held, key, offset);
        }
        match self.kind {
            MessageType::Text => self.utf8.push(held).map_err(|_| Violation::InvalidUtf8),
            MessageType::Binary => Ok(()),
        }
    }

    /// The last frame is complete: the whole payload.
    ///
    /// # Errors
    /// Text that ends inside a character.
    pub fn complete(&self) -> Result<&[u8], Violation> {
        self.utf8.finish().map_err(|_| Violation::InvalidUtf8)?;
        Ok(&self.payload)
    }

    /// Appends the bytes that were held, just as they came.
    pub fn release(&self, out: &mut Vec<u8>) {
        out.reserve(self.payload.len() + self.headers.len() * MAX_HEADER_BYTES);
        let mut rest = self.payload.as_slice();
        for header in &self.headers {
            header.encode(out);
            let length = usize::try_from(header.payload_bytes).unwrap_or(usize::MAX);
            let (payload, after) = rest.split_at_checked(length).unwrap_or((rest, &[]));
            rest = after;
            let begin = out.len();
            out.extend_from_slice(payload);
            if let (Some(key), Some(copy)) = (header.mask, out.get_mut(begin..)) {
                mask::apply(copy, key, 0);
            }
        }
    }
}

/// Makes room for `more` entries, doubling, so that many small pieces are not
/// copied over and over, but not beyond `most`; charges what is allocated.
fn reserve<T>(
    vec: &mut Vec<T>,
    more: usize,
    most: usize,
    charge: &mut Charge,
) -> Result<(), Violation> {
    let needed = vec.len().saturating_add(more);
    if needed <= vec.capacity() {
        return Ok(());
    }
    let target = vec.capacity().saturating_mul(2).max(64).min(most).max(needed);
    let grown = (target - vec.capacity()).saturating_mul(size_of::<T>());
    charge.grow(grown).map_err(|_| Violation::Overloaded)?;
    vec.try_reserve_exact(target - vec.len()).map_err(|_| Violation::Overloaded)
}

/// The type of message that a data frame's opcode begins; `None` continues one.
#[must_use]
pub const fn begins(opcode: Opcode) -> Option<MessageType> {
    match opcode {
        Opcode::Text => Some(MessageType::Text),
        Opcode::Binary => Some(MessageType::Binary),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: u64, fin: bool, opcode: Opcode) -> FrameHeader {
        FrameHeader { fin, opcode, mask: Some([7, 1, 9, 3]), payload_bytes: bytes }
    }

    #[test]
    fn what_is_held_comes_out_as_it_came() {
        let budget = Budget::new(1 << 20);
        let mut wire = Vec::new();
        let mut message = Message::begin(MessageType::Binary, &budget);
        for (length, fin) in [(3u8, false), (0, false), (200, true)] {
            let head = header(u64::from(length), fin, Opcode::Binary);
            head.encode(&mut wire);
            let masked: Vec<u8> = (0..length).collect();
            wire.extend_from_slice(&masked);
            let cut = masked.len() / 2;
            message.hold(&head, &masked[..cut], 0).unwrap();
            if cut > 0 {
                message.hold(&head, &masked[cut..], u64::try_from(cut).unwrap()).unwrap();
            }
        }
        let mut out = Vec::new();
        message.release(&mut out);
        assert_eq!(out, wire);
        assert!(budget.used_bytes() >= 203);
        drop(message);
        assert_eq!(budget.used_bytes(), 0, "what a message held is given back with it");
    }

    #[test]
    fn a_full_worker_holds_no_more() {
        let budget = Budget::new(4000);
        let mut message = Message::begin(MessageType::Binary, &budget);
        let head = header(9000, true, Opcode::Binary);
        message.count(&head, None).unwrap();
        assert_eq!(message.hold(&head, &[0; 500], 0), Ok(()));
        assert_eq!(message.hold(&head, &[0; 8500], 500), Err(Violation::Overloaded));
        assert!((500..=4000).contains(&budget.used_bytes()));
        message.skip();
        assert_eq!(budget.used_bytes(), 0);
    }

    #[test]
    fn a_frame_takes_no_more_room_than_it_needs() {
        let budget = Budget::new(1 << 20);
        let head = header(65_536, false, Opcode::Binary);
        let mut message = Message::begin(MessageType::Binary, &budget);
        message.count(&head, None).unwrap();
        for offset in (0..65_536u64).step_by(10_000) {
            let piece = vec![0; usize::try_from((65_536 - offset).min(10_000)).unwrap()];
            message.hold(&head, &piece, offset).unwrap();
        }
        let headers = u64::try_from(64 * size_of::<FrameHeader>()).unwrap();
        assert_eq!(budget.used_bytes(), 65_536 + headers);
        let last = header(1, true, Opcode::Continuation);
        message.count(&last, None).unwrap();
        message.hold(&last, &[0], 0).unwrap();
        assert_eq!(budget.used_bytes(), 65_537 + headers);
    }

    #[test]
    fn violations_stay_small() {
        assert!(size_of::<Violation>() <= 32);
    }
}
