//! Whether a credential reaches to what is asked for: `auth.authorize`.

use super::ask::{Asked, MAX_NO};
use super::attempt::Desk;
use super::error::AuthError;
use super::first_message::When;
use super::identity::Identity;
use super::pointer::Pointer;
use super::strip::same_name;
use super::{jwt, query};
use crate::handshake::RequestHead;
use crate::host::{Call, CallAnswer, CallId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::time::Duration;

mod message;
pub mod template;

pub use message::{Asked as AskedFor, asked_by, check_asked, check_message};

use template::PathTemplate;

/// What stands in a path segment as it is (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

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
    /// A message of the open connection; not asked for in the handshake.
    Message {
        /// Where it says so.
        pointer: Pointer,
        /// Which messages are meant; those that say so at all where this is empty.
        when: When,
    },
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

/// What a handshake asks for.
#[derive(Clone, Copy)]
pub struct Wish<'a> {
    /// The request's head.
    pub head: &'a RequestHead,
    /// Its path in normal form.
    pub path: &'a str,
    /// What follows the `?`.
    pub query: Option<&'a [u8]>,
}

/// How far the rules have been followed.
#[derive(Debug, Default)]
pub(super) struct Authorization {
    /// Place of the rule whose turn it is.
    rule: usize,
    asked: Option<Asked>,
}

impl Authorization {
    pub(super) fn on_answer(&mut self, id: CallId, answer: &CallAnswer) {
        if let Some(asked) = &mut self.asked {
            asked.on_answer(id, answer);
        }
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
            if matches!(rule.from, Asking::Message { .. }) {
                self.rule += 1;
                continue;
            }
            let values = rule.from.values(wish)?;
            match &rule.grant {
                Grant::Claim(claim) => {
                    let granted = identity.claim(claim);
                    let one =
                        |(_, value): &(&str, String)| granted.is_some_and(|c| holds(c, value));
                    if !values.iter().all(one) {
                        return Err(AuthError::NotGranted);
                    }
                }
                Grant::Callout(callout) => {
                    if !self.follow(callout, identity, &values, desk)? {
                        return Ok(false);
                    }
                }
            }
            self.rule += 1;
        }
        Ok(true)
    }

    fn follow(
        &mut self,
        callout: &Callout,
        identity: &Identity,
        values: &[(&str, String)],
        desk: Desk<'_>,
    ) -> Result<bool, AuthError> {
        let call = callout.question(identity, values)?;
        let question: [u8; 32] = Sha256::new()
            .chain_update([call.cluster.as_str(), &call.authority, &call.path].join("\n"))
            .finalize()
            .into();
        let verifiers = desk.verifiers;
        let Some(asked) = &mut self.asked else {
            if let Some(yes) = verifiers.granted.borrow().find(&question, desk.now) {
                return if *yes { Ok(true) } else { Err(AuthError::NotGranted) };
            }
            let otherwise = AuthError::CalloutUnavailable;
            let with = (desk.calls, desk.now);
            self.asked =
                Some(Asked::ask(&call, with, &verifiers.under_way, desk.address, otherwise)?);
            return Ok(false);
        };
        let Some(answer) = asked.answer(desk.now) else { return Ok(false) };
        self.asked = None;
        let yes = match answer {
            CallAnswer::Whole { status: 200..=299, .. } => true,
            CallAnswer::Whole { status: 401 | 403 | 404, .. } => false,
            other => {
                verifiers.tell("authorize callout", &call, &other, desk);
                return Err(AuthError::CalloutUnavailable);
            }
        };
        if let Some(time) = callout.cache {
            let time = if yes { time } else { time.min(MAX_NO) };
            verifiers.granted.borrow_mut().keep(question, (yes, 0), desk.now, time);
        }
        if yes { Ok(true) } else { Err(AuthError::NotGranted) }
    }
}

impl Asking {
    /// The names that a callout's path can use.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Query(name) | Self::Header(name) => vec![name],
            Self::Path(template) => template.names(),
            Self::Message { .. } => Vec::new(),
        }
    }

    /// What is asked for, by name; once each, and never nothing.
    fn values<'a>(&'a self, wish: Wish<'_>) -> Result<Vec<(&'a str, String)>, AuthError> {
        let read = |value| String::from_utf8(value).map_err(|_| AuthError::NotAsked).and_then(fit);
        let single = |mut values: Box<dyn Iterator<Item = Vec<u8>> + '_>| {
            let value = values.next().ok_or(AuthError::NotAsked)?;
            if values.next().is_some() { Err(AuthError::NotAsked) } else { Ok(value) }
        };
        match self {
            Self::Query(name) => {
                let values = query::values(wish.query.unwrap_or_default(), name);
                let value =
                    single(Box::new(values.map(|value| query::decode(value).into_owned())))?;
                Ok(vec![(name, read(value)?)])
            }
            Self::Header(name) => {
                // `x_room` too: many an upstream takes it for `x-room`.
                let same = || wish.head.headers.iter().filter(|(sent, _)| same_name(sent, name));
                if same().any(|(sent, _)| sent != name) {
                    return Err(AuthError::NotAsked);
                }
                let lines = same().map(|(_, line)| line.trim_ascii().to_vec());
                Ok(vec![(name, read(single(Box::new(lines))?)?)])
            }
            Self::Path(template) => {
                let segments = template.capture(wish.path).ok_or(AuthError::NotAsked)?;
                let decode = |(name, segment): (&'a str, &str)| {
                    Ok((name, read(percent_decode_str(segment).collect())?))
                };
                segments.into_iter().map(decode).collect()
            }
            Self::Message { .. } => Err(AuthError::NotAsked),
        }
    }
}

impl Callout {
    fn question(&self, identity: &Identity, values: &[(&str, String)]) -> Result<Call, AuthError> {
        let subject = identity.claim("sub").and_then(text);
        let segment = |name: &str| {
            let value = match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => Some(value),
                None => subject.as_ref().filter(|_| name == "sub"),
            };
            let value = value.filter(|value| !["", ".", ".."].contains(&value.as_str()))?;
            Some(utf8_percent_encode(value, UNRESERVED).to_string())
        };
        Ok(Call {
            cluster: self.cluster.clone(),
            method: "GET",
            authority: self.host.clone(),
            path: self.path.fill(segment).ok_or(AuthError::NotAsked)?,
            headers: vec![("user-agent", "wsguard".to_owned())],
            body: Vec::new(),
            timeout: self.timeout,
        })
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

/// Whether a claim is this value, a list with it, or names it among others that
/// spaces separate. Numbers are compared as they are written.
fn holds(claim: &Value, value: &str) -> bool {
    match claim {
        Value::Number(number) => number.to_string() == value,
        Value::Array(list) => list.iter().any(|entry| text(entry).as_deref() == Some(value)),
        other => jwt::holds(other, value),
    }
}
