//! Before there is a tunnel: what the client sends, and that upstream is silent.

use super::parts::State;
use super::trouble::Trouble;
use super::{StreamConnection, unchanged};
use crate::config::{Mode, UPSTREAM_TIMEOUT};
use crate::event::Kind;
use crate::frame::Sender;
use crate::session::{Forwarded, Outcome};
use std::time::Duration;

impl StreamConnection {
    /// The client has sent something while upstream's answer is due.
    pub(super) fn before_the_answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let bytes = u64::try_from(input.len()).unwrap_or(u64::MAX);
        if let Some(left) = self.body_bytes_left.checked_sub(bytes) {
            self.body_bytes_left = left;
            return unchanged();
        }
        match &mut self.session {
            Some(session) if session.mode() == Mode::Enforce => {
                session.on_data(Sender::Client, input, out)
            }
            _ => self.give_up(Trouble::Early),
        }
    }

    /// Tells once that upstream has not answered in time a request that has no session,
    /// which only mode report lets through.
    pub(super) fn tell_silence(&mut self, now: Duration) -> Outcome {
        let policy = self.policy.and_then(|index| self.guard.policy(index));
        let limit = policy.map_or(UPSTREAM_TIMEOUT, |policy| policy.handshake.upstream_timeout);
        let State::Answer(held) = &mut self.state else { return unchanged() };
        if held.overdue || now.saturating_sub(held.since) < limit {
            return unchanged();
        }
        held.overdue = true;
        let about = self.about();
        let silent = Trouble::Silent(limit);
        let refused = silent.tell(&self.guard, self.policy, Kind::Reported, &about);
        Outcome { refused, ..unchanged() }
    }

    /// The client has sent something although there is no tunnel.
    pub(super) fn behind_the_answer(&mut self, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        let State::Answered(answered) = &self.state else { return self.over() };
        let due = usize::try_from(self.body_bytes_left).unwrap_or(usize::MAX);
        let body = input.get(..due).unwrap_or(input);
        self.body_bytes_left -= u64::try_from(body.len()).unwrap_or(self.body_bytes_left);
        out.extend_from_slice(body);
        let more = body.len() < input.len();
        // Once all of the answer is on its way nobody waits for anything.
        let reset = more && answered.left == Some(0);
        Outcome { reset, ..Outcome::forward(Forwarded::Replaced) }
    }
}
