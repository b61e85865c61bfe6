//! Authentication: where a credential may stand in the opening handshake,
//! whether it verifies, and whom it names.
//!
//! [`Presented::collect`] finds the credential, before anything is judged; an
//! [`Attempt`] verifies it, which may take until somebody else has answered;
//! [`strip()`] and [`identity_headers`] say what upstream sees instead.
//!
//! | module | what it holds |
//! |---|---|
//! | [`api_key`], [`jwk`] | what is configured: API keys and token keys |
//! | `presented`, `query`, `cookie` | where a credential stands |
//! | `jws`, `json`, `jwt` | a token: its form, its claims |
//! | `key`, `verify` | one key, and whether a signature is its |
//! | `remote` | keys that an issuer publishes |
//! | `attempt`, `verified` | one client's verification, and those of before |
//! | `identity`, `strip` | what comes of it |

use std::time::Duration;

pub mod api_key;
mod attempt;
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
mod remote;
mod strip;
mod verified;
mod verify;

pub use attempt::{Attempt, Desk, Verifiers};
pub use cookie::fuzz_cookie;
pub use error::{AuthError, Claim};
pub use identity::{CredentialKind, Identity, identity_headers};
pub use jws::fuzz_token;
pub use presented::Presented;
pub use query::fuzz_query;
pub use remote::{ASK_EVERY, KeysUri, STALE, fuzz_keys_state};
pub use strip::{Rest, Stripped, is_identity_header, sent_identity_headers, strip};

use api_key::ApiKeys;
use jwk::{Algorithm, KeySet};

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
    pub keys: IssuerKeys,
    /// How far its clock may be off, for exp, nbf and iat.
    pub leeway: Duration,
    /// Claims that must be there.
    pub required: Vec<String>,
    /// Claims that must contain one of the values.
    pub claims: Vec<(String, Vec<String>)>,
}

impl Issuer {
    /// Where its keys are published, if they are not in the document.
    #[must_use]
    pub const fn keys_uri(&self) -> Option<&KeysUri> {
        match &self.keys {
            IssuerKeys::Published(uri) => Some(uri),
            IssuerKeys::Fixed(_) => None,
        }
    }
}

/// `keys` of an issuer.
#[derive(Clone, Debug)]
pub enum IssuerKeys {
    /// In the document, or in the environment.
    Fixed(KeySet),
    /// Fetched, and fetched again.
    Published(KeysUri),
}

/// One entry of `auth.identity_headers`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityHeader {
    /// Header, in lower case with `-`.
    pub name: String,
    /// The claim whose value it carries.
    pub claim: String,
}

#[cfg(test)]
mod tests;
