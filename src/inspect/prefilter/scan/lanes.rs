//! Sixteen places at a time, by WebAssembly's `simd128`.

use super::{HALVES, WINDOW};
use core::arch::wasm32::{
    u8x16_splat, u8x16_swizzle, u16x8_shr, u64x2, u64x2_extract_lane, v128, v128_and,
    v128_any_true, v128_or,
};

/// Places in one vector.
const LANES: usize = 16;

/// Vectors at a time: one test for all of them.
const VECTORS: usize = 4;

/// Bytes that are read for one vector: the windows of its first places begin
/// before them.
const READ_BYTES: usize = LANES + WINDOW - 1;

/// Shortest text that a vector can be read from.
pub(super) const LEAST_BYTES: usize = READ_BYTES;

/// Bytes that are read for [`VECTORS`].
const GROUP_BYTES: usize = LANES * VECTORS + WINDOW - 1;

/// A table for each half of a byte in a window.
#[derive(Clone, Debug)]
pub(super) struct Lanes([v128; HALVES]);

impl Lanes {
    pub(super) fn new(halves: &[[u8; 16]; HALVES]) -> Self {
        Self(halves.map(|table| load(&table)))
    }

    /// Looks at all places of `text` but the first four.
    pub(super) fn any(&self, text: &[u8], look: &mut impl FnMut(usize, u8) -> bool) -> bool {
        let mut begin = 0;
        loop {
            let (group, seen) = self.next(text, begin);
            begin = group;
            let Some(seen) = seen else { break };
            for (index, seen) in seen.into_iter().enumerate() {
                if each(seen, begin + index * LANES + WINDOW - 1, look) {
                    return true;
                }
            }
            begin += LANES * VECTORS;
        }
        // What is left is less than that; the last vector overlaps the one before.
        let last = text.len().saturating_sub(READ_BYTES);
        loop {
            begin = begin.min(last);
            let Some(bytes) = text.get(begin..).and_then(|rest| rest.first_chunk()) else {
                return false;
            };
            if each(self.vector(bytes), begin + WINDOW - 1, look) {
                return true;
            }
            if begin == last {
                return false;
            }
            begin += LANES;
        }
    }

    /// The next group, from `begin` on, in which anything is seen, and where it
    /// begins; nothing, and where the last group ends. With no call in this loop,
    /// the tables stay in registers.
    #[inline(never)]
    fn next(&self, text: &[u8], mut begin: usize) -> (usize, Option<[v128; VECTORS]>) {
        while let Some(group) = text.get(begin..).and_then(|rest| rest.first_chunk()) {
            let seen = self.group(group);
            let [first, second, third, last] = seen;
            if v128_any_true(v128_or(v128_or(first, second), v128_or(third, last))) {
                return (begin, Some(seen));
            }
            begin += LANES * VECTORS;
        }
        (begin, None)
    }

    #[inline(always)]
    fn group(&self, bytes: &[u8; GROUP_BYTES]) -> [v128; VECTORS] {
        std::array::from_fn(|index| {
            let read = bytes.get(index * LANES..).and_then(|rest| rest.first_chunk());
            read.map_or(u8x16_splat(u8::MAX), |read| self.vector(read))
        })
    }

    /// The buckets that may have a window, for each place where one may end.
    #[inline(always)]
    fn vector(&self, bytes: &[u8; READ_BYTES]) -> v128 {
        let [first, second, third, fourth, last, high] = self.0;
        let low_half = u8x16_splat(15);
        let at = |offset: usize| {
            let read = bytes.get(offset..).and_then(|rest| rest.first_chunk());
            read.map_or(u8x16_splat(0), load)
        };
        let look_up = |table, bytes| u8x16_swizzle(table, v128_and(bytes, low_half));
        let end = at(4);
        let begins = v128_and(look_up(first, at(0)), look_up(second, at(1)));
        let middles = v128_and(look_up(third, at(2)), look_up(fourth, at(3)));
        let ends = v128_and(look_up(last, end), look_up(high, u16x8_shr(end, 4)));
        v128_and(v128_and(begins, middles), ends)
    }
}

/// Asks `look` about each place of a vector that begins at `begin`.
#[inline(always)]
fn each(seen: v128, begin: usize, look: &mut impl FnMut(usize, u8) -> bool) -> bool {
    let halves = [u64x2_extract_lane::<0>(seen), u64x2_extract_lane::<1>(seen)];
    for (half, mut places) in halves.into_iter().enumerate() {
        while places != 0 {
            let shift = places.trailing_zeros() & !7;
            let place = begin + half * 8 + usize::try_from(shift / 8).unwrap_or(0);
            let [buckets, ..] = (places >> shift).to_le_bytes();
            if look(place, buckets) {
                return true;
            }
            places &= !(0xFF << shift);
        }
    }
    false
}

#[inline(always)]
fn load(bytes: &[u8; LANES]) -> v128 {
    let [low, high] = [bytes.first_chunk(), bytes.last_chunk()];
    let word = |bytes: Option<&[u8; 8]>| u64::from_le_bytes(bytes.copied().unwrap_or_default());
    u64x2(word(low), word(high))
}
