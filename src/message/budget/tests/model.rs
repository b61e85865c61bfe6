//! A plain reading of the rule who gives way, held against the account.

use super::*;
use proptest::prelude::*;

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
