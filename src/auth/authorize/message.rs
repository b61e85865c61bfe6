//! What the messages of an open connection ask for.

use super::{Asking, AuthorizeRule, Grant, fit, holds, text};
use crate::auth::AuthRules;
use crate::auth::error::AuthError;
use crate::auth::first_message::{Form, socketio_payload};
use crate::auth::identity::Identity;
use crate::auth::pointer::{Found, document};
use serde_json::Value;
use serde_json::value::RawValue;

/// Holds a message of a verified client, text or binary, against the rules with
/// `from: {message: …}`; of Socket.IO's packets, their payload. To be called
/// before any of it goes on.
///
/// What is no JSON can say nothing to a reader of JSON, and passes, unless it
/// holds a bracket or brace: a lenient reader might find an object in it that we
/// don't.
///
/// # Errors
/// [`AuthError::NotGranted`]: the client may not have what the message asks for.
/// [`AuthError::NotAsked`]: it does not say it so that all readers read the same.
pub fn check_message(
    rules: &AuthRules,
    identity: &Identity,
    message: &[u8],
) -> Result<(), AuthError> {
    let mut asking = rules.authorize.iter().filter_map(asks_in_message).peekable();
    if asking.peek().is_none() {
        return Ok(());
    }
    let socketio = rules.first_message.as_ref().is_some_and(|first| first.form == Form::SocketIo);
    let body = if socketio { socketio_payload(message) } else { message };
    let Some(document) = document(body) else {
        let opens = memchr::memchr2(b'{', b'[', message).is_some();
        return if opens { Err(AuthError::NotAsked) } else { Ok(()) };
    };
    asking.try_for_each(|(rule, grant)| follow(rule, grant, identity, document))
}

impl AuthRules {
    /// Whether messages have to be held against [`check_message`].
    #[must_use]
    pub fn asks_in_messages(&self) -> bool {
        self.authorize.iter().any(|rule| asks_in_message(rule).is_some())
    }
}

fn asks_in_message(rule: &AuthorizeRule) -> Option<(&Asking, &Grant)> {
    matches!(rule.from, Asking::Message { .. }).then_some((&rule.from, &rule.grant))
}

fn follow(
    from: &Asking,
    grant: &Grant,
    identity: &Identity,
    document: &RawValue,
) -> Result<(), AuthError> {
    let Asking::Message { pointer, when } = from else { return Ok(()) };
    match when.is_met_by(document) {
        Some(true) => {}
        Some(false) => return Ok(()),
        None => return Err(AuthError::NotAsked),
    }
    let value = match pointer.find(document) {
        Found::One(value) => value,
        Found::Nothing if when.0.is_empty() => return Ok(()),
        Found::Nothing | Found::Ambiguous => return Err(AuthError::NotAsked),
    };
    // Lists and objects are no values; don't build them.
    let plain = !value.get().starts_with(['{', '[']);
    let value: Option<Value> = serde_json::from_str(value.get()).ok().filter(|_| plain);
    let value = value.as_ref().and_then(text).ok_or(AuthError::NotAsked).and_then(fit)?;
    let granted = match grant {
        Grant::Claim(claim) => identity.claim(claim).is_some_and(|claim| holds(claim, &value)),
        // The configuration does not allow it here.
        Grant::Callout(_) => false,
    };
    if granted { Ok(()) } else { Err(AuthError::NotGranted) }
}
