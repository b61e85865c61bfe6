//! The owners: which VMs are alive, as all of them agree.
//!
//! ```text
//! members = version (1 byte) salt (16) next (4) count (2) member{count}
//! member  = owner (4) beat (4)
//! ```
//! Numbers are big-endian, owners ascend and are below `next`. An owner is
//! alive while it stands here, dead when it does not, and its number is never
//! given again: a VM that is started anew, or comes back after it was struck
//! out, is another owner.

use super::subject::Salt;
use std::collections::BTreeMap;
use std::num::NonZeroU32;

const VERSION: u8 = 1;

/// Most owners at a time: each worker thread has one VM for every version of
/// the module and every `vm_config` that it runs under one `vm_id`.
pub(super) const MAX_OWNERS: usize = 256;

/// Rounds of its own that an observer waits for a beat before it strikes an
/// owner out.
pub(super) const LEASE_ROUNDS: u32 = 10;

/// An instance of a VM, as long as it is not struck out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct OwnerId(pub(super) NonZeroU32);

/// These bytes are no members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Nobody more can join: [`MAX_OWNERS`] are alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NoPlace;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    owner: OwnerId,
    beat: u32,
}

/// Who is alive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Members {
    salt: Salt,
    /// Above every owner that ever was; 0 when there are no numbers left.
    next: u32,
    alive: Vec<Member>,
}

impl Members {
    /// Nobody; owners are numbered from the one after `last`.
    pub(super) fn new(salt: Salt, last: Option<OwnerId>) -> Self {
        let next = last.map_or(1, |owner| owner.0.get().checked_add(1).unwrap_or(0));
        Self { salt, next, alive: Vec::new() }
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let mut rest = bytes;
        let [VERSION] = take(&mut rest)? else { return Err(Damaged) };
        let salt = Salt(take(&mut rest)?);
        let next = u32::from_be_bytes(take(&mut rest)?);
        let count = u16::from_be_bytes(take(&mut rest)?);
        if usize::from(count) > MAX_OWNERS {
            return Err(Damaged);
        }
        let mut alive = Vec::with_capacity(usize::from(count));
        let mut before = 0;
        for _ in 0..count {
            let owner = u32::from_be_bytes(take(&mut rest)?);
            let beat = u32::from_be_bytes(take(&mut rest)?);
            if owner <= before || (next != 0 && owner >= next) {
                return Err(Damaged);
            }
            before = owner;
            let owner = OwnerId(NonZeroU32::new(owner).ok_or(Damaged)?);
            alive.push(Member { owner, beat });
        }
        if rest.is_empty() { Ok(Self { salt, next, alive }) } else { Err(Damaged) }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.salt.0);
        bytes.extend_from_slice(&self.next.to_be_bytes());
        // Never more than `MAX_OWNERS`.
        bytes.extend_from_slice(&u16::try_from(self.alive.len()).unwrap_or(0).to_be_bytes());
        for member in &self.alive {
            bytes.extend_from_slice(&member.owner.0.get().to_be_bytes());
            bytes.extend_from_slice(&member.beat.to_be_bytes());
        }
        bytes
    }

    pub(super) const fn salt(&self) -> Salt {
        self.salt
    }

    pub(super) fn lives(&self, owner: OwnerId) -> bool {
        self.alive.binary_search_by_key(&owner, |member| member.owner).is_ok()
    }

    /// Shows that `owner` lives; false when it was struck out.
    pub(super) fn beat(&mut self, owner: OwnerId) -> bool {
        let place = self.alive.binary_search_by_key(&owner, |member| member.owner);
        match place.ok().and_then(|place| self.alive.get_mut(place)) {
            Some(member) => {
                member.beat = member.beat.wrapping_add(1);
                true
            }
            None => false,
        }
    }

    /// Makes room for a new owner.
    pub(super) fn join(&mut self) -> Result<OwnerId, NoPlace> {
        let owner = OwnerId(NonZeroU32::new(self.next).ok_or(NoPlace)?);
        if self.alive.len() >= MAX_OWNERS {
            return Err(NoPlace);
        }
        self.next = self.next.checked_add(1).unwrap_or(0);
        self.alive.push(Member { owner, beat: 0 });
        Ok(owner)
    }

    /// Strikes out all that the watch has found silent.
    pub(super) fn strike_out(&mut self, watch: &Watch) {
        self.alive.retain(|member| !watch.is_silent(member));
    }
}

/// What one VM has seen of the others' beats.
///
/// No clock is read: an owner is silent when it has not moved while the
/// observer itself went through [`LEASE_ROUNDS`] rounds. So when the whole
/// process stood still nobody looks dead afterwards, and no jump of a clock
/// can make anybody look dead or keep the dead alive.
#[derive(Debug, Default)]
pub(super) struct Watch {
    seen: BTreeMap<OwnerId, Seen>,
}

#[derive(Clone, Copy, Debug)]
struct Seen {
    beat: u32,
    rounds: u32,
}

impl Watch {
    /// To be called once in a round.
    pub(super) fn observe(&mut self, members: &Members, me: Option<OwnerId>) {
        let others = members.alive.iter().filter(|member| Some(member.owner) != me);
        let seen = others.map(|member| {
            let rounds = match self.seen.get(&member.owner) {
                Some(before) if before.beat == member.beat => before.rounds.saturating_add(1),
                _ => 0,
            };
            (member.owner, Seen { beat: member.beat, rounds })
        });
        self.seen = seen.collect();
    }

    fn is_silent(&self, member: &Member) -> bool {
        let seen = self.seen.get(&member.owner);
        // A beat since the observation is a sign of life.
        seen.is_some_and(|seen| seen.beat == member.beat && seen.rounds >= LEASE_ROUNDS)
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Damaged> {
    let (taken, after) = rest.split_first_chunk().ok_or(Damaged)?;
    *rest = after;
    Ok(*taken)
}

/// Entry for the fuzzer: holds that bytes are either no members, or the only
/// way to write what they say.
pub fn fuzz_members(data: &[u8]) {
    if let Ok(members) = Members::decode(data) {
        assert_eq!(members.encode(), data);
        assert!(members.alive.is_sorted_by_key(|member| member.owner));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(count: usize) -> (Members, Vec<OwnerId>) {
        let mut members = Members::new(Salt([3; 16]), None);
        let owners = (0..count).map(|_| members.join().unwrap()).collect();
        (members, owners)
    }

    #[test]
    fn an_owner_is_never_taken_for_a_dead_one_of_its_place() {
        let (mut members, owners) = of(2);
        members.alive.clear();
        let again = members.join().unwrap();
        assert!(!owners.contains(&again));
        assert!(!members.beat(owners[0]) && !members.lives(owners[1]) && members.lives(again));
    }

    #[test]
    fn places_are_bounded_and_numbers_run_out_instead_of_around() {
        let (mut members, _) = of(MAX_OWNERS);
        assert_eq!(members.join(), Err(NoPlace));
        assert_eq!(Members::decode(&members.encode()), Ok(members));
        let last = OwnerId(NonZeroU32::new(u32::MAX - 1).unwrap());
        let mut members = Members::new(Salt([3; 16]), Some(last));
        assert!(members.join().is_ok());
        assert_eq!(Members::decode(&members.encode()), Ok(members.clone()));
        assert_eq!(members.join(), Err(NoPlace));
    }

    #[test]
    fn only_who_is_silent_for_the_lease_is_struck_out() {
        let (mut members, owners) = of(3);
        let mut watch = Watch::default();
        for round in 0..=LEASE_ROUNDS {
            members.strike_out(&watch);
            assert_eq!(members.alive.len(), 3, "in round {round}");
            assert!(members.beat(owners[1]));
            watch.observe(&members, Some(owners[2]));
        }
        members.strike_out(&watch);
        let alive = owners.iter().map(|owner| members.lives(*owner));
        assert!(alive.eq([false, true, true]), "the observer does not strike itself out");
    }

    #[test]
    fn a_beat_in_the_last_moment_saves() {
        let (mut members, owners) = of(1);
        let mut watch = Watch::default();
        (0..=LEASE_ROUNDS).for_each(|_| watch.observe(&members, None));
        assert!(members.beat(owners[0]));
        members.strike_out(&watch);
        assert!(members.lives(owners[0]));
    }

    #[test]
    fn bytes_that_nobody_of_us_wrote_are_damaged() {
        let good = of(2).0.encode();
        for length in 0..good.len() {
            assert_eq!(Members::decode(&good[..length]), Err(Damaged), "{length} bytes");
        }
        assert_eq!(Members::decode(&[good.as_slice(), &[0]].concat()), Err(Damaged));
    }

    proptest! {
        #[test]
        fn any_change_of_a_byte_is_seen_or_says_something_else(at: prop::sample::Index, byte: u8) {
            let mut bytes = of(3).0.encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            fuzz_members(&bytes);
        }

        #[test]
        fn any_bytes_are_members_or_damaged(bytes in proptest::collection::vec(0u8..3, 0..60)) {
            fuzz_members(&bytes);
        }
    }
}
