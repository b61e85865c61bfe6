//! What is left of a text when what patterns match is cut out.

use super::pattern::Pattern;
use regex_automata::dfa::dense::{Builder, Config, DFA};
use regex_automata::dfa::{Automaton, StartKind};
use regex_automata::nfa::thompson;
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::Hir;
use std::rc::Rc;

/// Both tables of a set's sanitizing rules, each at most this large.
const TABLE_BYTES: usize = 4 << 20;

/// What making a table may take beside it, as a multiple of its bytes.
const MAKING: usize = 4;

/// Bytes that sanitizing may read for each byte of a message, over all its cuts: each
/// cut searches on to where its pattern must end, and back to where it began.
const READS_A_BYTE: usize = 20;

/// Bytes that it may read in any message, however short.
const FREE_READS: usize = 400_000;

/// Finds what is to be cut out.
#[derive(Clone, Debug)]
pub(super) struct Cuts {
    ends: Rc<DFA<Vec<u32>>>,
    begins: Rc<DFA<Vec<u32>>>,
}

/// The tables of patterns would be too large.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

/// A message takes more work than it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooComplex;

impl Cuts {
    pub(super) fn compile(patterns: &[&Pattern]) -> Result<Self, TooLarge> {
        let patterns: Vec<&Hir> = patterns.iter().map(|pattern| pattern.hir()).collect();
        let ends = Config::new().match_kind(MatchKind::LeftmostFirst);
        let ends = ends.start_kind(StartKind::Unanchored);
        let begins = Config::new().match_kind(MatchKind::All).start_kind(StartKind::Anchored);
        Ok(Self { ends: table(&patterns, false, ends)?, begins: table(&patterns, true, begins)? })
    }

    /// Writes `text` without what the patterns match (from the left, places that overlap
    /// counting as the first) to `left`, which is cleared first.
    ///
    /// # Errors
    /// Where that takes more work than `text` may.
    pub(super) fn cut(&self, text: &[u8], left: &mut Vec<u8>) -> Result<(), TooComplex> {
        left.clear();
        let mut reads = text.len().saturating_mul(READS_A_BYTE).saturating_add(FREE_READS);
        let mut kept = 0;
        while let Some((begin, end)) = self.find(text, kept, &mut reads)? {
            left.extend_from_slice(text.get(kept..begin).unwrap_or_default());
            kept = end;
        }
        left.extend_from_slice(text.get(kept..).unwrap_or_default());
        Ok(())
    }

    /// The first match that begins at `from` or behind it.
    fn find(
        &self,
        text: &[u8],
        from: usize,
        reads: &mut usize,
    ) -> Result<Option<(usize, usize)>, TooComplex> {
        let Some(end) = self.end(text, from, reads)? else { return Ok(None) };
        let begin = self.begin(text, (from, end), reads)?;
        // No pattern matches nothing; were it so, the search would not go on.
        if begin >= end { Err(TooComplex) } else { Ok(Some((begin, end))) }
    }

    /// Where it ends.
    fn end(
        &self,
        text: &[u8],
        from: usize,
        reads: &mut usize,
    ) -> Result<Option<usize>, TooComplex> {
        let table = &*self.ends;
        let input = Input::new(text).range(from..);
        let mut state = table.start_state_forward(&input).map_err(|_| TooComplex)?;
        let mut end = None;
        for (place, byte) in text.iter().enumerate().skip(from) {
            *reads = reads.checked_sub(1).ok_or(TooComplex)?;
            state = table.next_state(state, *byte);
            if table.is_special_state(state) {
                // A state says one byte late that a match has ended.
                if table.is_match_state(state) {
                    end = Some(place);
                } else if table.is_dead_state(state) {
                    return Ok(end);
                }
            }
        }
        let last = table.next_eoi_state(state);
        Ok(if table.is_match_state(last) { Some(text.len()) } else { end })
    }

    /// Where one begins that ends at `end`: as early as can be.
    fn begin(
        &self,
        text: &[u8],
        (from, end): (usize, usize),
        reads: &mut usize,
    ) -> Result<usize, TooComplex> {
        let table = &*self.begins;
        let input = Input::new(text).range(from..end).anchored(Anchored::Yes);
        let mut state = table.start_state_reverse(&input).map_err(|_| TooComplex)?;
        let mut begin = end;
        let piece = text.get(from..end).unwrap_or_default();
        for (place, byte) in piece.iter().enumerate().rev() {
            *reads = reads.checked_sub(1).ok_or(TooComplex)?;
            state = table.next_state(state, *byte);
            if table.is_match_state(state) {
                begin = from + place + 1;
            } else if table.is_dead_state(state) {
                return Ok(begin);
            }
        }
        // The byte before `from` counts for what is asserted there.
        let last = match from.checked_sub(1).and_then(|before| text.get(before)) {
            Some(before) => table.next_state(state, *before),
            None => table.next_eoi_state(state),
        };
        Ok(if table.is_match_state(last) { from } else { begin })
    }
}

/// The table of patterns, read backwards where it is `reverse`.
fn table(patterns: &[&Hir], reverse: bool, config: Config) -> Result<Rc<DFA<Vec<u32>>>, TooLarge> {
    let nfa = thompson::Config::new()
        .utf8(false)
        .reverse(reverse)
        .nfa_size_limit(Some(TABLE_BYTES))
        .which_captures(thompson::WhichCaptures::None);
    let nfa = thompson::Compiler::new().configure(nfa).build_many_from_hir(patterns);
    let nfa = nfa.map_err(|_| TooLarge)?;
    let config =
        config.dfa_size_limit(Some(TABLE_BYTES)).determinize_size_limit(Some(TABLE_BYTES * MAKING));
    let table = Builder::new().configure(config).build_from_nfa(&nfa);
    table.map(Rc::new).map_err(|_| TooLarge)
}
