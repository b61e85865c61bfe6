//! Endings that no message causes, by the steady clock.

use super::rig::{Rig, assert_masked_close, masked, plain, told_client};
use serde_json::{Value, json};
use std::time::Duration;
use wsguard::frame::{Sender, mask};
use wsguard::host::Timestamp;

fn lifetime(rules: Value) -> Value {
    json!({"policies": [{"name": "chat", "lifetime": rules}]})
}

/// Open, and ready to push.
fn open(rules: Value) -> Rig {
    let mut rig = Rig::open(&lifetime(rules));
    assert_eq!(rig.pushed(), b"");
    rig
}

impl Rig {
    /// Lets time pass with a tick every 500 ms; whether one resets.
    fn pass(&mut self, time: Duration) -> bool {
        let tick = Duration::from_millis(500);
        let mut reset = false;
        for _ in 0..time.as_millis() / 500 {
            self.host.advance(tick);
            reset |= self.session.on_tick().reset;
        }
        reset
    }
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn an_idle_connection_is_told_so_with_push() {
    let mut rig = open(json!({"idle": "10s", "push": true}));
    assert!(!rig.pass(9 * SECOND) && rig.pushed().is_empty());
    assert!(!rig.pass(SECOND));
    assert_eq!(rig.pushed(), told_client(1001, "idle_timeout"));
    let echo = masked(0x88, b"\x03\xe9idle_timeout");
    assert_masked_close(&rig.client(&echo).bytes, 1001, "idle_timeout");
    assert_eq!(rig.server(&told_client(1001, "")).bytes, b"");
    assert!(rig.pass(2 * SECOND), "whoever does not end it");
    rig.session.on_end();
    let closed = rig.event();
    assert_eq!((&closed["reason"], &closed["code"]), (&json!("idle_timeout"), &json!(1001)));
}

#[test]
fn without_push_an_idle_connection_is_reset() {
    let mut rig = open(json!({"idle": "10s"}));
    assert!(!rig.pass(9 * SECOND));
    assert!(rig.pass(SECOND));
    assert_eq!(rig.pushed(), b"");
    rig.session.on_end();
    let closed = rig.event();
    assert_eq!((&closed["reason"], &closed["code"]), (&json!("idle_timeout"), &Value::Null));
}

#[test]
fn five_minutes_are_idle_where_nothing_is_written() {
    let mut rig = open(json!({}));
    assert!(!rig.pass(299 * SECOND));
    assert!(rig.pass(SECOND));
}

#[test]
fn whole_messages_of_either_end_count_as_life_and_nothing_unfinished_does() {
    for (activity, lives) in [
        ((Some(masked(0x81, b"a")), None), true),
        ((None, Some(plain(0x82, b""))), true),
        ((Some(masked(0x81, &[b'a'; 100])[..50].to_vec()), None), false),
        ((Some(masked(0x01, b"a")), None), false),
    ] {
        let mut rig = open(json!({"idle": "10s"}));
        rig.pass(6 * SECOND);
        let (client, server) = &activity;
        client.iter().for_each(|bytes| drop(rig.client(bytes)));
        server.iter().for_each(|bytes| drop(rig.server(bytes)));
        assert_eq!(rig.pass(6 * SECOND), !lives, "{activity:?}");
    }
}

/// A Ping of an end, and the other end's Pong.
fn ping_pong(rig: &mut Rig, sender: Sender, payload: &[u8]) {
    match sender {
        Sender::Client => {
            assert_eq!(rig.client(&masked(0x89, payload)).bytes, masked(0x89, payload));
            assert_eq!(rig.server(&plain(0x8A, payload)).bytes, plain(0x8A, payload));
        }
        Sender::Server => {
            assert_eq!(rig.server(&plain(0x89, payload)).bytes, plain(0x89, payload));
            assert_eq!(rig.client(&masked(0x8A, payload)).bytes, masked(0x8A, payload));
        }
    }
}

/// As every proxy counts, unless the policy says otherwise.
#[test]
fn a_ping_of_either_end_counts_once_it_is_answered() {
    for sender in [Sender::Client, Sender::Server] {
        let mut rig = open(json!({"idle": "10s"}));
        for round in 0..5u8 {
            ping_pong(&mut rig, sender, &[round]);
            assert!(!rig.pass(8 * SECOND));
        }
        assert!(rig.pass(3 * SECOND), "{sender:?}");
        let mut rig = open(json!({"idle": "10s", "ping_counts": false}));
        rig.pass(6 * SECOND);
        ping_pong(&mut rig, sender, b"");
        assert!(rig.pass(6 * SECOND), "{sender:?}");
    }
}

#[test]
fn a_ping_without_a_pong_and_a_pong_without_a_ping_count_nothing() {
    for (client, server) in [
        (masked(0x89, b"a"), Vec::new()),
        (Vec::new(), plain(0x89, b"a")),
        (masked(0x8A, b"a"), Vec::new()),
        (Vec::new(), plain(0x8A, b"")),
        (masked(0x8A, b"a"), plain(0x8A, b"a")),
        // The answer to another one.
        (masked(0x89, b"a"), plain(0x8A, b"b")),
        // Both ask, and neither answers.
        (masked(0x89, b"a"), plain(0x89, b"a")),
    ] {
        let mut rig = open(json!({"idle": "10s"}));
        rig.pass(6 * SECOND);
        assert_eq!(rig.client(&client).bytes, client);
        assert_eq!(rig.server(&server).bytes, server);
        assert!(rig.pass(6 * SECOND), "{client:?} {server:?}");
    }
}

/// An answer that comes twice is one answer.
#[test]
fn a_ping_counts_once() {
    let mut rig = open(json!({"idle": "10s"}));
    ping_pong(&mut rig, Sender::Client, b"a");
    rig.pass(6 * SECOND);
    assert_eq!(rig.server(&plain(0x8A, b"a")).bytes, plain(0x8A, b"a"));
    assert!(rig.pass(6 * SECOND));
}

#[test]
fn report_counts_pings_the_same() {
    let mut document = lifetime(json!({"idle": "10s"}));
    document["mode"] = json!("report");
    let mut rig = Rig::open(&document);
    for _ in 0..3 {
        ping_pong(&mut rig, Sender::Server, b"");
        rig.pass(8 * SECOND);
    }
    assert!(rig.events().is_empty());
    rig.pass(8 * SECOND);
    assert_eq!(rig.event()["reason"], "idle_timeout");
}

#[test]
fn activity_does_not_prolong_the_lifetime() {
    let mut rig = open(json!({"max": "30s", "push": true}));
    for _ in 0..29 {
        rig.client(&masked(0x81, b"a"));
        assert!(!rig.pass(SECOND));
    }
    rig.pass(SECOND);
    assert_eq!(rig.pushed(), told_client(1001, "lifetime_exceeded"));
}

/// The Ping that is pushed, and the Pong to it.
fn pong(rig: &mut Rig) -> Vec<u8> {
    let ping = rig.pushed();
    assert_eq!(ping[..2], [0x89, 8], "a Ping of 8 bytes: {ping:?}");
    let mut pong = vec![0x8A, 0x88, 1, 2, 3, 4];
    let mut payload = ping[2..].to_vec();
    mask::apply(&mut payload, [1, 2, 3, 4], 0);
    pong.extend(payload);
    pong
}

#[test]
fn a_client_that_answers_the_heartbeat_lives_and_the_server_sees_nothing_of_it() {
    let mut rig = open(json!({"heartbeat": "10s", "push": true, "idle": "1h"}));
    for _ in 0..10 {
        assert!(!rig.pass(10 * SECOND));
        let pong = pong(&mut rig);
        let gone_on = [rig.client(&pong[..5]).bytes, rig.client(&pong[5..]).bytes].concat();
        assert_eq!(gone_on, b"", "the Pong is ours");
    }
    assert!(rig.events().is_empty());
}

#[test]
fn a_pong_that_answers_no_ping_of_ours_is_the_clients_own() {
    let mut document = lifetime(json!({"heartbeat": "10s", "push": true, "idle": "1h"}));
    document["policies"][0]["client"] = json!({"rate": {"per_connection": "3/1m"}});
    let mut rig = Rig::open(&document);
    rig.pushed();
    rig.pass(10 * SECOND);
    let pong = pong(&mut rig);
    assert_eq!(rig.client(&pong).bytes, b"", "the answer");
    for _ in 0..3 {
        assert_eq!(rig.client(&pong).bytes, pong, "nobody asked");
    }
    assert_masked_close(&rig.client(&pong).bytes, 1008, "");
}

#[test]
fn a_client_that_misses_two_pings_is_ended() {
    let mut rig = open(json!({"heartbeat": "10s", "push": true}));
    for _ in 0..2 {
        assert!(!rig.pass(10 * SECOND));
        pong(&mut rig);
    }
    assert!(!rig.pass(9 * SECOND) && rig.pushed().is_empty());
    rig.pass(SECOND);
    assert_eq!(rig.pushed(), told_client(1001, "heartbeat_missed"));
}

/// Over HTTP/2 the filter can write once upstream has sent its first byte.
#[test]
fn pings_that_could_not_go_out_are_not_missed() {
    let mut rig = Rig::open(&lifetime(json!({"heartbeat": "10s", "push": true, "idle": "1h"})));
    assert!(!rig.pass(60 * SECOND));
    assert_eq!(rig.pushed(), b"", "none has gathered");
    for _ in 0..2 {
        assert!(!rig.pass(10 * SECOND));
        pong(&mut rig);
    }
    rig.pass(10 * SECOND);
    assert_eq!(rig.pushed(), told_client(1001, "heartbeat_missed"));
}

#[test]
fn whatever_a_client_sends_shows_that_it_is_there() {
    let mut rig = open(json!({"heartbeat": "10s", "push": true, "idle": "1h"}));
    for _ in 0..5 {
        assert!(!rig.pass(10 * SECOND));
        pong(&mut rig);
        rig.client(&masked(0x82, &[0; 100])[..20]);
        rig.reopen();
        rig.pushed();
    }
}

#[test]
fn a_heartbeats_pong_is_life_but_no_activity() {
    let mut rig = open(json!({"heartbeat": "3s", "push": true, "idle": "10s"}));
    for _ in 0..3 {
        assert!(!rig.pass(3 * SECOND));
        let pong = pong(&mut rig);
        rig.client(&pong);
    }
    rig.pass(SECOND);
    assert_eq!(rig.pushed(), told_client(1001, "idle_timeout"));
}

#[test]
fn a_close_that_is_not_answered_in_ten_seconds_ends_in_a_reset() {
    for client in [true, false] {
        let mut rig = open(json!({}));
        if client {
            rig.client(&masked(0x88, b"\x03\xe8"));
        } else {
            rig.server(&told_client(1000, ""));
        }
        assert!(!rig.pass(9 * SECOND));
        assert!(rig.pass(SECOND));
        rig.session.on_end();
        let closed = rig.event();
        assert_eq!((&closed["reason"], &closed["code"]), (&Value::Null, &json!(1000)));
    }
}

#[test]
fn report_tells_once_and_ends_nothing() {
    let mut document = lifetime(json!({"idle": "10s", "heartbeat": "10s", "push": true}));
    document["mode"] = json!("report");
    let mut rig = Rig::open(&document);
    assert!(!rig.pass(60 * SECOND));
    assert_eq!(rig.pushed(), b"");
    assert_eq!((&rig.event()["event"]), "reported");
    assert_eq!(rig.client(&masked(0x81, b"a")).bytes, masked(0x81, b"a"));
}

#[test]
fn a_wall_clock_that_jumps_ends_nothing() {
    let mut rig = open(json!({"idle": "10s", "max": "30s"}));
    for at in [1u64 << 40, 1, 1_795_341_600] {
        rig.host.set(Timestamp::from_unix(Duration::from_secs(at)));
        assert!(!rig.pass(SECOND));
    }
}
