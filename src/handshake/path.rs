//! Request paths.

/// A path as a policy's `match.paths` names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern(String);

impl PathPattern {
    /// Reads `/ws` or `/rooms/*`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() { Err(PathError::Empty) } else { Ok(Self(text.to_owned())) }
    }
}

/// Why a path or path pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathError {
    /// Nothing there.
    Empty,
}

impl std::fmt::Display for PathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("is empty")
    }
}
