//! Wycheproof's cases, through the verifier that needs no host; those with `r` and
//! `s` through a host that wants them in DER, as Envoy's does: what is signed in them
//! is no token, and jwt-simple, which would verify them here, takes nothing else. It
//! has the same crates as that host.

use super::hosts::Decoding;
use super::*;
use cases::{Case, Verdict};
use std::collections::BTreeMap;

#[path = "../../../tests/vectors/wycheproof.rs"]
#[expect(unreachable_pub, reason = "the tests with Envoy include it, too")]
mod cases;

/// Holds each to its verdict with these hosts; how many there were of each kind.
fn check(cases: &[Case], hosts: &[&dyn Signatures]) -> BTreeMap<String, usize> {
    let mut counted = BTreeMap::new();
    for case in cases {
        let algorithm = Algorithm::parse(case.algorithm).unwrap();
        let set = KeySet::from_jwks(&json!({"keys": [case.jwk]}), &[algorithm]);
        *counted.entry(format!("{:?}", case.verdict)).or_default() += 1;
        if case.verdict == Verdict::KeyRefused {
            assert!(set.is_err(), "{}", case.name);
            continue;
        }
        let set = set.unwrap_or_else(|errors| panic!("{}: {errors:?}", case.name));
        for host in hosts {
            let verdict = set.verify((algorithm, None), &case.text, &case.signature, *host);
            let expected = case.verdict == Verdict::Good;
            assert_eq!(verdict.is_ok(), expected, "{}, {:?}", case.name, case.verdict);
        }
    }
    counted
}

fn counted(expected: &[(&str, usize)]) -> BTreeMap<String, usize> {
    expected.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect()
}

#[test]
fn rsa_pkcs1() {
    let expected = [("Bad", 2503), ("Good", 75), ("MissingNull", 10)];
    assert_eq!(check(&cases::pkcs1(), &[&NoHost]), counted(&expected));
}

#[test]
fn rsa_pss() {
    let expected = [("Bad", 274), ("Good", 514), ("OtherParameters", 703)];
    assert_eq!(check(&cases::pss(), &[&NoHost]), counted(&expected));
}

#[test]
fn ecdsa() {
    let expected = [("Bad", 176), ("Good", 366)];
    assert_eq!(check(&cases::ecdsa(), &[&Decoding]), counted(&expected));
}

#[test]
fn ed25519() {
    let expected = [("Bad", 63), ("Good", 88)];
    assert_eq!(check(&cases::ed25519(), &[&NoHost]), counted(&expected));
}

#[test]
fn hmac() {
    let expected = [("Bad", 324), ("Good", 90), ("KeyRefused", 18), ("TagTruncated", 90)];
    assert_eq!(check(&cases::hmac(), &[&NoHost]), counted(&expected));
}
