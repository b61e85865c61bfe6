//! What goes to the client of an HTTP stream with `push`.
//!
//! The response side is paused all the time, with nothing in it: *armed*. What
//! comes or is said is put there and let go at once, when the callback is over.
//! Envoy resets a stream of which more waits there than the listener's
//! `per_connection_buffer_limit_bytes`, at once, in the middle of our callback,
//! and calls `on_log` from there, which traps the VM. A message that was held
//! until its verdict can be as large as that: so it goes on in pieces, one for
//! each callback, and ticks come fast as long as any wait.

use super::body::Body;
use super::host;
use crate::session::{Forwarded, Session};
use proxy_wasm::types::Action;

/// Most bytes that are put there at once where Envoy has put less there itself:
/// less than any limit that goes with `push` (README, "Lifetimes and push").
const PIECE_BYTES: usize = 16 << 10;

/// The way to the client.
#[derive(Debug)]
pub(super) struct Downlink {
    armed: bool,
    /// What did not go yet, from `gone` on.
    waiting: Vec<u8>,
    gone: usize,
    /// As many bytes may stand in the buffer at once, since they have.
    room_bytes: usize,
}

impl Default for Downlink {
    fn default() -> Self {
        Self { armed: false, waiting: Vec::new(), gone: 0, room_bytes: PIECE_BYTES }
    }
}

impl Downlink {
    /// Whether something waits for a tick.
    pub(super) const fn is_behind(&self) -> bool {
        self.gone < self.waiting.len()
    }

    /// Ends a body callback, which `input` stands in the buffer of and `ends` the
    /// body. The callback's answer; `None` where the stream must be reset, since
    /// not all can go on that has to.
    pub(super) fn on_body(
        &mut self,
        session: &mut Session,
        (input, forwarded, out): (&[u8], Forwarded, &[u8]),
        ends: bool,
    ) -> Option<Action> {
        let arm = session.pushes() && !ends;
        session.set_ready_to_push(arm);
        let goes_on = if forwarded == Forwarded::Unchanged { input } else { out };
        let was_armed = std::mem::replace(&mut self.armed, arm);
        if was_armed {
            self.room_bytes = self.room_bytes.max(input.len());
        }
        // What is left in the buffer when the pause begins would not go on.
        let may_stay = match (was_armed, arm) {
            (false, true) => 0,
            (false, false) => usize::MAX,
            (true, _) => self.room_bytes,
        };
        let left = if self.is_behind() || goes_on.len() > may_stay {
            self.waiting.extend_from_slice(goes_on);
            let piece = self.piece(may_stay);
            let length = piece.len();
            if !put(input.len(), piece) {
                return None;
            }
            self.take(length);
            length
        } else {
            if forwarded == Forwarded::Replaced && !put(input.len(), out) {
                return None;
            }
            goes_on.len()
        };
        if !arm {
            // What waits now could not be written any more.
            return (!self.is_behind()).then_some(Action::Continue);
        }
        if left > 0 {
            host::resume_response();
        }
        Some(Action::Pause)
    }

    /// Writes what the session has to say and what waits, as far as that may go
    /// now: whether it could. The last thing a callback may do.
    pub(super) fn write(&mut self, session: &mut Session) -> bool {
        session.push(&mut self.waiting);
        if !self.armed || !self.is_behind() {
            return true;
        }
        let piece = self.piece(self.room_bytes);
        let (length, written) = (piece.len(), host::write_to_client(piece));
        self.take(length);
        written
    }

    /// The next bytes that wait, as many as these at most.
    fn piece(&self, bytes: usize) -> &[u8] {
        let waiting = self.waiting.get(self.gone..).unwrap_or_default();
        waiting.get(..bytes).unwrap_or(waiting)
    }

    fn take(&mut self, bytes: usize) {
        self.gone += bytes;
        if !self.is_behind() {
            (self.waiting, self.gone) = (Vec::new(), 0);
        }
    }
}

/// Puts these bytes in the place of the buffer's `size`.
fn put(size: usize, bytes: &[u8]) -> bool {
    size == 0 && bytes.is_empty() || host::replace_body(Body::Response, size, bytes)
}
