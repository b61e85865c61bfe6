//! One shard of the table: who holds how much of which subject.
//!
//! ```text
//! shard  = version (1 byte) record*
//! record = kind (1 byte) subject (16) holders (2) holder{holders}
//! holder = owner (4) count (4)
//! ```
//! All numbers are big-endian. There is one way to write a shard: subjects
//! ascend, and within each its owners; no count is 0, no record empty. Bytes
//! that are written otherwise are damaged, for nobody of us wrote them. The
//! kind is there for what is counted otherwise than connections are; a version
//! of the layout has keys of its own, so that no two versions meet.

use super::members::OwnerId;
use super::subject::Subject;
use std::num::NonZeroU32;

const VERSION: u8 = 1;
const CONNECTIONS: u8 = 1;

const RECORD_BYTES: usize = 19;
const HOLDER_BYTES: usize = 8;

/// Largest shard: 303 subjects of one holder each, or three of which every
/// possible owner ([`super::members::MAX_OWNERS`]) holds some.
pub(super) const MAX_SHARD_BYTES: usize = 8 << 10;

/// How much of a subject one owner holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Entry {
    pub(super) subject: Subject,
    pub(super) owner: OwnerId,
    /// Never 0.
    pub(super) count: u32,
}

/// These bytes are no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// The shard would be larger than [`MAX_SHARD_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// A shard's entries, by subject and owner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shard {
    entries: Vec<Entry>,
}

impl Shard {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let Some((&VERSION, mut rest)) = bytes.split_first() else { return Err(Damaged) };
        if bytes.len() > MAX_SHARD_BYTES {
            return Err(Damaged);
        }
        let mut entries: Vec<Entry> = Vec::with_capacity(rest.len() / HOLDER_BYTES);
        while !rest.is_empty() {
            let [CONNECTIONS] = take(&mut rest)? else { return Err(Damaged) };
            let subject = Subject(u128::from_be_bytes(take(&mut rest)?));
            let holders = u16::from_be_bytes(take(&mut rest)?);
            if holders == 0 || entries.last().is_some_and(|last| last.subject >= subject) {
                return Err(Damaged);
            }
            let mut before = 0;
            for _ in 0..holders {
                let owner = u32::from_be_bytes(take(&mut rest)?);
                let count = u32::from_be_bytes(take(&mut rest)?);
                if owner <= before || count == 0 {
                    return Err(Damaged);
                }
                before = owner;
                let owner = OwnerId(NonZeroU32::new(owner).ok_or(Damaged)?);
                entries.push(Entry { subject, owner, count });
            }
        }
        Ok(Self { entries })
    }

    pub(super) fn encode(&self) -> Result<Vec<u8>, Full> {
        let mut bytes = vec![VERSION];
        for holders in self.entries.chunk_by(|a, b| a.subject == b.subject) {
            let (Some(first), Ok(count)) = (holders.first(), u16::try_from(holders.len())) else {
                return Err(Full);
            };
            if bytes.len() + RECORD_BYTES + holders.len() * HOLDER_BYTES > MAX_SHARD_BYTES {
                return Err(Full);
            }
            bytes.push(CONNECTIONS);
            bytes.extend_from_slice(&first.subject.0.to_be_bytes());
            bytes.extend_from_slice(&count.to_be_bytes());
            for holder in holders {
                bytes.extend_from_slice(&holder.owner.0.get().to_be_bytes());
                bytes.extend_from_slice(&holder.count.to_be_bytes());
            }
        }
        Ok(bytes)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Leaves out the entries of all others.
    pub(super) fn retain(&mut self, lives: impl Fn(OwnerId) -> bool) {
        self.entries.retain(|entry| lives(entry.owner));
    }

    /// What all owners together hold of a subject.
    pub(super) fn held(&self, subject: Subject) -> u64 {
        let begin = self.entries.partition_point(|entry| entry.subject < subject);
        let of_subject = self.entries.iter().skip(begin).take_while(|e| e.subject == subject);
        of_subject.map(|entry| u64::from(entry.count)).sum()
    }

    /// Makes `owner` hold one more.
    pub(super) fn add(&mut self, owner: OwnerId, subject: Subject) {
        let place = self.entries.binary_search_by_key(&(subject, owner), |e| (e.subject, e.owner));
        match place {
            Ok(place) => {
                if let Some(entry) = self.entries.get_mut(place) {
                    entry.count = entry.count.saturating_add(1);
                }
            }
            Err(place) => self.entries.insert(place, Entry { subject, owner, count: 1 }),
        }
    }

    /// Makes `owner` hold exactly this: its subjects of this shard, each once.
    pub(super) fn settle(&mut self, owner: OwnerId, holds: impl Iterator<Item = (Subject, u32)>) {
        self.entries.retain(|entry| entry.owner != owner);
        let holds = holds.filter(|(_, count)| *count > 0);
        self.entries.extend(holds.map(|(subject, count)| Entry { subject, owner, count }));
        self.entries.sort_unstable();
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damaged> {
    let (taken, after) = rest.split_first_chunk().ok_or(Damaged)?;
    *rest = after;
    Ok(*taken)
}

/// Entry for the fuzzer: holds that bytes are either no shard, or the only way
/// to write what they say.
pub fn fuzz_shard(data: &[u8]) {
    if let Ok(shard) = Shard::decode(data) {
        assert_eq!(shard.encode().as_deref(), Ok(data));
        assert!(shard.entries.is_sorted() && shard.entries.iter().all(|e| e.count > 0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::members::MAX_OWNERS;
    use proptest::prelude::*;

    fn owner(id: u32) -> OwnerId {
        OwnerId(NonZeroU32::new(id).unwrap())
    }

    fn shard(entries: &[(u128, u32, u32)]) -> Shard {
        let entry = |&(subject, id, count): &(u128, u32, u32)| Entry {
            subject: Subject(subject),
            owner: owner(id),
            count,
        };
        Shard { entries: entries.iter().map(entry).collect() }
    }

    #[test]
    fn counts_of_a_subject_are_summed_over_its_owners() {
        let shard = shard(&[(1, 1, 5), (2, 1, 3), (2, 7, 4), (3, 2, u32::MAX), (3, 3, u32::MAX)]);
        assert_eq!(shard.held(Subject(2)), 7);
        assert_eq!(shard.held(Subject(3)), 2 * u64::from(u32::MAX));
        assert_eq!(shard.held(Subject(4)), 0);
    }

    #[test]
    fn an_owner_can_replace_only_what_it_holds_itself() {
        let mut table = shard(&[(1, 1, 5), (1, 2, 6), (2, 1, 3)]);
        table.settle(owner(1), [(Subject(9), 1), (Subject(1), 4), (Subject(3), 0)].into_iter());
        assert_eq!(table, shard(&[(1, 1, 4), (1, 2, 6), (9, 1, 1)]));
        table.retain(|id| id != owner(1));
        assert_eq!(table, shard(&[(1, 2, 6)]));
    }

    #[test]
    fn bytes_that_nobody_of_us_wrote_are_damaged() {
        let good = shard(&[(1, 1, 5), (1, 2, 6), (2, 1, 3)]).encode().unwrap();
        assert!(Shard::decode(&good).is_ok());
        for length in 0..good.len() {
            // A shard of the first record alone, or of none, is one too.
            let whole = [1, 1 + RECORD_BYTES + 2 * HOLDER_BYTES].contains(&length);
            assert_eq!(Shard::decode(&good[..length]).is_ok(), whole, "{length} bytes");
        }
        let mut swapped = good.clone();
        let (first, second) = (20, 28);
        for byte in 0..HOLDER_BYTES {
            swapped.swap(first + byte, second + byte);
        }
        assert_eq!(Shard::decode(&swapped), Err(Damaged), "owners in another order");
        assert_eq!(Shard::decode(&[2]), Err(Damaged), "another version");
        assert_eq!(Shard::decode(&[good.as_slice(), &good[1..]].concat()), Err(Damaged), "twice");
    }

    #[test]
    fn a_shard_is_bounded() {
        let subjects = (MAX_SHARD_BYTES - 1) / (RECORD_BYTES + HOLDER_BYTES);
        assert_eq!(subjects, 303);
        let of = |count: usize| -> Shard {
            let all: Vec<_> = (0..count as u128).map(|subject| (subject, 1, 1)).collect();
            shard(&all)
        };
        assert!(of(subjects).encode().unwrap().len() <= MAX_SHARD_BYTES);
        assert_eq!(of(subjects + 1).encode(), Err(Full));
    }

    #[test]
    fn three_totals_of_every_possible_owner_fit_into_one_shard() {
        let owners = u32::try_from(MAX_OWNERS).unwrap();
        let all: Vec<_> =
            (0..3).flat_map(|s| (1..=owners).map(move |id| (s, id, u32::MAX))).collect();
        assert!(shard(&all).encode().is_ok());
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            entries in proptest::collection::btree_map((0u128..6, 1u32..6), 1u32.., 0..30)
        ) {
            let entries: Vec<_> = entries.into_iter().map(|((s, o), c)| (s, o, c)).collect();
            let written = shard(&entries);
            prop_assert_eq!(Shard::decode(&written.encode().unwrap()), Ok(written));
        }

        #[test]
        fn any_bytes_are_a_shard_or_damaged(bytes in proptest::collection::vec(0u8..4, 0..80)) {
            fuzz_shard(&bytes);
        }

        #[test]
        fn any_change_of_a_byte_is_seen_or_another_shard(at: prop::sample::Index, byte: u8) {
            let mut bytes = shard(&[(1, 1, 5), (1, 2, 6), (2, 1, 3)]).encode().unwrap();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            fuzz_shard(&bytes);
        }
    }
}
