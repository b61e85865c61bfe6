//! The credential in `connection_init`, the first message of graphql-transport-ws and
//! subscriptions-transport-ws.

use super::{Forwarding, Reading, credential, holds_word, may_hold};
use crate::auth::error::AuthError;
use crate::auth::pointer::{self, Case, Equality, Found, document};

/// Members in which clients send their token; names are compared without letter case.
const PLACES: [&[&str]; 5] = [
    &["payload", "authorization"],
    &["payload", "token"],
    &["payload", "authToken"],
    &["payload", "accessToken"],
    &["payload", "headers", "authorization"],
];

/// The type of GraphQL's first message, in both protocols.
const INIT: &str = "connection_init";

/// Reads the credential of a `connection_init`. With `forward` it stays in the message.
pub(super) fn read(message: &[u8], forward: bool) -> Reading {
    let Some(document) = document(message) else { return Reading::Other };
    match pointer::find(document, &["type"], Case::Exact).is(&INIT.into()) {
        Equality::Equal => {}
        Equality::Other | Equality::Default => return Reading::Other,
        Equality::OtherKind | Equality::Unclear => {
            return Reading::Malformed(AuthError::MessageForm);
        }
    }
    let mut found = None;
    for place in PLACES {
        match pointer::find(document, place, Case::Any) {
            Found::Nothing | Found::OtherKind => {}
            Found::One(value) if value.get() == "null" => {}
            Found::One(_) if found.is_some() => {
                return Reading::Malformed(AuthError::MessageForm);
            }
            Found::One(value) => found = Some(value),
            Found::Ambiguous => return Reading::Malformed(AuthError::MessageForm),
        }
    }
    let Some(value) = found else { return Reading::Malformed(AuthError::MessageMissing) };
    credential(value, || match cut_out(message) {
        Some(instead) if !forward => Forwarding::Instead(instead),
        _ => Forwarding::AsItIs,
    })
}

/// Returns `connection_init` without any token, or without its payload if it can't be
/// parsed; `None` if the message goes on unchanged.
pub(super) fn cut_out(message: &[u8]) -> Option<Vec<u8>> {
    if !may_hold(message, INIT) {
        return None;
    }
    let Some(whole) = document(message) else {
        let claims = holds_word(message, INIT);
        return claims.then(|| br#"{"type":"connection_init"}"#.to_vec());
    };
    let is_init = pointer::find(whole, &["type"], Case::Exact).is(&INIT.into());
    if matches!(is_init, Equality::Other | Equality::Default) {
        return None;
    }
    let mut left: Option<String> = None;
    for place in PLACES {
        let current = left.as_deref().map_or(message, str::as_bytes);
        if let Some(shorter) = document(current).and_then(|value| pointer::without(value, place)) {
            left = Some(shorter);
        }
    }
    left.map(String::into_bytes)
}
