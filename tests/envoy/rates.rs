//! Rates over the workers of an Envoy.

use super::client::{Client, Request};
use super::support::{Envoy, bootstrap, wait_for};
use super::upstream::{Recorder, Script};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::time::Duration;

mod actions;
mod messages;

fn policy(name: &str, rate: &str) -> Value {
    json!({
        "name": name,
        "match": {"paths": [format!("/{name}")]},
        "quotas": {"handshakes": {"per_ip": rate}},
    })
}

/// How many of so many handshakes are accepted, one after the other on
/// connections of their own; the others are refused for the rate.
fn accepted(address: SocketAddr, path: &str, count: usize) -> usize {
    let answers = (0..count).map(|_| Client::ask(address, &Request::upgrade(path)).1);
    answers
        .filter(|answer| match answer.status {
            101 => true,
            429 => {
                assert_eq!(answer.reason(), "handshake_rate");
                false
            }
            status => panic!("{status}"),
        })
        .count()
}

#[test]
fn exactly_so_many_handshakes_of_an_address_pass_in_a_period() {
    const RATE: usize = 12;
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [policy("chat", "12/1h"), policy("feed", "12/1h")]});
    let envoy = Envoy::start_on(4, &bootstrap(&document, upstream.address));
    let address = envoy.address();
    let passed = std::thread::scope(|scope| {
        let crowd: Vec<_> =
            (0..8).map(|_| scope.spawn(move || accepted(address, "/chat", 8))).collect();
        crowd.into_iter().map(|one| one.join().unwrap()).sum::<usize>()
    });
    assert_eq!(passed, RATE);
    assert_eq!(accepted(address, "/feed", 1), 1, "another policy has its own");
    let (_, refused) = Client::ask(address, &Request::upgrade("/chat"));
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    // What is counted is forgotten within a sixteenth of the period.
    assert!((1..=3600 + 3600 / 16).contains(&wait), "{wait}");
    let told = envoy.event("refused", Some("handshake_rate"));
    let detail = told["detail"].as_str().unwrap();
    let says = "this address has used up the 12 handshakes that it may send in 1h; try again in ";
    assert!(detail.starts_with(says), "{detail}");
}

#[test]
fn the_time_that_a_refusal_says_is_enough_and_after_a_period_all_is_there_again() {
    const RATE: usize = 12;
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [policy("chat", "12/4s")]});
    let envoy = Envoy::start_on(4, &bootstrap(&document, upstream.address));
    let request = Request::upgrade("/chat");
    let (refused, text) = wait_for("more than the rate in its period", || {
        let (_, answer) = Client::ask(envoy.address(), &request);
        (answer.status == 429)
            .then(|| (answer.header("retry-after").unwrap().to_owned(), answer.reason()))
    });
    assert_eq!(text, "handshake_rate");
    let wait: u64 = refused.parse().unwrap();
    assert!((1..=5).contains(&wait), "{wait}");
    std::thread::sleep(Duration::from_secs(wait));
    assert_eq!(accepted(envoy.address(), "/chat", 1), 1);
    // However slow they come, a period's are there after one in which none came.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(accepted(envoy.address(), "/chat", RATE), RATE);
}
