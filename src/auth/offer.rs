//! Credentials among the offered subprotocols: behind a marker, or behind a prefix.

use super::error::AuthError;
use super::presented::{Credential, bounded, filled, single};
use super::{AuthRules, CredentialSource, Encoding};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

/// Returns the entry behind the marker, which is compared without letter case; `None` if
/// the offer has no marker.
pub(super) fn behind_marker(
    offer: &[String],
    marker: &str,
) -> Option<Result<Credential, AuthError>> {
    let markers = offer.iter().enumerate().filter(|(_, entry)| entry.eq_ignore_ascii_case(marker));
    single(markers).map(|place| {
        let token = offer.get(place?.0.saturating_add(1)).ok_or(AuthError::NothingBehindMarker)?;
        filled(bounded(token.as_bytes())?).map(Credential::Token)
    })
}

/// Returns the rest of the entry that begins with the prefix, which is compared without
/// letter case; `None` if no entry does.
pub(super) fn behind_prefix(
    offer: &[String],
    prefix: &str,
    encoding: Encoding,
) -> Option<Result<Credential, AuthError>> {
    single(offer.iter().filter_map(|entry| without_prefix(entry, prefix))).map(|token| {
        let token = bounded(token?.as_bytes())?;
        if token.is_empty() {
            return Err(AuthError::NothingBehindMarker);
        }
        filled(&match encoding {
            Encoding::AsItIs => token.to_vec(),
            // Without padding: no subprotocol can hold a `=` (RFC 6455 §4.1).
            Encoding::Base64Url => {
                BASE64_URL_SAFE_NO_PAD.decode(token).map_err(|_| AuthError::NotBase64Url)?
            }
        })
        .map(Credential::Token)
    })
}

fn without_prefix<'a>(entry: &'a str, prefix: &str) -> Option<&'a str> {
    let (begin, rest) = entry.split_at_checked(prefix.len())?;
    begin.eq_ignore_ascii_case(prefix).then_some(rest)
}

pub(super) fn is_marker(rules: &AuthRules, entry: &str) -> bool {
    rules.sources.iter().any(|source| {
        matches!(source, CredentialSource::Subprotocol(marker) if entry.eq_ignore_ascii_case(marker))
    })
}

fn has_prefix(rules: &AuthRules, entry: &str) -> bool {
    rules.sources.iter().any(|source| {
        matches!(source, CredentialSource::SubprotocolPrefix { prefix, .. }
            if without_prefix(entry, prefix).is_some())
    })
}

/// For each entry of the offer, whether it is a marker, stands behind one, or holds a token
/// behind a prefix. An entry behind a marker counts even when it is a marker itself: better
/// one subprotocol too few upstream than a token in it.
pub(super) fn positions_of_credentials(rules: &AuthRules, offer: &[String]) -> Vec<bool> {
    let mut behind_marker = false;
    offer
        .iter()
        .map(|entry| {
            let marker = is_marker(rules, entry);
            let behind = std::mem::replace(&mut behind_marker, marker);
            marker || behind || has_prefix(rules, entry)
        })
        .collect()
}

/// The entry of the offer that our own 101 can name, so that a browser takes the handshake
/// for complete: the marker of a credential or one that is `allowed`, before whatever else
/// was offered. Never one that holds a token.
#[must_use]
pub fn nameable<'a>(
    rules: Option<&AuthRules>,
    allowed: Option<&[String]>,
    offer: &'a [String],
) -> Option<&'a str> {
    let is_credential = rules.map(|rules| positions_of_credentials(rules, offer));
    let credentials = is_credential.into_iter().flatten().chain(std::iter::repeat(false));
    let is_marker = |entry: &str| rules.is_some_and(|rules| is_marker(rules, entry));
    let left = || offer.iter().zip(credentials.clone()).filter(|(_, is)| !is).map(|(e, _)| e);
    let is_allowed = |entry: &&String| allowed.is_some_and(|allowed| allowed.contains(entry));
    let known = offer.iter().find(|entry| is_marker(entry)).or_else(|| left().find(is_allowed));
    known.or_else(|| left().next()).map(String::as_str)
}
