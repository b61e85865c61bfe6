//! Who the client turned out to be.

use super::AuthRules;
use super::error::AuthError;
use crate::host::Timestamp;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::fmt;
use std::rc::Rc;

/// Somebody whose credential verified.
#[derive(Clone, PartialEq)]
pub struct Identity {
    /// One name for one somebody, over all issuers and kinds: `<iss>#<sub>` for
    /// a token (`#` in the issuer written `%23`), `key:<id>` for an API key;
    /// `None` for a token without `sub`.
    pub user: Option<String>,
    /// What kind of credential it was.
    pub kind: CredentialKind,
    /// Which key: `kid` of the key that verified, id of the API key, or, where
    /// the key has no name, the first 8 hexadecimal digits of the credential's
    /// SHA-256.
    pub key_id: String,
    /// When it was verified.
    pub authenticated_at: Timestamp,
    /// The moment from which it is no longer good, leeway included; `None`:
    /// never.
    pub expires: Option<Timestamp>,
    /// Claims of the credential: those of a token; `sub`, which is the user, and `id` of an API
    /// key; the answer of a session service, with the subject as `sub`. Shared with the copy
    /// that is kept for the next time.
    pub claims: Rc<Map<String, Value>>,
    /// What it was verified by.
    pub proof: Proof,
}

/// What a credential was verified by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The API key with this SHA-256.
    ApiKey([u8; 32]),
    /// A key of this issuer, by its fingerprint.
    Key {
        /// As in `iss`.
        issuer: String,
        /// SHA-256 of the key.
        fingerprint: [u8; 32],
    },
    /// The session service.
    Session,
}

/// Tells credentials apart in events without telling what they are: 32 bits
/// that cannot be turned back.
pub(super) fn hash_prefix(credential: &[u8]) -> String {
    Sha256::digest(credential).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

/// A kind of credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CredentialKind {
    /// A JSON Web Token.
    Jwt,
    /// An API key.
    ApiKey,
    /// What a session service knows.
    Session,
}

impl CredentialKind {
    /// Name in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jwt => "jwt",
            Self::ApiKey => "api_key",
            Self::Session => "session",
        }
    }
}

/// A claim by its name or, where that begins with `/`, by a JSON pointer (RFC 6901); null
/// counts as missing.
pub(super) fn claim<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    let found = match name.strip_prefix('/') {
        None => claims.get(name),
        Some(path) => {
            let (first, rest) = path.split_at(path.find('/').unwrap_or(path.len()));
            let first = first.replace("~1", "/").replace("~0", "~");
            claims.get(&first).and_then(|claim| claim.pointer(rest))
        }
    };
    found.filter(|claim| !claim.is_null())
}

impl Identity {
    /// Who an API key stands for.
    pub(super) fn of_api_key((id, hash): (&str, [u8; 32]), now: Timestamp) -> Self {
        let user = format!("key:{id}");
        let mut claims = Map::new();
        claims.insert("sub".to_owned(), Value::String(user.clone()));
        // So that `authorize` can hold a charger to the path of its own name (OCPP).
        claims.insert("id".to_owned(), Value::String(id.to_owned()));
        Self {
            user: Some(user),
            kind: CredentialKind::ApiKey,
            key_id: id.to_owned(),
            authenticated_at: now,
            expires: None,
            claims: Rc::new(claims),
            proof: Proof::ApiKey(hash),
        }
    }

    /// A claim by its name or, where that begins with `/`, by a JSON pointer
    /// (RFC 6901); null counts as missing.
    #[must_use]
    pub fn claim(&self, name: &str) -> Option<&Value> {
        claim(&self.claims, name)
    }

    /// Whose token it was, if it was one.
    pub(super) const fn issuer(&self) -> Option<&String> {
        match &self.proof {
            Proof::Key { issuer, .. } => Some(issuer),
            Proof::ApiKey(_) | Proof::Session => None,
        }
    }

    /// A claim as it can stand in a header: a string or number; `None` when the
    /// claim is missing or null.
    ///
    /// # Errors
    /// [`AuthError::IdentityValue`] for any other type, for control characters,
    /// and for a space at either end, which would be lost on the way.
    pub fn header_value(&self, claim: &str) -> Result<Option<String>, AuthError> {
        match self.claim(claim) {
            None => Ok(None),
            Some(Value::Number(number)) => Ok(Some(number.to_string())),
            Some(Value::String(text))
                if !text.contains(char::is_control) && text.trim() == text =>
            {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(AuthError::IdentityValue),
        }
    }
}

/// The identity headers that upstream gets, lower-case name and value; none for
/// claims that are missing.
///
/// # Errors
/// As [`Identity::header_value`].
pub fn identity_headers(
    rules: &AuthRules,
    identity: &Identity,
) -> Result<Vec<(String, Vec<u8>)>, AuthError> {
    let mut headers = Vec::with_capacity(rules.identity_headers.len());
    for header in &rules.identity_headers {
        if let Some(value) = identity.header_value(&header.claim)? {
            headers.push((header.name.clone(), value.into_bytes()));
        }
    }
    Ok(headers)
}

/// Without the claims, which may be personal.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("user", &self.user)
            .field("kind", &self.kind)
            .field("key_id", &self.key_id)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn value(claim: Value) -> Result<Option<String>, AuthError> {
        let mut claims = Map::new();
        claims.insert("c".to_owned(), claim);
        let identity = Identity {
            user: None,
            kind: CredentialKind::Jwt,
            key_id: String::new(),
            authenticated_at: Timestamp::default(),
            expires: None,
            claims: Rc::new(claims),
            proof: Proof::Session,
        };
        identity.header_value("c")
    }

    #[test]
    fn strings_and_numbers_can_stand_in_a_header() {
        assert_eq!(value(json!("a b, c")), Ok(Some("a b, c".to_owned())));
        assert_eq!(value(json!("Zoë")), Ok(Some("Zoë".to_owned())));
        assert_eq!(value(json!(42)), Ok(Some("42".to_owned())));
        assert_eq!(value(json!(-1.5)), Ok(Some("-1.5".to_owned())));
        assert_eq!(value(json!("")), Ok(Some(String::new())));
        assert_eq!(value(json!(null)), Ok(None));
    }

    #[test]
    fn nothing_else_can() {
        for claim in [
            json!("a\r\nx-admin: 1"),
            json!("a\0"),
            json!("a\u{7f}"),
            json!("a\u{85}"),
            json!("\t"),
            json!(" admin"),
            json!("admin "),
            json!(true),
            json!(["a"]),
            json!({"a": 1}),
        ] {
            assert_eq!(value(claim.clone()), Err(AuthError::IdentityValue), "{claim}");
        }
    }
}
