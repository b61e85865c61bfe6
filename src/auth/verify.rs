//! Key material and the one question asked of it: does this signature verify?
//!
//! The kind of key decides what may be done with it, not the token: a public
//! key cannot be used as an HMAC secret, because there is no such arm.
//!
//! RS*, ES256 and ES384 go to the host first (Envoy's BoringSSL is 9 to 45
//! times faster) and are computed here where it cannot tell. What the two could
//! see differently, the length of a signature and the range of r and s, is
//! settled before either is asked.

use super::jwk::Algorithm;
use crate::host::{Hash, Signatures};
use hmac::digest::KeyInit;
use hmac::{Hmac, Mac};
use rsa::pkcs1v15::Pkcs1v15Sign;
use rsa::signature::Verifier;
use rsa::traits::PublicKeyParts;
use rsa::{RsaPublicKey, pss};
use sha2::{Digest, Sha256, Sha384, Sha512};

/// A public key or secret, checked when it was loaded.
#[derive(Clone)]
pub(super) enum Material {
    Rsa { key: RsaPublicKey, spki: Box<[u8]> },
    P256 { key: p256::ecdsa::VerifyingKey, spki: Box<[u8]> },
    P384 { key: p384::ecdsa::VerifyingKey, spki: Box<[u8]> },
    Ed25519(ed25519_dalek::VerifyingKey),
    Secret(Box<[u8]>),
}

impl Material {
    /// SHA-256 of what makes this key and no other.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let (kind, bytes): (u8, &[u8]) = match self {
            Self::Rsa { spki, .. } | Self::P256 { spki, .. } | Self::P384 { spki, .. } => (0, spki),
            Self::Ed25519(key) => (1, key.as_bytes()),
            Self::Secret(secret) => (2, secret),
        };
        Sha256::new().chain_update([kind]).chain_update(bytes).finalize().into()
    }

    /// Whether a signature of this algorithm can be verified with this.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        match self {
            Self::Rsa { .. } => {
                matches!(algorithm, A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512)
            }
            Self::P256 { .. } => algorithm == A::ES256,
            Self::P384 { .. } => algorithm == A::ES384,
            Self::Ed25519(_) => algorithm == A::EdDSA,
            Self::Secret(secret) => {
                algorithm.secret_bytes().is_some_and(|least| secret.len() >= least)
            }
        }
    }

    /// Whether `signature` over `text` verifies.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        text: &[u8],
        signature: &[u8],
        host: &dyn Signatures,
    ) -> bool {
        use Algorithm as A;
        if !self.fits(algorithm) {
            return false;
        }
        match (self, algorithm) {
            (Self::Rsa { key, .. }, A::PS256) => pss::<Sha256>(key, text, signature),
            (Self::Rsa { key, .. }, A::PS384) => pss::<Sha384>(key, text, signature),
            (Self::Rsa { key, .. }, A::PS512) => pss::<Sha512>(key, text, signature),
            (Self::Rsa { key, spki }, _) => {
                pkcs1(key, spki, algorithm.hash(), text, signature, host)
            }
            (Self::P256 { key, spki }, _) => {
                let Ok(signature) = p256::ecdsa::Signature::from_slice(signature) else {
                    return false;
                };
                host.verify(Hash::Sha256, spki, signature.to_der().as_bytes(), text)
                    .unwrap_or_else(|| key.verify(text, &signature).is_ok())
            }
            (Self::P384 { key, spki }, _) => {
                let Ok(signature) = p384::ecdsa::Signature::from_slice(signature) else {
                    return false;
                };
                host.verify(Hash::Sha384, spki, signature.to_der().as_bytes(), text)
                    .unwrap_or_else(|| key.verify(text, &signature).is_ok())
            }
            (Self::Ed25519(key), _) => ed25519_dalek::Signature::from_slice(signature)
                .is_ok_and(|signature| key.verify_strict(text, &signature).is_ok()),
            (Self::Secret(secret), _) => mac(secret, algorithm.hash(), text, signature),
        }
    }
}

/// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2).
fn pkcs1(
    key: &RsaPublicKey,
    spki: &[u8],
    hash: Hash,
    text: &[u8],
    signature: &[u8],
    host: &dyn Signatures,
) -> bool {
    if signature.len() != key.size() {
        return false;
    }
    if let Some(verdict) = host.verify(hash, spki, signature, text) {
        return verdict;
    }
    let (scheme, hashed) = match hash {
        Hash::Sha256 => (Pkcs1v15Sign::new::<Sha256>(), Sha256::digest(text).to_vec()),
        Hash::Sha384 => (Pkcs1v15Sign::new::<Sha384>(), Sha384::digest(text).to_vec()),
        Hash::Sha512 => (Pkcs1v15Sign::new::<Sha512>(), Sha512::digest(text).to_vec()),
    };
    key.verify(scheme, &hashed, signature).is_ok()
}

/// RSASSA-PSS with a salt as long as the hash and MGF1 of the same hash
/// (RFC 7518 §3.5). Through `VerifyingKey`, which refuses a signature that is
/// not below the modulus; the `Pss` scheme of the same crate does not.
fn pss<D>(key: &RsaPublicKey, text: &[u8], signature: &[u8]) -> bool
where
    D: Digest + hmac::digest::FixedOutputReset,
{
    let key = pss::VerifyingKey::<D>::new(key.clone());
    pss::Signature::try_from(signature).is_ok_and(|signature| key.verify(text, &signature).is_ok())
}

/// HMAC, compared in constant time (RFC 7518 §3.2).
fn mac(secret: &[u8], hash: Hash, text: &[u8], tag: &[u8]) -> bool {
    fn check<M: Mac + KeyInit>(secret: &[u8], text: &[u8], tag: &[u8]) -> bool {
        <M as KeyInit>::new_from_slice(secret)
            .is_ok_and(|mac| mac.chain_update(text).verify_slice(tag).is_ok())
    }
    match hash {
        Hash::Sha256 => check::<Hmac<Sha256>>(secret, text, tag),
        Hash::Sha384 => check::<Hmac<Sha384>>(secret, text, tag),
        Hash::Sha512 => check::<Hmac<Sha512>>(secret, text, tag),
    }
}
