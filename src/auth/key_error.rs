//! What is wrong with a configured key.

use super::jwk::Algorithm;
use std::fmt;

/// Why a key is not taken: the operator's to mend. `Display` goes behind the
/// path (`keys[0].n: is …; …`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not an object with a list `keys`.
    NotASet,
    /// The list is empty.
    NoKeys,
    /// More than [`super::jwk::MAX_KEYS`] keys.
    TooManyKeys,
    /// A key that is no JSON object.
    NotAnObject,
    /// A member that this kind of key must have.
    Missing,
    /// Must be a string.
    NotAString,
    /// Not base64url without padding (RFC 7515 §2).
    NotBase64Url,
    /// A `kty` that is not supported.
    UnknownKind,
    /// A `crv` that is not supported for this `kty`.
    UnknownCurve,
    /// An `alg` that is not supported.
    UnknownAlgorithm,
    /// An `alg` that keys of this kind cannot have.
    AlgorithmOfOtherKind,
    /// `use` is not `sig`.
    NotForSignatures,
    /// `key_ops` is not a list that holds `verify`.
    NotForVerifying,
    /// A private part where only the public one belongs.
    PrivatePart,
    /// RSA modulus below 2048 bits.
    ModulusTooShort,
    /// RSA modulus above 8192 bits.
    ModulusTooLong,
    /// RSA modulus that is even.
    ModulusEven,
    /// RSA exponent that is even, below 3 or above 33 bits.
    Exponent,
    /// A coordinate or key that does not have this many bytes.
    Length {
        /// What the curve asks for.
        bytes: usize,
    },
    /// No point of its curve, or one that would verify anything.
    NotOnCurve,
    /// A secret shorter than this.
    SecretTooShort {
        /// Output of the hash, at least 32 (RFC 7518 §3.2).
        bytes: usize,
    },
    /// Another key with this `kid` verifies the same algorithm.
    DuplicateKid,
    /// A configured algorithm that no key can verify.
    NoKeyFor(Algorithm),
    /// More keys for an algorithm than a token without `kid` may be tried on, some
    /// of which have no `kid` that a token could name.
    KidNeeded(Algorithm),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotASet => "is not a JWK Set; write {keys: [{kty: …, …}]} (RFC 7517 §5)",
            Self::NoKeys => "is empty; list at least one key",
            Self::TooManyKeys => "holds more than 64 keys; keep those that still sign",
            Self::NotAnObject => "is not an object; write {kty: …, …} (RFC 7517 §4)",
            Self::Missing => "is missing; a key of this kind needs it (RFC 7518 §6, RFC 8037 §2)",
            Self::NotAString => "is not a string; write it as one, in quotes",
            Self::NotBase64Url => {
                "is not base64url; use the alphabet A–Z a–z 0–9 - _ without padding"
            }
            Self::UnknownKind => "is not supported; use RSA, EC, OKP or oct, or remove the key",
            Self::UnknownCurve => {
                "is not supported; use P-256 or P-384 for EC and Ed25519 for OKP, or remove the key"
            }
            Self::UnknownAlgorithm => {
                "is not supported; remove it, or remove the key (an encryption key does not belong here)"
            }
            Self::AlgorithmOfOtherKind => "does not go with this kind of key; correct or remove it",
            Self::NotForSignatures => "is not `sig`; remove the key, it does not sign tokens",
            Self::NotForVerifying => {
                "is not a list that holds `verify`; correct it, or remove the key"
            }
            Self::PrivatePart => {
                "is part of the private key; remove it and every other private member, and replace the key if others could read it"
            }
            Self::ModulusTooShort => "is shorter than 2048 bits; make a longer key",
            Self::ModulusTooLong => "is longer than 8192 bits; make a shorter key",
            Self::ModulusEven => "is even, which no RSA modulus is; copy it again",
            Self::Exponent => {
                "is no usable exponent; it must be odd, from 3 to 33 bits (mostly AQAB)"
            }
            Self::Length { bytes } => {
                return write!(f, "does not have exactly {bytes} bytes; copy it again");
            }
            Self::NotOnCurve => "is no usable point of the curve; copy the key again",
            Self::SecretTooShort { bytes } => {
                return write!(f, "is shorter than {bytes} bytes; make a longer random secret");
            }
            Self::DuplicateKid => {
                "is also the kid of an earlier key for the same algorithm; make it unique"
            }
            Self::NoKeyFor(algorithm) => {
                return write!(
                    f,
                    "has no key for {}; add one, or remove the algorithm",
                    algorithm.name()
                );
            }
            Self::KidNeeded(algorithm) => {
                return write!(
                    f,
                    "has so many keys for {} that anybody could keep a worker busy with tokens that name none of them; give each a `kid` that its tokens name, or remove those that no longer sign",
                    algorithm.name()
                );
            }
        })
    }
}

impl std::error::Error for KeyError {}
