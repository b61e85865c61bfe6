//! Hosts with native signatures, as the tests have them.

use super::*;
use rsa::pkcs8::DecodePublicKey;
use rsa::signature::Verifier;
use std::cell::RefCell;

/// What a host was asked: hash, key, signature, text.
pub(super) type Question = (Hash, Vec<u8>, Vec<u8>, Vec<u8>);

/// A host that knows OpenSSL's verdicts and nothing else: it says yes to the
/// questions that it was given, and no to any other.
#[derive(Default)]
pub(super) struct Recorded {
    pub(super) yes: Vec<Question>,
    pub(super) asked: RefCell<Vec<Question>>,
}

impl Signatures for Recorded {
    fn verify(&self, hash: Hash, spki: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        let question = (hash, spki.to_vec(), signature.to_vec(), text.to_vec());
        let verdict = self.yes.contains(&question);
        self.asked.borrow_mut().push(question);
        Some(verdict)
    }
}

/// A host that always says the same.
pub(super) struct Always(pub(super) bool);

impl Signatures for Always {
    fn verify(&self, _: Hash, _: &[u8], _: &[u8], _: &[u8]) -> Option<bool> {
        Some(self.0)
    }
}

/// A host that reads key and signature from their DER, as Envoy's does.
pub(super) struct Decoding;

impl Signatures for Decoding {
    fn verify(&self, hash: Hash, spki: &[u8], signature: &[u8], text: &[u8]) -> Option<bool> {
        if let Ok(key) = p256::ecdsa::VerifyingKey::from_public_key_der(spki) {
            let signature = p256::ecdsa::DerSignature::try_from(signature).ok()?;
            return Some(hash == Hash::Sha256 && key.verify(text, &signature).is_ok());
        }
        if let Ok(key) = p384::ecdsa::VerifyingKey::from_public_key_der(spki) {
            let signature = p384::ecdsa::DerSignature::try_from(signature).ok()?;
            return Some(hash == Hash::Sha384 && key.verify(text, &signature).is_ok());
        }
        let key = rsa::PublicKey::from_public_key_der(spki).ok()?;
        let signature = rsa::pkcs1v15::Signature::try_from(signature).ok()?;
        Some(match hash {
            Hash::Sha256 => rsa::pkcs1v15::VerifyingKey::<sha2::Sha256>::new(key)
                .verify(text, &signature)
                .is_ok(),
            Hash::Sha384 => rsa::pkcs1v15::VerifyingKey::<sha2::Sha384>::new(key)
                .verify(text, &signature)
                .is_ok(),
            Hash::Sha512 => rsa::pkcs1v15::VerifyingKey::<sha2::Sha512>::new(key)
                .verify(text, &signature)
                .is_ok(),
        })
    }
}
