//! How connections end: nobody who is silent keeps one open, and no Close of
//! ours lands inside a frame of the server's.

use super::pair::{Server, Upstream, close, plain};
use super::start;
use crate::client::{Client, Request, frame, text};
use crate::support::Envoy;
use serde_json::{Value, json};

fn open(envoy: &Envoy, upstream: &Upstream) -> (Client, Server) {
    upstream.open(envoy.address(), &Request::upgrade("/ws"))
}

/// A client that breaks the rule, and a server that has been told.
fn refused(envoy: &Envoy, upstream: &Upstream) -> (Client, Server) {
    let (mut client, mut server) = open(envoy, upstream);
    client.send(&text("<script>"));
    server.expect_close(1008, "");
    (client, server)
}

/// The `closed` events so far, when there are this many.
fn closed(envoy: &Envoy, count: usize) -> Vec<Value> {
    crate::support::wait_for("closed events", || {
        let events = envoy.events().into_iter().filter(|event| event["event"] == "closed");
        Some(events.collect::<Vec<_>>()).filter(|events| events.len() == count)
    })
}

#[test]
fn connections_end_whatever_the_peers_do() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);

    // All at once, since each that stays silent takes the 2 s.
    let mut silent = refused(&envoy, &upstream);
    silent.0.send(&text("which nobody sees"));
    let mut echoes = refused(&envoy, &upstream);
    echoes.1.send(&close(1008, ""));
    let mut talks = refused(&envoy, &upstream);
    talks.1.send(&[plain(0x81, b"talk"), plain(0x82, b"more")].concat());
    let (gone, mut alone) = refused(&envoy, &upstream);
    drop(gone);

    // A client that went before it was told.
    alone.expect_end();
    // A server that never answers: without bytes of its there is no place for
    // a Close, and both sides are reset.
    assert_eq!(silent.0.frame(), None);
    silent.1.expect_end();
    // One that echoes and does not end, and one that goes on talking.
    for (mut client, mut server) in [echoes, talks] {
        assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
        assert_eq!(client.frame(), None);
        server.expect_end();
    }
    let events = closed(&envoy, 4);
    for event in &events {
        assert_eq!((&event["reason"], &event["code"]), (&json!("rule_matched"), &json!(1008)));
    }
    let waited = |event: &&Value| event["duration_ms"].as_u64().unwrap() >= 2000;
    // Where the client has gone, nobody is waited for; that may take as long on a
    // slow machine.
    assert!(events.iter().filter(waited).count() >= 3, "{events:?}");
}

/// The server's part of the closing handshake may be to end at once.
#[test]
fn a_server_that_ends_without_an_echo_leaves_time_to_tell_the_client() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);
    for _ in 0..5 {
        let (mut client, server) = refused(&envoy, &upstream);
        server.expect_nothing_but_the_end();
        let seen = client.frame().map(|frame| frame.close());
        assert_eq!(seen, Some((1008, "rule_matched".to_owned())));
        assert!(client.ends());
    }
}

/// A frame of the server's that has begun to go on ends before the Close; one whose
/// payload has not come goes nowhere.
#[test]
fn a_close_never_lands_inside_the_servers_frame() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);
    let large = plain(0x82, &vec![7; 900_000]);
    let header = large.len() - 900_000;
    for begun in [1, header, header + 1, 100_000, large.len() - 1] {
        let (mut client, mut server) = open(&envoy, &upstream);
        let (first, rest) = large.split_at(begun);
        server.send(&[&plain(0x81, b"whole"), first].concat());
        assert_eq!(client.frame().unwrap().payload, b"whole");
        client.send(&text("<script>"));
        server.expect_close(1008, "");
        server.send(&[rest, &plain(0x81, b"unseen"), &close(1008, "")].concat());
        // Of a frame that has begun the rest goes on, too.
        if begun > header {
            let frame = client.frame().unwrap();
            assert!(frame.first == 0x82 && frame.payload == [7; 900_000]);
        }
        assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
        server.expect_nothing_but_the_end();
        assert!(client.ends());
    }
}

#[test]
fn a_server_that_breaks_the_framing_is_cut_off_and_both_are_told() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);
    for broken in [plain(0xC1, b"RSV1"), frame(0x81, b"masked"), plain(0x80, b"continues nothing")]
    {
        let (mut client, mut server) = open(&envoy, &upstream);
        server.send(&[plain(0x81, b"hello"), broken].concat());
        assert_eq!(client.frame().unwrap().payload, b"hello");
        assert_eq!(client.frame().unwrap().close(), (1002, String::new()));
        client.send(&frame(0x88, &1002u16.to_be_bytes()));
        server.expect_close(1002, "protocol_error");
        server.expect_nothing_but_the_end();
        assert!(client.ends());
    }
    let event = envoy.event("refused", Some("protocol_error"));
    assert_eq!((&event["direction"], &event["offset"]), (&json!("server"), &json!(7)));
}

/// Closing handshakes that nobody broke a rule in pass as they are.
#[test]
fn a_proper_closing_handshake_passes_unchanged_from_either_side() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);
    let (mut client, mut server) = open(&envoy, &upstream);
    let bye = frame(0x88, b"\x0f\xa0my own reason");
    client.send(&[bye.clone(), text("late")].concat());
    server.expect(&bye);
    server.send(&close(4000, "my own reason"));
    assert_eq!(client.frame().unwrap().close(), (4000, "my own reason".to_owned()));
    server.expect_nothing_but_the_end();
    assert!(client.ends());

    let (mut client, mut server) = open(&envoy, &upstream);
    server.send(&[close(1001, "away"), plain(0x81, b"late")].concat());
    assert_eq!(client.frame().unwrap().close(), (1001, "away".to_owned()));
    client.send(&frame(0x88, &1001u16.to_be_bytes()));
    server.expect(&frame(0x88, &1001u16.to_be_bytes()));
    server.expect_nothing_but_the_end();
    assert!(client.ends());
    let codes: Vec<Value> = closed(&envoy, 2).iter().map(|event| event["code"].clone()).collect();
    assert_eq!(codes, [4000, 1001]);
}
