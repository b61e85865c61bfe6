//! The generator itself: what it makes without a flaw is what zlib reads.

use super::compressor::Compressor;
use super::judged::{Agreed, judged};
use super::random::Random;
use super::script::Script;
use super::wire::window;
use super::{document, path, rule};
use flate2::{Decompress, FlushDecompress, Status};
use wsguard::frame::{Sender, Window};

/// Inflates a message by zlib's rules, over final blocks (RFC 7692 §7.2.1).
fn inflate(stream: &mut Decompress, history: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut input = [payload, &[0, 0, 0xFF, 0xFF]].concat();
    let mut out = Vec::with_capacity(1 << 20);
    loop {
        let before = stream.total_in();
        let status = stream.decompress_vec(&input, &mut out, FlushDecompress::Sync).unwrap();
        input.drain(..usize::try_from(stream.total_in() - before).unwrap());
        if status != Status::StreamEnd {
            assert!(input.is_empty());
            return out;
        }
        // The window goes on: what was said so far, stored.
        stream.reset(false);
        prime(stream, &[history, &out].concat());
    }
}

fn prime(stream: &mut Decompress, window: &[u8]) {
    let window = &window[window.len().saturating_sub(1 << 15)..];
    let mut out = Vec::with_capacity(1 << 16);
    let length = u16::try_from(window.len()).unwrap();
    let block = [&[0][..], &length.to_le_bytes(), &(!length).to_le_bytes(), window].concat();
    stream.decompress_vec(&block, &mut out, FlushDecompress::Sync).unwrap();
    assert_eq!(out, window);
}

#[test]
fn what_has_no_flaw_is_what_zlib_reads() {
    for connection in 0..100 {
        let mut random = Random::of(7, connection);
        let window = Window {
            bits: u8::try_from(random.between(8, 15)).unwrap(),
            takeover: random.chance(70),
        };
        let mut compressor = Compressor::new(window, true);
        let mut stream = Decompress::new(false);
        let mut history = Vec::new();
        for _ in 0..10 {
            let words = random.below(300);
            let said: String = (0..words)
                .map(|_| random.pick(&["hello ", "world", "aaaaaaa", "ü", "x"]))
                .collect();
            let payload = compressor.message(said.as_bytes(), None, &mut random);
            if !window.takeover {
                stream.reset(false);
                history.clear();
            }
            let read = inflate(&mut stream, &history, &payload);
            assert_eq!(String::from_utf8_lossy(&read), said, "connection {connection}");
            history.extend(read);
        }
    }
}

/// So that what differs behind Envoy is the receiver's doing, or the filter's.
#[test]
fn what_has_no_flaw_is_judged_as_what_it_says() {
    for id in 0..100 {
        for sender in [Sender::Client, Sender::Server] {
            let mut random = Random::of(11, id);
            let offer = "permessage-deflate; client_max_window_bits".to_owned();
            let bits = random.between(8, 15);
            let mut answer = format!(
                "permessage-deflate; client_max_window_bits={bits}; server_max_window_bits={bits}"
            );
            if random.chance(30) {
                answer.push_str("; client_no_context_takeover; server_no_context_takeover");
            }
            let window = window(&answer, sender);
            let script = Script::random(sender, window, rule(id), true, &mut random);
            let agreed = Agreed { offer, answer };
            let document = document("stream", Some(id));
            let judged = judged(&document, &path(id), &agreed, sender, &script.writes);
            let (told, rule) = (&script.told, rule(id));
            if script.is_legal {
                assert_eq!(judged, script.expected, "{id} {rule:?} {agreed:?} {told:#?}");
            } else {
                assert!(judged.starts_with(&script.expected), "{id} {rule:?} {agreed:?} {told:#?}");
            }
        }
    }
}
