//! The `User-Agent` header.

use crate::inspect::AnyOf;
use crate::reason::Reason;

use super::Headers;

/// Judges every `User-Agent` line, byte for byte, whether or not it is UTF-8.
/// A request without one has nothing that a pattern could be found in.
///
/// # Errors
/// [`UserAgentDenied`] where a pattern is found.
pub fn judge(denied: Option<&AnyOf>, headers: &Headers) -> Result<(), UserAgentDenied> {
    let found = |denied: &AnyOf| headers.all("user-agent").any(|line| denied.is_match(line));
    if denied.is_some_and(found) { Err(UserAgentDenied) } else { Ok(()) }
}

/// A user agent that may not connect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserAgentDenied;

impl UserAgentDenied {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::UserAgentDenied
    }
}

impl std::fmt::Display for UserAgentDenied {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("this client's User-Agent may not connect here")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::pattern::Pattern;

    #[test]
    fn a_denied_pattern_is_found_on_any_line_and_in_any_bytes() {
        let patterns = ["(?i)sqlmap", "nikto$"].map(|pattern| Pattern::parse(pattern).unwrap());
        let denied = AnyOf::compile(&patterns).unwrap();
        let judge = |lines: &[&[u8]]| {
            let line = |value: &&[u8]| ("User-Agent".to_owned(), value.to_vec());
            super::judge(Some(&denied), &Headers::new(lines.iter().map(line).collect()))
        };
        assert_eq!(judge(&[b"Mozilla/5.0"]), Ok(()));
        assert_eq!(judge(&[]), Ok(()));
        assert_eq!(judge(&[b"SQLMap/1.0"]), Err(UserAgentDenied));
        assert_eq!(judge(&[b"Mozilla/5.0", b"x nikto"]), Err(UserAgentDenied));
        assert_eq!(judge(&[b"\xff\xfesqlmap\xff"]), Err(UserAgentDenied));
        assert_eq!(judge(&[b"\xff\xfe"]), Ok(()));
        assert_eq!(super::judge(None, &Headers::default()), Ok(()));
    }
}
