//! What only the module for tests has (feature `trap`): signatures are verified
//! on demand, by the host and without it.

use super::jwk::{Algorithm, KeySet};
use super::jws;
use crate::host::{Hash, Signatures};
use serde_json::{Value, json};

/// A host that can't tell.
struct Nobody;

impl Signatures for Nobody {
    fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}

/// Whether a signature verifies with this host, and without it. A question is an
/// algorithm's name, and a JWK, a text and a signature in base64url, with dots
/// between; `None` for anything else, and for keys that are refused.
#[must_use]
pub fn verdicts(question: &[u8], host: &dyn Signatures) -> Option<[bool; 2]> {
    let mut words = std::str::from_utf8(question).ok()?.split('.');
    let algorithm = Algorithm::parse(words.next()?)?;
    let mut bytes = || jws::decode(words.next()?).ok();
    let (jwk, text, signature) = (bytes()?, bytes()?, bytes()?);
    let jwk: Value = serde_json::from_slice(&jwk).ok()?;
    let set = KeySet::from_jwks(&json!({"keys": [jwk]}), &[algorithm]).ok()?;
    let verifies = |host| set.verify((algorithm, None), &text, &signature, host).is_ok();
    Some([verifies(host), verifies(&Nobody)])
}
