//! The VM of one of two workers traps: its connections end, what they took is
//! free after the lease, and not before, and everything else goes on.

use super::{Gate, bootstrap, policy, status};
use crate::client::{Client, KEY, Request, frame, text};
use crate::frames::counter;
use crate::peers::{Echo, Maker};
use crate::support::{Envoy, balanced, behind_a_proxy, trap_wasm, wait_for};
use serde_json::{Value, json};
use std::io::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// So many that each worker has some.
const LIMIT: usize = 12;

/// An Envoy of two workers whose VMs [`trap`] traps.
fn start(document: &Value, upstream: SocketAddr) -> Envoy {
    let mut bootstrap = balanced(behind_a_proxy(bootstrap(document, upstream)));
    let filters = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
    let filter = &mut filters[0]["typed_config"]["http_filters"][0]["typed_config"];
    filter["config"]["vm_config"]["code"]["local"]["filename"] =
        trap_wasm().to_str().unwrap().into();
    let mut envoy = Envoy::start(&bootstrap);
    envoy.may_trap = true;
    envoy
}

/// Traps the VM of the worker that gets this request, and not before the time that
/// it tells.
fn trap(envoy: &Envoy) -> Instant {
    let request = Request::upgrade("/chat").with("x-wsguard-trap", KEY);
    let before = Instant::now();
    Client::connect(envoy.address()).send(&request.bytes());
    wait_for("the VM to trap", || {
        envoy.log().contains("Function: proxy_on_request_headers failed").then_some(before)
    })
}

/// Opens what the quota of `/chat` has room for, once it has some; when it had.
fn fill(address: SocketAddr, mut open: impl FnMut(Client)) -> Instant {
    let chat = Request::upgrade("/chat");
    let first = wait_for("the lease to end", || {
        let (client, answer) = Client::ask(address, &chat);
        // 503 without a reason is Envoy's, as long as it builds a new VM.
        assert!(matches!(answer.status, 101 | 429 | 503), "{answer:?}");
        (answer.status == 101).then_some(client)
    });
    let free = Instant::now();
    open(first);
    loop {
        let (client, answer) = Client::ask(address, &chat);
        if answer.status != 101 {
            assert_eq!(answer.reason(), "connections_per_ip");
            return free;
        }
        open(client);
    }
}

#[test]
fn a_trapped_workers_counts_are_free_after_the_lease_and_only_then() {
    let upstream = Gate::start();
    let document = json!({"policies": [policy("chat", json!({"per_ip": LIMIT}))]});
    let envoy = start(&document, upstream.address);
    let (address, chat) = (envoy.address(), Request::upgrade("/chat"));
    let mut held: Vec<Client> = (0..LIMIT).map(|_| Client::open(address, &chat)).collect();
    assert_eq!(status(address, &chat).0, 429);
    let trapped = trap(&envoy);
    // A stream of the trapped VM ends when something comes along on it.
    for client in &mut held {
        client.send(&text("still there?"));
    }
    wait_for("connections to end", || (upstream.open() < LIMIT).then_some(()));
    let free = fill(address, |client| held.push(client));
    // Ten rounds of 450 ms, the first of which may have begun before the trap.
    let lease = free.duration_since(trapped);
    assert!(lease > Duration::from_millis(3500), "after {lease:?}");
    assert!(held.len() > LIMIT && held.len() < 2 * LIMIT, "some were lost, and some were not");
    upstream.wait_for(LIMIT);
    envoy.metric(&format!(r#"wsguard_connections{{policy="chat"}} {LIMIT}"#));
    drop(held);
    envoy.metric(r#"wsguard_connections{policy="chat"} 0"#);
}

/// A connection on which messages go up and come back, one after the other.
struct Traffic {
    client: Client,
    passed: usize,
}

impl Traffic {
    const fn on(client: Client) -> Self {
        Self { client, passed: 0 }
    }

    /// Sends one more; whether it comes back.
    fn goes_on(&mut self) -> bool {
        let message = format!("message {}", self.passed);
        let sent = self.client.stream.write_all(&text(&message)).is_ok();
        let Some(back) = self.client.frame().filter(|_| sent) else { return false };
        assert_eq!(back.payload, message.as_bytes());
        self.passed += 1;
        true
    }

    /// Goes on until it is stopped, or lost.
    fn run(mut self, stop: &AtomicBool) -> Option<Self> {
        while !stop.load(Ordering::Relaxed) {
            if !self.goes_on() {
                return None;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It may not have sent anything since the trap.
        self.goes_on().then_some(self)
    }
}

fn from(path: &str, address: &str) -> Request {
    Request::upgrade(path).with("x-forwarded-for", address)
}

const BANNED: &str = "192.0.2.66";
const STRUCK: &str = "192.0.2.67";
const HASTY: &str = "192.0.2.68";
const TALKER: &str = "192.0.2.69";

/// Strikes, bans and rates, of an address each.
struct Counted<'a>(&'a Envoy);

impl Counted<'_> {
    fn document() -> Value {
        let mut keyed = policy("keyed", json!({"per_ip": 100}));
        keyed["auth"] = crate::by_api_key();
        keyed["bans"] = json!({"threshold": 2, "window": "10m", "duration": "1h", "by": ["ip"]});
        let mut hasty = policy("hasty", json!({"per_ip": 100}));
        hasty["quotas"]["handshakes"] = json!({"per_ip": "5/10m"});
        let mut talk = policy("talk", json!({"per_ip": 100}));
        talk["client"] = json!({"rate": {"per_ip": "20/10m"}, "on_violation": "drop"});
        let chat = policy("chat", json!({"per_ip": LIMIT}));
        json!({"policies": [chat, policy("held", json!({"per_ip": 100})), keyed, hasty, talk]})
    }

    fn asks(&self, request: &Request) -> (u16, String) {
        status(self.0.address(), request)
    }

    fn gets_in(&self, request: &Request) {
        drop(Client::open(self.0.address(), request));
    }

    fn bad_key(&self, address: &str) {
        let bad = from("/keyed", address).with("x-api-key", "wrong");
        assert_eq!(self.asks(&bad), (401, "credentials_invalid".to_owned()));
    }

    /// Sends so many messages on a new connection; how many come back.
    fn talk(&self, messages: usize) -> usize {
        let mut client = Client::open(self.0.address(), &from("/talk", TALKER));
        client.send(&[text("hello").repeat(messages), frame(0x88, b"")].concat());
        std::iter::from_fn(|| client.frame().filter(|frame| frame.first == 0x81)).count()
    }

    fn before(&self) {
        (0..2).for_each(|_| self.bad_key(BANNED));
        self.bad_key(STRUCK);
        (0..3).for_each(|_| self.gets_in(&from("/hasty", HASTY)));
        assert_eq!(self.talk(8), 8);
        assert_eq!(self.asks(&from("/keyed", BANNED)).1, "banned");
        self.0.metric("wsguard_bans_active{} 1");
    }

    /// Nothing of it is lost, and nothing has come to it.
    fn after(&self) {
        let good = |address| from("/keyed", address).with("x-api-key", crate::TEST_API_KEY);
        assert_eq!(self.asks(&good(BANNED)), (429, "banned".to_owned()));
        self.gets_in(&good(STRUCK));
        self.bad_key(STRUCK);
        assert_eq!(self.asks(&good(STRUCK)).1, "banned");
        self.0.metric("wsguard_bans_active{} 2");
        (0..2).for_each(|_| self.gets_in(&from("/hasty", HASTY)));
        assert_eq!(self.asks(&from("/hasty", HASTY)), (429, "handshake_rate".to_owned()));
        assert_eq!(self.talk(30), 12, "the rest of 20");
    }
}

/// Begins a message that takes so much to hold.
const HELD_BYTES: usize = 100_000;

fn holding(envoy: &Envoy) -> Client {
    let mut client = Client::open(envoy.address(), &Request::upgrade("/held"));
    client.send(&frame(0x02, &[7; HELD_BYTES]));
    client
}

#[test]
fn the_other_worker_goes_on_in_mid_traffic_and_every_count_is_right_afterwards() {
    const HOLDING: usize = 4;
    let echo = Echo::of(Maker::Tungstenite);
    let envoy = start(&Counted::document(), echo.address);
    let address = envoy.address();
    let chat = Request::upgrade("/chat");
    let talking: Vec<_> = (0..LIMIT).map(|_| Traffic::on(Client::open(address, &chat))).collect();
    let mut held: Vec<_> = (0..HOLDING).map(|_| holding(&envoy)).collect();
    let held_bytes = || counter(&envoy, "wsguard_buffered_bytes");
    wait_for("the messages to be held", || (held_bytes() >= HOLDING * HELD_BYTES).then_some(()));
    Counted(&envoy).before();

    let stop = AtomicBool::new(false);
    let mut new = Vec::new();
    let survivors: Vec<Traffic> = std::thread::scope(|scope| {
        let stop = &stop;
        let threads: Vec<_> =
            talking.into_iter().map(|one| scope.spawn(move || one.run(stop))).collect();
        trap(&envoy);
        fill(address, |client| new.push(Traffic::on(client)));
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    // As many as were lost, and no more.
    assert!(!survivors.is_empty() && !new.is_empty());
    assert_eq!(survivors.len() + new.len(), LIMIT);
    let mut open: Vec<Traffic> = survivors.into_iter().chain(new).collect();
    for one in &mut open {
        assert!((0..20).all(|_| one.goes_on()), "old ones and new ones go on");
    }
    envoy.metric(&format!(r#"wsguard_connections{{policy="chat"}} {LIMIT}"#));
    Counted(&envoy).after();
    // The end of a message that was held comes too late where its VM has trapped.
    let kept = held.iter_mut().filter_map(|client| {
        let _ = client.stream.write_all(&frame(0x80, b"end"));
        let back = client.frame()?;
        assert_eq!(back.payload, [&[7; HELD_BYTES], b"end".as_slice()].concat());
        Some(())
    });
    let before = held_bytes();
    let kept = kept.count();
    assert!((1..HOLDING).contains(&kept), "{kept} of {HOLDING}");
    let most = kept * 2 * HELD_BYTES;
    assert!((kept * HELD_BYTES..=most).contains(&before), "{before} bytes for {kept}");
    drop((open, held));
    for name in ["chat", "held", "keyed", "hasty", "talk"] {
        envoy.metric(&format!(r#"wsguard_connections{{policy="{name}"}} 0"#));
    }
    envoy.metric("wsguard_buffered_bytes{} 0");
}
