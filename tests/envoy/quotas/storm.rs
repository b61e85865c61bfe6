//! Crowds that come and go in every way, from many addresses at once.

use super::{Gate, bootstrap, policy, status};
use crate::client::{Client, Request, frame};
use crate::support::{Envoy, PATIENCE, behind_a_proxy};
use serde_json::json;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const ADDRESSES: usize = 50;
/// Clients of each address, that come and go by themselves.
const CLIENTS: usize = 6;
const PER_IP: usize = 3;
/// Less than all addresses together would be allowed.
const TOTAL: usize = 60;
/// How long a crowd comes and goes at least, and when it is given up.
const SHORTEST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(1200);

fn from(address: usize) -> Request {
    Request::upgrade("/chat").with("x-forwarded-for", format!("192.0.2.{address}"))
}

/// How connections have ended.
#[derive(Default)]
struct Ends {
    /// Reset by the client, with bytes of the server's that it has not read.
    reset: AtomicUsize,
    ended: AtomicUsize,
    closed: AtomicUsize,
    /// Before there was an answer, or while it came.
    early: AtomicUsize,
    refused: AtomicUsize,
}

impl Ends {
    fn all(&self) -> [usize; 5] {
        [&self.reset, &self.ended, &self.closed, &self.early, &self.refused]
            .map(|count| count.load(Ordering::Relaxed))
    }
}

/// A client that comes, stays a while and leaves in one of several ways, again
/// and again.
fn restless(to: SocketAddr, client: usize, ends: &Ends, stop: &AtomicBool) {
    let mut random = client as u64;
    let mut below = |bound: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % bound
    };
    let pause = |milliseconds| std::thread::sleep(Duration::from_millis(milliseconds));
    let count = |end: &AtomicUsize| {
        end.fetch_add(1, Ordering::Relaxed);
    };
    let request = from(client % ADDRESSES).bytes();
    while !stop.load(Ordering::Relaxed) {
        pause(50 + below(300));
        let Ok(mut stream) = TcpStream::connect(to) else { continue };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = stream.write_all(&request);
        if below(8) == 0 {
            pause(below(4));
            count(&ends.early);
            continue;
        }
        let mut status = [0; 12];
        if stream.read_exact(&mut status).is_err() || &status[9..] != b"101" {
            count(&ends.refused);
            continue;
        }
        pause(below(120));
        match below(3) {
            // With bytes unread, the kernel resets the connection.
            0 => {
                drop(stream);
                count(&ends.reset);
            }
            1 => {
                let mut rest = [0; 4096];
                let _ = stream.read(&mut rest);
                drop(stream);
                count(&ends.ended);
            }
            _ => {
                let _ = stream.write_all(&frame(0x88, &1000u16.to_be_bytes()));
                let _ = stream.shutdown(Shutdown::Write);
                pause(below(20));
                count(&ends.closed);
            }
        }
    }
}

#[test]
fn four_workers_never_let_an_address_or_all_have_more_than_their_limit() {
    storm(100);
}

#[test]
#[ignore = "takes minutes: make soak"]
fn soak_ten_thousand_connections_never_pass_a_limit() {
    storm(10_000);
}

/// A crowd comes and goes for ten seconds at least, until more than so many
/// were let in and the crowd has been one in every way.
fn storm(least: usize) {
    let upstream = Gate::start();
    let limits = json!({"per_ip": PER_IP, "total": TOTAL});
    let document = json!({"policies": [policy("chat", limits)]});
    let bootstrap = behind_a_proxy(bootstrap(&document, upstream.address));
    let envoy = Envoy::start_on(4, &bootstrap);
    let (address, ends, stop) = (envoy.address(), Ends::default(), AtomicBool::new(false));
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for client in 0..ADDRESSES * CLIENTS {
            let (ends, stop) = (&ends, &stop);
            scope.spawn(move || restless(address, client, ends, stop));
        }
        let enough = || {
            let most = upstream.most();
            upstream.answered() > least
                && ends.all().iter().all(|count| *count > 0)
                && most.of.len() == ADDRESSES
                && most.of.values().max() >= Some(&PER_IP)
        };
        while begin.elapsed() < LONGEST && !(begin.elapsed() >= SHORTEST && enough()) {
            std::thread::sleep(Duration::from_millis(50));
        }
        stop.store(true, Ordering::Relaxed);
    });
    let most = upstream.most();
    let [reset, ended, closed, early, refused] = ends.all();
    eprintln!(
        "{} let in within {:?}: {reset} reset, {ended} ended, {closed} closed, {early} gone \
         before; {refused} refused; at most {} at once, of {} addresses",
        upstream.answered(),
        begin.elapsed(),
        most.all,
        most.of.len(),
    );
    assert!(upstream.answered() > least, "{} connections are no crowd", upstream.answered());
    assert!(reset.min(ended).min(closed).min(early).min(refused) > 0);
    assert_eq!(most.of.len(), ADDRESSES);
    assert_eq!(most.of.values().max(), Some(&PER_IP), "{most:?}");
    assert!(most.all <= TOTAL, "{most:?}");
    upstream.wait_for(0);
    envoy.metric(r#"wsguard_connections{policy="chat"} 0"#);
    all_is_free_again(&envoy);
}

fn all_is_free_again(envoy: &Envoy) {
    let address = envoy.address();
    let held: Vec<Client> =
        (0..TOTAL).map(|place| Client::open(address, &from(place / PER_IP))).collect();
    let (full, another) = (from(0), from(ADDRESSES));
    assert_eq!(status(address, &full), (429, "connections_per_ip".to_owned()));
    assert_eq!(status(address, &another), (503, "connections_total".to_owned()));
    envoy.metric(&format!(r#"wsguard_connections{{policy="chat"}} {TOTAL}"#));
    drop(held);
    envoy.metric(r#"wsguard_connections{policy="chat"} 0"#);
}
