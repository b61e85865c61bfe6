//! A service that knows sessions: opaque credentials are shown to it, among them
//! by OAuth 2.0 token introspection (RFC 7662).

use super::date;
use super::error::AuthError;
use super::identity::{CredentialKind, Identity, Proof, hash_prefix};
use super::json;
use crate::host::{Call, CallAnswer, Timestamp};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use serde_json::Value;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

/// What `application/x-www-form-urlencoded` leaves as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'*');

/// From here on a number is milliseconds: as seconds it would be the year 5138.
const FIRST_MILLISECONDS: f64 = 1e11;

/// `auth.session`
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRules {
    /// The cluster that the service is reached by.
    pub cluster: String,
    /// The service's host.
    pub host: String,
    /// Path and query.
    pub path: String,
    /// How the credential is shown to it.
    pub send: Send,
    /// How long its answer may take.
    pub timeout: Duration,
    /// How long an answer is good; `None`: it is asked every time.
    pub cache: Option<Duration>,
    /// Where in its answer the user's name stands, a JSON pointer (RFC 6901).
    pub subject: String,
    /// Where it says that the session is over, by `false`, a JSON pointer.
    pub active: String,
    /// Where it says until when the session is good.
    pub expires: Option<String>,
    /// Our own credential: the value of the `Authorization` header.
    pub authorization: Option<String>,
}

/// `send`
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Send {
    /// `Authorization: Bearer …`, with GET.
    Bearer,
    /// As the cookie of this name, with GET.
    Cookie(String),
    /// As the form field `token`, with POST (RFC 7662 §2.1).
    Form,
}

/// Without our own credential.
impl fmt::Debug for SessionRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRules")
            .field("cluster", &self.cluster)
            .field("host", &self.host)
            .field("path", &self.path)
            .field("send", &self.send)
            .finish_non_exhaustive()
    }
}

impl SessionRules {
    /// The question about a credential.
    ///
    /// # Errors
    /// [`AuthError::UnknownCredential`] for one that can't be shown in this way:
    /// no service can have given it.
    pub(super) fn question(&self, credential: &[u8]) -> Result<Call, AuthError> {
        let unknown = AuthError::UnknownCredential;
        let visible = |allowed: fn(u8) -> bool| {
            let text = std::str::from_utf8(credential).map_err(|_| unknown)?;
            let good = text.bytes().all(|byte| byte.is_ascii_graphic() && allowed(byte));
            if good { Ok(text) } else { Err(unknown) }
        };
        let mut headers = vec![("accept", "application/json".to_owned())];
        let (mut method, mut body) = ("GET", Vec::new());
        match &self.send {
            Send::Bearer => {
                let token = visible(|byte| byte != b',')?;
                headers.push(("authorization", format!("Bearer {token}")));
            }
            Send::Cookie(name) => {
                let value = visible(|byte| byte != b';' && byte != b',')?;
                headers.push(("cookie", format!("{name}={value}")));
            }
            Send::Form => {
                method = "POST";
                let token = percent_encode(credential, FORM);
                body = format!("token={token}&token_type_hint=access_token").into_bytes();
                headers.push(("content-type", "application/x-www-form-urlencoded".to_owned()));
            }
        }
        headers.extend(self.authorization.iter().map(|value| ("authorization", value.clone())));
        Ok(Call {
            cluster: self.cluster.clone(),
            method,
            authority: self.host.clone(),
            path: self.path.clone(),
            headers,
            body,
            timeout: self.timeout,
        })
    }

    /// What the service's answer means: a yes is a 200 with an object that names
    /// a subject and does not say that it is not active.
    pub(super) fn read(
        &self,
        answer: &CallAnswer,
        credential: &[u8],
        now: Timestamp,
    ) -> Result<Identity, AuthError> {
        let unavailable = AuthError::SessionUnavailable;
        let body = match answer {
            CallAnswer::Whole { status: 200, body } => body,
            CallAnswer::Whole { status: 401 | 403, .. } => return Err(AuthError::SessionUnknown),
            _ => return Err(unavailable),
        };
        let whole = match json::object(body, unavailable) {
            Ok(object) => Value::Object(object),
            // `null`, `false`, `[]`: JSON, and no session.
            Err(_) if is_other_json(body) => return Err(AuthError::SessionUnknown),
            Err(_) => return Err(unavailable),
        };
        if whole.pointer(&self.active) == Some(&Value::Bool(false)) {
            return Err(AuthError::SessionUnknown);
        }
        let user = self.subject(&whole).ok_or(AuthError::SessionUnknown)?;
        let expires = self.expires(&whole)?;
        if expires.is_some_and(|expires| now >= expires) {
            return Err(AuthError::SessionExpired);
        }
        let Value::Object(mut claims) = whole else { return Err(unavailable) };
        claims.insert("sub".to_owned(), Value::String(user.clone()));
        Ok(Identity {
            user: Some(user),
            kind: CredentialKind::Session,
            key_id: hash_prefix(credential),
            authenticated_at: now,
            expires,
            claims: Rc::new(claims),
            proof: Proof::Session,
        })
    }

    /// A name, or a number that is one.
    fn subject(&self, whole: &Value) -> Option<String> {
        match whole.pointer(&self.subject)? {
            Value::String(name) if !name.is_empty() && !name.contains(char::is_control) => {
                Some(name.clone())
            }
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }

    /// Unix time in seconds, or in milliseconds, or RFC 3339.
    fn expires(&self, whole: &Value) -> Result<Option<Timestamp>, AuthError> {
        let Some(pointer) = &self.expires else { return Ok(None) };
        let since_epoch = match whole.pointer(pointer) {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::Number(number)) => number.as_f64().and_then(|number| {
                let milliseconds = number >= FIRST_MILLISECONDS;
                let seconds = if milliseconds { number / 1e3 } else { number };
                Duration::try_from_secs_f64(seconds).ok()
            }),
            Some(Value::String(text)) => date::parse(text),
            Some(_) => None,
        };
        since_epoch.map(|at| Some(Timestamp::from_unix(at))).ok_or(AuthError::SessionUnavailable)
    }
}

/// Whether it is JSON, and no object.
fn is_other_json(body: &[u8]) -> bool {
    serde_json::from_slice::<Value>(body).is_ok_and(|value| !value.is_object())
}
