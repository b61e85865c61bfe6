//! Which keys are taken.

use super::*;
use crate::auth::jwk::{KeyError, MAX_KEYS};
use proptest::prelude::*;

const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

fn rsa() -> Value {
    json!({"kty": "RSA", "n": RSA_N, "e": "AQAB"})
}

fn ec() -> Value {
    json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    })
}

fn okp() -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})
}

fn oct(bytes: usize) -> Value {
    json!({"kty": "oct", "k": b64(vec![7; bytes])})
}

/// `key` with members over its own; null removes one.
fn with(mut key: Value, members: Value) -> Value {
    let object = key.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap() {
        match value {
            Value::Null => drop(object.remove(name)),
            value => drop(object.insert(name.clone(), value.clone())),
        }
    }
    key
}

fn errors(keys: Value, algorithms: &[Algorithm]) -> Vec<(String, KeyError)> {
    KeySet::from_jwks(&json!({"keys": keys}), algorithms).err().unwrap_or_default()
}

/// The one error of a set with this one key, without the path to the key.
fn error(key: Value) -> Option<(String, KeyError)> {
    let mut errors = errors(json!([key]), &[]);
    assert!(errors.len() < 2);
    let (path, error) = errors.pop()?;
    let member = path.strip_prefix("keys[0]").unwrap();
    Some((member.trim_start_matches('.').to_owned(), error))
}

fn is(member: &str, error: KeyError) -> Option<(String, KeyError)> {
    Some((member.to_owned(), error))
}

#[test]
fn good_keys_are_taken() {
    for key in [rsa(), ec(), okp(), oct(32)] {
        assert_eq!(error(with(key.clone(), json!({"use": "sig"}))), None);
        assert_eq!(error(with(key.clone(), json!({"key_ops": ["sign", "verify"]}))), None);
        assert_eq!(error(with(key.clone(), json!({"kid": "a", "x5t": "b", "ext": true}))), None);
    }
    // Some writers put a zero byte before the modulus.
    let zero = [&[0], unb64(RSA_N).as_slice()].concat();
    assert_eq!(error(with(rsa(), json!({"n": b64(zero)}))), None);
    assert_eq!(error(with(rsa(), json!({"e": "Aw"}))), None);
}

#[test]
fn rsa_keys_are_sane() {
    let n = |bytes: Vec<u8>| error(with(rsa(), json!({"n": b64(bytes)})));
    let mut modulus = unb64(RSA_N);
    assert_eq!(n(modulus[..255].to_vec()), is("n", KeyError::ModulusTooShort));
    let mut short = vec![0xff; 256];
    short[0] = 0x7f;
    assert_eq!(n(short), is("n", KeyError::ModulusTooShort), "2047 bits");
    assert_eq!(n(vec![]), is("n", KeyError::ModulusTooShort));
    assert_eq!(n(vec![0; 256]), is("n", KeyError::ModulusTooShort));
    assert_eq!(n(vec![0xff; 1024]), None);
    assert_eq!(n([&[1][..], &[0xff; 1024]].concat()), is("n", KeyError::ModulusTooLong));
    assert_eq!(n(vec![0xff; 100_000]), is("n", KeyError::ModulusTooLong));
    *modulus.last_mut().unwrap() &= 0xfe;
    assert_eq!(n(modulus), is("n", KeyError::ModulusEven));
    for e in [&[][..], &[0], &[1], &[2], &[1, 0, 0], &[2, 0, 0, 0, 1], &[0xff; 64]] {
        assert_eq!(error(with(rsa(), json!({"e": b64(e)}))), is("e", KeyError::Exponent), "{e:?}");
    }
    assert_eq!(error(with(rsa(), json!({"e": b64([1, 0xff, 0xff, 0xff, 0xff])}))), None, "33 bits");
    assert_eq!(error(with(rsa(), json!({"n": null}))), is("n", KeyError::Missing));
    assert_eq!(error(with(rsa(), json!({"e": 65537}))), is("e", KeyError::NotAString));
    let padded = format!("{RSA_N}==");
    assert_eq!(error(with(rsa(), json!({"n": padded}))), is("n", KeyError::NotBase64Url));
}

#[test]
fn points_are_on_their_curve() {
    let x = unb64(ec()["x"].as_str().unwrap());
    let changed = [&[x[0] ^ 1], &x[1..]].concat();
    let error_of_x = |x: &[u8]| error(with(ec(), json!({"x": b64(x)})));
    assert_eq!(error_of_x(&changed), is("x", KeyError::NotOnCurve));
    assert_eq!(error_of_x(&[0; 32]), is("x", KeyError::NotOnCurve));
    assert_eq!(error_of_x(&[0xff; 32]), is("x", KeyError::NotOnCurve));
    assert_eq!(error_of_x(&x[1..]), is("x", KeyError::Length { bytes: 32 }));
    let p384 = with(ec(), json!({"crv": "P-384"}));
    assert_eq!(error(p384), is("x", KeyError::Length { bytes: 48 }));
    for crv in ["P-521", "secp256k1", "p-256", "Ed25519"] {
        assert_eq!(error(with(ec(), json!({"crv": crv}))), is("crv", KeyError::UnknownCurve));
    }
    let zero = json!({"x": b64([0; 32]), "y": b64([0; 32])});
    assert_eq!(error(with(ec(), zero)), is("x", KeyError::NotOnCurve), "point at infinity");
}

#[test]
fn ed25519_keys_are_points_that_cannot_verify_everything() {
    let error_of_x = |x: &[u8]| error(with(okp(), json!({"x": b64(x)})));
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(error_of_x(&neutral), is("x", KeyError::NotOnCurve));
    assert_eq!(error_of_x(&[0; 32]), is("x", KeyError::NotOnCurve), "order 4");
    assert_eq!(error_of_x(&[2; 31]), is("x", KeyError::Length { bytes: 32 }));
    // 2^255 - 19 + 3, the point of y = 3 written otherwise.
    let mut high = [0xff; 32];
    (high[0], high[31]) = (0xf0, 0x7f);
    assert_eq!(error_of_x(&high), is("x", KeyError::NotOnCurve), "not reduced");
    for crv in ["X25519", "Ed448", "P-256"] {
        assert_eq!(error(with(okp(), json!({"crv": crv}))), is("crv", KeyError::UnknownCurve));
    }
}

#[test]
fn secrets_are_as_long_as_the_hash() {
    assert_eq!(error(oct(31)), is("k", KeyError::SecretTooShort { bytes: 32 }));
    let hs512 = json!({"alg": "HS512"});
    let short = is("k", KeyError::SecretTooShort { bytes: 64 });
    assert_eq!(error(with(oct(63), hs512.clone())), short);
    assert_eq!(error(with(oct(64), hs512)), None);
    // Without an `alg` a key is good for what it is long enough for.
    let both = [Algorithm::HS256, Algorithm::HS384];
    let lacking = vec![("keys".to_owned(), KeyError::NoKeyFor(Algorithm::HS384))];
    assert_eq!(errors(json!([oct(32)]), &both), lacking);

    let secret = |bytes: usize, algorithms: &[Algorithm]| {
        KeySet::from_secret(&vec![7; bytes], algorithms).err()
    };
    assert_eq!(secret(31, &[Algorithm::HS256]), Some(KeyError::SecretTooShort { bytes: 32 }));
    assert_eq!(secret(0, &[]), Some(KeyError::SecretTooShort { bytes: 32 }));
    assert_eq!(secret(32, &[Algorithm::HS256]), None);
    assert_eq!(secret(32, &both), Some(KeyError::SecretTooShort { bytes: 48 }));
    assert_eq!(secret(64, &both), None);
    let mixed = secret(64, &[Algorithm::HS256, Algorithm::RS256]);
    assert_eq!(mixed, Some(KeyError::NoKeyFor(Algorithm::RS256)));
}

#[test]
fn only_keys_for_signatures_are_taken() {
    for key in [rsa(), ec(), okp(), oct(32)] {
        for purpose in [json!("enc"), json!("SIG"), json!(["sig"]), json!(1)] {
            let key = with(key.clone(), json!({"use": purpose}));
            assert_eq!(error(key), is("use", KeyError::NotForSignatures));
        }
        for operations in [json!([]), json!(["sign"]), json!("verify"), json!([1])] {
            let key = with(key.clone(), json!({"key_ops": operations}));
            assert_eq!(error(key), is("key_ops", KeyError::NotForVerifying));
        }
    }
}

#[test]
fn an_alg_goes_with_the_kind_of_key() {
    let of_other_kind = is("alg", KeyError::AlgorithmOfOtherKind);
    for (key, algorithm) in
        [(rsa(), "HS256"), (rsa(), "ES256"), (ec(), "ES384"), (okp(), "RS256"), (oct(64), "RS256")]
    {
        assert_eq!(error(with(key, json!({"alg": algorithm}))), of_other_kind, "{algorithm}");
    }
    for algorithm in ["none", "RSA-OAEP", "", "rs256"] {
        let key = with(rsa(), json!({"alg": algorithm}));
        assert_eq!(error(key), is("alg", KeyError::UnknownAlgorithm));
    }
}

#[test]
fn private_keys_are_turned_away() {
    for member in ["d", "p", "q", "dp", "dq", "qi", "oth", "k"] {
        for key in [rsa(), ec(), okp()] {
            assert_eq!(error(with(key, json!({member: "AA"}))), is(member, KeyError::PrivatePart));
        }
    }
}

#[test]
fn every_key_of_a_set_has_to_be_good_and_all_errors_come_at_once() {
    let keys = json!([
        1,
        with(rsa(), json!({"n": "AQAB"})),
        rsa(),
        {"kty": "DSA"},
        {},
        with(okp(), json!({"kid": 1})),
    ]);
    let expected = [
        ("keys[0]", KeyError::NotAnObject),
        ("keys[1].n", KeyError::ModulusTooShort),
        ("keys[3].kty", KeyError::UnknownKind),
        ("keys[4].kty", KeyError::Missing),
        ("keys[5].kid", KeyError::NotAString),
    ];
    let expected = expected.map(|(path, error)| (path.to_owned(), error));
    assert_eq!(errors(keys, &[Algorithm::ES256]), expected);
    let set = |value: Value| KeySet::from_jwks(&value, &[]).err();
    for value in [json!([]), json!({}), json!({"keys": {}}), json!("x"), rsa()] {
        assert_eq!(set(value), Some(vec![(String::new(), KeyError::NotASet)]));
    }
    let at_list = |error| vec![("keys".to_owned(), error)];
    assert_eq!(errors(json!([]), &[]), at_list(KeyError::NoKeys));
    assert_eq!(errors(json!(vec![okp(); MAX_KEYS + 1]), &[]), at_list(KeyError::TooManyKeys));
    let none = KeyError::NoKeyFor(Algorithm::RS256);
    assert_eq!(errors(json!([okp()]), &[Algorithm::RS256, Algorithm::EdDSA]), at_list(none));
}

#[test]
fn a_kid_names_one_key_per_algorithm() {
    let kid = |key: Value, more: Value| with(with(key, json!({"kid": "a"})), more);
    let twice = vec![("keys[1].kid".to_owned(), KeyError::DuplicateKid)];
    let (rs256, ps256) = (json!({"alg": "RS256"}), json!({"alg": "PS256"}));
    assert_eq!(errors(json!([kid(rsa(), json!({})), kid(rsa(), json!({}))]), &[]), twice);
    assert_eq!(errors(json!([kid(rsa(), json!({})), kid(rsa(), rs256.clone())]), &[]), twice);
    assert_eq!(errors(json!([kid(rsa(), ps256), kid(rsa(), rs256)]), &[]), []);
    assert_eq!(errors(json!([kid(rsa(), json!({})), kid(ec(), json!({}))]), &[]), []);
    assert_eq!(errors(json!([rsa(), rsa()]), &[]), []);
}

#[test]
fn a_token_without_kid_is_not_tried_on_any_number_of_keys() {
    let keys: Vec<Value> = (0..9).map(|i| with(oct(64), json!({"kid": i.to_string()}))).collect();
    let issuer = issuer_with(&json!({"keys": keys}), &[Algorithm::HS256]);
    assert_eq!(try_token(issuer, &token(json!({}))).err(), Some(AuthError::KidNeeded));
    let issuer = issuer_with(&json!({"keys": keys[..8]}), &[Algorithm::HS256]);
    assert_eq!(try_token(issuer, &token(json!({}))).err(), Some(AuthError::Signature));
}

/// Keys of so many bits, no two alike, with a `kid` or without.
fn rsa_keys(count: u8, bits: usize, named: bool) -> Value {
    let key = |number: u8| {
        let mut modulus = vec![0xff; bits / 8];
        modulus[1] = number;
        let kid = if named { json!(number.to_string()) } else { Value::Null };
        with(rsa(), json!({"n": b64(modulus), "kid": kid}))
    };
    (0..count).map(key).collect()
}

#[test]
fn a_token_without_kid_is_tried_on_no_more_than_a_millisecond_of_keys() {
    let tried = |algorithm: Algorithm, count: u8, bits: usize| {
        let keys = json!({"keys": rsa_keys(count, bits, true)});
        let keys = KeySet::from_jwks(&keys, &[algorithm]).unwrap();
        keys.verify((algorithm, None), b"text", &vec![1; bits / 8], &NoHost).err()
    };
    for (bits, most) in [(2_048, 2), (3_072, 1), (4_096, 1), (8_192, 1)] {
        assert_eq!(tried(Algorithm::PS256, most, bits), Some(AuthError::Signature), "{bits}");
        let more = tried(Algorithm::PS256, most + 1, bits);
        assert_eq!(more, Some(AuthError::KidNeeded), "{bits}");
    }
    // The host takes less time for them.
    for (bits, most) in [(2_048, 8), (4_096, 8), (8_192, 2)] {
        assert_eq!(tried(Algorithm::RS256, most, bits), Some(AuthError::Signature), "{bits}");
        assert_eq!(tried(Algorithm::RS256, most + 1, bits), Some(AuthError::KidNeeded), "{bits}");
    }
}

#[test]
fn keys_that_only_tokens_without_kid_can_mean_are_no_more_than_such_a_token_is_tried_on() {
    let refused = |keys: Value, algorithm: Algorithm| errors(keys, &[algorithm]);
    let needed = |algorithm| vec![("keys".to_owned(), KeyError::KidNeeded(algorithm))];
    let eight = rsa_keys(8, 4_096, false);
    assert_eq!(refused(eight.clone(), Algorithm::PS256), needed(Algorithm::PS256));
    assert_eq!(refused(eight.clone(), Algorithm::RS256), []);
    assert_eq!(refused(rsa_keys(8, 4_096, true), Algorithm::PS256), []);
    assert_eq!(refused(rsa_keys(2, 2_048, false), Algorithm::PS256), []);
    assert_eq!(refused(rsa_keys(9, 2_048, false), Algorithm::RS256), needed(Algorithm::RS256));
    let secrets = |count: usize| (0..count).map(|i| oct(64 + i)).collect::<Value>();
    assert_eq!(refused(secrets(8), Algorithm::HS256), []);
    assert_eq!(refused(secrets(9), Algorithm::HS256), needed(Algorithm::HS256));
    // One without is enough: only tokens that name none can mean it.
    let mut mixed = rsa_keys(8, 4_096, true);
    mixed[3] = with(mixed[3].clone(), json!({"kid": null}));
    assert_eq!(refused(mixed, Algorithm::PS256), needed(Algorithm::PS256));
    // A key's `alg` keeps it out of the others' trials.
    let only = |key: &Value| with(key.clone(), json!({"alg": "RS256"}));
    let mut few: Vec<Value> = eight.as_array().unwrap().iter().map(only).collect();
    few[0] = with(few[0].clone(), json!({"alg": "PS256"}));
    assert_eq!(refused(json!(few), Algorithm::PS256), []);
}

#[test]
fn an_exponent_that_costs_more_counts_more() {
    let keys = |e: &[u8]| {
        let with_e = |key: &Value| with(key.clone(), json!({"e": b64(e)}));
        let keys: Value =
            rsa_keys(2, 2_048, false).as_array().unwrap().iter().map(with_e).collect();
        errors(keys, &[Algorithm::PS256])
    };
    assert_eq!(keys(&[1, 0, 1]), []);
    assert_eq!(keys(&[3]), []);
    let needed = ("keys".to_owned(), KeyError::KidNeeded(Algorithm::PS256));
    assert_eq!(keys(&[1, 0xff, 0xff, 0xff, 0xff]), [needed]);
}

#[test]
fn nothing_secret_is_shown() {
    let keys = json!({"keys": [with(oct(64), json!({"kid": "a"})), okp()]});
    let keys = KeySet::from_jwks(&keys, &[]).unwrap();
    assert_eq!(format!("{keys:?}"), r#"[Some("a"), None]"#);
}

#[test]
fn errors_say_what_to_write() {
    let said = KeyError::NoKeyFor(Algorithm::ES256).to_string();
    assert_eq!(said, "has no key for ES256; add one, or remove the algorithm");
    let said = KeyError::SecretTooShort { bytes: 48 }.to_string();
    assert_eq!(said, "is shorter than 48 bytes; make a longer random secret");
}

proptest! {
    #[test]
    fn never_panics(
        kty in "RSA|EC|OKP|oct|x",
        crv in "P-256|P-384|Ed25519|x",
        members in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 5),
    ) {
        let mut key = json!({"kty": kty, "crv": crv});
        for (name, bytes) in ["n", "e", "x", "y", "k"].iter().zip(members) {
            key[*name] = json!(b64(bytes));
        }
        jwk::fuzz_jwks(json!({"keys": [key]}).to_string().as_bytes());
    }
}

#[test]
fn fuzzer_entry_runs() {
    for seed in ["", "{}", r#"{"keys":[{}]}"#, r#"{"keys":[{"kty":"oct","k":"AAAA"}]}"#] {
        jwk::fuzz_jwks(seed.as_bytes());
    }
    jwk::fuzz_jwks(json!({"keys": [rsa(), ec(), okp(), oct(64)]}).to_string().as_bytes());
}
