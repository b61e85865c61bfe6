//! Searches for patterns in time that the sender of a text can't choose: what a byte
//! costs is counted where the patterns are compiled.
//!
//! A table of all states ([`table`]) is the fastest, where it is not too large; what
//! makes it so (`.{0,200}` behind what may stand everywhere) is searched for by a bit
//! for each position of the patterns ([`bits`]).

mod alphabet;
mod bits;
mod looks;
mod positions;
mod table;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod worst;

use super::pattern::Pattern;
use bits::Bits;
use positions::Reading;
use table::Table;

/// Work, in the time that reading one word takes: on the machine of the README about
/// half a nanosecond.
pub(super) type Steps = usize;

/// Most steps that a byte of a message may cost, over all patterns: 50 ns, less what
/// the prefilter takes.
pub(super) const MOST_STEPS: Steps = 80;

/// A table of all patterns of a set, or of those whose states multiply, in bytes.
const TABLE_BYTES: usize = 256 << 10;

/// The table of one pattern that may share a table with others like it.
const OWN_TABLE_BYTES: usize = 64 << 10;

/// Tables of patterns whose states add up.
const SHARED_TABLE_BYTES: usize = 4 << 20;

/// All tables of a set.
const ALL_TABLES_BYTES: usize = 16 << 20;

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

/// Patterns cost more than a byte of a message may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooDear {
    /// The pattern that costs most: a place in the list.
    pub(super) dearest: usize,
    /// What it costs alone; `None` where that was not counted to the end.
    pub(super) steps: Option<Steps>,
}

/// Searches for all patterns of a set.
#[derive(Clone, Debug)]
pub(super) struct Engine {
    parts: Vec<Part>,
    steps: Steps,
}

/// Searches for some of them.
#[derive(Clone, Debug)]
struct Part {
    search: Search,
    /// Their places in the set.
    members: Vec<usize>,
}

#[derive(Clone, Debug)]
enum Search {
    Table(Table),
    Bits(Bits),
}

impl Part {
    /// Returns the place in the set of the search's pattern `index`.
    fn member(&self, index: usize) -> usize {
        self.members.get(index).copied().unwrap_or(0)
    }
}

impl Engine {
    /// Of patterns that cost at most [`MOST_STEPS`] a byte.
    pub(super) fn compile(patterns: &[Pattern]) -> Result<Self, TooDear> {
        let all: Vec<usize> = (0..patterns.len()).collect();
        if let Some(table) = table_of(patterns, &all, TABLE_BYTES) {
            return Ok(Self::of(vec![table]));
        }
        let several = Self::of_several(patterns, &all);
        let engines = several.into_iter().chain(bits_of(patterns, &all).map(Self::of));
        let cheapest = engines.min_by_key(Self::steps);
        cheapest.filter(|engine| engine.steps <= MOST_STEPS).ok_or_else(|| {
            let cost = |index: &usize| cost_alone(patterns, *index);
            let dearest = all.into_iter().max_by_key(|index| cost(index).unwrap_or(usize::MAX));
            let dearest = dearest.unwrap_or(0);
            TooDear { dearest, steps: cost(&dearest) }
        })
    }

    /// Tables for those whose states add up; for those whose states multiply, one of their
    /// own where each has a small one, and else bits.
    fn of_several(patterns: &[Pattern], all: &[usize]) -> Option<Self> {
        let lingers = |index: &&usize| patterns.get(**index).is_some_and(Pattern::lingers);
        let (lingering, adding): (Vec<usize>, Vec<usize>) = all.iter().partition(lingers);
        let (tabled, large): (Vec<usize>, Vec<usize>) = lingering
            .iter()
            .partition(|index| table_of(patterns, &[**index], OWN_TABLE_BYTES).is_some());
        let (bits, others): (Vec<usize>, Vec<usize>) =
            large.iter().partition(|index| cost_alone(patterns, **index).is_some());
        let mut parts = Vec::new();
        let mut left_bytes = ALL_TABLES_BYTES;
        tables_of(patterns, &adding, SHARED_TABLE_BYTES, &mut (&mut parts, &mut left_bytes))?;
        tables_of(patterns, &tabled, TABLE_BYTES, &mut (&mut parts, &mut left_bytes))?;
        tables_of(patterns, &others, SHARED_TABLE_BYTES, &mut (&mut parts, &mut left_bytes))?;
        parts.extend(bits_of(patterns, &bits)?);
        Some(Self::of(parts))
    }

    fn of(parts: Vec<Part>) -> Self {
        let steps = parts.iter().map(|part| part.search.steps()).sum();
        Self { parts, steps }
    }

    /// What reading one byte costs.
    pub(super) const fn steps(&self) -> Steps {
        self.steps
    }

    /// Calls `found` with each pattern that matches somewhere in `text`, maybe more
    /// than once.
    pub(super) fn find(&self, text: &[u8], found: &mut dyn FnMut(usize)) {
        for part in &self.parts {
            let found = &mut |index| found(part.member(index));
            match &part.search {
                Search::Table(table) => table.find(text, found),
                Search::Bits(bits) => bits.find(text, found),
            }
        }
    }

    /// Whether a pattern matches somewhere in `text`.
    pub(super) fn is_match(&self, text: &[u8]) -> bool {
        let mut is_match = false;
        self.find(text, &mut |_| is_match = true);
        is_match
    }

    /// Whether a pattern matches from `start` on, with each search reading hardly more
    /// than `most_bytes`; and the steps that took.
    pub(super) fn look_at(
        &self,
        text: &[u8],
        start: usize,
        most_bytes: usize,
    ) -> (Sighting, Steps) {
        let (mut sighting, mut steps) = (Sighting::Nothing, 0);
        for Part { search, .. } in &self.parts {
            let (told, read) = match search {
                Search::Table(table) => table.look_at(text, start, most_bytes),
                Search::Bits(bits) => bits.look_at(text, start, most_bytes),
            };
            steps += read * search.steps();
            match told {
                Sighting::Match => return (Sighting::Match, steps),
                Sighting::Undecided => sighting = Sighting::Undecided,
                Sighting::Nothing => {}
            }
        }
        (sighting, steps)
    }
}

impl Search {
    const fn steps(&self) -> Steps {
        match self {
            Self::Table(_) => Table::STEPS,
            Self::Bits(bits) => bits.steps(),
        }
    }
}

fn of<'p>(patterns: &'p [Pattern], members: &[usize]) -> Vec<&'p Pattern> {
    members.iter().filter_map(|index| patterns.get(*index)).collect()
}

fn table_of(patterns: &[Pattern], members: &[usize], limit_bytes: usize) -> Option<Part> {
    let table = Table::compile(&of(patterns, members), limit_bytes)?;
    Some(Part { search: Search::Table(table), members: members.to_vec() })
}

/// As few tables as halving finds, none with more than `most_bytes`; `None` where all take
/// more than are left.
fn tables_of(
    patterns: &[Pattern],
    members: &[usize],
    most_bytes: usize,
    made: &mut (&mut Vec<Part>, &mut usize),
) -> Option<()> {
    if members.is_empty() {
        return Some(());
    }
    if let Some(part) = table_of(patterns, members, most_bytes.min(*made.1)) {
        if let Search::Table(table) = &part.search {
            *made.1 = made.1.checked_sub(table.bytes())?;
        }
        made.0.push(part);
        return Some(());
    }
    let (one, other) =
        members.split_at_checked(members.len() / 2).filter(|(one, _)| !one.is_empty())?;
    tables_of(patterns, one, most_bytes, made)?;
    tables_of(patterns, other, most_bytes, made)
}

/// One search for those that read characters, one for those that read bytes.
fn bits_of(patterns: &[Pattern], members: &[usize]) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    for reading in [Reading::Characters, Reading::Bytes] {
        let reads = |index: &usize| patterns.get(*index).map(Reading::of) == Some(reading);
        let members: Vec<usize> = members.iter().copied().filter(reads).collect();
        if !members.is_empty() {
            let bits = Bits::compile(&of(patterns, &members), reading).ok()?;
            parts.push(Part { search: Search::Bits(bits), members });
        }
    }
    Some(parts)
}

/// What searching for one pattern by bits costs.
fn cost_alone(patterns: &[Pattern], index: usize) -> Option<Steps> {
    let pattern = patterns.get(index)?;
    Some(Bits::compile(&[pattern], Reading::of(pattern)).ok()?.steps())
}
