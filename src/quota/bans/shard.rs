//! One shard of the bans.
//!
//! ```text
//! shard  = version (1 byte) record*
//! record = subject (8) until (8) kind (1) policy who
//! policy, who = length (2) bytes
//! ```
//! Numbers are big-endian. The kind is 0 for no address, 4 and 6 for one, 1 for a
//! user, and 16 more in mode report. Subjects ascend.

use super::{Ban, Who};
use std::net::IpAddr;

const VERSION: u8 = 1;
const REPORT: u8 = 16;

/// Largest shard.
pub(super) const MAX_SHARD_BYTES: usize = 16 << 10;

/// These bytes are no shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct BanShard {
    pub(super) bans: Vec<Ban>,
}

impl BanShard {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        let Some((&VERSION, mut rest)) = bytes.split_first() else { return Err(Damaged) };
        if bytes.len() > MAX_SHARD_BYTES {
            return Err(Damaged);
        }
        let mut bans: Vec<Ban> = Vec::new();
        while !rest.is_empty() {
            let ban = ban(&mut rest).ok_or(Damaged)?;
            if bans.last().is_some_and(|last| last.subject >= ban.subject) {
                return Err(Damaged);
            }
            bans.push(ban);
        }
        Ok(Self { bans })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        for ban in &self.bans {
            bytes.extend_from_slice(&ban.subject.to_be_bytes());
            bytes.extend_from_slice(&ban.until_us.to_be_bytes());
            let (kind, who) = match &ban.who {
                Who::Address(None) => (0, Vec::new()),
                Who::Address(Some(IpAddr::V4(address))) => (4, address.octets().to_vec()),
                Who::Address(Some(IpAddr::V6(address))) => (6, address.octets().to_vec()),
                Who::User(user) => (1, user.as_bytes().to_vec()),
            };
            bytes.push(if ban.report { kind | REPORT } else { kind });
            text(ban.policy.as_bytes(), &mut bytes);
            text(&who, &mut bytes);
        }
        bytes
    }

    /// Subjects and until when each is banned, without all else.
    pub(super) fn heads(bytes: &[u8]) -> impl Iterator<Item = (u64, u64)> {
        let mut rest = bytes.get(1..).unwrap_or_default();
        std::iter::from_fn(move || head(&mut rest))
    }

    /// Until when a subject is banned.
    pub(super) fn until_us(bytes: &[u8], subject: u64) -> Option<u64> {
        Self::heads(bytes).find(|(found, _)| *found == subject).map(|(_, until)| until)
    }

    /// Adds a ban; false when its subject is there already.
    pub(super) fn insert(&mut self, ban: Ban) -> bool {
        match self.bans.binary_search_by_key(&ban.subject, |known| known.subject) {
            Ok(_) => false,
            Err(place) => {
                self.bans.insert(place, ban);
                true
            }
        }
    }
}

/// Reads subject and end, and goes on to the next record.
fn head(rest: &mut &[u8]) -> Option<(u64, u64)> {
    let subject = u64::from_be_bytes(take(rest)?);
    let until_us = u64::from_be_bytes(take(rest)?);
    let [_] = take(rest)?;
    let (_, _) = (part(rest)?, part(rest)?);
    Some((subject, until_us))
}

fn ban(rest: &mut &[u8]) -> Option<Ban> {
    let subject = u64::from_be_bytes(take(rest)?);
    let until_us = u64::from_be_bytes(take(rest)?);
    let [kind] = take(rest)?;
    let policy = std::str::from_utf8(part(rest)?).ok()?.to_owned();
    let who = part(rest)?;
    let who = match kind & !REPORT {
        0 if who.is_empty() => Who::Address(None),
        4 => Who::Address(Some(IpAddr::from(<[u8; 4]>::try_from(who).ok()?))),
        6 => Who::Address(Some(IpAddr::from(<[u8; 16]>::try_from(who).ok()?))),
        1 => Who::User(std::str::from_utf8(who).ok()?.to_owned()),
        _ => return None,
    };
    Some(Ban { subject, until_us, policy, who, report: kind & REPORT != 0 })
}

fn text(part: &[u8], bytes: &mut Vec<u8>) {
    // Names of policies and users are cut long before.
    let part = part.get(..usize::from(u16::MAX)).unwrap_or(part);
    bytes.extend_from_slice(&u16::try_from(part.len()).unwrap_or(u16::MAX).to_be_bytes());
    bytes.extend_from_slice(part);
}

fn part<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = u16::from_be_bytes(take(rest)?);
    let (part, after) = rest.split_at_checked(usize::from(length))?;
    *rest = after;
    Some(part)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

/// Entry for the fuzzer: holds that bytes are either no shard, or the only way to
/// write what they say, and that a ban is found without reading all of it.
pub fn fuzz_ban_shard(data: &[u8]) {
    let Ok(shard) = BanShard::decode(data) else { return };
    assert_eq!(shard.encode(), data);
    for ban in &shard.bans {
        assert_eq!(BanShard::until_us(data, ban.subject), Some(ban.until_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ban(subject: u64, who: Who) -> Ban {
        Ban { subject, until_us: subject * 7, policy: "chat".into(), who, report: subject % 2 == 1 }
    }

    fn some() -> BanShard {
        let addresses = ["192.0.2.1", "2001:db8::1"].map(|text| Some(text.parse().unwrap()));
        let all = addresses.into_iter().chain([None]).map(Who::Address);
        let all = all.chain([Who::User("key:robot".into()), Who::User(String::new())]);
        BanShard { bans: (0..).zip(all).map(|(subject, who)| ban(subject, who)).collect() }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let bytes = some().encode();
        assert_eq!(BanShard::decode(&bytes), Ok(some()));
        assert_eq!(BanShard::until_us(&bytes, 3), Some(21));
        assert_eq!(BanShard::until_us(&bytes, 99), None);
        fuzz_ban_shard(&bytes);
    }

    /// As the README tells it.
    #[test]
    fn there_is_room_for_so_many() {
        let room = |policy: usize, who: Who| {
            let ban = Ban { policy: "p".repeat(policy), ..ban(0, who) };
            let bytes = BanShard { bans: vec![ban] }.encode().len() - 1;
            256 * ((MAX_SHARD_BYTES - 1) / bytes) / 1000
        };
        let address = |text: &str| Who::Address(Some(text.parse().unwrap()));
        assert_eq!(room(4, address("192.0.2.1")), 144);
        assert_eq!(room(64, address("2001:db8::1")), 41);
        assert_eq!(room(64, Who::User("u".repeat(256))), 12);
    }

    #[test]
    fn bytes_that_nobody_of_us_wrote_are_damaged() {
        let good = some().encode();
        let ends: Vec<usize> = (0..=5)
            .map(|count| BanShard { bans: some().bans[..count].to_vec() }.encode().len())
            .collect();
        for length in 0..good.len() {
            assert_eq!(BanShard::decode(&good[..length]).is_ok(), ends.contains(&length));
        }
        assert_eq!(BanShard::decode(&[2]), Err(Damaged), "another version");
        assert_eq!(BanShard::decode(&[good.as_slice(), &good[1..]].concat()), Err(Damaged));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_shard_or_damaged(bytes in proptest::collection::vec(0u8..20, 0..120)) {
            fuzz_ban_shard(&[&[VERSION], bytes.as_slice()].concat());
        }

        #[test]
        fn any_change_of_a_byte_is_seen_or_another_shard(at: prop::sample::Index, byte: u8) {
            let mut bytes = some().encode();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            fuzz_ban_shard(&bytes);
        }
    }
}
