//! JSON Web Signature, compact serialization (RFC 7515 §7.1).

use super::error::AuthError;
use super::json;
use super::jwk::Algorithm;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

/// The parts of a compact JWS, nothing verified yet.
#[derive(Clone, Copy)]
pub(super) struct Compact<'a> {
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
    /// What is signed: header and payload as they were sent (RFC 7515 §5.2).
    signed: &'a str,
}

/// The header parameters that verification goes by. Keys that a token brings
/// along (`jwk`, `jku`, `x5u`, `x5c`) are not read at all.
pub(super) struct Header {
    /// Known, and not `none`; whether it is allowed is the issuer's to say.
    pub(super) algorithm: Algorithm,
    pub(super) kid: Option<String>,
    /// An error if a registered header parameter that verification does not use has another
    /// type than RFC 7515 §4.1 gives it.
    pub(super) others: Result<(), AuthError>,
}

impl<'a> Compact<'a> {
    /// Cuts `text` into exactly three parts. The alphabet is checked when a
    /// part is decoded.
    pub(super) fn split(text: &'a str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        (!payload.contains('.')).then_some(Self { header, payload, signature, signed })
    }

    /// The protected header, refused where it asks for what is not understood
    /// here.
    pub(super) fn header(&self) -> Result<Header, AuthError> {
        let header = json::object(&decode(self.header)?, AuthError::Header)?;
        let algorithm = match header.get("alg") {
            Some(Value::String(name)) => Algorithm::parse(name).ok_or(AuthError::Algorithm)?,
            _ => return Err(AuthError::Header),
        };
        if header.contains_key("crit") || header.get("b64").is_some_and(|b64| b64 != true) {
            return Err(AuthError::Critical);
        }
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(AuthError::Header),
        };
        check_type(header.get("typ"))?;
        Ok(Header { algorithm, kid, others: check_others(&header) })
    }

    /// The claims.
    pub(super) fn payload(&self) -> Result<Map<String, Value>, AuthError> {
        json::object(&decode(self.payload)?, AuthError::Payload)
    }

    /// The signature.
    pub(super) fn signature(&self) -> Result<Vec<u8>, AuthError> {
        decode(self.signature)
    }

    /// The bytes that are signed.
    pub(super) fn signed(&self) -> &'a [u8] {
        self.signed.as_bytes()
    }
}

/// base64url without padding, in its one canonical form (RFC 7515 §2): stray
/// bits at the end would give one signature several spellings.
pub(super) fn decode(part: &str) -> Result<Vec<u8>, AuthError> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| AuthError::NotCompact)
}

/// `typ` is optional; where it is there it keeps tokens of one kind (logout
/// tokens, security events, DPoP proofs) from being taken for another
/// (RFC 8725 §3.11). Access tokens are `at+jwt` (RFC 9068 §2.1).
fn check_type(typ: Option<&Value>) -> Result<(), AuthError> {
    let Some(typ) = typ else { return Ok(()) };
    let typ = typ.as_str().ok_or(AuthError::Header)?.to_ascii_lowercase();
    match typ.strip_prefix("application/").unwrap_or(&typ) {
        "jwt" | "at+jwt" | "jose" => Ok(()),
        _ => Err(AuthError::TokenType),
    }
}

/// The registered parameters that are not read here. One of another type than its
/// RFC says is a token that readers differ about; one with a key of its own (`jwk`)
/// is meant for readers that believe it.
fn check_others(header: &Map<String, Value>) -> Result<(), AuthError> {
    let texts = ["cty", "jku", "x5u", "x5t", "x5t#S256"];
    let is_text = |name: &&str| header.get(*name).is_none_or(Value::is_string);
    let is_chain = |chain: &Value| {
        chain.as_array().is_some_and(|entries| entries.iter().all(Value::is_string))
    };
    if header.contains_key("jwk") {
        return Err(AuthError::OwnKey);
    }
    match texts.iter().all(is_text) && header.get("x5c").is_none_or(is_chain) {
        true => Ok(()),
        false => Err(AuthError::Header),
    }
}

/// Entry for the fuzzer: holds that whatever is taken for a compact JWS has
/// exactly one spelling, and that nothing makes the reader panic.
pub fn fuzz_token(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Some(token) = Compact::split(text) else { return };
    assert_eq!(text.matches('.').count(), 2);
    let _ = token.header();
    let _ = token.payload();
    let parts = [token.header, token.payload, token.signature];
    let decoded: Result<Vec<_>, _> = parts.into_iter().map(decode).collect();
    if let Ok(decoded) = decoded {
        let again: Vec<_> = decoded.iter().map(|part| URL_SAFE_NO_PAD.encode(part)).collect();
        assert_eq!(again.join("."), text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn header(json: &str) -> Result<Header, AuthError> {
        let text = format!("{}.e30.", URL_SAFE_NO_PAD.encode(json));
        Compact::split(&text).unwrap().header()
    }

    fn refusal(json: &str) -> AuthError {
        header(json).err().unwrap_or_else(|| panic!("{json} is taken"))
    }

    #[test]
    fn has_exactly_three_parts() {
        for text in ["", "a", "a.b", "a.b.c.d", "....", "a.b.c.d.e"] {
            assert!(Compact::split(text).is_none(), "{text}");
        }
        assert!(Compact::split("..").is_some());
    }

    #[test]
    fn base64url_is_canonical_and_without_padding() {
        assert_eq!(decode("QQ"), Ok(b"A".to_vec()));
        for part in ["QQ==", "QR", "Q", "Q+", "Q/", "Q Q", "QQ\n", "QQ=", "\u{e9}A"] {
            assert_eq!(decode(part), Err(AuthError::NotCompact), "{part}");
        }
    }

    #[test]
    fn alg_is_a_known_name_and_never_none() {
        for name in ["none", "None", "NONE", "nOnE", "rs256", "RS1", "", "HS256 ", "dir"] {
            assert_eq!(refusal(&format!(r#"{{"alg":"{name}"}}"#)), AuthError::Algorithm, "{name}");
        }
        for json in ["{}", r#"{"alg":null}"#, r#"{"alg":["RS256"]}"#, r#"{"ALG":"RS256"}"#] {
            assert_eq!(refusal(json), AuthError::Header, "{json}");
        }
        assert_eq!(header(r#"{"alg":"RS256"}"#).unwrap().algorithm, Algorithm::RS256);
    }

    #[test]
    fn extensions_are_refused() {
        for json in [
            r#"{"alg":"RS256","crit":["exp"],"exp":1}"#,
            r#"{"alg":"RS256","crit":[]}"#,
            r#"{"alg":"RS256","crit":null}"#,
            r#"{"alg":"RS256","b64":false}"#,
            r#"{"alg":"RS256","b64":"true"}"#,
        ] {
            assert_eq!(refusal(json), AuthError::Critical, "{json}");
        }
        assert!(header(r#"{"alg":"RS256","b64":true}"#).is_ok());
    }

    #[test]
    fn typ_keeps_other_kinds_of_tokens_out() {
        for typ in ["JWT", "jwt", "at+jwt", "application/at+jwt", "application/JWT", "JOSE"] {
            assert!(header(&format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#)).is_ok(), "{typ}");
        }
        for typ in ["logout+jwt", "dpop+jwt", "secevent+jwt", "application/json", ""] {
            let json = format!(r#"{{"alg":"RS256","typ":"{typ}"}}"#);
            assert_eq!(refusal(&json), AuthError::TokenType, "{typ}");
        }
        assert_eq!(refusal(r#"{"alg":"RS256","typ":1}"#), AuthError::Header);
    }

    #[test]
    fn registered_parameters_have_their_types() {
        let others = |more: &str| header(&format!(r#"{{"alg":"RS256",{more}}}"#)).unwrap().others;
        for good in [
            r#""cty":"JWT""#,
            r#""jku":"https://a.example","x5u":"","x5t":"a","x5t#S256":"b""#,
            r#""x5c":["a","b"],"nonce":1,"mine":{"jwk":{}}"#,
            r#""x5c":[]"#,
        ] {
            assert_eq!(others(good), Ok(()), "{good}");
        }
        for name in ["cty", "jku", "x5u", "x5t", "x5t#S256", "x5c"] {
            for value in ["1", "null", "true", "{}", "[1]", r#"["a",1]"#] {
                assert_eq!(
                    others(&format!(r#""{name}":{value}"#)),
                    Err(AuthError::Header),
                    "{name}"
                );
            }
        }
        for key in ["{}", "null", r#""text""#, r#"{"kty":"oct","k":"AAAA"}"#] {
            assert_eq!(others(&format!(r#""jwk":{key}"#)), Err(AuthError::OwnKey), "{key}");
        }
    }

    #[test]
    fn kid_is_a_string() {
        assert_eq!(refusal(r#"{"alg":"RS256","kid":1}"#), AuthError::Header);
        assert_eq!(header(r#"{"alg":"RS256","kid":"a"}"#).unwrap().kid.as_deref(), Some("a"));
    }

    #[test]
    fn fuzzer_entry_runs() {
        for seed in ["", "..", "eyJhbGciOiJub25lIn0.e30.", "QQ.QR.QQ", "a.b.c.d", "e30.e30.AAA"] {
            fuzz_token(seed.as_bytes());
        }
        fuzz_token(b"\xff.\xff.\xff");
    }

    proptest! {
        #[test]
        fn never_panics(data in proptest::collection::vec(any::<u8>(), 0..200)) {
            fuzz_token(&data);
        }

        #[test]
        fn never_panics_on_what_looks_like_a_token(
            text in "(eyJ[A-Za-z0-9_-]{0,40}|e30)\\.[A-Za-z0-9_-]{0,40}\\.[A-Za-z0-9_=-]{0,8}",
        ) {
            fuzz_token(text.as_bytes());
        }
    }
}
