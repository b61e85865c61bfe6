//! A pattern is found however the message that holds it is cut, over fragments
//! and over TCP segments.

use super::{counter, prompt};
use crate::client::{Client, Request, frame};
use crate::support::Envoy;
use crate::upstream::{Recorder, Script, frames};
use serde_json::json;

const PAYLOAD: &[u8] = b"say <ScRiPt> now";

/// The message in two fragments, cut at `at`; the second is of no other type.
fn fragmented(opcode: u8, at: usize) -> Vec<u8> {
    [frame(opcode, &PAYLOAD[..at]), frame(0x80, &PAYLOAD[at..])].concat()
}

/// Sends these segments on a connection of its own; holds what the client sees.
fn play(envoy: &Envoy, segments: &[&[u8]]) {
    let mut client = Client::open(envoy.address(), &Request::upgrade("/ws"));
    client.send_apart(segments);
    assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
    assert!(client.ends());
}

#[test]
fn a_pattern_split_at_each_byte_is_caught_and_upstream_sees_none_of_it() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [{
        "name": "chat",
        "client": {"rules": [{"name": "no-scripts", "pattern": "(?i)<script", "action": "close"}]},
    }]});
    let envoy = Envoy::start(&prompt(&document, upstream.address));
    let mut played = 0;
    for opcode in [0x01, 0x02] {
        for at in 0..=PAYLOAD.len() {
            let stream = fragmented(opcode, at);
            // Over fragments in one segment; over fragments and segments.
            play(&envoy, &[&stream]);
            let bytes: Vec<&[u8]> = stream.chunks(1).collect();
            play(&envoy, &bytes);
            played += 2;
        }
        let whole = frame(0x80 | opcode, PAYLOAD);
        for at in 1..whole.len() {
            play(&envoy, &[&whole[..at], &whole[at..]]);
            played += 1;
        }
    }
    let seen = upstream.seen();
    assert_eq!(seen.len(), played);
    for connection in seen {
        // One Close(1008), and not a byte more.
        assert_eq!(frames(&connection.bytes), [(0x88, b"\x03\xf0".to_vec())]);
        assert_eq!(connection.bytes.len(), 8);
    }
    // Events have a cap; the counter has none.
    let name = r#"wsguard_violations_total{policy="chat",direction="client",reason="rule_matched",action="close",rule="no-scripts"}"#;
    assert_eq!(counter(&envoy, name), played);
}
