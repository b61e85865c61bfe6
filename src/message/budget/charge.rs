//! The charge for one part of a connection, a queue say.

use super::{Exhausted, Holder};
use std::rc::Rc;

/// A part of what a connection holds; given back when it is dropped.
#[derive(Debug)]
pub struct Charge {
    holder: Rc<Holder>,
    bytes: u64,
}

impl Charge {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(holder: &Rc<Holder>) -> Self {
        Self { holder: Rc::clone(holder), bytes: 0 }
    }

    /// Takes `bytes` more, for which others may have to give way.
    ///
    /// # Errors
    /// When its connection would have to give way itself, or has; nothing is taken then.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = u64::try_from(bytes).map_err(|_| Exhausted)?;
        self.holder.grow(bytes)?;
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    /// Takes `bytes` more as [`Self::grow`] does; whether it could. Where it could not, its
    /// connection gives way: it holds the most, and would cost the search for that again
    /// and again.
    pub fn grow_or_give_way(&mut self, bytes: usize) -> bool {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX);
        let grown = self.holder.try_grow(bytes);
        if let Err(Some(shortage)) = grown {
            self.holder.give_way(shortage);
        }
        if grown.is_ok() {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        grown.is_ok()
    }

    /// Gives `bytes` of it back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(self.bytes);
        self.bytes -= bytes;
        self.holder.take_off(bytes);
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        self.holder.take_off(std::mem::take(&mut self.bytes));
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}
