//! Tokens that were verified a while ago: a client that comes back with one
//! costs a hash instead of a signature.

use super::attempt::Desk;
use super::identity::Identity;
use super::{AuthRules, IssuerKeys};
use sha2::{Digest, Sha256};
use std::collections::{HashMap, VecDeque};

/// Most tokens that are kept.
const MAX_TOKENS: usize = 4096;

/// Most bytes that the kept tokens have together; claims take a small multiple.
const MAX_BYTES: usize = 2 << 20;

/// A token and the policy that took it: another one may ask for other claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct TokenHash(pub(super) [u8; 32]);

impl TokenHash {
    pub(super) fn of(policy: usize, credential: &[u8]) -> Self {
        let policy = u64::try_from(policy).unwrap_or(u64::MAX);
        Self(
            Sha256::new()
                .chain_update(policy.to_be_bytes())
                .chain_update(credential)
                .finalize()
                .into(),
        )
    }
}

/// Tokens that this worker has verified, with one document.
#[derive(Debug, Default)]
pub(super) struct VerifiedTokens {
    kept: HashMap<TokenHash, Kept>,
    /// The oldest first; each of `kept` once.
    order: VecDeque<TokenHash>,
    bytes: usize,
}

#[derive(Debug)]
struct Kept {
    identity: Identity,
    /// Of the keys it was verified with.
    generation: u64,
    bytes: usize,
}

impl VerifiedTokens {
    /// Who presented this token before, if it is good by now's keys and clock.
    pub(super) fn find(
        &self,
        rules: &AuthRules,
        desk: &Desk<'_>,
        hash: TokenHash,
    ) -> Option<Identity> {
        let Kept { identity, generation, .. } = self.kept.get(&hash)?;
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

    /// Keeps what a token of so many bytes was verified as, and lets go of the
    /// oldest where there is no room.
    pub(super) fn keep(
        &mut self,
        hash: TokenHash,
        identity: &Identity,
        generation: u64,
        bytes: usize,
    ) {
        let kept = Kept { identity: identity.clone(), generation, bytes };
        self.bytes += bytes;
        match self.kept.insert(hash, kept) {
            Some(old) => self.bytes = self.bytes.saturating_sub(old.bytes),
            None => self.order.push_back(hash),
        }
        while self.kept.len() > MAX_TOKENS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.order.pop_front() else { return };
            if let Some(old) = self.kept.remove(&oldest) {
                self.bytes = self.bytes.saturating_sub(old.bytes);
            }
        }
    }
}
