//! Host names.

/// A host as a policy's `match.hosts` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern(String);

impl HostPattern {
    /// Reads `chat.example.com` or `*.example.com`.
    pub fn parse(text: &str) -> Result<Self, HostError> {
        if text.is_empty() { Err(HostError::Empty) } else { Ok(Self(text.to_owned())) }
    }
}

/// Why a host or host pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostError {
    /// Nothing there.
    Empty,
}

impl std::fmt::Display for HostError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("is empty")
    }
}
