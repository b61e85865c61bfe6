use super::*;
use crate::frame::Sender;
use crate::host::memory::MemoryHost;
use crate::host::{Cas, CasMismatch, Clock, Common, SharedData, Timestamp};
use crate::quota::rate::{
    ConnectionRates, Load, Measure, MessageRates, Moment, Per, Rate, RateClient, RateWindow, Rates,
    RuleId,
};
use crate::quota::{Quotas, Salt, Scope};
use proptest::prelude::*;

/// A worker's host, which counts how often a value is set.
struct Counted {
    inner: MemoryHost,
    stores: Cell<u64>,
}

impl SharedData for Counted {
    fn load(&self, key: &str) -> Option<(Vec<u8>, Cas)> {
        self.inner.load(key)
    }

    fn store(&self, key: &str, value: &[u8], cas: Option<Cas>) -> Result<(), CasMismatch> {
        self.stores.set(self.stores.get() + 1);
        self.inner.store(key, value, cas)
    }
}

impl Clock for Counted {
    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }
}

struct Worker {
    host: Rc<Counted>,
    quotas: Rc<Quotas>,
}

fn workers(count: usize) -> Vec<Worker> {
    let first = MemoryHost::at(Timestamp::default());
    first.advance(Duration::from_secs(1_000_000));
    let worker = || {
        let host = Rc::new(Counted { inner: first.beside(), stores: Cell::new(0) });
        let quotas = Quotas::open(Rc::clone(&host) as Rc<dyn Common>, Salt([1; 16]));
        Worker { host, quotas }
    };
    (0..count).map(|_| worker()).collect()
}

fn per(ip: u64, user: u64) -> Rates {
    let rate = |limit| Rate::new(limit, Duration::from_secs(16));
    Rates { per_connection: None, per_ip: rate(ip), per_user: rate(user) }
}

fn asked() -> Asked {
    let rate = Rate::new(9, Duration::from_secs(1)).unwrap();
    let rule = RuleId::of(Salt([1; 16]), Scope::Document, "messages", &rate, true);
    Asked { rule, rate, measure: Measure::Messages, per: Per::User }
}

impl Worker {
    fn take(
        &self,
        (messages, bytes): (&Rates, &Rates),
        connection: &mut ConnectionRates,
        payload: u64,
    ) -> Result<(), RateExceeded> {
        let rates = MessageRates { policy: "chat", direction: Sender::Client, messages, bytes };
        let address = Some([192, 0, 2, 1].into());
        let client = RateClient { address, ipv6_prefix: 64, user: Some("ann") };
        self.quotas.take_message(
            rates,
            client,
            (connection, &mut Moment::default()),
            Load::message(payload),
        )
    }

    /// Takes so many messages of nothing; how many pass.
    fn pass(&self, limit: u64, connection: &mut ConnectionRates, count: usize) -> usize {
        let messages = per(limit, 0);
        let rates = (&messages, &Rates::default());
        (0..count).filter(|_| self.take(rates, connection, 0).is_ok()).count()
    }

    fn tick(&self) {
        self.host.inner.advance(Duration::from_millis(50));
        self.quotas.on_tick();
    }

    fn stores(&self) -> u64 {
        self.host.stores.take()
    }
}

#[test]
fn far_below_the_limit_the_table_is_hardly_ever_asked() {
    let [worker] = &workers(1)[..] else { panic!("one") };
    let mut connection = ConnectionRates::default();
    worker.stores();
    assert_eq!(worker.pass(100_000_000, &mut connection, 10_000), 10_000);
    assert!(worker.stores() < 20, "as often as it takes to double");
    for _ in 0..10 {
        worker.tick();
        worker.stores();
        assert_eq!(worker.pass(100_000_000, &mut connection, 10_000), 10_000);
        assert!(worker.stores() <= 2, "as much as between the ticks before");
    }
}

#[test]
fn near_the_limit_each_is_taken_by_itself() {
    let [one, other] = &workers(2)[..] else { panic!("two") };
    let limit = SINGLY + 100;
    let (mut here, mut there) = (ConnectionRates::default(), ConnectionRates::default());
    assert_eq!(one.pass(limit, &mut here, 110), 110);
    one.stores();
    assert_eq!(one.pass(limit, &mut here, 500), 500);
    assert!(one.stores() > 480, "but for what was held");
    let passed = 610 + other.pass(limit, &mut there, 2000);
    assert_eq!(u64::try_from(passed), Ok(limit), "nobody holds anything");
    assert_eq!(one.pass(limit, &mut here, 10), 0);
}

#[test]
fn what_is_not_used_is_others_after_a_tick() {
    let [one, other] = &workers(2)[..] else { panic!("two") };
    let (mut here, mut there) = (ConnectionRates::default(), ConnectionRates::default());
    let limit = 100_000;
    assert_eq!(one.pass(limit, &mut here, 520), 520);
    let first = other.pass(limit, &mut there, 100_000);
    assert!((98_000..99_480).contains(&first), "{first}");
    // Its connection has ended, which changes nothing.
    drop(here);
    one.tick();
    one.tick();
    assert_eq!(520 + first + other.pass(limit, &mut there, 100_000), 100_000);
}

#[test]
fn what_a_trapped_vm_held_counts_until_it_leaves_the_window() {
    let [one, other] = &workers(2)[..] else { panic!("two") };
    let (mut here, mut there) = (ConnectionRates::default(), ConnectionRates::default());
    let limit = 100_000;
    assert_eq!(one.pass(limit, &mut here, 520), 520);
    // It has no ticks any more.
    let rest = other.pass(limit, &mut there, 100_000);
    assert!((98_000..99_480).contains(&rest), "{rest}");
    (0..3).for_each(|_| other.tick());
    assert_eq!(other.pass(limit, &mut there, 10), 0);
    other.host.inner.advance(Duration::from_secs(17));
    assert_eq!(other.pass(limit, &mut there, 200_000), 100_000);
}

#[test]
fn what_one_rate_took_is_given_back_when_another_refuses() {
    let [one, other] = &workers(2)[..] else { panic!("two") };
    let (messages, bytes) = (per(0, 3), per(1000, 0));
    let rates = (&messages, &bytes);
    let (mut here, mut there) = (ConnectionRates::default(), ConnectionRates::default());
    assert_eq!((0..9).filter(|_| one.take(rates, &mut here, 100).is_ok()).count(), 3);
    let bytes = (&Rates::default(), &bytes);
    assert!(other.take(bytes, &mut there, 701).is_err());
    assert!(other.take(bytes, &mut there, 700).is_ok(), "six times a hundred are not held");
}

#[test]
fn accounts_are_forgotten_with_their_connections() {
    let accounts = Accounts::default();
    let asked = [asked()];
    let subject = |user: u32| SubjectId::user(Salt([1; 16]), &user.to_string());
    let kept: Vec<_> = (0..100).map(|user| accounts.open(subject(user), &asked)).collect();
    for user in 100..5000 {
        accounts.watch(&accounts.open(subject(user), &asked));
        accounts.on_tick(1, |_| {});
    }
    let (entries, watched) = accounts.len();
    assert!(entries <= 2 * kept.len() + KEPT && watched == 0, "{entries}, {watched}");
    assert!(Rc::ptr_eq(&kept[7], &accounts.open(subject(7), &asked)));
}

/// What happens to a worker.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// On a connection of the two, so many messages of so many bytes.
    Messages(usize, u16, u16),
    Tick,
    Pause(u32),
    Leave(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let pause = prop_oneof![1u32..60_000, 100_000u32..3_000_000, 0u32..20_000_000];
    let event = prop_oneof![
        6 => (0usize..2, 1u16..600, 0u16..50).prop_map(|(c, n, b)| Event::Messages(c, n, b)),
        2 => Just(Event::Tick),
        3 => pause.prop_map(Event::Pause),
        1 => (0usize..2).prop_map(Event::Leave),
    ];
    proptest::collection::vec(event, 1..80)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Where one worker has all of a subject's connections, it decides as if it
    /// counted each message at once.
    #[test]
    fn one_worker_decides_as_without_leases(
        events in events(), ip in 1u64..9000, user in 1u64..9000, bytes in 1u64..200_000
    ) {
        let [worker] = &workers(1)[..] else { panic!("one") };
        let (messages, bytes) = (per(ip, user), per(bytes, 0));
        let all = [messages.per_ip, bytes.per_ip, messages.per_user].map(Option::unwrap);
        let mut truth = all.map(|rate| (rate, RateWindow::default()));
        let mut connections = [ConnectionRates::default(), ConnectionRates::default()];
        for event in events {
            match event {
                Event::Tick => worker.tick(),
                Event::Pause(us) => worker.host.inner.advance(Duration::from_micros(us.into())),
                Event::Leave(place) => connections[place] = ConnectionRates::default(),
                Event::Messages(place, count, payload) => for _ in 0..count {
                    let payload = u64::from(payload);
                    let now = worker.host.monotonic();
                    let amounts = [1, payload, 1];
                    let refused = truth.iter_mut().zip(amounts).find_map(|((rate, window), n)| {
                        window.check(now, n, rate).err().map(|e| e.retry_after)
                    });
                    let connection = &mut connections[place];
                    let taken = worker.take((&messages, &bytes), connection, payload);
                    prop_assert_eq!(taken.err().map(RateExceeded::retry_after), refused);
                    if refused.is_none() {
                        truth.iter_mut().zip(amounts).for_each(|((_, window), n)| window.add(n));
                    }
                },
            }
        }
    }

    #[test]
    fn little_is_taken_ahead_and_nothing_near_the_limit(
        rest: u64, amount: u64, used: u64, before: u64
    ) {
        let line = Line::new(asked());
        line.used.set(used);
        line.used_before.set(before);
        for rest in [rest, rest % 100_000] {
            for amount in [0, 1, amount % 100, amount] {
                let ahead = line.ahead(rest, amount);
                prop_assert!(ahead <= rest / PART && ahead <= used.max(before));
                prop_assert!(rest / SINGLY >= amount.max(1) || ahead == 0);
            }
        }
    }
}
