//! The challenge of the opening handshake (RFC 6455 §4.2.2, step 5.4).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use std::hash::{BuildHasher, RandomState};

/// The GUID of RFC 6455 §1.3, which no server that does not know WebSockets
/// would ever append.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// Length of a nonce, in bytes (RFC 6455 §4.1).
const NONCE_BYTES: usize = 16;

/// A `Sec-WebSocket-Key`: canonical base64 of 16 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(String);

impl Key {
    /// Reads the header's value; `None` where it is no such key. Canonical:
    /// padded, and the bits that carry nothing are zero.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        let mut nonce = [0; NONCE_BYTES + 2];
        let length = STANDARD.decode_slice(value, &mut nonce).ok()?;
        let text = std::str::from_utf8(value).ok()?;
        (length == NONCE_BYTES).then(|| Self(text.to_owned()))
    }

    /// A new one (RFC 6455 §4.1). It must be no one's choice, but is no
    /// secret: the standard library's random hasher is random enough.
    pub(super) fn fresh() -> Self {
        let mut nonce = [0; NONCE_BYTES];
        for (half, number) in nonce.chunks_exact_mut(8).zip(0_u8..) {
            half.copy_from_slice(&RandomState::new().hash_one(number).to_ne_bytes());
        }
        Self(STANDARD.encode(nonce))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The `Sec-WebSocket-Accept` that answers it.
    pub(super) fn expected_accept(&self) -> String {
        let digest = Sha1::new().chain_update(&self.0).chain_update(GUID).finalize();
        STANDARD.encode(digest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_of_rfc_6455_1_3_is_answered() {
        let key = Key::parse(b"dGhlIHNhbXBsZSBub25jZQ==").unwrap();
        assert_eq!(key.expected_accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_canonical_base64_of_16_bytes_is_a_key() {
        for text in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZR==",
            " dGhlIHNhbXBsZSBub25jZQ==",
            "dGhlIHNhbXBsZSBub25jZQ==\n",
            "dGhlIHNhbXBsZSBub25jZ===",
            "dGhlIHNhbXBsZSBub25jZTE=",
            "dGhlIHNhbXBsZSBub25jZTEy",
            "dGhlIHNhbXBsZSBub24=",
            "dGhlIHNhbXBsZSBub25-_Q==",
            "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            assert_eq!(Key::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn fresh_keys_are_keys_and_differ() {
        let (one, other) = (Key::fresh(), Key::fresh());
        assert_eq!(Key::parse(one.as_str().as_bytes()), Some(one.clone()));
        assert_ne!(one, other);
    }

    proptest! {
        #[test]
        fn every_nonce_has_exactly_one_key(nonce: [u8; NONCE_BYTES], at in 0_usize..24, to: u8) {
            let mut text = STANDARD.encode(nonce).into_bytes();
            prop_assert!(Key::parse(&text).is_some());
            text[at] = to;
            if Key::parse(&text).is_some() {
                prop_assert_eq!(STANDARD.encode(STANDARD.decode(&text).unwrap()).into_bytes(), text);
            }
        }
    }
}
