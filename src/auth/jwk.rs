//! Keys that verify tokens (RFC 7517).

use super::error::AuthError;
use super::json;
use super::key::Key;
use crate::host::{Hash, Signatures};
use serde_json::Value;
use std::fmt;

pub use super::key_error::KeyError;

/// Most keys of one issuer. Issuers that rotate publish two or three.
pub const MAX_KEYS: usize = 64;

/// Most keys tried on a token that names none.
const MAX_TRIED: usize = 8;

/// Most CPU that these tries may take together, in µs: anybody can ask for it. One
/// key is tried whatever it costs.
const MAX_TRIAL_MICROS: u32 = 1_000;

/// A signature algorithm (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512
    RS512,
    /// RSASSA-PSS with SHA-256
    PS256,
    /// RSASSA-PSS with SHA-384
    PS384,
    /// RSASSA-PSS with SHA-512
    PS512,
    /// ECDSA on P-256 with SHA-256
    ES256,
    /// ECDSA on P-384 with SHA-384
    ES384,
    /// EdDSA, of which Ed25519
    EdDSA,
    /// HMAC with SHA-256
    HS256,
    /// HMAC with SHA-384
    HS384,
    /// HMAC with SHA-512
    HS512,
}

impl Algorithm {
    /// Every algorithm that can be configured. `none` is not among them.
    pub const ALL: &[Self] = &[
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
        Self::HS256,
        Self::HS384,
        Self::HS512,
    ];

    /// Reads the name of RFC 7518 (case-sensitive).
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.name() == name)
    }

    /// The name of RFC 7518.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
            Self::RS384 => "RS384",
            Self::RS512 => "RS512",
            Self::PS256 => "PS256",
            Self::PS384 => "PS384",
            Self::PS512 => "PS512",
            Self::ES256 => "ES256",
            Self::ES384 => "ES384",
            Self::EdDSA => "EdDSA",
            Self::HS256 => "HS256",
            Self::HS384 => "HS384",
            Self::HS512 => "HS512",
        }
    }

    /// Least length of a secret for it; `None` for asymmetric algorithms
    /// (RFC 7518 §3.2).
    #[must_use]
    pub const fn secret_bytes(self) -> Option<usize> {
        match self {
            Self::HS256 => Some(32),
            Self::HS384 => Some(48),
            Self::HS512 => Some(64),
            _ => None,
        }
    }

    /// Its hash function; Ed25519 has SHA-512 inside.
    pub(super) const fn hash(self) -> Hash {
        match self {
            Self::RS256 | Self::PS256 | Self::ES256 | Self::HS256 => Hash::Sha256,
            Self::RS384 | Self::PS384 | Self::ES384 | Self::HS384 => Hash::Sha384,
            Self::RS512 | Self::PS512 | Self::HS512 | Self::EdDSA => Hash::Sha512,
        }
    }
}

/// The keys of one issuer, each checked; at least one for every algorithm it
/// was made for.
#[derive(Clone, Default)]
pub struct KeySet {
    keys: Vec<Key>,
}

impl KeySet {
    /// Reads a JWK Set that the operator wrote: a key that could not be used is
    /// an error, not left out. Every error carries its path below the set
    /// (`keys[0].n`; empty for the set itself).
    pub fn from_jwks(
        jwks: &Value,
        algorithms: &[Algorithm],
    ) -> Result<Self, Vec<(String, KeyError)>> {
        let whole = |error| vec![(String::new(), error)];
        let list = jwks.get("keys").and_then(Value::as_array).ok_or(whole(KeyError::NotASet))?;
        let at_list = |error| vec![("keys".to_owned(), error)];
        match list.len() {
            0 => return Err(at_list(KeyError::NoKeys)),
            1..=MAX_KEYS => {}
            _ => return Err(at_list(KeyError::TooManyKeys)),
        }
        let mut keys: Vec<Key> = Vec::with_capacity(list.len());
        let mut errors = Vec::new();
        for (index, jwk) in list.iter().enumerate() {
            match Key::from_jwk(jwk) {
                Ok(key) if keys.iter().any(|other| other.is_confused_with(&key)) => {
                    errors.push((format!("keys[{index}].kid"), KeyError::DuplicateKid));
                }
                Ok(key) => keys.push(key),
                Err((member, error)) => errors.push((path(index, member), error)),
            }
        }
        if errors.is_empty() {
            let lacking = without_key(&keys, algorithms);
            errors.extend(lacking.map(|a| ("keys".to_owned(), KeyError::NoKeyFor(a))));
        }
        if errors.is_empty() {
            let costly = algorithms.iter().copied().filter(|a| needs_kids(&keys, *a));
            errors.extend(costly.map(|a| ("keys".to_owned(), KeyError::KidNeeded(a))));
        }
        if errors.is_empty() { Ok(Self { keys }) } else { Err(errors) }
    }

    /// Reads a JWK Set that an issuer published: keys that can't be used here are
    /// left out (RFC 7517 §5), and shared secrets always: what is published is
    /// none.
    pub(super) fn from_published(body: &[u8]) -> Result<Self, SetError> {
        let set = json::object(body, AuthError::Payload).map_err(|_| SetError::NotJson)?;
        let list = set.get("keys").and_then(Value::as_array).ok_or(SetError::NotASet)?;
        if list.len() > MAX_KEYS {
            return Err(SetError::TooManyKeys);
        }
        let usable = |jwk: &Value| Key::from_jwk(jwk).ok().filter(Key::is_public);
        let keys: Vec<Key> = list.iter().filter_map(usable).collect();
        if keys.is_empty() { Err(SetError::NoUsableKey) } else { Ok(Self { keys }) }
    }

    /// Takes one shared secret for HS256, HS384 and HS512.
    pub fn from_secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let keys = vec![Key::from_secret(secret)?];
        let short = algorithms.iter().filter_map(|a| a.secret_bytes()).max();
        if let Some(bytes) = short.filter(|bytes| secret.len() < *bytes) {
            return Err(KeyError::SecretTooShort { bytes });
        }
        let lacking = without_key(&keys, algorithms).next();
        match lacking {
            Some(algorithm) => Err(KeyError::NoKeyFor(algorithm)),
            None => Ok(Self { keys }),
        }
    }

    /// Whether the key with this fingerprint is among them.
    pub(super) fn has(&self, fingerprint: &[u8; 32]) -> bool {
        self.keys.iter().any(|key| key.fingerprint() == *fingerprint)
    }

    /// Verifies `signature` over `signed` and gives the key that did it.
    pub(super) fn verify(
        &self,
        (algorithm, kid): (Algorithm, Option<&str>),
        signed: &[u8],
        signature: &[u8],
        host: &dyn Signatures,
    ) -> Result<&Key, AuthError> {
        for key in self.candidates(algorithm, kid)? {
            match key.verify(algorithm, signed, signature, host) {
                Some(true) => return Ok(key),
                Some(false) => {}
                None => return Err(AuthError::Unverifiable),
            }
        }
        Err(AuthError::Signature)
    }

    /// The keys that a token's signature is tried on, at least one. A token that
    /// names a key is tried on that key only; in a set without any `kid`, and for
    /// tokens without, it is each that suits, or none where so many would cost too
    /// much.
    fn candidates(&self, algorithm: Algorithm, kid: Option<&str>) -> Result<Vec<&Key>, AuthError> {
        let kid = kid.filter(|_| self.keys.iter().any(|key| key.kid().is_some()));
        let named = || self.keys.iter().filter(|key| kid.is_none() || key.kid() == kid);
        if named().next().is_none() {
            return Err(AuthError::UnknownKid);
        }
        let suited: Vec<&Key> = named().filter(|key| key.fits(algorithm)).collect();
        if suited.is_empty() {
            return Err(AuthError::KeyMismatch);
        }
        if are_affordable(&suited, algorithm) { Ok(suited) } else { Err(AuthError::KidNeeded) }
    }
}

/// Returns true if verifying one token with each of these keys stays within the bound.
fn are_affordable(keys: &[&Key], algorithm: Algorithm) -> bool {
    let costs = keys.iter().map(|key| key.cost_micros(algorithm));
    let cost = costs.fold(0, u32::saturating_add);
    keys.len() < 2 || (keys.len() <= MAX_TRIED && cost <= MAX_TRIAL_MICROS)
}

/// Returns true if some key has no `kid` and there are too many keys to try. Such a key
/// could never be used, since only tokens without `kid` can refer to it.
fn needs_kids(keys: &[Key], algorithm: Algorithm) -> bool {
    let suited: Vec<&Key> = keys.iter().filter(|key| key.fits(algorithm)).collect();
    suited.iter().any(|key| key.kid().is_none()) && !are_affordable(&suited, algorithm)
}

/// Why a published key set is not taken: the issuer's to mend, or the operator's
/// who named the wrong place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetError {
    NotJson,
    NotASet,
    TooManyKeys,
    NoUsableKey,
}

impl fmt::Display for SetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotJson => "the answer is no JSON object, or names a member twice",
            Self::NotASet => "the answer is no JWK Set (RFC 7517 §5)",
            Self::TooManyKeys => "the answer holds more than 64 keys",
            Self::NoUsableKey => {
                "the answer holds no key that verifies tokens here (RSA from 2048 bits, P-256, P-384, Ed25519)"
            }
        })
    }
}

/// Says which keys, never what they are.
impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(Key::kid)).finish()
    }
}

fn path(index: usize, member: &str) -> String {
    if member.is_empty() { format!("keys[{index}]") } else { format!("keys[{index}].{member}") }
}

/// The algorithms that none of the keys can verify.
fn without_key(keys: &[Key], algorithms: &[Algorithm]) -> impl Iterator<Item = Algorithm> {
    algorithms.iter().copied().filter(|algorithm| !keys.iter().any(|key| key.fits(*algorithm)))
}

/// Entry for the fuzzer: holds that a set is taken only with a key for each
/// algorithm that it was asked for, and that nothing makes the reader panic.
pub fn fuzz_jwks(data: &[u8]) {
    let Ok(jwks) = serde_json::from_slice::<Value>(data) else { return };
    if let Ok(set) = KeySet::from_published(data) {
        assert!(set.keys.iter().all(Key::is_public));
    }
    for algorithm in Algorithm::ALL {
        match KeySet::from_jwks(&jwks, &[*algorithm]) {
            Ok(set) => assert!(set.keys.iter().any(|key| key.fits(*algorithm))),
            Err(errors) => assert!(!errors.is_empty()),
        }
    }
}
