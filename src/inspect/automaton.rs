//! All patterns of a set in one automaton, whose states are made as texts come to
//! need them.

use super::pattern::Pattern;
use regex_automata::hybrid::LazyStateID;
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::pikevm::{self, PikeVM};
use regex_automata::nfa::thompson::{self, NFA};
use regex_automata::{Anchored, Input, MatchKind, PatternSet};
use regex_syntax::hir::Hir;
use std::cell::RefCell;

/// Memory for the states that one set's texts have needed, in bytes. Patterns that
/// make more of them start over, and over again are searched for in another way,
/// slower and as surely.
const STATES_BYTES: usize = 2 << 20;

/// How often states may be thrown away before they have to have been worth their
/// making: [`LEAST_BYTES_PER_STATE`].
const FREE_CLEARS: usize = 3;

/// Bytes of text that must have been read for each state that was made.
const LEAST_BYTES_PER_STATE: usize = 10;

/// An automaton that tells for each pattern whether it matches somewhere.
#[derive(Clone, Debug)]
pub(super) struct Automaton {
    dfa: DFA,
    /// What needs no states.
    nfa: PikeVM,
    memory: RefCell<Memory>,
}

#[derive(Clone, Debug)]
struct Memory {
    states: Cache,
    threads: Option<Box<pikevm::Cache>>,
}

/// What a look at one place tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sighting {
    /// A pattern matches from there on.
    Match,
    /// None does.
    Nothing,
    /// More bytes would have to be read.
    Undecided,
}

/// The patterns are larger than an edge proxy should hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooLarge;

impl Automaton {
    /// Of at most `limit_bytes`, but for the states.
    pub(super) fn compile(patterns: &[Pattern], limit_bytes: usize) -> Result<Self, TooLarge> {
        let patterns: Vec<&Hir> = patterns.iter().map(Pattern::hir).collect();
        let config = thompson::Config::new()
            .utf8(false)
            .nfa_size_limit(Some(limit_bytes))
            .which_captures(thompson::WhichCaptures::None);
        let nfa: NFA = thompson::Compiler::new()
            .configure(config)
            .build_many_from_hir(&patterns)
            .map_err(|_| TooLarge)?;
        // `All`, or a search for every pattern that matches would stop at the
        // leftmost-first one and a stricter rule would go unseen.
        let config = DFA::config()
            .match_kind(MatchKind::All)
            .cache_capacity(STATES_BYTES)
            .skip_cache_capacity_check(true)
            .minimum_cache_clear_count(Some(FREE_CLEARS))
            .minimum_bytes_per_state(Some(LEAST_BYTES_PER_STATE));
        let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone());
        let dfa = dfa.map_err(|_| TooLarge)?;
        let config = PikeVM::config().match_kind(MatchKind::All);
        let nfa = PikeVM::builder().configure(config).build_from_nfa(nfa);
        let nfa = nfa.map_err(|_| TooLarge)?;
        let memory = RefCell::new(Memory { states: dfa.create_cache(), threads: None });
        Ok(Self { dfa, nfa, memory })
    }

    /// Whether a pattern matches somewhere in `text`.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        let input = Input::new(text).earliest(true);
        let memory = &mut *self.memory.borrow_mut();
        match self.dfa.try_search_fwd(&mut memory.states, &input) {
            Ok(found) => found.is_some(),
            Err(_) => self.nfa.is_match(self.threads(memory), input),
        }
    }

    /// Which patterns match somewhere in `text`.
    pub(super) fn matches(&self, text: &[u8]) -> PatternSet {
        let mut found = PatternSet::new(self.dfa.pattern_len());
        let input = Input::new(text);
        let memory = &mut *self.memory.borrow_mut();
        let states = &mut memory.states;
        if self.dfa.try_which_overlapping_matches(states, &input, &mut found).is_err() {
            found.clear();
            self.nfa.which_overlapping_matches(self.threads(memory), &input, &mut found);
        }
        found
    }

    fn threads<'m>(&self, memory: &'m mut Memory) -> &'m mut pikevm::Cache {
        memory.threads.get_or_insert_with(|| Box::new(self.nfa.create_cache()))
    }

    /// Whether a pattern matches from `start` on, reading no more than `most_bytes`;
    /// and how many were read.
    pub(super) fn look_at(
        &self,
        text: &[u8],
        start: usize,
        most_bytes: usize,
    ) -> (Sighting, usize) {
        let states = &mut self.memory.borrow_mut().states;
        let mut read = 0;
        states.search_start(start);
        let sighting = self.step(states, (text, start), most_bytes, &mut read);
        states.search_finish(start.saturating_add(read));
        (sighting, read)
    }

    fn step(
        &self,
        states: &mut Cache,
        (text, start): (&[u8], usize),
        most_bytes: usize,
        read: &mut usize,
    ) -> Sighting {
        let Some(rest) = text.get(start..) else { return Sighting::Nothing };
        let input = Input::new(text).range(start..).anchored(Anchored::Yes);
        let Ok(mut state) = self.dfa.start_state_forward(states, &input) else {
            return Sighting::Undecided;
        };
        for byte in rest.iter().take(most_bytes) {
            if let Some(sighting) = told_by(state) {
                return sighting;
            }
            let Ok(next) = self.dfa.next_state(states, state, *byte) else {
                return Sighting::Undecided;
            };
            *read += 1;
            state = next;
        }
        if let Some(sighting) = told_by(state) {
            return sighting;
        }
        if rest.len() > most_bytes {
            return Sighting::Undecided;
        }
        match self.dfa.next_eoi_state(states, state) {
            Ok(last) if last.is_match() => Sighting::Match,
            Ok(last) if !last.is_quit() => Sighting::Nothing,
            _ => Sighting::Undecided,
        }
    }
}

/// What a state tells that is the same whatever follows.
fn told_by(state: LazyStateID) -> Option<Sighting> {
    if !state.is_tagged() {
        return None;
    }
    match state {
        _ if state.is_match() => Some(Sighting::Match),
        _ if state.is_dead() => Some(Sighting::Nothing),
        _ if state.is_quit() => Some(Sighting::Undecided),
        _ => None,
    }
}
