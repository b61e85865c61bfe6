//! jwt-simple's own full verification as the oracle: whatever is taken here, it takes
//! with the same key, issuer, audience and clock.
//!
//! Two of its rules are other than RFC 7519's, and left out: it takes no `typ` but
//! `JWT` and `…+jwt` unless told which one to want, and it cuts fractions of a second
//! off. Its private parameter `salt` is none of ours.

use super::hosts::Decoding;
use super::*;
use jwt_simple::prelude as simple;
use proptest::prelude::*;
use rsa::pkcs8::DecodePrivateKey;
use rsa::traits::PublicKeyParts;
use sha2::{Sha256, Sha384, Sha512};
use simple::{
    ECDSAP256PublicKeyLike, ECDSAP384PublicKeyLike, EdDSAPublicKeyLike, MACLike, RSAPublicKeyLike,
};
use std::collections::HashSet;
use std::sync::LazyLock;

/// For these tests alone; made by OpenSSL.
static RSA: LazyLock<rsa::PrivateKey> = LazyLock::new(|| {
    rsa::PrivateKey::from_pkcs8_der(include_bytes!("../../../tests/vectors/rsa.pk8")).unwrap()
});
static P256: LazyLock<p256::ecdsa::SigningKey> =
    LazyLock::new(|| p256::ecdsa::SigningKey::from_slice(&[7; 32]).unwrap());
static P384: LazyLock<p384::ecdsa::SigningKey> =
    LazyLock::new(|| p384::ecdsa::SigningKey::from_slice(&[7; 48]).unwrap());
static ED25519: LazyLock<ed25519_dalek::SigningKey> =
    LazyLock::new(|| ed25519_dalek::SigningKey::from_bytes(&[7; 32]));

/// Signs as the algorithm of this name does.
fn signature(algorithm: Algorithm, text: &[u8]) -> Vec<u8> {
    use Algorithm as A;
    use p256::ecdsa::signature::Signer;
    match algorithm {
        A::RS256 => RSA.pkcs1v15_sign::<Sha256>(text).unwrap(),
        A::RS384 => RSA.pkcs1v15_sign::<Sha384>(text).unwrap(),
        A::RS512 => RSA.pkcs1v15_sign::<Sha512>(text).unwrap(),
        A::PS256 => RSA.pss_sign::<Sha256>(text).unwrap(),
        A::PS384 => RSA.pss_sign::<Sha384>(text).unwrap(),
        A::PS512 => RSA.pss_sign::<Sha512>(text).unwrap(),
        A::ES256 => Signer::<p256::ecdsa::Signature>::sign(&*P256, text).to_bytes().to_vec(),
        A::ES384 => Signer::<p384::ecdsa::Signature>::sign(&*P384, text).to_bytes().to_vec(),
        A::EdDSA => ed25519_dalek::Signer::sign(&*ED25519, text).to_bytes().to_vec(),
        A::HS256 => mac::<Sha256>(text),
        A::HS384 => mac::<Sha384>(text),
        A::HS512 => mac::<Sha512>(text),
    }
}

fn mac<D: hmac::EagerHash>(text: &[u8]) -> Vec<u8> {
    let mac = hmac::Hmac::<D>::new_from_slice(SECRET).unwrap().chain_update(text);
    mac.finalize().into_bytes().to_vec()
}

/// All public keys, and the secret.
static KEYS: LazyLock<Value> = LazyLock::new(|| {
    let point = |bytes: &[u8]| {
        let (x, y) = bytes[1..].split_at(bytes.len() / 2);
        (b64(x), b64(y))
    };
    let (x, y) = point(P256.verifying_key().to_sec1_point(false).as_bytes());
    let (x3, y3) = point(P384.verifying_key().to_sec1_point(false).as_bytes());
    let (n, e) = (RSA.n().to_be_bytes(), RSA.e().to_be_bytes_trimmed_vartime());
    json!({"keys": [
        {"kty": "RSA", "n": b64(n), "e": b64(e)},
        {"kty": "EC", "crv": "P-256", "x": x, "y": y},
        {"kty": "EC", "crv": "P-384", "x": x3, "y": y3},
        {"kty": "OKP", "crv": "Ed25519", "x": b64(ED25519.verifying_key().as_bytes())},
        {"kty": "oct", "k": b64(SECRET)},
    ]})
});

fn taken_here(algorithm: Algorithm, token: &str) -> bool {
    let issuer = Issuer { audiences: vec!["chat".to_owned()], ..issuer_with(&KEYS, &[algorithm]) };
    let rules = rules(vec![issuer]);
    let hosts: [&dyn Signatures; 2] = [&NoHost, &Decoding];
    let [alone, asked] = hosts.map(|host| present(&rules, token, at(NOW), host).map(|_| ()));
    // What jwt-simple verifies here by itself, the host has to find good as well.
    let agree = alone.is_ok() == asked.is_ok() || alone == Err(AuthError::Unverifiable);
    assert!(agree, "{alone:?} {asked:?}");
    asked.is_ok()
}

/// Why jwt-simple does not take it, with the key that is named in the set for it.
fn refused_by_jwt_simple(algorithm: Algorithm, token: &str) -> Option<String> {
    use Algorithm as A;
    let typ = simple::Token::decode_metadata(token).ok()?.signature_type().map(str::to_owned);
    let options = Some(simple::VerificationOptions {
        required_signature_type: typ,
        allowed_issuers: Some(HashSet::from([ISSUER.to_owned()])),
        allowed_audiences: Some(HashSet::from(["chat".to_owned()])),
        artificial_time: Some(simple::UnixTimeStamp::from_secs(NOW)),
        // The leeway, and a second for the fractions.
        time_tolerance: Some(simple::Duration::from_secs(31)),
        ..simple::VerificationOptions::default()
    });
    let keys = &KEYS["keys"];
    let part = |index: usize, name: &str| unb64(keys[index][name].as_str().unwrap());
    let point = |index: usize| [vec![4], part(index, "x"), part(index, "y")].concat();
    macro_rules! verified {
        ($key:expr) => {
            $key.verify_token::<simple::NoCustomClaims>(token, options).err().map(|e| e.to_string())
        };
    }
    macro_rules! rsa {
        ($key:ident) => {
            verified!(simple::$key::from_components(&part(0, "n"), &part(0, "e")).unwrap())
        };
    }
    match algorithm {
        A::RS256 => rsa!(RS256PublicKey),
        A::RS384 => rsa!(RS384PublicKey),
        A::RS512 => rsa!(RS512PublicKey),
        A::PS256 => rsa!(PS256PublicKey),
        A::PS384 => rsa!(PS384PublicKey),
        A::PS512 => rsa!(PS512PublicKey),
        A::ES256 => verified!(simple::ES256PublicKey::from_bytes(&point(1)).unwrap()),
        A::ES384 => verified!(simple::ES384PublicKey::from_bytes(&point(2)).unwrap()),
        A::EdDSA => verified!(simple::Ed25519PublicKey::from_bytes(&part(3, "x")).unwrap()),
        A::HS256 => verified!(simple::HS256Key::from_bytes(SECRET)),
        A::HS384 => verified!(simple::HS384Key::from_bytes(SECRET)),
        A::HS512 => verified!(simple::HS512Key::from_bytes(SECRET)),
    }
}

fn signed(algorithm: Algorithm, header: &Value, claims: &str) -> String {
    let text = format!("{}.{}", b64(header.to_string()), b64(claims));
    let signature = signature(algorithm, text.as_bytes());
    format!("{text}.{}", b64(signature))
}

fn algorithms() -> impl Strategy<Value = Algorithm> {
    prop::sample::select(Algorithm::ALL)
}

/// Values of every kind, as a member may have them.
fn values() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => "[a-zA-Z+/ ]{0,12}".prop_map(Value::from),
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => any::<f64>().prop_filter("JSON has it", |n| n.is_finite()).prop_map(Value::from),
        1 => Just(json!([])),
        1 => Just(json!(["chat", "x"])),
        1 => Just(json!([1])),
        1 => Just(json!({"kty": "oct", "k": "AAAA"})),
    ]
}

/// Dates about now, of every kind of number.
fn dates() -> impl Strategy<Value = Value> {
    prop_oneof![
        4 => (-40..40_i64).prop_map(|seconds| json!(i64::try_from(NOW).unwrap() + seconds)),
        2 => (-35.0..35.0_f64).prop_map(|seconds| json!(1.8e9 + seconds)),
        1 => prop::sample::select(vec![0, 253_402_300_799, 253_402_300_800, u64::MAX])
            .prop_map(Value::from),
        1 => values(),
    ]
}

/// Members, each of which may be there.
fn members(
    names: &'static [&'static str],
    value: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = Vec<(&'static str, Value)>> {
    prop::collection::vec((prop::sample::select(names), value), 0..3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn whatever_is_taken_here_jwt_simple_takes_with_the_same_key(
        algorithm in algorithms(),
        typ in prop::option::of(prop::sample::select(
            vec!["JWT", "at+jwt", "application/at+jwt", "application/jwt", "JOSE", "logout+jwt"],
        )),
        header in members(
            &["kid", "cty", "jku", "jwk", "x5u", "x5c", "x5t", "x5t#S256", "nonce", "b64", "zip"],
            values(),
        ),
        times in members(&["exp", "nbf", "iat"], dates()),
        claims in members(&["iss", "sub", "aud", "jti", "nonce", "scope", "exp", "nbf"], values()),
    ) {
        let mut head = json!({"alg": algorithm.name(), "typ": typ});
        if typ.is_none() {
            head.as_object_mut().unwrap().remove("typ");
        }
        let mut body = json!({"iss": ISSUER, "aud": "chat", "sub": "alice", "exp": NOW + 60});
        for (name, value) in header {
            head[name] = value;
        }
        for (name, value) in claims.into_iter().chain(times) {
            body[name] = value;
        }
        let token = signed(algorithm, &head, &body.to_string());
        if taken_here(algorithm, &token) {
            let refused = refused_by_jwt_simple(algorithm, &token);
            prop_assert_eq!(refused, None, "{} {}", head, body);
        }
    }

    #[test]
    fn no_byte_of_a_token_can_be_changed_for_either(
        algorithm in algorithms(),
        place in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let body = json!({"iss": ISSUER, "aud": "chat", "exp": NOW + 60}).to_string();
        let token = signed(algorithm, &json!({"alg": algorithm.name()}), &body);
        let mut changed = token.clone().into_bytes();
        *place.get_mut(&mut changed) = byte;
        if let Ok(changed) = String::from_utf8(changed) {
            prop_assert_eq!(taken_here(algorithm, &changed), changed == token);
        }
    }
}

#[test]
fn a_usual_token_of_every_algorithm_is_taken_by_both() {
    for algorithm in Algorithm::ALL.iter().copied() {
        let header = json!({"alg": algorithm.name(), "typ": "at+jwt", "x5t": "a"});
        let body = json!({
            "iss": ISSUER, "aud": ["account", "chat"], "sub": "alice", "jti": "1", "nonce": "2",
            "exp": NOW as f64 - 29.5, "nbf": NOW + 30, "iat": NOW, "scope": ["a", 1],
        });
        let token = signed(algorithm, &header, &body.to_string());
        assert!(taken_here(algorithm, &token), "{algorithm:?}");
        assert_eq!(refused_by_jwt_simple(algorithm, &token), None, "{algorithm:?}");
    }
}
