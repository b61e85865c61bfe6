//! A minute's rates, by the injected clock: of one connection, of an address
//! over four connections on two workers, of a user at two addresses; of messages
//! and of bytes, in either direction.

use crate::rig::{admitted, arrival, hand, masked, plain, switching};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::rc::Rc;
use std::time::Duration;
use wsguard::config::Config;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::host::Timestamp;
use wsguard::host::memory::MemoryHost;
use wsguard::quota::{Quotas, Salt};
use wsguard::session::{Opening, Session};

const GOOD: &str = "0123456789abcdef0123456789abcdef";
const LIMIT: usize = 100;
const MINUTE: Duration = Duration::from_secs(60);
/// After this a whole period is there again: a minute and a sixteenth.
const RESTED: Duration = Duration::from_millis(63_750);

struct Worker {
    host: Rc<MemoryHost>,
    quotas: Rc<Quotas>,
    guard: Rc<Guard>,
}

/// Whose rate it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Connection,
    Address,
    User,
}

/// Two workers and the connections that share a rate.
struct Fixture {
    workers: [Worker; 2],
    connections: Vec<Session>,
    sender: Sender,
}

impl Fixture {
    fn new(whose: Whose, sender: Sender, measure: &str) -> Self {
        let rate = if measure == "bytes" { "1000/1m" } else { "100/1m" };
        let name = match whose {
            Whose::Connection => "per_connection",
            Whose::Address => "per_ip",
            Whose::User => "per_user",
        };
        let document = json!({"policies": [{
            "name": "chat",
            "auth": {
                "credentials": [{"header": "x-api-key"}],
                "api_keys": [{"id": "robot", "key": {"env": "KEY"}}],
            },
            sender.name(): {measure: {name: rate}, "on_violation": "drop"},
            "lifetime": {"idle": "24h"},
        }]});
        let first = MemoryHost::at(Timestamp::from_unix(super::rig::BEGIN));
        let workers = [(); 2].map(|()| Worker::new(Rc::new(first.beside()), &document));
        let addresses: &[u8] = match whose {
            Whose::Connection => &[1],
            Whose::Address => &[1, 1, 1, 1],
            Whose::User => &[1, 2, 1, 2],
        };
        // Two addresses on each worker, and each address on both.
        let places = [0, 0, 1, 1];
        let open = |(address, worker): (&u8, usize)| workers[worker].open(*address);
        let connections = addresses.iter().zip(places).map(open).collect();
        Self { workers, connections, sender }
    }

    fn pass(&self, time: Duration) {
        self.workers.iter().for_each(|worker| worker.host.advance(time));
    }

    fn tick(&self) {
        for worker in &self.workers {
            worker.quotas.on_tick();
            worker.guard.on_tick();
        }
    }

    /// Whether one more message, of ten bytes, goes on.
    fn goes_on(&mut self, connection: usize) -> bool {
        let place = connection % self.connections.len();
        let message = match self.sender {
            Sender::Client => masked(0x81, b"ten bytes!"),
            Sender::Server => plain(0x81, b"ten bytes!"),
        };
        let step = hand(&mut self.connections[place], self.sender, &message);
        assert!(!step.reset && (step.bytes.is_empty() || step.bytes == message));
        !step.bytes.is_empty()
    }
}

impl Worker {
    fn new(host: Rc<MemoryHost>, document: &Value) -> Self {
        let quotas = Quotas::open(Rc::<MemoryHost>::clone(&host), Salt([5; 16]));
        let config = Config::parse(&document.to_string(), &|_| Some(GOOD.to_owned())).unwrap();
        let guard = Guard::with_quotas(config, Rc::<MemoryHost>::clone(&host), Rc::clone(&quotas));
        Self { host, quotas, guard }
    }

    fn open(&self, address: u8) -> Session {
        let mut arrival = arrival(&[("x-api-key", GOOD)]);
        arrival.head.source = Some([192, 0, 2, address].into());
        let mut session = admitted(&self.guard, &arrival);
        assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
        session
    }
}

fn whose() -> impl Strategy<Value = Whose> {
    prop_oneof![Just(Whose::Connection), Just(Whose::Address), Just(Whose::User)]
}

fn sender() -> impl Strategy<Value = Sender> {
    prop_oneof![Just(Sender::Client), Just(Sender::Server)]
}

/// Pauses in milliseconds, and how many messages come then, on which connection
/// first, and whether there is a tick.
fn bursts() -> impl Strategy<Value = Vec<(u64, usize, usize, bool)>> {
    let pause = prop_oneof![
        Just(0u64),
        1u64..500,
        500u64..5_000,
        5_000u64..70_000,
        // Around the edges of a slot.
        Just(3_749),
        Just(3_750),
        Just(3_751),
        Just(59_999),
        Just(60_000),
        Just(60_001),
    ];
    proptest::collection::vec((pause, 1usize..130, 0usize..4, any::<bool>()), 5..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_hundred_a_minute_are_never_a_hundred_and_one(
        whose in whose(), sender in sender(), bytes: bool, bursts in bursts(),
    ) {
        let measure = if bytes { "bytes" } else { "rate" };
        let mut fixture = Fixture::new(whose, sender, measure);
        let mut now = Duration::ZERO;
        let mut passed: Vec<Duration> = Vec::new();
        for (pause, count, first, tick) in bursts {
            let pause = Duration::from_millis(pause);
            now += pause;
            fixture.pass(pause);
            if tick {
                fixture.tick();
            }
            let rested = passed.last().is_none_or(|last| now - *last >= RESTED);
            let went = (0..count).filter(|next| fixture.goes_on(first + next)).count();
            passed.extend(std::iter::repeat_n(now, went));
            if rested {
                prop_assert_eq!(went, count.min(LIMIT), "all of it at once");
            }
        }
        for (place, begin) in passed.iter().enumerate() {
            let within = passed[place..].iter().take_while(|at| **at - *begin <= MINUTE).count();
            prop_assert!(within <= LIMIT, "{} in a minute, {:?}", within, whose);
        }
    }
}
