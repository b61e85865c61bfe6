//! The windows of compressed connections: what the account may have forgotten.

use super::{Budget, Exhausted, Holder};
use crate::frame::deflate::History;
use std::cell::Cell;
use std::rc::Rc;

/// The window of one direction: bytes of earlier messages to which later ones may refer.
#[derive(Debug)]
pub(super) struct Window {
    history: Rc<History>,
    /// Its charge: the capacity in bytes, once a message has been read.
    bytes: Cell<u64>,
    /// When it was last used, as a count of uses.
    pub(super) used: Cell<u64>,
}

impl Window {
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes.get()
    }

    /// Gives it up; what it was charged.
    pub(super) fn forget(&self) -> u64 {
        self.history.forget();
        self.bytes.take()
    }
}

/// A connection's charge for the window of one direction; given back when it is dropped.
#[derive(Debug)]
pub struct WindowCharge {
    holder: Rc<Holder>,
    window: Rc<Window>,
}

impl WindowCharge {
    /// Nothing is charged yet. The account may have `history` forgotten while its
    /// connection is idle: while it holds nothing but windows, and is not the one for
    /// which there is no room.
    #[must_use]
    pub fn new(holder: &Rc<Holder>, history: &Rc<History>) -> Self {
        let (bytes, used) = (Cell::new(0), Cell::new(0));
        let window = Rc::new(Window { history: Rc::clone(history), bytes, used });
        holder.windows.borrow_mut().push(Rc::clone(&window));
        Self { holder: Rc::clone(holder), window }
    }

    /// A message has been inflated: charges what is kept of it.
    ///
    /// # Errors
    /// As [`Charge::grow`](super::Charge::grow).
    pub fn on_message(&self) -> Result<(), Exhausted> {
        self.window.used.set(Budget::next(&self.holder.budget.last_use));
        let kept = u64::try_from(self.window.history.held_bytes()).map_err(|_| Exhausted)?;
        let charged = self.window.bytes.get();
        self.holder.grow(kept.saturating_sub(charged))?;
        self.window.bytes.set(kept.max(charged));
        Ok(())
    }
}

impl Drop for WindowCharge {
    fn drop(&mut self) {
        self.holder.windows.borrow_mut().retain(|window| !Rc::ptr_eq(window, &self.window));
        self.holder.take_off(self.window.bytes.take());
    }
}
