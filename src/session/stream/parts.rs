//! The phases of a connection, and what it holds in them.

use crate::guard::Guard;
use crate::http1::{HeadError, HeadReader, MAX_HEAD_BYTES, Read, Request};
use crate::message::budget::{Charge, Holder};
use crate::session::PendingAdmission;
use crate::session::answered::Answered;
use std::rc::Rc;
use std::time::Duration;

/// Where a connection stands.
#[derive(Debug)]
pub(super) enum State {
    /// The client's head is due.
    Request(Held),
    /// The client's head is held until somebody else has answered.
    Waiting(Box<(Request, PendingAdmission)>),
    /// Upstream's head is due.
    Answer(Held),
    /// The WebSocket is open, or in mode report: bytes pass unseen.
    Tunnel,
    /// There is no tunnel; upstream's answer passes.
    Answered(Answered),
    /// It is being closed: nothing goes on.
    Over,
}

/// A head in the making, which counts as held bytes.
#[derive(Debug)]
pub(super) struct Held {
    reader: HeadReader,
    charge: Charge,
    /// When it became due, by the steady clock.
    pub(super) since: Duration,
    /// Mode report: that it has not come in time has been told.
    pub(super) overdue: bool,
}

impl Held {
    /// Nothing has come yet.
    pub(super) fn new(guard: &Guard, holder: &Rc<Holder>) -> Self {
        let charge = Charge::new(holder);
        Self { reader: HeadReader::default(), charge, since: guard.monotonic(), overdue: false }
    }

    /// Takes a chunk: the head and how much of the chunk belongs to it, once it
    /// is complete. `Err(None)`: there is no memory for it.
    pub(super) fn push(
        &mut self,
        chunk: &[u8],
    ) -> Result<Option<(Vec<u8>, usize)>, Option<HeadError>> {
        self.charge.grow(chunk.len().min(MAX_HEAD_BYTES)).map_err(|_| None)?;
        match self.reader.push(chunk)? {
            Read::Incomplete => Ok(None),
            Read::Complete { head, used } => Ok(Some((head, used))),
        }
    }
}
