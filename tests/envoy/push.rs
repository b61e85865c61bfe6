//! `push`: what wsguard says to clients unasked, and that it disturbs nothing of
//! what passes.

use super::client::{Request, frame, text};
use super::frames::counter;
use super::frames::pair::{Upstream, close};
use super::peers::{Echo, Maker, Talk, long_binary, long_text, talk};
use super::support::{Envoy, bootstrap_of, listener, wait_for};
use serde_json::{Value, json};

mod endings;
mod limits;
mod unread;

pub use unread::allocated;

/// What Envoy may buffer for a connection of each side, as in the examples.
const LISTENER_BYTES: u32 = 64 << 10;
const CLUSTER_BYTES: u32 = 32 << 10;

const PEERS: [(Maker, Maker); 2] = [(Maker::Python, Maker::Node), (Maker::Node, Maker::Python)];

/// A listener of this name, whose one policy has the name too.
fn pushing(name: &str, policy: Value) -> Value {
    let mut policy = policy;
    policy["name"] = json!(name);
    let mut listener = listener(&json!({"policies": [policy]}));
    listener["name"] = json!(name);
    listener["per_connection_buffer_limit_bytes"] = json!(LISTENER_BYTES);
    listener
}

fn start(listeners: &[Value], upstream: std::net::SocketAddr) -> Envoy {
    let mut bootstrap = bootstrap_of(listeners, upstream);
    let cluster = &mut bootstrap["static_resources"]["clusters"][0];
    cluster["per_connection_buffer_limit_bytes"] = json!(CLUSTER_BYTES);
    Envoy::start(&bootstrap)
}

/// A client that has never sent a byte is told all the same, and the server too;
/// and so is one after a message that is larger than any buffer, which has more
/// time.
#[test]
fn endings_that_no_message_causes_come_with_code_and_reason() {
    let cases = [
        ("idle_timeout", "idle", "2s", None),
        ("lifetime_exceeded", "max", "2s", None),
        ("idle_timeout", "idle", "20s", Some("binary:3145728")),
        ("lifetime_exceeded", "max", "20s", Some("binary:3145728")),
    ];
    let large = json!({"max_frame": 4 << 20, "max_message": 4 << 20});
    for (client, server) in PEERS {
        let echo = Echo::of(server);
        let name = |place: usize| format!("case-{place}");
        let site = |(place, (_, limit, lasts, _)): (usize, &(_, &str, &str, _))| {
            let lifetime = json!({*limit: lasts, "push": true});
            let policy = json!({"client": large, "server": large, "lifetime": lifetime});
            pushing(&name(place), policy)
        };
        let listeners: Vec<Value> = cases.iter().enumerate().map(site).collect();
        let envoy = start(&listeners, echo.address);
        let talk = |(place, (_, _, _, first)): (usize, &(_, _, _, Option<&'static str>))| {
            let steps: Vec<&str> = first.iter().copied().chain(["wait:600000"]).collect();
            Talk::start(client, envoy.listener(&name(place)), &steps)
        };
        let talks: Vec<Talk> = cases.iter().enumerate().map(talk).collect();
        for (talk, (reason, _, _, first)) in talks.into_iter().zip(&cases) {
            let saw = talk.saw();
            assert_eq!(saw.close(), Some((1001, *reason)), "{client:?}, {first:?}");
            assert_eq!(saw.messages().len(), first.iter().count(), "{client:?}, {first:?}");
        }
        let mut ended: Vec<Value> = cases.iter().map(|_| echo.ended()).collect();
        ended.sort_by_key(|ended| ended["reason"].to_string());
        for (ended, reason) in ended.iter().zip([
            "idle_timeout",
            "idle_timeout",
            "lifetime_exceeded",
            "lifetime_exceeded",
        ]) {
            assert_eq!(
                (&ended["code"], &ended["reason"]),
                (&json!(1001), &json!(reason)),
                "{server:?}"
            );
        }
    }
}

#[test]
fn heartbeats_are_answered_by_clients_and_seen_by_no_server() {
    for (client, server) in PEERS {
        let echo = Echo::of(server);
        // Long enough for a client that has other work to answer in time.
        let policy = json!({"lifetime": {"heartbeat": "4s", "push": true}});
        let envoy = start(&[pushing("beats", policy)], echo.address);
        // More than the two that a client may miss.
        let saw = talk(client, envoy.listener("beats"), &["pings:3", "say:hello"]);
        assert!(saw.pings() >= 3, "{client:?}: {} pings", saw.pings());
        assert_eq!((saw.messages(), saw.close()), (vec!["hello"], Some((1000, "done"))));
        let ended = echo.ended();
        assert_eq!((&ended["messages"], &ended["pongs"]), (&json!(1), &json!(0)), "{server:?}");
    }
}

#[test]
fn a_client_that_has_gone_without_a_word_is_given_up() {
    let upstream = Upstream::bind();
    let policy = json!({"lifetime": {"heartbeat": "1s", "push": true}});
    let envoy = start(&[pushing("beats", policy)], upstream.address());
    let (mut client, mut server) = upstream.open(envoy.listener("beats"), &Request::upgrade("/ws"));
    let pings = [client.frame().unwrap(), client.frame().unwrap()];
    assert!(pings.iter().all(|ping| ping.first == 0x89 && ping.payload.len() == 8), "{pings:?}");
    let told = client.frame().unwrap().close();
    assert_eq!(told, (1001, "heartbeat_missed".to_owned()));
    assert_eq!(client.frame(), None);
    // Without bytes of the client's there is no place for its Close.
    server.expect_end();
}

/// In the callbacks of the client's own bytes, and the server silent.
#[test]
fn verdicts_reach_a_client_whose_server_is_silent() {
    let upstream = Upstream::bind();
    let rule = |name: &str| {
        let rule = json!({"name": "bad", "pattern": "<script>", "action": name});
        pushing(name, json!({"client": {"rules": [rule]}, "lifetime": {"push": true}}))
    };
    let envoy = start(&[rule("reply"), rule("close")], upstream.address());
    let request = Request::upgrade("/ws");
    let (mut client, mut server) = upstream.open(envoy.listener("reply"), &request);
    for _ in 0..3 {
        client.send(&text("<script>"));
        let told = client.frame().unwrap();
        assert_eq!(told.first, 0x81);
        assert!(String::from_utf8(told.payload).unwrap().contains("rule_matched"));
    }
    client.send(&text("good"));
    server.expect(&text("good"));

    let (mut client, mut server) = upstream.open(envoy.listener("close"), &request);
    client.send(&text("<script>"));
    assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
    server.expect_close(1008, "");
    client.send(&frame(0x88, &1008u16.to_be_bytes()));
    server.send(&close(1008, ""));
    assert_eq!(client.frame(), None);
    server.expect_nothing_but_the_end();
}

/// Messages larger than any buffer, before, between and behind pushes.
#[test]
fn large_messages_pass_both_ways_between_pushes() {
    let rule = json!({"name": "bad", "pattern": "<script>", "action": "reply"});
    let size = json!({"max_frame": 4 << 20, "max_message": 4 << 20, "rules": [rule]});
    let policy = json!({
        "client": size, "server": size, "lifetime": {"heartbeat": "4s", "push": true},
    });
    let (text, text_name) = long_text(1_500_000);
    let (binary, binary_name) = long_binary(3 << 20);
    let bad = "say:<script>";
    let steps = [&binary, bad, &text, "pings:1", bad, bad, &binary, &text, bad, "say:end"];
    for (client, server) in PEERS {
        let echo = Echo::of(server);
        let envoy = start(&[pushing("large", policy.clone())], echo.address);
        let two: Vec<_> =
            (0..2).map(|_| Talk::start(client, envoy.listener("large"), &steps)).collect();
        for saw in two {
            let saw = saw.saw();
            let told = |message: &&str| message.contains("rule_matched");
            assert_eq!(saw.messages().into_iter().filter(told).count(), 4, "{client:?}");
            let echoed: Vec<_> = saw.messages().into_iter().filter(|m| !told(m)).collect();
            assert_eq!(echoed, [&binary_name, &text_name, &binary_name, &text_name, "end"]);
            assert_eq!(saw.close(), Some((1000, "done")), "{client:?}");
            assert!(saw.pings() > 0, "{client:?}");
            let ended = echo.ended();
            assert_eq!((&ended["messages"], &ended["pongs"]), (&json!(5), &json!(0)), "{server:?}");
        }
        wait_for("all that was held to be given back", || {
            (counter(&envoy, "wsguard_buffered_bytes") == 0).then_some(())
        });
    }
}
