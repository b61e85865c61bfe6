//! API keys.

use sha2::{Digest, Sha256};
use std::fmt;
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

/// Least length of a key: 16 bytes are 128 bits where all are random.
const MIN_KEY_BYTES: usize = 16;
/// Longest id; ids are part of user names, metrics and events.
const MAX_ID_BYTES: usize = 64;

/// The API keys that a policy takes, at most one per id. Only their SHA-256 is
/// kept.
#[derive(Clone, Default)]
pub struct ApiKeys(Vec<(String, [u8; 32])>);

impl ApiKeys {
    /// Adds a key by its text.
    pub fn add_plain(&mut self, id: &str, key: &[u8]) -> Result<(), ApiKeyError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(ApiKeyError::TooShort);
        }
        if key.len() > super::MAX_CREDENTIAL_BYTES {
            return Err(ApiKeyError::TooLong);
        }
        if !key.iter().all(|byte| byte.is_ascii_graphic() && *byte != b',') {
            return Err(ApiKeyError::Characters);
        }
        self.add(id, Sha256::digest(key).into())
    }

    /// Adds a key by the hexadecimal SHA-256 of its text.
    pub fn add_sha256(&mut self, id: &str, hex: &str) -> Result<(), ApiKeyError> {
        let hash = from_hex(hex).ok_or(ApiKeyError::NotSha256)?;
        if hash == <[u8; 32]>::from(Sha256::digest(b"")) {
            return Err(ApiKeyError::TooShort);
        }
        self.add(id, hash)
    }

    fn add(&mut self, id: &str, hash: [u8; 32]) -> Result<(), ApiKeyError> {
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if id.is_empty() || id.len() > MAX_ID_BYTES || !id.bytes().all(is_plain) {
            return Err(ApiKeyError::Id);
        }
        if self.0.iter().any(|(other, _)| other == id) {
            return Err(ApiKeyError::DuplicateId);
        }
        if self.0.iter().any(|(_, other)| *other == hash) {
            return Err(ApiKeyError::DuplicateKey);
        }
        self.0.push((id.to_owned(), hash));
        Ok(())
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The id of the key that was presented, and its SHA-256. How long that takes depends on how
    /// many keys there are and how long the presented one is, on nothing else:
    /// hashes are compared, all of them, and each in constant time.
    #[must_use]
    pub fn find(&self, presented: &[u8]) -> Option<(&str, [u8; 32])> {
        let hash: [u8; 32] = Sha256::digest(presented).into();
        let mut found = Choice::from(0);
        let mut place = 0_u32;
        for (index, (_, stored)) in (0_u32..).zip(&self.0) {
            let same = stored.ct_eq(&hash);
            place.conditional_assign(&index, same);
            found |= same;
        }
        let place = usize::try_from(place).ok()?;
        let (id, _) = self.0.get(place).filter(|_| bool::from(found))?;
        Some((id.as_str(), hash))
    }

    /// Finds the API key `presented`, if `id` is the id that it is configured with.
    #[must_use]
    pub(super) fn find_by_id(&self, id: &[u8], presented: &[u8]) -> Option<(&str, [u8; 32])> {
        self.find(presented).filter(|(found, _)| bool::from(found.as_bytes().ct_eq(id)))
    }

    /// Whether the key with this SHA-256 is still among them.
    #[must_use]
    pub(super) fn has(&self, hash: &[u8; 32]) -> bool {
        self.0.iter().any(|(_, stored)| bool::from(stored.ct_eq(hash)))
    }
}

/// Says whose keys, never what they are.
impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

fn from_hex(hex: &str) -> Option<[u8; 32]> {
    let (pairs, rest) = hex.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|[high, low]| Some(nibble(*high)? << 4 | nibble(*low)?)).collect();
    bytes?.try_into().ok()
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Why an API key is not taken: the operator's to mend. `Display` goes behind
/// the path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyError {
    /// Shorter than 16 bytes, or the hash of nothing.
    TooShort,
    /// Longer than a credential may be.
    TooLong,
    /// Bytes that cannot be presented in a header.
    Characters,
    /// No hexadecimal SHA-256.
    NotSha256,
    /// No usable id.
    Id,
    /// Another key has this id.
    DuplicateId,
    /// Another id has this key.
    DuplicateKey,
}

impl fmt::Display for ApiKeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TooShort => "is shorter than 16 bytes; make a longer random key",
            Self::TooLong => "is longer than 16 KiB; make a shorter key",
            Self::Characters => {
                "holds a space, line end, comma or other character that no client can send; use visible ASCII (a file's last line end is a common cause)"
            }
            Self::NotSha256 => "is not a SHA-256; write 64 hexadecimal digits",
            Self::Id => {
                "has an `id` that is empty, longer than 64 or holds other characters than letters, digits, `.`, `_` and `-`; change it"
            }
            Self::DuplicateId => "has the `id` of an earlier key; make it unique",
            Self::DuplicateKey => "is the same key as an earlier one; give each id its own",
        })
    }
}

impl std::error::Error for ApiKeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &[u8] = b"0123456789abcdef";

    fn find<'a>(keys: &'a ApiKeys, presented: &[u8]) -> Option<&'a str> {
        let (id, hash) = keys.find(presented)?;
        assert!(keys.has(&hash));
        Some(id)
    }

    #[test]
    fn a_key_is_found_by_its_text_and_nothing_near_it_is() {
        let mut keys = ApiKeys::default();
        keys.add_plain("first", b"another-key-of-some-length").unwrap();
        keys.add_plain("dashboard", KEY).unwrap();
        keys.add_plain("last", b"fedcba9876543210").unwrap();
        assert_eq!(find(&keys, KEY), Some("dashboard"));
        assert_eq!(find(&keys, b"another-key-of-some-length"), Some("first"));
        assert_eq!(find(&keys, b"fedcba9876543210"), Some("last"));
        for wrong in [&b""[..], b"0123456789abcde", b"0123456789abcdef0", b"0123456789abcdeF"] {
            assert_eq!(keys.find(wrong), None);
        }
        assert_eq!(ApiKeys::default().find(b""), None);
    }

    #[test]
    fn a_key_that_is_presented_with_an_id_is_that_ids() {
        let mut keys = ApiKeys::default();
        keys.add_plain("dashboard", KEY).unwrap();
        keys.add_plain("robot", b"fedcba9876543210").unwrap();
        let find = |id: &[u8], key: &[u8]| keys.find_by_id(id, key).map(|(id, _)| id);
        assert_eq!(find(b"dashboard", KEY), Some("dashboard"));
        for id in [&b""[..], b"robot", b"Dashboard", b"dashboard ", b"dash", b"nobody"] {
            assert_eq!(find(id, KEY), None);
        }
        assert_eq!(find(b"dashboard", b"fedcba9876543210"), None);
        assert_eq!(find(b"dashboard", b""), None);
    }

    #[test]
    fn a_key_can_be_given_by_its_hash() {
        // `printf 0123456789abcdef | sha256sum`
        let hex = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
        let mut keys = ApiKeys::default();
        keys.add_sha256("a", hex).unwrap();
        assert_eq!(find(&keys, KEY), Some("a"));
        assert_eq!(keys.find(hex.as_bytes()), None, "the hash itself is not the key");
        assert_eq!(keys.add_plain("b", KEY), Err(ApiKeyError::DuplicateKey));
        assert_eq!(keys.add_sha256("b", &hex.to_uppercase()), Err(ApiKeyError::DuplicateKey));
        for wrong in ["", "9f9f", &hex[1..], &format!("{hex}00"), &hex.replace('f', "g")] {
            assert_eq!(keys.add_sha256("b", wrong), Err(ApiKeyError::NotSha256), "{wrong}");
        }
    }

    #[test]
    fn weak_and_unusable_keys_and_ids_are_refused() {
        let mut keys = ApiKeys::default();
        assert_eq!(keys.add_plain("a", b""), Err(ApiKeyError::TooShort));
        assert_eq!(keys.add_plain("a", b"0123456789abcde"), Err(ApiKeyError::TooShort));
        assert_eq!(keys.add_plain("a", b"0123456789abcdef\n"), Err(ApiKeyError::Characters));
        assert_eq!(keys.add_plain("a", b"01234567,89abcdef"), Err(ApiKeyError::Characters));
        assert_eq!(keys.add_plain("a", &[b'a'; 16_385]), Err(ApiKeyError::TooLong));
        // SHA-256 of the empty string: an environment variable that was empty.
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(keys.add_sha256("a", empty), Err(ApiKeyError::TooShort));
        for id in ["", "a#b", "a b", "ä", &"a".repeat(65)] {
            assert_eq!(keys.add_plain(id, KEY), Err(ApiKeyError::Id), "{id}");
        }
        keys.add_plain("a", KEY).unwrap();
        assert_eq!(keys.add_plain("a", b"fedcba9876543210"), Err(ApiKeyError::DuplicateId));
        assert_eq!(format!("{keys:?}"), r#"["a"]"#);
    }
}
