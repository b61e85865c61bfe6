//! Fragments → messages, with their limits (RFC 6455 §5.4), and what can be
//! wrong with a message.

use crate::frame::header::MAX_HEADER_BYTES;
use crate::frame::utf8::Utf8Stream;
use crate::frame::{FrameHeader, Opcode, mask};
use crate::quota::rate::Load;
use budget::{Charge, Holder};
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

/// In which parts a message goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parts {
    /// As a whole, once all of it has been judged.
    Whole,
    /// Frame by frame.
    Frames,
    /// Piece by piece, as it comes.
    Pieces,
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
    parts: Parts,
    /// The part that its rates have counted already.
    counted: Load,
    /// A rate is used up: it waits for its turn.
    waits: bool,
    /// A rate that it broke lets it pass all the same (mode report).
    excused: bool,
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
    pub fn begin(kind: MessageType, first: &FrameHeader, holder: &Rc<Holder>) -> Self {
        Self {
            kind,
            compressed: first.compressed,
            mask: first.mask,
            fate: Fate::Judged,
            parts: Parts::Whole,
            counted: Load::default(),
            waits: false,
            excused: false,
            announced_bytes: 0,
            fragments: 0,
            utf8: Utf8Stream::default(),
            headers: Vec::new(),
            payload: Vec::new(),
            charge: Charge::new(holder),
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

    /// In which parts it goes on; as a whole until something else is said.
    #[must_use]
    pub const fn parts(&self) -> Parts {
        self.parts
    }

    /// Sets the parts in which it goes on, before any of it is held.
    pub const fn go_on_in(&mut self, parts: Parts) {
        self.parts = parts;
    }

    /// Returns the part of the announced message that its rates have not counted yet.
    #[must_use]
    pub const fn uncounted(&self) -> Load {
        if self.excused {
            return Load { messages: 0, bytes: 0 };
        }
        let bytes = self.announced_bytes.saturating_sub(self.counted.bytes);
        Load { messages: 1u64.saturating_sub(self.counted.messages), bytes }
    }

    /// Its rates allow all that has been announced.
    pub const fn mark_counted(&mut self) {
        self.counted = Load::message(self.announced_bytes);
    }

    /// Its rates need not be asked any more.
    pub const fn excuse(&mut self) {
        self.excused = true;
    }

    /// Lets it wait for its turn, once all of it is there.
    pub const fn wait(&mut self) {
        self.waits = true;
    }

    /// Returns true if it waits for its turn, even where nothing waits before it.
    #[must_use]
    pub const fn waits(&self) -> bool {
        self.waits
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
        let is_text = self.is_text_as_it_comes();
        let held = self.payload.get_mut(begin..).unwrap_or_default();
        if let Some(key) = header.mask {
            mask::apply(held, key, offset);
        }
        if is_text {
            self.utf8.push(held).map_err(|_| Violation::InvalidUtf8)?;
        }
        Ok(())
    }

    /// Looks at an unmasked piece of the payload that is not held.
    ///
    /// # Errors
    /// Text that can't become UTF-8.
    pub fn read(&mut self, piece: &[u8]) -> Result<(), Violation> {
        if self.is_text_as_it_comes() {
            self.utf8.push(piece).map_err(|_| Violation::InvalidUtf8)?;
        }
        Ok(())
    }

    const fn is_text_as_it_comes(&self) -> bool {
        matches!(self.kind, MessageType::Text) && !self.compressed
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

    /// Gives back what was held of it: that has gone on.
    pub fn let_go(&mut self) {
        self.give_back();
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
mod tests;
