//! The LZ77 window of one direction (RFC 7692 §7.1.1): the last inflated bytes, to which
//! later messages may refer.

use std::cell::{Cell, RefCell};

/// The end of what was inflated so far. Whoever accounts for its memory shares it with
/// the [`Inflater`](super::Inflater), and may have it forgotten between two messages.
#[derive(Debug, Default)]
pub struct History {
    /// Its length and capacity are at most the window's.
    kept: RefCell<Vec<u8>>,
    /// Bytes that stood before those and were forgotten, as far as a message may still
    /// refer to them. Invariant: `lost + kept.len()` is at most the window.
    lost: Cell<usize>,
}

impl History {
    /// Memory that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.kept.borrow().capacity()
    }

    /// Gives up what is kept. A later message that refers to it can't be read
    /// ([`InflateError::Forgotten`](super::InflateError::Forgotten)); others can.
    pub fn forget(&self) {
        let kept = self.kept.take().len();
        self.lost.set(self.lost.get().saturating_add(kept));
    }

    pub(super) const fn lost_bytes(&self) -> usize {
        self.lost.get()
    }

    pub(super) fn len(&self) -> usize {
        self.kept.borrow().len()
    }

    /// Nothing that follows can be read any more.
    pub(super) fn clear(&self) {
        self.kept.take();
        self.lost.set(0);
    }

    pub(super) fn append_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.kept.borrow());
    }

    /// Keeps the end of `inflated`, which begins with what was kept before: at most
    /// `most` bytes.
    pub(super) fn keep(&self, inflated: &[u8], most: usize) {
        let from = inflated.len().saturating_sub(most);
        let end = inflated.get(from..).unwrap_or_default();
        let mut kept = self.kept.borrow_mut();
        kept.clear();
        if kept.capacity() < end.len() {
            // A power of two, as the window is: so it grows a few times only.
            kept.reserve_exact(end.len().next_power_of_two().min(most));
        }
        kept.extend_from_slice(end);
        self.lost.set(self.lost.get().min(most.saturating_sub(end.len())));
    }
}
