use super::*;
use crate::frame::deflate::Window as Deflated;
use crate::frame::deflate::{History, Inflater};
use proptest::prelude::*;

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
    let mut message = Vec::new();
    for block in bytes.chunks(60_000) {
        let length = u16::try_from(block.len()).unwrap();
        message.push(0);
        message.extend(length.to_le_bytes());
        message.extend((!length).to_le_bytes());
        message.extend(block);
    }
    message.push(0);
    inflater.inflate(&message, usize::MAX, &mut Vec::new()).map(|_| ())
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

/// One step of the property test, done to one connection.
#[derive(Clone, Debug)]
enum Step {
    Grow(u64),
    Shrink(u64),
    Window(usize),
    Release,
    Verify,
    Leave,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1u64..40_000).prop_map(Step::Grow),
        2 => (1u64..40_000).prop_map(Step::Shrink),
        3 => (1usize..5000).prop_map(Step::Window),
        1 => Just(Step::Release),
        1 => Just(Step::Verify),
        1 => Just(Step::Leave),
    ]
}

/// A connection, and what it should hold.
struct Modelled {
    holder: Rc<Holder>,
    unverified: Option<Unverified>,
    charge: Charge,
    inflater: Inflater,
    window: WindowCharge,
    address: u8,
    charged: u64,
    kept: u64,
    used: u64,
    given_way: bool,
}

impl Modelled {
    fn new(budget: &Rc<Budget>, address: u8, waits: bool) -> Self {
        let holder = holder(budget, address);
        let unverified = waits.then(|| holder.await_credential().unwrap());
        let inflater = Inflater::new(Deflated { bits: 12, takeover: true });
        let window = WindowCharge::new(&holder, inflater.history());
        let charge = Charge::new(&holder);
        let (charged, kept, used, given_way) = (0, 0, 0, false);
        Self {
            holder,
            unverified,
            charge,
            inflater,
            window,
            address,
            charged,
            kept,
            used,
            given_way,
        }
    }

    fn bytes(&self) -> u64 {
        self.charged + self.kept
    }
}

const WORKER: u64 = 100_000;
const PER_IP: u64 = 60_000;

/// The rule by itself, looked at anew for each that goes: whether there is room.
fn make_room(all: &mut [Modelled], who: usize, more: u64) -> bool {
    let waits = all[who].unverified.is_some();
    let sums = [(0, PER_IP), (1, WORKER / 4), (2, WORKER)];
    let sums = sums.iter().filter(|(sum, _)| *sum != 1 || waits);
    if all[who].given_way || sums.clone().any(|(_, limit)| all[who].bytes() + more > *limit) {
        return false;
    }
    for (sum, limit) in sums {
        let mut wants = 0;
        loop {
            let counts = |m: &Modelled| match sum {
                0 => m.address == all[who].address,
                1 => m.unverified.is_some(),
                _ => true,
            };
            let held: u64 = all.iter().filter(|m| counts(m)).map(Modelled::bytes).sum();
            let short = held + more > *limit;
            if !short && held + more + wants <= *limit {
                break;
            }
            let own = all[who].address;
            let of = |a: u8| {
                let those = all.iter().filter(|m| counts(m) && m.address == a);
                let held: u64 = those.map(Modelled::bytes).sum();
                (held + if a == own { more } else { 0 }, a == own, a)
            };
            let (_, _, most) = (0..4).map(of).max().unwrap();
            let members: Vec<usize> = (0..all.len())
                .filter(|i| counts(&all[*i]) && all[*i].address == most)
                .filter(|i| all[*i].bytes() > 0 || *i == who)
                .collect();
            let idle = |i: &&usize| **i != who && all[**i].charged == 0;
            let oldest = members.iter().filter(idle).min_by_key(|i| all[**i].used).copied();
            if let Some(window) = oldest {
                all[window].kept = 0;
                wants = limit / 64;
                continue;
            }
            if !short {
                break;
            }
            let size = |i: &&usize| {
                let more = if **i == who { more } else { 0 };
                (all[**i].bytes() + more, **i == who, all[**i].holder.number)
            };
            let largest = *members.iter().max_by_key(size).unwrap();
            if largest == who {
                return false;
            }
            let gone = &mut all[largest];
            (gone.charged, gone.kept, gone.given_way) = (0, 0, true);
        }
    }
    true
}

proptest! {
    #[test]
    fn the_account_is_what_a_plain_reading_of_the_rule_says(
        steps in proptest::collection::vec((0usize..24, step()), 1..300),
    ) {
        let budget = Budget::with_limits(WORKER, PER_IP);
        let open = |i: usize| Modelled::new(&budget, u8::try_from(i % 4).unwrap(), i.is_multiple_of(3));
        let mut all: Vec<Modelled> = (0..24).map(open).collect();
        for (clock, (who, step)) in steps.into_iter().enumerate() {
            match step {
                Step::Grow(bytes) => {
                    let room = make_room(&mut all, who, bytes);
                    let m = &mut all[who];
                    m.charged += if room { bytes } else { 0 };
                    prop_assert_eq!(m.charge.grow(usize::try_from(bytes).unwrap()).is_ok(), room);
                }
                Step::Shrink(bytes) => {
                    let m = &mut all[who];
                    m.charged -= bytes.min(m.charged);
                    m.charge.shrink(usize::try_from(bytes).unwrap());
                }
                Step::Window(bytes) => {
                    read(&mut all[who].inflater, &vec![7; bytes]).unwrap();
                    let kept = u64::try_from(all[who].inflater.history_bytes()).unwrap();
                    let more = kept.saturating_sub(all[who].kept);
                    all[who].used = u64::try_from(clock).unwrap() + 1;
                    let room = more == 0 || make_room(&mut all, who, more);
                    let m = &mut all[who];
                    m.kept += if room { more } else { 0 };
                    prop_assert_eq!(m.window.on_message().is_ok(), room);
                }
                Step::Release => {
                    all[who].charged = 0;
                    all[who].charge.release();
                }
                Step::Verify => drop(all[who].unverified.take()),
                Step::Leave => all[who] = open(who),
            }
            for m in &all {
                prop_assert_eq!(m.holder.gives_way(), m.given_way);
                prop_assert_eq!(m.holder.bytes.get(), m.bytes());
            }
            let sum = |counts: &dyn Fn(&Modelled) -> bool| -> u64 {
                all.iter().filter(|m| counts(m)).map(Modelled::bytes).sum()
            };
            prop_assert_eq!(budget.used_bytes(), sum(&|_| true));
            prop_assert!(budget.used_bytes() <= WORKER);
            let waiting = sum(&|m| m.unverified.is_some());
            prop_assert_eq!(budget.unverified_bytes.get(), waiting);
            prop_assert!(waiting <= WORKER / 4);
            let addresses = budget.addresses.borrow();
            for n in 0..4 {
                let key = Key::Network(Network::of(address(n), 64));
                let told = addresses.get(&key).map_or(0, |known| known.bytes.get());
                prop_assert_eq!(told, sum(&|m| m.address == n));
                prop_assert!(told <= PER_IP);
                prop_assert_eq!(addresses.contains_key(&key), told > 0);
            }
        }
        drop(all);
        prop_assert_eq!((budget.used_bytes(), budget.unverified_bytes.get()), (0, 0));
        prop_assert!(budget.addresses.borrow().is_empty());
    }
}

/// Each failure costs a look at all connections of the address, so there is one for each
/// connection that is lost.
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
