//! The `Origin` header (RFC 6454).

/// Which origins may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginRules {
    /// Any one of these.
    pub patterns: Vec<OriginPattern>,
    /// Whether a request without `Origin` may connect (a client that is no browser).
    pub allow_missing: bool,
}

/// One entry of `origins`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginPattern(String);

impl OriginPattern {
    /// Reads `https://app.example.com`, `https://*.example.com`, `same-origin` or `*`.
    pub fn parse(text: &str) -> Result<Self, OriginError> {
        if text.is_empty() { Err(OriginError::Empty) } else { Ok(Self(text.to_owned())) }
    }

    /// Whether this is `*`, which lets every web page in.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.0 == "*"
    }
}

/// Why an origin or origin pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// Nothing there.
    Empty,
}

impl std::fmt::Display for OriginError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("is empty")
    }
}
