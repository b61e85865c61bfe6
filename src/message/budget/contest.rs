//! The choice of windows and connections that give way when held bytes run short.

use super::window::Window;
use super::{Address, Budget, Holder, Key, Shortage};
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::rc::Rc;

/// Once a window has to go, windows go until one of so many parts of the limit is free, so
/// that a flow of messages, each of which needs a window, does not look at all
/// connections for each.
const SLACK_PART: u64 = 64;

/// A window or connection that an address gives up.
enum Candidate {
    /// An idle connection's window.
    Window(Rc<Holder>, Rc<Window>),
    Connection(Rc<Holder>),
}

/// An address, as far as it was looked at. It is compared by its place.
struct Standing {
    /// Its bytes in the sum, and whether it is the one that asks: of those that hold as much
    /// that one gives way first.
    place: (u64, bool, Key),
    address: Rc<Address>,
    /// The candidates, the next one last; made when the address first has to give way.
    order: Option<Vec<Candidate>>,
}

impl PartialEq for Standing {
    fn eq(&self, other: &Self) -> bool {
        self.place == other.place
    }
}

impl Eq for Standing {}

impl PartialOrd for Standing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Standing {
    fn cmp(&self, other: &Self) -> Ordering {
        self.place.cmp(&other.place)
    }
}

/// A request for more bytes.
#[derive(Clone, Copy)]
struct RoomRequest<'a> {
    holder: &'a Rc<Holder>,
    address: &'a Rc<Address>,
    bytes: u64,
}

impl Budget {
    /// Sees to it that `holder` may take so many bytes more within all limits; otherwise
    /// which sum has no room for them.
    pub(super) fn make_room(
        &self,
        holder: &Rc<Holder>,
        address: &Rc<Address>,
        bytes: u64,
    ) -> Result<(), Shortage> {
        let request = RoomRequest { holder, address, bytes };
        let sums = [Shortage::Address, Shortage::Unverified, Shortage::Worker];
        let sums = sums.into_iter().filter(|sum| request.counts_in(*sum));
        // By itself it would be too much: nobody else gives way for that.
        let alone = holder.bytes.get().saturating_add(bytes);
        if let Some(sum) = sums.clone().find(|sum| alone > self.limit(*sum)) {
            return Err(sum);
        }
        // What gives way for one sum makes no other one larger.
        sums.clone().try_for_each(|sum| self.make_room_in(sum, request))
    }

    fn make_room_in(&self, sum: Shortage, request: RoomRequest<'_>) -> Result<(), Shortage> {
        let slack = self.limit(sum) / SLACK_PART;
        let (mut wants, mut standings) = (0, None);
        loop {
            let short = self.is_short(sum, request, 0);
            if !short && !self.is_short(sum, request, wants) {
                return Ok(());
            }
            let standings = standings.get_or_insert_with(|| self.standings(sum, request));
            let Some(mut most) = standings.pop() else {
                return if short { Err(sum) } else { Ok(()) };
            };
            let address = Rc::clone(&most.address);
            let order = most.order.get_or_insert_with(|| order(&address, sum, request));
            match order.pop() {
                // Nothing is left of it.
                None => continue,
                Some(Candidate::Window(holder, window)) => {
                    holder.take_off(window.forget());
                    wants = slack;
                }
                Some(Candidate::Connection(_)) if !short => return Ok(()),
                Some(Candidate::Connection(holder)) if Rc::ptr_eq(&holder, request.holder) => {
                    return Err(sum);
                }
                Some(Candidate::Connection(holder)) => holder.give_way(sum),
            }
            most.place.0 = request.standing(sum, &address);
            standings.push(most);
        }
    }

    /// Returns true if this sum has no room for the request and `more` bytes.
    fn is_short(&self, sum: Shortage, request: RoomRequest<'_>, more: u64) -> bool {
        let held = match sum {
            Shortage::Address => request.address.bytes.get(),
            Shortage::Unverified => self.unverified_bytes.get(),
            Shortage::Worker => self.used_bytes.get(),
        };
        held.saturating_add(request.bytes).saturating_add(more) > self.limit(sum)
    }

    /// All that may have to give way.
    fn standings(&self, sum: Shortage, request: RoomRequest<'_>) -> BinaryHeap<Standing> {
        let standing = |(key, address): (&Key, &Rc<Address>)| {
            let own = Rc::ptr_eq(address, request.address);
            let place = (request.standing(sum, address), own, *key);
            Standing { place, address: Rc::clone(address), order: None }
        };
        if sum == Shortage::Address {
            return std::iter::once(standing((&request.holder.key, request.address))).collect();
        }
        self.addresses.borrow().iter().map(standing).collect()
    }
}

impl RoomRequest<'_> {
    fn counts_in(self, sum: Shortage) -> bool {
        sum != Shortage::Unverified || self.holder.unverified.get()
    }

    /// Returns the bytes of an address in this sum, with those of the request if it is the
    /// one that asks.
    fn standing(self, sum: Shortage, address: &Rc<Address>) -> u64 {
        let held = match sum {
            Shortage::Unverified => address.unverified_bytes.get(),
            Shortage::Address | Shortage::Worker => address.bytes.get(),
        };
        let more = if Rc::ptr_eq(address, self.address) { self.bytes } else { 0 };
        held.saturating_add(more)
    }
}

/// Returns the candidates of an address, the first to go last: windows of idle connections,
/// the one that was not used for the longest time first; then connections, the one that holds
/// the most first. Of those that hold as much, the one that asks goes first, then the one that
/// came last.
fn order(address: &Address, sum: Shortage, request: RoomRequest<'_>) -> Vec<Candidate> {
    let (mut windows, mut connections) = (Vec::new(), Vec::new());
    let holders = address.holders.borrow();
    for holder in holders.values() {
        if sum == Shortage::Unverified && !holder.unverified.get() {
            continue;
        }
        let asks = Rc::ptr_eq(holder, request.holder);
        if !asks && holder.is_idle() {
            let held = holder.windows.borrow();
            let held = held.iter().filter(|window| window.bytes() > 0);
            windows.extend(held.map(|window| (Rc::clone(holder), Rc::clone(window))));
        } else {
            let more = if asks { request.bytes } else { 0 };
            let bytes = holder.bytes.get().saturating_add(more);
            connections.push(((bytes, asks, holder.number), holder));
        }
    }
    connections.sort_by_key(|(place, _)| *place);
    windows.sort_by_key(|(_, window)| std::cmp::Reverse(window.used.get()));
    let connections =
        connections.into_iter().map(|(_, holder)| Candidate::Connection(Rc::clone(holder)));
    let windows = windows.into_iter().map(|(holder, window)| Candidate::Window(holder, window));
    connections.chain(windows).collect()
}

impl Holder {
    /// Returns true if it holds nothing but windows: no message of it is unfinished.
    fn is_idle(&self) -> bool {
        let windows: u64 = self.windows.borrow().iter().map(|window| window.bytes()).sum();
        windows == self.bytes.get()
    }
}
