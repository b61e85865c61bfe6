//! Entry for the fuzzer: Pings of two voices and any Pongs to them.

use super::{MAX_OPEN, Pings, Pong, Probe};
use std::collections::BTreeMap;

/// A Ping of the other end, as the model remembers it.
struct Theirs {
    payload: [u8; 1],
    /// Number of our Pings that had gone before it.
    behind: u64,
    /// It has had a Pong, or one that stands for it, or a later one has.
    settled: bool,
}

/// Holds, for any order of Pings and Pongs: each Ping of ours is answered once; the Pong
/// that is made out of it answers a Ping of the other end that stood open before it, the
/// latest of those where there were no more than are remembered; no Ping of the other
/// end gets two Pongs; and what is remembered is bounded.
///
/// # Panics
/// If one of these does not hold.
pub fn fuzz_pings(data: &[u8]) {
    let mut pings = Pings::new([7; 32]);
    let (mut ours, mut theirs): (Vec<(Probe, bool)>, Vec<Theirs>) = (Vec::new(), Vec::new());
    let (mut passed, mut answered) = (BTreeMap::new(), BTreeMap::<[u8; 1], u32>::new());
    for step in data {
        let payload = [step >> 2 & 3];
        match step & 3 {
            0 => ours.push((pings.next(), false)),
            1 => {
                pings.pass_on(&payload);
                *passed.entry(payload).or_insert(0) += 1;
                let behind = pings.last();
                theirs.push(Theirs { payload, behind, settled: false });
            }
            2 => {
                let place = usize::from(step >> 2) % ours.len().max(1);
                let Some((probe, was_answered)) = ours.get_mut(place) else { continue };
                let number = u64::try_from(place).unwrap_or(u64::MAX) + 1;
                let pong = pings.answer(probe);
                let Pong::Ours { also, number: told } = pong else {
                    // So many are remembered.
                    assert!(*was_answered || pings.last() - number >= super::WINDOW);
                    continue;
                };
                assert!(told == number && !std::mem::replace(was_answered, true), "twice");
                let open = theirs.iter_mut().filter(|ping| ping.behind < number && !ping.settled);
                let latest = open.fold(None, |_, ping| {
                    ping.settled = true;
                    Some(ping.payload)
                });
                let also = also.and_then(|payload| <[u8; 1]>::try_from(payload.bytes()).ok());
                if let Some(made) = also {
                    assert!(latest.is_some(), "a Pong to no Ping");
                    *answered.entry(made).or_default() += 1;
                }
                if theirs.len() <= MAX_OPEN {
                    assert_eq!(also, latest, "not to the latest");
                }
            }
            _ => {
                if matches!(pings.answer(&payload), Pong::PassedOn { .. }) {
                    *answered.entry(payload).or_default() += 1;
                    let open = theirs.iter().position(|p| p.payload == payload && !p.settled);
                    let before = open.map_or(0, |place| place + 1);
                    theirs.iter_mut().take(before).for_each(|ping| ping.settled = true);
                }
            }
        }
        assert!(pings.open.len() <= MAX_OPEN);
        for (payload, count) in &answered {
            assert!(passed.get(payload).is_some_and(|sent| count <= sent), "two Pongs to one Ping");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn holds_in_any_order(data in prop::collection::vec(any::<u8>(), 0..200)) {
            fuzz_pings(&data);
        }
    }
}
