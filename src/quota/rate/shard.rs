//! One shard of the rate table: windows, as bytes that are edited in place.
//!
//! ```text
//! shard  = version (1 byte) record*
//! record = length (1) rule (8) subject (8) slot (varint) newest (varint)
//!          share (1) count*
//! count  = age (1) amount (varint)
//! ```
//! `length` is the record's, itself included. `slot` is how long one lasts, in
//! microseconds, `newest` the number of the newest, `share` how much of the limit
//! was used when it was last written, in parts of 255. Ages ascend, no amount is
//! 0, and there is one at least. A varint has seven bits a byte, the lowest first,
//! and the top bit where there are more.

use super::window::{COUNTERS, RateWindow};

const VERSION: u8 = 1;

/// Largest shard.
pub(super) const MAX_SHARD_BYTES: usize = 16 << 10;

/// What is left of a shard that was full: so much is forgotten at once that the
/// next newcomers find room without a search.
const LEFT_BYTES: usize = MAX_SHARD_BYTES / 32 * 31;

/// Where rule and subject end.
const TAG_END: usize = 17;

/// Whose window it is, and of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// Its lowest bit says whether the shard keeps a floor for it.
    pub(super) rule: u64,
    /// 0 is the rule's floor.
    pub(super) subject: u64,
}

impl Tag {
    const fn floor(self) -> Option<Self> {
        if self.rule & 1 == 1 { Some(Self { subject: 0, ..self }) } else { None }
    }

    const fn is_floor(self) -> bool {
        self.subject == 0
    }
}

/// A window as it stands in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) tag: Tag,
    pub(super) slot_us: u64,
    pub(super) share: u8,
    pub(super) window: RateWindow,
}

impl Record {
    fn decode(bytes: &[u8]) -> Option<Self> {
        let (tag, mut rest) = bytes.get(1..).and_then(split_tag)?;
        let slot_us = varint(&mut rest)?;
        let newest = varint(&mut rest)?;
        let share = byte(&mut rest)?;
        let mut counts = [0; COUNTERS];
        let mut next = 0;
        while !rest.is_empty() {
            let age = usize::from(byte(&mut rest)?);
            let amount = varint(&mut rest)?;
            if age < next || amount == 0 {
                return None;
            }
            *counts.get_mut(age)? = amount;
            next = age + 1;
        }
        let window = RateWindow::of(newest, counts);
        (slot_us > 0 && next > 0).then_some(Self { tag, slot_us, share, window })
    }

    /// Its bytes; empty where it holds nothing.
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![0];
        bytes.extend_from_slice(&self.tag.rule.to_be_bytes());
        bytes.extend_from_slice(&self.tag.subject.to_be_bytes());
        put_varint(self.slot_us, &mut bytes);
        put_varint(self.window.newest(), &mut bytes);
        bytes.push(self.share);
        let head = bytes.len();
        for (age, amount) in (0u8..).zip(self.window.counts()) {
            if *amount > 0 {
                bytes.push(age);
                put_varint(*amount, &mut bytes);
            }
        }
        if bytes.len() == head {
            return Vec::new();
        }
        // At most 1 + 16 + 10 + 10 + 1 + 17 * 11 = 225.
        let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
        if let Some(first) = bytes.first_mut() {
            *first = length;
        }
        bytes
    }

    fn ends_us(&self) -> u64 {
        self.window.ends_us(self.slot_us).unwrap_or(0)
    }

    /// Who is forgotten first: whoever is the farthest below its limit, and of
    /// those, whose window ends first.
    fn standing(&self) -> (u8, u64) {
        (self.share, self.ends_us())
    }
}

/// These bytes are no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Nothing more may be forgotten, and there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A shard's bytes. Invariant: records of the form above, up to
/// [`MAX_SHARD_BYTES`] of them between calls from outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RateShard {
    bytes: Vec<u8>,
}

impl RateShard {
    pub(super) fn empty() -> Self {
        Self { bytes: vec![VERSION] }
    }

    /// Takes bytes whose records have lengths that fit; what is in a record
    /// shows when it is read.
    pub(super) fn of(bytes: Vec<u8>) -> Result<Self, Damaged> {
        let Some((&VERSION, mut rest)) = bytes.split_first() else { return Err(Damaged) };
        if bytes.len() > MAX_SHARD_BYTES {
            return Err(Damaged);
        }
        while let Some(length) = rest.first() {
            let length = usize::from(*length);
            if length <= TAG_END {
                return Err(Damaged);
            }
            rest = rest.get(length..).ok_or(Damaged)?;
        }
        Ok(Self { bytes })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.bytes.len() <= 1
    }

    /// The window of this tag; for one that is not there, what the rule's floor
    /// says it may have had.
    pub(super) fn window(&self, tag: Tag) -> RateWindow {
        let floor = || tag.floor().and_then(|floor| self.find(floor));
        self.find(tag).or_else(floor).map_or_else(RateWindow::default, |record| record.window)
    }

    /// Puts a record in its place, or adds it, forgetting others if need be.
    pub(super) fn put(&mut self, record: &Record, now_us: u64) -> Result<(), Full> {
        self.replace(record);
        if self.bytes.len() <= MAX_SHARD_BYTES {
            return Ok(());
        }
        self.sweep(now_us);
        if self.bytes.len() > LEFT_BYTES {
            self.forget(record.tag);
        }
        if self.bytes.len() > MAX_SHARD_BYTES { Err(Full) } else { Ok(()) }
    }

    /// Leaves out what has run out, and what is no record; whether there was any.
    pub(super) fn sweep(&mut self, now_us: u64) -> bool {
        let before = self.bytes.len();
        let mut kept = vec![VERSION];
        for bytes in self.records() {
            if Record::decode(bytes).is_some_and(|record| record.ends_us() > now_us) {
                kept.extend_from_slice(bytes);
            }
        }
        self.bytes = kept;
        self.bytes.len() != before
    }

    /// Forgets those that stand lowest, but floors and one.
    fn forget(&mut self, but: Tag) {
        let others = self.records().filter_map(Record::decode);
        let others = others.filter(|record| record.tag != but && !record.tag.is_floor());
        let mut lowest: Vec<Record> = others.collect();
        lowest.sort_unstable_by_key(Record::standing);
        for record in lowest {
            if self.bytes.len() <= LEFT_BYTES {
                return;
            }
            self.remove(record.tag);
            if let Some(floor) = record.tag.floor() {
                let known = self.find(floor);
                let mut raised = known.unwrap_or(Record { tag: floor, ..record });
                raised.window.raise_to(&record.window);
                self.replace(&raised);
            }
        }
    }

    fn records(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.get(1..).unwrap_or_default();
        std::iter::from_fn(move || {
            let (record, after) = rest.split_at_checked(usize::from(*rest.first()?))?;
            rest = after;
            Some(record)
        })
    }

    fn find(&self, tag: Tag) -> Option<Record> {
        let (begin, end) = self.place(tag)?;
        Record::decode(self.bytes.get(begin..end)?)
    }

    /// Where the record of this tag begins and ends.
    fn place(&self, tag: Tag) -> Option<(usize, usize)> {
        let mut begin = 1;
        for record in self.records() {
            let end = begin + record.len();
            if record.get(1..).and_then(split_tag).is_some_and(|(found, _)| found == tag) {
                return Some((begin, end));
            }
            begin = end;
        }
        None
    }

    fn replace(&mut self, record: &Record) {
        let end = self.bytes.len();
        let (begin, end) = self.place(record.tag).unwrap_or((end, end));
        self.bytes.splice(begin..end, record.encode());
    }

    fn remove(&mut self, tag: Tag) {
        if let Some((begin, end)) = self.place(tag) {
            self.bytes.drain(begin..end);
        }
    }
}

fn split_tag(bytes: &[u8]) -> Option<(Tag, &[u8])> {
    let (rule, rest) = bytes.split_first_chunk()?;
    let (subject, rest) = rest.split_first_chunk()?;
    let (rule, subject) = (u64::from_be_bytes(*rule), u64::from_be_bytes(*subject));
    Some((Tag { rule, subject }, rest))
}

fn byte(rest: &mut &[u8]) -> Option<u8> {
    let (first, after) = rest.split_first()?;
    *rest = after;
    Some(*first)
}

/// Reads a number in the only form that [`put_varint`] gives it.
fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let next = byte(rest)?;
        let bits = u64::from(next & 0x7f);
        let shifted = bits << shift;
        if shifted >> shift != bits || (next == 0 && shift > 0) {
            return None;
        }
        value |= shifted;
        if next < 0x80 {
            return Some(value);
        }
    }
    None
}

fn put_varint(value: u64, out: &mut Vec<u8>) {
    let mut rest = value;
    loop {
        let low = u8::try_from(rest & 0x7f).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

/// Entry for the fuzzer: holds that any bytes are either no shard, or one whose
/// records are read in the only form in which they are written, and that a
/// window can be put into it without passing its bound or losing the window.
pub fn fuzz_rate_shard(data: &[u8]) {
    let Ok(mut shard) = RateShard::of(data.to_vec()) else { return };
    for bytes in shard.records() {
        if let Some(record) = Record::decode(bytes) {
            assert_eq!(record.encode(), bytes);
        }
    }
    let tag = Tag { rule: 1, subject: 7 };
    let mut window = shard.window(tag);
    window.add(1);
    let slot_us = 1_000_000;
    let record = Record { tag, slot_us, share: 3, window };
    if shard.put(&record, 0).is_ok() {
        assert!(shard.bytes.len() <= MAX_SHARD_BYTES);
        assert_eq!(shard.window(tag), window);
        shard.sweep(u64::MAX);
        assert!(shard.is_empty(), "everything runs out");
    }
}

#[cfg(test)]
mod tests;
