//! Keys on NIST's curves, and ECDSA (RFC 7518 §3.4).
//!
//! The host verifies: BoringSSL takes 54 µs for ES256 where the module takes 700.
//! The host and the module could differ in the length of a signature and in the range of r
//! and s, so both are checked before either verifies. The module's own verification
//! (feature `own-ecdsa`) is for hosts without `verify_signature`. Every stock Envoy has
//! that function, so `make wasm` leaves the feature out.

use super::der;
use super::jwk::Algorithm;
use crate::host::{Hash, Signatures};
use jwt_simple::prelude::{ES256PublicKey, ES384PublicKey};

/// Order of the base point of P-256 (FIPS 186-5, SP 800-186 §3.2.1.3).
const P256_ORDER: &[u8] = &[
    0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

/// Order of the base point of P-384 (SP 800-186 §3.2.1.4).
const P384_ORDER: &[u8] = &[
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf,
    0x58, 0x1a, 0x0d, 0xb2, 0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73,
];

/// A curve that tokens are signed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
}

impl Curve {
    /// The one algorithm that goes with it.
    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Self::P256 => Algorithm::ES256,
            Self::P384 => Algorithm::ES384,
        }
    }

    const fn hash(self) -> Hash {
        self.algorithm().hash()
    }

    const fn order(self) -> &'static [u8] {
        match self {
            Self::P256 => P256_ORDER,
            Self::P384 => P384_ORDER,
        }
    }

    /// `r` and `s`, each as long as the order and from 1 to one below it.
    fn halves(self, signature: &[u8]) -> Option<(&[u8], &[u8])> {
        let order = self.order();
        let (r, s) = signature.split_at_checked(order.len())?;
        let is_in_range =
            |half: &[u8]| half.len() == order.len() && half < order && half.iter().any(|b| *b != 0);
        (is_in_range(r) && is_in_range(s)).then_some((r, s))
    }
}

/// A point of its curve, not the one at infinity.
#[derive(Clone)]
pub(super) struct EcKey {
    curve: Curve,
    /// Uncompressed (SEC 1 §2.3.3).
    #[cfg_attr(not(feature = "own-ecdsa"), expect(dead_code, reason = "the host has the SPKI"))]
    point: Box<[u8]>,
    spki: Box<[u8]>,
}

impl EcKey {
    /// Takes coordinates that are a point of the curve, each as long as its field.
    pub(super) fn new(curve: Curve, x: &[u8], y: &[u8]) -> Option<Self> {
        let point = [&[4], x, y].concat();
        let spki = match curve {
            Curve::P256 => ES256PublicKey::from_bytes(&point).and_then(|key| key.to_der()),
            Curve::P384 => ES384PublicKey::from_bytes(&point).and_then(|key| key.to_der()),
        };
        Some(Self { curve, point: point.into(), spki: spki.ok()?.into() })
    }

    pub(super) const fn curve(&self) -> Curve {
        self.curve
    }

    /// DER SubjectPublicKeyInfo, as the host takes keys.
    pub(super) const fn spki(&self) -> &[u8] {
        &self.spki
    }

    /// Verifies `signature` over `text`. Returns `None` if neither the host nor the module
    /// can verify this algorithm.
    pub(super) fn verify(
        &self,
        text: &[u8],
        signature: &[u8],
        host: &dyn Signatures,
    ) -> Option<bool> {
        let Some((r, s)) = self.curve.halves(signature) else { return Some(false) };
        let der = der::ecdsa_signature(r, s);
        host.verify(self.curve.hash(), &self.spki, &der, text)
            .or_else(|| self.verify_without_host(text, signature))
    }

    #[cfg(not(feature = "own-ecdsa"))]
    #[expect(clippy::unused_self, reason = "the other of the two needs it")]
    const fn verify_without_host(&self, _text: &[u8], _signature: &[u8]) -> Option<bool> {
        None
    }

    /// Has jwt-simple read the token once more: it verifies nothing shorter. It
    /// refuses tokens whose registered members have other types than it has for
    /// them; so does [`super::jwt::verify`].
    #[cfg(feature = "own-ecdsa")]
    fn verify_without_host(&self, text: &[u8], signature: &[u8]) -> Option<bool> {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        use jwt_simple::prelude::{
            ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, NoCustomClaims, Token, UnixTimeStamp,
            VerificationOptions,
        };
        let Ok(text) = std::str::from_utf8(text) else { return Some(false) };
        let token = format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature));
        let Ok(header) = Token::decode_metadata(&token) else { return Some(false) };
        // What the header may say and when the token is good is decided elsewhere:
        // these take any `typ`, and any time.
        let options = Some(VerificationOptions {
            required_signature_type: header.signature_type().map(str::to_owned),
            accept_future: true,
            artificial_time: Some(UnixTimeStamp::from_secs(0)),
            time_tolerance: None,
            max_token_length: None,
            max_header_length: Some(usize::MAX),
            ..VerificationOptions::default()
        });
        let verified = match self.curve {
            Curve::P256 => ES256PublicKey::from_bytes(&self.point)
                .and_then(|key| key.verify_token::<NoCustomClaims>(&token, options)),
            Curve::P384 => ES384PublicKey::from_bytes(&self.point)
                .and_then(|key| key.verify_token::<NoCustomClaims>(&token, options)),
        };
        Some(verified.is_ok())
    }
}
