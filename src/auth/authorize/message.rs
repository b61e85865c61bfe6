//! What the messages of an open connection ask for.

use super::{Asking, AuthorizeRule, Grant, Named, claimed, fit, text};
use crate::auth::AuthRules;
use crate::auth::attempt::Desk;
use crate::auth::error::AuthError;
use crate::auth::first_message::{Form, When, socketio_payload};
use crate::auth::identity::Identity;
use crate::auth::pointer::{Found, Outline, Pointer};
use serde_json::Value;

/// What a message asks for: the place of the rule that it falls under, and the
/// value that has to be granted.
pub type Asked = (usize, String);

/// Holds a message of a verified client, text or binary, against the rules with
/// `from: {message: …}`; of Socket.IO's packets, their payload. To be called
/// before any of it goes on. What is left is what services have to be asked
/// about, by an [`Inquiry`](super::Inquiry).
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
/// [`AuthError::NotAsked`], whoever it is.
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
        self.authorize.iter().any(|rule| asks_in_message(rule).is_some())
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

fn asks_in_message(rule: &AuthorizeRule) -> Option<(&Pointer, &When)> {
    match &rule.from {
        Asking::Message { pointer, when } => Some((pointer, when)),
        Asking::Query(_) | Asking::Header(_) | Asking::Path(_) => None,
    }
}

/// Hands over what a message asks for, in the order of the rules.
fn each_asked(
    rules: &AuthRules,
    message: &[u8],
    mut each: impl FnMut(Asked) -> Result<(), AuthError>,
) -> Result<(), AuthError> {
    if !rules.asks_in_messages() {
        return Ok(());
    }
    let socketio = rules.first_message.as_ref().is_some_and(|first| first.form == Form::SocketIo);
    let body = if socketio { socketio_payload(message) } else { message };
    let asking = rules.authorize.iter().filter_map(asks_in_message);
    let pointers = asking.flat_map(|(pointer, when)| when.pointers().chain([pointer]));
    let Some(outline) = Outline::of(body, pointers) else {
        let opens = memchr::memchr2(b'{', b'[', message).is_some();
        return if opens { Err(AuthError::NotAsked) } else { Ok(()) };
    };
    for (place, rule) in rules.authorize.iter().enumerate() {
        let Some((pointer, when)) = asks_in_message(rule) else { continue };
        if let Some(value) = read(pointer, when, &outline)? {
            each((place, value))?;
        }
    }
    Ok(())
}

/// The value that a message asks for, if it is one that asks.
fn read(
    pointer: &Pointer,
    when: &When,
    outline: &Outline<'_, '_>,
) -> Result<Option<String>, AuthError> {
    match when.is_met_by(outline) {
        Some(true) => {}
        Some(false) => return Ok(None),
        None => return Err(AuthError::NotAsked),
    }
    let value = match outline.find(pointer) {
        Found::One(value) => value,
        Found::Nothing if when.0.is_empty() => return Ok(None),
        Found::Nothing | Found::Ambiguous => return Err(AuthError::NotAsked),
    };
    // Lists and objects are no values; don't build them.
    let plain = !value.get().starts_with(['{', '[']);
    let value: Option<Value> = serde_json::from_str(value.get()).ok().filter(|_| plain);
    value.as_ref().and_then(text).ok_or(AuthError::NotAsked).and_then(fit).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::first_message::FirstMessageRules;
    use crate::auth::tests::{NOW, NoHost, Worker, at, present, token};
    use serde_json::json;
    use std::time::Duration;

    fn rules(pointer: &str, when: &[(&str, Value)]) -> AuthRules {
        let pointer = Pointer::parse(pointer).unwrap();
        let when = when.iter().map(|(p, v)| (Pointer::parse(p).unwrap(), v.clone())).collect();
        let from = Asking::Message { pointer, when: When(when) };
        let grant = Grant::Claim("rooms".to_owned());
        let authorize = vec![AuthorizeRule { from, grant }];
        AuthRules { authorize, ..crate::auth::tests::rules(vec![crate::auth::tests::issuer()]) }
    }

    fn alice() -> Identity {
        let token = token(json!({"rooms": ["a", "b", 7]}));
        let rules = crate::auth::tests::rules(vec![crate::auth::tests::issuer()]);
        present(&rules, &token, at(NOW), &NoHost).unwrap()
    }

    /// Without a service to ask.
    fn check(rules: &AuthRules, identity: &Identity, message: &[u8]) -> Result<(), AuthError> {
        let worker = Worker::of(rules);
        let left = check_message(rules, identity, message, worker.desk(&NoHost))?;
        assert!(left.is_empty());
        Ok(())
    }

    const NOT_GRANTED: Result<(), AuthError> = Err(AuthError::NotGranted);
    const NOT_ASKED: Result<(), AuthError> = Err(AuthError::NotAsked);

    #[test]
    fn a_message_asks_only_for_what_the_claim_holds() {
        let (rules, alice) = (rules("/room", &[("/type", "join".into())]), alice());
        for (message, verdict) in [
            (r#"{"type":"join","room":"a"}"#, Ok(())),
            (r#"{"type":"join","room":7}"#, Ok(())),
            (r#"{"room":"\u0061","type":"\u006aoin"}"#, Ok(())),
            (r#"{"type":"join","room":"c"}"#, NOT_GRANTED),
            (r#"{"type":"join","room":"A"}"#, NOT_GRANTED),
            (r#"{"type":"join","room":7.0}"#, NOT_GRANTED),
            (r#"{"type":"say","room":"c"}"#, Ok(())),
            (r#"{"type":"join"}"#, NOT_ASKED),
            (r#"{"type":"join","room":["a"]}"#, NOT_ASKED),
            (r#"{"type":"join","room":null}"#, NOT_ASKED),
            (r#"{"type":"join","room":""}"#, NOT_ASKED),
            (r#"{"type":"join","room":"a","room":"c"}"#, NOT_ASKED),
            (r#"{"type":"join","room":"a","Room":"c"}"#, NOT_ASKED),
            (r#"{"type":"say","type":"join","room":"c"}"#, NOT_ASKED),
            (r#"{"Type":"join","room":"c"}"#, NOT_ASKED),
            (r#"{"type":"join\ud800","room":"c"}"#, NOT_ASKED),
            (r#"{"type\u0000":"join","room":"c"}"#, NOT_ASKED),
            (r#"{"type":"join\u0000","room":"c"}"#, NOT_ASKED),
            (r#"{"type":"join","room":"a\u0000c"}"#, NOT_ASKED),
        ] {
            assert_eq!(check(&rules, &alice, message.as_bytes()), verdict, "{message}");
        }
    }

    #[test]
    fn a_number_means_the_same_however_it_is_written() {
        let (rules, alice) = (rules("/room", &[("/op", 100_007_919_003_i64.into())]), alice());
        for op in ["100007919003", "100007919003.00000000", "1000079190030000000e-7"] {
            let message = format!(r#"{{"op":{op},"room":"c"}}"#);
            assert_eq!(check(&rules, &alice, message.as_bytes()), NOT_GRANTED, "{op}");
        }
    }

    #[test]
    fn what_a_lenient_reader_may_take_for_json_is_refused() {
        let (rules, alice) = (rules("/room", &[]), alice());
        for (message, verdict) in [
            (&b"ping"[..], Ok(())),
            (b"", Ok(())),
            (b"\x00\x01\xff", Ok(())),
            (b"{\"room\":\"c\",}", NOT_ASKED),
            (b"\xef\xbb\xbf{\"room\":\"c\"}", NOT_ASKED),
            (b"// x\n{\"room\":\"c\"}", NOT_ASKED),
            (b"{\0\"\0r\0o\0o\0m\0", NOT_ASKED),
            (b"{\"room\":\"\xff\"}", NOT_ASKED),
            (b"{\"other\":1}", Ok(())),
            (b"{\"room\":\"c\"}", NOT_GRANTED),
        ] {
            assert_eq!(check(&rules, &alice, message), verdict, "{message:?}");
        }
    }

    /// Some readers leave out what is no UTF-8, or control characters, or evaluate
    /// what they are sent: what is no JSON need not hold a rule's words to say them.
    #[test]
    fn what_is_no_json_is_refused_whatever_words_it_holds() {
        let alice = alice();
        for message in [
            &b"{\"type\":\"jo\xffin\",\"room\":\"c\"}"[..],
            b"{\"type\":\"jo\x01in\",\"room\":\"c\"}",
            b"{\"type\":\"jo\"+\"in\",\"room\":\"c\"}",
            b"{\"type\":\"say\",\"Type\":\"go\"}",
            b"{\"x\":1,}",
        ] {
            let rules = rules("/room", &[("/type", "join".into())]);
            assert_eq!(check(&rules, &alice, message), NOT_ASKED, "{message:?}");
        }
    }

    #[test]
    fn without_such_rules_nothing_is_read() {
        let rules = crate::auth::tests::rules(vec![crate::auth::tests::issuer()]);
        assert_eq!(check(&rules, &alice(), b"{"), Ok(()));
    }

    #[test]
    fn of_socketio_the_payload_is_read() {
        let mut rules = rules("/1/room", &[("/0", "join".into())]);
        let (form, deadline) = (Form::SocketIo, Duration::ZERO);
        rules.first_message = Some(FirstMessageRules { form, deadline, forward: false });
        for (message, verdict) in [
            (r#"42["join",{"room":"a"}]"#, Ok(())),
            (r#"42["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42/chat,17["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"451-["join",{"room":"c","_":{"_placeholder":true,"num":0}}]"#, NOT_GRANTED),
            (r#"42["say",{"room":"c"}]"#, Ok(())),
            (r#"42/chat{x,["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42 ["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42x["join",{"room":"c"}]"#, NOT_ASKED),
            ("2", Ok(())),
            ("40", Ok(())),
            ("41/chat,", Ok(())),
        ] {
            assert_eq!(check(&rules, &alice(), message.as_bytes()), verdict, "{message}");
        }
    }
}
