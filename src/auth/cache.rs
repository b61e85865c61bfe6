//! What services have answered a while ago. All times are of the steady clock.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Longest time that a no is kept: somebody may have been let in since.
pub(super) const MAX_NO: Duration = Duration::from_secs(10);

/// Most bytes that the kept answers of a kind have together; what is made of
/// them takes a small multiple.
const MAX_BYTES: usize = 8 << 20;

/// What was answered a while ago, the newest of it.
#[derive(Debug)]
pub(super) struct Cache<V> {
    kept: HashMap<[u8; 32], Kept<V>>,
    /// The oldest first; each of `kept` once.
    order: VecDeque<[u8; 32]>,
    most: usize,
    bytes: usize,
}

#[derive(Debug)]
struct Kept<V> {
    value: V,
    until: Duration,
    bytes: usize,
}

impl<V> Cache<V> {
    pub(super) fn new(most: usize) -> Self {
        Self { kept: HashMap::new(), order: VecDeque::new(), most, bytes: 0 }
    }

    pub(super) fn find(&self, question: &[u8; 32], now: Duration) -> Option<&V> {
        let kept = self.kept.get(question)?;
        (now < kept.until).then_some(&kept.value)
    }

    /// Keeps what an answer of so many bytes has said, and lets go of the oldest
    /// where there is no room.
    pub(super) fn keep(
        &mut self,
        question: [u8; 32],
        (value, bytes): (V, usize),
        now: Duration,
        time: Duration,
    ) {
        let until = now.saturating_add(time);
        self.bytes += bytes;
        match self.kept.insert(question, Kept { value, until, bytes }) {
            Some(old) => self.bytes = self.bytes.saturating_sub(old.bytes),
            None => self.order.push_back(question),
        }
        while self.kept.len() > self.most || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            let old = self.kept.remove(&oldest).map_or(0, |old| old.bytes);
            self.bytes = self.bytes.saturating_sub(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_forgets() {
        let at = Duration::from_secs;
        let mut cache = Cache::new(2);
        for place in 1..=3 {
            cache.keep([place; 32], (place, 100), at(10), Duration::from_secs(5));
        }
        assert_eq!(cache.find(&[1; 32], at(10)), None, "the oldest");
        assert_eq!(cache.find(&[2; 32], at(14)), Some(&2));
        assert_eq!(cache.find(&[2; 32], at(15)), None);
        assert_eq!((cache.kept.len(), cache.order.len(), cache.bytes), (2, 2, 200));
    }

    #[test]
    fn long_answers_are_fewer_answers() {
        let mut cache = Cache::new(4096);
        let now = Duration::ZERO;
        for place in 0..=u8::MAX {
            cache.keep([place; 32], (place, 256 << 10), now, Duration::from_secs(5));
            cache.keep([place; 32], (place, 256 << 10), now, Duration::from_secs(5));
        }
        assert_eq!((cache.kept.len(), cache.order.len()), (32, 32));
        assert_eq!(cache.bytes, MAX_BYTES);
        assert_eq!(cache.find(&[255; 32], now), Some(&255), "the newest");
    }
}
