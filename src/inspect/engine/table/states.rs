//! A table of states: for each state and each class of bytes the next one.

mod making;

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
        self.next.get(row.wrapping_add(usize::from(column))).copied().unwrap_or(u32::MAX)
    }

    /// Calls `found` with each pattern that matches, maybe more than once.
    pub(super) fn find(&self, text: &[u8], found: &mut dyn FnMut(usize)) {
        let mut state = self.start(text, 0);
        for (place, byte) in text.iter().enumerate() {
            state = self.step(state, *byte);
            if state >= self.matching {
                return self.find_on(text, place, state, found);
            }
        }
        self.end(state, found);
    }

    /// Searches with two tables in one pass: their loads from memory overlap.
    pub(super) fn find_both(
        (one, other): (&Self, &Self),
        text: &[u8],
        found: &mut dyn FnMut(bool, usize),
    ) {
        let (mut state, mut second) = (one.start(text, 0), other.start(text, 0));
        for (place, byte) in text.iter().enumerate() {
            state = one.step(state, *byte);
            second = other.step(second, *byte);
            if state >= one.matching || second >= other.matching {
                one.find_on(text, place, state, &mut |pattern| found(true, pattern));
                other.find_on(text, place, second, &mut |pattern| found(false, pattern));
                return;
            }
        }
        one.end(state, &mut |pattern| found(true, pattern));
        other.end(second, &mut |pattern| found(false, pattern));
    }

    /// Goes on behind the byte at `place`, which led to this state.
    #[inline(never)]
    fn find_on(&self, text: &[u8], place: usize, mut state: u32, found: &mut dyn FnMut(usize)) {
        let first = usize::try_from(self.matching).unwrap_or(0);
        let mut told = vec![false; self.next.len().saturating_sub(first) / self.width + 1];
        let mut tell = |state: u32| {
            let Some(row) = state.checked_sub(self.matching) else { return };
            let row = usize::try_from(row).unwrap_or(0) / self.width;
            let is_new = told.get_mut(row).is_none_or(|told| !std::mem::replace(told, true));
            if is_new {
                self.matches.get(&state).into_iter().flatten().for_each(|pattern| found(*pattern));
            }
        };
        tell(state);
        for byte in text.get(place + 1..).unwrap_or_default() {
            state = self.step(state, *byte);
            tell(state);
        }
        self.end(state, found);
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
