//! The credential that a client presents in its opening handshake.

use super::error::AuthError;
use super::offer::{self, positions_of_credentials};
use super::{AuthRules, CredentialSource, MAX_CREDENTIAL_BYTES, cookie, query};
use crate::handshake::RequestHead;
use std::fmt;

/// What the listed places of one opening handshake hold, or a first message, read
/// once and before anything of it is verified.
pub struct Presented {
    credential: Result<Credential, AuthError>,
    in_cookie: bool,
    marker: Option<String>,
    offer_left: Vec<String>,
    offer_forwarded: Vec<String>,
}

/// A credential, nothing of it verified; never empty.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Credential {
    /// A token, an API key or what the session service knows.
    Token(Vec<u8>),
    /// The API key of this id (Basic).
    ApiKey {
        /// Its id.
        id: Vec<u8>,
        /// The key.
        key: Vec<u8>,
    },
}

impl Presented {
    /// Looks through the places in their order. The first that is there at all
    /// decides, good or bad; a place that holds two is refused, and so is a
    /// credential of more than [`MAX_CREDENTIAL_BYTES`], unread.
    ///
    /// `query` is what follows the `?`; `offer` are the entries of
    /// `Sec-WebSocket-Protocol`.
    #[must_use]
    pub fn collect(
        rules: &AuthRules,
        head: &RequestHead,
        query: Option<&[u8]>,
        offer: &[String],
    ) -> Self {
        let query = query.unwrap_or_default();
        let mut places = rules.sources.iter();
        let found = places.find_map(|source| Some((source, look(source, head, query, offer)?)));
        let in_cookie = matches!(found, Some((CredentialSource::Cookie(_), _)));
        let is_credential = positions_of_credentials(rules, offer);
        let part = |taken: bool| -> Vec<String> {
            let entries = offer.iter().zip(&is_credential);
            entries.filter(|(_, is)| **is == taken).map(|(entry, _)| entry.clone()).collect()
        };
        Self {
            credential: found.map_or(Err(AuthError::Missing), |(_, credential)| credential),
            in_cookie,
            marker: offer.iter().find(|entry| offer::is_marker(rules, entry)).cloned(),
            offer_left: part(false),
            offer_forwarded: if rules.forward { part(true) } else { Vec::new() },
        }
    }

    /// What the first message of an open connection carries.
    #[must_use]
    pub fn of_message(credential: Vec<u8>) -> Self {
        Self {
            credential: bounded(&credential).and_then(filled).map(Credential::Token),
            in_cookie: false,
            marker: None,
            offer_left: Vec::new(),
            offer_forwarded: Vec::new(),
        }
    }

    /// Whether no listed place of the handshake holds a credential, good or bad.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self.credential, Err(AuthError::Missing))
    }

    /// Returns true if the deciding credential came in a cookie. A page of a sibling
    /// subdomain can set a cookie for its visitors, so a bad one is never a strike.
    #[must_use]
    pub const fn is_in_cookie(&self) -> bool {
        self.in_cookie
    }

    /// The offered subprotocols without markers and tokens of any listed
    /// place: what the allow-list is about.
    #[must_use]
    pub fn offer_left(&self) -> &[String] {
        &self.offer_left
    }

    /// With `forward`, the markers and tokens that go to upstream behind what
    /// the allow-list left; otherwise empty.
    #[must_use]
    pub fn offer_forwarded(&self) -> &[String] {
        &self.offer_forwarded
    }

    /// The marker that the client offered, as it wrote it, whichever place decided: a browser
    /// fails the connection when the answer picks none of its subprotocols, so
    /// the `101` names this one where upstream picks none. An entry with a prefix is never
    /// named, since it holds the token.
    #[must_use]
    pub fn subprotocol_marker(&self) -> Option<&str> {
        self.marker.as_deref()
    }

    /// The credential that decides.
    pub(super) fn credential(&self) -> Result<&Credential, AuthError> {
        self.credential.as_ref().map_err(|error| *error)
    }
}

/// Without the credential, which must not reach any log.
impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let credential = self.credential.as_ref().map(|_| "…");
        f.debug_struct("Presented")
            .field("credential", &credential)
            .field("marker", &self.marker)
            .finish_non_exhaustive()
    }
}

/// What one place holds; `None` when it is not there.
fn look(
    source: &CredentialSource,
    head: &RequestHead,
    query: &[u8],
    offer: &[String],
) -> Option<Result<Credential, AuthError>> {
    let token = |value: Result<Vec<u8>, AuthError>| value.map(Credential::Token);
    match source {
        CredentialSource::Header(name) => {
            single(head.headers.all(name)).map(|value| token(value.and_then(plain)))
        }
        CredentialSource::Authorization(scheme) => {
            match single(head.headers.all("authorization"))? {
                Ok(value) => scheme.read(value),
                Err(error) => Some(Err(error)),
            }
        }
        CredentialSource::Query(name) => single(query::values(query, name))
            .map(|value| token(bounded(value?).and_then(|value| filled(&query::decode(value))))),
        CredentialSource::Cookie(name) => single(cookie::values(head.headers.all("cookie"), name))
            .map(|value| token(bounded(value?).and_then(filled))),
        CredentialSource::Subprotocol(marker) => offer::behind_marker(offer, marker),
        CredentialSource::SubprotocolPrefix { prefix, encoding } => {
            offer::behind_prefix(offer, prefix, *encoding)
        }
    }
}

/// The only one of these; `None` when there is none.
pub(super) fn single<T>(mut values: impl Iterator<Item = T>) -> Option<Result<T, AuthError>> {
    let first = values.next()?;
    Some(if values.next().is_some() { Err(AuthError::Twice) } else { Ok(first) })
}

pub(super) fn bounded(value: &[u8]) -> Result<&[u8], AuthError> {
    if value.len() > MAX_CREDENTIAL_BYTES { Err(AuthError::TooLong) } else { Ok(value) }
}

pub(super) fn filled(value: &[u8]) -> Result<Vec<u8>, AuthError> {
    if value.is_empty() { Err(AuthError::Empty) } else { Ok(value.to_vec()) }
}

/// A header's value. Proxies join repeated lines with a comma (RFC 9110 §5.3),
/// so a comma means two.
pub(super) fn plain(value: &[u8]) -> Result<Vec<u8>, AuthError> {
    let value = bounded(value.trim_ascii())?;
    if value.contains(&b',') {
        return Err(AuthError::Twice);
    }
    filled(value)
}
