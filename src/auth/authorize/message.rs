//! What the messages of an open connection ask for.

use super::shape::each_asked;
use super::{Asking, AuthorizeRule, Grant, Named, OtherMessages, claimed};
use crate::auth::AuthRules;
use crate::auth::attempt::Desk;
use crate::auth::error::AuthError;
use crate::auth::first_message::When;
use crate::auth::identity::Identity;
use crate::auth::pointer::{Pointer, document};
use serde_json::Value;

/// What a message asks for: the place of the rule that it falls under, and the
/// value that has to be granted.
pub type Asked = (usize, String);

/// Holds a message of a verified client, text or binary, against the rules with
/// `from: {message: …}`; of Socket.IO's packets, their payload. To be called
/// before any of it goes on. What is left is what services have to be asked
/// about, by an [`Inquiry`](super::Inquiry).
///
/// # Errors
/// [`AuthError::NotGranted`]: the client may not have what the message asks for.
/// [`AuthError::NotAsked`]: it does not say it so that all readers read the same.
/// [`AuthError::UnreadMessage`]: it has a form that no rule reads.
pub fn check_message(
    rules: &AuthRules,
    identity: &Identity,
    message: &[u8],
    desk: Desk<'_>,
) -> Result<Vec<Asked>, AuthError> {
    let mut left = Vec::new();
    each_asked(rules, message, |asked| {
        if !check_asked(rules, identity, &asked, desk)? {
            left.push(asked);
        }
        Ok(())
    })?;
    Ok(left)
}

/// What a message of a client asks for that has not been verified, to be held
/// against [`check_asked`] once it is known who that is.
///
/// # Errors
/// [`AuthError::NotAsked`] and [`AuthError::UnreadMessage`]: no client may send it.
pub fn asked_by(rules: &AuthRules, message: &[u8]) -> Result<Vec<Asked>, AuthError> {
    let mut all = Vec::new();
    each_asked(rules, message, |asked| {
        all.push(asked);
        Ok(())
    })?;
    Ok(all)
}

/// Holds what a message asked for against its rule; `false`: a service has to be
/// asked.
///
/// # Errors
/// [`AuthError::NotGranted`], and [`AuthError::NotAsked`] for what can't be asked
/// about.
pub fn check_asked(
    rules: &AuthRules,
    identity: &Identity,
    asked: &Asked,
    desk: Desk<'_>,
) -> Result<bool, AuthError> {
    let (grant, values) = rules.grant_of(asked)?;
    match grant {
        Grant::Claim(claim) => claimed(identity, claim, &values).map(|()| true),
        Grant::Callout(callout) => match callout.question(identity, &values)?.known(desk) {
            Some(known) => known.map(|()| true),
            None => Ok(false),
        },
    }
}

impl AuthRules {
    /// Whether messages have to be held against [`check_message`].
    #[must_use]
    pub fn asks_in_messages(&self) -> bool {
        self.authorize.iter().any(|rule| matches!(rule.from, Asking::Message { .. }))
    }

    /// What grants it, and its values by name.
    pub(super) fn grant_of(
        &self,
        (place, value): &Asked,
    ) -> Result<(&Grant, Named<'_>), AuthError> {
        let rule = self.authorize.get(*place).ok_or(AuthError::NotGranted)?;
        let named = |name| (name, value.clone());
        Ok((&rule.grant, rule.from.names().into_iter().map(named).collect()))
    }

    /// Whether a service has to be asked about this, whoever asks for it.
    #[must_use]
    pub fn is_for_a_service(&self, (place, _): &Asked) -> bool {
        let rule = self.authorize.get(*place);
        rule.is_some_and(|rule| matches!(rule.grant, Grant::Callout(_)))
    }
}

/// Fuzzer entry. Asserts that every room that `serde_json` finds in a message is either
/// asked for or refused with the message, and that a message that is neither an object
/// nor a list is refused, unless `other_messages` is `pass` and it holds no byte that
/// opens a JSON object, list or text.
pub fn fuzz_message(data: &[u8]) {
    let pointer = |text| Pointer::parse(text).unwrap_or_default();
    let when = When(vec![(pointer("/type"), "join".into())]);
    let from = Asking::Message { pointer: pointer("/room"), when };
    let rule = AuthorizeRule { from, grant: Grant::Claim("rooms".to_owned()) };
    let mut rules = AuthRules::default();
    rules.authorize.push(rule);
    let asked = asked_by(&rules, data);
    rules.other_messages = OtherMessages::Pass;
    let lenient = asked_by(&rules, data);
    let asks = |value: &Value| {
        let room = value.get("room").and_then(Value::as_str);
        room.filter(|_| value.get("type").is_some_and(|kind| kind == "join")).map(str::to_owned)
    };
    let opens = document(data).is_some_and(|json| json.get().starts_with(['{', '[']));
    if !opens {
        assert!(asked.is_err(), "neither an object nor a list");
        assert!(lenient.is_err() || !data.iter().any(|b| b"{[\"\x1e".contains(b)));
        return;
    }
    let entries = match serde_json::from_slice(data) {
        Ok(Value::Array(list)) => list,
        Ok(object) => vec![object],
        // Half a character, or a number beyond what a double holds.
        Err(_) => return,
    };
    assert_eq!(asked, lenient);
    let Ok(asked) = asked else { return };
    assert!(entries.iter().all(Value::is_object), "an entry that no rule reads");
    for room in entries.iter().filter_map(asks) {
        assert!(asked.contains(&(0, room)), "is not asked for");
    }
}

#[cfg(test)]
mod tests;
