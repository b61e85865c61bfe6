//! Questions to services of the operator's, and how many may be under way. All
//! times are of the steady clock.

use super::error::AuthError;
use crate::host::{Call, CallAnswer, CallId, Calls};
use crate::quota::Network;
use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;
use std::time::Duration;

/// Most questions under way for clients of one address on one worker, of handshakes
/// and messages together: made-up credentials, and clients that ask for whatever
/// comes to mind, must not become a flood at the service.
pub const MAX_ASKED_PER_ADDRESS: u32 = 32;

/// Most questions under way on one worker. Those whose client has gone take at most
/// half of it: or clients that come, ask and go would leave no place for others.
pub const MAX_ASKED: u32 = 1024;

/// Most handshakes from one address that wait for an issuer's keys on one worker:
/// what they hold must leave room for others.
pub const MAX_WAITING_PER_ADDRESS: u32 = 1024;

/// Most handshakes that wait for keys on one worker: each is looked at on every
/// tick.
pub const MAX_WAITING: u32 = 8192;

/// How much later than the call's timeout an answer may come: Envoy tells of
/// the timeout itself.
const MARGIN: Duration = Duration::from_secs(1);

/// With more questions than this whose client has gone, of however many addresses,
/// nobody is asked anything: what counts no longer is no limit. Each takes some 100
/// bytes.
const MAX_LEFT: usize = 1 << 16;

/// The questions under way on one worker, or the handshakes that wait there.
#[derive(Debug)]
pub(super) struct UnderWay {
    most: u32,
    most_per_address: u32,
    total: u32,
    /// None is 0.
    by_address: HashMap<Network, u32>,
    /// Of those, the ones that nobody waits for any more.
    left: BinaryHeap<Reverse<Left>>,
}

/// A question whose client has gone. The service goes on with it, and the answer
/// comes to nobody: so it counts until it can't come any more, or clients that come
/// and go would be a flood at the service all the same.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Left {
    until: Duration,
    address: Network,
}

impl UnderWay {
    /// None yet, and at most so many in all and for one address.
    pub(super) fn at_most(most: u32, most_per_address: u32) -> Rc<RefCell<Self>> {
        let (by_address, left) = (HashMap::new(), BinaryHeap::new());
        Rc::new(RefCell::new(Self { most, most_per_address, total: 0, by_address, left }))
    }

    /// Gives back the places of questions that nobody waited for.
    fn settle(&mut self, now: Duration) {
        while let Some(Reverse(Left { until, address })) = self.left.peek()
            && now >= *until
        {
            let address = *address;
            self.left.pop();
            self.give_back(address);
        }
    }

    /// Whether no place is left for any address. Each address has fewer for those
    /// that it has left, but all of them only so many fewer.
    fn is_full(&self) -> bool {
        let left = u32::try_from(self.left.len()).unwrap_or(u32::MAX);
        let over = left.saturating_sub(self.most / 2);
        self.total.saturating_sub(over) >= self.most || self.left.len() >= MAX_LEFT
    }

    fn give_back(&mut self, address: Network) {
        self.total = self.total.saturating_sub(1);
        let left = self.by_address.get(&address).map_or(0, |here| here.saturating_sub(1));
        if left == 0 {
            self.by_address.remove(&address);
        } else {
            self.by_address.insert(address, left);
        }
    }
}

/// One's place among those, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    of: Rc<RefCell<UnderWay>>,
    address: Network,
    /// Of a question that has been left, and so counts on.
    left: bool,
}

impl Slot {
    /// Takes one.
    ///
    /// # Errors
    /// [`AuthError::TooManyAsked`]
    pub(super) fn take(of: &Rc<RefCell<UnderWay>>, address: Network) -> Result<Self, AuthError> {
        let mut under_way = of.borrow_mut();
        let here = under_way.by_address.get(&address).copied().unwrap_or(0);
        if under_way.is_full() || here >= under_way.most_per_address {
            return Err(AuthError::TooManyAsked);
        }
        under_way.total += 1;
        under_way.by_address.insert(address, here + 1);
        Ok(Self { of: Rc::clone(of), address, left: false })
    }

    /// Counts on until then.
    fn leave(&mut self, until: Duration) {
        self.left = true;
        self.of.borrow_mut().left.push(Reverse(Left { until, address: self.address }));
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.left {
            self.of.borrow_mut().give_back(self.address);
        }
    }
}

/// A question under way.
#[derive(Debug)]
pub(super) struct Asked {
    id: CallId,
    /// Until when its answer is waited for.
    until: Duration,
    answer: Option<CallAnswer>,
    /// The answer has come.
    answered: bool,
    slot: Slot,
}

impl Asked {
    /// Asks.
    ///
    /// # Errors
    /// [`AuthError::TooManyAsked`], and `otherwise` where it can't be asked.
    pub(super) fn ask(
        call: &Call,
        (calls, now): (&dyn Calls, Duration),
        under_way: &Rc<RefCell<UnderWay>>,
        address: Network,
        otherwise: AuthError,
    ) -> Result<Self, AuthError> {
        under_way.borrow_mut().settle(now);
        let slot = Slot::take(under_way, address)?;
        let id = calls.call(call).map_err(|_| otherwise)?;
        let until = now.saturating_add(call.timeout).saturating_add(MARGIN);
        Ok(Self { id, until, answer: None, answered: false, slot })
    }

    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub(super) fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        let own = self.id == id;
        if own {
            self.answer = Some(answer.clone());
            self.answered = true;
        }
        own
    }

    /// Whether its answer may still come: then [`Self::answer`] has none.
    pub(super) fn is_open(&self, now: Duration) -> bool {
        self.answer.is_none() && now < self.until
    }

    /// The answer; `None` as long as it may still come.
    pub(super) fn answer(&mut self, now: Duration) -> Option<CallAnswer> {
        self.answer.take().or_else(|| (now >= self.until).then_some(CallAnswer::Reset))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.answered {
            self.slot.leave(self.until);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::memory::MemoryHost;
    use crate::host::{Clock, Timestamp};
    use std::net::IpAddr;

    fn call() -> Call {
        Call {
            cluster: "auth".to_owned(),
            method: "GET",
            authority: "auth".to_owned(),
            path: "/".to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(2),
        }
    }

    fn asked_at_most() -> Rc<RefCell<UnderWay>> {
        UnderWay::at_most(MAX_ASKED, MAX_ASKED_PER_ADDRESS)
    }

    fn ask(
        host: &MemoryHost,
        under_way: &Rc<RefCell<UnderWay>>,
        address: [u16; 8],
    ) -> Result<Asked, AuthError> {
        let address = Network::of(Some(IpAddr::from(address)), 64);
        let otherwise = AuthError::SessionUnavailable;
        Asked::ask(&call(), (host, host.monotonic()), under_way, address, otherwise)
    }

    fn answered(asked: impl IntoIterator<Item = Asked>) {
        for mut asked in asked.into_iter().collect::<Vec<_>>() {
            asked.on_answer(asked.id, &CallAnswer::Reset);
        }
    }

    #[test]
    fn a_network_can_ask_so_much_and_others_still_can() {
        let (host, under_way) = (MemoryHost::at(Timestamp::default()), asked_at_most());
        let one = |host_part| [0x2001, 0xdb8, 0, 0, 0, 0, 0, host_part];
        let asked: Vec<_> = (0..u16::try_from(MAX_ASKED_PER_ADDRESS).unwrap())
            .map(|place| ask(&host, &under_way, one(place)).unwrap())
            .collect();
        assert_eq!(ask(&host, &under_way, one(99)).err(), Some(AuthError::TooManyAsked));
        assert!(ask(&host, &under_way, [0x2001, 0xdb8, 0, 1, 0, 0, 0, 1]).is_ok());
        answered(asked);
        answered([ask(&host, &under_way, one(99)).unwrap()]);
        host.advance(Duration::from_secs(3));
        under_way.borrow_mut().settle(host.monotonic());
        assert!(under_way.borrow().by_address.is_empty(), "nothing is left");
        assert_eq!(under_way.borrow().total, 0);
    }

    /// The service goes on with it.
    #[test]
    fn what_nobody_waits_for_any_more_counts_until_its_time_is_over() {
        let at = |seconds| Timestamp::from_unix(Duration::from_secs(seconds));
        let (host, under_way) = (MemoryHost::at(at(100)), asked_at_most());
        for _ in 0..MAX_ASKED_PER_ADDRESS {
            drop(ask(&host, &under_way, [1; 8]).unwrap());
        }
        host.advance(Duration::from_millis(2999));
        assert_eq!(ask(&host, &under_way, [1; 8]).err(), Some(AuthError::TooManyAsked));
        assert!(ask(&host, &under_way, [2; 8]).is_ok());
        host.advance(Duration::from_millis(1));
        answered((0..MAX_ASKED_PER_ADDRESS).map(|_| ask(&host, &under_way, [1; 8]).unwrap()));
        drop(ask(&host, &under_way, [1; 8]).unwrap());
        // Whatever the wall clock does meanwhile.
        host.set(at(1));
        host.advance(Duration::from_secs(3));
        drop(ask(&host, &under_way, [1; 8]).unwrap());
        assert_eq!(under_way.borrow().left.len(), 1, "the others' time is over");
        assert_eq!(under_way.borrow().total, 1);
    }

    fn net(number: u16) -> [u16; 8] {
        [0x2001, 0xdb8, 0, number, 0, 0, 0, 1]
    }

    #[test]
    fn clients_that_ask_and_go_leave_half_of_the_places_to_others() {
        let (host, under_way) = (MemoryHost::at(Timestamp::default()), asked_at_most());
        for network in 0..100 {
            for _ in 0..MAX_ASKED_PER_ADDRESS {
                drop(ask(&host, &under_way, net(network)).unwrap());
            }
            let again = ask(&host, &under_way, net(network)).err();
            assert_eq!(again, Some(AuthError::TooManyAsked), "its own count in full");
        }
        let half = u16::try_from(MAX_ASKED / 2).unwrap();
        let asked: Vec<_> =
            (0..half).map(|other| ask(&host, &under_way, net(1000 + other)).unwrap()).collect();
        assert_eq!(ask(&host, &under_way, net(999)).err(), Some(AuthError::TooManyAsked));
        answered(asked);
        host.advance(Duration::from_secs(3));
        let asked: Vec<_> =
            (0..2 * half).map(|other| ask(&host, &under_way, net(1000 + other)).unwrap()).collect();
        assert_eq!(ask(&host, &under_way, net(999)).err(), Some(AuthError::TooManyAsked));
        drop(asked);
        host.advance(Duration::from_secs(3));
        under_way.borrow_mut().settle(host.monotonic());
        assert_eq!((under_way.borrow().total, under_way.borrow().left.len()), (0, 0));
        assert!(under_way.borrow().by_address.is_empty());
    }

    #[test]
    fn no_number_of_addresses_makes_more_of_those_that_were_left() {
        let (host, under_way) = (MemoryHost::at(Timestamp::default()), asked_at_most());
        for place in 0..MAX_LEFT {
            drop(ask(&host, &under_way, net(u16::try_from(place / 30).unwrap())).unwrap());
        }
        assert_eq!(ask(&host, &under_way, net(9999)).err(), Some(AuthError::TooManyAsked));
        assert_eq!(under_way.borrow().left.len(), MAX_LEFT);
        host.advance(Duration::from_secs(3));
        assert!(ask(&host, &under_way, net(9999)).is_ok());
    }

    #[test]
    fn all_together_can_ask_so_much() {
        let (host, under_way) = (MemoryHost::at(Timestamp::default()), asked_at_most());
        let most = u16::try_from(MAX_ASKED).unwrap();
        let asked: Vec<_> =
            (0..most).map(|number| ask(&host, &under_way, net(number)).unwrap()).collect();
        assert_eq!(ask(&host, &under_way, net(most)).err(), Some(AuthError::TooManyAsked));
        answered(asked);
        assert!(ask(&host, &under_way, net(most)).is_ok());
    }

    #[test]
    fn what_cannot_be_asked_takes_no_place() {
        let (host, under_way) = (MemoryHost::at(Timestamp::default()), asked_at_most());
        host.set_unreachable(true);
        assert_eq!(ask(&host, &under_way, [0; 8]).err(), Some(AuthError::SessionUnavailable));
        assert_eq!(under_way.borrow().total, 0);
    }

    #[test]
    fn an_answer_is_waited_for_no_longer_than_its_time() {
        let host = MemoryHost::at(Timestamp::from_unix(Duration::from_secs(1_000)));
        let under_way = asked_at_most();
        let mut asked = ask(&host, &under_way, [0; 8]).unwrap();
        asked.on_answer(CallId(77), &CallAnswer::TooLong);
        assert_eq!(asked.answer(host.monotonic()), None, "somebody else's");
        host.advance(Duration::from_secs(3) - Duration::from_millis(1));
        assert_eq!(asked.answer(host.monotonic()), None);
        host.advance(Duration::from_millis(1));
        assert_eq!(asked.answer(host.monotonic()), Some(CallAnswer::Reset));
    }
}
