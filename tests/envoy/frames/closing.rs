//! How connections end: nobody who is silent keeps one open, and no Close of
//! ours lands inside a frame of the server's.

use super::pair::{Server, Upstream, close, plain};
use super::start;
use crate::client::{Client, Request, frame, text};
use crate::support::Envoy;
use serde_json::{Value, json};
use std::io::Read;

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

    // A server that never answers: both sides are reset after 2 s.
    let (mut client, mut server) = refused(&envoy, &upstream);
    client.send(&text("which nobody sees"));
    assert_eq!(client.frame(), None, "without bytes of the server there is no place for a Close");
    server.expect_end();
    let events = closed(&envoy, 1);
    assert_eq!((&events[0]["reason"], &events[0]["code"]), (&json!("rule_matched"), &json!(1008)));
    assert!(events[0]["duration_ms"].as_u64().unwrap() >= 2000, "{events:?}");

    // A server that echoes and then neither sends nor ends.
    let (mut client, mut server) = refused(&envoy, &upstream);
    server.send(&close(1008, ""));
    assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
    assert!(client.ends());
    server.expect_end();

    // A server that goes on talking instead.
    let (mut client, mut server) = refused(&envoy, &upstream);
    server.send(&[plain(0x81, b"talk"), plain(0x82, b"more")].concat());
    assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
    assert_eq!(client.frame(), None);
    server.expect_end();

    // A client that goes before it is told.
    let (client, mut server) = refused(&envoy, &upstream);
    drop(client);
    server.expect_end();
    closed(&envoy, 4);
}

/// The server's part of the closing handshake may be to end at once.
#[test]
fn a_server_that_ends_without_an_echo_leaves_time_to_tell_the_client() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);
    for _ in 0..20 {
        let (mut client, server) = refused(&envoy, &upstream);
        server.expect_nothing_but_the_end();
        let seen = client.frame().map(|frame| frame.close());
        assert_eq!(seen, Some((1008, "rule_matched".to_owned())));
        assert!(client.ends());
    }
}

/// The next bytes that the client sees.
fn read(client: &mut Client, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    client.stream.read_exact(&mut bytes).unwrap();
    bytes
}

const LARGE: usize = 3 << 20;

/// A frame that has begun when the client breaks the rule is finished, however
/// long it is; the Close comes behind it, and nothing else.
#[test]
fn a_close_never_lands_inside_the_servers_frame() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);
    let payload: Vec<u8> = (0..=255u8).cycle().take(LARGE).collect();
    let large = plain(0x82, &payload);
    for begun in [11, 100_000, LARGE - 1] {
        let (mut client, mut server) = open(&envoy, &upstream);
        let (first, rest) = large.split_at(begun);
        let behind = [rest, &plain(0x81, b"unseen"), &close(1008, "")].concat();
        let first = first.to_vec();
        let writer = std::thread::spawn(move || {
            server.send(&first);
            server
        });
        let mut seen = read(&mut client, begun);
        client.send(&text("<script>"));
        let mut server = writer.join().unwrap();
        server.expect_close(1008, "");
        let writer = std::thread::spawn(move || {
            server.send(&behind);
            server
        });
        seen.extend(read(&mut client, large.len() - begun));
        assert!(seen == large, "the frame did not arrive byte for byte");
        assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
        writer.join().unwrap().expect_nothing_but_the_end();
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
