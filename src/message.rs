//! Fragments → messages, with their limits (RFC 6455 §5.4), and what can be
//! wrong with a message.

use crate::frame::header::MAX_HEADER_BYTES;
use crate::frame::utf8::Utf8Stream;
use crate::frame::{FrameHeader, Opcode, mask};
use budget::{Budget, Charge};
use std::rc::Rc;

pub mod budget;
mod rules;
mod violation;

pub use rules::MessageRules;
pub use violation::Violation;

/// Text or binary (RFC 6455 §5.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MessageType {
    /// UTF-8
    Text,
    /// Any bytes
    Binary,
}

/// What will become of a message, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its content decides.
    Judged,
    /// It vanishes, whatever else it holds.
    Vanishes,
    /// It is let through without being looked at any more (mode report, after a
    /// violation that makes it unreadable).
    Unread,
}

/// A message of which not everything has come or been judged: its frames'
/// headers and its unmasked payload, from which the very bytes that came can be
/// made again.
#[derive(Debug)]
pub struct Message {
    kind: MessageType,
    compressed: bool,
    /// Masking key of its first frame.
    mask: Option<[u8; 4]>,
    fate: Fate,
    /// Announced by the headers so far. Invariant: `<= max_message_bytes`,
    /// unless the message is let through unread.
    announced_bytes: u64,
    fragments: u32,
    utf8: Utf8Stream,
    headers: Vec<FrameHeader>,
    payload: Vec<u8>,
    charge: Charge,
}

impl Message {
    /// Begins with the header of its first frame; nothing is held yet.
    #[must_use]
    pub fn begin(kind: MessageType, first: &FrameHeader, budget: &Rc<Budget>) -> Self {
        Self {
            kind,
            compressed: first.compressed,
            mask: first.mask,
            fate: Fate::Judged,
            announced_bytes: 0,
            fragments: 0,
            utf8: Utf8Stream::default(),
            headers: Vec::new(),
            payload: Vec::new(),
            charge: Charge::new(budget),
        }
    }

    /// Text or binary.
    #[must_use]
    pub const fn kind(&self) -> MessageType {
        self.kind
    }

    /// Whether its payload is compressed (RFC 7692).
    #[must_use]
    pub const fn is_compressed(&self) -> bool {
        self.compressed
    }

    /// Masking key of its first frame: what goes on in the message's place is
    /// masked by it, and so by a key that whoever wrote the content of a
    /// browser's message can't know (RFC 6455 §10.3).
    #[must_use]
    pub const fn mask(&self) -> Option<[u8; 4]> {
        self.mask
    }

    /// What will become of it.
    #[must_use]
    pub const fn fate(&self) -> Fate {
        self.fate
    }

    /// Whether its payload is looked at.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        match self.fate {
            Fate::Judged => true,
            // What is compressed must be read on, or what follows could not be.
            Fate::Vanishes => self.compressed,
            Fate::Unread => false,
        }
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

    /// Returns true once the message has more than one frame.
    #[must_use]
    pub const fn is_fragmented(&self) -> bool {
        self.fragments > 1
    }

    /// Lets it vanish.
    pub fn vanish(&mut self) {
        self.fate = Fate::Vanishes;
        if !self.is_read() {
            self.give_back();
        }
    }

    /// Gives up on inspecting it, and gives back what it held.
    pub fn skip(&mut self) {
        self.fate = Fate::Unread;
        self.give_back();
    }

    fn give_back(&mut self) {
        self.headers = Vec::new();
        self.payload = Vec::new();
        self.charge.release();
    }

    /// Counts the next frame in.
    ///
    /// # Errors
    /// The limit that its header breaks, before any payload is read.
    pub fn count(&mut self, header: &FrameHeader, rules: &MessageRules) -> Result<(), Violation> {
        self.fragments = self.fragments.saturating_add(1);
        self.announced_bytes = self.announced_bytes.saturating_add(header.payload_bytes);
        if self.fate == Fate::Unread {
            return Ok(());
        }
        if header.payload_bytes > rules.max_frame_bytes {
            let (bytes, limit) = (header.payload_bytes, rules.max_frame_bytes);
            return Err(Violation::FrameTooBig { bytes, limit });
        }
        if self.announced_bytes > rules.max_message_bytes {
            let (bytes, limit) = (self.announced_bytes, rules.max_message_bytes);
            return Err(Violation::MessageTooBig { bytes, limit });
        }
        if self.fragments > rules.max_fragments {
            let (bytes, limit) = (self.announced_bytes, rules.max_fragments);
            return Err(Violation::TooManyFragments { bytes, limit });
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
            MessageType::Text if !self.compressed => {
                self.utf8.push(held).map_err(|_| Violation::InvalidUtf8)
            }
            _ => Ok(()),
        }
    }

    /// The last frame is complete: whether what was held may end there.
    ///
    /// # Errors
    /// Text that ends inside a character.
    pub fn ends_well(&self) -> Result<(), Violation> {
        self.utf8.finish().map_err(|_| Violation::InvalidUtf8)
    }

    /// What is held of the payload, as it was sent, unmasked.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.payload
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
        FrameHeader {
            fin,
            compressed: false,
            opcode,
            mask: Some([7, 1, 9, 3]),
            payload_bytes: bytes,
        }
    }

    #[test]
    fn what_is_held_comes_out_as_it_came() {
        let budget = Budget::new(1 << 20);
        let mut wire = Vec::new();
        let first = header(3, false, Opcode::Binary);
        let mut message = Message::begin(MessageType::Binary, &first, &budget);
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
        let head = header(9000, true, Opcode::Binary);
        let mut message = Message::begin(MessageType::Binary, &head, &budget);
        message.count(&head, &MessageRules::default()).unwrap();
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
        let mut message = Message::begin(MessageType::Binary, &head, &budget);
        message.count(&head, &MessageRules::default()).unwrap();
        for offset in (0..65_536u64).step_by(10_000) {
            let piece = vec![0; usize::try_from((65_536 - offset).min(10_000)).unwrap()];
            message.hold(&head, &piece, offset).unwrap();
        }
        let headers = u64::try_from(64 * size_of::<FrameHeader>()).unwrap();
        assert_eq!(budget.used_bytes(), 65_536 + headers);
        let last = header(1, true, Opcode::Continuation);
        message.count(&last, &MessageRules::default()).unwrap();
        message.hold(&last, &[0], 0).unwrap();
        assert_eq!(budget.used_bytes(), 65_537 + headers);
    }
}
