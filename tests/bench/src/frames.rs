//! Frames and payloads, made once and sent many times.

use flate2::{Compress, Compression, FlushCompress};
use std::error::Error;

/// First bytes of a whole message: FIN, RSV1 and opcode (RFC 6455 §5.2).
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const COMPRESSED_TEXT: u8 = 0xC1;

/// A masking key is as good as another here; what is masked is not guessed at.
const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client's frame, masked.
pub fn of_client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len());
    frame.extend_from_slice(&KEY);
    let begin = frame.len();
    frame.extend_from_slice(payload);
    mask(&mut frame[begin..], KEY);
    frame
}

/// A server's frame.
pub fn of_server(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, masked: u8, length: usize) -> Vec<u8> {
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => header.push(masked | short),
        (_, Ok(length)) => {
            header.push(masked | 126);
            header.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    header
}

/// Masks or unmasks, eight bytes at a time.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let masked = u64::from_ne_bytes(chunk.try_into().unwrap_or_default()) ^ wide;
        chunk.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key) {
        *byte ^= key;
    }
}

/// A frame that a buffer begins with: where its payload stands, where it ends.
pub struct Found {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    pub begin: usize,
    pub end: usize,
}

/// The whole frame that `bytes` begin with, if all of it is there.
pub fn find(bytes: &[u8]) -> Option<Found> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (length, wide) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        short => (u64::from(short), 0),
    };
    let masked = second & 0x80 != 0;
    let begin: usize = 2 + wide + if masked { 4 } else { 0 };
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    if bytes.len() < end {
        return None;
    }
    let key = masked.then(|| bytes[begin - 4..].first_chunk().copied()).flatten();
    Some(Found { first: *first, key, begin, end })
}

/// Words of which no rule of any set-up is part.
const WORDS: &str = "the quick brown fox jumps over a lazy dog while five boxing wizards watch \
                     from Zürich and nobody minds as long as tea is served by noon; ";

/// A chat message in JSON of exactly this many bytes (24 or more), in UTF-8.
pub fn json(bytes: usize) -> Vec<u8> {
    let (head, tail) = (r#"{"type":"say","text":""#, r#""}"#);
    let mut text = head.to_owned();
    let end = bytes - tail.len();
    for letter in WORDS.chars().cycle() {
        if text.len() + letter.len_utf8() > end {
            break;
        }
        text.push(letter);
    }
    while text.len() < end {
        text.push('.');
    }
    text.push_str(tail);
    text.into_bytes()
}

/// Bytes that are no text.
pub fn binary(bytes: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(bytes).collect()
}

/// A message as permessage-deflate sends it, without context takeover
/// (RFC 7692 §7.2.1).
pub fn deflated(plain: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut packed = Vec::with_capacity(plain.len() + 64);
    Compress::new(Compression::default(), false).compress_vec(
        plain,
        &mut packed,
        FlushCompress::Sync,
    )?;
    let kept = packed.strip_suffix(&[0, 0, 0xFF, 0xFF]).ok_or("a flush ends with 00 00 FF FF")?;
    Ok(kept.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_as_they_were_made() {
        for size in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = binary(size);
            let frame = of_client(BINARY, &payload);
            let found = find(&frame).unwrap();
            assert_eq!((found.first, found.end), (BINARY, frame.len()));
            let mut copy = frame[found.begin..].to_vec();
            mask(&mut copy, found.key.unwrap());
            assert_eq!(copy, payload);
            assert!(find(&frame[..frame.len() - 1]).is_none());
            assert_eq!(find(&of_server(TEXT, &payload)).unwrap().key, None);
        }
    }

    #[test]
    fn messages_are_json_of_the_size_asked_for() {
        for size in [24, 64, 1024, 16_384, 262_144] {
            let text = json(size);
            assert_eq!(text.len(), size);
            serde_json::from_slice::<serde_json::Value>(&text).unwrap();
        }
    }
}
