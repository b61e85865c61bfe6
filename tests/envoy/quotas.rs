//! Connection quotas over the workers and listeners of an Envoy, counted where
//! it matters: at upstream.

use super::client::{Client, KEY, Request};
use super::support::{Envoy, PATIENCE, bootstrap, listener, trap_wasm, wait_for};
use super::upstream::accept;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

mod ipv6;

/// Accepts every WebSocket, and counts how many are open at once.
///
/// One thread, so that it counts right: it takes the requests that have come,
/// and only then looks who of all is still there. So those that it counts were
/// open together, when the last request came. Connections without a request are
/// not counted: Envoy keeps one that it had begun for a client that has left.
struct Gate {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
    answered: Arc<AtomicUsize>,
}

struct Guest {
    stream: TcpStream,
    head: Vec<u8>,
    answered: bool,
}

impl Gate {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let gate = Self {
            address: listener.local_addr().unwrap(),
            open: Arc::default(),
            most: Arc::default(),
            answered: Arc::default(),
        };
        let (open, most) = (Arc::clone(&gate.open), Arc::clone(&gate.most));
        let answered = Arc::clone(&gate.answered);
        // Ends with the test process; it holds nothing but its own port.
        std::thread::spawn(move || {
            let mut guests: Vec<Guest> = Vec::new();
            loop {
                let new = listener.accept().ok();
                let idle = new.is_none();
                if let Some((stream, _)) = new {
                    stream.set_nonblocking(true).unwrap();
                    guests.push(Guest { stream, head: Vec::new(), answered: false });
                }
                guests.retain_mut(Guest::read);
                let new = guests.iter_mut().filter_map(Guest::answer).count();
                answered.fetch_add(new, Ordering::SeqCst);
                guests.retain_mut(Guest::read);
                let count = guests.iter().filter(|guest| guest.answered).count();
                open.store(count, Ordering::SeqCst);
                most.fetch_max(count, Ordering::SeqCst);
                if idle {
                    std::thread::sleep(Duration::from_micros(200));
                }
            }
        });
        gate
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::SeqCst)
    }

    fn wait_for(&self, open: usize) {
        let what = format!("{open} connections at upstream");
        wait_for(&what, || (self.open() == open).then_some(()));
    }
}

impl Guest {
    /// Reads what is there; false when it has ended.
    fn read(&mut self) -> bool {
        let mut chunk = [0; 4096];
        loop {
            match self.stream.read(&mut chunk) {
                Ok(0) => return false,
                Ok(length) if !self.answered => self.head.extend_from_slice(&chunk[..length]),
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    }

    /// Answers the request, once it is there.
    fn answer(&mut self) -> Option<()> {
        let due = !self.answered && self.head.ends_with(b"\r\n\r\n");
        due.then(|| {
            self.answered = true;
            let answer = format!(
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n\
                 sec-websocket-accept: {}\r\n\r\n",
                accept(&String::from_utf8_lossy(&self.head))
            );
            // And a message, so that who leaves without reading it resets.
            let message = b"\x81\x02hi";
            let _ = self.stream.write_all(&[answer.as_bytes(), message].concat());
        })
    }
}

fn policy(name: &str, connections: Value) -> Value {
    json!({
        "name": name,
        "match": {"paths": [format!("/{name}")]},
        "quotas": {"connections": connections},
    })
}

/// A bootstrap whose metrics have their labels.
fn labelled(document: &Value, upstream: SocketAddr) -> Value {
    let mut bootstrap = bootstrap(document, upstream);
    bootstrap["stats_config"] = json!({"stats_tags": [{
        "tag_name": "policy",
        "regex": r"^wasmcustom\.wsguard_\w+(\.policy\.([a-z0-9_-]+))",
    }]});
    bootstrap
}

fn status(address: SocketAddr, request: &Request) -> (u16, String) {
    let (_, answer) = Client::ask(address, request);
    (answer.status, answer.reason())
}

/// A client that comes, stays a while and leaves in one of several ways, again
/// and again.
fn restless(address: SocketAddr, mut random: u64, stop: &AtomicBool) {
    let mut below = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % bound
    };
    let pause = |milliseconds| std::thread::sleep(Duration::from_millis(milliseconds));
    let request = Request::upgrade("/chat").bytes();
    while !stop.load(Ordering::Relaxed) {
        pause(50 + below(300));
        let Ok(mut stream) = TcpStream::connect(address) else { continue };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&request);
        if below(8) == 0 {
            // Gone before there is an answer, or while it comes.
            pause(below(4));
            continue;
        }
        let mut status = [0; 12];
        if stream.read_exact(&mut status).is_err() || &status[9..] != b"101" {
            continue;
        }
        pause(below(120));
        match below(3) {
            // With bytes unread, the kernel resets the connection.
            0 => drop(stream),
            1 => {
                let mut rest = [0; 4096];
                let _ = stream.read(&mut rest);
                drop(stream);
            }
            _ => {
                let _ = stream.write_all(&super::client::frame(0x88, &1000u16.to_be_bytes()));
                let _ = stream.shutdown(std::net::Shutdown::Write);
                pause(below(20));
            }
        }
    }
}

#[test]
fn four_workers_never_let_an_address_have_more_than_its_limit() {
    storm(100, Duration::from_secs(10));
}

#[test]
#[ignore = "takes minutes: make soak"]
fn soak_ten_thousand_connections_never_pass_a_limit() {
    storm(10_000, Duration::from_secs(300));
}

/// A crowd comes and goes for ten seconds at least, until more than so many
/// were let in, but not for longer than this.
fn storm(least: usize, longest: Duration) {
    const LIMIT: usize = 10;
    let upstream = Gate::start();
    let document = json!({"policies": [policy("chat", json!({"per_ip": LIMIT}))]});
    let envoy = Envoy::start_on(4, &labelled(&document, upstream.address));
    let (address, stop) = (envoy.address(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for client in 0..200 {
            let stop = &stop;
            scope.spawn(move || restless(address, client, stop));
        }
        let begin = Instant::now();
        let over = || begin.elapsed() >= longest.min(Duration::from_secs(10));
        let crowd = || upstream.answered.load(Ordering::SeqCst) > least;
        while begin.elapsed() < longest && !(over() && crowd()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(upstream.most.load(Ordering::SeqCst), LIMIT);
    let answered = upstream.answered.load(Ordering::SeqCst);
    assert!(answered > least, "{answered} connections are no crowd");
    upstream.wait_for(0);
    envoy.metric(r#"wsguard_connections{policy="chat"} 0"#);
    // All of it is free again.
    let held: Vec<Client> =
        (0..LIMIT).map(|_| Client::open(address, &Request::upgrade("/chat"))).collect();
    assert_eq!(status(address, &Request::upgrade("/chat")), (429, "connections_per_ip".to_owned()));
    envoy.metric(r#"wsguard_connections{policy="chat"} 10"#);
    drop(held);
    envoy.metric(r#"wsguard_connections{policy="chat"} 0"#);
}

#[test]
fn listeners_share_counts_and_policies_do_not() {
    let upstream = Gate::start();
    let users = json!({
        "credentials": [{"header": "x-api-key"}],
        "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
    });
    let mut known = policy("known", json!({"per_user": 1}));
    known["auth"] = users;
    let mut watched = policy("watched", json!({"total": 1}));
    watched["mode"] = "report".into();
    let mut told = policy("told", json!({"total": 1}));
    told["handshake"] = json!({"refuse_with": "close"});
    let document = json!({
        "quotas": {"connections": {"total": 7}},
        "policies": [
            policy("chat", json!({"total": 2})), policy("feed", json!({"total": 2})),
            known, watched, told,
        ],
    });
    let mut bootstrap = labelled(&document, upstream.address);
    // Another document with a policy of the same name.
    let elsewhere = json!({"policies": [policy("chat", json!({"total": 2}))]});
    let mut second = listener(&elsewhere);
    second["name"] = "second".into();
    bootstrap["static_resources"]["listeners"].as_array_mut().unwrap().push(second);
    let envoy = Envoy::start(&bootstrap);
    let (first, second) = (envoy.listener("edge"), envoy.listener("second"));
    let chat = Request::upgrade("/chat");
    let mut held = vec![Client::open(first, &chat), Client::open(second, &chat)];
    for address in [first, second] {
        assert_eq!(status(address, &chat), (503, "connections_total".to_owned()));
    }
    let (_, refused) = Client::ask(first, &chat);
    assert!(refused.header("retry-after").is_some());
    let event = envoy.event("refused", Some("connections_total"));
    assert_eq!(event["detail"], "all 2 connections here are taken; try again later");

    held.push(Client::open(first, &Request::upgrade("/feed")));
    let known = Request::upgrade("/known").with("x-api-key", super::TEST_API_KEY);
    held.push(Client::open(first, &known));
    assert_eq!(status(first, &known), (429, "connections_per_user".to_owned()));
    held.push(Client::open(first, &Request::upgrade("/told")));
    let mut closed = Client::open(first, &Request::upgrade("/told"));
    assert_eq!(closed.frame().unwrap().close(), (1013, "connections_total".to_owned()));
    held.push(Client::open(first, &Request::upgrade("/watched")));
    held.push(Client::open(first, &Request::upgrade("/watched")));
    let event = envoy.event("reported", Some("connections_total"));
    assert_eq!(event["policy"], "watched");
    envoy.metric(r#"wsguard_connections{policy="watched"} 2"#);
    envoy.metric(r#"wsguard_connections{policy="chat"} 2"#);
    // Six of the document's seven: one of `chat` is the other document's, and
    // one of `watched` is over its limit.
    held.push(Client::open(first, &Request::upgrade("/feed")));
    held.push(Client::open(first, &Request::upgrade("/watched")));
    upstream.wait_for(held.len());
    held.clear();
    for name in ["chat", "feed", "known", "watched", "told"] {
        envoy.metric(&format!(r#"wsguard_connections{{policy="{name}"}} 0"#));
    }
}

/// The VM of one of two workers traps. Its connections end; what they took is
/// free after the lease, and not before; the other worker's go on.
#[test]
fn a_trapped_workers_counts_are_free_after_the_lease_and_only_then() {
    // So many that each worker has some.
    const LIMIT: usize = 12;
    let upstream = Gate::start();
    let document = json!({"policies": [policy("chat", json!({"per_ip": LIMIT}))]});
    let mut bootstrap = labelled(&document, upstream.address);
    let filters = &mut bootstrap["static_resources"]["listeners"][0]["filter_chains"][0]["filters"];
    let filter = &mut filters[0]["typed_config"]["http_filters"][0]["typed_config"];
    filter["config"]["vm_config"]["code"]["local"]["filename"] =
        trap_wasm().to_str().unwrap().into();
    let mut envoy = Envoy::start(&bootstrap);
    envoy.may_trap = true;
    let (address, chat) = (envoy.address(), Request::upgrade("/chat"));
    let mut held: Vec<Client> = (0..LIMIT).map(|_| Client::open(address, &chat)).collect();
    assert_eq!(status(address, &chat).0, 429);
    Client::connect(address).send(&chat.clone().with("x-wsguard-trap", KEY).bytes());
    let trapped = wait_for("the VM to trap", || {
        envoy.log().contains("Function: proxy_on_request_headers failed").then(Instant::now)
    });
    // A stream of the trapped VM ends when something comes along on it.
    for client in &mut held {
        client.send(&super::client::text("still there?"));
    }
    wait_for("connections to end", || (upstream.open() < LIMIT).then_some(()));
    let free = wait_for("the lease to end", || {
        let (client, answer) = Client::ask(address, &chat);
        // 503 without a reason is Envoy's, as long as it builds a new VM.
        assert!(matches!(answer.status, 101 | 429 | 503), "{answer:?}");
        (answer.status == 101).then_some(client)
    });
    // Ten rounds of 450 ms, the first of which may have begun before the trap.
    assert!(trapped.elapsed() > Duration::from_millis(3500), "after {:?}", trapped.elapsed());
    held.push(free);
    loop {
        let (client, answer) = Client::ask(address, &chat);
        if answer.status != 101 {
            assert_eq!(answer.reason(), "connections_per_ip");
            break;
        }
        held.push(client);
    }
    assert!(held.len() > LIMIT && held.len() < 2 * LIMIT, "some were lost, and some were not");
    upstream.wait_for(LIMIT);
    envoy.metric(&format!(r#"wsguard_connections{{policy="chat"}} {LIMIT}"#));
    drop(held);
    envoy.metric(r#"wsguard_connections{policy="chat"} 0"#);
}
