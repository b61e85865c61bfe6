//! A cap on event lines, so that a flood of bad clients can't fill a disk.

use crate::host::Timestamp;
use std::time::Duration;

/// Most lines a second, per policy: of each worker here, and of all workers
/// together by the table of rates, which is asked for what is let through here.
pub const LINES_PER_SECOND: u32 = 100;

/// Of these, the most that say that connections live on: the others are kept for what is
/// refused.
pub const PROGRESS_LINES_PER_SECOND: u32 = LINES_PER_SECOND / 2;

/// Counts the lines of one policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limiter {
    second: u64,
    written: u32,
    suppressed: u64,
    /// Since when other workers have written enough, and for how long that holds:
    /// a flood must not ask the table for each of its lines.
    rest: Option<Rest>,
    /// The rest for `progress` lines: other workers have written as many of these as may be.
    progress_rest: Option<Rest>,
}

/// Since when nothing is written, and for how long.
type Rest = (Timestamp, Duration);

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
        let write = self.written < LINES_PER_SECOND && !rests(self.rest, now);
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

    /// Counts one more line that says that a connection lives on, if it may be written:
    /// where it may not, nothing has been left out yet.
    pub fn admit_progress(&mut self, now: Timestamp) -> Admitted {
        let suppressed = self.take_suppressed(now);
        let rests = rests(self.rest, now) || rests(self.progress_rest, now);
        let write = self.written < PROGRESS_LINES_PER_SECOND && !rests;
        self.written += u32::from(write);
        Admitted { write, suppressed }
    }

    /// Such a line was not written after all: all workers together have written enough of
    /// them, for `wait` from now on.
    pub fn rest_progress(&mut self, now: Timestamp, wait: Duration) {
        self.written = self.written.saturating_sub(1);
        self.progress_rest = Some((now, wait));
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

/// A clock that was set back keeps nothing from being written.
fn rests(rest: Option<Rest>, now: Timestamp) -> bool {
    rest.is_some_and(|(since, wait)| now >= since && now.since(since) < wait)
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
    fn half_of_a_second_is_kept_from_what_lives_on() {
        let mut limiter = Limiter::default();
        let at = |millis| Timestamp::from_unix(Duration::from_millis(millis));
        for _ in 0..PROGRESS_LINES_PER_SECOND {
            assert!(limiter.admit_progress(at(5_000)).write);
        }
        assert!(!limiter.admit_progress(at(5_000)).write);
        for _ in PROGRESS_LINES_PER_SECOND..LINES_PER_SECOND {
            assert!(limiter.admit(at(5_000)).write);
        }
        assert!(!limiter.admit(at(5_000)).write);
        assert_eq!(limiter.admit_progress(at(6_000)), Admitted { write: true, suppressed: 1 });
        limiter.rest_progress(at(6_000), Duration::from_millis(60));
        assert!(!limiter.admit_progress(at(6_059)).write);
        assert!(limiter.admit(at(6_059)).write && limiter.admit_progress(at(6_060)).write);
        limiter.leave_out(at(6_060), Duration::from_millis(60));
        assert!(!limiter.admit_progress(at(6_119)).write, "nothing may be written at all");
        assert_eq!(limiter.take_suppressed(at(7_000)), 1);
    }

    #[test]
    fn what_others_have_used_up_is_left_out_unasked_until_there_is_some_again() {
        let mut limiter = Limiter::default();
        let at = |millis| Timestamp::from_unix(Duration::from_millis(millis));
        assert!(limiter.admit(at(5_030)).write);
        limiter.leave_out(at(5_030), Duration::from_millis(60));
        assert!(!limiter.admit(at(5_089)).write);
        assert!(limiter.admit(at(5_090)).write);
        assert!(limiter.admit(at(5_010)).write, "the clock was set back");
        assert_eq!(limiter.take_suppressed(at(6_000)), 2);
    }
}
