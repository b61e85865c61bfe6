//! Tests of the whole room, and what they share.

use super::*;
use crate::handshake::{Headers, RequestHead};
use crate::host::memory::MemoryHost;
use crate::host::{Clock, Hash, Signatures, Timestamp};
use crate::quota::Network;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use std::rc::Rc;

mod handshake;
mod hosts;
mod keys;
mod offer;
mod oracle;
mod rfc;
mod tokens;
mod vectors;
mod verified;
mod wycheproof;

pub(super) const NOW: u64 = 1_800_000_000;
pub(super) const ISSUER: &str = "https://issuer.example.com";
pub(super) const SECRET: &[u8] =
    b"a secret of tests, and of nothing else: 64 bytes, for all hashes";

/// A host without native signatures.
pub(super) struct NoHost;

impl Signatures for NoHost {
    fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        None
    }
}

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn unb64(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

pub(super) fn at(seconds: u64) -> Timestamp {
    Timestamp::from_unix(Duration::from_secs(seconds))
}

/// An issuer of HS256 tokens, its rules still open.
pub(super) fn issuer() -> Issuer {
    Issuer {
        issuer: ISSUER.to_owned(),
        audiences: Vec::new(),
        algorithms: vec![Algorithm::HS256],
        keys: IssuerKeys::Fixed(KeySet::from_secret(SECRET, &[Algorithm::HS256]).unwrap()),
        leeway: Duration::from_secs(30),
        required: vec!["exp".to_owned()],
        claims: Vec::new(),
    }
}

/// An issuer with these keys.
pub(super) fn issuer_with(jwks: &Value, algorithms: &[Algorithm]) -> Issuer {
    let keys = IssuerKeys::Fixed(KeySet::from_jwks(jwks, algorithms).unwrap());
    Issuer { algorithms: algorithms.to_vec(), keys, ..issuer() }
}

pub(super) fn rules(issuers: Vec<Issuer>) -> AuthRules {
    AuthRules {
        sources: vec![CredentialSource::Authorization(Scheme::Bearer)],
        first_message: None,
        forward: false,
        issuers,
        api_keys: ApiKeys::default(),
        session: None,
        authorize: Vec::new(),
        other_messages: Default::default(),
        close_at_expiry: true,
        identity_headers: Vec::new(),
    }
}

pub(super) fn head(lines: &[(&str, &str)]) -> RequestHead {
    let line = |(name, value): &(&str, &str)| ((*name).to_owned(), value.as_bytes().to_vec());
    RequestHead {
        method: b"GET".to_vec(),
        target: b"/ws".to_vec(),
        authority: b"chat.example.com".to_vec(),
        headers: Headers::new(lines.iter().map(line).collect()),
        source: None,
        https: true,
        http2: false,
    }
}

/// Presents a bearer token and has it verified.
pub(super) fn present(
    rules: &AuthRules,
    token: &str,
    now: Timestamp,
    host: &dyn Signatures,
) -> Result<Identity, AuthError> {
    let value = format!("Bearer {token}");
    let head = head(&[("authorization", &value)]);
    authenticate(rules, Presented::collect(rules, &head, None, &[]), now, host)
}

/// A worker that has verified nothing yet.
pub(super) struct Worker {
    pub(super) host: Rc<MemoryHost>,
    verifiers: Verifiers,
}

impl Worker {
    pub(super) fn of(rules: &AuthRules) -> Self {
        let host = Rc::new(MemoryHost::at(at(NOW)));
        let auth = std::iter::once(rules);
        Self { verifiers: Verifiers::open(Rc::<MemoryHost>::clone(&host), auth), host }
    }

    pub(super) fn desk<'a>(&'a self, signatures: &'a dyn Signatures) -> Desk<'a> {
        Desk {
            now: self.host.now(),
            monotonic: self.host.monotonic(),
            signatures,
            calls: &*self.host,
            log: &*self.host,
            address: Network::of(None, 64),
            verifiers: &self.verifiers,
            policy: 0,
        }
    }
}

/// Verifies what needs nobody else's answer, by a worker that has verified
/// nothing before.
pub(super) fn authenticate(
    rules: &AuthRules,
    presented: Presented,
    now: Timestamp,
    signatures: &dyn Signatures,
) -> Result<Identity, AuthError> {
    let worker = Worker::of(rules);
    worker.host.set(now);
    let mut attempt = Attempt::new(presented);
    let head = head(&[]);
    let wish = authorize::Wish { head: &head, path: "/ws", query: None, said: &[] };
    assert!(attempt.advance(rules, wish, worker.desk(signatures))?, "nothing to wait for");
    Ok(attempt.take_identity().unwrap())
}

/// Presents a token to one issuer at [`NOW`], without native signatures.
pub(super) fn try_token(issuer: Issuer, token: &str) -> Result<Identity, AuthError> {
    present(&rules(vec![issuer]), token, at(NOW), &NoHost)
}

/// An HS256 token of these texts, whether they are JSON or not.
pub(super) fn sign(header: &str, payload: &str) -> String {
    let text = format!("{}.{}", b64(header), b64(payload));
    let mac = hmac::Hmac::<Sha256>::new_from_slice(SECRET).unwrap().chain_update(&text);
    format!("{text}.{}", b64(mac.finalize().into_bytes()))
}

/// A good HS256 token with these claims over the usual ones; null removes one.
pub(super) fn token(claims: Value) -> String {
    let mut payload = json!({"iss": ISSUER, "sub": "alice", "exp": NOW + 60});
    let object = payload.as_object_mut().unwrap();
    for (name, value) in claims.as_object().unwrap() {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
    sign(r#"{"alg":"HS256"}"#, &payload.to_string())
}
