//! Why a handshake is refused, and how that is told.

use super::request::{Request, TargetError};
use super::{Admission, Admitted};
use crate::auth::first_message::NotFromTheStart;
use crate::auth::{self, AuthError, AuthRules, Identity};
use crate::config::{Mode, Policy};
use crate::event::{About, Event, Kind};
use crate::frame::Sender;
use crate::guard::HandshakeResult;
use crate::handshake::RefuseWith;
use crate::handshake::form::{HandshakeError, ValidHandshake};
use crate::handshake::host::HostError;
use crate::handshake::path::PathError;
use crate::message::budget::Exhausted;
use crate::quota::bans::Banned;
use crate::quota::connections::QuotaExceeded;
use crate::quota::rate::RateExceeded;
use crate::reason::Reason;
use crate::session::refusal::Refusal;
use std::time::Duration;

/// Why a handshake is refused.
pub(super) struct Denial {
    pub(super) reason: Reason,
    pub(super) detail: String,
    /// Told as a redirect to this place.
    pub(super) location: Option<String>,
    /// Who it was, once that is known.
    pub(super) identity: Option<Box<Identity>>,
    /// After how long the same may be allowed, where that is known.
    pub(super) retry_after: Option<Duration>,
    /// The refusal may count as a strike against the client.
    pub(super) blamed: bool,
}

macro_rules! denial_from {
    ($($error:ty),* $(,)?) => {$(
        impl From<$error> for Denial {
            fn from(error: $error) -> Self {
                Self::new(error.reason(), error.to_string())
            }
        }
    )*};
}

denial_from!(
    HandshakeError,
    HostError,
    PathError,
    crate::handshake::address::AddressDenied,
    crate::handshake::compression::CompressionDenied,
    crate::handshake::origin::OriginDenied,
    crate::handshake::subprotocol::SubprotocolDenied<'_>,
    crate::handshake::tls::TlsRequired,
    crate::handshake::user_agent::UserAgentDenied,
    QuotaExceeded,
);

impl Denial {
    pub(super) const fn new(reason: Reason, detail: String) -> Self {
        Self { reason, detail, location: None, identity: None, retry_after: None, blamed: true }
    }

    /// Makes the refusal count as no strike if `is_so` is true.
    pub(super) fn blameless_if(self, is_so: bool) -> Self {
        Self { blamed: self.blamed && !is_so, ..self }
    }
}

impl From<AuthError> for Denial {
    fn from(error: AuthError) -> Self {
        Self::new(error.reason(), error.to_string()).blameless_if(!error.is_blamed())
    }
}

impl From<NotFromTheStart> for Denial {
    fn from(error: NotFromTheStart) -> Self {
        Self::new(Reason::HandshakeMalformed, error.to_string())
    }
}

impl From<Exhausted> for Denial {
    fn from(_: Exhausted) -> Self {
        Self::new(Reason::Overloaded, "no memory is left to hold the handshake".to_owned())
    }
}

impl From<Banned> for Denial {
    fn from(banned: Banned) -> Self {
        let retry_after = Some(banned.remaining);
        Self { retry_after, ..Self::new(Reason::Banned, banned.to_string()) }
    }
}

impl From<RateExceeded> for Denial {
    fn from(error: RateExceeded) -> Self {
        let retry_after = error.retry_after();
        Self { retry_after, ..Self::new(error.reason(), error.to_string()) }
    }
}

impl From<TargetError> for Denial {
    fn from(error: TargetError) -> Self {
        match error {
            TargetError::Host(error) => error.into(),
            TargetError::Path(error) => error.into(),
        }
    }
}

impl Request<'_> {
    /// Refuses, or in mode report says so and watches.
    pub(super) fn deny(
        &self,
        policy: Option<usize>,
        mode: Mode,
        handshake: Option<&ValidHandshake>,
        denial: Denial,
    ) -> Admitted {
        let rules = policy.and_then(|index| self.guard.policy(index));
        let (kind, result) = match mode {
            Mode::Enforce => (Kind::Refused, HandshakeResult::Refused),
            Mode::Report => (Kind::Reported, HandshakeResult::Reported),
        };
        self.guard.count_handshake(policy, result, Some(denial.reason));
        let about = self.log_denial(policy, (kind, mode), &denial);
        let Denial { reason, detail, location, identity, retry_after, blamed } = denial;
        if let Some(index) = policy.filter(|_| blamed) {
            let user = identity.as_ref().and_then(|identity| identity.user.as_deref());
            self.guard.strike(index, reason, &about, user);
        }
        let admission = match (mode, policy.zip(rules), handshake) {
            (Mode::Report, Some((index, rules)), Some(handshake)) => {
                let observed = self.observe(index, rules, handshake, None);
                return Admitted { reason: Some(reason), ..observed };
            }
            (Mode::Report, ..) => Admission::Pass(self.base_edits()),
            (Mode::Enforce, ..) => Admission::Refused(match (rules, handshake, location) {
                (_, _, Some(location)) => Refusal::redirect(reason, location),
                (Some(rules), Some(handshake), None)
                    if rules.handshake.refuse_with == RefuseWith::Close =>
                {
                    let offered = nameable(rules, handshake.subprotocols());
                    Refusal::close(reason, handshake.accept_for_client(), offered)
                }
                (rules, ..) => {
                    let auth = rules.and_then(|rules| rules.auth.as_ref());
                    let refusal = Refusal::http(reason, &detail).retry_after(retry_after);
                    refusal.challenge(auth.into_iter().flat_map(AuthRules::schemes))
                }
            }),
        };
        let target = match &admission {
            Admission::Refused(_) => self.target_without_credentials(rules),
            _ => None,
        };
        Admitted { admission, policy, reason: Some(reason), target }
    }

    /// Logs the event of a denial, and returns who it names.
    pub(super) fn log_denial(
        &self,
        policy: Option<usize>,
        (kind, mode): (Kind, Mode),
        denial: &Denial,
    ) -> About {
        let about = self.about(denial.identity.as_deref());
        let mut event = Event::new(self.guard.now(), kind, mode, &about);
        event.reason = Some(denial.reason);
        event.direction = Some(Sender::Client);
        event.detail = Some(denial.detail.clone());
        self.guard.tell(policy, event);
        about
    }

    /// What access logs may show of a request that never reaches upstream. Where no
    /// policy was found for it, it may have been meant for any.
    fn target_without_credentials(&self, policy: Option<&Policy>) -> Option<Vec<u8>> {
        let all = &self.guard.config().policies;
        let rules = policy.map_or(&**all, std::slice::from_ref);
        let rules = rules.iter().filter_map(|policy| policy.auth.as_ref());
        auth::target_without_credentials(rules, self.raw_path, self.query)
    }
}

/// The subprotocol that a refusal by close names, so that a browser takes the
/// handshake for complete.
pub(in crate::session) fn nameable<'a>(policy: &Policy, offer: &'a [String]) -> Option<&'a str> {
    auth::nameable(policy.auth.as_ref(), policy.handshake.subprotocols.as_deref(), offer)
}
