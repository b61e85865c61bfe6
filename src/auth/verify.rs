//! Key material and the one question asked of it: does this signature verify?
//!
//! The kind of key decides what may be done with it, not the token: a public
//! key cannot be used as an HMAC secret, because there is no such arm.
//!
//! | algorithm | who verifies it | CPU in V8, µs | by jwt-simple, µs |
//! |---|---|---|---|
//! | HS256, HS384, HS512 | jwt-simple | 3 | 3 |
//! | ES256, ES384 | the host; jwt-simple where it cannot tell | 54, 550 by the host | 700, 2,900 |
//! | RS256, RS384, RS512 | the host; rsa where it cannot tell | 22 by the host | 1,150 |
//! | PS256, PS384, PS512: 2048, 3072, 4096 bits | rsa | 370, 900, 1,600 | 1,150, 2,550, 4,300 |
//! | EdDSA | ed25519-dalek | 112 | 275 |
//!
//! A handshake takes Envoy some 220 µs. So RSA-PSS and EdDSA stay with crates of
//! their own: by jwt-simple each of their signatures would cost most of a
//! handshake, or several, and it takes Ed25519 signatures that
//! [`ed25519_dalek::VerifyingKey::verify_strict`] refuses, and RSA keys of 2048 to
//! 4096 bits with the exponent 65537 only.

use super::der;
use super::ec::EcKey;
use super::jwk::Algorithm;
use crate::host::{Hash, Signatures};
use jwt_simple::prelude::{HS256Key, HS384Key, HS512Key, MACLike};
use rsa::BoxedUint;
use rsa::traits::PublicKeyParts;
use sha2::{Digest, Sha256, Sha384, Sha512};
use subtle::ConstantTimeEq;

/// Cost of hashing the longest token ([`super::MAX_CREDENTIAL_BYTES`]) with SHA-2 in the
/// module, in µs.
const HASHING_MICROS: u32 = 50;

/// A public key or secret, checked when it was loaded.
#[derive(Clone)]
pub(super) enum Material {
    Rsa(RsaKey),
    Ec(EcKey),
    Ed25519(ed25519_dalek::VerifyingKey),
    Secret(Box<[u8]>),
}

impl Material {
    /// SHA-256 of what makes this key and no other.
    pub(super) fn fingerprint(&self) -> [u8; 32] {
        let (kind, bytes): (u8, &[u8]) = match self {
            Self::Rsa(key) => (0, &key.spki),
            Self::Ec(key) => (0, key.spki()),
            Self::Ed25519(key) => (1, key.as_bytes()),
            Self::Secret(secret) => (2, secret),
        };
        Sha256::new().chain_update([kind]).chain_update(bytes).finalize().into()
    }

    /// DER SubjectPublicKeyInfo, of the kinds that the host verifies.
    #[cfg(test)]
    pub(super) fn spki(&self) -> Option<&[u8]> {
        match self {
            Self::Rsa(key) => Some(&key.spki),
            Self::Ec(key) => Some(key.spki()),
            Self::Ed25519(_) | Self::Secret(_) => None,
        }
    }

    /// Whether a signature of this algorithm can be verified with this.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        match self {
            Self::Rsa(_) => {
                matches!(algorithm, A::RS256 | A::RS384 | A::RS512 | A::PS256 | A::PS384 | A::PS512)
            }
            Self::Ec(key) => algorithm == key.curve().algorithm(),
            Self::Ed25519(_) => algorithm == A::EdDSA,
            Self::Secret(secret) => {
                algorithm.secret_bytes().is_some_and(|least| secret.len() >= least)
            }
        }
    }

    /// CPU that one verification takes at most, in µs of the machine that the
    /// README measures on, whatever is signed.
    pub(super) fn cost_micros(&self, algorithm: Algorithm) -> u32 {
        use Algorithm as A;
        match (self, algorithm) {
            (Self::Rsa(key), A::PS256 | A::PS384 | A::PS512) => key.cost_of(370) + HASHING_MICROS,
            // The host's: it hashes as well, and faster.
            (Self::Rsa(key), _) => key.cost_of(22) + HASHING_MICROS / 4,
            (Self::Ec(_), A::ES256) => 54 + HASHING_MICROS / 4,
            (Self::Ec(_), _) => 550 + HASHING_MICROS / 4,
            (Self::Ed25519(_), _) => 112 + HASHING_MICROS,
            (Self::Secret(_), _) => 3 + HASHING_MICROS,
        }
    }

    /// Verifies `signature` over `text`. Returns `None` if neither the host nor the module
    /// can verify this algorithm.
    pub(super) fn verify(
        &self,
        algorithm: Algorithm,
        text: &[u8],
        signature: &[u8],
        host: &dyn Signatures,
    ) -> Option<bool> {
        use Algorithm as A;
        if !self.fits(algorithm) {
            return Some(false);
        }
        match (self, algorithm) {
            (Self::Rsa(key), A::PS256) => Some(key.pss::<Sha256>(text, signature)),
            (Self::Rsa(key), A::PS384) => Some(key.pss::<Sha384>(text, signature)),
            (Self::Rsa(key), A::PS512) => Some(key.pss::<Sha512>(text, signature)),
            (Self::Rsa(key), _) => Some(key.pkcs1(algorithm.hash(), text, signature, host)),
            (Self::Ec(key), _) => key.verify(text, signature, host),
            (Self::Ed25519(key), _) => Some(
                ed25519_dalek::Signature::from_slice(signature)
                    .is_ok_and(|signature| key.verify_strict(text, &signature).is_ok()),
            ),
            (Self::Secret(secret), _) => Some(mac(secret, algorithm.hash(), text, signature)),
        }
    }
}

/// A public key of RSA.
#[derive(Clone)]
pub(super) struct RsaKey {
    key: rsa::PublicKey,
    spki: Box<[u8]>,
    /// Bits of the exponent, and how many of them are set: 17 and 2 of 65537.
    exponent_bits: u32,
    exponent_ones: u32,
}

impl RsaKey {
    /// Takes modulus and exponent, unsigned and big-endian, whose sizes are good.
    pub(super) fn new(modulus: &[u8], exponent: &[u8]) -> Option<Self> {
        let (n, e) = (der::significant(modulus), der::significant(exponent));
        let spki = der::rsa_spki(n, e);
        let key = rsa::PublicKey::new(
            BoxedUint::from_be_slice_vartime(n),
            BoxedUint::from_be_slice_vartime(e),
        );
        let first = e.first().map_or(8, |first| first.leading_zeros());
        let exponent_bits = u32::try_from(e.len()).ok()?.checked_mul(8)?.checked_sub(first)?;
        let exponent_ones = e.iter().map(|byte| byte.count_ones()).sum();
        Some(Self { key: key.ok()?, spki, exponent_bits, exponent_ones })
    }

    /// Scales `micros`, the cost with a modulus of 2048 bits and the exponent 65537, to
    /// this key. The cost of a multiplication grows with the square of the modulus. The
    /// exponent takes one multiplication for each of its bits, and one more for each bit
    /// that is set.
    fn cost_of(&self, micros: u32) -> u32 {
        let bits = u64::try_from(self.key.size()).unwrap_or(u64::MAX).saturating_mul(8);
        let steps = u64::from(self.exponent_bits + self.exponent_ones);
        let cost = u64::from(micros).saturating_mul(bits.saturating_mul(bits)) / (2_048 * 2_048);
        u32::try_from(cost.saturating_mul(steps) / (17 + 2)).unwrap_or(u32::MAX)
    }

    /// RSASSA-PKCS1-v1_5 (RFC 8017 §8.2.2).
    fn pkcs1(&self, hash: Hash, text: &[u8], signature: &[u8], host: &dyn Signatures) -> bool {
        if signature.len() != self.key.size() {
            return false;
        }
        let here = || match hash {
            Hash::Sha256 => self.key.pkcs1v15_verify::<Sha256>(text, signature),
            Hash::Sha384 => self.key.pkcs1v15_verify::<Sha384>(text, signature),
            Hash::Sha512 => self.key.pkcs1v15_verify::<Sha512>(text, signature),
        };
        host.verify(hash, &self.spki, signature, text).unwrap_or_else(|| here().is_ok())
    }

    /// RSASSA-PSS with a salt as long as the hash and MGF1 of the same hash
    /// (RFC 7518 §3.5).
    fn pss<D>(&self, text: &[u8], signature: &[u8]) -> bool
    where
        D: Digest + sha2::digest::FixedOutputReset,
    {
        self.key.pss_verify::<D>(text, signature).is_ok()
    }
}

/// HMAC, compared in constant time (RFC 7518 §3.2).
fn mac(secret: &[u8], hash: Hash, text: &[u8], tag: &[u8]) -> bool {
    let expected = match hash {
        Hash::Sha256 => HS256Key::from_bytes(secret).authentication_tag(text),
        Hash::Sha384 => HS384Key::from_bytes(secret).authentication_tag(text),
        Hash::Sha512 => HS512Key::from_bytes(secret).authentication_tag(text),
    };
    expected.as_slice().ct_eq(tag).into()
}
