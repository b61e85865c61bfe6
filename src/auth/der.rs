//! The two DER forms (ITU-T X.690) that Envoy's `verify_signature` takes: keys as
//! SubjectPublicKeyInfo (RFC 5280 §4.1), ECDSA signatures as `Ecdsa-Sig-Value`
//! (RFC 3279 §2.2.3). Only written, never read.

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const SEQUENCE: u8 = 0x30;

/// `rsaEncryption` with its NULL (RFC 8017 §A.1), an AlgorithmIdentifier.
const RSA_ENCRYPTION: &[u8] =
    &[0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00];

/// A public key of RSA; modulus and exponent are unsigned and big-endian.
pub(super) fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Box<[u8]> {
    let key = element(SEQUENCE, &[integer(modulus), integer(exponent)].concat());
    // No bit of the last byte is unused.
    let key = element(BIT_STRING, &[&[0], key.as_slice()].concat());
    element(SEQUENCE, &[RSA_ENCRYPTION, &key].concat()).into()
}

/// A signature of ECDSA; `r` and `s` are unsigned and big-endian.
pub(super) fn ecdsa_signature(r: &[u8], s: &[u8]) -> Vec<u8> {
    element(SEQUENCE, &[integer(r), integer(s)].concat())
}

/// An unsigned integer without the zeros in front of it.
pub(super) fn significant(integer: &[u8]) -> &[u8] {
    let zeros = integer.iter().take_while(|byte| **byte == 0).count();
    integer.get(zeros..).unwrap_or_default()
}

/// INTEGER: signed, so that a zero byte goes before a first bit that is set.
fn integer(unsigned: &[u8]) -> Vec<u8> {
    let digits = significant(unsigned);
    let sign = digits.first().is_none_or(|first| first & 0x80 != 0);
    let zero: &[u8] = if sign { &[0] } else { &[] };
    element(INTEGER, &[zero, digits].concat())
}

/// Tag, length and contents. A length of 128 and more is preceded by the count of
/// its bytes.
fn element(tag: u8, contents: &[u8]) -> Vec<u8> {
    let mut written = vec![tag];
    match u8::try_from(contents.len()) {
        Ok(short @ 0..=0x7f) => written.push(short),
        _ => {
            let bytes = contents.len().to_be_bytes();
            let length = significant(&bytes);
            // At most 8 bytes.
            written.push(0x80 | u8::try_from(length.len()).unwrap_or(8));
            written.extend_from_slice(length);
        }
    }
    written.extend_from_slice(contents);
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rsa::pkcs8::EncodePublicKey;

    #[test]
    fn integers_are_signed_and_as_short_as_can_be() {
        for (unsigned, written) in [
            (&[][..], &[2, 1, 0][..]),
            (&[0, 0], &[2, 1, 0]),
            (&[1], &[2, 1, 1]),
            (&[0, 0x7f], &[2, 1, 0x7f]),
            (&[0x80], &[2, 2, 0, 0x80]),
            (&[0, 0xff, 0], &[2, 3, 0, 0xff, 0]),
        ] {
            assert_eq!(integer(unsigned), written, "{unsigned:?}");
        }
    }

    #[test]
    fn lengths_have_a_short_and_a_long_form() {
        for (length, written) in [
            (0_usize, &[0][..]),
            (127, &[127]),
            (128, &[0x81, 128]),
            (255, &[0x81, 255]),
            (256, &[0x82, 1, 0]),
            (65_536, &[0x83, 1, 0, 0]),
        ] {
            let element = element(SEQUENCE, &vec![7; length]);
            assert_eq!(&element[1..element.len() - length], written, "{length}");
        }
    }

    proptest! {
        #[test]
        fn keys_are_written_as_by_another_encoder(
            mut n in proptest::collection::vec(any::<u8>(), 129..600),
            e in any::<u32>(),
        ) {
            n[0] |= 1;
            *n.last_mut().unwrap() |= 1;
            let e = e.max(3) | 1;
            let big = rsa::BoxedUint::from_be_slice_vartime(&n);
            let key = rsa::PublicKey::new(big, rsa::BoxedUint::from(u64::from(e))).unwrap();
            let expected = key.to_public_key_der().unwrap();
            prop_assert_eq!(&*rsa_spki(&n, &e.to_be_bytes()), expected.as_bytes());
        }

        #[test]
        fn signatures_are_written_as_by_another_encoder(
            bytes in proptest::collection::vec(any::<u8>(), 64),
            zeros in 0..32_usize,
        ) {
            let mut bytes = bytes;
            bytes[..zeros].fill(0);
            bytes[32..32 + zeros].fill(0);
            bytes[31] |= 1;
            bytes[63] |= 1;
            if let Ok(signature) = p256::ecdsa::Signature::from_slice(&bytes) {
                let (r, s) = bytes.split_at(32);
                let expected = signature.to_der();
                prop_assert_eq!(ecdsa_signature(r, s), expected.as_bytes());
            }
        }
    }
}
