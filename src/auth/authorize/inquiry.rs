//! Whether something is granted: by a claim, or by a service that is asked.

use super::{AskedFor, Callout, Grant, claimed, text};
use crate::auth::AuthRules;
use crate::auth::ask::Asked;
use crate::auth::attempt::Desk;
use crate::auth::cache::MAX_NO;
use crate::auth::error::AuthError;
use crate::auth::identity::Identity;
use crate::host::{Call, CallAnswer, CallId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest, Sha256};
use std::time::Duration;

/// What stands in a path segment as it is (RFC 3986 §2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One question after the other to services, each until it has been answered.
#[derive(Debug, Default)]
pub struct Inquiry {
    /// The one that is under way.
    asked: Option<Box<Asked>>,
    /// Since when the next one waits for its place among those under way.
    waits_since: Option<Duration>,
}

impl Inquiry {
    /// Hands over an answer, which may be somebody else's; whether it was its own.
    pub fn on_answer(&mut self, id: CallId, answer: &CallAnswer) -> bool {
        self.asked.as_mut().is_some_and(|asked| asked.on_answer(id, answer))
    }

    /// Whether an answer that may still come is waited for.
    pub(super) fn is_waiting(&self, now: Duration) -> bool {
        self.asked.as_ref().is_some_and(|asked| asked.is_open(now))
    }

    /// Whether a message of the client's may have what it asks for, as far as that
    /// is known now; `false`: it waits for a service, or, as long as that may take,
    /// until fewer questions of its network are under way. To be called again with
    /// the same until it is known.
    ///
    /// # Errors
    /// [`AuthError::NotGranted`]; [`AuthError::CalloutUnavailable`] and
    /// [`AuthError::TooManyAsked`] where nobody can say.
    pub fn advance(
        &mut self,
        rules: &AuthRules,
        identity: &Identity,
        asked: &AskedFor,
        desk: Desk<'_>,
    ) -> Result<bool, AuthError> {
        if self.is_waiting(desk.monotonic) {
            return Ok(false);
        }
        let (grant, values) = rules.grant_of(asked)?;
        match self.follow(grant, identity, &values, desk) {
            Err(AuthError::TooManyAsked) if self.may_wait(grant, desk.monotonic) => Ok(false),
            Ok(false) => Ok(false),
            decided => {
                self.waits_since = None;
                decided
            }
        }
    }

    /// Whether a question may go on waiting for its place.
    fn may_wait(&mut self, grant: &Grant, now: Duration) -> bool {
        let Grant::Callout(callout) = grant else { return false };
        let since = *self.waits_since.get_or_insert(now);
        now.saturating_sub(since) < callout.timeout
    }

    /// Whether it is granted; `false`: it waits for a service.
    pub(super) fn follow(
        &mut self,
        grant: &Grant,
        identity: &Identity,
        values: &[(&str, String)],
        desk: Desk<'_>,
    ) -> Result<bool, AuthError> {
        let callout = match grant {
            Grant::Claim(claim) => return claimed(identity, claim, values).map(|()| true),
            Grant::Callout(callout) => callout,
        };
        let question = callout.question(identity, values)?;
        let Some(asked) = &mut self.asked else {
            if let Some(known) = question.known(desk) {
                return known.map(|()| true);
            }
            let under_way = &desk.verifiers.under_way;
            let otherwise = AuthError::CalloutUnavailable;
            let with = (desk.calls, desk.monotonic);
            let asked = Asked::ask(&question.call, with, under_way, desk.address, otherwise)?;
            self.asked = Some(Box::new(asked));
            self.waits_since = None;
            return Ok(false);
        };
        let Some(answer) = asked.answer(desk.monotonic) else { return Ok(false) };
        self.asked = None;
        question.read(&answer, desk).map(|()| true)
    }
}

/// What a service is asked.
pub(super) struct Question {
    call: Call,
    /// What it is known by among those of before, and how long its answer is kept.
    /// `None`: it is asked every time.
    kept: Option<([u8; 32], Duration)>,
}

impl Question {
    /// What was answered a while ago.
    pub(super) fn known(&self, desk: Desk<'_>) -> Option<Result<(), AuthError>> {
        let (hash, _) = self.kept.as_ref()?;
        let granted = desk.verifiers.granted.borrow();
        granted.find(hash, desk.monotonic).map(|yes| verdict(*yes))
    }

    /// Reads an answer, and keeps it as long as it is good.
    fn read(&self, answer: &CallAnswer, desk: Desk<'_>) -> Result<(), AuthError> {
        let yes = match answer {
            CallAnswer::Whole { status: 200..=299, .. } => true,
            CallAnswer::Whole { status: 401 | 403 | 404, .. } => false,
            other => {
                desk.verifiers.tell("authorize callout", &self.call, other, desk);
                return Err(AuthError::CalloutUnavailable);
            }
        };
        if let Some((hash, time)) = self.kept {
            let time = if yes { time } else { time.min(MAX_NO) };
            desk.verifiers.granted.borrow_mut().keep(hash, (yes, 0), desk.monotonic, time);
        }
        verdict(yes)
    }
}

const fn verdict(yes: bool) -> Result<(), AuthError> {
    if yes { Ok(()) } else { Err(AuthError::NotGranted) }
}

impl Callout {
    /// What its service is asked about these values.
    ///
    /// # Errors
    /// [`AuthError::NotAsked`] where one of them is no segment of a path.
    pub(super) fn question(
        &self,
        identity: &Identity,
        values: &[(&str, String)],
    ) -> Result<Question, AuthError> {
        let subject = identity.claim("sub").and_then(text);
        let segment = |name: &str| {
            let value = match values.iter().find(|(known, _)| *known == name) {
                Some((_, value)) => Some(value),
                None => subject.as_ref().filter(|_| name == "sub"),
            };
            let value = value.filter(|value| !["", ".", ".."].contains(&value.as_str()))?;
            Some(utf8_percent_encode(value, UNRESERVED).to_string())
        };
        let call = Call {
            cluster: self.cluster.clone(),
            method: "GET",
            authority: self.host.clone(),
            path: self.path.fill(segment).ok_or(AuthError::NotAsked)?,
            headers: vec![("user-agent", "wsguard".to_owned())],
            body: Vec::new(),
            timeout: self.timeout,
        };
        // What another callout has kept for longer is not as good as its own.
        let hash = |time: Duration| {
            let name = [call.cluster.as_str(), &call.authority, &call.path].join("\n");
            let hash = Sha256::new().chain_update(time.as_nanos().to_be_bytes());
            (hash.chain_update(name).finalize().into(), time)
        };
        Ok(Question { kept: self.cache.map(hash), call })
    }
}
