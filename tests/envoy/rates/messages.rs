//! Rates of messages and bytes: never one more than the limit, for whomever it
//! is, and never one less while there is room.

use crate::client::{Client, Request, frame, text};
use crate::peers::{Echo, Maker};
use crate::support::{Envoy, balanced, behind_a_proxy, bootstrap};
use serde_json::{Value, json};
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Whose rate it is, and from where its four connections come: for one
/// connection, for an address, for a user at two addresses.
const WHOSE: [(&str, [&str; 4]); 3] = [
    ("per_connection", ["192.0.2.1"; 4]),
    ("per_ip", ["192.0.2.2"; 4]),
    ("per_user", ["192.0.2.3", "192.0.2.4", "192.0.2.3", "192.0.2.4"]),
];

/// A policy that leaves out what `direction` sends over this rate of `whose`.
fn policy(direction: &str, measure: &str, whose: &str, rate: &str) -> Value {
    let name = format!("{direction}-{measure}-{whose}");
    json!({
        "name": name.clone(),
        "match": {"paths": [format!("/{name}")]},
        "auth": crate::by_api_key(),
        direction: {measure: {whose: rate}, "on_violation": "drop"},
    })
}

fn open(envoy: &Envoy, policy: &Value, address: &str) -> Client {
    let request = Request::upgrade(policy["match"]["paths"][0].as_str().unwrap())
        .with("x-forwarded-for", address)
        .with("x-api-key", crate::TEST_API_KEY);
    Client::open(envoy.address(), &request)
}

fn start(policies: &[&Value], echo: &Echo) -> Envoy {
    let document = json!({"policies": policies});
    Envoy::start(&balanced(behind_a_proxy(bootstrap(&document, echo.address))))
}

/// How many of so many messages of a hundred bytes come back.
fn come_back(client: &mut Client, count: usize) -> usize {
    client.send(&[text(&"m".repeat(100)).repeat(count), frame(0x88, b"")].concat());
    let frames = std::iter::from_fn(|| client.frame());
    frames.take_while(|frame| frame.first == 0x81).count()
}

#[test]
fn of_a_burst_a_hundred_pass_and_the_next_does_not() {
    let echo = Echo::of(Maker::Tungstenite);
    let mut cases = Vec::new();
    for (whose, addresses) in WHOSE {
        for direction in ["client", "server"] {
            for (measure, rate) in [("rate", "100/1h"), ("bytes", "10000/1h")] {
                cases.push((policy(direction, measure, whose, rate), whose, addresses));
            }
        }
    }
    let envoy = start(&cases.iter().map(|(policy, ..)| policy).collect::<Vec<_>>(), &echo);
    for (policy, whose, addresses) in &cases {
        let mut clients = addresses.map(|address| open(&envoy, policy, address));
        let open = envoy.open_on_workers();
        assert!(open.iter().all(|open| *open >= 2), "{open:?}");
        // One by one it is the last that is left out; of all together, the rest.
        let each = if *whose == "per_connection" { 101 } else { 30 };
        let barrier = Barrier::new(clients.len());
        let passed: Vec<usize> = std::thread::scope(|scope| {
            let threads = clients.each_mut().map(|client| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    come_back(client, each)
                })
            });
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let name = &policy["name"];
        if *whose == "per_connection" {
            assert_eq!(passed, [100; 4], "{name}");
        } else {
            assert_eq!(passed.iter().sum::<usize>(), 100, "{name}: {passed:?}");
        }
    }
}

/// A message that came back: when it was sent, and when it had come.
type Passed = (Instant, Instant);

/// Sends and counts what comes back, until a time, and until so much has.
fn chatter(client: &mut Client, until: Instant, passed: &AtomicUsize, least: usize) -> Vec<Passed> {
    let mut writer = Client::sharing(client);
    std::thread::scope(|scope| {
        let sent = scope.spawn(|| {
            let mut sent = Vec::new();
            while Instant::now() < until || passed.load(Ordering::Relaxed) < least {
                sent.push(Instant::now());
                writer.send(&text(&(sent.len() - 1).to_string()));
                std::thread::sleep(Duration::from_millis(10));
            }
            writer.send(&frame(0x88, b""));
            sent
        });
        let mut came = Vec::new();
        while let Some(frame) = client.frame().filter(|frame| frame.first == 0x81) {
            let number: usize = String::from_utf8(frame.payload).unwrap().parse().unwrap();
            came.push((number, Instant::now()));
            passed.fetch_add(1, Ordering::Relaxed);
        }
        let sent = sent.join().unwrap();
        came.into_iter().map(|(number, at)| (sent[number], at)).collect()
    })
}

/// Wherever a period is laid: what was sent after its beginning and had come
/// before its end was let through within it.
#[test]
fn no_sliding_period_has_more_than_the_limit() {
    const LIMIT: usize = 20;
    const PERIOD: Duration = Duration::from_secs(2);
    let echo = Echo::of(Maker::Tungstenite);
    let policies = WHOSE.map(|(whose, _)| policy("client", "rate", whose, "20/2s"));
    let envoy = start(&policies.each_ref(), &echo);
    let until = Instant::now() + PERIOD * 3 + PERIOD / 2;
    // Each connection has a count of its own; the rest share theirs.
    let counts: [[AtomicUsize; 4]; 3] = Default::default();
    let all: Vec<(&str, Vec<Passed>)> = std::thread::scope(|scope| {
        let mut threads = Vec::new();
        for (((whose, addresses), policy), counts) in WHOSE.iter().zip(&policies).zip(&counts) {
            for (place, address) in addresses.iter().enumerate() {
                let mut client = open(&envoy, policy, address);
                let count = &counts[if *whose == "per_connection" { place } else { 0 }];
                let chat = move || chatter(&mut client, until, count, 2 * LIMIT);
                threads.push((*whose, scope.spawn(chat)));
            }
        }
        threads.into_iter().map(|(whose, thread)| (whose, thread.join().unwrap())).collect()
    });
    let mut counted: Vec<(&str, Vec<Passed>)> = Vec::new();
    for (whose, passed) in all {
        match counted.iter_mut().find(|(w, _)| *w == whose && whose != "per_connection") {
            Some((_, together)) => together.extend(passed),
            None => counted.push((whose, passed)),
        }
    }
    assert_eq!(counted.len(), 6, "four connections, an address, a user");
    for (whose, passed) in counted {
        for (begin, _) in &passed {
            let within = |(sent, came): &&Passed| sent >= begin && *came <= *begin + PERIOD;
            let within = passed.iter().filter(within).count();
            assert!(within <= LIMIT, "{whose}: {within}");
        }
        assert!(passed.len() >= 2 * LIMIT, "{whose}: {} came in all", passed.len());
    }
}
