//! Authentication: where a credential may stand in the opening handshake,
//! whether it verifies, and whom it names.

use std::time::Duration;

pub mod api_key;
pub mod jwk;

use api_key::ApiKeys;
use jwk::{Algorithm, KeySet};

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
