//! When the credential of an open connection ends.

use crate::auth::{AuthRules, Identity, Proof};
use crate::guard::Guard;
use crate::host::Timestamp;
use crate::reason::Reason;

/// What an open connection's credential depends on; nothing where the policy
/// has no `auth`, or `close_at_expiry: false`.
#[derive(Clone, Debug, Default)]
pub(super) struct Expiry {
    ends: Option<Timestamp>,
    proof: Option<Proof>,
}

impl Expiry {
    /// Of a credential that these rules have let in.
    pub(super) fn of(identity: Option<&Identity>, rules: Option<&AuthRules>) -> Self {
        match (identity, rules) {
            (Some(identity), Some(rules)) if rules.close_at_expiry => {
                Self { ends: identity.expires, proof: Some(identity.proof.clone()) }
            }
            _ => Self::default(),
        }
    }

    /// Why the connection is to be ended now. `policy` is its policy's name, by
    /// which a newer document is asked whether it still has the key.
    pub(super) fn due(&self, guard: &Guard, policy: &str, now: Timestamp) -> Option<Reason> {
        if self.ends.is_some_and(|ends| now >= ends) {
            return Some(Reason::CredentialsExpired);
        }
        let proof = self.proof.as_ref()?;
        let newer = guard.successor()?;
        let policy = newer.config().policies.iter().find(|newer| newer.name == policy)?;
        // A policy without `auth`, or that is gone, says nothing of keys.
        let trusted = policy.auth.as_ref()?.trusts(proof);
        (!trusted).then_some(Reason::CredentialsRevoked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::CredentialKind;
    use crate::config::Config;
    use crate::host::memory::MemoryHost;
    use std::rc::Rc;
    use std::time::Duration;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix(Duration::from_secs(seconds))
    }

    fn guard(keys: &str, close: bool) -> Rc<Guard> {
        let document = format!(
            r#"{{"policies": [{{"name": "chat", "auth": {{"credentials": [{{"header": "x-key"}}],
            "close_at_expiry": {close}, "api_keys": [{keys}]}}}}]}}"#
        );
        let config = Config::parse(&document, &|name| Some(format!("the-key-called-{name}")));
        Guard::new(config.unwrap(), Rc::new(MemoryHost::at(at(0))))
    }

    fn identity(expires: Option<Timestamp>) -> Identity {
        use sha2::Digest;
        Identity {
            user: None,
            kind: CredentialKind::ApiKey,
            key_id: "a".to_owned(),
            authenticated_at: at(0),
            expires,
            claims: Rc::default(),
            proof: Proof::ApiKey(sha2::Sha256::digest(b"the-key-called-A_KEY").into()),
        }
    }

    const A: &str = r#"{"id": "a", "key": {"env": "A_KEY"}}"#;
    const B: &str = r#"{"id": "a", "key": {"env": "B_KEY"}}"#;

    fn expiry(guard: &Guard, expires: Option<Timestamp>) -> Expiry {
        Expiry::of(Some(&identity(expires)), guard.config().policies[0].auth.as_ref())
    }

    #[test]
    fn a_credential_ends_at_its_time() {
        let guard = guard(A, true);
        let expiry = expiry(&guard, Some(at(10)));
        assert_eq!(expiry.due(&guard, "chat", at(9)), None);
        assert_eq!(expiry.due(&guard, "chat", at(10)), Some(Reason::CredentialsExpired));
    }

    #[test]
    fn a_key_that_a_newer_document_has_no_more_ends_what_it_opened() {
        let old = guard(A, true);
        let expiry = expiry(&old, None);
        assert_eq!(expiry.due(&old, "chat", at(5)), None);
        let same = guard(&format!("{A}, {}", B.replace(r#""a""#, r#""b""#)), true);
        old.succeed_by(&same);
        assert_eq!(expiry.due(&old, "chat", at(5)), None);
        // The same id with another key is another key.
        let newest = guard(B, true);
        old.succeed_by(&newest);
        assert_eq!(expiry.due(&old, "chat", at(5)), Some(Reason::CredentialsRevoked));
        assert_eq!(expiry.due(&old, "other", at(5)), None, "says nothing of it");
    }

    #[test]
    fn nothing_ends_where_the_policy_does_not_say_so() {
        let old = guard(A, false);
        let expiry = expiry(&old, Some(at(10)));
        let newer = guard(B, false);
        old.succeed_by(&newer);
        assert_eq!(expiry.due(&old, "chat", at(20)), None);
        assert_eq!(Expiry::of(None, None).due(&old, "chat", at(20)), None);
    }
}
