//! Looks for runs at many places of a text at once.
//!
//! Of each run a window of five bytes is looked for. The windows stand in eight
//! buckets, one bit of a byte for each. For each of the five places in a window
//! a table says which buckets have a window with such a byte there; where the
//! five answers for five bytes of the text have a bit in common, the text may
//! hold a window of that bucket. A table is asked by the low half of a byte, in
//! which the cases of an ASCII letter are alike, so that it has 16 entries and
//! one instruction looks up 16 bytes; for the last byte the high half is asked,
//! too. This is the algorithm Teddy of Hyperscan, with less of each byte and more
//! bytes.

use super::bytes::ByteSet;

#[cfg(target_arch = "wasm32")]
mod lanes;

/// Bytes that are looked for of each run.
pub(super) const WINDOW: usize = 5;

/// Halves of bytes that are looked at: the low ones of all, the high one of the
/// last.
pub(super) const HALVES: usize = WINDOW + 1;

/// One for each bit of a byte.
pub(super) const BUCKETS: usize = 8;

/// The half of `byte` that is looked at for `place` of a window.
pub(super) fn half(place: usize, byte: u8) -> usize {
    usize::from(if place < WINDOW { byte & 15 } else { byte >> 4 })
}

/// The halves of bytes that a place may have: a bit for each of the 16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Window(pub(super) [u16; HALVES]);

impl Window {
    /// What the last bytes of `sets` look like, and before them anything.
    pub(super) fn ending(sets: &[ByteSet]) -> Self {
        let mut window = Self([u16::MAX; HALVES]);
        let [low @ .., high] = &mut window.0;
        for (half, set) in low.iter_mut().rev().zip(sets.iter().rev()) {
            *half = set.members().fold(0, |bits, byte| bits | 1 << (byte & 15));
        }
        if let Some(set) = sets.last() {
            *high = set.members().fold(0, |bits, byte| bits | 1 << (byte >> 4));
        }
        window
    }
}

/// Says where a text looks like one of the windows of a bucket.
#[derive(Clone, Debug)]
pub(super) struct Scanner {
    /// For each byte and each place in a window (the first in the lowest eight
    /// bits): the buckets that may have it there.
    steps: Box<[u64; 256]>,
    #[cfg(target_arch = "wasm32")]
    lanes: lanes::Lanes,
}

impl Scanner {
    /// With what each bucket looks for.
    pub(super) fn new(buckets: &[Window; BUCKETS]) -> Self {
        let halves = halves(buckets);
        let of = |table: &[u8; 16], half: u8| table.get(usize::from(half)).copied();
        let steps = std::array::from_fn(|byte| {
            let byte = u8::try_from(byte).unwrap_or(u8::MAX);
            let mut step = [u8::MAX; 8];
            let [low @ .., high] = &halves;
            for (step, table) in step.iter_mut().rev().zip(low.iter().rev()) {
                *step = of(table, byte & 15).unwrap_or(u8::MAX);
            }
            let [.., last] = &mut step;
            *last &= of(high, byte >> 4).unwrap_or(u8::MAX);
            u64::from_le_bytes(step)
        });
        Self {
            steps: Box::new(steps),
            #[cfg(target_arch = "wasm32")]
            lanes: lanes::Lanes::new(&halves),
        }
    }

    /// Whether `look` says yes to a place where `text` looks like a window. It is
    /// asked with the place of the window's last byte and the buckets, a bit for
    /// each. Windows that hang over the beginning of the text count, too. A place
    /// may be asked for twice.
    #[cfg(not(target_arch = "wasm32"))]
    pub(super) fn any(&self, text: &[u8], mut look: impl FnMut(usize, u8) -> bool) -> bool {
        self.step(text, &mut look)
    }

    /// The same, with SIMD where the text is long enough.
    #[cfg(target_arch = "wasm32")]
    pub(super) fn any(&self, text: &[u8], mut look: impl FnMut(usize, u8) -> bool) -> bool {
        if text.len() < lanes::LEAST_BYTES {
            return self.step(text, &mut look);
        }
        // The first places have too few bytes before them for a vector.
        let head = text.get(..WINDOW - 1).unwrap_or_default();
        self.step(head, &mut look) || self.lanes.any(text, &mut look)
    }

    /// Byte by byte: `state` has the windows that may be under way, those that
    /// lack one byte in the highest eight bits before the step.
    fn step(&self, text: &[u8], look: &mut impl FnMut(usize, u8) -> bool) -> bool {
        let mut state = u64::MAX;
        for (place, byte) in text.iter().enumerate() {
            let step = self.steps.get(usize::from(*byte)).copied().unwrap_or(u64::MAX);
            state = (state << 8 | 0xFF) & step;
            let [.., buckets] = state.to_le_bytes();
            if buckets != 0 && look(place, buckets) {
                return true;
            }
        }
        false
    }
}

/// For each half in a window: the buckets that may have it, by its value.
fn halves(buckets: &[Window; BUCKETS]) -> [[u8; 16]; HALVES] {
    let mut tables = [[0; 16]; HALVES];
    for (bucket, window) in buckets.iter().enumerate() {
        for (table, set) in tables.iter_mut().zip(window.0) {
            for (value, entry) in table.iter_mut().enumerate() {
                let has = u8::from(set >> value & 1 == 1);
                *entry |= has << bucket;
            }
        }
    }
    tables
}
