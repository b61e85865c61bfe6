//! Credentials in the `Authorization` header (RFC 9110 §11.6.2), by their scheme.

use super::error::AuthError;
use super::presented::{Credential, bounded, plain};
use crate::handshake::is_tchar;
use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Base64 as Basic writes it (RFC 7617 §2). Padding may be left out, as some clients do; bits
/// that stand for nothing must be 0, so that a credential has one spelling.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// An authentication scheme.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// A token (RFC 6750 §2.1).
    Bearer,
    /// The id of an API key as user, and the key as password (RFC 7617).
    Basic,
}

impl Scheme {
    const fn name(self) -> &'static str {
        match self {
            Self::Bearer => "Bearer",
            Self::Basic => "Basic",
        }
    }

    /// Its challenge in a 401 (RFC 9110 §11.6.1). `invalid`: there was a credential, so
    /// Bearer says what is wrong (RFC 6750 §3).
    #[must_use]
    pub const fn challenge(self, invalid: bool) -> &'static str {
        match (self, invalid) {
            (Self::Bearer, false) => "Bearer realm=\"wsguard\"",
            (Self::Bearer, true) => "Bearer realm=\"wsguard\", error=\"invalid_token\"",
            (Self::Basic, _) => "Basic realm=\"wsguard\", charset=\"UTF-8\"",
        }
    }

    const fn malformed(self) -> AuthError {
        match self {
            Self::Bearer => AuthError::NotBearer,
            Self::Basic => AuthError::NotBasic,
        }
    }

    /// Reads the credential from the value of an `Authorization` header; `None` if the
    /// value is of another scheme. Scheme names are compared without letter case (RFC 9110
    /// §11.1).
    pub(super) fn read(self, value: &[u8]) -> Option<Result<Credential, AuthError>> {
        let value = value.trim_ascii();
        let end = value.iter().position(|byte| !is_tchar(*byte)).unwrap_or(value.len());
        let (name, rest) = value.split_at_checked(end)?;
        if name.is_empty() || !matches!(rest.first(), None | Some(b' ' | b',')) {
            return Some(Err(self.malformed()));
        }
        if !name.eq_ignore_ascii_case(self.name().as_bytes()) {
            return holds_another(rest).then_some(Err(AuthError::Twice));
        }
        Some(match self {
            Self::Bearer => bearer(rest),
            Self::Basic => basic(rest),
        })
    }
}

/// The token may hold any visible ASCII, as API keys do, but no comma.
fn bearer(rest: &[u8]) -> Result<Credential, AuthError> {
    let token = plain(rest).map_err(|error| match error {
        AuthError::Empty => AuthError::NotBearer,
        other => other,
    })?;
    let good = token.iter().all(u8::is_ascii_graphic);
    if good { Ok(Credential::Token(token)) } else { Err(AuthError::NotBearer) }
}

/// `user:password` in base64. The user ends at the first colon, and neither holds control
/// characters (RFC 7617 §2).
fn basic(rest: &[u8]) -> Result<Credential, AuthError> {
    let encoded = bounded(rest.trim_ascii())?;
    if encoded.contains(&b',') {
        return Err(AuthError::Twice);
    }
    let pair = BASE64.decode(encoded).map_err(|_| AuthError::NotBasic)?;
    if pair.iter().any(u8::is_ascii_control) {
        return Err(AuthError::NotBasic);
    }
    let mut halves = pair.splitn(2, |byte| *byte == b':');
    match (halves.next(), halves.next()) {
        (Some(_), Some([])) => Err(AuthError::Empty),
        (Some(id), Some(key)) => Ok(Credential::ApiKey { id: id.to_vec(), key: key.to_vec() }),
        _ => Err(AuthError::NotBasic),
    }
}

/// Returns true if a second credential follows the parameters of the first, as where a
/// proxy joined two header lines with a comma. A parameter is `name=value`; a name without
/// `=` is the scheme of another credential.
fn holds_another(parameters: &[u8]) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    let elements = parameters.split(|byte| {
        let separates = *byte == b',' && !quoted;
        quoted ^= *byte == b'"' && !escaped;
        escaped = quoted && *byte == b'\\' && !escaped;
        separates
    });
    elements.skip(1).any(|element| {
        let element = element.trim_ascii();
        let end = element.iter().position(|byte| !is_tchar(*byte)).unwrap_or(element.len());
        let behind = element.get(end..).unwrap_or_default().trim_ascii_start();
        end > 0 && behind.first() != Some(&b'=')
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::prelude::BASE64_STANDARD;
    use proptest::prelude::*;

    fn read(scheme: Scheme, value: &str) -> Option<Result<(String, String), AuthError>> {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Some(scheme.read(value.as_bytes())?.map(|credential| match credential {
            Credential::Token(token) => (String::new(), text(token)),
            Credential::ApiKey { id, key } => (text(id), text(key)),
        }))
    }

    fn basic(pair: &str) -> Option<Result<(String, String), AuthError>> {
        read(Scheme::Basic, &format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }

    fn ok(id: &str, key: &str) -> Option<Result<(String, String), AuthError>> {
        Some(Ok((id.to_owned(), key.to_owned())))
    }

    /// RFC 7617 §2 and §2.1
    #[test]
    fn basic_is_user_and_password() {
        let aladdin = "QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        for spelled in ["Basic", "basic", "BASIC", " Basic ", "Basic  "] {
            let read = read(Scheme::Basic, &format!("{spelled} {aladdin} "));
            assert_eq!(read, ok("Aladdin", "open sesame"), "{spelled}");
        }
        let unpadded = format!("Basic {}", aladdin.trim_end_matches('='));
        assert_eq!(read(Scheme::Basic, &unpadded), ok("Aladdin", "open sesame"));
        assert_eq!(read(Scheme::Basic, "Basic dGVzdDoxMjPCow=="), ok("test", "123£"));
        assert_eq!(basic("a:b:c"), ok("a", "b:c"));
        assert_eq!(basic(":b"), ok("", "b"));
        assert_eq!(basic("a:"), Some(Err(AuthError::Empty)));
        for pair in ["", "ab", "a:b\n", "a\0:b", "a:\u{7f}b"] {
            assert_eq!(basic(pair), Some(Err(AuthError::NotBasic)), "{pair:?}");
        }
        for value in [
            "Basic",
            "Basic a b",
            "Basic YTpi=",
            "Basic YTpj_-",
            "Basic YTpiY",
            "Basic YTp=",
            "Basic é",
        ] {
            assert_eq!(read(Scheme::Basic, value), Some(Err(AuthError::NotBasic)), "{value}");
        }
        for value in ["Basic YTpi,YTpi", "Basic YTpi, Basic YTpi", "Basic YTpi,"] {
            assert_eq!(read(Scheme::Basic, value), Some(Err(AuthError::Twice)), "{value}");
        }
    }

    #[test]
    fn a_header_of_another_scheme_holds_nothing() {
        for value in [
            "Basic YTpi",
            "abc",
            "Bearerabc",
            "Negotiate YTpi==",
            "Digest username=\"a\", realm=\"b, c d\", nonce = \"\\\", e f\", qop=auth,",
            "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=host;x, Signature=c",
        ] {
            assert_eq!(read(Scheme::Bearer, value), None, "{value}");
        }
        assert_eq!(read(Scheme::Basic, "Bearer a"), None);
        for value in ["", " ", "\"a\"", ":", "é", "Bearer\ta", "Basic:x", "B\u{0}"] {
            assert_eq!(read(Scheme::Bearer, value), Some(Err(AuthError::NotBearer)), "{value}");
            assert_eq!(read(Scheme::Basic, value), Some(Err(AuthError::NotBasic)), "{value}");
        }
    }

    #[test]
    fn two_schemes_joined_by_a_comma_are_two_credentials() {
        for value in [
            "Basic YTpi, Bearer a",
            "Basic YTpi,Bearer a",
            "Digest username=\"a\", Bearer a",
            "Digest username=\"a\", Bearer a==",
            "Negotiate, Bearer a",
            "Digest a=b, Negotiate",
            "Bearer, Bearer a",
            "Bearer,",
        ] {
            assert_eq!(read(Scheme::Bearer, value), Some(Err(AuthError::Twice)), "{value}");
        }
    }

    proptest! {
        #[test]
        fn what_basic_wrote_is_read_again(id in "[^:\\pC]{0,20}", key in "\\PC{1,40}") {
            prop_assert_eq!(basic(&format!("{id}:{key}")), ok(&id, &key));
        }

        #[test]
        fn any_value_is_read_by_one_scheme_at_most(value in "(Bearer|basic|Digest|[ ,=a:\"\\\\]){0,8}") {
            let read = [Scheme::Bearer, Scheme::Basic].map(|scheme| scheme.read(value.as_bytes()));
            let good = read.iter().filter(|read| matches!(read, Some(Ok(_)))).count();
            prop_assert!(good <= 1);
        }
    }
}
