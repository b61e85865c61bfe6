//! What the messages of an open connection ask for.

use super::shape::each_asked;
use super::{Asking, Grant, Named, claimed};
use crate::auth::AuthRules;
use crate::auth::attempt::Desk;
use crate::auth::error::AuthError;
use crate::auth::identity::Identity;

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
/// [`AuthError::NotAsked`] and [`AuthError::UnreadMessage`], whoever it is.
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

#[cfg(test)]
mod tests;
