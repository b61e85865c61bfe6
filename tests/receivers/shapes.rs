//! The generator itself: what it makes without a flaw is what zlib reads.

use super::compressor::Compressor;
use super::random::Random;
use flate2::{Decompress, FlushDecompress, Status};
use wsguard::frame::Window;

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
    for connection in 0..300 {
        let mut random = Random::of(7, connection);
        let window = Window {
            bits: u8::try_from(random.between(8, 15)).unwrap(),
            takeover: random.chance(70),
        };
        let mut compressor = Compressor::new(window);
        let mut stream = Decompress::new(false);
        let mut history = Vec::new();
        for _ in 0..10 {
            let words = random.below(300);
            let said: String =
                (0..words).map(|_| random.pick(&["hello ", "world", "aaaaaaa", "ü", "x"])).collect();
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
