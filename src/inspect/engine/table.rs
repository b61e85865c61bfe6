//! A search by a table of all states (a DFA): one look a byte.

mod states;

use super::looks::Beside;
use super::positions::{Positions, Reading};
use super::{Sighting, Steps};
use crate::inspect::pattern::Pattern;
use states::{Begin, States};
use std::rc::Rc;

/// Most positions of the patterns of a table.
const MAX_POSITIONS: usize = 1 << 16;

/// Searches for some patterns of a set at once.
#[derive(Clone, Debug)]
pub(super) struct Table {
    /// For matches that begin anywhere.
    anywhere: Rc<States>,
    /// For matches that begin where the search does, if there is room for it.
    here: Option<Rc<States>>,
}

impl Table {
    /// Steps that one byte costs.
    pub(super) const STEPS: Steps = 8;

    /// `None` where the table would have more bytes.
    pub(super) fn compile(patterns: &[&Pattern], limit_bytes: usize) -> Option<Self> {
        let positions = Positions::new(patterns, Reading::Bytes, MAX_POSITIONS).ok()?;
        let anywhere = States::new(&positions, Begin::Anywhere, limit_bytes)?;
        let here = States::new(&positions, Begin::Here, limit_bytes);
        Some(Self { anywhere: Rc::new(anywhere), here: here.map(Rc::new) })
    }

    pub(super) fn bytes(&self) -> usize {
        self.anywhere.bytes() + self.here.as_ref().map_or(0, |here| here.bytes())
    }

    /// Calls `found` with each pattern that matches somewhere in `text`.
    pub(super) fn find(&self, text: &[u8], found: &mut dyn FnMut(usize)) {
        self.anywhere.find(text, found);
    }

    /// Whether a pattern matches from `start` on, reading no more than `most_bytes`;
    /// and how many were read.
    pub(super) fn look_at(
        &self,
        text: &[u8],
        start: usize,
        most_bytes: usize,
    ) -> (Sighting, usize) {
        match &self.here {
            Some(here) => here.look_at(text, start, most_bytes),
            None => (Sighting::Undecided, 0),
        }
    }
}
