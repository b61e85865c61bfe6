//! The examples of the RFCs.

use super::hosts::Decoding;
use super::*;

const A1_KEY: &str =
    "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow";
const A2_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";

/// All three of RFC 7515 A.1–A.3 sign this payload.
const PAYLOAD: &str = "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
const A1: (&str, &str) =
    ("eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
const A2: (&str, &str) = (
    "eyJhbGciOiJSUzI1NiJ9",
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw",
);
const A3: (&str, &str) = (
    "eyJhbGciOiJFUzI1NiJ9",
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
);

fn check(jwk: Value, algorithm: Algorithm, (header, signature): (&str, &str)) {
    let issuer =
        Issuer { issuer: "joe".to_owned(), ..issuer_with(&json!({"keys": [jwk]}), &[algorithm]) };
    let rules = rules(vec![issuer]);
    let token = format!("{header}.{PAYLOAD}.{signature}");
    for host in [&NoHost as &dyn Signatures, &Decoding] {
        let verdict = present(&rules, &token, at(1_300_819_379), host);
        if verdict == Err(AuthError::Unverifiable) && !cfg!(feature = "own-ecdsa") {
            continue;
        }
        let identity = verdict.unwrap();
        assert_eq!(identity.claims["http://example.com/is_root"], json!(true));
        assert_eq!(identity.expires, Some(at(1_300_819_410)));
        assert_eq!(identity.user, None);
        let changed = format!("{}A{}", &token[..token.len() - 9], &token[token.len() - 8..]);
        assert_ne!(changed, token);
        let verdict = present(&rules, &changed, at(1_300_819_379), host).map(|_| ());
        assert_eq!(verdict, Err(AuthError::Signature));
    }
}

#[test]
fn rfc7515_a1_hs256() {
    check(json!({"kty": "oct", "k": A1_KEY}), Algorithm::HS256, A1);
}

#[test]
fn rfc7515_a2_rs256() {
    check(json!({"kty": "RSA", "n": A2_N, "e": "AQAB"}), Algorithm::RS256, A2);
}

#[test]
fn rfc7515_a3_es256() {
    let key = json!({
        "kty": "EC",
        "crv": "P-256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    });
    check(key, Algorithm::ES256, A3);
}

#[test]
fn rfc8037_a4_ed25519() {
    // Its payload is plain text, no claims: only the signature can be checked.
    let key = json!({"keys": [{
        "kty": "OKP",
        "crv": "Ed25519",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }]});
    let keys = KeySet::from_jwks(&key, &[Algorithm::EdDSA]).unwrap();
    let text = b"eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc";
    let mut signature = unb64(
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
    );
    let named = (Algorithm::EdDSA, None);
    assert!(keys.verify(named, text, &signature, &NoHost).is_ok());
    signature[40] ^= 1;
    let refused = keys.verify(named, text, &signature, &NoHost).err();
    assert_eq!(refused, Some(AuthError::Signature));
}

#[test]
fn rfc7515_a5_unsecured_is_refused() {
    let token = format!("eyJhbGciOiJub25lIn0.{PAYLOAD}.");
    let issuer = Issuer { issuer: "joe".to_owned(), ..issuer() };
    assert_eq!(try_token(issuer, &token).err(), Some(AuthError::Algorithm));
}

#[test]
fn rfc7515_e_negative_crit_is_refused() {
    // Appendix E: a header that asks for an extension nobody has.
    let header = "eyJhbGciOiJub25lIiwNCiAiY3JpdCI6WyJodHRwOi8vZXhhbXBsZS5jb20vVU5ERUZJTkVEIl0sDQogImh0dHA6Ly9leGFtcGxlLmNvbS9VTkRFRklORUQiOnRydWUNCn0";
    let token = format!("{header}.{PAYLOAD}.");
    let issuer = Issuer { issuer: "joe".to_owned(), ..issuer() };
    assert_eq!(try_token(issuer, &token).err(), Some(AuthError::Algorithm));
}
