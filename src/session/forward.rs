//! What of a chunk goes on: as long as nothing is held, dropped or rewritten,
//! the chunk itself, without a copy.

/// What became of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Forwarded {
    /// All of it goes on as it came.
    Unchanged,
    /// The bytes appended to the caller's buffer go on in its place.
    Replaced,
}

/// Collects what of `input` goes on.
#[derive(Debug)]
pub(super) struct Forward<'a> {
    input: &'a [u8],
    /// While `!rewritten`: `input[..clean]` goes on as it came, and `out` is
    /// untouched.
    clean: usize,
    rewritten: bool,
    /// All of `input` goes on as it came, whatever is asked.
    untouched: bool,
    out: &'a mut Vec<u8>,
}

impl<'a> Forward<'a> {
    /// Nothing of `input` goes on yet; what does, in other than its own form,
    /// is appended to `out`.
    pub(super) const fn new(input: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        Self { input, clean: 0, rewritten: false, untouched: false, out }
    }

    /// All of `input` goes on as it came, whatever is asked below (mode
    /// report).
    pub(super) const fn untouched(input: &'a [u8], out: &'a mut Vec<u8>) -> Self {
        Self { input, clean: 0, rewritten: false, untouched: true, out }
    }

    /// `input[begin..end]` goes on.
    pub(super) fn pass(&mut self, begin: usize, end: usize) {
        if self.untouched {
            return;
        }
        if !self.rewritten && begin == self.clean {
            self.clean = end;
            return;
        }
        self.rewrite();
        self.out.extend_from_slice(self.input.get(begin..end).unwrap_or_default());
    }

    /// Other bytes go on, which `write` appends.
    pub(super) fn insert(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.untouched {
            self.rewrite();
            write(self.out);
        }
    }

    /// All of the chunk has been seen.
    #[must_use]
    pub(super) fn finish(mut self) -> Forwarded {
        if self.untouched || !self.rewritten && self.clean == self.input.len() {
            return Forwarded::Unchanged;
        }
        self.rewrite();
        Forwarded::Replaced
    }

    fn rewrite(&mut self) {
        if !self.rewritten {
            self.rewritten = true;
            self.out.extend_from_slice(self.input.get(..self.clean).unwrap_or_default());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(steps: impl FnOnce(&mut Forward<'_>)) -> (Forwarded, Vec<u8>) {
        let mut out = Vec::new();
        let mut forward = Forward::new(b"abcdef", &mut out);
        steps(&mut forward);
        (forward.finish(), out)
    }

    #[test]
    fn what_is_only_watched_goes_on_as_it_came_whatever_is_asked() {
        let mut out = Vec::new();
        let mut forward = Forward::untouched(b"abcdef", &mut out);
        forward.pass(2, 3);
        forward.insert(|out| out.push(b'!'));
        assert_eq!(forward.finish(), Forwarded::Unchanged);
        assert_eq!(out, b"");
    }

    #[test]
    fn a_chunk_that_goes_on_whole_is_not_copied() {
        let (forwarded, out) = run(|f| {
            f.pass(0, 2);
            f.pass(2, 6);
        });
        assert_eq!((forwarded, out.as_slice()), (Forwarded::Unchanged, b"".as_slice()));
    }

    #[test]
    fn whatever_is_left_out_or_put_in_shows_in_the_copy() {
        assert_eq!(run(|_| {}), (Forwarded::Replaced, vec![]));
        assert_eq!(run(|f| f.pass(0, 3)), (Forwarded::Replaced, b"abc".to_vec()));
        assert_eq!(run(|f| f.pass(2, 6)), (Forwarded::Replaced, b"cdef".to_vec()));
        let (_, out) = run(|f| {
            f.pass(0, 2);
            f.insert(|out| out.push(b'!'));
            f.pass(4, 6);
        });
        assert_eq!(out, b"ab!ef");
    }
}
