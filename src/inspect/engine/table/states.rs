//! The states of a table, each a set of positions, made when the patterns are compiled.

use super::super::alphabet::Alphabet;
use super::super::looks::Looks;
use super::super::positions::Link;
use super::*;
use crate::inspect::engine::looks::Boundaries;
use std::collections::HashMap;

/// Where a match may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// At each byte.
    Anywhere,
    /// At the first byte that is read.
    Here,
}

/// Marks the number of a state in which a match has ended.
const MATCH: u32 = 1 << 31;

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
    /// Which patterns have ended in a state, by its number without its mark.
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

    #[inline]
    fn step(&self, state: u32, byte: u8) -> u32 {
        let column = self.columns.get(usize::from(byte)).copied().unwrap_or(0);
        let row = usize::try_from(state & !MATCH).unwrap_or(0);
        self.next.get(row + usize::from(column)).copied().unwrap_or(MATCH)
    }

    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        let mut state = self.start(text, 0);
        for byte in text {
            state = self.step(state, *byte);
            if state & MATCH != 0 {
                return true;
            }
        }
        self.at_end.contains_key(&state)
    }

    /// Calls `found` with each pattern that matches, maybe more than once.
    pub(super) fn find(&self, text: &[u8], found: &mut dyn FnMut(usize)) {
        let mut told = vec![false; self.next.len() / self.width + 1];
        let mut state = self.start(text, 0);
        for byte in text {
            state = self.step(state, *byte);
            if state & MATCH != 0 {
                let number = usize::try_from(state & !MATCH).unwrap_or(0) / self.width;
                let is_new = told.get_mut(number).is_none_or(|told| !std::mem::replace(told, true));
                if is_new {
                    let ended = self.matches.get(&(state & !MATCH));
                    ended.into_iter().flatten().for_each(|pattern| found(*pattern));
                }
            }
        }
        self.at_end
            .get(&(state & !MATCH))
            .into_iter()
            .flatten()
            .for_each(|pattern| found(*pattern));
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
            if state & MATCH != 0 {
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

/// A set of positions, what stands before it, and which patterns have just ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    positions: Vec<usize>,
    before: Beside,
    ended: Vec<usize>,
    /// A match may begin here.
    begins: bool,
}

/// States while they are made.
struct Making<'p> {
    positions: &'p Positions,
    begin: Begin,
    boundaries: Option<Boundaries>,
    columns: Box<[u8; 256]>,
    /// What a byte of each column is beside a place.
    besides: Vec<Beside>,
    /// Which columns each symbol of the positions holds.
    holds: Vec<[u64; 4]>,
    /// The links that begin at each position.
    links: Vec<Vec<&'p Link>>,
    /// Which columns the positions behind each take.
    followed: Vec<[u64; 4]>,
    /// The positions that a match may begin with, by column.
    first: Vec<Vec<usize>>,
    /// Whether a match ends with each position, whatever follows.
    ends: Vec<bool>,
    states: Vec<State>,
    numbers: HashMap<State, u32>,
    next: Vec<u32>,
}

impl<'p> Making<'p> {
    fn new(positions: &'p Positions, begin: Begin) -> Self {
        let boundaries = positions.asks().then(Boundaries::new);
        let (alphabet, holders) = Alphabet::new(&positions.symbols, Reading::Bytes);
        let mut columns = Box::new([0; 256]);
        let mut kinds: Vec<(usize, Beside)> = Vec::new();
        for (byte, column) in (0..).zip(columns.iter_mut()) {
            let asked = boundaries.as_ref().map_or(Beside::Other, |_| Beside::of(byte));
            let kind = (alphabet.class(byte), asked);
            let place = kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
                kinds.push(kind);
                kinds.len() - 1
            });
            *column = u8::try_from(place).unwrap_or(u8::MAX);
        }
        let mut holds = vec![[0; 4]; positions.symbols.len()];
        for (column, (class, _)) in kinds.iter().enumerate() {
            for symbol in holders.get(*class).into_iter().flatten() {
                if let Some(word) =
                    holds.get_mut(*symbol).and_then(|holds| holds.get_mut(column / 64))
                {
                    *word |= 1_u64 << (column % 64);
                }
            }
        }
        let mut links = vec![Vec::new(); positions.takes.len()];
        for link in &positions.links {
            for from in &link.from {
                links.get_mut(*from).into_iter().for_each(|links: &mut Vec<_>| links.push(link));
            }
        }
        let besides = kinds.iter().map(|kind| kind.1).collect();
        let mut making = Self {
            positions,
            begin,
            boundaries,
            columns,
            besides,
            holds,
            links,
            followed: vec![[0; 4]; positions.takes.len()],
            first: Vec::new(),
            ends: vec![false; positions.takes.len()],
            states: Vec::new(),
            numbers: HashMap::new(),
            next: Vec::new(),
        };
        for link in &positions.links {
            let mut columns = [0_u64; 4];
            let takes = link.to.iter().filter_map(|to| positions.takes.get(*to));
            for holds in takes.filter_map(|symbol| making.holds.get(*symbol)) {
                columns.iter_mut().zip(holds).for_each(|(columns, holds)| *columns |= holds);
            }
            for from in &link.from {
                if let Some(followed) = making.followed.get_mut(*from) {
                    followed.iter_mut().zip(columns).for_each(|(all, columns)| *all |= columns);
                }
            }
        }
        let always = positions.first.iter().filter(|edge| edge.0 == 0).flat_map(|edge| &edge.1);
        let always: Vec<usize> = always.copied().collect();
        let takes = |column| always.iter().copied().filter(|p| making.takes(*p, column)).collect();
        making.first = (0..kinds.len()).map(takes).collect();
        for position in positions.last.iter().filter(|edge| edge.0 == 0).flat_map(|edge| &edge.1) {
            making.ends.get_mut(*position).into_iter().for_each(|ends| *ends = true);
        }
        making
    }

    fn takes(&self, position: usize, column: usize) -> bool {
        let symbol = self.positions.takes.get(position).and_then(|symbol| self.holds.get(*symbol));
        let word = symbol.and_then(|holds| holds.get(column / 64));
        word.is_some_and(|word| word >> (column % 64) & 1 == 1)
    }

    /// The number of a state: where its row begins.
    fn number(&mut self, state: State) -> Option<u32> {
        if let Some(number) = self.numbers.get(&state) {
            return Some(*number);
        }
        let row = u32::try_from(self.states.len() * self.besides.len()).ok()?;
        let number = row | if state.ended.is_empty() { 0 } else { MATCH };
        self.numbers.insert(state.clone(), number);
        self.states.push(state);
        Some(number).filter(|_| row < MATCH)
    }

    /// `None` where the table would have more entries.
    fn finish(mut self, most: usize) -> Option<States> {
        let dead = State {
            positions: Vec::new(),
            before: Beside::Other,
            ended: Vec::new(),
            begins: false,
        };
        self.number(dead.clone())?;
        let mut starts = [DEAD; 5];
        for (start, before) in starts.iter_mut().zip(Beside::ALL) {
            let before = self.boundaries.as_ref().map_or(Beside::Other, |_| before);
            *start = self.number(State { before, begins: true, ..dead.clone() })?;
        }
        let mut place = 0;
        while let Some(state) = self.states.get(place).cloned() {
            place += 1;
            if place * self.besides.len() > most {
                return None;
            }
            self.row(&state)?;
        }
        let (mut matches, mut at_end) = (HashMap::new(), HashMap::new());
        for (row, state) in (0..).step_by(self.besides.len()).zip(&self.states) {
            if !state.ended.is_empty() {
                matches.insert(row, state.ended.clone());
            }
            let ended = self.ended(state, Beside::Edge);
            if !ended.is_empty() {
                at_end.insert(row, ended);
            }
        }
        let width = self.besides.len();
        Some(States { columns: self.columns, width, next: self.next, starts, matches, at_end })
    }

    fn looks(&self, state: &State, behind: Beside) -> Looks {
        self.boundaries.as_ref().map_or(0, |boundaries| boundaries.holding(state.before, behind))
    }

    /// Patterns that end behind this state, where that depends on what follows.
    fn ended(&self, state: &State, behind: Beside) -> Vec<usize> {
        let looks = self.looks(state, behind);
        let mut owners = Vec::new();
        let last = self.positions.last.iter();
        for (_, set) in last.filter(|(asked, _)| *asked != 0 && looks & asked == *asked) {
            let ended = state.positions.iter().filter(|p| set.binary_search(p).is_ok());
            owners.extend(ended.filter_map(|p| self.positions.owners.get(*p)));
        }
        owners
    }

    /// Adds the states behind each byte of a state.
    fn row(&mut self, state: &State) -> Option<()> {
        let mut asked: Option<(Beside, Vec<usize>, Vec<usize>)> = None;
        for column in 0..self.besides.len() {
            if let Some(number) = self.same_as_start(state, column) {
                self.next.push(number);
                continue;
            }
            let behind = self.besides.get(column).copied().unwrap_or(Beside::Other);
            // Columns that are alike for assertions mostly stand together.
            let (candidates, ended) = match &asked {
                Some((same, candidates, ended)) if *same == behind => (candidates, ended),
                _ => {
                    let (all, ended) = (self.candidates(state, behind), self.ended(state, behind));
                    let (_, candidates, ended) = asked.insert((behind, all, ended));
                    (&*candidates, &*ended)
                }
            };
            let takes = |p: &&usize| self.takes(**p, column);
            let mut positions: Vec<usize> = candidates.iter().filter(takes).copied().collect();
            if state.begins {
                positions.extend(self.first.get(column).into_iter().flatten());
                positions.sort_unstable();
                positions.dedup();
            }
            let ends = positions.iter().filter(|p| self.ends.get(**p).is_some_and(|ends| *ends));
            let owners = ends.filter_map(|p| self.positions.owners.get(*p));
            let mut ended: Vec<usize> = owners.chain(ended).copied().collect();
            ended.sort_unstable();
            ended.dedup();
            let begins = self.begin == Begin::Anywhere;
            // Where nothing can follow it does not matter what stands before.
            let is_dead = !begins && positions.is_empty();
            let before = if is_dead { Beside::Other } else { behind };
            let number = self.number(State { positions, before, ended, begins })?;
            self.next.push(number);
        }
        Some(())
    }

    /// The state behind a byte that nothing of a state takes: the one that the first of all
    /// leads to, or where no match may begin any more, none.
    fn same_as_start(&self, state: &State, column: usize) -> Option<u32> {
        let is_taken = || state.positions.iter().any(|p| self.is_followed(*p, column));
        if self.boundaries.is_some() || self.next.len() < 2 * self.besides.len() || is_taken() {
            return None;
        }
        match state.begins {
            true => self.next.get(self.besides.len() + column).copied(),
            false => Some(DEAD),
        }
    }

    /// Whether a position that may follow this one takes a byte of the column.
    fn is_followed(&self, position: usize, column: usize) -> bool {
        let word = self.followed.get(position).and_then(|columns| columns.get(column / 64));
        word.is_some_and(|word| word >> (column % 64) & 1 == 1)
    }

    /// Positions that may follow a state where its next byte is beside it so.
    fn candidates(&self, state: &State, behind: Beside) -> Vec<usize> {
        let looks = self.looks(state, behind);
        let holds = |asked: Looks| looks & asked == asked;
        let mut all: Vec<usize> = Vec::new();
        for position in &state.positions {
            let links = self.links.get(*position).into_iter().flatten();
            all.extend(links.filter(|link| holds(link.looks)).flat_map(|link| &link.to));
        }
        if state.begins {
            let asserted = self.positions.first.iter().filter(|edge| edge.0 != 0 && holds(edge.0));
            all.extend(asserted.flat_map(|edge| &edge.1));
        }
        all.sort_unstable();
        all.dedup();
        all
    }
}
