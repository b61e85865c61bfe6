//! How many message bytes a worker may hold over all its connections.

use std::cell::Cell;
use std::rc::Rc;

/// The worker's account of held bytes.
#[derive(Debug)]
pub struct Budget {
    limit_bytes: u64,
    /// Invariant: the sum over all living [`Charge`]s, `<= limit_bytes`.
    used_bytes: Cell<u64>,
}

/// The account is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exhausted;

impl Budget {
    /// An account of this many bytes.
    #[must_use]
    pub fn new(limit_bytes: u64) -> Rc<Self> {
        Rc::new(Self { limit_bytes, used_bytes: Cell::new(0) })
    }

    /// Bytes held now.
    #[must_use]
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.get()
    }
}

/// One holder's part of the account; given back when it is dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Rc<Budget>,
    bytes: u64,
}

impl Charge {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(budget: &Rc<Budget>) -> Self {
        Self { budget: Rc::clone(budget), bytes: 0 }
    }

    /// Takes `bytes` more.
    ///
    /// # Errors
    /// When that would pass the limit; nothing is taken then.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exhausted> {
        let bytes = u64::try_from(bytes).map_err(|_| Exhausted)?;
        let used = self.budget.used_bytes.get().checked_add(bytes).ok_or(Exhausted)?;
        if used > self.budget.limit_bytes {
            return Err(Exhausted);
        }
        self.budget.used_bytes.set(used);
        self.bytes += bytes;
        Ok(())
    }

    /// Gives `bytes` of it back.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = u64::try_from(bytes).unwrap_or(u64::MAX).min(self.bytes);
        self.budget.used_bytes.set(self.budget.used_bytes.get().saturating_sub(bytes));
        self.bytes -= bytes;
    }

    /// Gives everything back.
    pub fn release(&mut self) {
        let used = self.budget.used_bytes.get();
        self.budget.used_bytes.set(used.saturating_sub(self.bytes));
        self.bytes = 0;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.release();
    }
}
