//! tests/vectors/tokens.json: tokens that joserfc made, forgeries, and what
//! OpenSSL says about each.

use super::hosts::{Always, Decoding, Recorded};
use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::LazyLock;

static FILE: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../tests/vectors/tokens.json")).unwrap()
});

/// One token of the file.
struct Vector {
    name: &'static str,
    algorithm: Algorithm,
    key: &'static str,
    token: &'static str,
    verifies: bool,
    host_signature: Option<Vec<u8>>,
}

fn vectors(list: &str) -> impl Iterator<Item = Vector> {
    FILE[list].as_array().unwrap().iter().map(|entry| Vector {
        name: entry["name"].as_str().unwrap(),
        algorithm: Algorithm::parse(entry["alg"].as_str().unwrap()).unwrap(),
        key: entry["key"].as_str().unwrap(),
        token: entry["token"].as_str().unwrap(),
        verifies: entry["verifies"].as_bool().unwrap(),
        host_signature: entry.get("host_signature").map(|s| unb64(s.as_str().unwrap())),
    })
}

fn jwk(kid: &str) -> Value {
    let keys = FILE["keys"].as_array().unwrap();
    keys.iter().find(|key| key["kid"] == kid).unwrap().clone()
}

/// The issuer with all of the file's keys and every algorithm.
fn everything() -> AuthRules {
    rules(vec![issuer_with(&json!({"keys": FILE["keys"]}), Algorithm::ALL)])
}

/// What the host is asked about this vector, made from OpenSSL's encodings.
fn question(vector: &Vector) -> Option<hosts::Question> {
    let (text, _) = vector.token.rsplit_once('.').unwrap();
    let spki = unb64(FILE["spki"][vector.key].as_str()?);
    let signature = vector.host_signature.clone()?;
    Some((vector.algorithm.hash(), spki, signature, text.as_bytes().to_vec()))
}

fn openssl() -> Recorded {
    let good = vectors("good").chain(vectors("edge")).filter(|vector| vector.verifies);
    Recorded { yes: good.filter_map(|vector| question(&vector)).collect(), ..Recorded::default() }
}

/// Returns true if this build cannot verify the vector without the host.
fn is_left_to_the_host(vector: &Vector) -> bool {
    !cfg!(feature = "own-ecdsa") && vector.algorithm.name().starts_with("ES")
}

#[test]
fn good_tokens_of_every_algorithm_verify_with_and_without_the_host() {
    let (rules, openssl) = (everything(), openssl());
    let mut seen = BTreeSet::new();
    for vector in vectors("good") {
        for host in [&NoHost as &dyn Signatures, &openssl, &Decoding] {
            let identity = present(&rules, vector.token, at(NOW), host);
            if identity == Err(AuthError::Unverifiable) {
                assert!(is_left_to_the_host(&vector), "{}", vector.name);
                continue;
            }
            let identity = identity.unwrap_or_else(|e| panic!("{}: {e}", vector.name));
            assert_eq!(identity.user.as_deref(), Some("https://issuer.example.com#alice"));
            assert_eq!(identity.key_id, vector.key);
        }
        seen.insert(vector.algorithm.name());
    }
    assert_eq!(seen.len(), Algorithm::ALL.len());
}

#[test]
fn edge_cases_get_the_verdict_of_openssl_with_and_without_the_host() {
    let (rules, openssl) = (everything(), openssl());
    for vector in vectors("edge") {
        for host in [&NoHost as &dyn Signatures, &openssl, &Decoding] {
            let verdict = present(&rules, vector.token, at(NOW), host).map(|_| ());
            let expected = if vector.verifies { Ok(()) } else { Err(AuthError::Signature) };
            let is_unverifiable = verdict == Err(AuthError::Unverifiable);
            assert!(verdict == expected || is_unverifiable, "{}: {verdict:?}", vector.name);
            assert!(!is_unverifiable || is_left_to_the_host(&vector), "{}", vector.name);
        }
    }
}

#[test]
fn the_host_is_asked_for_rs_and_es_only_and_never_what_it_might_misread() {
    let rules = everything();
    for vector in vectors("good").chain(vectors("edge")) {
        let host = openssl();
        let _ = present(&rules, vector.token, at(NOW), &host);
        let asked = host.asked.borrow();
        let name = vector.algorithm.name();
        if !name.starts_with("RS") && !name.starts_with("ES") {
            assert!(asked.is_empty(), "{}", vector.name);
        }
        // Wrong lengths and r or s out of range are settled before.
        for (_, _, signature, _) in asked.iter() {
            assert_eq!(Some(signature), vector.host_signature.as_ref(), "{}", vector.name);
            let length = signature.len();
            assert!(if name.starts_with("RS") { length % 128 == 0 } else { length <= 104 });
        }
        if vector.verifies {
            assert_eq!(asked.first(), question(&vector).as_ref(), "{}", vector.name);
        }
    }
}

#[test]
fn a_host_that_says_yes_to_everything_cannot_make_a_malformed_signature_good() {
    let rules = everything();
    for vector in vectors("edge") {
        let malformed = ["byte cut", "in front", "empty", "instead of", "= 0", "= n", "= max"];
        let out_of_range =
            |part: &str| vector.name.contains(part) && !vector.name.contains("n - 1");
        if vector.algorithm.name().starts_with("ES") && malformed.iter().any(|m| out_of_range(m)) {
            let verdict = present(&rules, vector.token, at(NOW), &Always(true)).map(|_| ());
            assert_eq!(verdict, Err(AuthError::Signature), "{}", vector.name);
        }
    }
}

#[test]
fn the_hosts_word_is_final() {
    let rules = everything();
    for vector in vectors("good") {
        let asks_host = vector.host_signature.is_some();
        let verdict = present(&rules, vector.token, at(NOW), &Always(false)).map(|_| ());
        let expected = if asks_host { Err(AuthError::Signature) } else { Ok(()) };
        assert_eq!(verdict, expected, "{}", vector.name);
    }
}

/// As the module is built for stock Envoy: elsewhere these close, and say why.
#[cfg(not(feature = "own-ecdsa"))]
#[test]
fn where_nobody_can_verify_a_signature_it_is_refused_and_the_operator_is_told() {
    for name in ["ES256", "ES384"] {
        let vector = vectors("good").find(|vector| vector.algorithm.name() == name).unwrap();
        let rules = everything();
        let worker = Worker::of(&rules);
        let head = head(&[("authorization", &format!("Bearer {}", vector.token))]);
        let mut attempt = Attempt::new(Presented::collect(&rules, &head, None, &[]));
        let wish = authorize::Wish { head: &head, path: "/ws", query: None, said: &[] };
        let refused = attempt.advance(&rules, wish, worker.desk(&NoHost));
        assert_eq!(refused, Err(AuthError::Unverifiable));
        assert_eq!(AuthError::Unverifiable.reason(), crate::reason::Reason::AuthUnavailable);
        let lines = worker.host.take_lines();
        assert!(lines.iter().any(|(_, line)| line.contains("verify_signature")), "{lines:?}");
    }
}

#[test]
fn no_public_part_of_a_key_is_ever_a_secret() {
    let rules = everything();
    for entry in FILE["confused"].as_array().unwrap() {
        let (name, token) = (entry["name"].as_str().unwrap(), entry["token"].as_str().unwrap());
        let verdict = present(&rules, token, at(NOW), &NoHost).map(|_| ());
        let kid_of_rsa = name.ends_with("kid rsa");
        let expected = if kid_of_rsa { AuthError::KeyMismatch } else { AuthError::Signature };
        assert_eq!(verdict, Err(expected), "{name}");
    }
}

#[test]
fn an_algorithm_that_is_not_configured_is_refused_whatever_the_key_could_do() {
    for vector in vectors("good") {
        let others: Vec<_> =
            Algorithm::ALL.iter().copied().filter(|a| *a != vector.algorithm).collect();
        let issuer = Issuer {
            algorithms: others,
            ..issuer_with(&json!({"keys": FILE["keys"]}), Algorithm::ALL)
        };
        assert_eq!(try_token(issuer, vector.token).err(), Some(AuthError::Algorithm));
    }
}

#[test]
fn the_alg_of_a_key_restricts_it() {
    for vector in vectors("good").filter(|vector| vector.key == "rsa") {
        for only in ["RS256", "RS384", "PS256", "PS512"] {
            let mut key = jwk("rsa");
            key["alg"] = json!(only);
            let keys = KeySet::from_jwks(&json!({"keys": [key]}), &[]).unwrap();
            let issuer = Issuer {
                keys: IssuerKeys::Fixed(keys),
                algorithms: Algorithm::ALL.to_vec(),
                ..issuer()
            };
            let verdict = try_token(issuer, vector.token).map(|_| ());
            let fits = only == vector.algorithm.name();
            assert_eq!(verdict, if fits { Ok(()) } else { Err(AuthError::KeyMismatch) });
        }
    }
}

#[test]
fn a_kid_chooses_the_key_and_a_set_without_kids_is_tried_through() {
    let vector = vectors("good").find(|vector| vector.name == "ES256 by p256").unwrap();
    let with = |kids: [Option<&str>; 2]| {
        let mut keys = [jwk("ed25519"), jwk("p256")];
        for (key, kid) in keys.iter_mut().zip(kids) {
            key["kid"] = json!(kid);
            if kid.is_none() {
                key.as_object_mut().unwrap().remove("kid");
            }
        }
        issuer_with(&json!({"keys": keys}), &[Algorithm::ES256, Algorithm::EdDSA])
    };
    let verdict = |kids| {
        let rules = rules(vec![with(kids)]);
        present(&rules, vector.token, at(NOW), &Decoding).map(|identity| identity.key_id)
    };
    assert_eq!(verdict([Some("a"), Some("p256")]), Ok("p256".to_owned()));
    assert_eq!(verdict([Some("a"), Some("b")]), Err(AuthError::UnknownKid));
    assert_eq!(verdict([Some("p256"), Some("b")]), Err(AuthError::KeyMismatch));
    assert_eq!(verdict([Some("a"), None]), Err(AuthError::UnknownKid));
    let prefix = identity::hash_prefix(vector.token.as_bytes());
    assert_eq!(prefix.len(), 8);
    assert_eq!(verdict([None, None]), Ok(prefix));
}

#[test]
fn spki_is_what_openssl_writes() {
    for (name, expected) in FILE["spki"].as_object().unwrap() {
        let Ok(key) = super::key::Key::from_jwk(&jwk(name)) else { panic!("{name}") };
        if let Some(spki) = key.spki() {
            assert_eq!(b64(spki), expected.as_str().unwrap(), "{name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_changed_byte_verifies(
        index in any::<prop::sample::Index>(),
        which in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        static RULES: LazyLock<AuthRules> = LazyLock::new(|| AuthRules {
            sources: vec![CredentialSource::Header("x-token".to_owned())],
            ..everything()
        });
        let vectors: Vec<_> = vectors("good").collect();
        let vector = which.get(&vectors);
        let mut changed = vector.token.as_bytes().to_vec();
        let place = index.get_mut(&mut changed);
        prop_assume!(*place != byte);
        *place = byte;
        let lines = vec![("x-token".to_owned(), changed)];
        let head = RequestHead { headers: Headers::new(lines), ..head(&[]) };
        let presented = Presented::collect(&RULES, &head, None, &[]);
        let verdict = authenticate(&RULES, presented, at(NOW), &NoHost);
        prop_assert!(verdict.is_err(), "{} with {byte:#x}", vector.name);
    }
}

#[test]
fn each_part_changed_is_refused() {
    let rules = everything();
    for vector in vectors("good") {
        let parts: Vec<&str> = vector.token.split('.').collect();
        let changed = |index: usize, part: String| {
            let mut parts: Vec<String> = parts.iter().map(|part| (*part).to_owned()).collect();
            parts[index] = part;
            present(&rules, &parts.join("."), at(NOW), &Decoding).err()
        };
        let mut header: Value = serde_json::from_slice(&unb64(parts[0])).unwrap();
        header["typ"] = json!("JWT");
        assert_eq!(changed(0, b64(header.to_string())), Some(AuthError::Signature));
        let mut claims: Value = serde_json::from_slice(&unb64(parts[1])).unwrap();
        claims["sub"] = json!("mallory");
        assert_eq!(changed(1, b64(claims.to_string())), Some(AuthError::Signature));
        let mut signature = unb64(parts[2]);
        for place in [0, signature.len() / 2, signature.len() - 1] {
            signature[place] ^= 1;
            assert_eq!(changed(2, b64(&signature)), Some(AuthError::Signature));
            signature[place] ^= 1;
        }
        assert_eq!(changed(2, String::new()), Some(AuthError::Signature));
    }
}
