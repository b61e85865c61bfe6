use super::*;
use crate::frame::deflate::Window as Deflated;
use crate::frame::deflate::tests::stored;
use crate::frame::deflate::{History, Inflater};

mod model;

const MIB: usize = 1 << 20;

fn address(n: u8) -> Option<IpAddr> {
    Some([192, 0, 2, n].into())
}

fn holder(budget: &Rc<Budget>, n: u8) -> Rc<Holder> {
    Holder::new(budget, address(n), 64)
}

fn held(budget: &Rc<Budget>, n: u8, bytes: usize) -> (Rc<Holder>, Charge) {
    let holder = holder(budget, n);
    let mut charge = Charge::new(&holder);
    charge.grow(bytes).unwrap();
    (holder, charge)
}

/// A connection that keeps a window of 32 KiB and nothing else.
fn idle(budget: &Rc<Budget>, n: u8) -> (Rc<Holder>, Inflater, WindowCharge) {
    let holder = holder(budget, n);
    let mut inflater = Inflater::new(Deflated::DEFAULT);
    let window = WindowCharge::new(&holder, inflater.history());
    read(&mut inflater, &[b'a'; 40_000]).unwrap();
    window.on_message().unwrap();
    (holder, inflater, window)
}

/// Reads bytes as a message of stored blocks.
fn read(inflater: &mut Inflater, bytes: &[u8]) -> Result<(), crate::frame::InflateError> {
    inflater.inflate(&stored(bytes), usize::MAX, &mut Vec::new()).map(|_| ())
}

#[test]
fn the_address_that_holds_the_most_gives_way_and_of_it_the_largest_connection() {
    let budget = Budget::with_limits(8 << 20, 8 << 20);
    let many: Vec<_> = (1..8).map(|n| held(&budget, 1, n * MIB / 4)).collect();
    let (single, _charge) = held(&budget, 2, MIB * 9 / 10);
    many[6].0.set_number(7);
    let (asks, mut more) = held(&budget, 3, 1);
    more.grow(MIB / 4).unwrap();
    let notices: Vec<_> = many.iter().map(|(holder, _)| holder.take_notice()).collect();
    assert_eq!(notices, [[None; 6].as_slice(), &[Some(Shortage::Worker)]].concat());
    assert_eq!(budget.take_given_way(), [7]);
    assert!(!single.gives_way() && !asks.gives_way());
    assert!(budget.take_given_way().is_empty());
}

#[test]
fn who_holds_the_most_itself_gets_nothing_and_nobody_else_gives_way() {
    let budget = Budget::with_limits(8 << 20, 8 << 20);
    let others: Vec<_> = (0..7).map(|_| held(&budget, 1, MIB / 2)).collect();
    let (_, mut most) = held(&budget, 2, 4 * MIB);
    assert_eq!(most.grow(MIB), Err(Exhausted));
    assert_eq!(most.grow(9 * MIB), Err(Exhausted), "more than there is");
    assert!(others.iter().all(|(holder, _)| !holder.gives_way()));
    assert_eq!(budget.used_bytes(), 15 << 19);
    most.release();
    assert_eq!(budget.used_bytes(), 7 << 19);
}

#[test]
fn an_address_over_its_own_limit_loses_its_own_largest() {
    let budget = Budget::with_limits(64 << 20, 4 << 20);
    let (large, _large) = held(&budget, 1, 3 * MIB);
    let (small, mut more) = held(&budget, 1, MIB / 2);
    let (other, _other) = held(&budget, 2, 4 * MIB);
    more.grow(MIB).unwrap();
    assert_eq!(large.take_notice(), Some(Shortage::Address));
    assert!(!small.gives_way() && !other.gives_way());
    assert_eq!(budget.used_bytes(), 11 << 19);
}

/// IPv6 addresses of one network are one, and so are the two spellings of an IPv4 one.
#[test]
fn an_address_is_what_quotas_count() {
    let budget = Budget::with_limits(64 << 20, 4 << 20);
    for [first, second] in [["2001:db8::1", "2001:db8::2"], ["192.0.2.9", "::ffff:192.0.2.9"]] {
        let open = |text: &str| Holder::new(&budget, Some(text.parse().unwrap()), 64);
        let (first, second) = (open(first), open(second));
        let (mut one, mut two) = (Charge::new(&first), Charge::new(&second));
        one.grow(3 * MIB).unwrap();
        two.grow(2 * MIB).unwrap();
        assert!(first.gives_way());
    }
    let unknown: Vec<_> = (0..3).map(|_| Holder::new(&budget, None, 64)).collect();
    let mut charges: Vec<_> = unknown.iter().map(Charge::new).collect();
    for charge in &mut charges {
        charge.grow(3 * MIB).unwrap();
    }
    assert!(unknown.iter().all(|holder| !holder.gives_way()), "each stands by itself");
}

#[test]
fn clients_that_are_not_verified_have_a_quarter_and_give_way_among_themselves() {
    let budget = Budget::with_limits(8 << 20, 8 << 20);
    let (verified, _charge) = held(&budget, 1, 5 * MIB);
    let mut waiting: Vec<_> = (2..7)
        .map(|n| {
            let holder = holder(&budget, n);
            let unverified = holder.await_credential().unwrap();
            let mut charge = Charge::new(&holder);
            charge.grow(usize::from(n) * MIB / 10).unwrap();
            (holder, Some(unverified), charge)
        })
        .collect();
    let (last, unverified, charge) = waiting.last_mut().unwrap();
    assert_eq!(charge.grow(2 * MIB), Err(Exhausted), "more than the quarter");
    // The first message of this one has been verified: it counts there no more.
    unverified.take();
    charge.grow(MIB / 10).unwrap();
    assert!(!last.gives_way());
    waiting[0].2.grow(4 * MIB / 10).unwrap();
    waiting[1].2.grow(MIB / 4).unwrap();
    let notices: Vec<_> = waiting.iter().map(|(holder, ..)| holder.take_notice()).collect();
    assert_eq!(notices, [Some(Shortage::Unverified), None, None, None, None]);
    assert!(!verified.gives_way());
    assert_eq!(budget.unverified_bytes.get(), 1_520_434);
}

#[test]
fn what_a_client_holds_before_it_counts_as_not_verified_counts_then_too() {
    let budget = Budget::new(8 << 20);
    let (first, _charge) = held(&budget, 1, 2 * MIB);
    let unverified = first.await_credential().unwrap();
    let (second, charge) = held(&budget, 2, 2 * MIB + 1);
    assert_eq!(second.await_credential().map(drop), Err(Exhausted));
    assert_eq!(budget.used_bytes(), (4 << 20) + 1, "it still holds that");
    drop(charge);
    drop(unverified);
    assert_eq!((budget.unverified_bytes.get(), budget.used_bytes()), (0, 2 << 20));
}

#[test]
fn windows_of_idle_connections_go_first_and_the_longest_unused_before_others() {
    let budget = Budget::with_limits(8 << 20, 1 << 20);
    let mut idle: Vec<_> = (0..32).map(|_| idle(&budget, 1)).collect();
    assert_eq!(budget.used_bytes(), 1 << 20);
    idle[0].2.on_message().unwrap();
    let (asks, mut charge) = (holder(&budget, 1), Charge::new(&holder(&budget, 1)));
    charge.grow(40_000).unwrap();
    let kept: Vec<_> = idle.iter().map(|(_, inflater, _)| inflater.history_bytes()).collect();
    assert_eq!(kept[..4], [32 << 10, 0, 0, 32 << 10]);
    assert!(kept[4..].iter().all(|bytes| *bytes == 32 << 10));
    assert!(idle.iter().all(|(holder, ..)| !holder.gives_way()) && !asks.gives_way());
    // What refers to nothing that is gone is read, and kept again.
    read(&mut idle[1].1, b"hello").unwrap();
    idle[1].2.on_message().unwrap();
    drop(charge);
    drop(idle);
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn a_window_goes_only_where_nothing_else_is_held_and_by_nobody_elses_fault() {
    let budget = Budget::with_limits(1 << 20, 1 << 20);
    let others: Vec<_> = (0..10).map(|_| idle(&budget, 2)).collect();
    let busy: Vec<_> = (0..10).map(|_| idle(&budget, 1)).collect();
    let _messages: Vec<_> = busy
        .iter()
        .map(|(holder, ..)| {
            let mut charge = Charge::new(holder);
            charge.grow(20_000).unwrap();
            charge
        })
        .collect();
    let (_, mut more) = held(&budget, 3, 1);
    more.grow(300_000).unwrap();
    assert_eq!(busy.iter().filter(|(holder, ..)| holder.gives_way()).count(), 3);
    assert!(others.iter().all(|(_, inflater, _)| inflater.history_bytes() > 0));
}

#[test]
fn what_has_given_way_takes_and_gives_back_nothing_more() {
    let budget = Budget::with_limits(4 << 20, 4 << 20);
    let (first, mut given) = held(&budget, 1, 3 * MIB);
    let (second, mut more) = held(&budget, 2, MIB);
    more.grow(MIB).unwrap();
    assert!(first.gives_way());
    let window = WindowCharge::new(&first, &Rc::<History>::default());
    assert_eq!(given.grow(1), Err(Exhausted));
    given.shrink(MIB);
    given.release();
    drop((given, window));
    assert_eq!(budget.used_bytes(), 2 << 20);
    let again = first.renew();
    Charge::new(&again).grow(MIB).unwrap();
    assert!(first.take_notice().is_some() && first.take_notice().is_none());
    drop((more, second));
    assert_eq!(budget.used_bytes(), 0);
    assert!(budget.addresses.borrow().is_empty(), "nobody is known who holds nothing");
}

/// Each failure costs a look at all connections of the address, so one connection is lost
/// with each.
#[test]
fn who_holds_the_most_and_can_do_without_more_gives_way_for_it() {
    let budget = Budget::with_limits(1000, 100);
    let address = Some("192.0.2.1".parse().unwrap());
    let holders = [0, 1].map(|number| {
        let holder = Holder::new(&budget, address, 64);
        holder.set_number(number);
        holder
    });
    let mut charges = holders.each_ref().map(Charge::new);
    assert!(charges[0].grow_or_give_way(60) && charges[1].grow_or_give_way(40));
    assert!(!charges[0].grow_or_give_way(1));
    assert_eq!((budget.take_given_way(), budget.used_bytes()), (vec![0], 40));
    assert_eq!(holders[0].take_notice(), Some(Shortage::Address));
    assert!(!charges[0].grow_or_give_way(1) && !holders[0].gives_way(), "told once");
    assert!(charges[1].grow_or_give_way(60));
    drop(charges);
    assert_eq!(budget.used_bytes(), 0);
}
