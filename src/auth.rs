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
//! | `presented`, `query`, `cookie`, `scheme`, `offer` | where a credential stands |
//! | `jws`, `json`, `jwt` | a token: its form, its claims |
//! | `key`, `verify`, `ec`, `der` | one key, and whether a signature is its |
//! | `remote` | keys that an issuer publishes |
//! | [`first_message`], [`mod@pointer`] | a credential that comes after the upgrade, in JSON |
//! | `ask`, `session` | services that are asked, and those that know sessions |
//! | [`authorize`] | whether a credential reaches to what is asked for |
//! | `attempt`, `verified`, `awaited` | one client's verification, and those of before |
//! | `identity`, `strip` | what comes of it |

use std::time::Duration;

pub mod api_key;
mod ask;
mod attempt;
pub mod authorize;
mod awaited;
mod cache;
mod cookie;
mod date;
mod der;
mod ec;
mod error;
pub mod first_message;
mod identity;
mod json;
pub mod jwk;
mod jws;
mod jwt;
mod key;
mod key_error;
mod offer;
pub mod pointer;
mod presented;
#[cfg(feature = "trap")]
mod probe;
mod query;
mod remote;
mod scheme;
mod session;
mod strip;
mod verified;
mod verify;

pub use ask::{MAX_ASKED, MAX_ASKED_PER_ADDRESS, MAX_WAITING, MAX_WAITING_PER_ADDRESS};
pub use attempt::{Attempt, Desk, Verifiers};
pub use authorize::template::fuzz_template;
pub use authorize::{AskedFor, Inquiry, asked_by, check_asked, check_message, fuzz_message};
pub use awaited::AwaitedCredential;
pub use cookie::fuzz_cookie;
pub use error::{AuthError, Claim};
pub use first_message::fuzz_first_message;
pub use identity::{CredentialKind, Identity, Proof, identity_headers};
pub use jws::fuzz_token;
pub use offer::nameable;
pub use presented::Presented;
#[cfg(feature = "trap")]
pub use probe::verdicts;
pub use query::fuzz_query;
pub use remote::{ASK_EVERY, KeysUri, STALE, fuzz_keys_state};
pub use scheme::Scheme;
pub use session::{Send, SessionRules};
pub(crate) use strip::folded_name;
pub use strip::{
    Rest, Stripped, is_identity_header, other_spellings, sent_identity_headers, strip,
    target_without_credentials,
};

use api_key::ApiKeys;
use authorize::{AuthorizeRule, Grant, OtherMessages};
use first_message::FirstMessageRules;
use jwk::{Algorithm, KeySet};

/// Longest credential that is looked at, in bytes as sent. Tokens of real
/// issuers end where servers refuse header lines, at 8 KiB mostly.
pub const MAX_CREDENTIAL_BYTES: usize = 16 << 10;

/// A policy's `auth`.
#[derive(Clone, Debug, Default)]
pub struct AuthRules {
    /// Where a credential may stand in the handshake; the first that holds one
    /// decides.
    pub sources: Vec<CredentialSource>,
    /// The last place: what the client sends first, once it is open.
    pub first_message: Option<FirstMessageRules>,
    /// Whether upstream sees the credential.
    pub forward: bool,
    /// Whose tokens are taken, at most one entry per issuer.
    pub issuers: Vec<Issuer>,
    /// The API keys that are taken.
    pub api_keys: ApiKeys,
    /// The service that knows what is neither token nor API key.
    pub session: Option<SessionRules>,
    /// What the credential must reach to; all of them.
    pub authorize: Vec<AuthorizeRule>,
    /// Whether to refuse messages that `authorize` cannot read.
    pub other_messages: OtherMessages,
    /// Whether an open connection ends when its credential does.
    pub close_at_expiry: bool,
    /// Headers that tell upstream who the client is.
    pub identity_headers: Vec<IdentityHeader>,
}

impl AuthRules {
    /// Whether clients may have to wait until somebody else has answered.
    #[must_use]
    pub fn asks_services(&self) -> bool {
        self.session.is_some()
            || self.issuers.iter().any(|issuer| issuer.keys_uri().is_some())
            || self.authorize.iter().any(|rule| matches!(rule.grant, Grant::Callout(_)))
    }

    /// The schemes of its `authorization` entries, each once, as a 401 names them.
    pub fn schemes(&self) -> impl Iterator<Item = Scheme> {
        let mut named = Vec::new();
        self.sources.iter().filter_map(move |source| match source {
            CredentialSource::Authorization(scheme) if !named.contains(scheme) => {
                named.push(*scheme);
                Some(*scheme)
            }
            _ => None,
        })
    }

    /// Whether a credential that was verified by this, under an earlier document
    /// or with keys that were published earlier, could still be: `false` says that
    /// its key has been removed since. What nobody says is not denied. `verifiers`
    /// are the document's, `now` is of the steady clock.
    #[must_use]
    pub fn trusts(&self, proof: &Proof, verifiers: &Verifiers, now: Duration) -> bool {
        match proof {
            Proof::ApiKey(hash) => self.api_keys.has(hash),
            Proof::Key { issuer, fingerprint } => {
                let issuer = self.issuers.iter().find(|known| known.issuer == *issuer);
                issuer.is_some_and(|issuer| match &issuer.keys {
                    IssuerKeys::Fixed(keys) => keys.has(fingerprint),
                    IssuerKeys::Published(uri) => {
                        verifiers.published(uri, now).is_none_or(|held| held.keys.has(fingerprint))
                    }
                })
            }
            Proof::Session => self.session.is_some(),
        }
    }
}

/// A place where a credential may stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialSource {
    /// A header other than `authorization`, its name in lower case.
    Header(String),
    /// The `Authorization` header where it is of this scheme; one of another scheme holds no
    /// credential.
    Authorization(Scheme),
    /// A query parameter.
    Query(String),
    /// A cookie.
    Cookie(String),
    /// The entry of `Sec-WebSocket-Protocol` behind this one, in lower case; letter case is
    /// left aside.
    Subprotocol(String),
    /// An entry of `Sec-WebSocket-Protocol` that begins with a prefix; the rest of it is
    /// the credential.
    SubprotocolPrefix {
        /// The prefix, in lower case. Entries are compared with it without letter case.
        prefix: String,
        /// Encoding of the credential behind the prefix.
        encoding: Encoding,
    },
}

impl CredentialSource {
    /// The header that holds nothing but the credential, in lower case, if that is the place.
    #[must_use]
    pub fn header(&self) -> Option<&str> {
        match self {
            Self::Header(name) => Some(name),
            Self::Authorization(_) => Some("authorization"),
            _ => None,
        }
    }

    /// Returns true if the credential stands in `Sec-WebSocket-Protocol`.
    #[must_use]
    pub const fn is_in_offer(&self) -> bool {
        matches!(self, Self::Subprotocol(_) | Self::SubprotocolPrefix { .. })
    }
}

/// Encoding of a credential behind a subprotocol's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    AsItIs,
    /// In base64url without padding (RFC 4648 §5).
    Base64Url,
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
    /// Claims that must be there, each by name or by JSON pointer.
    pub required: Vec<String>,
    /// Claims, by name or by JSON pointer, that must contain one of the values. Numbers and
    /// booleans stand there as they are written.
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
    /// The claim whose value it carries, by name or by JSON pointer.
    pub claim: String,
}

#[cfg(test)]
mod tests;
