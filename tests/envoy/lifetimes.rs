//! How long a connection lives, without `push`: what counts as life, and what
//! ends it. With `push`, and by clients of other projects, in `push`.

use super::client::{Client, Request, frame, text};
use super::frames::pair::{Server, Upstream, close, plain};
use super::support::{Envoy, bootstrap, wait_for};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::time::{Duration, Instant};

const IDLE: Duration = Duration::from_secs(4);
/// So long that nothing stands still for as long who sends something five times a
/// second.
const LONG_IDLE: Duration = Duration::from_secs(15);
const MAX: Duration = Duration::from_secs(20);
/// How long a Close may go unanswered.
const HALF_CLOSED: Duration = Duration::from_secs(10);

/// One connection of each policy, and what becomes of it.
struct Life {
    name: &'static str,
    lifetime: Value,
    /// What the client goes on sending, a piece every 200 ms.
    sends: Vec<u8>,
    /// Why it ends, and not before when.
    ends: (&'static str, Duration),
}

fn lives() -> Vec<Life> {
    let idle = json!({"idle": "4s"});
    let ended = ("idle_timeout", IDLE);
    let max = json!({"idle": "15s", "max": "20s"});
    vec![
        Life { name: "silent", lifetime: idle.clone(), sends: Vec::new(), ends: ended },
        Life { name: "pinging", lifetime: idle.clone(), sends: frame(0x89, b"p"), ends: ended },
        // The first fragment, and then more of the same message.
        Life { name: "endless", lifetime: idle, sends: frame(0x00, b"more"), ends: ended },
        Life {
            name: "talking",
            lifetime: max,
            sends: text("still here"),
            ends: ("lifetime_exceeded", MAX),
        },
    ]
}

/// Both ends see the end of it, in whatever way.
fn are_ended(mut client: Client, mut server: Server) {
    while client.frame().is_some() {}
    let mut rest = [0; 4096];
    while matches!(server.stream.read(&mut rest), Ok(1..)) {}
}

/// Goes on sending until the connection ends; how long that took.
fn live(life: &Life, (mut client, server): (Client, Server), opened: Instant) -> Duration {
    if life.name == "endless" {
        client.send(&frame(0x01, b"begin"));
    }
    let mut writer = Client::sharing(&client);
    let sends = life.sends.clone();
    let sender = std::thread::spawn(move || {
        while !sends.is_empty() && writer.stream.write_all(&sends).is_ok() {
            std::thread::sleep(Duration::from_millis(200));
        }
    });
    are_ended(client, server);
    let lived = opened.elapsed();
    sender.join().unwrap();
    lived
}

fn policy(name: &str, lifetime: &Value) -> Value {
    json!({"name": name, "match": {"paths": [format!("/{name}")]}, "lifetime": lifetime})
}

#[test]
fn what_is_no_life_keeps_no_connection_open() {
    let (upstream, lives) = (Upstream::bind(), lives());
    let policies: Vec<Value> = lives.iter().map(|l| policy(l.name, &l.lifetime)).collect();
    let document = json!({"policies": policies});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address()));
    std::thread::scope(|scope| {
        for life in &lives {
            let opened = Instant::now();
            let pair =
                upstream.open(envoy.address(), &Request::upgrade(&format!("/{}", life.name)));
            scope.spawn(move || {
                let lived = live(life, pair, opened);
                assert!(lived >= life.ends.1, "{}: {lived:?}", life.name);
            });
        }
    });
    for life in &lives {
        let closed = |event: &Value| event["event"] == "closed" && event["policy"] == life.name;
        let closed = wait_for("its end to be told", || envoy.events().into_iter().find(closed));
        assert_eq!(closed["reason"], life.ends.0, "{}", life.name);
    }
}

#[test]
fn pings_are_life_where_the_policy_says_so() {
    let upstream = Upstream::bind();
    let lifetime = json!({"idle": "15s", "ping_counts": true});
    let document = json!({"policies": [policy("pinging", &lifetime)]});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address()));
    let (mut client, mut server) = upstream.open(envoy.address(), &Request::upgrade("/pinging"));
    let begin = Instant::now();
    let (ping, pong) = (frame(0x89, b"p"), plain(0x8A, b"p"));
    while begin.elapsed() < LONG_IDLE * 3 / 2 {
        client.send(&ping);
        server.expect(&ping);
        server.send(&pong);
        assert_eq!(client.frame().unwrap().first, 0x8A);
        std::thread::sleep(Duration::from_millis(200));
    }
    let last = Instant::now();
    client.send(&text("still here"));
    server.expect(&text("still here"));
    are_ended(client, server);
    assert!(last.elapsed() >= LONG_IDLE, "{:?}", last.elapsed());
    envoy.event("closed", Some("idle_timeout"));
}

/// A Close that the other end does not answer, and a client that has shut down
/// its side of TCP.
#[test]
fn half_closed_peers_are_not_kept() {
    let upstream = Upstream::bind();
    let document = json!({"policies": [policy("chat", &json!({"idle": "1h"}))]});
    let envoy = Envoy::start(&bootstrap(&document, upstream.address()));
    let open = || upstream.open(envoy.address(), &Request::upgrade("/chat"));
    let begin = Instant::now();
    let (mut leaving, mut deaf_server) = open();
    leaving.send(&frame(0x88, &1000u16.to_be_bytes()));
    deaf_server.expect(&frame(0x88, &1000u16.to_be_bytes()));
    let (mut deaf, mut leaving_server) = open();
    leaving_server.send(&close(1000, ""));
    assert_eq!(deaf.frame().unwrap().close(), (1000, String::new()));
    let (gone, left_server) = open();
    gone.stream.shutdown(Shutdown::Write).unwrap();
    are_ended(gone, left_server);
    for (client, server) in [(leaving, deaf_server), (deaf, leaving_server)] {
        are_ended(client, server);
        assert!(begin.elapsed() >= HALF_CLOSED, "{:?}", begin.elapsed());
    }
    let closed = |code: &Value| {
        envoy.events().iter().filter(|e| e["event"] == "closed" && e["code"] == *code).count()
    };
    wait_for("all three ends to be told", || {
        ((closed(&json!(1000)), closed(&Value::Null)) == (2, 1)).then_some(())
    });
    let gauge = || super::frames::counter(&envoy, r#"wsguard_connections{policy="chat"}"#);
    wait_for("none to count", || (gauge() == 0).then_some(()));
}
