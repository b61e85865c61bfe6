//! Tells most texts in which no pattern of a set can match, at a tenth of what
//! the engine costs.
//!
//! It reads a text byte by byte, each step waiting for the one before.
//! But nearly every pattern has some run of bytes that each of its matches holds
//! ([`required`]), and that a text holds none of them can be told sixteen places
//! at a time ([`scan`]). Where a text does hold one, and it is known how far before
//! it a match would begin, the engine tells from there whether one does; mostly
//! in a few bytes. Only what that does not tell is searched, and then all of the
//! text for all patterns.

mod bytes;
mod choice;
mod required;
mod scan;
#[cfg(test)]
mod tests;

use super::engine::{Engine, Sighting};
use super::pattern::Pattern;
use bytes::ByteSet;
use choice::{Choice, settle};
use required::{FOLDED, Run, Width, required};
use scan::{BUCKETS, Scanner};

/// How often a place of ordinary text may look like one of the runs: with more,
/// looking closer takes longer than the engine.
const MOST_LIKELY: f32 = 0.03;

/// How much more the engine costs over a whole message of ordinary size than
/// a close look at one place.
const SEARCH_COST: f32 = 2000.0;

/// The same for looking whether a match begins at one place.
const BEGINNING_COST: f32 = 10.0;

/// Most bytes that are read to tell whether a match begins at a place.
const MOST_READ: usize = 64;

/// More runs than this cost more to lay out than they spare.
const MOST_RUNS: usize = 4096;

/// Work at one place that is looked at closely, beside the runs compared, in the
/// time that comparing one run takes.
const PLACE_WORK: usize = 16;

/// Steps of the engine in the time that comparing one run takes.
const STEPS: usize = 4;

/// Work that is done in any text, however short.
const FREE_WORK: usize = 256;

/// Looks for what the patterns of a set require.
#[derive(Clone, Debug)]
pub(super) struct Prefilter {
    scanner: Scanner,
    buckets: [Vec<Sight>; BUCKETS],
}

/// A run as it is compared: first, in one go, the sixteen bytes of which
/// [`Sight::BEFORE`] stand before the last byte of its window.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sight {
    /// Bits that all members of each byte's set share; 0 for bytes around the run.
    mask: u128,
    value: u128,
    /// Place in the run of its window's last byte.
    end: usize,
    run: Run,
}

impl Prefilter {
    /// `None` where it would not help: some pattern requires nothing in
    /// particular, or ordinary text is full of what they require. With a pattern
    /// that has to be searched for in any text, all may be searched for: that
    /// takes no longer.
    pub(super) fn new(patterns: &[Pattern]) -> Option<Self> {
        Self::at_most(patterns, MOST_LIKELY)
    }

    /// Where ordinary text looks like a run at no more than this part of its places.
    pub(super) fn at_most(patterns: &[Pattern], likely: f32) -> Option<Self> {
        let folded = FOLDED.iter().map(|letter| {
            let mut bytes = [0; 4];
            let bytes = letter.encode_utf8(&mut bytes).bytes();
            Run::new(bytes.map(ByteSet::one).collect(), None)
        });
        let mut runs: Vec<Run> = folded.collect();
        for pattern in patterns {
            runs.extend(required(pattern.hir(), &cost)?);
            if runs.len() > MOST_RUNS {
                return None;
            }
        }
        runs.sort_unstable();
        runs.dedup();
        let mut choices: Vec<Choice> = runs.iter().map(Choice::of).collect();
        let (windows, likelihood) = settle(&mut choices);
        if likelihood > likely {
            return None;
        }
        let mut buckets: [Vec<Sight>; BUCKETS] = Default::default();
        for choice in &choices {
            let (bucket, end) = choice.chosen()?;
            buckets.get_mut(bucket)?.push(Sight::of(choice.run(), end));
        }
        Some(Self { scanner: Scanner::new(&windows), buckets })
    }

    /// Whether a pattern of `engine` may match in `text`; where none can, mostly
    /// false. Takes time linear in the length of `text`: once it looks as if
    /// everything were a run, that is the answer.
    pub(super) fn may_match(&self, text: &[u8], engine: &Engine) -> bool {
        let mut work = text.len().saturating_add(FREE_WORK);
        let look = |end, buckets| self.may_match_at((text, end), buckets, engine, &mut work);
        self.scanner.any(text, look)
    }

    /// Whether a pattern may match around a run of `buckets` that stands in `text`
    /// with its window ending at `end`, or no `work` is left to tell. Not a part of
    /// the loop that scans: there its variables would take the registers of the
    /// tables.
    #[inline(never)]
    fn may_match_at(
        &self,
        (text, end): (&[u8], usize),
        buckets: u8,
        engine: &Engine,
        work: &mut usize,
    ) -> bool {
        let seen = Sight::at(text, end);
        let mut buckets = u32::from(buckets);
        let bucket = |index: u32| self.buckets.get(usize::try_from(index).ok()?);
        while let Some(sights) = bucket(buckets.trailing_zeros()) {
            buckets &= buckets - 1;
            let Some(left) = work.checked_sub(PLACE_WORK + sights.len()) else { return true };
            *work = left;
            let is_there =
                |sight: &&Sight| seen & sight.mask == sight.value && sight.is_at(text, end);
            for sight in sights.iter().filter(is_there) {
                if sight.may_belong_to_a_match((text, end), engine, work) {
                    return true;
                }
            }
        }
        false
    }
}

impl Sight {
    const BYTES: usize = 16;
    const BEFORE: usize = 7;

    /// Of a run whose window ends with its byte `end`.
    fn of(run: &Run, end: usize) -> Self {
        let (mut mask, mut value) = ([0; Self::BYTES], [0; Self::BYTES]);
        let skipped = end.saturating_sub(Self::BEFORE);
        let begin = Self::BEFORE.saturating_sub(end);
        let places = mask.iter_mut().zip(&mut value).skip(begin);
        for ((mask, value), set) in places.zip(run.sets.iter().skip(skipped)) {
            (*mask, *value) = set.shared_bits();
        }
        let (mask, value) = (u128::from_le_bytes(mask), u128::from_le_bytes(value));
        Self { mask, value, end, run: run.clone() }
    }

    /// Whether all of the run stands in `text`, its window ending at `place`.
    fn is_at(&self, text: &[u8], place: usize) -> bool {
        let sets = &self.run.sets;
        let begin = place.checked_sub(self.end);
        let there = begin.and_then(|begin| text.get(begin..)?.get(..sets.len()));
        there.is_some_and(|there| sets.iter().zip(there).all(|(set, byte)| set.holds(*byte)))
    }

    /// The same of a match that holds the run, as far as that can be told from
    /// where it would begin with the `work` that is left.
    fn may_belong_to_a_match(
        &self,
        (text, place): (&[u8], usize),
        engine: &Engine,
        work: &mut usize,
    ) -> bool {
        let Some(Width { least, most }) = self.run.before else { return true };
        let Some(begin) = place.checked_sub(self.end) else { return true };
        for before in least..=most {
            // It would begin before the text does.
            let Some(start) = begin.checked_sub(before) else { return false };
            let (sighting, steps) = engine.look_at(text, start, MOST_READ);
            let Some(left) = work.checked_sub(PLACE_WORK + steps / STEPS) else { return true };
            *work = left;
            if sighting != Sighting::Nothing {
                return true;
            }
        }
        false
    }

    /// The bytes of `text` around the place `end`; what is not there is 0.
    fn at(text: &[u8], end: usize) -> u128 {
        let begin = end.wrapping_sub(Self::BEFORE);
        let around = text.get(begin..).and_then(|text| text.first_chunk());
        u128::from_le_bytes(around.copied().unwrap_or_else(|| {
            let mut around = [0; Self::BYTES];
            let missing = Self::BEFORE.saturating_sub(end);
            let text = text.get(end.saturating_sub(Self::BEFORE)..).unwrap_or_default();
            for (byte, there) in around.iter_mut().skip(missing).zip(text) {
                *byte = *there;
            }
            around
        }))
    }
}

/// What it costs to look for a run, in close looks for each byte of a text.
fn cost(run: &Run) -> f32 {
    let follows = match run.before {
        Some(before) => {
            BEGINNING_COST * f32::from(u8::try_from(before.beginnings()).unwrap_or(u8::MAX))
        }
        None => SEARCH_COST,
    };
    Choice::of(run).likelihood() + follows * bytes::likelihood_of(&run.sets)
}
