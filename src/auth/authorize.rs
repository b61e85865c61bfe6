//! Whether a credential reaches to what is asked for: `auth.authorize`.

use super::attempt::Desk;
use super::error::AuthError;
use super::first_message::When;
use super::identity::Identity;
use super::pointer::Pointer;
use super::strip::same_name;
use super::{jwt, query};
use crate::handshake::RequestHead;
use crate::host::{CallAnswer, CallId};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::time::Duration;

mod inquiry;
mod message;
mod shape;
pub mod template;

pub use inquiry::Inquiry;
pub use message::{Asked as AskedFor, asked_by, check_asked, check_message, fuzz_message};

use template::PathTemplate;

/// Longest value that is asked about, in bytes.
const MAX_VALUE_BYTES: usize = 1024;

/// One entry of `auth.authorize`: what is asked for must be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizeRule {
    /// Where it says what is asked for.
    pub from: Asking,
    /// What grants it.
    pub grant: Grant,
}

/// `from`: where it is said what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asking {
    /// A parameter of the query.
    Query(String),
    /// A header, its name in lower case.
    Header(String),
    /// Segments of the path.
    Path(PathTemplate),
    /// A message of the open connection. Of what the handshake asks for only where
    /// it carries the credential.
    Message {
        /// Where it says so.
        pointer: Pointer,
        /// Which messages are meant; those that say so at all where this is empty.
        when: When,
    },
}

/// `other_messages`: what becomes of messages in which no rule with `from.message`
/// can read anything, since they are neither objects nor lists.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OtherMessages {
    /// They are refused.
    #[default]
    Reject,
    /// Those pass in which no reader could find JSON with something in it.
    Pass,
}

/// What grants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Grant {
    /// The claim holds the value.
    Claim(String),
    /// A service says yes.
    Callout(Callout),
}

/// `callout`: a service that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callout {
    /// The cluster that it is reached by.
    pub cluster: String,
    /// Its host.
    pub host: String,
    /// The path to ask for; its variables are `from`'s, and `sub`.
    pub path: PathTemplate,
    /// How long its answer may take.
    pub timeout: Duration,
    /// How long an answer is good; `None`: it is asked every time.
    pub cache: Option<Duration>,
}

/// What is asked for, by the names that a callout's path has for it.
type Named<'a> = Vec<(&'a str, String)>;

/// What a client asks for before it is let in.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The request's head.
    pub head: &'a RequestHead,
    /// Its path in normal form.
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a [u8]>,
    /// What the first message asks for, where that carries the credential.
    pub said: &'a [AskedFor],
}

/// How far the rules have been followed.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    /// Place of the rule whose turn it is.
    rule: usize,
    inquiry: Inquiry,
}

impl Authorization {
    pub(super) fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        self.inquiry.on_answer(id, answer)
    }

    /// Whether an answer that may still come is waited for.
    pub(super) fn is_waiting(&self, now: Duration) -> bool {
        self.inquiry.is_waiting(now)
    }

    /// Follows the rules as far as that can be done now; `false`: it waits.
    pub(super) fn advance(
        &mut self,
        rules: &[AuthorizeRule],
        identity: &Identity,
        wish: Wish<'_>,
        desk: Desk<'_>,
    ) -> Result<bool, AuthError> {
        while let Some(rule) = rules.get(self.rule) {
            if let Some(values) = rule.from.values(wish, self.rule)?
                && !self.inquiry.follow(&rule.grant, identity, &values, desk)?
            {
                return Ok(false);
            }
            self.rule += 1;
        }
        Ok(true)
    }
}

impl Asking {
    /// The names that a callout's path can use.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Query(name) | Self::Header(name) => vec![name],
            Self::Path(template) => template.names(),
            Self::Message { pointer, .. } => vec![pointer.last()],
        }
    }

    /// The parameter of the query that says so, if one does.
    pub(super) fn parameter(&self) -> Option<&str> {
        match self {
            Self::Query(name) => Some(name),
            _ => None,
        }
    }

    /// What is asked for by the rule of this `place`, by name; once each, and
    /// never nothing. `None`: only messages are meant, and none has been sent.
    fn values<'a>(&'a self, wish: Wish<'_>, place: usize) -> Result<Option<Named<'a>>, AuthError> {
        let read = |value| String::from_utf8(value).map_err(|_| AuthError::NotAsked).and_then(fit);
        Ok(Some(match self {
            Self::Query(name) => {
                let value = query::sole_value(wish.query.unwrap_or_default(), name);
                vec![(name, read(value.ok_or(AuthError::NotAsked)?)?)]
            }
            Self::Header(name) => {
                // `x_room`, `x.room` too: many an upstream takes them for `x-room`.
                let mut same = wish.head.headers.iter().filter(|(sent, _)| same_name(sent, name));
                let (Some((sent, line)), None) = (same.next(), same.next()) else {
                    return Err(AuthError::NotAsked);
                };
                if sent != name {
                    return Err(AuthError::NotAsked);
                }
                vec![(name, read(line.trim_ascii().to_vec())?)]
            }
            Self::Path(template) => {
                let segments = template.capture(wish.path).ok_or(AuthError::NotAsked)?;
                let decode = |(name, segment): (&'a str, &str)| {
                    Ok((name, read(percent_decode_str(segment).collect())?))
                };
                segments.into_iter().map(decode).collect::<Result<_, _>>()?
            }
            Self::Message { pointer, .. } => {
                let said = wish.said.iter().find(|(said, _)| *said == place);
                return Ok(said.map(|(_, value)| vec![(pointer.last(), value.clone())]));
            }
        }))
    }
}

/// What can be asked for.
fn fit(value: String) -> Result<String, AuthError> {
    let good =
        !value.is_empty() && value.len() <= MAX_VALUE_BYTES && !value.contains(char::is_control);
    if good { Ok(value) } else { Err(AuthError::NotAsked) }
}

/// A claim that can stand for somebody or something.
fn text(claim: &Value) -> Option<String> {
    match claim {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether the claim holds all of the values.
fn claimed(identity: &Identity, claim: &str, values: &[(&str, String)]) -> Result<(), AuthError> {
    let granted = identity.claim(claim).ok_or(AuthError::NotGranted)?;
    let all = values.iter().all(|(_, value)| holds(granted, value));
    if all { Ok(()) } else { Err(AuthError::NotGranted) }
}

/// Whether a claim is this value, a list with it, or names it among others that
/// spaces separate. Numbers are compared as they are written.
fn holds(claim: &Value, value: &str) -> bool {
    match claim {
        Value::Number(number) => number.to_string() == value,
        Value::Array(list) => list.iter().any(|entry| text(entry).as_deref() == Some(value)),
        Value::String(text) => jwt::names(text, value),
        _ => false,
    }
}
