//! What all workers know of one key set, as it stands in shared data.
//!
//! ```text
//! state = version (2) rounds (8) fetched (8) tried (8) asked (8) lease (8) failures (4) body
//! ```
//! All numbers are big-endian; times are milliseconds of the steady clock, 0 for
//! never. The body is the key set as it was published, empty before the
//! first one came.

use std::time::Duration;

const VERSION: u8 = 2;

/// One key set's state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Fetches that have ended, well or not.
    pub(super) rounds: u64,
    /// When the body was last had from the issuer.
    pub(super) fetched_ms: u64,
    /// When the last fetch began.
    pub(super) tried_ms: u64,
    /// When a token with a key that is not in the set last made one begin.
    pub(super) asked_ms: u64,
    /// Until when whoever fetches has the right to.
    pub(super) lease_ms: u64,
    /// Fetches that failed since the last good one.
    pub(super) failures: u32,
    /// As published; empty: none yet.
    pub(super) body: Vec<u8>,
}

impl State {
    /// `None` for bytes that nobody of us wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (&version, mut rest) = bytes.split_first()?;
        if version != VERSION {
            return None;
        }
        let mut number = || {
            let (number, after) = rest.split_first_chunk::<8>()?;
            rest = after;
            Some(u64::from_be_bytes(*number))
        };
        let (rounds, fetched_ms, tried_ms) = (number()?, number()?, number()?);
        let (asked_ms, lease_ms) = (number()?, number()?);
        let (failures, body) = rest.split_first_chunk::<4>()?;
        Some(Self {
            rounds,
            fetched_ms,
            tried_ms,
            asked_ms,
            lease_ms,
            failures: u32::from_be_bytes(*failures),
            body: body.to_vec(),
        })
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(45 + self.body.len());
        bytes.push(VERSION);
        let numbers = [self.rounds, self.fetched_ms, self.tried_ms, self.asked_ms, self.lease_ms];
        for number in numbers {
            bytes.extend_from_slice(&number.to_be_bytes());
        }
        bytes.extend_from_slice(&self.failures.to_be_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Whether somebody is fetching. Nobody is for longer than `longest`: whoever
    /// wrote a lease beyond that was none of us.
    pub(super) fn is_leased(&self, now_ms: u64, longest: Duration) -> bool {
        now_ms < self.lease_ms && self.lease_ms - now_ms <= ms(longest)
    }

    /// How long ago a moment was; `None`: never, or it lies ahead, where none of
    /// us writes one.
    pub(super) fn age(now_ms: u64, then_ms: u64) -> Option<Duration> {
        if then_ms == 0 {
            return None;
        }
        now_ms.checked_sub(then_ms).map(Duration::from_millis)
    }
}

/// Milliseconds of the steady clock, as they stand in a state: never 0.
pub(super) fn steady_ms(at: Duration) -> u64 {
    ms(at).max(1)
}

/// Milliseconds.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Entry for the fuzzer: holds that what is read is written the same again.
pub fn fuzz_keys_state(data: &[u8]) {
    if let Some(state) = State::decode(data) {
        assert_eq!(state.encode(), data);
        assert!(!state.is_leased(u64::MAX, Duration::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn state() -> State {
        State {
            rounds: 3,
            fetched_ms: 10,
            tried_ms: 20,
            asked_ms: 15,
            lease_ms: 30,
            failures: 2,
            body: b"{}".to_vec(),
        }
    }

    #[test]
    fn what_is_written_is_read_and_nothing_shorter_is() {
        let bytes = state().encode();
        assert_eq!(State::decode(&bytes), Some(state()));
        for length in 0..45 {
            assert_eq!(State::decode(&bytes[..length]), None, "{length}");
        }
        let mut other = bytes;
        other[0] = 1;
        assert_eq!(State::decode(&other), None);
    }

    #[test]
    fn a_lease_ends_by_itself_and_none_is_longer_than_the_longest() {
        let longest = Duration::from_millis(20);
        assert!(state().is_leased(29, longest));
        assert!(!state().is_leased(30, longest));
        assert!(!state().is_leased(9, longest), "nobody leases for so long");
    }

    #[test]
    fn what_lies_ahead_never_was() {
        assert_eq!(State::age(100, 0), None);
        assert_eq!(State::age(100, 40), Some(Duration::from_millis(60)));
        assert_eq!(State::age(100, 100), Some(Duration::ZERO));
        assert_eq!(State::age(100, 101), None);
    }

    proptest! {
        #[test]
        fn holds_on_anything(data in proptest::collection::vec(any::<u8>(), 0..80)) {
            fuzz_keys_state(&data);
            let mut ours = state().encode();
            ours.extend(&data);
            fuzz_keys_state(&ours);
        }
    }
}
