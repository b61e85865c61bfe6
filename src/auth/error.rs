//! Why a client is not let in.

use crate::reason::Reason;
use std::fmt;

/// Why authentication failed: the client's fault, a variant per fact.
///
/// Its `Display` is for the client's author. It never holds anything of the
/// credential, nor what this side would have taken instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AuthError {
    /// No listed place holds a credential.
    Missing,
    /// The place that decides holds more than one.
    Twice,
    /// The place that decides is there and empty.
    Empty,
    /// `Authorization` has no scheme, or is not `Bearer <token>` (RFC 6750 §2.1).
    NotBearer,
    /// The credential of the Basic scheme is not `user:password` in base64 (RFC 7617 §2).
    NotBasic,
    /// A subprotocol marker with no entry behind it, or a prefix with nothing.
    NothingBehindMarker,
    /// The credential behind a subprotocol's prefix is not base64url without padding.
    NotBase64Url,
    /// Longer than [`super::MAX_CREDENTIAL_BYTES`].
    TooLong,
    /// The message that should carry the credential holds none.
    MessageMissing,
    /// The message that should carry the credential holds it in a form that
    /// readers may not agree on, or as something else than a text.
    MessageForm,
    /// No API key, and no token of a known issuer.
    UnknownCredential,
    /// Looks like a compact JWS (RFC 7515 §7.1) and is none.
    NotCompact,
    /// The header is no JSON object, or one of its members has the wrong type.
    Header,
    /// The payload is no JSON object.
    Payload,
    /// A member stands twice in an object of the header or payload.
    DuplicateMember,
    /// Header or payload is nested too deeply.
    TooDeep,
    /// A token whose `iss` is not configured, or that has none.
    UnknownIssuer,
    /// `alg` is not configured for the issuer; `none` never is.
    Algorithm,
    /// `crit` or an unencoded payload (RFC 7515 §4.1.11, RFC 7797).
    Critical,
    /// `typ` says that this is another kind of token (RFC 8725 §3.11).
    TokenType,
    /// No key of the issuer has this `kid`.
    UnknownKid,
    /// The key that `kid` names is of another kind than `alg` needs, or may
    /// not be used with it.
    KeyMismatch,
    /// The issuer has so many keys that a token must name one.
    KidNeeded,
    /// The signature does not verify.
    Signature,
    /// Neither the host nor the module can verify such a signature.
    Unverifiable,
    /// The token brings a key of its own along (`jwk`).
    OwnKey,
    /// `aud` names nobody here.
    Audience,
    /// A required claim is missing or null.
    MissingClaim(Claim),
    /// A claim of the wrong type, or out of range.
    ClaimValue(Claim),
    /// A claim holds none of the values that are needed here.
    ClaimDenied,
    /// `nbf` lies ahead.
    NotYetValid,
    /// `iat` lies ahead.
    IssuedAhead,
    /// A claim that goes into an identity header is no string or number that
    /// can stand there.
    IdentityValue,
    /// The issuer's keys can't be had, or not in time.
    KeysUnavailable,
    /// The session service says no.
    SessionUnknown,
    /// The session service can't be asked, or gives no answer that is one.
    SessionUnavailable,
    /// The session is past its time.
    SessionExpired,
    /// So many credentials of this network are being asked about already.
    TooManyAsked,
    /// The handshake or message does not say, once and well-formed, what it asks
    /// for.
    NotAsked,
    /// The message has a form in which no rule reads what it asks for.
    UnreadMessage,
    /// The credential does not grant it.
    NotGranted,
    /// The service that grants it can't be asked.
    CalloutUnavailable,
    /// `exp` and the leeway are past; everything else was good.
    Expired,
}

/// A claim, for errors: the registered ones by name (RFC 7519 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "their names say all there is")]
pub enum Claim {
    Iss,
    Sub,
    Aud,
    Exp,
    Nbf,
    Iat,
    Jti,
    Nonce,
    Scope,
    /// One that only the configuration names.
    Other,
}

impl Claim {
    /// The claim of this name.
    #[must_use]
    pub fn of(name: &str) -> Self {
        match name {
            "iss" => Self::Iss,
            "sub" => Self::Sub,
            "aud" => Self::Aud,
            "exp" => Self::Exp,
            "nbf" => Self::Nbf,
            "iat" => Self::Iat,
            "jti" => Self::Jti,
            "nonce" => Self::Nonce,
            "scope" => Self::Scope,
            _ => Self::Other,
        }
    }
}

impl fmt::Display for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Iss => "the claim `iss`",
            Self::Sub => "the claim `sub`",
            Self::Aud => "the claim `aud`",
            Self::Exp => "the claim `exp`",
            Self::Nbf => "the claim `nbf`",
            Self::Iat => "the claim `iat`",
            Self::Jti => "the claim `jti`",
            Self::Nonce => "the claim `nonce`",
            Self::Scope => "the claim `scope`",
            Self::Other => "a claim that is needed here",
        })
    }
}

impl AuthError {
    /// Its line in the table of refusals.
    #[must_use]
    pub const fn reason(self) -> Reason {
        match self {
            Self::Missing | Self::MessageMissing => Reason::CredentialsMissing,
            Self::Expired | Self::SessionExpired => Reason::CredentialsExpired,
            Self::KeysUnavailable
            | Self::Unverifiable
            | Self::SessionUnavailable
            | Self::CalloutUnavailable
            | Self::TooManyAsked => Reason::AuthUnavailable,
            Self::NotAsked | Self::UnreadMessage | Self::NotGranted => Reason::AccessDenied,
            _ => Reason::CredentialsInvalid,
        }
    }
}

impl AuthError {
    /// Returns true if this error may count as a strike against the client. It may not
    /// where a place holds two credentials: a page or a proxy may have added the second
    /// one.
    #[must_use]
    pub const fn is_blamed(self) -> bool {
        !matches!(self, Self::Twice | Self::MessageForm)
    }
}

impl fmt::Display for AuthError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "the handshake carries no credential",
            Self::Twice => "the handshake carries more than one credential in the same place",
            Self::Empty => "the credential is empty",
            Self::NotBearer => "the Authorization header is not `Bearer <token>`",
            Self::NothingBehindMarker => {
                "the subprotocol that announces a token has no token behind it"
            }
            Self::NotBasic => "the Authorization header is not `Basic` and user:password in base64",
            Self::NotBase64Url => "the token in the subprotocol is not base64url without padding",
            Self::TooLong => "the credential is longer than 16 KiB",
            Self::MessageMissing => "the message that should carry the credential holds none",
            Self::MessageForm => {
                "the message that should carry the credential does not hold it once, as a text, \
                 and in the letter case that is expected here"
            }
            Self::UnknownCredential => "the credential is not known here",
            Self::NotCompact => {
                "the token is not three base64url parts without padding, joined by dots"
            }
            Self::Header => "the token's header is not a JSON object as RFC 7515 defines it",
            Self::Payload => "the token's payload is not a JSON object",
            Self::DuplicateMember => "the token names the same JSON member twice",
            Self::TooDeep => "the token's JSON is nested too deeply",
            Self::UnknownIssuer => "the token's issuer is not known here",
            Self::Algorithm => "the token's `alg` is not allowed here",
            Self::Critical => "the token asks for an extension that is not understood here",
            Self::TokenType => "the token's `typ` says that it is not an access token",
            Self::UnknownKid => "the token's `kid` names no key of its issuer",
            Self::KeyMismatch => "the token's `alg` does not go with the key that it names",
            Self::KidNeeded => "the token must name its key by `kid`",
            Self::Signature => "the token's signature does not verify",
            Self::Unverifiable => "signatures of the token's `alg` can't be verified here",
            Self::OwnKey => "the token brings a key of its own along (`jwk`)",
            Self::Audience => "the token's `aud` does not name this service",
            Self::MissingClaim(claim) => return write!(f, "the token lacks {claim}"),
            Self::ClaimValue(claim) => {
                return write!(f, "in the token {claim} has a value that it cannot have");
            }
            Self::ClaimDenied => "the token does not grant what is needed here",
            Self::NotYetValid => "the token is not valid yet",
            Self::IssuedAhead => "the token was issued in the future",
            Self::IdentityValue => {
                "the token's identity is not a string or number that fits a header"
            }
            Self::KeysUnavailable => {
                "the keys of the token's issuer can't be had now; try again later"
            }
            Self::SessionUnknown => "the credential is of no session",
            Self::SessionUnavailable => "sessions can't be checked now; try again later",
            Self::SessionExpired => "the session has expired",
            Self::TooManyAsked => {
                "so many questions about clients of this network are under way; try again later"
            }
            Self::NotAsked => {
                "the handshake or message does not say, once and as a plain value, what it asks for"
            }
            Self::UnreadMessage => {
                "the message has no form in which what it asks for can be read here"
            }
            Self::NotGranted => "the credential does not reach to what is asked for",
            Self::CalloutUnavailable => "access can't be checked now; try again later",
            Self::Expired => "the token has expired",
        })
    }
}

impl std::error::Error for AuthError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_missing_and_the_expired_have_reasons_of_their_own() {
        assert_eq!(AuthError::Missing.reason(), Reason::CredentialsMissing);
        assert_eq!(AuthError::Expired.reason(), Reason::CredentialsExpired);
        assert_eq!(AuthError::NotYetValid.reason(), Reason::CredentialsInvalid);
        assert_eq!(AuthError::MissingClaim(Claim::Exp).reason(), Reason::CredentialsInvalid);
    }

    #[test]
    fn registered_claims_are_called_by_name_and_others_are_not_told() {
        let said = AuthError::MissingClaim(Claim::of("exp")).to_string();
        assert_eq!(said, "the token lacks the claim `exp`");
        let said = AuthError::MissingClaim(Claim::of("x-internal")).to_string();
        assert_eq!(said, "the token lacks a claim that is needed here");
    }

    #[test]
    fn nobody_is_blamed_for_a_place_that_holds_two() {
        assert!(!AuthError::Twice.is_blamed() && !AuthError::MessageForm.is_blamed());
        assert!(AuthError::UnknownCredential.is_blamed() && AuthError::Empty.is_blamed());
    }

    #[test]
    fn stays_small_enough_to_copy() {
        assert!(size_of::<AuthError>() <= 2);
    }
}
