//! What a text must hold for a pattern to match in it: runs of bytes, one of
//! which stands in every match.

use super::bytes::ByteSet;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};
use regex_syntax::utf8::{Utf8Sequence, Utf8Sequences};

/// Longest run that is looked for, in bytes: more would tell hardly more.
const MAX_RUN: usize = 32;

/// Most runs that stand for one pattern (`a|b|c…`).
const MAX_RUNS: usize = 64;

/// Most parts that may all be nothing whose edges are looked at: without a bound,
/// a pattern `a?b?c?…` would take time that is square in its length.
const MAX_LOOSE: usize = 8;

/// Classes of more ranges than this (`\w`) count as any byte.
const MAX_RANGES: usize = 64;

/// The characters beyond ASCII that `(?i)` takes for an `s` and a `k` (U+017F,
/// U+212A). Each would make two runs of one, of different lengths; so runs are
/// without them, and a text that holds one may match without any run.
pub(super) const FOLDED: [char; 2] = ['\u{17F}', '\u{212A}'];

/// Longest way from where a match begins to its run, in bytes, and most places
/// where it may begin: with more, searching all of the text is better.
const MAX_BEFORE: usize = 32;
const MAX_BEGINNINGS: usize = 4;

/// Bytes that follow one another, each one of a set.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Run {
    pub(super) sets: Vec<ByteSet>,
    /// How many bytes of the match stand before it, where they are few and known.
    pub(super) before: Option<Width>,
}

impl Run {
    /// With what may stand before it.
    pub(super) fn new(sets: Vec<ByteSet>, before: Option<Width>) -> Self {
        Self { sets, before: before.filter(Width::is_small) }
    }

    /// The same in a larger pattern, which has this before what holds the run.
    fn behind(self, before: Option<Width>) -> Self {
        let before = before.zip(self.before).map(|(one, other)| one.and(other));
        Self::new(self.sets, before)
    }
}

/// At least and at most so many bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Width {
    pub(super) least: usize,
    pub(super) most: usize,
}

impl Width {
    const fn of(bytes: usize) -> Self {
        Self { least: bytes, most: bytes }
    }

    /// `None` where there is no most.
    fn of_part(hir: &Hir) -> Option<Self> {
        let properties = hir.properties();
        Some(Self { least: properties.minimum_len()?, most: properties.maximum_len()? })
    }

    const fn and(self, other: Self) -> Self {
        let least = self.least.saturating_add(other.least);
        Self { least, most: self.most.saturating_add(other.most) }
    }

    const fn less(self, bytes: usize) -> Self {
        let least = self.least.saturating_sub(bytes);
        Self { least, most: self.most.saturating_sub(bytes) }
    }

    /// Places where the match may begin.
    pub(super) const fn beginnings(&self) -> usize {
        self.most.saturating_sub(self.least).saturating_add(1)
    }

    const fn is_small(&self) -> bool {
        self.most <= MAX_BEFORE && self.beginnings() <= MAX_BEGINNINGS
    }
}

/// Runs of which every match of a pattern holds one, unless the text holds one
/// of [`FOLDED`]: those whose search costs least by `cost`. `None` where there
/// is nothing that every match holds.
pub(super) fn required(hir: &Hir, cost: &dyn Fn(&Run) -> f32) -> Option<Vec<Run>> {
    Some(cheapest(hir, cost)?.runs)
}

struct Required {
    runs: Vec<Run>,
    cost: f32,
}

impl Required {
    fn of(runs: Vec<Run>, cost: &dyn Fn(&Run) -> f32) -> Self {
        let cost = runs.iter().map(cost).sum();
        Self { runs, cost }
    }

    /// The same in a larger pattern, which has this before what requires it.
    fn behind(self, before: Option<Width>, cost: &dyn Fn(&Run) -> f32) -> Self {
        if before == Some(Width::default()) {
            return self;
        }
        Self::of(self.runs.into_iter().map(|run| run.behind(before)).collect(), cost)
    }
}

/// The parser bounds how deep patterns nest, and so this recursion.
fn cheapest(hir: &Hir, cost: &dyn Fn(&Run) -> f32) -> Option<Required> {
    match hir.kind() {
        HirKind::Capture(capture) => cheapest(&capture.sub, cost),
        HirKind::Alternation(branches) => {
            let mut all = Required { runs: Vec::new(), cost: 0.0 };
            for branch in branches {
                let one = cheapest(branch, cost)?;
                all.runs.extend(one.runs);
                all.cost += one.cost;
            }
            (all.runs.len() <= MAX_RUNS).then_some(all)
        }
        HirKind::Concat(parts) => of_parts(parts, cost),
        _ => of_parts(std::slice::from_ref(hir), cost),
    }
}

/// Of parts that follow one another, any may be the one that is required.
fn of_parts(parts: &[Hir], cost: &dyn Fn(&Run) -> f32) -> Option<Required> {
    // `x+` is `xx*` and `x*x`: runs of either stand in every match.
    let atoms = |copies_first: bool| -> Vec<Atom<'_>> {
        parts.iter().flat_map(|part| Atom::of(part, copies_first)).collect()
    };
    let mut runs = runs(&atoms(true));
    runs.extend(self::runs(&atoms(false)));
    let runs = runs.into_iter().map(|run| Required::of(vec![run], cost));
    let inner = parts.iter().scan(Some(Width::default()), |before, part| {
        let here = *before;
        *before = here.zip(Width::of_part(part)).map(|(before, part)| before.and(part));
        let inner = match part.kind() {
            HirKind::Repetition(repetition) if repetition.min == 0 => None,
            // A match has one of them in its first round.
            HirKind::Repetition(repetition) => cheapest(&repetition.sub, cost),
            HirKind::Capture(_) | HirKind::Alternation(_) => cheapest(part, cost),
            _ => None,
        };
        Some(inner.map(|inner| inner.behind(here, cost)))
    });
    runs.chain(inner.flatten()).min_by(|a, b| a.cost.total_cmp(&b.cost))
}

/// A part of a pattern, as far as runs are concerned.
enum Atom<'a> {
    /// So many bytes, each one of a set.
    Fixed(Vec<ByteSet>),
    /// Anything else, which may be nothing.
    Loose { hir: &'a Hir, may_be_empty: bool, width: Option<Width> },
}

impl<'a> Atom<'a> {
    fn of(hir: &'a Hir, copies_first: bool) -> Vec<Self> {
        if let Some(run) = fixed(hir) {
            return vec![Self::Fixed(run)];
        }
        let HirKind::Repetition(repetition) = hir.kind() else {
            return vec![Self::loose(hir)];
        };
        let sub = fixed(&repetition.sub).filter(|sub| !sub.is_empty() && repetition.min > 0);
        let Some(sub) = sub else { return vec![Self::loose(hir)] };
        let times = |times: u32| usize::try_from(times).unwrap_or(usize::MAX);
        let copies = times(repetition.min).min(MAX_RUN / sub.len().min(MAX_RUN));
        let left = |most: u32| times(most).saturating_sub(copies).saturating_mul(sub.len());
        let width = |max| Width { least: left(repetition.min), most: left(max) };
        let width = repetition.max.map(width);
        let copies = Self::Fixed(sub.repeat(copies));
        let rest = Self::Loose { hir: &repetition.sub, may_be_empty: true, width };
        if copies_first { vec![copies, rest] } else { vec![rest, copies] }
    }

    fn loose(hir: &'a Hir) -> Self {
        let may_be_empty = hir.properties().minimum_len() == Some(0);
        Self::Loose { hir, may_be_empty, width: Width::of_part(hir) }
    }

    const fn width(&self) -> Option<Width> {
        match self {
            Self::Fixed(bytes) => Some(Width::of(bytes.len())),
            Self::Loose { width, .. } => *width,
        }
    }
}

/// Every run of the atoms, as long as can be: what is loose gives the byte that
/// it begins or ends with.
fn runs(atoms: &[Atom<'_>]) -> Vec<Run> {
    let (mut runs, mut run) = (Vec::new(), Vec::new());
    // What stands before the atom, and before the run.
    let mut passed = Some(Width::default());
    let mut before = passed;
    for (index, atom) in atoms.iter().enumerate() {
        passed = passed.zip(atom.width()).map(|(passed, atom)| passed.and(atom));
        match atom {
            Atom::Fixed(bytes) => run.extend(bytes),
            Atom::Loose { .. } => {
                run.extend(edge_of(atoms.iter().skip(index), Side::First));
                runs.push((std::mem::take(&mut run), before));
                run.extend(edge_of(atoms.iter().take(index + 1).rev(), Side::Last));
                before = passed.map(|passed| passed.less(run.len()));
            }
        }
    }
    runs.push((run, before));
    runs.retain(|(run, _)| !run.is_empty());
    runs.iter_mut().for_each(|(run, _)| run.truncate(MAX_RUN));
    runs.into_iter().map(|(run, before)| Run::new(run, before)).collect()
}

#[derive(Clone, Copy)]
enum Side {
    First,
    Last,
}

impl Side {
    fn of<T>(self, items: impl DoubleEndedIterator<Item = T>) -> Option<T> {
        let mut items = items;
        match self {
            Self::First => items.next(),
            Self::Last => items.next_back(),
        }
    }
}

/// The byte at the edge of atoms, the nearest first; `None` where there may be
/// none, since what stands around them is not known.
fn edge_of<'a>(atoms: impl Iterator<Item = &'a Atom<'a>>, side: Side) -> Option<ByteSet> {
    let mut set = ByteSet::default();
    for atom in atoms.take(MAX_LOOSE) {
        match atom {
            Atom::Fixed(run) => {
                if let Some(bytes) = side.of(run.iter()) {
                    return Some(set.union(*bytes));
                }
            }
            Atom::Loose { hir, may_be_empty, .. } => {
                set = set.union(edge(hir, side));
                if !may_be_empty {
                    return Some(set);
                }
            }
        }
    }
    None
}

/// The bytes that what matches may begin or end with, where it is not empty.
fn edge(hir: &Hir, side: Side) -> ByteSet {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => ByteSet::default(),
        HirKind::Literal(literal) => {
            side.of(literal.0.iter()).map_or(ByteSet::default(), |byte| ByteSet::one(*byte))
        }
        HirKind::Class(Class::Bytes(class)) => {
            class.ranges().iter().map(|r| ByteSet::range(r.start(), r.end())).collect()
        }
        HirKind::Class(Class::Unicode(class)) => sequences(class).map_or(ByteSet::all(), |all| {
            let byte = |one: &Utf8Sequence| side.of(one.as_slice().iter()).copied();
            all.iter().filter_map(byte).map(|r| ByteSet::range(r.start, r.end)).collect()
        }),
        HirKind::Repetition(repetition) => edge(&repetition.sub, side),
        HirKind::Capture(capture) => edge(&capture.sub, side),
        HirKind::Alternation(branches) => branches.iter().map(|sub| edge(sub, side)).collect(),
        HirKind::Concat(parts) => {
            let mut set = ByteSet::default();
            let mut rest = parts.iter();
            for _ in 0..MAX_LOOSE {
                let Some(part) = side.of(rest.by_ref()) else { return set };
                set = set.union(edge(part, side));
                if part.properties().minimum_len() != Some(0) {
                    return set;
                }
            }
            ByteSet::all()
        }
    }
}

impl FromIterator<ByteSet> for ByteSet {
    fn from_iter<I: IntoIterator<Item = Self>>(sets: I) -> Self {
        sets.into_iter().fold(Self::default(), Self::union)
    }
}

/// The bytes of what has one form only. What is asserted takes none.
fn fixed(hir: &Hir) -> Option<Vec<ByteSet>> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(Vec::new()),
        HirKind::Literal(literal) => Some(literal.0.iter().copied().map(ByteSet::one).collect()),
        HirKind::Class(Class::Bytes(_)) => Some(vec![edge(hir, Side::First)]),
        HirKind::Class(Class::Unicode(class)) => of_one_length(&sequences(class)?),
        HirKind::Capture(capture) => fixed(&capture.sub),
        HirKind::Concat(parts) => {
            let parts: Option<Vec<_>> = parts.iter().map(fixed).collect();
            Some(parts?.concat())
        }
        HirKind::Repetition(repetition) if repetition.max == Some(repetition.min) => {
            let (run, copies) = (fixed(&repetition.sub)?, usize::try_from(repetition.min).ok()?);
            (run.len().saturating_mul(copies) <= MAX_RUN).then(|| run.repeat(copies))
        }
        HirKind::Repetition(_) | HirKind::Alternation(_) => None,
    }
}

fn of_one_length(all: &[Utf8Sequence]) -> Option<Vec<ByteSet>> {
    let mut run = vec![ByteSet::default(); all.first()?.len()];
    for one in all {
        if one.len() != run.len() {
            return None;
        }
        for (set, range) in run.iter_mut().zip(one.as_slice()) {
            *set = set.union(ByteSet::range(range.start, range.end));
        }
    }
    Some(run)
}

/// How the characters of a class but [`FOLDED`] are written in UTF-8; `None` for
/// a class of many ranges.
fn sequences(class: &ClassUnicode) -> Option<Vec<Utf8Sequence>> {
    if class.ranges().len() > MAX_RANGES {
        return None;
    }
    let mut class = class.clone();
    let folded = FOLDED.iter().map(|c| ClassUnicodeRange::new(*c, *c));
    class.difference(&ClassUnicode::new(folded));
    let of = |range: &ClassUnicodeRange| Utf8Sequences::new(range.start(), range.end());
    Some(class.iter().flat_map(of).collect())
}
