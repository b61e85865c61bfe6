//! A search that keeps a bit for each position of the patterns: what one symbol costs
//! is the same whatever the text.
//!
//! All positions step at once, a word at a time: most to the next bit, some to
//! themselves, the rest by links (the limited and exceptional transitions of
//! Hyperscan's NFA).

use super::alphabet::Alphabet;
use super::looks::{Beside, Boundaries, Looks};
use super::positions::{Edge, Positions, Reading, TooMany};
use super::{Sighting, Steps};
use crate::inspect::pattern::Pattern;
use std::rc::Rc;

/// Bits of a word.
const WORD: usize = 64;

/// Most positions: 16 words.
const MAX_POSITIONS: usize = 1024;

/// Searches for some patterns of a set at once.
#[derive(Clone)]
pub(super) struct Bits {
    program: Rc<dyn Search>,
    steps: Steps,
}

/// Programs differ in how many words their positions take.
trait Search {
    fn find(&self, text: &[u8], found: &mut dyn FnMut(usize));
    fn look_at(&self, text: &[u8], start: usize, most_bytes: usize) -> (Sighting, usize);
}

/// Words `begin…` of a set of positions; the others are 0.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Span {
    begin: usize,
    words: Vec<u64>,
}

/// Where one of `from` is and `looks` hold, all of `to` may be next.
#[derive(Clone, Debug)]
struct Exception {
    from: Span,
    to: Span,
    looks: Looks,
}

#[derive(Clone, Debug)]
struct Program<const W: usize> {
    reading: Reading,
    alphabet: Alphabet,
    /// The class of each symbol that is a byte, and what it is beside a boundary.
    bytes: Box<[(usize, Beside); 256]>,
    /// The positions that take each class.
    takers: Vec<[u64; W]>,
    /// Those that the next one may follow.
    shifts: [u64; W],
    /// Those that may follow themselves.
    stays: [u64; W],
    exceptions: Vec<Exception>,
    /// Where a match may begin, and where `looks` hold.
    begins: [u64; W],
    begins_if: Vec<(Looks, [u64; W])>,
    /// Where one may end.
    ends: [u64; W],
    ends_if: Vec<(Looks, [u64; W])>,
    /// Which assertions hold at each boundary; `None` where none is asked for.
    looks: Option<Boundaries>,
    owners: Vec<usize>,
}

impl Bits {
    /// Of patterns that all have this reading.
    pub(super) fn compile(patterns: &[&Pattern], reading: Reading) -> Result<Self, TooMany> {
        let positions = Positions::new(patterns, reading, MAX_POSITIONS)?;
        match positions.takes.len().div_ceil(WORD) {
            0 | 1 => Ok(Self::with(Program::<1>::new(positions))),
            2 => Ok(Self::with(Program::<2>::new(positions))),
            3 | 4 => Ok(Self::with(Program::<4>::new(positions))),
            5 | 6 => Ok(Self::with(Program::<6>::new(positions))),
            7 | 8 => Ok(Self::with(Program::<8>::new(positions))),
            9..=12 => Ok(Self::with(Program::<12>::new(positions))),
            13..=16 => Ok(Self::with(Program::<16>::new(positions))),
            _ => Err(TooMany),
        }
    }

    fn with<const W: usize>(program: Program<W>) -> Self {
        let steps = program.steps();
        Self { program: Rc::new(program), steps }
    }

    /// What reading one byte costs.
    pub(super) const fn steps(&self) -> Steps {
        self.steps
    }

    /// Calls `found` with each pattern that matches somewhere in `text`, maybe more
    /// than once.
    pub(super) fn find(&self, text: &[u8], found: &mut dyn FnMut(usize)) {
        self.program.find(text, found);
    }

    /// Whether a pattern matches from `start` on, reading hardly more than `most_bytes`;
    /// and how many were read.
    pub(super) fn look_at(
        &self,
        text: &[u8],
        start: usize,
        most_bytes: usize,
    ) -> (Sighting, usize) {
        self.program.look_at(text, start, most_bytes)
    }
}

impl std::fmt::Debug for Bits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bits").field("steps", &self.steps).finish_non_exhaustive()
    }
}

impl<const W: usize> Program<W> {
    fn new(positions: Positions) -> Self {
        let (alphabet, holders) = Alphabet::new(&positions.symbols, positions.reading);
        let mut by_symbols = vec![[0; W]; positions.symbols.len()];
        for (position, symbols) in positions.takes.iter().enumerate() {
            by_symbols.get_mut(*symbols).into_iter().for_each(|set| put(set, position));
        }
        let takers = |holders: &Vec<usize>| {
            let mut takers = [0; W];
            let sets = holders.iter().filter_map(|symbols| by_symbols.get(*symbols));
            sets.for_each(|set| add(&mut takers, set));
            takers
        };
        let bytes = std::array::from_fn(|byte| {
            let symbol = u32::try_from(byte).unwrap_or_default();
            (alphabet.class(symbol), Beside::of(symbol))
        });
        let (begins, begins_if) = edge(&positions.first);
        let (ends, ends_if) = edge(&positions.last);
        let mut program = Self {
            reading: positions.reading,
            bytes: Box::new(bytes),
            alphabet,
            takers: holders.iter().map(takers).collect(),
            shifts: [0; W],
            stays: [0; W],
            exceptions: Vec::new(),
            begins,
            begins_if,
            ends,
            ends_if,
            looks: positions.asks().then(Boundaries::new),
            owners: positions.owners,
        };
        let mut links: Vec<(Looks, [u64; W], [u64; W])> = Vec::new();
        for link in positions.links {
            let looks = link.looks;
            match (link.from.as_slice(), link.to.as_slice()) {
                ([from], [to]) if looks == 0 && from + 1 == *to => put(&mut program.shifts, *from),
                ([from], [to]) if looks == 0 && from == to => put(&mut program.stays, *from),
                (from, to) => links.push((looks, set(from), set(to))),
            }
        }
        merge(&mut links);
        program.exceptions = links
            .into_iter()
            .map(|(looks, from, to)| Exception { from: Span::of(&from), to: Span::of(&to), looks })
            .collect();
        program
    }

    /// What one byte costs: every word that is read or written, and about as much for
    /// finding the symbol and its class.
    fn steps(&self) -> Steps {
        let exception = |one: &Exception| one.from.words.len() + one.to.words.len() + 2;
        let exceptions: usize = self.exceptions.iter().map(exception).sum();
        // A character that is not found in the table has two bytes or more.
        let symbol = 8 + self.alphabet.comparisons.div_ceil(2);
        let edges = (self.begins_if.len() + self.ends_if.len()) * (W + 1);
        symbol + 6 * W + edges + exceptions
    }

    /// Positions that may be next.
    fn next(&self, now: &[u64; W], looks: Looks, may_begin: bool) -> [u64; W] {
        let mut next = [0; W];
        let mut carry = 0;
        for (((next, now), shifts), stays) in
            next.iter_mut().zip(now).zip(&self.shifts).zip(&self.stays)
        {
            let shifted = now & shifts;
            *next = shifted << 1 | carry | now & stays;
            carry = shifted >> (WORD - 1);
        }
        for exception in &self.exceptions {
            if looks & exception.looks == exception.looks && exception.from.meets(now) {
                exception.to.put_into(&mut next);
            }
        }
        if may_begin {
            add(&mut next, &self.begins);
            for (_, set) in self.begins_if.iter().filter(|(asked, _)| looks & asked == *asked) {
                add(&mut next, set);
            }
        }
        next
    }

    /// The first symbol of what does not begin with an ASCII character, `None` for what is
    /// no character; and how many bytes it has.
    fn character(rest: &[u8]) -> (Option<char>, usize) {
        // The longest one has four.
        let chunk = rest.get(..4).unwrap_or(rest).utf8_chunks().next();
        let first = chunk.as_ref().and_then(|chunk| chunk.valid().chars().next());
        let bytes = first.map(char::len_utf8).or(chunk.map(|chunk| chunk.invalid().len()));
        (first, bytes.unwrap_or(1).max(1))
    }
}

/// The state of a search.
struct Run<'p, const W: usize> {
    program: &'p Program<W>,
    now: [u64; W],
    before: Beside,
    ended: [u64; W],
}

impl<'p, const W: usize> Run<'p, W> {
    const fn new(program: &'p Program<W>, before: Beside) -> Self {
        Self { program, now: [0; W], before, ended: [0; W] }
    }

    /// Reads the symbol that `rest` begins with, and tells how many bytes it has.
    #[inline]
    fn read(&mut self, byte: u8, rest: &[u8], may_begin: bool) -> usize {
        let program = self.program;
        if byte.is_ascii() || program.reading == Reading::Bytes {
            let (class, beside) =
                program.bytes.get(usize::from(byte)).copied().unwrap_or((0, Beside::Other));
            self.step(class, beside, may_begin);
            return 1;
        }
        let (character, bytes) = Program::<W>::character(rest);
        // No position takes what is no character.
        let class = character.map_or(0, |character| program.alphabet.class(character.into()));
        self.step(class, Beside::Other, may_begin);
        bytes
    }

    #[inline]
    fn step(&mut self, class: usize, behind: Beside, may_begin: bool) {
        let program = self.program;
        let mut looks = 0;
        if let Some(boundaries) = &program.looks {
            looks = boundaries.holding(self.before, behind);
            self.end_where(looks);
        }
        let next = program.next(&self.now, looks, may_begin);
        let takers = program.takers.get(class).unwrap_or(&[0; W]);
        for ((((now, next), takers), ended), ends) in
            self.now.iter_mut().zip(&next).zip(takers).zip(&mut self.ended).zip(&program.ends)
        {
            *now = next & takers;
            *ended |= *now & ends;
        }
        self.before = behind;
    }

    /// Matches that end here, where these assertions hold.
    fn end_where(&mut self, looks: Looks) {
        for (_, set) in self.program.ends_if.iter().filter(|(asked, _)| looks & asked == *asked) {
            for ((ended, now), set) in self.ended.iter_mut().zip(&self.now).zip(set) {
                *ended |= now & set;
            }
        }
    }

    /// Where nothing follows.
    fn finish(&mut self) {
        if let Some(boundaries) = &self.program.looks {
            self.end_where(boundaries.holding(self.before, Beside::Edge));
        }
    }
}

impl<const W: usize> Search for Program<W> {
    fn find(&self, text: &[u8], found: &mut dyn FnMut(usize)) {
        let mut run = Run::new(self, Beside::Edge);
        let mut rest = text;
        while let [byte, ..] = rest {
            let read = run.read(*byte, rest, true);
            rest = rest.get(read..).unwrap_or_default();
        }
        run.finish();
        for (index, word) in run.ended.iter().enumerate() {
            let mut left = *word;
            while let Ok(place @ ..WORD) = usize::try_from(left.trailing_zeros()) {
                left &= left - 1;
                found(self.owners.get(index * WORD + place).copied().unwrap_or(0));
            }
        }
    }

    fn look_at(&self, text: &[u8], start: usize, most_bytes: usize) -> (Sighting, usize) {
        let mut run = Run::new(self, Beside::before(text, start));
        let mut rest = text.get(start..).unwrap_or_default();
        let mut read = 0;
        while let [byte, ..] = rest {
            if read >= most_bytes {
                return (Sighting::Undecided, read);
            }
            let bytes = run.read(*byte, rest, read == 0);
            read += bytes;
            rest = rest.get(bytes..).unwrap_or_default();
            if run.ended != [0; W] {
                return (Sighting::Match, read);
            }
            if run.now == [0; W] {
                return (Sighting::Nothing, read);
            }
        }
        run.finish();
        (if run.ended == [0; W] { Sighting::Nothing } else { Sighting::Match }, read)
    }
}

impl Span {
    fn of(set: &[u64]) -> Self {
        let begin = set.iter().position(|word| *word != 0).unwrap_or(0);
        let end = set.iter().rposition(|word| *word != 0).map_or(begin, |last| last + 1);
        Self { begin, words: set.get(begin..end).unwrap_or_default().to_vec() }
    }

    fn meets(&self, set: &[u64]) -> bool {
        self.words.iter().zip(set.iter().skip(self.begin)).any(|(one, other)| one & other != 0)
    }

    fn put_into(&self, set: &mut [u64]) {
        for (word, set) in self.words.iter().zip(set.iter_mut().skip(self.begin)) {
            *set |= word;
        }
    }
}

fn set<const W: usize>(positions: &[usize]) -> [u64; W] {
    let mut set = [0; W];
    for position in positions {
        put(&mut set, *position);
    }
    set
}

fn put(set: &mut [u64], position: usize) {
    if let Some(word) = set.get_mut(position / WORD) {
        *word |= 1 << (position % WORD);
    }
}

fn add(set: &mut [u64], more: &[u64]) {
    for (word, more) in set.iter_mut().zip(more) {
        *word |= more;
    }
}

/// The positions of an edge for which nothing is asserted, and the others.
fn edge<const W: usize>(edge: &Edge) -> ([u64; W], Vec<(Looks, [u64; W])>) {
    let (always, others): (Vec<_>, Vec<_>) = edge.iter().partition(|(looks, _)| *looks == 0);
    let mut all = [0; W];
    always.iter().for_each(|(_, positions)| add(&mut all, &set::<W>(positions)));
    (all, others.iter().map(|(looks, positions)| (*looks, set(positions))).collect())
}

/// Makes one of links that begin, or that end, at the same positions.
fn merge<const W: usize>(links: &mut Vec<(Looks, [u64; W], [u64; W])>) {
    for _ in 0..2 {
        links.sort_unstable();
        links.dedup_by(|next, first| {
            let same = next.0 == first.0 && next.1 == first.1;
            if same {
                add(&mut first.2, &next.2);
            }
            same
        });
        // The second time by where they end; and back.
        for link in links.iter_mut() {
            std::mem::swap(&mut link.1, &mut link.2);
        }
    }
}
