//! What costs little to send costs little to refuse.

use super::client::{Client, Request, frame};
use super::frames::pair::Upstream;
use super::push::allocated;
use super::support::{Envoy, bootstrap_of, listener};
use flate2::{Compress, Compression, FlushCompress};
use serde_json::json;
use std::io::Write;

mod flood;

/// Growth of Envoy's memory that no attempt below may cause, in bytes.
const GROWTH: u64 = 4 << 20;

/// One compressed message of so many zeros, without the end that RFC 7692
/// §7.2.1 leaves out.
fn bomb(inflated_bytes: usize) -> Vec<u8> {
    let mut compress = Compress::new(Compression::best(), false);
    let mut out = Vec::with_capacity(inflated_bytes / 500 + 1000);
    compress.compress_vec(&vec![0; inflated_bytes], &mut out, FlushCompress::Sync).unwrap();
    out.truncate(out.len() - 4);
    out
}

fn start(upstream: &Upstream) -> Envoy {
    let document = json!({"policies": [{
        "name": "chat", "handshake": {"compression": "inspect"},
        "client": {"max_fragments": 128}, "server": {"max_fragments": 128},
    }]});
    Envoy::start(&bootstrap_of(&[listener(&document)], upstream.address()))
}

#[test]
fn a_thousandfold_bomb_is_refused_before_it_is_inflated() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);
    let packed = bomb(100 << 20);
    assert!(packed.len() < (100 << 20) / 1000);
    // In one frame, and over fragments with the first bytes of it alone.
    let (begin, rest) = packed.split_at(packed.len() / 2);
    let whole = frame(0xC2, &packed);
    let fragments = [frame(0x42, begin), frame(0x80, rest)].concat();
    let request = Request::upgrade("/ws").with("sec-websocket-extensions", "permessage-deflate");
    let before = allocated(&envoy);
    for bytes in [&whole, &fragments] {
        for _ in 0..5 {
            let (mut client, mut server) =
                upstream.open_with(envoy.address(), &request, "permessage-deflate");
            client.send(bytes);
            server.expect_close(1009, "");
            server.send(&super::frames::pair::close(1009, ""));
            assert_eq!(client.frame().unwrap().close(), (1009, "inflated_too_big".to_owned()));
            let grown = allocated(&envoy).saturating_sub(before);
            assert!(grown < GROWTH, "{grown} bytes more");
        }
    }
}

#[test]
fn a_hundred_thousand_fragments_of_one_byte_end_at_the_limit() {
    let upstream = Upstream::bind();
    let envoy = start(&upstream);
    let flood = [frame(0x01, b"a"), frame(0x00, b"a").repeat(100_000)].concat();
    let before = allocated(&envoy);
    for _ in 0..5 {
        let (mut client, mut server): (Client, _) =
            upstream.open(envoy.address(), &Request::upgrade("/ws"));
        // It may be reset meanwhile.
        let mut writer = client.stream.try_clone().unwrap();
        let sent = flood.clone();
        let sender = std::thread::spawn(move || drop(writer.write_all(&sent)));
        // Nobody reads them, so they go on as they come.
        server.expect(&flood[..128 * frame(0x00, b"a").len()]);
        server.expect_close(1008, "");
        server.send(&super::frames::pair::close(1008, ""));
        assert_eq!(client.frame().unwrap().close(), (1008, "too_many_fragments".to_owned()));
        let grown = allocated(&envoy).saturating_sub(before);
        assert!(grown < GROWTH, "{grown} bytes more");
        drop((client, server));
        sender.join().unwrap();
    }
}
