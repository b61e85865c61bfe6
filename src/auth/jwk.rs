//! Keys that verify tokens (RFC 7517).

/// A signature algorithm (RFC 7518 §3.1, RFC 8037).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256
    RS256,
}

impl Algorithm {
    /// Every algorithm that can be configured.
    pub const ALL: &[Self] = &[Self::RS256];

    /// Reads the name of RFC 7518.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|a| a.name() == name)
    }

    /// The name of RFC 7518.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::RS256 => "RS256",
        }
    }
}

/// The keys of one issuer.
#[derive(Clone, Debug, Default)]
pub struct KeySet {}

impl KeySet {
    /// Reads a JWK Set. Every error carries its path below the set (`keys[0].n`).
    pub fn from_jwks(
        jwks: &serde_json::Value,
        algorithms: &[Algorithm],
    ) -> Result<Self, Vec<(String, KeyError)>> {
        let _ = (jwks, algorithms);
        Ok(Self {})
    }

    /// Takes one shared secret for HS256, HS384 and HS512.
    pub fn from_secret(secret: &[u8], algorithms: &[Algorithm]) -> Result<Self, KeyError> {
        let _ = (secret, algorithms);
        Ok(Self {})
    }
}

/// Why a key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// Not an object with a list `keys`.
    NotASet,
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("is not a JWK Set")
    }
}
