//! A cap on event lines, so that a flood of bad clients can't fill a disk.

use crate::host::Timestamp;
use std::time::Duration;

/// Most lines a second, per policy: of each worker here, and of all workers
/// together by the table of rates, which is asked for what is let through here.
pub const LINES_PER_SECOND: u32 = 100;

/// Counts the lines of one policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limiter {
    second: u64,
    written: u32,
    suppressed: u64,
    /// Since when other workers have written enough, and for how long that holds:
    /// a flood must not ask the table for each of its lines.
    rest: Option<(Timestamp, Duration)>,
}

/// Whether a line may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// This one may.
    pub write: bool,
    /// Before it belongs a line that says that so many were left out; 0: none.
    pub suppressed: u64,
}

impl Limiter {
    /// Counts one more line.
    pub fn admit(&mut self, now: Timestamp) -> Admitted {
        let suppressed = self.take_suppressed(now);
        let write = self.written < LINES_PER_SECOND && !self.rests(now);
        if write {
            self.written += 1;
        } else {
            self.suppressed += 1;
        }
        Admitted { write, suppressed }
    }

    /// What was to be written is not: all workers together have written enough,
    /// for `wait` from now on.
    pub fn leave_out(&mut self, now: Timestamp, wait: Duration) {
        self.written = self.written.saturating_sub(1);
        self.suppressed += 1;
        self.rest = Some((now, wait));
    }

    /// A clock that was set back keeps nothing from being written.
    fn rests(&self, now: Timestamp) -> bool {
        self.rest.is_some_and(|(since, wait)| now >= since && now.since(since) < wait)
    }

    /// How many lines were left out in a second that is over; 0 while it lasts.
    pub fn take_suppressed(&mut self, now: Timestamp) -> u64 {
        let second = now.since_epoch().as_secs();
        if second == self.second {
            return 0;
        }
        self.second = second;
        self.written = 0;
        std::mem::take(&mut self.suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holds_a_hundred_lines_and_the_next_says_what_was_left_out() {
        let mut limiter = Limiter::default();
        let at = |millis| Timestamp::from_unix(Duration::from_millis(millis));
        for _ in 0..LINES_PER_SECOND {
            assert!(limiter.admit(at(5_000)).write);
        }
        for _ in 0..7 {
            assert_eq!(limiter.admit(at(5_900)), Admitted { write: false, suppressed: 0 });
        }
        assert_eq!(limiter.take_suppressed(at(5_999)), 0);
        assert_eq!(limiter.admit(at(6_000)), Admitted { write: true, suppressed: 7 });
        assert_eq!(limiter.admit(at(6_000)), Admitted { write: true, suppressed: 0 });
    }

    #[test]
    fn what_others_have_used_up_is_left_out_unasked_until_there_is_some_again() {
        let mut limiter = Limiter::default();
        let at = |millis| Timestamp::from_unix(Duration::from_millis(millis));
        assert!(limiter.admit(at(5_000)).write);
        limiter.leave_out(at(5_000), Duration::from_millis(60));
        assert!(!limiter.admit(at(5_059)).write);
        assert!(limiter.admit(at(5_060)).write);
        assert!(limiter.admit(at(4_999)).write, "the clock was set back");
        assert_eq!(limiter.take_suppressed(at(6_000)), 2);
    }
}
