//! The position automaton of patterns (Glushkov 1961): a position for each byte or
//! character that a pattern writes, and which positions may follow which.
//!
//! A set of positions is what a search has to remember of the text so far, a bit for
//! each. Parts that follow one another have positions that do, too, so that most of
//! what follows is the next bit.

use super::looks::{Looks, bit};
use crate::inspect::pattern::Pattern;
use regex_syntax::hir::{Class, ClassBytesRange, ClassUnicodeRange, Hir, HirKind, Repetition};
use regex_syntax::utf8::{Utf8Sequence, Utf8Sequences};
use std::collections::HashMap;

/// Most positions that are named in links, for each position: building takes time and
/// memory for each.
const MAX_NAMED: usize = 128;

/// Most ranges of all different symbols: `\w` has 800.
const MAX_RANGES: usize = 1 << 14;

/// Most different sets of assertions at the edges of one part.
const MAX_CONDITIONS: usize = 16;

/// Ranges of bytes or characters, sorted, both ends counted in.
pub(super) type Symbols = Vec<(u32, u32)>;

/// Positions in ascending order.
type Set = Vec<usize>;

/// From each position of one set each of another may follow, where assertions hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) from: Set,
    pub(super) to: Set,
    pub(super) looks: Looks,
}

/// Some positions, where assertions hold beside them.
pub(super) type Edge = Vec<(Looks, Set)>;

/// Patterns have more positions, or more ways between them, than can be searched for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

/// What a text is read as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Characters of UTF-8, each one symbol, and what is none.
    Characters,
    /// Bytes.
    Bytes,
}

impl Reading {
    /// How a pattern can be searched for in the fewest positions. One that tells apart
    /// bytes beyond ASCII needs bytes.
    pub(super) fn of(pattern: &Pattern) -> Self {
        if reads_characters(pattern.hir()) { Self::Characters } else { Self::Bytes }
    }
}

/// The parser bounds how deep patterns nest, and so this recursion.
fn reads_characters(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Unicode(_)) => true,
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).is_ok(),
        HirKind::Class(Class::Bytes(class)) => class.is_ascii(),
        HirKind::Repetition(repetition) => reads_characters(&repetition.sub),
        HirKind::Capture(capture) => reads_characters(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().all(reads_characters),
    }
}

/// The position automaton of some patterns.
#[derive(Clone, Debug)]
pub(super) struct Positions {
    /// What each takes: a place in `symbols`.
    pub(super) takes: Vec<usize>,
    /// All that are taken, each once.
    pub(super) symbols: Vec<Symbols>,
    pub(super) links: Vec<Link>,
    /// Where a match may begin.
    pub(super) first: Edge,
    /// Where one may end.
    pub(super) last: Edge,
    /// Whose position it is: a place in the list of patterns.
    pub(super) owners: Vec<usize>,
    pub(super) reading: Reading,
    known: HashMap<Symbols, usize>,
    most: usize,
    ranges: usize,
    named: usize,
}

/// A part of a pattern, seen from outside.
#[derive(Clone, Debug, Default)]
struct Part {
    /// It may be empty where one of these holds.
    empty: Vec<Looks>,
    first: Edge,
    last: Edge,
}

impl Positions {
    /// Of patterns that all have this reading, at `most` so many.
    pub(super) fn new(
        patterns: &[&Pattern],
        reading: Reading,
        most: usize,
    ) -> Result<Self, TooMany> {
        let mut all = Self {
            takes: Vec::new(),
            symbols: Vec::new(),
            links: Vec::new(),
            first: Vec::new(),
            last: Vec::new(),
            owners: Vec::new(),
            reading,
            known: HashMap::new(),
            most,
            ranges: 0,
            named: 0,
        };
        for (index, pattern) in patterns.iter().enumerate() {
            let whole = all.part(pattern.hir())?;
            all.owners.resize(all.takes.len(), index);
            join(&mut all.first, &whole.first)?;
            join(&mut all.last, &whole.last)?;
        }
        Ok(all)
    }

    /// Whether any of the patterns asserts something.
    pub(super) fn asks(&self) -> bool {
        let links = self.links.iter().map(|link| link.looks);
        links.chain(self.first.iter().chain(&self.last).map(|edge| edge.0)).any(|looks| looks != 0)
    }

    fn part(&mut self, hir: &Hir) -> Result<Part, TooMany> {
        match hir.kind() {
            HirKind::Empty => Ok(Part { empty: vec![0], ..Part::default() }),
            HirKind::Look(look) => Ok(Part { empty: vec![bit(*look)], ..Part::default() }),
            HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
                Ok(text) if self.reading == Reading::Characters => {
                    self.run(text.chars().map(|c| vec![(u32::from(c), u32::from(c))]))
                }
                _ => self.run(literal.0.iter().map(|b| vec![(u32::from(*b), u32::from(*b))])),
            },
            HirKind::Class(Class::Bytes(class)) => {
                let range = |r: &ClassBytesRange| (r.start(), r.end());
                let ranges = class.iter().map(range);
                self.run([ranges.map(|(a, b)| (u32::from(a), u32::from(b))).collect()])
            }
            HirKind::Class(Class::Unicode(class)) => match self.reading {
                Reading::Characters => {
                    let range = |r: &ClassUnicodeRange| (u32::from(r.start()), u32::from(r.end()));
                    self.run([class.iter().map(range).collect()])
                }
                Reading::Bytes => self.sequences(class.ranges()),
            },
            HirKind::Repetition(repetition) => self.repetition(repetition),
            HirKind::Capture(capture) => self.part(&capture.sub),
            HirKind::Concat(parts) => {
                let mut whole = Part { empty: vec![0], ..Part::default() };
                for part in parts {
                    let part = self.part(part)?;
                    whole = self.concat(&whole, &part)?;
                }
                Ok(whole)
            }
            HirKind::Alternation(branches) => {
                let mut whole = Part::default();
                for branch in branches {
                    let branch = self.part(branch)?;
                    whole.or(&branch)?;
                }
                Ok(whole)
            }
        }
    }

    /// Symbols one after another.
    fn run(&mut self, symbols: impl IntoIterator<Item = Symbols>) -> Result<Part, TooMany> {
        let begin = self.takes.len();
        for symbols in symbols {
            let here = self.position(symbols)?;
            if here > begin {
                self.link(&[(0, vec![here - 1])], &[(0, vec![here])])?;
            }
        }
        let end = self.takes.len();
        if begin == end {
            return Ok(Part { empty: vec![0], ..Part::default() });
        }
        let (first, last) = (vec![(0, vec![begin])], vec![(0, vec![end - 1])]);
        Ok(Part { empty: Vec::new(), first, last })
    }

    fn position(&mut self, symbols: Symbols) -> Result<usize, TooMany> {
        let id = match self.known.get(&symbols) {
            Some(id) => *id,
            None => {
                self.ranges += symbols.len();
                self.symbols.push(symbols.clone());
                self.known.insert(symbols, self.symbols.len() - 1);
                self.symbols.len() - 1
            }
        };
        if self.takes.len() == self.most || self.ranges > MAX_RANGES {
            return Err(TooMany);
        }
        self.takes.push(id);
        Ok(self.takes.len() - 1)
    }

    /// The characters of a class as they are written in UTF-8.
    fn sequences(&mut self, class: &[ClassUnicodeRange]) -> Result<Part, TooMany> {
        let mut whole = Part::default();
        let of = |range: &ClassUnicodeRange| Utf8Sequences::new(range.start(), range.end());
        for sequence in class.iter().flat_map(of) {
            let bytes = |one: &Utf8Sequence| -> Vec<Symbols> {
                let ranges = one.as_slice().iter();
                ranges.map(|r| vec![(u32::from(r.start), u32::from(r.end))]).collect()
            };
            let one = self.run(bytes(&sequence))?;
            whole.or(&one)?;
        }
        // A class of nothing has a position, too, which takes nothing.
        if whole.first.is_empty() { self.run([Vec::new()]) } else { Ok(whole) }
    }

    /// `x{2,4}` is `xx(x(x)?)?`, each a copy of its own; the last of `x{2,}` follows itself.
    fn repetition(&mut self, repetition: &Repetition) -> Result<Part, TooMany> {
        let mut before = Part { empty: vec![0], ..Part::default() };
        let must = if repetition.max.is_none() { repetition.min.max(1) } else { repetition.min };
        for copy in 1..=must {
            let part = self.part(&repetition.sub)?;
            if copy == must && repetition.max.is_none() {
                self.link(&part.last, &part.first)?;
            }
            before = self.concat(&before, &part)?;
        }
        let mut whole = before.clone();
        for _ in must..repetition.max.unwrap_or(must) {
            let part = self.part(&repetition.sub)?;
            before = self.concat(&before, &part)?;
            whole.or(&before)?;
        }
        if repetition.min == 0 {
            whole.empty = vec![0];
        }
        Ok(whole)
    }

    fn concat(&mut self, one: &Part, other: &Part) -> Result<Part, TooMany> {
        self.link(&one.last, &other.first)?;
        let mut whole =
            Part { empty: Vec::new(), first: one.first.clone(), last: other.last.clone() };
        join(&mut whole.first, &where_empty(&one.empty, &other.first))?;
        join(&mut whole.last, &where_empty(&other.empty, &one.last))?;
        for one in &one.empty {
            whole.empty.extend(other.empty.iter().map(|other| one | other));
        }
        whole.simplify()
    }

    fn link(&mut self, last: &[(Looks, Set)], first: &[(Looks, Set)]) -> Result<(), TooMany> {
        for (one, from) in last {
            for (other, to) in first {
                self.named += from.len() + to.len();
                if self.named > self.most.saturating_mul(MAX_NAMED) {
                    return Err(TooMany);
                }
                self.links.push(Link { from: from.clone(), to: to.clone(), looks: one | other });
            }
        }
        Ok(())
    }
}

impl Part {
    fn or(&mut self, other: &Self) -> Result<(), TooMany> {
        self.empty.extend(&other.empty);
        join(&mut self.first, &other.first)?;
        join(&mut self.last, &other.last)?;
        *self = std::mem::take(self).simplify()?;
        Ok(())
    }

    /// Without assertions that are asked for where fewer do.
    fn simplify(mut self) -> Result<Self, TooMany> {
        self.empty.sort_unstable_by_key(|looks| looks.count_ones());
        let mut least: Vec<Looks> = Vec::new();
        for looks in self.empty {
            if !least.iter().any(|fewer| looks & fewer == *fewer) {
                least.push(looks);
            }
        }
        self.empty = least;
        if self.empty.len() > MAX_CONDITIONS { Err(TooMany) } else { Ok(self) }
    }
}

/// Adds positions to those that have the same condition.
fn join(edge: &mut Edge, more: &[(Looks, Set)]) -> Result<(), TooMany> {
    for (looks, set) in more {
        match edge.iter_mut().find(|(have, _)| have == looks) {
            Some((_, have)) => {
                let is_behind = have.last() < set.first();
                have.extend(set);
                if !is_behind {
                    have.sort_unstable();
                    have.dedup();
                }
            }
            None => edge.push((*looks, set.clone())),
        }
    }
    if edge.len() > MAX_CONDITIONS { Err(TooMany) } else { Ok(()) }
}

/// What lies behind a part that may be empty.
fn where_empty(empty: &[Looks], edge: &Edge) -> Edge {
    let behind = |looks: &Looks| {
        let looks = *looks;
        edge.iter().map(move |(have, set)| (have | looks, set.clone()))
    };
    empty.iter().flat_map(behind).collect()
}
