//! What patterns assert of the place between two symbols.

use regex_syntax::hir::Look;

/// A set of [`Look`], in their bits.
pub(super) type Looks = u32;

pub(super) const fn bit(look: Look) -> Looks {
    look.as_repr()
}

/// What lies at one side of a place, as far as assertions ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Beside {
    Other,
    Word,
    LineFeed,
    CarriageReturn,
    /// The beginning or the end of the text.
    Edge,
}

impl Beside {
    pub(super) const ALL: [Self; 5] =
        [Self::Other, Self::Word, Self::LineFeed, Self::CarriageReturn, Self::Edge];

    pub(super) fn of(symbol: u32) -> Self {
        match u8::try_from(symbol) {
            Ok(b'\n') => Self::LineFeed,
            Ok(b'\r') => Self::CarriageReturn,
            Ok(byte) if byte == b'_' || byte.is_ascii_alphanumeric() => Self::Word,
            _ => Self::Other,
        }
    }

    /// Of the byte before `place`.
    pub(super) fn before(text: &[u8], place: usize) -> Self {
        let last = place.checked_sub(1).and_then(|last| text.get(last));
        last.map_or(Self::Edge, |byte| Self::of(u32::from(*byte)))
    }
}

/// The assertions that hold between any two.
#[derive(Clone, Debug)]
pub(super) struct Boundaries([[Looks; 5]; 5]);

impl Boundaries {
    pub(super) fn new() -> Self {
        Self(Beside::ALL.map(|before| Beside::ALL.map(|behind| holding(before, behind))))
    }

    #[inline]
    pub(super) fn holding(&self, before: Beside, behind: Beside) -> Looks {
        let row = self.0.get(before as usize);
        row.and_then(|row| row.get(behind as usize)).copied().unwrap_or(0)
    }
}

/// No pattern has a Unicode word boundary.
fn holding(before: Beside, behind: Beside) -> Looks {
    use Beside::{CarriageReturn, Edge, LineFeed, Word};
    let (left, right) = (before == Word, behind == Word);
    let starts_crlf = match before {
        Edge | LineFeed => true,
        CarriageReturn => behind != LineFeed,
        _ => false,
    };
    let ends_crlf = match behind {
        Edge | CarriageReturn => true,
        LineFeed => before != CarriageReturn,
        _ => false,
    };
    let all = [
        (Look::Start, before == Edge),
        (Look::End, behind == Edge),
        (Look::StartLF, matches!(before, Edge | LineFeed)),
        (Look::EndLF, matches!(behind, Edge | LineFeed)),
        (Look::StartCRLF, starts_crlf),
        (Look::EndCRLF, ends_crlf),
        (Look::WordAscii, left != right),
        (Look::WordAsciiNegate, left == right),
        (Look::WordStartAscii, !left && right),
        (Look::WordEndAscii, left && !right),
        (Look::WordStartHalfAscii, !left),
        (Look::WordEndHalfAscii, !right),
    ];
    all.iter().filter(|(_, holds)| *holds).fold(0, |looks, (look, _)| looks | bit(*look))
}
