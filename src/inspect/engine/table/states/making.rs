//! States while they are made: each a set of positions, what stands before it, and which
//! patterns have just ended.

use super::{Begin, DEAD, States};
use crate::inspect::engine::alphabet::Alphabet;
use crate::inspect::engine::looks::{Beside, Boundaries, Looks};
use crate::inspect::engine::positions::{Link, Positions, Reading};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::rc::Rc;

/// Positions that are looked at for one table: where states hold many, their number alone
/// does not bound what it takes to make them.
const MOST_LOOKED_AT: usize = 1 << 26;

/// A set of columns.
type Columns = [u64; 4];

/// Key of a state: [`State::header`], the number of patterns that have ended, these
/// patterns, and the positions.
type Key = Rc<[usize]>;

/// Makes the states that texts can lead to, each after the one that leads to it.
pub(super) struct Making<'p> {
    positions: &'p Positions,
    begin: Begin,
    boundaries: Option<Boundaries>,
    columns: Box<[u8; 256]>,
    /// For each column, the kind of its bytes to a look-around.
    besides: Vec<Beside>,
    /// For each symbol of the positions, the columns that it holds.
    holds: Vec<Columns>,
    /// The links that begin at each position.
    links: Vec<Vec<&'p Link>>,
    /// For each position, the columns that the positions behind it take.
    followed: Vec<Columns>,
    /// The positions that a match may begin with, by column.
    first: Vec<Vec<usize>>,
    /// For each position, true if a match ends there, whatever follows.
    ends: Vec<bool>,
    /// For each position, true if a match may end there, depending on what follows.
    may_end: Vec<bool>,
    /// The states to begin with, by what stands before.
    starts: [usize; 5],
    states: Vec<Key>,
    numbers: HashMap<Key, u32, BuildHasherDefault<Mixer>>,
    /// For each state and column the number of the next state.
    next: Vec<u32>,
    /// Positions that were looked at so far.
    looked_at: usize,
}

/// A state, taken apart.
#[derive(Clone, Copy)]
struct State<'k> {
    before: Beside,
    /// A match may begin here.
    begins: bool,
    ended: &'k [usize],
    positions: &'k [usize],
}

impl<'k> State<'k> {
    const fn header(before: Beside, begins: bool) -> usize {
        (before as usize) << 1 | begins as usize
    }

    fn of(key: &'k [usize]) -> Self {
        let [header, count, rest @ ..] = key else {
            return Self { before: Beside::Other, begins: false, ended: &[], positions: &[] };
        };
        let (ended, positions) = rest.split_at_checked(*count).unwrap_or_default();
        let before = Beside::ALL.get(header >> 1).copied().unwrap_or(Beside::Other);
        Self { before, begins: header & 1 == 1, ended, positions }
    }
}

impl<'p> Making<'p> {
    pub(super) fn new(positions: &'p Positions, begin: Begin) -> Self {
        let boundaries = positions.asks().then(Boundaries::new);
        let (columns, besides, holds) = columns(positions, boundaries.is_some());
        let mut links = vec![Vec::new(); positions.takes.len()];
        let mut followed = vec![[0; 4]; positions.takes.len()];
        for link in &positions.links {
            let takes = link.to.iter().filter_map(|to| positions.takes.get(*to));
            let columns = takes.filter_map(|symbol| holds.get(*symbol)).fold([0; 4], either);
            for from in &link.from {
                links.get_mut(*from).into_iter().for_each(|links: &mut Vec<_>| links.push(link));
                let followed = followed.get_mut(*from).into_iter();
                followed.for_each(|followed| *followed = either(*followed, &columns));
            }
        }
        let mut making = Self {
            positions,
            begin,
            boundaries,
            columns,
            besides,
            holds,
            links,
            followed,
            first: Vec::new(),
            ends: vec![false; positions.takes.len()],
            may_end: vec![false; positions.takes.len()],
            starts: [0; 5],
            states: Vec::new(),
            numbers: HashMap::default(),
            next: Vec::new(),
            looked_at: 0,
        };
        let always = positions.first.iter().filter(|edge| edge.0 == 0).flat_map(|edge| &edge.1);
        let mut always: Vec<usize> = always.copied().collect();
        always.sort_unstable();
        let takes = |column| always.iter().copied().filter(|p| making.takes(*p, column)).collect();
        making.first = (0..making.besides.len()).map(takes).collect();
        for (looks, positions) in &positions.last {
            let which = if *looks == 0 { &mut making.ends } else { &mut making.may_end };
            for position in positions {
                which.get_mut(*position).into_iter().for_each(|ends| *ends = true);
            }
        }
        making
    }

    /// `None` where the table would have more entries, or take too much to make.
    pub(super) fn finish(mut self, most: usize) -> Option<States> {
        self.number(&[State::header(Beside::Other, false), 0])?;
        for before in Beside::ALL {
            let asked = self.boundaries.as_ref().map_or(Beside::Other, |_| before);
            let number = self.number(&[State::header(asked, true), 0])?;
            *self.starts.get_mut(before as usize)? = usize::try_from(number).ok()?;
        }
        let mut place = 0;
        while let Some(key) = self.states.get(place).cloned() {
            if (place + 1) * self.besides.len() > most || self.looked_at > MOST_LOOKED_AT {
                return None;
            }
            self.row(place, State::of(&key))?;
            place += 1;
        }
        self.table()
    }

    /// The table, with the states behind the others in which a match has ended.
    fn table(self) -> Option<States> {
        let width = self.besides.len();
        let has_ended = |key: &Key| !State::of(key).ended.is_empty();
        let mut order: Vec<usize> = (0..self.states.len()).collect();
        order.sort_by_key(|state| self.states.get(*state).is_some_and(has_ended));
        let mut rows = vec![0_u32; order.len()];
        let (mut matches, mut at_end) = (HashMap::new(), HashMap::new());
        let mut matching = u32::try_from(self.next.len()).ok()?;
        for (row, state) in (0..).step_by(width).zip(&order) {
            *rows.get_mut(*state)? = row;
            let state = State::of(self.states.get(*state)?);
            if !state.ended.is_empty() {
                matching = matching.min(row);
                matches.insert(row, state.ended.to_vec());
            }
            let mut ended = Vec::new();
            self.ended(state, Beside::Edge, &mut ended);
            if !ended.is_empty() {
                at_end.insert(row, ended);
            }
        }
        let row = |state: usize| rows.get(state).copied();
        let mut next = Vec::with_capacity(self.next.len());
        for state in order {
            for number in self.next.get(state * width..)?.get(..width)? {
                next.push(row(usize::try_from(*number).ok()?)?);
            }
        }
        let starts = self.starts.map(|start| row(start).unwrap_or(DEAD));
        Some(States { columns: self.columns, width, next, starts, matching, matches, at_end })
    }

    fn takes(&self, position: usize, column: usize) -> bool {
        let symbol = self.positions.takes.get(position).and_then(|symbol| self.holds.get(*symbol));
        symbol.is_some_and(|columns| holds(columns, column))
    }

    /// The number of a state.
    fn number(&mut self, key: &[usize]) -> Option<u32> {
        if let Some(number) = self.numbers.get(key) {
            return Some(*number);
        }
        let number = u32::try_from(self.states.len()).ok()?;
        let key = Key::from(key);
        self.numbers.insert(Rc::clone(&key), number);
        self.states.push(key);
        Some(number)
    }

    /// Adds the states behind each byte of a state, which is the one at `place`.
    fn row(&mut self, place: usize, state: State<'_>) -> Option<()> {
        let alike = self.alike(place, state);
        let followed = state.positions.iter().filter_map(|p| self.followed.get(*p));
        let followed = followed.fold([0; 4], either);
        let mut asked: [Option<(Vec<usize>, Vec<usize>)>; 5] = Default::default();
        let (mut key, mut positions, mut ended) = (Vec::new(), Vec::new(), Vec::new());
        for column in 0..self.besides.len() {
            if let (Some(alike), false) = (alike, holds(&followed, column)) {
                let same = self.next.get(alike * self.besides.len() + column).copied()?;
                self.next.push(same);
                continue;
            }
            let behind = self.besides.get(column).copied().unwrap_or(Beside::Other);
            let asked = asked.get_mut(behind as usize)?;
            if asked.is_none() {
                let mut ended = Vec::new();
                self.ended(state, behind, &mut ended);
                let (candidates, looked_at) = self.candidates(state, behind);
                self.looked_at += looked_at;
                *asked = Some((candidates, ended));
            }
            let (candidates, asserted) = asked.as_ref()?;
            self.looked_at += candidates.len();
            positions.clear();
            positions.extend(candidates.iter().copied().filter(|p| self.takes(*p, column)));
            if state.begins {
                positions.extend(self.first.get(column).into_iter().flatten());
                positions.sort_unstable();
                positions.dedup();
            }
            ended.clone_from(asserted);
            let ends = positions.iter().filter(|p| self.ends.get(**p).is_some_and(|ends| *ends));
            ended.extend(ends.filter_map(|p| self.positions.owners.get(*p)));
            ended.sort_unstable();
            ended.dedup();
            let begins = self.begin == Begin::Anywhere;
            // Where nothing can follow it does not matter what stands before.
            let is_dead = !begins && positions.is_empty();
            let before = if is_dead { Beside::Other } else { behind };
            key.clear();
            key.extend([State::header(before, begins), ended.len()]);
            key.extend_from_slice(&ended);
            key.extend_from_slice(&positions);
            let number = self.number(&key)?;
            self.next.push(number);
        }
        Some(())
    }

    /// The state to which each byte leads that no position behind this one's takes leads
    /// as from this one: the first, or where no match may begin any more, the dead one.
    fn alike(&self, place: usize, state: State<'_>) -> Option<usize> {
        let may_end = |p: &usize| self.may_end.get(*p).is_some_and(|may_end| *may_end);
        if place <= *self.starts.iter().max()? || state.positions.iter().any(may_end) {
            return None;
        }
        let start = self.starts.get(state.before as usize).copied();
        if state.begins { start } else { Some(0) }
    }

    fn looks(&self, state: State<'_>, behind: Beside) -> Looks {
        self.boundaries.as_ref().map_or(0, |boundaries| boundaries.holding(state.before, behind))
    }

    /// Adds the patterns that end behind a state, where that depends on what follows.
    fn ended(&self, state: State<'_>, behind: Beside, owners: &mut Vec<usize>) {
        let looks = self.looks(state, behind);
        let last = self.positions.last.iter();
        for (_, set) in last.filter(|(asked, _)| *asked != 0 && looks & asked == *asked) {
            let ended = state.positions.iter().filter(|p| set.binary_search(p).is_ok());
            owners.extend(ended.filter_map(|p| self.positions.owners.get(*p)));
        }
    }

    /// Positions that may follow a state where its next byte is beside it so, and how many
    /// were looked at for that.
    fn candidates(&self, state: State<'_>, behind: Beside) -> (Vec<usize>, usize) {
        let looks = self.looks(state, behind);
        let holds = |asked: Looks| looks & asked == asked;
        let mut all: Vec<usize> = Vec::new();
        for position in state.positions {
            let links = self.links.get(*position).into_iter().flatten();
            all.extend(links.filter(|link| holds(link.looks)).flat_map(|link| &link.to));
        }
        if state.begins {
            let asserted = self.positions.first.iter().filter(|edge| edge.0 != 0 && holds(edge.0));
            all.extend(asserted.flat_map(|edge| &edge.1));
        }
        let looked_at = all.len();
        all.sort_unstable();
        all.dedup();
        (all, looked_at)
    }
}

/// The column of each byte, what is beside a place in each column, and the columns that
/// each symbol holds.
fn columns(positions: &Positions, asks: bool) -> (Box<[u8; 256]>, Vec<Beside>, Vec<Columns>) {
    let (alphabet, holders) = Alphabet::new(&positions.symbols, Reading::Bytes);
    let mut columns = Box::new([0; 256]);
    let mut kinds: Vec<(usize, Beside)> = Vec::new();
    for (byte, column) in (0..).zip(columns.iter_mut()) {
        let kind = (alphabet.class(byte), if asks { Beside::of(byte) } else { Beside::Other });
        let place = kinds.iter().position(|known| *known == kind).unwrap_or_else(|| {
            kinds.push(kind);
            kinds.len() - 1
        });
        *column = u8::try_from(place).unwrap_or(u8::MAX);
    }
    let mut held = vec![[0; 4]; positions.symbols.len()];
    for (column, (class, _)) in kinds.iter().enumerate() {
        for symbol in holders.get(*class).into_iter().flatten() {
            let word = held
                .get_mut(*symbol)
                .and_then(|columns: &mut Columns| columns.get_mut(column / 64));
            word.into_iter().for_each(|word| *word |= 1 << (column % 64));
        }
    }
    (columns, kinds.into_iter().map(|kind| kind.1).collect(), held)
}

fn holds(columns: &Columns, column: usize) -> bool {
    columns.get(column / 64).is_some_and(|word| word >> (column % 64) & 1 == 1)
}

fn either(mut one: Columns, other: &Columns) -> Columns {
    one.iter_mut().zip(other).for_each(|(one, other)| *one |= other);
    one
}

/// A hash of keys that nobody chooses but the document's author.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(word, byte)| *word = *byte);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn finish(&self) -> u64 {
        self.0.rotate_left(26)
    }
}
