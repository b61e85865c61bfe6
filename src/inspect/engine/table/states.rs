//! A table of states: for each state and each class of bytes the next one.

mod making;
mod pieces;

use super::*;
use making::Making;
use std::collections::HashMap;

/// Where a match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At each byte.
    Anywhere,
    /// At the first byte that is read.
    Here,
}

/// The state in which nothing can match any more, and nothing has.
const DEAD: u32 = 0;

/// All states that texts can lead to.
#[derive(Clone, Debug)]
pub(super) struct States {
    /// Which column of the table a byte has.
    columns: Box<[u8; 256]>,
    width: usize,
    /// For each state and column the next state: the place where its row begins.
    next: Vec<u32>,
    /// The states to begin with, by what stands before.
    starts: [u32; 5],
    /// States from this on are those in which a match has ended.
    matching: u32,
    /// The patterns that end in a state, by the state's number.
    matches: HashMap<u32, Vec<usize>>,
    /// The same where the text ends.
    at_end: HashMap<u32, Vec<usize>>,
}

/// A call that is never made: with the number in its place, compilers select between two
/// values at each step, and the next step waits for both.
#[cold]
const fn nowhere() -> u32 {
    u32::MAX
}

impl States {
    /// `None` where they would have more bytes.
    pub(super) fn new(positions: &Positions, begin: Begin, limit_bytes: usize) -> Option<Self> {
        Making::new(positions, begin).finish(limit_bytes / size_of::<u32>())
    }

    pub(super) fn bytes(&self) -> usize {
        self.next.len() * size_of::<u32>()
    }

    fn start(&self, text: &[u8], place: usize) -> u32 {
        self.starts.get(Beside::before(text, place) as usize).copied().unwrap_or(DEAD)
    }

    /// Nothing leads to where there is no row; were it so, it would count as a match.
    #[inline(always)]
    fn step(&self, state: u32, byte: u8) -> u32 {
        let column = self.columns.get(usize::from(byte)).copied().unwrap_or(0);
        let row = usize::try_from(state).unwrap_or(usize::MAX);
        self.next.get(row.wrapping_add(usize::from(column))).copied().unwrap_or_else(nowhere)
    }

    /// The patterns that end where the text does, in this state.
    fn end(&self, state: u32, found: &mut dyn FnMut(usize)) {
        self.at_end.get(&state).into_iter().flatten().for_each(|pattern| found(*pattern));
    }

    pub(super) fn look_at(
        &self,
        text: &[u8],
        start: usize,
        most_bytes: usize,
    ) -> (Sighting, usize) {
        let rest = text.get(start..).unwrap_or_default();
        let mut state = self.start(text, start);
        for (read, byte) in rest.iter().take(most_bytes).enumerate() {
            state = self.step(state, *byte);
            if state >= self.matching {
                return (Sighting::Match, read + 1);
            }
            if state == DEAD {
                return (Sighting::Nothing, read + 1);
            }
        }
        let read = rest.len().min(most_bytes);
        if rest.len() > most_bytes {
            return (Sighting::Undecided, read);
        }
        let ends = self.at_end.contains_key(&state);
        (if ends { Sighting::Match } else { Sighting::Nothing }, read)
    }
}
