//! What was taken of one rate lately.

use super::{Exceeded, Rate, SLOTS, micros};
use std::time::Duration;

/// Slots that are looked at: the one that has begun, and a period's.
pub(super) const COUNTERS: usize = 17;

/// Counts of the slots of one rate; nothing at first. It must be used with one
/// rate, whose limit may change and whose period may not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateWindow {
    /// Number of the newest slot, counted from the clock's beginning.
    newest: u64,
    /// By age in slots: the newest first.
    counts: [u64; COUNTERS],
}

impl RateWindow {
    pub(super) const fn of(newest: u64, counts: [u64; COUNTERS]) -> Self {
        Self { newest, counts }
    }

    pub(super) const fn newest(&self) -> u64 {
        self.newest
    }

    pub(super) const fn counts(&self) -> &[u64; COUNTERS] {
        &self.counts
    }

    /// Takes `amount` at `now`, the time of a clock that never goes back.
    ///
    /// # Errors
    /// When the rate does not allow it; then nothing is taken.
    pub fn take(&mut self, now: Duration, amount: u64, rate: &Rate) -> Result<(), Exceeded> {
        self.check(now, amount, rate)?;
        self.add(amount);
        Ok(())
    }

    /// Whether [`Self::take`] would take it.
    ///
    /// # Errors
    /// As [`Self::take`].
    pub fn check(&mut self, now: Duration, amount: u64, rate: &Rate) -> Result<(), Exceeded> {
        self.advance(now, rate);
        let above = self.used().saturating_add(amount).saturating_sub(rate.limit());
        if above == 0 {
            return Ok(());
        }
        Err(Exceeded { retry_after: self.retry_after(micros(now), above, rate.slot_us()) })
    }

    /// Counts `amount` in the newest slot, whatever the limit.
    pub(super) fn add(&mut self, amount: u64) {
        if let Some(newest) = self.counts.first_mut() {
            *newest = newest.saturating_add(amount);
        }
    }

    /// Gives back `amount` that was counted in a slot and not used.
    pub(super) fn give_back(&mut self, slot: u64, amount: u64) {
        let age = self.newest.checked_sub(slot).and_then(|age| usize::try_from(age).ok());
        if let Some(count) = age.and_then(|age| self.counts.get_mut(age)) {
            *count = count.saturating_sub(amount);
        }
    }

    /// Everything that still counts.
    pub(super) fn used(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Lets time pass. A worker that looked at the clock before another one
    /// counts with that one's time.
    pub(super) fn advance(&mut self, now: Duration, rate: &Rate) {
        self.advance_to(micros(now) / rate.slot_us());
    }

    pub(super) fn advance_to(&mut self, slot: u64) {
        let by = usize::try_from(slot.saturating_sub(self.newest)).unwrap_or(COUNTERS);
        let by = by.min(COUNTERS);
        self.counts.rotate_right(by);
        self.counts.iter_mut().take(by).for_each(|count| *count = 0);
        self.newest = self.newest.max(slot);
    }

    /// When the newest slot ends, in microseconds.
    pub(super) const fn newest_ends_us(&self, slot_us: u64) -> u64 {
        self.newest.saturating_add(1).saturating_mul(slot_us)
    }

    /// Raises each slot to what the other has in it.
    pub(super) fn raise_to(&mut self, other: &Self) {
        let mut other = *other;
        self.advance_to(other.newest);
        other.advance_to(self.newest);
        for (count, least) in self.counts.iter_mut().zip(other.counts) {
            *count = (*count).max(least);
        }
    }

    /// When the last count has left the window, in microseconds; `None` when
    /// there is none.
    pub(super) fn ends_us(&self, slot_us: u64) -> Option<u64> {
        let youngest = self.counts.iter().position(|count| *count > 0)?;
        Some(self.leaves_us(youngest, slot_us))
    }

    /// How long until at least `above` of what counts has left.
    fn retry_after(&self, now_us: u64, above: u64, slot_us: u64) -> Option<Duration> {
        let mut left = 0u64;
        for (age, count) in self.counts.iter().enumerate().rev() {
            left = left.saturating_add(*count);
            if left >= above {
                let at = self.leaves_us(age, slot_us);
                return Some(Duration::from_micros(at.saturating_sub(now_us).max(1)));
            }
        }
        None
    }

    /// When the slot of this age is looked at no more.
    fn leaves_us(&self, age: usize, slot_us: u64) -> u64 {
        let slot = self.newest.saturating_sub(u64::try_from(age).unwrap_or(u64::MAX));
        slot.saturating_add(SLOTS + 1).saturating_mul(slot_us)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rate(limit: u64, millis: u64) -> Rate {
        Rate::new(limit, Duration::from_millis(millis)).unwrap()
    }

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn all_may_come_at_once_and_one_more_waits_for_the_period() {
        let rate = rate(100, 60_000);
        let mut window = RateWindow::default();
        for _ in 0..100 {
            window.take(ms(1_000_000), 1, &rate).unwrap();
        }
        let Err(Exceeded { retry_after: Some(wait) }) = window.take(ms(1_000_000), 1, &rate) else {
            panic!("101 in a minute");
        };
        assert!((ms(60_000)..=ms(63_750)).contains(&wait), "{wait:?}");
        assert!(window.take(ms(1_060_000), 1, &rate).is_err(), "the period's end still counts");
        let just_before = ms(1_000_000) + wait - Duration::from_micros(1);
        assert!(window.take(just_before, 1, &rate).is_err());
        for _ in 0..100 {
            window.take(ms(1_000_000) + wait, 1, &rate).unwrap();
        }
    }

    #[test]
    fn a_period_across_slots_holds_no_more_either() {
        // A bucket would let 100 come at 59 s, and another 98 a second later.
        let rate = rate(100, 60_000);
        let mut window = RateWindow::default();
        (0..100).for_each(|_| window.take(ms(59_000), 1, &rate).unwrap());
        for second in 60..119 {
            assert!(window.take(ms(second * 1000), 1, &rate).is_err(), "at {second} s");
        }
    }

    #[test]
    fn bytes_are_taken_as_a_whole_or_not_at_all() {
        let rate = rate(1000, 1000);
        let mut window = RateWindow::default();
        window.take(ms(0), 600, &rate).unwrap();
        assert!(window.take(ms(0), 401, &rate).is_err());
        window.take(ms(0), 400, &rate).unwrap();
        window.take(ms(0), 0, &rate).unwrap();
        assert_eq!(window.take(ms(0), 1001, &rate), Err(Exceeded { retry_after: None }));
        assert_eq!(window.take(ms(0), u64::MAX, &rate), Err(Exceeded { retry_after: None }));
    }

    #[test]
    fn what_is_given_back_may_be_taken_again_once() {
        let rate = rate(2, 1000);
        let mut window = RateWindow::default();
        window.take(ms(500), 2, &rate).unwrap();
        let slot = window.newest();
        for late in [500, 900, 1000] {
            assert!(window.take(ms(late), 1, &rate).is_err());
            window.give_back(slot, 1);
            window.take(ms(late), 1, &rate).unwrap();
        }
        window.take(ms(1900), 0, &rate).unwrap();
        let used = window.used();
        window.give_back(slot, u64::MAX);
        window.give_back(window.newest() + 1, u64::MAX);
        assert_eq!(window.used(), used, "it has left, or has not come yet");
    }

    #[test]
    fn a_lower_limit_holds_against_what_was_taken_under_a_higher_one() {
        let mut window = RateWindow::default();
        (0..5).for_each(|_| window.take(ms(0), 1, &rate(5, 1000)).unwrap());
        assert!(window.take(ms(900), 1, &rate(3, 1000)).is_err());
        assert!(window.take(ms(900), 1, &rate(6, 1000)).is_ok());
    }

    #[test]
    fn a_clock_behind_anothers_counts_with_that_ones() {
        let rate = rate(3, 1000);
        let mut window = RateWindow::default();
        window.take(ms(5000), 1, &rate).unwrap();
        window.take(ms(4900), 2, &rate).unwrap();
        assert!(window.take(ms(4900), 1, &rate).is_err());
        assert!(window.take(ms(5999), 1, &rate).is_err());
        assert!(window.take(ms(6100), 1, &rate).is_ok());
    }

    /// A moment up to four periods after the last.
    fn steps() -> impl Strategy<Value = Vec<(u64, u64)>> {
        let pause = prop_oneof![Just(0u64), 1u64..2000, 10_000u64..200_000, 0u64..4_000_000];
        proptest::collection::vec((pause, 0u64..12), 1..200)
    }

    proptest! {
        #[test]
        fn no_period_holds_more_than_the_limit(
            steps in steps(), limit in 1u64..20, period_us in 1u64..1_000_000
        ) {
            let rate = Rate::new(limit, Duration::from_micros(period_us)).unwrap();
            let mut window = RateWindow::default();
            let (mut now, mut taken) = (0u64, Vec::new());
            for (pause, amount) in steps {
                now += pause;
                match window.take(Duration::from_micros(now), amount, &rate) {
                    Ok(()) => taken.push((now, amount)),
                    Err(Exceeded { retry_after: None }) => prop_assert!(amount > limit),
                    Err(Exceeded { retry_after: Some(wait) }) => {
                        let mut later = window;
                        let at = Duration::from_micros(now) + wait;
                        prop_assert!(later.take(at, amount, &rate).is_ok(), "it said when");
                        let before = at - Duration::from_micros(1);
                        let mut early = window;
                        prop_assert!(early.check(before, amount, &rate).is_err(), "not before");
                    }
                }
            }
            // Every period that begins with something taken, both ends included.
            for (place, (begin, _)) in taken.iter().enumerate() {
                let within = taken.iter().skip(place).take_while(|(at, _)| at - begin <= period_us);
                let sum: u64 = within.map(|(_, amount)| amount).sum();
                prop_assert!(sum <= limit, "{} from {}", sum, begin);
            }
        }

        #[test]
        fn after_a_period_and_a_sixteenth_all_is_there_again(
            steps in steps(), limit in 1u64..20, millis in 1u64..1000
        ) {
            let rate = rate(limit, millis);
            let mut window = RateWindow::default();
            let mut now = 0;
            for (pause, amount) in steps {
                now += pause;
                let _ = window.take(Duration::from_micros(now), amount, &rate);
            }
            let ends = window.ends_us(rate.slot_us()).unwrap_or(0);
            prop_assert!(ends <= now + 17 * rate.slot_us());
            let rest = Duration::from_micros(now + 17 * rate.slot_us());
            prop_assert!(window.take(rest, limit, &rate).is_ok());
        }

        #[test]
        fn raised_windows_have_at_least_what_either_had(
            ours in proptest::array::uniform17(0u64..5), theirs in proptest::array::uniform17(0u64..5),
            newest in 20u64..60, other in 20u64..60,
        ) {
            let (one, two) = (RateWindow::of(newest, ours), RateWindow::of(other, theirs));
            let mut raised = one;
            raised.raise_to(&two);
            for slot in newest.max(other)..newest.max(other) + 20 {
                let used = |mut window: RateWindow| {
                    window.advance_to(slot);
                    window.used()
                };
                prop_assert!(used(raised) >= used(one).max(used(two)));
                prop_assert!(used(raised) <= used(one) + used(two));
            }
        }
    }
}
