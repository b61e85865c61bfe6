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
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SLOT_US: u64 = 1_000_000;

    fn record(rule: u64, subject: u64, used: u64, slot: u64) -> Record {
        let mut counts = [0; COUNTERS];
        counts[0] = used;
        let window = RateWindow::of(slot, counts);
        let share = u8::try_from(used).unwrap_or(255);
        Record { tag: Tag { rule, subject }, slot_us: SLOT_US, share, window }
    }

    fn used(shard: &RateShard, rule: u64, subject: u64) -> u64 {
        shard.window(Tag { rule, subject }).used()
    }

    /// Puts windows of one use each, until some are forgotten.
    fn fill(shard: &mut RateShard, rule: u64) -> u64 {
        let mut subject = 1000;
        loop {
            let before = shard.records().count();
            shard.put(&record(rule, subject, 1, 50), 0).unwrap();
            if shard.records().count() <= before {
                return subject;
            }
            subject += 1;
        }
    }

    #[test]
    fn windows_stand_beside_one_another() {
        let mut shard = RateShard::empty();
        for (subject, uses) in [(1, 3), (2, 200), (1, 4), (3, u64::MAX)] {
            shard.put(&record(1, subject, uses, 9), 0).unwrap();
        }
        assert_eq!([1, 2, 3, 4].map(|subject| used(&shard, 1, subject)), [4, 200, u64::MAX, 0]);
        assert_eq!(used(&shard, 3, 1), 0, "another rule");
        assert_eq!(RateShard::of(shard.bytes().to_vec()), Ok(shard));
    }

    #[test]
    fn what_has_run_out_makes_room() {
        let mut shard = RateShard::empty();
        fill(&mut shard, 1);
        let later = 67 * SLOT_US;
        let before = shard.records().count();
        for subject in 0..100 {
            shard.put(&record(1, subject, 1, 67), later).unwrap();
        }
        assert!(before > 500 && shard.records().count() <= 100, "floors run out too");
        assert!(!shard.sweep(later));
        assert!(shard.sweep(later + 17 * SLOT_US) && shard.is_empty());
    }

    #[test]
    fn whoever_is_the_farthest_below_its_limit_is_forgotten_first() {
        let mut shard = RateShard::empty();
        shard.put(&record(1, 1, 200, 50), 0).unwrap();
        shard.put(&record(1, 2, 5, 50), 0).unwrap();
        fill(&mut shard, 1);
        for subject in 10_000..11_000 {
            shard.put(&record(1, subject, 2, 50), 0).unwrap();
        }
        assert_eq!(used(&shard, 1, 1), 200);
        assert_eq!(used(&shard, 1, 2), 5);
        assert!(shard.bytes().len() <= MAX_SHARD_BYTES);
    }

    #[test]
    fn nobody_who_was_forgotten_has_more_than_before() {
        let mut shard = RateShard::empty();
        fill(&mut shard, 1);
        assert_eq!(used(&shard, 1, 1000), 1, "its own, or the floor's");
        let newcomer = shard.window(Tag { rule: 1, subject: 77 });
        assert_eq!(newcomer.used(), 1, "as many as the most that anybody had");
    }

    #[test]
    fn strikes_are_forgotten_without_a_floor() {
        let mut shard = RateShard::empty();
        fill(&mut shard, 2);
        assert_eq!(used(&shard, 2, 77), 0, "nobody is punished for others");
    }

    #[test]
    fn a_shard_of_floors_takes_no_more() {
        let mut shard = RateShard::empty();
        let floors = (0..).map(|rule| record(rule * 2 + 1, 0, 9, 50));
        let full = floors.map(|floor| shard.put(&floor, 0)).find(Result::is_err);
        assert_eq!(full, Some(Err(Full)));
    }

    #[test]
    fn bytes_that_nobody_of_us_wrote_are_damaged() {
        assert_eq!(RateShard::of(Vec::new()), Err(Damaged));
        assert_eq!(RateShard::of(vec![2]), Err(Damaged), "another version");
        assert_eq!(RateShard::of(vec![VERSION, 0]), Err(Damaged), "a record without end");
        assert_eq!(RateShard::of(vec![VERSION; MAX_SHARD_BYTES + 1]), Err(Damaged));
        let mut shard = RateShard::empty();
        shard.put(&record(1, 1, 3, 9), 0).unwrap();
        let good = shard.bytes().to_vec();
        for length in 2..good.len() {
            assert_eq!(RateShard::of(good[..length].to_vec()), Err(Damaged), "{length} bytes");
        }
    }

    #[test]
    fn a_record_that_can_not_be_read_counts_for_nothing_and_is_swept() {
        let mut shard = RateShard::empty();
        shard.put(&record(1, 1, 3, 9), 0).unwrap();
        *shard.bytes.last_mut().unwrap() = 0;
        assert_eq!(used(&shard, 1, 1), 0);
        assert!(shard.sweep(0) && shard.is_empty());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            rule: u64, subject: u64, slot_us in 1u64.., newest: u64, share: u8,
            counts in proptest::array::uniform17(prop_oneof![Just(0u64), any::<u64>()]),
        ) {
            let window = RateWindow::of(newest, counts);
            let record = Record { tag: Tag { rule, subject }, slot_us, share, window };
            let bytes = record.encode();
            prop_assert_eq!(bytes.is_empty(), counts == [0; COUNTERS]);
            prop_assert!(bytes.len() <= 225);
            prop_assert!(bytes.is_empty() || Record::decode(&bytes) == Some(record));
        }

        #[test]
        fn any_bytes_are_a_shard_or_damaged(bytes in proptest::collection::vec(0u8..40, 0..200)) {
            fuzz_rate_shard(&[&[VERSION], bytes.as_slice()].concat());
            fuzz_rate_shard(&bytes);
        }

        #[test]
        fn any_change_of_a_byte_is_seen_or_another_shard(at: prop::sample::Index, byte: u8) {
            let mut shard = RateShard::empty();
            for subject in 0..4 {
                shard.put(&record(1, subject, subject + 1, 9), 0).unwrap();
            }
            let mut bytes = shard.bytes().to_vec();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            fuzz_rate_shard(&bytes);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

        /// The reason for floors: whatever comes and is forgotten, nobody is
        /// ever counted below what was taken.
        #[test]
        fn nobody_is_counted_below_what_it_has(
            uses in proptest::collection::vec((1u64..1200, 0u64..40), 800..2400)
        ) {
            let mut shard = RateShard::empty();
            let mut truth = std::collections::HashMap::<u64, RateWindow>::new();
            let mut slot = 100;
            for (subject, pause) in uses {
                slot += u64::from(pause == 0);
                let tag = Tag { rule: 1, subject };
                let mut window = shard.window(tag);
                window.advance_to(slot);
                let of = truth.entry(subject).or_default();
                of.advance_to(slot);
                prop_assert!(window.used() >= of.used(), "{} of {}", window.used(), of.used());
                window.add(1);
                of.add(1);
                let share = u8::try_from(window.used()).unwrap_or(255);
                let record = Record { tag, slot_us: SLOT_US, share, window };
                shard.put(&record, slot * SLOT_US).unwrap();
            }
        }
    }
}
