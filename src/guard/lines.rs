//! Event lines, and the cap on them.

use super::Guard;
use crate::event::limiter::Limiter;
use crate::event::{About, Event, Kind};
use crate::host::{Level, Timestamp};

impl Guard {
    /// Writes an event's line, unless its policy has written enough this second.
    pub(crate) fn tell<'a>(&'a self, policy: Option<usize>, event: Event<'a>) {
        let name = policy.and_then(|index| self.policy(index)).map_or("", |p| p.name.as_str());
        self.tell_of(policy, name, event);
    }

    /// Writes the line of an event of the policy with this `name`, which may be another
    /// document's; an empty name stands for all that no policy matches.
    pub(super) fn tell_of<'a>(
        &'a self,
        policy: Option<usize>,
        name: &'a str,
        mut event: Event<'a>,
    ) {
        let level = match event.event {
            Kind::Opened | Kind::Closed => Level::Info,
            _ => Level::Warn,
        };
        // Most connections break no rule; what nobody sees of them needs no words.
        if level == Level::Info && !self.host.writes(level) {
            return;
        }
        event.policy = Some(name).filter(|name| !name.is_empty());
        let index = policy.unwrap_or(self.config.policies.len());
        let Some(admitted) = self.limiter(index, |limiter| limiter.admit(event.ts)) else { return };
        self.tell_suppressed(index, admitted.suppressed, event.ts);
        if !admitted.write {
            return;
        }
        match self.quotas.take_line(name) {
            Ok(()) => self.host.write(level, &event.line()),
            Err(wait) => {
                self.limiter(index, |limiter| limiter.leave_out(event.ts, wait));
            }
        }
    }

    /// Writes the line of a connection that lives on, and returns true if it was
    /// written. Such lines take at most half of those that a policy has: connections
    /// that live on must not hide what is refused. One that was not written is to be
    /// tried again later, and does not count as suppressed.
    pub(crate) fn tell_progress<'a>(&'a self, policy: usize, mut event: Event<'a>) -> bool {
        let Some(name) = self.policy(policy).map(|policy| policy.name.as_str()) else {
            return false;
        };
        event.policy = Some(name);
        let Some(admitted) = self.limiter(policy, |limiter| limiter.admit_progress(event.ts))
        else {
            return false;
        };
        self.tell_suppressed(policy, admitted.suppressed, event.ts);
        if !admitted.write {
            return false;
        }
        match self.quotas.take_progress_line(name) {
            Ok(()) => self.host.write(Level::Warn, &event.line()),
            Err(wait) => {
                self.limiter(policy, |limiter| limiter.rest_progress(event.ts, wait));
                return false;
            }
        }
        true
    }

    /// Writes how many lines of each policy were left out in a second that is over.
    pub(super) fn tell_all_suppressed(&self, now: Timestamp) {
        for index in 0..=self.config.policies.len() {
            let suppressed = self.limiter(index, |limiter| limiter.take_suppressed(now));
            self.tell_suppressed(index, suppressed.unwrap_or(0), now);
        }
    }

    /// Changes the limiter of the policy at this place, if there is one.
    fn limiter<T>(&self, index: usize, change: impl FnOnce(&mut Limiter) -> T) -> Option<T> {
        self.limiters.borrow_mut().get_mut(index).map(change)
    }

    fn tell_suppressed(&self, index: usize, suppressed: u64, now: Timestamp) {
        if suppressed == 0 {
            return;
        }
        let about = About::default();
        let mode = self.policy(index).map_or(self.config.mode, |policy| policy.mode);
        let mut event = Event::new(now, Kind::Suppressed, mode, &about);
        event.policy = self.policy(index).map(|policy| policy.name.as_str());
        event.suppressed = Some(suppressed);
        self.host.write(Level::Warn, &event.line());
    }
}
