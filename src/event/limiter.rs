//! A cap on event lines, so that a flood of bad clients can't fill a disk.

use crate::host::Timestamp;

/// Most lines a second, per policy: of each worker here, and of all workers
/// together by the table of rates, which is asked for what is let through here.
pub const LINES_PER_SECOND: u32 = 100;

/// Counts the lines of one policy.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limiter {
    second: u64,
    written: u32,
    suppressed: u64,
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
        let write = self.written < LINES_PER_SECOND;
        if write {
            self.written += 1;
        } else {
            self.suppressed += 1;
        }
        Admitted { write, suppressed }
    }

    /// What was to be written is not: other workers have written enough.
    pub fn leave_out(&mut self) {
        self.written = self.written.saturating_sub(1);
        self.suppressed += 1;
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
    use std::time::Duration;

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
}
