//! Which limits of Envoy's buffers go with `push`.

use super::pushing;
use crate::client::{Client, Request, text};
use crate::frames::pair::{Upstream, plain};
use crate::support::{Envoy, bootstrap_of};
use crate::upstream::{Recorder, Script};
use serde_json::json;

fn limited(listener_bytes: u32, cluster_bytes: u32, upstream: &Upstream) -> Envoy {
    let large = json!({"max_frame": 4 << 20, "max_message": 4 << 20});
    let policy = json!({"client": large, "server": large, "lifetime": {"push": true}});
    let mut listener = pushing("push", policy);
    listener["per_connection_buffer_limit_bytes"] = json!(listener_bytes);
    let mut bootstrap = bootstrap_of(&[listener], upstream.address());
    let cluster = &mut bootstrap["static_resources"]["clusters"][0];
    cluster["per_connection_buffer_limit_bytes"] = json!(cluster_bytes);
    Envoy::start(&bootstrap)
}

/// What of these bytes reaches the client.
fn arrives(envoy: &Envoy, upstream: &Upstream, bytes: &[u8]) -> bool {
    let (mut client, mut server) = upstream.open(envoy.address(), &Request::upgrade("/ws"));
    let sender = std::thread::spawn({
        let bytes = bytes.to_vec();
        move || {
            // It may be reset meanwhile.
            let _ = std::io::Write::write_all(&mut server.stream, &bytes);
            server
        }
    });
    let arrived = client.frame().is_some_and(|frame| bytes.ends_with(&frame.payload));
    drop(sender.join().unwrap());
    arrived
}

#[test]
fn with_room_for_a_chunk_of_upstreams_messages_of_any_size_pass() {
    let upstream = Upstream::bind();
    for (listener_bytes, cluster_bytes) in [(32 << 10, 16 << 10), (64 << 10, 32 << 10)] {
        let envoy = limited(listener_bytes, cluster_bytes, &upstream);
        for size in [15_000, 16_384, 32_768, 65_536, 100_000, 1 << 20, 3 << 20] {
            for _ in 0..3 {
                let message = plain(0x82, &vec![7; size]);
                assert!(arrives(&envoy, &upstream, &message), "{listener_bytes}, {size}");
            }
        }
    }
}

/// Every message of the server's becomes a longer one.
#[test]
fn what_grows_on_its_way_passes() {
    let upstream = Upstream::bind();
    let rules = json!([{"name": "bad", "pattern": "bad", "action": "reply"}]);
    let policy = json!({"server": {"rules": rules}, "lifetime": {"push": true}});
    let envoy = super::start(&[pushing("push", policy)], upstream.address());
    let (mut client, mut server) = upstream.open(envoy.address(), &Request::upgrade("/ws"));
    server.send(&plain(0x81, b"bad").repeat(6_000));
    server.send(&plain(0x81, b"good"));
    for _ in 0..6_000 {
        let told = client.frame().expect("an answer for each");
        assert!(String::from_utf8(told.payload).unwrap().contains("rule_matched"));
    }
    assert_eq!(client.frame().unwrap().payload, b"good");
    client.send(&text("back"));
    server.expect(&text("back"));
}

/// The server's first message may come in one segment with its 101.
#[test]
fn a_greeting_behind_the_101_arrives() {
    let greeting = plain(0x81, b"hello");
    for greeting in [greeting.clone(), [greeting, plain(0x82, &[7; 10_000])].concat()] {
        let upstream = Recorder::start(Script::Accept(greeting.clone()));
        let policy = json!({"lifetime": {"push": true, "idle": "2s"}});
        let envoy = super::start(&[pushing("push", policy)], upstream.address);
        let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
        assert_eq!(client.frame().unwrap().payload, b"hello");
        if greeting.len() > 100 {
            assert_eq!(client.frame().unwrap().payload, [7; 10_000]);
        }
        assert_eq!(client.frame().unwrap().close(), (1001, "idle_timeout".to_owned()));
    }
}

/// A server that ends at once behind what it has to say: nothing of a piece is
/// lost, and nothing more is cut off without a reset.
#[test]
fn the_end_of_upstream_leaves_whole_messages_or_a_reset() {
    let upstream = Upstream::bind();
    let envoy = limited(64 << 10, 32 << 10, &upstream);
    for size in [100, 16_000, 200_000, 1 << 20] {
        let (mut client, mut server) = upstream.open(envoy.address(), &Request::upgrade("/ws"));
        let (message, close) = (plain(0x82, &vec![7; size]), plain(0x88, b"\x03\xe8bye"));
        server.send(&[message, close].concat());
        server.stream.shutdown(std::net::Shutdown::Both).unwrap();
        let came = client.frame().map(|frame| frame.payload.len());
        match came {
            None => assert!(size > 16 << 10, "{size}"),
            Some(length) => {
                assert_eq!(length, size);
                let told = client.frame().map(|frame| frame.close());
                assert!(told == Some((1000, "bye".to_owned())) || size > 16 << 10, "{told:?}");
            }
        }
    }
}
