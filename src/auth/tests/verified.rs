//! Tokens that were verified before, and keys that are published.

use super::*;
use crate::auth::verified::VerifiedTokens;
use crate::host::CallAnswer;
use std::net::IpAddr;

const OTHER: &[u8] = b"another secret of tests, and of nothing else: 64 bytes for hashes";

/// It keeps what it has verified.
impl Worker {
    fn try_on(&self, policy: usize, rules: &AuthRules, token: &str) -> Result<Identity, AuthError> {
        let mut attempt = self.attempt(rules, token);
        assert!(self.advance(&mut attempt, policy, rules)?, "nothing to wait for");
        Ok(attempt.take_identity().unwrap())
    }

    fn attempt(&self, rules: &AuthRules, token: &str) -> Attempt {
        let head = head(&[("authorization", &format!("Bearer {token}"))]);
        Attempt::new(Presented::collect(rules, &head, None, &[]))
    }

    fn advance(
        &self,
        attempt: &mut Attempt,
        policy: usize,
        rules: &AuthRules,
    ) -> Result<bool, AuthError> {
        self.advance_from(IpAddr::from([192, 0, 2, 7]), attempt, policy, rules)
    }

    fn advance_from(
        &self,
        address: IpAddr,
        attempt: &mut Attempt,
        policy: usize,
        rules: &AuthRules,
    ) -> Result<bool, AuthError> {
        let address = Network::of(Some(address), 64);
        let desk = Desk { policy, address, ..self.desk(&NoHost) };
        let head = head(&[]);
        let wish = authorize::Wish { head: &head, path: "/ws", query: None, said: &[] };
        attempt.advance(rules, wish, desk)
    }

    /// A tick; the keys that are fetched are these.
    fn fetch(&self, keys: &Value) {
        self.verifiers.on_tick();
        let (id, _) = self.host.take_calls().remove(0);
        let body = json!({"keys": keys}).to_string().into_bytes();
        assert!(self.verifiers.on_answer(id, &CallAnswer::Whole { status: 200, body }));
    }
}

fn with_secret(secret: &[u8]) -> AuthRules {
    let keys = KeySet::from_secret(secret, &[Algorithm::HS256]).unwrap();
    rules(vec![Issuer { keys: IssuerKeys::Fixed(keys), ..issuer() }])
}

/// Who knows a token needs no key for it; who does not finds it forged.
#[test]
fn a_token_is_verified_once_within_its_time_and_policy() {
    let (good, forged) = (with_secret(SECRET), with_secret(OTHER));
    let worker = Worker::of(&good);
    let token = token(json!({"exp": NOW + 60}));
    let first = worker.try_on(0, &good, &token).unwrap();
    assert_eq!(worker.try_on(1, &forged, &token), Err(AuthError::Signature), "another policy");
    worker.host.advance(Duration::from_secs(89));
    let again = worker.try_on(0, &forged, &token).unwrap();
    assert_eq!(again.authenticated_at, at(NOW + 89));
    assert_eq!(Identity { authenticated_at: at(NOW), ..again }, first);
    worker.host.advance(Duration::from_secs(1));
    assert_eq!(worker.try_on(0, &good, &token), Err(AuthError::Expired), "exp and leeway");
    worker.host.set(at(NOW - 1));
    assert_eq!(worker.try_on(0, &forged, &token), Err(AuthError::Signature), "set back");
}

#[test]
fn what_was_refused_is_not_remembered_as_good() {
    let rules = with_secret(OTHER);
    let worker = Worker::of(&rules);
    for _ in 0..2 {
        assert_eq!(worker.try_on(0, &rules, &token(json!({}))), Err(AuthError::Signature));
    }
}

fn file() -> Value {
    serde_json::from_str(include_str!("../../../tests/vectors/tokens.json")).unwrap()
}

fn published() -> AuthRules {
    let uri = KeysUri {
        cluster: "issuer".to_owned(),
        host: "issuer.example.com".to_owned(),
        path: "/jwks".to_owned(),
        refresh: Duration::from_secs(600),
        timeout: Duration::from_secs(2),
    };
    let algorithms = vec![Algorithm::RS256, Algorithm::EdDSA];
    rules(vec![Issuer { keys: IssuerKeys::Published(uri), algorithms, ..issuer() }])
}

/// A good token of this key, and the key.
fn of(kid: &str) -> (String, Value) {
    let file = file();
    let find = |list: &str, member: &str| {
        let all = file[list].as_array().unwrap();
        all.iter().find(|entry| entry[member] == kid).unwrap().clone()
    };
    (find("good", "key")["token"].as_str().unwrap().to_owned(), find("keys", "kid"))
}

#[test]
fn a_rotated_key_ends_what_it_verified() {
    let rules = published();
    let worker = Worker::of(&rules);
    let (token, key) = of("ed25519");
    worker.fetch(&json!([key]));
    assert_eq!(worker.try_on(0, &rules, &token).unwrap().key_id, "ed25519");
    worker.host.advance(Duration::from_secs(590));
    worker.fetch(&json!([of("rsa").1]));
    let mut attempt = worker.attempt(&rules, &token);
    assert_eq!(worker.advance(&mut attempt, 0, &rules), Ok(false), "its key may come");
    worker.fetch(&json!([of("rsa").1]));
    assert_eq!(worker.advance(&mut attempt, 0, &rules), Err(AuthError::UnknownKid));
    assert_eq!(worker.try_on(0, &rules, &token), Err(AuthError::UnknownKid), "not so soon again");
}

#[test]
fn a_token_waits_for_its_key_and_no_longer_than_the_timeout() {
    let rules = published();
    let worker = Worker::of(&rules);
    let (token, key) = of("ed25519");
    let mut waits = worker.attempt(&rules, &token);
    let mut longer = worker.attempt(&rules, &token);
    assert_eq!(worker.advance(&mut waits, 0, &rules), Ok(false));
    assert_eq!(worker.advance(&mut longer, 0, &rules), Ok(false));
    worker.host.advance(Duration::from_millis(1_900));
    assert_eq!(worker.advance(&mut longer, 0, &rules), Ok(false));
    worker.host.advance(Duration::from_millis(100));
    assert_eq!(worker.advance(&mut longer, 0, &rules), Err(AuthError::KeysUnavailable));
    worker.fetch(&json!([key]));
    assert_eq!(worker.advance(&mut waits, 0, &rules), Ok(true), "it has landed after all");
}

/// An hour, to and fro.
fn jumps(host: &MemoryHost) {
    let now = host.now().since_epoch();
    let hour = Duration::from_secs(3_600);
    for jumped in [now + hour, now - hour] {
        host.set(Timestamp::from_unix(jumped));
    }
}

#[test]
fn no_jump_of_the_clock_turns_away_who_waits_or_keeps_anybody_waiting() {
    let rules = published();
    let worker = Worker::of(&rules);
    let (token, key) = of("ed25519");
    let mut waits = worker.attempt(&rules, &token);
    let mut longer = worker.attempt(&rules, &token);
    for back in [NOW, NOW + 3_600, NOW - 3_600] {
        worker.host.set(at(back));
        assert_eq!(worker.advance(&mut waits, 0, &rules), Ok(false), "{back}");
        assert_eq!(worker.advance(&mut longer, 0, &rules), Ok(false), "{back}");
        worker.host.advance(Duration::from_millis(600));
    }
    worker.host.advance(Duration::from_millis(200));
    assert_eq!(worker.advance(&mut longer, 0, &rules), Err(AuthError::KeysUnavailable));
    worker.host.set(at(NOW));
    worker.fetch(&json!([key]));
    assert_eq!(worker.advance(&mut waits, 0, &rules), Ok(true));
}

#[test]
fn no_jump_of_the_clock_makes_keys_stale_or_fetches_more_of_them() {
    let rules = published();
    let worker = Worker::of(&rules);
    let (token, key) = of("ed25519");
    worker.fetch(&json!([key]));
    for _ in 0..20 {
        jumps(&worker.host);
        worker.host.advance(Duration::from_secs(1));
        worker.verifiers.on_tick();
        assert!(worker.host.take_calls().is_empty());
        worker.host.set(at(NOW));
        assert!(worker.try_on(0, &rules, &token).is_ok());
    }
}

#[test]
fn what_was_verified_does_not_outlive_its_end_by_any_jump_of_the_clock() {
    let (good, forged) = (with_secret(SECRET), with_secret(OTHER));
    let worker = Worker::of(&good);
    let token = token(json!({"exp": NOW + 60}));
    worker.try_on(0, &good, &token).unwrap();
    worker.host.set(at(NOW + 3_600));
    assert_eq!(worker.try_on(0, &good, &token), Err(AuthError::Expired));
    // Back again it is as good as the clock says.
    worker.host.set(at(NOW + 30));
    assert!(worker.try_on(0, &forged, &token).is_ok());
}

#[test]
fn so_many_of_one_network_wait_for_keys_and_others_still_can() {
    let rules = published();
    let worker = Worker::of(&rules);
    let token = of("ed25519").0;
    let one = |host: u32| IpAddr::from((0x2001_0db8_u128 << 96 | u128::from(host)).to_be_bytes());
    let waits = |address: IpAddr| {
        let mut attempt = worker.attempt(&rules, &token);
        worker.advance_from(address, &mut attempt, 0, &rules).map(|_| attempt)
    };
    let mut held: Vec<_> =
        (0..MAX_WAITING_PER_ADDRESS).map(|host| waits(one(host)).unwrap()).collect();
    assert_eq!(waits(one(9_999)).err(), Some(AuthError::TooManyAsked));
    assert!(waits(IpAddr::from([192, 0, 2, 8])).is_ok());
    held.pop();
    assert!(waits(one(9_999)).is_ok(), "a place has become free");
}

#[test]
fn what_a_header_says_is_refused_before_anybody_is_asked() {
    let rules = published();
    let worker = Worker::of(&rules);
    let token = token(json!({}));
    assert_eq!(worker.try_on(0, &rules, &token), Err(AuthError::Algorithm));
}

#[test]
fn an_issuer_that_is_down_makes_no_token_invalid() {
    let rules = published();
    let worker = Worker::of(&rules);
    worker.fetch(&json!([of("rsa").1]));
    worker.host.advance(Duration::from_secs(590));
    worker.verifiers.on_tick();
    let (id, _) = worker.host.take_calls().remove(0);
    worker.verifiers.on_answer(id, &CallAnswer::Reset);
    let unknown = worker.try_on(0, &rules, &of("ed25519").0);
    assert_eq!(unknown, Err(AuthError::KeysUnavailable), "nobody knows");
    assert!(worker.try_on(0, &rules, &of("rsa").0).is_ok());
}

#[test]
fn so_many_tokens_are_kept_and_so_many_bytes() {
    let identity = try_token(issuer(), &token(json!({}))).unwrap();
    let mut tokens = VerifiedTokens::default();
    let token = |place: u32, bytes: usize| place.to_be_bytes().repeat(bytes / 4);
    for place in 0..5_000_u32 {
        tokens.keep((0, &token(place, 200)), &identity, 0);
    }
    assert_eq!(tokens.len(), 4_096);
    for place in 0..500_u32 {
        tokens.keep((1, &token(place, 16 << 10)), &identity, 0);
    }
    assert!(tokens.len() <= 128, "{}", tokens.len());
}
