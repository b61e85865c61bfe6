//! Paths as a policy names them.

use super::lenient::LenientPattern;
use super::{LenientPath, NormalPath, PathError, triplet};

/// A path as a policy's `match.paths` names it: exact, or with a `*` at its
/// end for any rest, also an empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathPattern {
    /// Every percent-encoding decoded; never ambiguous, since no path in
    /// normal form has an encoded slash.
    decoded: Vec<u8>,
    any_rest: bool,
    lenient: LenientPattern,
}

impl PathPattern {
    /// Reads `/ws` or `/rooms/*`.
    ///
    /// # Errors
    /// [`PathPatternError`] for what no path in normal form could match.
    pub fn parse(text: &str) -> Result<Self, PathPatternError> {
        let (path, any_rest) = match text.strip_suffix('*') {
            Some("") => return Err(PathPatternError::Any),
            Some(prefix) => (prefix, true),
            None => (text, false),
        };
        if path.is_empty() {
            return Err(PathPatternError::Empty);
        }
        if path.contains('*') {
            return Err(PathPatternError::Wildcard);
        }
        let normal = NormalPath::parse(path.as_bytes()).map_err(PathPatternError::Path)?;
        if normal.as_str() != path {
            let mut instead = normal.0;
            if any_rest {
                instead.push('*');
            }
            return Err(PathPatternError::NotNormal { instead });
        }
        let lenient = LenientPattern::of(path, any_rest);
        Ok(Self { decoded: Decoded(path.as_bytes()).collect(), any_rest, lenient })
    }

    /// Returns true if the pattern matches this path in normal form. Two spellings that the normal
    /// form keeps apart are one here, because they are one to servers that route by
    /// what they decoded: `:` and `%3A`.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.matches_bytes(Decoded(path.as_bytes()))
    }

    /// Like [`Self::matches`], and also matches the path without `;…`: a servlet container
    /// reads `/ws;v=1` as `/ws`. Use it only where a match does not admit the request.
    #[must_use]
    pub fn matches_without_parameters(&self, path: &str) -> bool {
        let path = Decoded(path.as_bytes());
        self.matches_bytes(path.clone()) || self.matches_bytes(WithoutParameters::of(path))
    }

    /// Returns true if the pattern has no `*` and equals this path in normal form.
    #[must_use]
    pub fn names(&self, path: &str) -> bool {
        !self.any_rest && self.matches(path)
    }

    /// Returns true if the lenient readings of pattern and path match. Callers count a path
    /// for which [`Self::matches`] is true as matched in both readings.
    #[must_use]
    pub fn matches_leniently(&self, path: &LenientPath) -> bool {
        self.lenient.matches(path)
    }

    fn matches_bytes(&self, mut path: impl Iterator<Item = u8>) -> bool {
        self.decoded.iter().all(|byte| path.next() == Some(*byte))
            && (self.any_rest || path.next().is_none())
    }
}

/// The bytes that a path stands for.
#[derive(Clone)]
struct Decoded<'a>(&'a [u8]);

impl Iterator for Decoded<'_> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        if let Some((value, rest)) = triplet(self.0) {
            self.0 = rest;
            return Some(value);
        }
        let (byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*byte)
    }
}

/// Without each segment's `;…`.
struct WithoutParameters<I> {
    bytes: I,
    cutting: bool,
}

impl<I> WithoutParameters<I> {
    const fn of(bytes: I) -> Self {
        Self { bytes, cutting: false }
    }
}

impl<I: Iterator<Item = u8>> Iterator for WithoutParameters<I> {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        loop {
            let byte = self.bytes.next()?;
            self.cutting = byte == b';' || self.cutting && byte != b'/';
            if !self.cutting {
                return Some(byte);
            }
        }
    }
}

/// Why a path pattern is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathPatternError {
    /// Nothing there.
    Empty,
    /// A `*` alone.
    Any,
    /// A `*` elsewhere than at the end.
    Wildcard,
    /// No request that is let in has such a path.
    Path(PathError),
    /// Another spelling than the normal form, which is what is compared.
    NotNormal {
        /// The normal form.
        instead: String,
    },
}

impl std::fmt::Display for PathPatternError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Empty => f.write_str("is empty; write a path like /ws or /rooms/*"),
            Self::Any => f.write_str("does not start with a slash; write /* for every path"),
            Self::Wildcard => f.write_str(
                "has a * before its end; write one * at the end, which matches the rest, or %2A for the character",
            ),
            Self::Path(PathError::NotAbsolute) => {
                f.write_str("does not start with a slash; write a path like /ws or /rooms/*")
            }
            Self::Path(PathError::Query) => {
                f.write_str("has a query; write the path alone, without ? and what follows")
            }
            Self::Path(error) => {
                write!(f, "can never match, since such requests are refused: {error}")
            }
            Self::NotNormal { instead } => {
                write!(f, "is not in normal form; write {instead}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().matches(path)
    }

    #[test]
    fn exact_means_the_whole_path() {
        assert!(matches("/ws", "/ws"));
        for other in ["/", "/w", "/ws/", "/wss", "/WS", "/ws%20", "/ws/a"] {
            assert!(!matches("/ws", other), "{other}");
        }
    }

    #[test]
    fn a_star_at_the_end_matches_the_rest() {
        for path in ["/rooms/", "/rooms/1", "/rooms/1/2", "/rooms/%C3%A4"] {
            assert!(matches("/rooms/*", path), "{path}");
            assert!(matches("/*", path), "{path}");
        }
        for path in ["/rooms", "/room/1", "/", "/x/rooms/1"] {
            assert!(!matches("/rooms/*", path), "{path}");
        }
        assert!(matches("/rooms*", "/rooms") && matches("/rooms*", "/roomservice"));
    }

    #[test]
    fn an_encoding_that_servers_undo_is_no_way_around_a_policy() {
        assert!(matches("/admin:ws", "/admin%3Aws"));
        assert!(matches("/a%40b", "/a@b"));
        assert!(matches("/a%2Ab", "/a*b"));
        // Once: what is still encoded then is so to a server too.
        assert!(!matches("/aw", "/a%2577") && matches("/a%2577", "/a%2577"));
    }

    #[test]
    fn a_path_parameter_is_no_way_around_a_policy() {
        let cut = |pattern: &str, path: &str| {
            PathPattern::parse(pattern).unwrap().matches_without_parameters(path)
        };
        for (pattern, path) in
            [("/ws", "/ws;v=1"), ("/ws", "/ws%3Bv=1"), ("/admin/*", "/admin;x/ws")]
        {
            assert!(cut(pattern, path) && !matches(pattern, path), "{pattern} {path}");
        }
        assert!(cut("/ws;v=1", "/ws;v=1") && matches("/ws;v=1", "/ws;v=1"));
        assert!(!cut("/ws;v=1", "/ws") && !cut("/ws;v=1", "/ws;v=2"));
    }

    #[test]
    fn mistakes_say_what_to_write() {
        for (text, mend) in [
            ("", "write a path like /ws"),
            ("*", "write /*"),
            ("ws", "does not start with a slash"),
            ("https://h/ws", "does not start with a slash"),
            ("/*/ws", "at the end"),
            ("/ws**", "at the end"),
            ("/ws?x=1", "without ?"),
            ("//ws", "write /ws"),
            ("/%77s/*", "write /ws/*"),
            ("/a/../b", "write /b"),
            ("/r%c3%a4ume", "write /r%C3%A4ume"),
            ("/a%2Fb", "encoded slash"),
            ("/r\u{e4}ume", "percent-encoded"),
        ] {
            let told = PathPattern::parse(text).map(|_| ()).unwrap_err().to_string();
            assert!(told.contains(mend), "{text}: {told}");
        }
    }

    proptest! {
        #[test]
        fn what_an_error_says_to_write_is_taken(text in r"/(/|\.|a|%77|%c3%a4|\*){0,8}") {
            if let Err(PathPatternError::NotNormal { instead }) = PathPattern::parse(&text) {
                prop_assert!(PathPattern::parse(&instead).is_ok(), "{}", instead);
            }
        }

        #[test]
        fn a_prefix_pattern_matches_exactly_what_starts_with_it(
            prefix in "/([a-c]/){0,3}", path in "/([a-c]/){0,4}"
        ) {
            prop_assert_eq!(matches(&format!("{prefix}*"), &path), path.starts_with(&prefix));
        }
    }
}
