//! Regular expressions that an edge proxy can afford: linear in the length of
//! the text, whatever the text.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Capture, Class, Hir, HirKind, Look, Repetition};

/// A well-formed pattern that does not match the empty text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(Hir);

/// Why a pattern is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternError {
    /// The parser's words, over several lines.
    Malformed(String),
    /// It matches the empty text, and so every text.
    MatchesEverything,
}

impl Pattern {
    /// Reads a pattern in the syntax of the crate `regex`: Unicode on; `(?i)`,
    /// `(?s)`, `(?-u)` inside. It may match bytes that are no UTF-8. Word
    /// boundaries (`\b` and the like) are those of ASCII: with Unicode's, one
    /// character that is not ASCII would make the search a hundred times
    /// slower, and that character is the sender's choice.
    ///
    /// # Errors
    /// [`PatternError`].
    pub fn parse(pattern: &str) -> Result<Self, PatternError> {
        let hir = ParserBuilder::new()
            .utf8(false)
            .build()
            .parse(pattern)
            .map_err(|error| PatternError::Malformed(error.to_string()))?;
        if hir.properties().minimum_len() == Some(0) {
            return Err(PatternError::MatchesEverything);
        }
        Ok(Self(with_ascii_words(hir)))
    }

    /// Returns true if a match can be in progress through most of a text. A table of several
    /// such patterns has a state for each combination of their states.
    pub(super) fn lingers(&self) -> bool {
        lingers(&self.0)
    }

    /// As it was parsed.
    pub(super) const fn hir(&self) -> &Hir {
        &self.0
    }
}

/// Copies of something wide that are many.
const MANY: u32 = 8;

/// ASCII characters of a class that is wide.
const WIDE: usize = 24;

/// Returns true if the pattern repeats something wide. The parser bounds the nesting of
/// patterns, and so the depth of this recursion.
fn lingers(hir: &Hir) -> bool {
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => false,
        HirKind::Repetition(repetition) => {
            let is_many = repetition.max.is_none_or(|max| max >= MANY);
            is_many && is_wide(&repetition.sub) || lingers(&repetition.sub)
        }
        HirKind::Capture(capture) => lingers(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(lingers),
    }
}

fn is_wide(hir: &Hir) -> bool {
    let ascii = |start: u32, end: u32| usize::try_from((end + 1).min(128).saturating_sub(start));
    let width = |(start, end)| ascii(start, end).unwrap_or(0);
    match hir.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Look(_) => false,
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.iter().map(|range| (range.start().into(), range.end().into()));
            ranges.map(width).sum::<usize>() >= WIDE
        }
        HirKind::Class(Class::Bytes(class)) => {
            let ranges = class.iter().map(|range| (range.start().into(), range.end().into()));
            ranges.map(width).sum::<usize>() >= WIDE
        }
        HirKind::Repetition(repetition) => is_wide(&repetition.sub),
        HirKind::Capture(capture) => is_wide(&capture.sub),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => parts.iter().any(is_wide),
    }
}

/// The parser bounds how deep patterns nest, and so this recursion.
fn with_ascii_words(hir: Hir) -> Hir {
    match hir.into_kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(literal) => Hir::literal(literal.0),
        HirKind::Class(class) => Hir::class(class),
        HirKind::Look(look) => Hir::look(ascii_look(look)),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(with_ascii_words(*repetition.sub));
            Hir::repetition(Repetition { sub, ..repetition })
        }
        HirKind::Capture(capture) => {
            let sub = Box::new(with_ascii_words(*capture.sub));
            Hir::capture(Capture { sub, ..capture })
        }
        HirKind::Concat(parts) => Hir::concat(parts.into_iter().map(with_ascii_words).collect()),
        HirKind::Alternation(parts) => {
            Hir::alternation(parts.into_iter().map(with_ascii_words).collect())
        }
    }
}

const fn ascii_look(look: Look) -> Look {
    match look {
        Look::WordUnicode => Look::WordAscii,
        Look::WordUnicodeNegate => Look::WordAsciiNegate,
        Look::WordStartUnicode => Look::WordStartAscii,
        Look::WordEndUnicode => Look::WordEndAscii,
        Look::WordStartHalfUnicode => Look::WordStartHalfAscii,
        Look::WordEndHalfUnicode => Look::WordEndHalfAscii,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::engine::Engine;
    use proptest::prelude::*;

    fn hir(pattern: &str) -> Hir {
        Pattern::parse(pattern).unwrap().0
    }

    /// No table has room for a Unicode word boundary.
    #[test]
    fn no_pattern_keeps_a_unicode_word_boundary() {
        for pattern in [
            r"(?i)\bunion\b.{0,200}\bselect\b",
            r"(a|\Bb)+\b{start}c\b{end}|\b{start-half}d\b{end-half}",
            r"((x\b)y){2,3}",
        ] {
            let looks = hir(pattern).properties().look_set();
            assert!(!looks.contains_word_unicode(), "{pattern}: {looks:?}");
            assert!(looks.contains_word_ascii(), "{pattern}: {looks:?}");
        }
    }

    #[test]
    fn words_are_still_words() {
        let found = |pattern: &str, text: &[u8]| {
            Engine::compile(&[Pattern::parse(pattern).unwrap()]).unwrap().is_match(text)
        };
        assert!(found(r"(?i)\bunion\b", "é UNION é".as_bytes()));
        assert!(!found(r"(?i)\bunion\b", b"reunions"));
        assert!(found(r"\bunion\b", "éunion".as_bytes()), "a letter beyond ASCII ends a word");
    }

    #[test]
    fn a_pattern_that_matches_everything_is_refused() {
        for pattern in ["", "a*", "(x|)", "^", r"\b|a", "(?i)"] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert_eq!(error, PatternError::MatchesEverything, "{pattern}");
        }
        assert!(Pattern::parse("a+").is_ok());
    }

    proptest! {
        #[test]
        fn arbitrary_patterns_never_panic(pattern in ".{0,40}") {
            if let Ok(parsed) = Pattern::parse(&pattern) {
                prop_assert!(!parsed.0.properties().look_set().contains_word_unicode());
                let _ = Engine::compile(&[parsed]);
            }
        }
    }
}
