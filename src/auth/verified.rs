//! Tokens that were verified a while ago: a client that comes back with one
//! costs a comparison instead of a signature.
//!
//! They are kept as they are and compared whole: a cryptographic hash of each
//! token that comes would cost more, in wasm, than all else that a repeated one
//! does. The keyed hash that finds them decides nothing.

use super::attempt::Desk;
use super::identity::Identity;
use super::{AuthRules, IssuerKeys};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use subtle::ConstantTimeEq;

/// Most tokens that are kept.
const MAX_TOKENS: usize = 4096;

/// Most bytes that the kept tokens have together; claims take a small multiple.
const MAX_BYTES: usize = 2 << 20;

/// Tokens that this worker has verified, with one document.
#[derive(Default)]
pub(super) struct VerifiedTokens {
    random: RandomState,
    /// By the hash of policy and token. Of two with the same hash, the later one.
    kept: HashMap<u64, Kept>,
    /// The oldest first; each of `kept` once.
    order: VecDeque<u64>,
    bytes: usize,
}

struct Kept {
    /// The policy that took it: another one may ask for other claims.
    policy: usize,
    token: Box<[u8]>,
    identity: Identity,
    /// Of the keys it was verified with.
    generation: u64,
}

impl Kept {
    /// Takes as long for a token that is right in part as for one that is not.
    fn is(&self, policy: usize, token: &[u8]) -> bool {
        self.policy == policy && bool::from(self.token.ct_eq(token))
    }
}

impl VerifiedTokens {
    /// Who presented this token before, if it is good by now's keys and clock.
    pub(super) fn find(
        &self,
        rules: &AuthRules,
        desk: &Desk<'_>,
        token: &[u8],
    ) -> Option<Identity> {
        let kept = self.kept.get(&self.hash(desk.policy, token))?;
        let Kept { identity, generation, .. } = kept.is(desk.policy, token).then_some(kept)?;
        // Before the moment it was verified in, the clock was set back, and nbf
        // would have to be looked at again.
        let in_time = desk.now >= identity.authenticated_at
            && identity.expires.is_none_or(|expires| desk.now < expires);
        let issuer =
            rules.issuers.iter().find(|issuer| Some(&issuer.issuer) == identity.issuer())?;
        let keys_unchanged = match &issuer.keys {
            IssuerKeys::Fixed(_) => true,
            IssuerKeys::Published(uri) => {
                let held = desk.verifiers.published(uri, desk.now)?;
                held.generation == *generation
            }
        };
        (in_time && keys_unchanged)
            .then(|| Identity { authenticated_at: desk.now, ..identity.clone() })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.kept.len(), self.order.len());
        self.kept.len()
    }

    /// Keeps what a token was verified as under a policy, and lets go of the oldest
    /// where there is no room.
    pub(super) fn keep(
        &mut self,
        (policy, token): (usize, &[u8]),
        identity: &Identity,
        generation: u64,
    ) {
        let hash = self.hash(policy, token);
        self.bytes += token.len();
        let identity = identity.clone();
        match self.kept.insert(hash, Kept { policy, token: token.into(), identity, generation }) {
            Some(old) => self.bytes = self.bytes.saturating_sub(old.token.len()),
            None => self.order.push_back(hash),
        }
        while self.kept.len() > MAX_TOKENS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(old) = self.kept.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(old.token.len());
            }
        }
    }

    fn hash(&self, policy: usize, token: &[u8]) -> u64 {
        self.random.hash_one((policy, token))
    }
}

/// Without the tokens, which are credentials.
impl fmt::Debug for VerifiedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedTokens").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}
