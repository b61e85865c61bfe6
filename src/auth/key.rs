//! One JSON Web Key (RFC 7517 §4, RFC 7518 §6, RFC 8037 §2).

use super::der::significant;
use super::ec::{Curve, EcKey};
use super::jwk::{Algorithm, KeyError};
use super::jws;
use super::verify::{Material, RsaKey};
use crate::host::Signatures;
use serde_json::{Map, Value};

/// Least length of an RSA modulus (RFC 7518 §3.3).
const MIN_MODULUS_BITS: usize = 2048;
/// Longest RSA modulus that the host's BoringSSL takes; beyond it the two
/// verifiers would differ, and verification would cost tens of milliseconds.
const MAX_MODULUS_BITS: usize = 8192;
/// Least length of a shared secret, whatever the hash (RFC 7518 §3.2).
const MIN_SECRET_BYTES: usize = 32;

/// Members that only a private key has (RFC 7518 §6.2.2, §6.3.2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// A checked key.
#[derive(Clone)]
pub(super) struct Key {
    kid: Option<String>,
    /// `alg`: the only algorithm it may be used with.
    only: Option<Algorithm>,
    material: Material,
    fingerprint: [u8; 32],
}

/// What is wrong, and with which member; an empty one is the key itself.
type Fault = (&'static str, KeyError);

impl Key {
    /// Reads a public key or shared secret.
    pub(super) fn from_jwk(jwk: &Value) -> Result<Self, Fault> {
        let jwk = jwk.as_object().ok_or(("", KeyError::NotAnObject))?;
        let material = match text(jwk, "kty")? {
            "RSA" => rsa(jwk)?,
            "EC" => ec(jwk)?,
            "OKP" => okp(jwk)?,
            "oct" => Material::Secret(secret(jwk)?),
            _ => return Err(("kty", KeyError::UnknownKind)),
        };
        check_purpose(jwk)?;
        let only = only(jwk, &material)?;
        let kid = jwk.contains_key("kid").then(|| text(jwk, "kid")).transpose()?;
        Ok(Self::new(kid.map(str::to_owned), only, material))
    }

    /// Takes a shared secret as it is.
    pub(super) fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_SECRET_BYTES {
            return Err(KeyError::SecretTooShort { bytes: MIN_SECRET_BYTES });
        }
        Ok(Self::new(None, None, Material::Secret(secret.into())))
    }

    fn new(kid: Option<String>, only: Option<Algorithm>, material: Material) -> Self {
        let fingerprint = material.fingerprint();
        Self { kid, only, material, fingerprint }
    }

    /// SHA-256 of the key itself, whatever it is called.
    pub(super) const fn fingerprint(&self) -> [u8; 32] {
        self.fingerprint
    }

    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether signatures of this algorithm may be verified with it.
    pub(super) fn fits(&self, algorithm: Algorithm) -> bool {
        self.only.is_none_or(|only| only == algorithm) && self.material.fits(algorithm)
    }

    /// Whether anybody may know it.
    pub(super) const fn is_public(&self) -> bool {
        !matches!(self.material, Material::Secret(_))
    }

    /// Whether a token that names `other` could as well mean this one
    /// (RFC 7517 §4.5 lets keys share a kid where their kinds tell them apart).
    pub(super) fn is_confused_with(&self, other: &Self) -> bool {
        self.kid.is_some()
            && self.kid == other.kid
            && Algorithm::ALL.iter().any(|a| self.fits(*a) && other.fits(*a))
    }

    #[cfg(test)]
    pub(super) fn spki(&self) -> Option<&[u8]> {
        self.material.spki()
    }

    /// CPU that one verification takes at most, in µs.
    pub(super) fn cost_micros(&self, algorithm: Algorithm) -> u32 {
        self.material.cost_micros(algorithm)
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
        if !self.fits(algorithm) {
            return Some(false);
        }
        self.material.verify(algorithm, text, signature, host)
    }
}

fn text<'a>(jwk: &'a Map<String, Value>, member: &'static str) -> Result<&'a str, Fault> {
    jwk.get(member)
        .ok_or((member, KeyError::Missing))?
        .as_str()
        .ok_or((member, KeyError::NotAString))
}

fn bytes(jwk: &Map<String, Value>, member: &'static str) -> Result<Vec<u8>, Fault> {
    jws::decode(text(jwk, member)?).map_err(|_| (member, KeyError::NotBase64Url))
}

fn bytes_of_length<const N: usize>(
    jwk: &Map<String, Value>,
    member: &'static str,
) -> Result<[u8; N], Fault> {
    bytes(jwk, member)?.try_into().map_err(|_| (member, KeyError::Length { bytes: N }))
}

/// `use` and `key_ops`, where they are there, must allow verification.
fn check_purpose(jwk: &Map<String, Value>) -> Result<(), Fault> {
    if jwk.get("use").is_some_and(|purpose| purpose != "sig") {
        return Err(("use", KeyError::NotForSignatures));
    }
    match jwk.get("key_ops").map(Value::as_array) {
        None => Ok(()),
        Some(Some(operations)) if operations.iter().any(|o| o == "verify") => Ok(()),
        Some(_) => Err(("key_ops", KeyError::NotForVerifying)),
    }
}

/// `alg`: must be one that such a key can verify.
fn only(jwk: &Map<String, Value>, material: &Material) -> Result<Option<Algorithm>, Fault> {
    if !jwk.contains_key("alg") {
        return Ok(None);
    }
    let algorithm =
        Algorithm::parse(text(jwk, "alg")?).ok_or(("alg", KeyError::UnknownAlgorithm))?;
    if material.fits(algorithm) {
        return Ok(Some(algorithm));
    }
    match (material, algorithm.secret_bytes()) {
        (Material::Secret(_), Some(bytes)) => Err(("k", KeyError::SecretTooShort { bytes })),
        _ => Err(("alg", KeyError::AlgorithmOfOtherKind)),
    }
}

/// A configuration is read by more people than a private key may be.
fn check_public(jwk: &Map<String, Value>) -> Result<(), Fault> {
    match PRIVATE_MEMBERS.iter().find(|member| jwk.contains_key(**member)) {
        Some(member) => Err((member, KeyError::PrivatePart)),
        None => Ok(()),
    }
}

fn rsa(jwk: &Map<String, Value>) -> Result<Material, Fault> {
    check_public(jwk)?;
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    // Before any arithmetic; some writers put a zero byte in front.
    if n.len() > MAX_MODULUS_BITS / 8 + 1 {
        return Err(("n", KeyError::ModulusTooLong));
    }
    let (n, e) = (significant(&n), significant(&e));
    match bits(n) {
        0..MIN_MODULUS_BITS => return Err(("n", KeyError::ModulusTooShort)),
        MIN_MODULUS_BITS..=MAX_MODULUS_BITS => {}
        _ => return Err(("n", KeyError::ModulusTooLong)),
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    if !is_odd(n) {
        return Err(("n", KeyError::ModulusEven));
    }
    let exponent_error = ("e", KeyError::Exponent);
    if !is_odd(e) || e == [1] || bits(e) > 33 {
        return Err(exponent_error);
    }
    RsaKey::new(n, e).map(Material::Rsa).ok_or(exponent_error)
}

/// Bits of a number without zeros in front.
fn bits(number: &[u8]) -> usize {
    let unset = number.first().map_or(0, |first| first.leading_zeros());
    (number.len() * 8).saturating_sub(usize::try_from(unset).unwrap_or_default())
}

fn ec(jwk: &Map<String, Value>) -> Result<Material, Fault> {
    check_public(jwk)?;
    let key = match text(jwk, "crv")? {
        "P-256" => {
            let (x, y) = (bytes_of_length::<32>(jwk, "x")?, bytes_of_length::<32>(jwk, "y")?);
            EcKey::new(Curve::P256, &x, &y)
        }
        "P-384" => {
            let (x, y) = (bytes_of_length::<48>(jwk, "x")?, bytes_of_length::<48>(jwk, "y")?);
            EcKey::new(Curve::P384, &x, &y)
        }
        _ => return Err(("crv", KeyError::UnknownCurve)),
    };
    key.map(Material::Ec).ok_or(("x", KeyError::NotOnCurve))
}

fn okp(jwk: &Map<String, Value>) -> Result<Material, Fault> {
    check_public(jwk)?;
    if text(jwk, "crv")? != "Ed25519" {
        return Err(("crv", KeyError::UnknownCurve));
    }
    let x = bytes_of_length::<32>(jwk, "x")?;
    if !is_canonical(&x) {
        return Err(("x", KeyError::NotOnCurve));
    }
    ed25519_dalek::VerifyingKey::from_bytes(&x)
        .ok()
        .filter(|key| !key.is_weak())
        .map(Material::Ed25519)
        .ok_or(("x", KeyError::NotOnCurve))
}

/// Returns true if the coordinate is below 2^255 - 19 (RFC 8032 §5.1.3). Libraries differ
/// in whether they accept any other encoding of a point.
fn is_canonical(x: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = x;
    *first < 0xed || last & 0x7f != 0x7f || middle.iter().any(|byte| *byte != 0xff)
}

fn secret(jwk: &Map<String, Value>) -> Result<Box<[u8]>, Fault> {
    let secret = bytes(jwk, "k")?;
    if secret.len() < MIN_SECRET_BYTES {
        return Err(("k", KeyError::SecretTooShort { bytes: MIN_SECRET_BYTES }));
    }
    Ok(secret.into())
}
