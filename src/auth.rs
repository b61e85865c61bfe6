//! Authentication: where a credential may stand in the opening handshake,
//! whether it verifies, and whom it names.
//!
//! [`Presented::collect`] finds the credential, before anything is judged;
//! [`authenticate`] verifies it; [`strip()`] and [`identity_headers`] say what
//! upstream sees instead.
//!
//! | module | what it holds |
//! |---|---|
//! | [`api_key`], [`jwk`] | what is configured: API keys and token keys |
//! | `presented`, `query`, `cookie` | where a credential stands |
//! | `jws`, `json`, `jwt` | a token: its form, its claims |
//! | `key`, `verify` | one key, and whether a signature is its |
//! | `identity`, `strip` | what comes of it |

use crate::host::{Signatures, Timestamp};
use sha2::{Digest, Sha256};
use std::time::Duration;

pub mod api_key;
mod cookie;
mod error;
mod identity;
mod json;
pub mod jwk;
mod jws;
mod jwt;
mod key;
mod key_error;
mod presented;
mod query;
mod strip;
mod verify;

pub use cookie::fuzz_cookie;
pub use error::{AuthError, Claim};
pub use identity::{CredentialKind, Identity, identity_headers};
pub use jws::fuzz_token;
pub use presented::Presented;
pub use query::fuzz_query;
pub use strip::{Rest, Stripped, is_identity_header, sent_identity_headers, strip};

use api_key::ApiKeys;
use jwk::{Algorithm, KeySet};
use jws::Compact;

/// Longest credential that is looked at, in bytes as sent. Tokens of real
/// issuers end where servers refuse header lines, at 8 KiB mostly.
pub const MAX_CREDENTIAL_BYTES: usize = 16 << 10;

/// A policy's `auth`.
#[derive(Clone, Debug)]
pub struct AuthRules {
    /// Where a credential may stand; the first that holds one decides.
    pub sources: Vec<CredentialSource>,
    /// Whether upstream sees the credential.
    pub forward: bool,
    /// Whose tokens are taken, at most one entry per issuer.
    pub issuers: Vec<Issuer>,
    /// The API keys that are taken.
    pub api_keys: ApiKeys,
    /// Headers that tell upstream who the client is.
    pub identity_headers: Vec<IdentityHeader>,
}

/// A place where a credential may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// A header, its name in lower case. `authorization`: the Bearer scheme (RFC 6750 §2.1).
    Header(String),
    /// A query parameter.
    Query(String),
    /// A cookie.
    Cookie(String),
    /// The entry of `Sec-WebSocket-Protocol` behind this one.
    Subprotocol(String),
}

/// One entry of `auth.jwt`: whose tokens are taken, and when.
#[derive(Clone, Debug)]
pub struct Issuer {
    /// `iss` of its tokens.
    pub issuer: String,
    /// `aud` must name one of these; empty: not checked.
    pub audiences: Vec<String>,
    /// The algorithms that are taken; never read from the token alone.
    pub algorithms: Vec<Algorithm>,
    /// Its keys.
    pub keys: KeySet,
    /// How far its clock may be off, for exp, nbf and iat.
    pub leeway: Duration,
    /// Claims that must be there.
    pub required: Vec<String>,
    /// Claims that must contain one of the values.
    pub claims: Vec<(String, Vec<String>)>,
}

/// One entry of `auth.identity_headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader {
    /// Header, in lower case with `-`.
    pub name: String,
    /// The claim whose value it carries.
    pub claim: String,
}

/// Verifies what was presented: a token of a configured issuer by that issuer's
/// rules alone, anything else as an API key.
///
/// # Errors
/// Why it does not let the client in; [`AuthError::reason`] has its line in the
/// table of refusals.
pub fn authenticate(
    rules: &AuthRules,
    presented: &Presented,
    now: Timestamp,
    signatures: &dyn Signatures,
) -> Result<Identity, AuthError> {
    let credential = presented.credential()?;
    match issued(rules, credential) {
        Ok((issuer, token, claims)) => {
            let mut identity = jwt::verify(issuer, &token, claims, now, signatures)?;
            if identity.key_id.is_empty() {
                identity.key_id = hash_prefix(credential);
            }
            Ok(identity)
        }
        Err(no_token) => {
            let id = rules.api_keys.find(credential).ok_or(no_token)?;
            Ok(Identity::of_api_key(id, now))
        }
    }
}

/// A token of an issuer that is configured, nothing of it verified.
type Issued<'a> = (&'a Issuer, Compact<'a>, serde_json::Map<String, serde_json::Value>);

/// Goes by the unverified `iss`, which only chooses whose keys must have signed
/// it; otherwise says why the credential is no such token, which is told when
/// it is no API key either.
fn issued<'a>(rules: &'a AuthRules, credential: &'a [u8]) -> Result<Issued<'a>, AuthError> {
    let token = std::str::from_utf8(credential).ok().and_then(Compact::split);
    let Some(token) = token.filter(|_| !rules.issuers.is_empty()) else {
        // With API keys there are other forms than a token's.
        let only_tokens = rules.api_keys.is_empty();
        let why = if only_tokens { AuthError::NotCompact } else { AuthError::UnknownCredential };
        return Err(why);
    };
    let claims = token.payload()?;
    let iss = claims.get("iss").and_then(serde_json::Value::as_str);
    let issuer = rules.issuers.iter().find(|issuer| Some(issuer.issuer.as_str()) == iss);
    Ok((issuer.ok_or(AuthError::UnknownIssuer)?, token, claims))
}

/// Tells credentials apart in events without telling what they are: 32 bits
/// that cannot be turned back.
fn hash_prefix(credential: &[u8]) -> String {
    Sha256::digest(credential).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests;
