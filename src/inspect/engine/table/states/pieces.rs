//! A search of one text in several pieces at once.
//!
//! Each step waits for the memory that the step before it asked for. So a block of text is
//! cut into pieces that are searched side by side, each piece but the first as if no match
//! had begun before it. A match that is found so is one. A match that is missed so began in
//! an earlier piece: the search of that piece goes on into the next one until both searches
//! are in the same state, from where on they find the same.

use super::States;

/// Pieces that are searched at once.
const PIECES: usize = 4;

/// Smallest piece, in bytes: smaller ones take longer than the text as a whole.
const LEAST_PIECE_BYTES: usize = 64;

/// Largest piece, in bytes.
const MOST_PIECE_BYTES: usize = 1 << 10;

/// Bytes within which the search of a piece has to reach the state of the next piece's.
const MEETING_BYTES: usize = 64;

/// Bytes that are searched as a whole after a block whose pieces were of no use.
const ALONE_BYTES: usize = 4 * PIECES * MOST_PIECE_BYTES;

impl States {
    /// Calls `found` with each pattern that matches, maybe more than once.
    pub(in super::super) fn find(&self, text: &[u8], found: &mut dyn FnMut(usize)) {
        let mut matches = Matches { states: self, told: Vec::new(), last: 0, found };
        let mut state = self.start(text, 0);
        let (mut place, mut alone_until) = (0, 0);
        while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
            let size = (rest.len() / PIECES).min(MOST_PIECE_BYTES);
            if size < LEAST_PIECE_BYTES {
                alone_until = text.len();
            } else if place >= alone_until {
                if let Some(next) = self.block(text, place, size, state) {
                    (state, place) = (next, place + PIECES * size);
                    continue;
                }
                alone_until = (place + ALONE_BYTES).min(text.len());
            }
            let alone = text.get(place..alone_until).unwrap_or_default();
            state = self.alone(alone, state, &mut matches);
            place = alone_until;
        }
        self.end(state, found);
    }

    /// The state after a block of pieces of `size` bytes, which begins in `state`. `None`
    /// where a match ends in it or the searches of two pieces don't reach the same state.
    fn block(&self, text: &[u8], begin: usize, size: usize, state: u32) -> Option<u32> {
        let block = text.get(begin..begin + PIECES * size)?;
        let mut pieces = [block; PIECES];
        let mut begins = [state; PIECES];
        for (index, (piece, state)) in pieces.iter_mut().zip(&mut begins).enumerate() {
            *piece = block.get(index * size..(index + 1) * size)?;
            if index > 0 {
                *state = self.start(text, begin + index * size);
            }
        }
        let [mut state, ends @ ..] = self.side_by_side(pieces, begins)?;
        let [_, nexts @ ..] = pieces;
        let [_, begins @ ..] = begins;
        for ((piece, begin), end) in nexts.into_iter().zip(begins).zip(ends) {
            state = self.meet(piece, state, begin, end)?;
        }
        Some(state)
    }

    /// The states after the pieces; `None` where a match ends in one.
    #[inline(never)]
    fn side_by_side(
        &self,
        [one, two, three, four]: [&[u8]; PIECES],
        [mut a, mut b, mut c, mut d]: [u32; PIECES],
    ) -> Option<[u32; PIECES]> {
        for (((one, two), three), four) in one.iter().zip(two).zip(three).zip(four) {
            a = self.step(a, *one);
            b = self.step(b, *two);
            c = self.step(c, *three);
            d = self.step(d, *four);
            if a.max(b).max(c.max(d)) >= self.matching {
                return None;
            }
        }
        Some([a, b, c, d])
    }

    /// The state after a piece that is read from `state`, where a search that began in
    /// `begin` ended in `end`. `None` where the two don't reach the same state soon.
    fn meet(&self, piece: &[u8], mut state: u32, mut begin: u32, end: u32) -> Option<u32> {
        for byte in piece.iter().take(MEETING_BYTES) {
            if state == begin {
                return Some(end);
            }
            (state, begin) = (self.step(state, *byte), self.step(begin, *byte));
            if state >= self.matching {
                return None;
            }
        }
        None
    }

    /// Searches on from `state`; the state after that.
    #[inline(never)]
    fn alone(&self, text: &[u8], mut state: u32, matches: &mut Matches<'_, '_>) -> u32 {
        for byte in text {
            state = self.step(state, *byte);
            if state >= self.matching {
                matches.tell(state);
            }
        }
        state
    }
}

/// Tells which patterns have ended, for each state once.
struct Matches<'s, 'f> {
    states: &'s States,
    told: Vec<bool>,
    last: u32,
    found: &'f mut dyn FnMut(usize),
}

impl Matches<'_, '_> {
    #[cold]
    #[inline(never)]
    fn tell(&mut self, state: u32) {
        if state == self.last {
            return;
        }
        self.last = state;
        let Self { states, told, found, .. } = self;
        let row = |state: u32| usize::try_from(state).unwrap_or(0) / states.width;
        if told.is_empty() {
            let rows = states.next.len() / states.width;
            told.resize(rows.saturating_sub(row(states.matching)) + 1, false);
        }
        let told = told.get_mut(row(state.saturating_sub(states.matching)));
        if told.is_none_or(|told| !std::mem::replace(told, true)) {
            states.matches.get(&state).into_iter().flatten().for_each(|pattern| found(*pattern));
        }
    }
}
