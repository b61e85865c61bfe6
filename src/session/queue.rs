//! Messages that were judged and wait for their turn to go on, in order.

use crate::message::budget::{Budget, Charge};
use std::collections::VecDeque;
use std::rc::Rc;

/// Most bytes of messages that wait in one direction of a connection, besides
/// the first. Whoever sends more than that above its rate is not slowed but
/// closed.
const MAX_WAITING_BYTES: usize = 1 << 20;

/// Most messages that do so, however small.
const MAX_WAITING: usize = 4096;

/// What an entry takes beside its bytes.
const ENTRY_BYTES: usize = 64;

/// One direction's queue.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    charge: Charge,
    budget: Rc<Budget>,
}

/// Whole frames, as they will go on.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) frames: Vec<u8>,
    pub(super) turn: Turn,
    /// Where in the stream their last one began.
    pub(super) offset: u64,
    /// Condition that they wait for in addition to their turn.
    pub(super) hold: Hold,
}

/// Condition that messages wait for in addition to their turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hold {
    /// Until the client has been verified, where it has to be.
    Verified,
    /// Until the credential has been verified and access to the resources that they name
    /// has been granted.
    Granted,
    /// Nothing: they are the server's greeting.
    Nothing,
}

/// What has to be done when their turn has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// So many bytes of payload count in the rates then.
    Counts(u64),
    /// They have been counted as they came.
    Counted,
    /// They are a Close, which counts in none.
    Close,
}

/// The queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Queue {
    pub(super) fn new(budget: &Rc<Budget>) -> Self {
        let charge = Charge::new(budget);
        Self { waiting: VecDeque::new(), bytes: 0, charge, budget: Rc::clone(budget) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Puts frames in that `write` appends, the last of which began `offset` bytes
    /// into the stream. Those that are held until granted go nowhere before
    /// [`Self::grant`].
    pub(super) fn push(
        &mut self,
        (turn, offset): (Turn, u64),
        hold: Hold,
        write: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Full> {
        let mut frames = Vec::new();
        write(&mut frames);
        let bytes = frames.len().saturating_add(ENTRY_BYTES);
        let first = self.waiting.is_empty();
        let fits = self.bytes.saturating_add(bytes) <= MAX_WAITING_BYTES;
        if !first && !fits || self.waiting.len() >= MAX_WAITING {
            return Err(Full);
        }
        self.charge.grow(bytes).map_err(|_| Full)?;
        self.bytes = self.bytes.saturating_add(bytes);
        self.waiting.push_back(Waiting { frames, turn, offset, hold });
        Ok(())
    }

    /// What is first, if something waits.
    pub(super) fn first(&self) -> Option<&Waiting> {
        self.waiting.front()
    }

    /// What asks and came with this `offset` has been granted what it asks for.
    pub(super) fn grant(&mut self, offset: u64) {
        let asks =
            |waiting: &&mut Waiting| waiting.hold == Hold::Granted && waiting.offset == offset;
        if let Some(waiting) = self.waiting.iter_mut().find(asks) {
            waiting.hold = Hold::Verified;
        }
    }

    /// Takes out what is first.
    pub(super) fn take(&mut self) -> Option<Waiting> {
        let first = self.waiting.pop_front()?;
        let bytes = first.frames.len().saturating_add(ENTRY_BYTES);
        self.bytes = self.bytes.saturating_sub(bytes);
        self.charge.shrink(bytes);
        if self.waiting.is_empty() {
            self.discard();
        }
        Some(first)
    }

    /// Gives back all of it: nothing of it will go on.
    pub(super) fn discard(&mut self) {
        self.waiting = VecDeque::new();
        self.bytes = 0;
        self.charge = Charge::new(&self.budget);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_comes_out_in_order_and_is_bounded_and_given_back() {
        let budget = Budget::new(4 << 20);
        let mut queue = Queue::new(&budget);
        for n in 0..3u8 {
            queue.push((Turn::Counts(u64::from(n)), 0), Hold::Verified, |out| out.push(n)).unwrap();
        }
        assert!(budget.used_bytes() >= 3);
        for n in 0..3u8 {
            assert_eq!(queue.first().unwrap().turn, Turn::Counts(u64::from(n)));
            assert_eq!(queue.take().unwrap().frames, [n]);
        }
        assert!(queue.take().is_none() && budget.used_bytes() == 0);
        // One message may be as large as the policy allows.
        queue.push((Turn::Counted, 0), Hold::Verified, |out| out.resize(2 << 20, 0)).unwrap();
        assert_eq!(queue.push((Turn::Counted, 0), Hold::Verified, |out| out.push(0)), Err(Full));
        queue.discard();
        let fits = (0..5000).take_while(|_| {
            queue.push((Turn::Counted, 0), Hold::Verified, |out| out.push(0)).is_ok()
        });
        assert_eq!(fits.count(), MAX_WAITING);
        drop(queue);
        assert_eq!(budget.used_bytes(), 0);
    }

    /// Or a client that is slowed all day would use up the worker's account.
    #[test]
    fn what_has_gone_on_is_given_back_while_others_wait() {
        let budget = Budget::new(1000);
        let mut queue = Queue::new(&budget);
        for _ in 0..100 {
            queue.push((Turn::Counted, 0), Hold::Verified, |out| out.resize(300, 0)).unwrap();
            if budget.used_bytes() > 700 {
                queue.take().unwrap();
            }
        }
        assert!(!queue.is_empty());
    }

    #[test]
    fn a_full_worker_takes_no_more() {
        let budget = Budget::new(1000);
        let mut queue = Queue::new(&budget);
        assert_eq!(
            queue.push((Turn::Counted, 0), Hold::Verified, |out| out.resize(2000, 0)),
            Err(Full)
        );
        assert!(queue.is_empty() && budget.used_bytes() == 0);
    }
}
