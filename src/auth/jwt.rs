//! JSON Web Token (RFC 7519): one issuer's verification of one token.

use super::Issuer;
use super::error::{AuthError, Claim};
use super::identity::{CredentialKind, Identity, Proof, claim};
use super::jwk::KeySet;
use super::jws::{Compact, Header};
use crate::host::{Signatures, Timestamp};
use serde_json::{Map, Value};
use std::rc::Rc;
use std::time::Duration;

/// Last second of the year 9999. A time beyond it is a mistake (milliseconds,
/// mostly), and one that would never expire.
const MAX_UNIX_SECONDS: Duration = Duration::from_secs(253_402_300_799);

/// Verifies a token by the rules of the issuer that it claims to be of; its header
/// has passed [`check_header`].
///
/// The signature comes first, so that nobody without a key learns anything
/// about the claims that are wanted; expiry comes last, so that
/// [`AuthError::Expired`] says that everything else was good.
pub(super) fn verify(
    issuer: &Issuer,
    keys: &KeySet,
    (token, header): (&Compact<'_>, &Header),
    claims: Map<String, Value>,
    now: Timestamp,
    host: &dyn Signatures,
) -> Result<Identity, AuthError> {
    let named = (header.algorithm, header.kid.as_deref());
    let key = keys.verify(named, token.signed(), &token.signature()?, host)?;
    header.others?;
    check_issuer(issuer, &claims)?;
    check_audience(issuer, claims.get("aud"))?;
    check_required(issuer, &claims)?;
    let subject = subject(&claims)?;
    check_texts(&claims)?;
    check_wanted(issuer, &claims)?;
    let expires = check_times(issuer, &claims, now)?;
    Ok(Identity {
        user: subject.map(|subject| user(&issuer.issuer, subject)),
        kind: CredentialKind::Jwt,
        key_id: key.kid().unwrap_or_default().to_owned(),
        authenticated_at: now,
        expires,
        claims: Rc::new(claims),
        proof: Proof::Key { issuer: issuer.issuer.clone(), fingerprint: key.fingerprint() },
    })
}

/// The token's header, if it asks for nothing that this issuer's tokens may not:
/// what can be told before there are keys.
pub(super) fn check_header(issuer: &Issuer, token: &Compact<'_>) -> Result<Header, AuthError> {
    let header = token.header()?;
    if !issuer.algorithms.contains(&header.algorithm) {
        return Err(AuthError::Algorithm);
    }
    Ok(header)
}

/// Issuer and subject as one name. `#` in an issuer is written `%23`, so that
/// no issuer can speak for another's subject.
fn user(issuer: &str, subject: &str) -> String {
    format!("{}#{subject}", issuer.replace('#', "%23"))
}

/// `iss`, compared byte by byte (RFC 7519 §4.1.1).
fn check_issuer(issuer: &Issuer, claims: &Map<String, Value>) -> Result<(), AuthError> {
    match claims.get("iss") {
        Some(Value::String(iss)) if *iss == issuer.issuer => Ok(()),
        _ => Err(AuthError::UnknownIssuer),
    }
}

/// `aud`, a string or a list of strings (RFC 7519 §4.1.3).
fn check_audience(issuer: &Issuer, aud: Option<&Value>) -> Result<(), AuthError> {
    let wrong_type = AuthError::ClaimValue(Claim::Aud);
    let is_named = |name: &str| issuer.audiences.iter().any(|audience| audience == name);
    let named = match aud {
        None if issuer.audiences.is_empty() => return Ok(()),
        None => return Err(AuthError::MissingClaim(Claim::Aud)),
        Some(Value::String(name)) => is_named(name),
        Some(Value::Array(names)) => {
            let mut any = false;
            for name in names {
                any |= is_named(name.as_str().ok_or(wrong_type)?);
            }
            any
        }
        Some(_) => return Err(wrong_type),
    };
    if named || issuer.audiences.is_empty() { Ok(()) } else { Err(AuthError::Audience) }
}

fn check_required(issuer: &Issuer, claims: &Map<String, Value>) -> Result<(), AuthError> {
    let is_missing = |name: &&String| claim(claims, name).is_none();
    match issuer.required.iter().find(is_missing) {
        Some(name) => Err(AuthError::MissingClaim(Claim::of(name))),
        None => Ok(()),
    }
}

/// `sub`: a string that names somebody, where it is there. Control characters
/// have no place in a name that goes into logs and headers.
fn subject(claims: &Map<String, Value>) -> Result<Option<&str>, AuthError> {
    match claims.get("sub") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(sub)) if !sub.is_empty() && !sub.contains(char::is_control) => {
            Ok(Some(sub))
        }
        Some(_) => Err(AuthError::ClaimValue(Claim::Sub)),
    }
}

/// The registered claims that are texts and not read here: `jti` (RFC 7519 §4.1.7),
/// and `nonce` (OpenID Connect Core §2).
fn check_texts(claims: &Map<String, Value>) -> Result<(), AuthError> {
    for name in ["jti", "nonce"] {
        if claims.get(name).is_some_and(|claim| !claim.is_string() && !claim.is_null()) {
            return Err(AuthError::ClaimValue(Claim::of(name)));
        }
    }
    Ok(())
}

/// The configured `claims`: each holds one of its values.
fn check_wanted(issuer: &Issuer, claims: &Map<String, Value>) -> Result<(), AuthError> {
    for (name, values) in &issuer.claims {
        let claim = claim(claims, name).ok_or(AuthError::MissingClaim(Claim::of(name)))?;
        if !values.iter().any(|value| holds(claim, value)) {
            return Err(AuthError::ClaimDenied);
        }
    }
    Ok(())
}

/// Returns true if the claim is this value, a list that holds it, or a text that names it
/// as one of several words. Numbers and booleans are compared as they are written.
fn holds(claim: &Value, value: &str) -> bool {
    let is = |entry: &Value| match entry {
        Value::String(text) => text == value,
        Value::Number(number) => number.to_string() == value,
        Value::Bool(flag) => value == if *flag { "true" } else { "false" },
        _ => false,
    };
    match claim {
        Value::String(text) => names(text, value),
        Value::Array(list) => list.iter().any(is),
        other => is(other),
    }
}

/// Returns true if the text is this value or names it as one of several words between
/// spaces, as OAuth writes scopes (RFC 8693 §4.2).
pub(super) fn names(text: &str, value: &str) -> bool {
    text == value || text.split(' ').any(|word| word == value)
}

/// `nbf`, `iat` and `exp` (RFC 7519 §4.1.4–6); gives when the token stops being
/// good, leeway included.
fn check_times(
    issuer: &Issuer,
    claims: &Map<String, Value>,
    now: Timestamp,
) -> Result<Option<Timestamp>, AuthError> {
    let exp = time(claims, "exp")?;
    let latest = now.since_epoch().saturating_add(issuer.leeway);
    if time(claims, "nbf")?.is_some_and(|nbf| latest < nbf) {
        return Err(AuthError::NotYetValid);
    }
    if time(claims, "iat")?.is_some_and(|iat| latest < iat) {
        return Err(AuthError::IssuedAhead);
    }
    let Some(exp) = exp else { return Ok(None) };
    let expires = Timestamp::from_unix(exp.saturating_add(issuer.leeway));
    // "On or after" exp the token is not accepted.
    if now >= expires { Err(AuthError::Expired) } else { Ok(Some(expires)) }
}

/// A NumericDate: seconds since the epoch, with or without fraction
/// (RFC 7519 §2).
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<Duration>, AuthError> {
    let wrong = AuthError::ClaimValue(Claim::of(name));
    let number = match claims.get(name) {
        None => return Ok(None),
        Some(Value::Number(number)) => number,
        Some(_) => return Err(wrong),
    };
    let seconds = match number.as_u64() {
        Some(whole) => Duration::from_secs(whole),
        // Refuses negative numbers and what no `Duration` can hold.
        None => number
            .as_f64()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .ok_or(wrong)?,
    };
    if seconds > MAX_UNIX_SECONDS { Err(wrong) } else { Ok(Some(seconds)) }
}
