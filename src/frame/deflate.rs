//! stand-in until the room is merged

/// One direction's negotiated parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// bits
    pub bits: u8,
    /// takeover
    pub takeover: bool,
}

/// What was agreed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deflate {
    /// c
    pub client: Window,
    /// s
    pub server: Window,
}

/// Why
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InflateError {
    /// x
    TooBig,
    /// x
    Corrupt,
}

impl std::fmt::Display for InflateError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("x")
    }
}
/// x
#[derive(Debug)]
pub struct Inflater;
impl Inflater {
    /// x
    pub const fn new(_: Window) -> Self {
        Self
    }
    /// x
    /// # Errors
    /// x
    pub fn inflate(&mut self, _: &[u8], _: usize, _: &mut Vec<u8>) -> Result<(), InflateError> {
        Err(InflateError::Corrupt)
    }
    /// x
    pub const fn history_bytes(&self) -> usize {
        0
    }
}
