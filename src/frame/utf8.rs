//! UTF-8 that arrives in pieces (RFC 6455 §8.1), judged at the first bad byte.

/// The bytes are not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

/// Checks a text that arrives in pieces of any size.
#[derive(Clone, Copy, Debug, Default)]
pub struct Utf8Stream {
    /// The beginning of a character whose end has not come yet.
    /// Invariant: `held_bytes <= 3`, and what is held is a prefix of some
    /// character, never a complete one.
    held: [u8; 3],
    held_bytes: u8,
}

impl Utf8Stream {
    /// Takes the next piece.
    ///
    /// # Errors
    /// When no continuation could make the text so far UTF-8.
    pub fn push(&mut self, piece: &[u8]) -> Result<(), InvalidUtf8> {
        let piece = self.complete_held(piece)?;
        match simdutf8::compat::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(InvalidUtf8),
            Err(error) => self.hold(piece.get(error.valid_up_to()..).unwrap_or_default()),
        }
    }

    /// The text ends here.
    ///
    /// # Errors
    /// When it ends inside a character.
    pub const fn finish(self) -> Result<(), InvalidUtf8> {
        if self.held_bytes == 0 { Ok(()) } else { Err(InvalidUtf8) }
    }

    /// Adds bytes to a held character until it is whole; gives what is left.
    fn complete_held<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        let mut rest = piece;
        while self.held_bytes > 0 {
            let Some((&byte, after)) = rest.split_first() else { break };
            rest = after;
            let mut character = [0; 4];
            let mut length = 0;
            let held = self.held.iter().take(usize::from(self.held_bytes));
            for (slot, value) in character.iter_mut().zip(held.chain([&byte])) {
                *slot = *value;
                length += 1;
            }
            let character = character.get(..length).unwrap_or_default();
            match std::str::from_utf8(character) {
                Ok(_) => self.held_bytes = 0,
                Err(error) if error.error_len().is_some() => return Err(InvalidUtf8),
                Err(_) => self.hold(character)?,
            }
        }
        Ok(rest)
    }

    fn hold(&mut self, tail: &[u8]) -> Result<(), InvalidUtf8> {
        self.held_bytes = u8::try_from(tail.len()).map_err(|_| InvalidUtf8)?;
        self.held.get_mut(..tail.len()).ok_or(InvalidUtf8)?.copy_from_slice(tail);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn judge(pieces: &[&[u8]]) -> Result<(), InvalidUtf8> {
        let mut stream = Utf8Stream::default();
        for piece in pieces {
            stream.push(piece)?;
        }
        stream.finish()
    }

    #[test]
    fn fails_at_the_first_bad_byte_and_not_later() {
        // U+110000 would begin F4 90: the second byte is enough to know.
        let mut stream = Utf8Stream::default();
        assert_eq!(stream.push(&[0xF4]), Ok(()));
        assert_eq!(stream.push(&[0x90]), Err(InvalidUtf8));
        // A surrogate, in three pieces.
        assert_eq!(judge(&[&[0xED], &[0xA0], &[0x80]]), Err(InvalidUtf8));
        // A character that never ends.
        assert_eq!(judge(&[&[0xE2, 0x82]]), Err(InvalidUtf8));
    }

    proptest! {
        #[test]
        fn any_cut_gives_the_verdict_of_the_whole(
            text in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                any::<String>().prop_map(String::into_bytes),
            ],
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6),
        ) {
            let mut places: Vec<usize> = cuts.iter().map(|i| i.index(text.len() + 1)).collect();
            places.extend([0, text.len()]);
            places.sort_unstable();
            let pieces: Vec<&[u8]> = places.windows(2).map(|w| &text[w[0]..w[1]]).collect();
            prop_assert_eq!(judge(&pieces).is_ok(), std::str::from_utf8(&text).is_ok());
        }
    }
}
