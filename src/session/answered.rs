//! An answer of upstream's own (3xx to 5xx) on its way to the client, where
//! nobody but us sees its end.

use super::{Forwarded, Outcome};
use crate::guard::Guard;
use crate::handshake::Headers;
use std::time::Duration;

/// How long upstream may be silent in an answer that opened nothing, where its
/// length is not known or does not come.
pub const SILENCE_TIMEOUT: Duration = Duration::from_secs(10);

/// How far it has come.
#[derive(Debug)]
pub(super) struct Answered {
    /// Bytes of the body that are still due, where that is known.
    pub(super) left: Option<u64>,
    /// When the last one came, by the steady clock.
    pub(super) since: Duration,
}

impl Answered {
    /// Upstream has sent more of its answer; what is behind that is dropped.
    pub(super) fn pass(&mut self, guard: &Guard, input: &[u8], out: &mut Vec<u8>) -> Outcome {
        self.since = guard.monotonic();
        let Some(left) = self.left else { return Outcome::forward(Forwarded::Unchanged) };
        let due = usize::try_from(left).unwrap_or(usize::MAX);
        let body = input.get(..due).unwrap_or(input);
        self.left = Some(left - u64::try_from(body.len()).unwrap_or(left));
        out.extend_from_slice(body);
        Outcome::forward(Forwarded::Replaced)
    }

    /// Whether nothing more of it is to be waited for.
    pub(super) fn is_over(&self, now: Duration) -> bool {
        self.left == Some(0) || now.saturating_sub(self.since) >= SILENCE_TIMEOUT
    }
}

/// Length of an answer's body, where its head tells it (RFC 9112 §6.3).
pub(super) fn body_bytes(status: u16, headers: &Headers) -> Option<u64> {
    if matches!(status, 204 | 304) {
        return Some(0);
    }
    if headers.all("transfer-encoding").next().is_some() {
        return None;
    }
    let mut lines = headers.all("content-length");
    match (lines.next(), lines.next()) {
        (Some(length), None) if length.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(length).ok()?.parse().ok()
        }
        _ => None,
    }
}
