//! The streaming decoder: bytes in any cut → headers and payload pieces.

use super::header::{FrameHeader, MAX_HEADER_BYTES};
use super::{FrameError, Sender};

/// What the decoder found next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Item<'a> {
    /// A complete header. Its payload follows.
    Header(FrameHeader),
    /// The next piece of the payload, as it came (masked); `end` is set on the
    /// last one. A frame without payload has one empty last piece.
    Payload {
        /// The piece.
        data: &'a [u8],
        /// Where in the frame's payload it begins.
        offset: u64,
        /// Whether the frame ends with it.
        end: bool,
    },
}

/// Cuts one direction's bytes into frames, holding at most one incomplete
/// header.
#[derive(Clone, Debug)]
pub struct Decoder {
    sender: Sender,
    /// Whether RSV1 may be set.
    compression: bool,
    /// An incomplete header. Invariant: `partial_bytes < MAX_HEADER_BYTES`.
    partial: [u8; MAX_HEADER_BYTES],
    partial_bytes: u8,
    /// The frame whose payload is due: how much of it, and how much has come.
    /// Invariant: `seen <= payload_bytes`.
    frame: Option<(u64, u64)>,
}

impl Decoder {
    /// A decoder for what `sender` sends, at the boundary before its first frame.
    #[must_use]
    pub const fn new(sender: Sender) -> Self {
        Self {
            sender,
            compression: false,
            partial: [0; MAX_HEADER_BYTES],
            partial_bytes: 0,
            frame: None,
        }
    }

    /// From now on RSV1 says that a message is compressed (RFC 7692 §6): to be
    /// called before the first frame.
    pub const fn allow_compression(&mut self) {
        self.compression = true;
    }

    /// Whether every header seen had all of its payload. Bytes of an incomplete
    /// header don't count: they are held here and nobody has seen them.
    #[must_use]
    pub const fn at_boundary(&self) -> bool {
        self.frame.is_none()
    }

    /// Bytes of an incomplete header held from earlier calls.
    #[must_use]
    pub const fn partial_header_bytes(&self) -> u8 {
        self.partial_bytes
    }

    /// Takes the next item off the front of `input`; `None`: all of `input` is
    /// taken and more bytes are needed.
    ///
    /// # Errors
    /// The first broken rule; the decoder must not be used afterwards.
    pub fn next<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, FrameError> {
        match self.frame {
            Some((payload_bytes, seen)) => Ok(self.payload(input, payload_bytes, seen)),
            None => self.header(input),
        }
    }

    /// The frame at the front of `input`, if it begins and ends there and its
    /// header breaks no rule: header, payload as it came, and the length of both in
    /// bytes. Nothing is taken: whoever has no use for more goes on behind it.
    #[inline]
    #[must_use]
    pub fn whole<'a>(&self, input: &'a [u8]) -> Option<(FrameHeader, &'a [u8], usize)> {
        if self.frame.is_some() || self.partial_bytes != 0 {
            return None;
        }
        let (header, length) = FrameHeader::parse(input, self.sender, self.compression).ok()??;
        let payload = input.get(length..)?.get(..usize::try_from(header.payload_bytes).ok()?)?;
        Some((header, payload, length + payload.len()))
    }

    fn header<'a>(&mut self, input: &mut &'a [u8]) -> Result<Option<Item<'a>>, FrameError> {
        if self.partial_bytes == 0
            && let Some((header, length)) =
                FrameHeader::parse(input, self.sender, self.compression)?
        {
            *input = input.get(length..).unwrap_or_default();
            return Ok(Some(self.begin(header)));
        }
        while let Some((&byte, rest)) = input.split_first() {
            *input = rest;
            if let Some(slot) = self.partial.get_mut(usize::from(self.partial_bytes)) {
                *slot = byte;
                self.partial_bytes += 1;
            }
            let partial = self.partial.get(..usize::from(self.partial_bytes)).unwrap_or_default();
            if let Some((header, _)) = FrameHeader::parse(partial, self.sender, self.compression)? {
                self.partial_bytes = 0;
                return Ok(Some(self.begin(header)));
            }
        }
        Ok(None)
    }

    const fn begin<'a>(&mut self, header: FrameHeader) -> Item<'a> {
        self.frame = Some((header.payload_bytes, 0));
        Item::Header(header)
    }

    fn payload<'a>(
        &mut self,
        input: &mut &'a [u8],
        payload_bytes: u64,
        offset: u64,
    ) -> Option<Item<'a>> {
        let due = payload_bytes - offset;
        if due > 0 && input.is_empty() {
            return None;
        }
        let take = usize::try_from(due).map_or(input.len(), |due| due.min(input.len()));
        let (data, rest) = input.split_at_checked(take)?;
        *input = rest;
        let seen = offset + u64::try_from(take).ok()?;
        let end = seen == payload_bytes;
        self.frame = if end { None } else { Some((payload_bytes, seen)) };
        Some(Item::Payload { data, offset, end })
    }
}

/// Entry for the fuzzer: holds that any cut of the input into two gives the
/// same frames, payload and error as the whole.
pub fn fuzz_decoder(data: &[u8]) {
    let Some((&cut, stream)) = data.split_first() else { return };
    let mut decoder = Decoder::new(if cut & 1 == 0 { Sender::Client } else { Sender::Server });
    if cut & 2 != 0 {
        decoder.allow_compression();
    }
    let whole = collect(&[stream], decoder.clone());
    let (front, back) = stream.split_at_checked(usize::from(cut)).unwrap_or((stream, &[]));
    assert_eq!(whole, collect(&[front, back], decoder));
}

/// Headers, all payload bytes, and the error if there was one.
type Collected = (Vec<FrameHeader>, Vec<u8>, Option<FrameError>);

fn collect(pieces: &[&[u8]], mut decoder: Decoder) -> Collected {
    let (mut headers, mut payload) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut input = *piece;
        loop {
            match decoder.next(&mut input) {
                Ok(Some(Item::Header(header))) => headers.push(header),
                Ok(Some(Item::Payload { data, .. })) => payload.extend_from_slice(data),
                Ok(None) => break,
                Err(error) => return (headers, payload, Some(error)),
            }
        }
    }
    (headers, payload, None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frames() -> Vec<u8> {
        let mut bytes = vec![0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        bytes.extend([0x89, 0x80, 1, 2, 3, 4]);
        bytes.extend([0x82, 0xFE, 0x01, 0x00, 5, 6, 7, 8]);
        bytes.extend([0xAB; 256]);
        bytes
    }

    #[test]
    fn every_cut_gives_the_same_frames() {
        let stream = frames();
        let whole = collect(&[&stream], Decoder::new(Sender::Client));
        assert_eq!(whole.0.len(), 3);
        assert_eq!(whole.1.len(), 5 + 256);
        for cut in 0..stream.len() {
            assert_eq!(
                whole,
                collect(&[&stream[..cut], &stream[cut..]], Decoder::new(Sender::Client))
            );
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(whole, collect(&bytes, Decoder::new(Sender::Client)));
    }

    #[test]
    fn the_fuzz_entry_holds_on_its_seeds() {
        let mut seed = vec![6];
        seed.extend(frames());
        fuzz_decoder(&seed);
        fuzz_decoder(&[3, 0x81, 0x7F, 0xFF]);
        fuzz_decoder(&[]);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic_and_never_depend_on_the_cut(
            data in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            fuzz_decoder(&data);
        }
    }
}
