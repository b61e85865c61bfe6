//! The credential that a client presents in its opening handshake.

use super::error::AuthError;
use super::{AuthRules, CredentialSource, MAX_CREDENTIAL_BYTES, cookie, query};
use crate::handshake::RequestHead;
use std::fmt;

/// What the listed places of one opening handshake hold, or a first message, read
/// once and before anything of it is verified.
pub struct Presented {
    credential: Result<Vec<u8>, AuthError>,
    marker: Option<String>,
    offer_left: Vec<String>,
    offer_forwarded: Vec<String>,
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
        let credential = rules
            .sources
            .iter()
            .find_map(|source| look(source, head, query, offer))
            .unwrap_or(Err(AuthError::Missing));
        let is_credential = positions_of_credentials(rules, offer);
        let part = |taken: bool| -> Vec<String> {
            let entries = offer.iter().zip(&is_credential);
            entries.filter(|(_, is)| **is == taken).map(|(entry, _)| entry.clone()).collect()
        };
        Self {
            credential,
            marker: offer.iter().find(|entry| is_marker(rules, entry)).cloned(),
            offer_left: part(false),
            offer_forwarded: if rules.forward { part(true) } else { Vec::new() },
        }
    }

    /// What the first message of an open connection carries.
    #[must_use]
    pub fn of_message(credential: Vec<u8>) -> Self {
        Self {
            credential: bounded(&credential).and_then(filled),
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

    /// The marker that the client offered, whichever place decided: a browser
    /// fails the connection when the answer picks none of its subprotocols, so
    /// the `101` names this one where upstream picks none.
    #[must_use]
    pub fn subprotocol_marker(&self) -> Option<&str> {
        self.marker.as_deref()
    }

    /// The credential that decides, never empty.
    pub(super) fn credential(&self) -> Result<&[u8], AuthError> {
        self.credential.as_deref().map_err(|error| *error)
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
) -> Option<Result<Vec<u8>, AuthError>> {
    match source {
        CredentialSource::Header(name) => {
            single(head.headers.all(name)).map(|value| match name.as_str() {
                "authorization" => bearer(value?),
                _ => plain(value?),
            })
        }
        CredentialSource::Query(name) => single(query::values(query, name))
            .map(|value| bounded(value?).and_then(|value| filled(&query::decode(value)))),
        CredentialSource::Cookie(name) => single(cookie::values(head.headers.all("cookie"), name))
            .map(|value| bounded(value?).and_then(filled)),
        CredentialSource::Subprotocol(marker) => {
            let markers = offer.iter().enumerate().filter(|(_, entry)| *entry == marker);
            single(markers).map(|place| {
                let token = offer.get(place?.0.saturating_add(1));
                filled(bounded(token.ok_or(AuthError::NothingBehindMarker)?.as_bytes())?)
            })
        }
    }
}

/// The only one of these; `None` when there is none.
fn single<T>(mut values: impl Iterator<Item = T>) -> Option<Result<T, AuthError>> {
    let first = values.next()?;
    Some(if values.next().is_some() { Err(AuthError::Twice) } else { Ok(first) })
}

fn bounded(value: &[u8]) -> Result<&[u8], AuthError> {
    if value.len() > MAX_CREDENTIAL_BYTES { Err(AuthError::TooLong) } else { Ok(value) }
}

fn filled(value: &[u8]) -> Result<Vec<u8>, AuthError> {
    if value.is_empty() { Err(AuthError::Empty) } else { Ok(value.to_vec()) }
}

/// A header's value. Proxies join repeated lines with a comma (RFC 9110 §5.3),
/// so a comma means two.
fn plain(value: &[u8]) -> Result<Vec<u8>, AuthError> {
    let value = bounded(value.trim_ascii())?;
    if value.contains(&b',') {
        return Err(AuthError::Twice);
    }
    filled(value)
}

/// `Bearer <token>` (RFC 6750 §2.1); the scheme is case-insensitive (RFC 9110
/// §11.1). The token may hold any visible ASCII, as API keys do, but no comma.
fn bearer(value: &[u8]) -> Result<Vec<u8>, AuthError> {
    let value = value.trim_ascii();
    let (scheme, rest) = value.split_at_checked(6).ok_or(AuthError::NotBearer)?;
    if !scheme.eq_ignore_ascii_case(b"bearer") || rest.first() != Some(&b' ') {
        return Err(AuthError::NotBearer);
    }
    let token = plain(rest)?;
    if token.iter().all(u8::is_ascii_graphic) { Ok(token) } else { Err(AuthError::NotBearer) }
}

fn is_marker(rules: &AuthRules, entry: &str) -> bool {
    rules
        .sources
        .iter()
        .any(|source| matches!(source, CredentialSource::Subprotocol(marker) if marker == entry))
}

/// For each entry of the offer, whether it is a marker or stands behind one.
/// An entry behind a marker counts even when it is a marker itself: better one
/// subprotocol too few upstream than a token in it.
fn positions_of_credentials(rules: &AuthRules, offer: &[String]) -> Vec<bool> {
    let mut behind_marker = false;
    offer
        .iter()
        .map(|entry| {
            let marker = is_marker(rules, entry);
            marker | std::mem::replace(&mut behind_marker, marker)
        })
        .collect()
}
