//! Wycheproof's cases for the algorithms of tokens, each with the verdict that
//! RFC 7518 and RFC 8037 want. Included by the unit tests, which give them to the
//! wasm's verifier, and by the tests with Envoy, which give them to its.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use wycheproof::{HashFunction, TestResult, ecdsa, eddsa, mac, rsa_pkcs1_verify, rsa_pss_verify};

/// One case.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    /// As in RFC 7518.
    pub algorithm: &'static str,
    pub jwk: Value,
    pub text: Vec<u8>,
    pub signature: Vec<u8>,
    pub verdict: Verdict,
}

/// What is to come of it, and why where that is another thing than Wycheproof says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Good,
    Bad,
    /// A key that must not be used (RFC 7518 §3.2): shorter than the hash.
    KeyRefused,
    /// Good in itself; a JWS has the whole tag (RFC 7518 §3.2).
    TagTruncated,
    /// Good in itself; a JWS has this hash for MGF1, too, and a salt as long
    /// (RFC 7518 §3.5).
    OtherParameters,
    /// Taken by some: DigestInfo without the NULL that RFC 8017 §9.2 wants there.
    MissingNull,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn verdict(result: TestResult) -> Verdict {
    match result {
        TestResult::Valid => Verdict::Good,
        TestResult::Invalid => Verdict::Bad,
        TestResult::Acceptable => panic!("one more kind of case that is a matter of taste"),
    }
}

/// An integer in so many bytes (RFC 7518 §6.2.1.2).
fn padded(integer: &[u8], bytes: usize) -> Vec<u8> {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    let significant = &integer[zeros..];
    [vec![0; bytes - significant.len()], significant.to_vec()].concat()
}

fn rsa(n: &[u8], e: &[u8]) -> Value {
    json!({"kty": "RSA", "n": b64(n), "e": b64(e)})
}

/// RS256, RS384, RS512, over keys of 2048 to 4096 bits, and once 8192, which take
/// their time.
pub fn pkcs1() -> Vec<Case> {
    use rsa_pkcs1_verify::{TestFlag, TestName as T, TestSet};
    let sets = [
        ("RS256", vec![T::Rsa2048Sha256, T::Rsa3072Sha256, T::Rsa4096Sha256, T::Rsa8192Sha256]),
        ("RS384", vec![T::Rsa2048Sha384, T::Rsa3072Sha384, T::Rsa4096Sha384]),
        ("RS512", vec![T::Rsa2048Sha512, T::Rsa3072Sha512, T::Rsa4096Sha512]),
    ];
    let mut cases = Vec::new();
    for (algorithm, name) in sets.iter().flat_map(|(a, names)| names.iter().map(move |n| (*a, *n)))
    {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                cases.push(Case {
                    name: format!("{name:?} {}: {}", test.tc_id, test.comment),
                    algorithm,
                    jwk: rsa(&group.key.n, &group.key.e),
                    text: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    verdict: match test.result {
                        TestResult::Acceptable if test.flags == [TestFlag::MissingNull] => {
                            Verdict::MissingNull
                        }
                        result => verdict(result),
                    },
                });
            }
        }
    }
    cases
}

/// PS256, PS384, PS512.
pub fn pss() -> Vec<Case> {
    use rsa_pss_verify::{TestName as T, TestSet};
    let sets = [
        (
            "PS256",
            vec![
                T::RsaPss2048Sha256Mgf1SaltLen32,
                T::RsaPss3072Sha256Mgf1SaltLen32,
                T::RsaPss4096Sha256Mgf1SaltLen32,
                T::RsaPss2048Sha256Mgf1SaltLen0,
                T::RsaPss2048Sha256Mgf1Sha1_20,
                T::RsaPssmisc,
            ],
        ),
        (
            "PS384",
            vec![T::RsaPss2048Sha384Mgf1SaltLen48, T::RsaPss4096Sha384Mgf1SaltLen48, T::RsaPssmisc],
        ),
        (
            "PS512",
            vec![T::RsaPss4096Sha512Mgf1SaltLen64, T::RsaPss4096Sha512Mgf1SaltLen32, T::RsaPssmisc],
        ),
    ];
    let mut cases = Vec::new();
    for (algorithm, name) in sets.iter().flat_map(|(a, names)| names.iter().map(move |n| (*a, *n)))
    {
        let (hash, salt_bytes) = match algorithm {
            "PS256" => (HashFunction::Sha2_256, 32),
            "PS384" => (HashFunction::Sha2_384, 48),
            _ => (HashFunction::Sha2_512, 64),
        };
        for group in TestSet::load(name).unwrap().test_groups {
            let ours =
                (group.hash, group.mgf_hash, group.salt_size) == (hash, Some(hash), salt_bytes);
            // What is bad by other parameters may be good by ours.
            let tells = |test: &rsa_pss_verify::Test| ours || test.result == TestResult::Valid;
            for test in group.tests.into_iter().filter(tells) {
                cases.push(Case {
                    name: format!("{algorithm} {name:?} {}: {}", test.tc_id, test.comment),
                    algorithm,
                    jwk: rsa(&group.key.n, &group.key.e),
                    text: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    verdict: match verdict(test.result) {
                        Verdict::Good if !ours => Verdict::OtherParameters,
                        verdict => verdict,
                    },
                });
            }
        }
    }
    cases
}

/// ES256 and ES384, whose signatures are `r` and `s` one after the other.
pub fn ecdsa() -> Vec<Case> {
    use ecdsa::{TestName as T, TestSet};
    let mut cases = Vec::new();
    for (algorithm, crv, bytes, name) in [
        ("ES256", "P-256", 32, T::EcdsaSecp256r1Sha256P1363),
        ("ES384", "P-384", 48, T::EcdsaSecp384r1Sha384P1363),
    ] {
        for group in TestSet::load(name).unwrap().test_groups {
            let (x, y) = (&group.key.affine_x, &group.key.affine_y);
            let (x, y) = (b64(padded(x, bytes)), b64(padded(y, bytes)));
            for test in group.tests {
                cases.push(Case {
                    name: format!("{name:?} {}: {}", test.tc_id, test.comment),
                    algorithm,
                    jwk: json!({"kty": "EC", "crv": crv, "x": x, "y": y}),
                    text: test.msg.to_vec(),
                    signature: test.sig.to_vec(),
                    verdict: verdict(test.result),
                });
            }
        }
    }
    cases
}

/// EdDSA with Ed25519.
pub fn ed25519() -> Vec<Case> {
    let set = eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap();
    let mut cases = Vec::new();
    for group in set.test_groups {
        for test in group.tests {
            cases.push(Case {
                name: format!("Ed25519 {}: {}", test.tc_id, test.comment),
                algorithm: "EdDSA",
                jwk: json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&*group.key.pk)}),
                text: test.msg.to_vec(),
                signature: test.sig.to_vec(),
                verdict: verdict(test.result),
            });
        }
    }
    cases
}

/// HS256, HS384, HS512.
pub fn hmac() -> Vec<Case> {
    use mac::{TestName as T, TestSet};
    let mut cases = Vec::new();
    for (algorithm, bytes, name) in
        [("HS256", 32, T::HmacSha256), ("HS384", 48, T::HmacSha384), ("HS512", 64, T::HmacSha512)]
    {
        for group in TestSet::load(name).unwrap().test_groups {
            for test in group.tests {
                cases.push(Case {
                    name: format!("{name:?} {}: {}", test.tc_id, test.comment),
                    algorithm,
                    jwk: json!({"kty": "oct", "k": b64(&*test.key), "alg": algorithm}),
                    text: test.msg.to_vec(),
                    signature: test.tag.to_vec(),
                    verdict: match verdict(test.result) {
                        _ if test.key.len() < bytes => Verdict::KeyRefused,
                        Verdict::Good if test.tag.len() < bytes => Verdict::TagTruncated,
                        verdict => verdict,
                    },
                });
            }
        }
    }
    cases
}
