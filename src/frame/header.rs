//! The frame header (RFC 6455 §5.2).

use super::{FrameError, Sender};

/// Longest header: 2 bytes, 8 of length, 4 of mask.
pub const MAX_HEADER_BYTES: usize = 14;

/// Longest payload of a control frame (RFC 6455 §5.5).
pub const MAX_CONTROL_BYTES: u64 = 125;

const RSV_BITS: u8 = 0x70;
const RSV1: u8 = 0x40;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Opcode {
    /// Continues a message.
    Continuation,
    /// Begins a text message.
    Text,
    /// Begins a binary message.
    Binary,
    /// Ends the connection.
    Close,
    /// Asks for a Pong.
    Ping,
    /// Answers a Ping.
    Pong,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Result<Self, FrameError> {
        match bits {
            0x0 => Ok(Self::Continuation),
            0x1 => Ok(Self::Text),
            0x2 => Ok(Self::Binary),
            0x8 => Ok(Self::Close),
            0x9 => Ok(Self::Ping),
            0xA => Ok(Self::Pong),
            other => Err(FrameError::ReservedOpcode(other)),
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0x0,
            Self::Text => 0x1,
            Self::Binary => 0x2,
            Self::Close => 0x8,
            Self::Ping => 0x9,
            Self::Pong => 0xA,
        }
    }

    /// Close, Ping and Pong (RFC 6455 §5.5).
    #[must_use]
    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// A complete frame header that keeps every rule a header can keep alone, so
/// that [`FrameHeader::encode`] gives back the very bytes it was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Whether this is the last fragment of its message.
    pub fin: bool,
    /// RSV1: the message that this frame begins is compressed (RFC 7692 §6).
    pub compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// Masking key; `None` from servers.
    pub mask: Option<[u8; 4]>,
    /// Length of the payload in bytes, below 2^63.
    pub payload_bytes: u64,
}

impl FrameHeader {
    /// Reads a header from the beginning of `bytes`: the header and its length
    /// in bytes, or `None` when more bytes are needed. What can be judged of an
    /// incomplete header is judged, so a broken one is refused at its first bad
    /// byte. With `compression`, permessage-deflate has been agreed on.
    ///
    /// # Errors
    /// The first rule of RFC 6455 §5 that the header breaks.
    #[inline]
    pub fn parse(
        bytes: &[u8],
        sender: Sender,
        compression: bool,
    ) -> Result<Option<(Self, usize)>, FrameError> {
        let Some((&first, rest)) = bytes.split_first() else { return Ok(None) };
        let compressed = compression && first & RSV1 != 0;
        if first & RSV_BITS != if compressed { RSV1 } else { 0 } {
            return Err(FrameError::ReservedBits);
        }
        let opcode = Opcode::from_bits(first & 0x0F)?;
        let fin = first & 0x80 != 0;
        // Only the first frame of a message says so (RFC 7692 §6.1).
        if compressed && !matches!(opcode, Opcode::Text | Opcode::Binary) {
            return Err(FrameError::ReservedBits);
        }
        if opcode.is_control() && !fin {
            return Err(FrameError::ControlFragmented);
        }
        let Some((&second, rest)) = rest.split_first() else { return Ok(None) };
        match (sender, second & 0x80 != 0) {
            (Sender::Client, false) => return Err(FrameError::MaskMissing),
            (Sender::Server, true) => return Err(FrameError::MaskPresent),
            _ => {}
        }
        let short = second & 0x7F;
        if opcode.is_control() && u64::from(short) > MAX_CONTROL_BYTES {
            return Err(FrameError::ControlTooLong);
        }
        let Some((payload_bytes, rest)) = parse_length(short, rest)? else { return Ok(None) };
        let (mask, rest) = match sender {
            Sender::Server => (None, rest),
            Sender::Client => match rest.split_first_chunk::<4>() {
                Some((key, rest)) => (Some(*key), rest),
                None => return Ok(None),
            },
        };
        let header = Self { fin, compressed, opcode, mask, payload_bytes };
        Ok(Some((header, bytes.len() - rest.len())))
    }

    /// Appends the header's bytes: the one minimal encoding (RFC 6455 §5.2).
    pub fn encode(&self, out: &mut Vec<u8>) {
        let rsv1 = if self.compressed { RSV1 } else { 0 };
        out.push(u8::from(self.fin) << 7 | rsv1 | self.opcode.bits());
        let masked = u8::from(self.mask.is_some()) << 7;
        if let Ok(short) = u8::try_from(self.payload_bytes)
            && short < 126
        {
            out.push(masked | short);
        } else if let Ok(medium) = u16::try_from(self.payload_bytes) {
            out.push(masked | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        } else {
            out.push(masked | 127);
            out.extend_from_slice(&self.payload_bytes.to_be_bytes());
        }
        if let Some(key) = self.mask {
            out.extend_from_slice(&key);
        }
    }
}

/// The payload length behind the seven bits `short`; `None`: incomplete.
fn parse_length(short: u8, rest: &[u8]) -> Result<Option<(u64, &[u8])>, FrameError> {
    match short {
        126 => {
            let Some((bytes, rest)) = rest.split_first_chunk::<2>() else { return Ok(None) };
            let length = u64::from(u16::from_be_bytes(*bytes));
            if length < 126 {
                return Err(FrameError::LengthNotMinimal);
            }
            Ok(Some((length, rest)))
        }
        127 => {
            if rest.first().is_some_and(|byte| byte & 0x80 != 0) {
                return Err(FrameError::LengthTooLarge);
            }
            let Some((bytes, rest)) = rest.split_first_chunk::<8>() else { return Ok(None) };
            let length = u64::from_be_bytes(*bytes);
            if length <= u64::from(u16::MAX) {
                return Err(FrameError::LengthNotMinimal);
            }
            Ok(Some((length, rest)))
        }
        short => Ok(Some((u64::from(short), rest))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(bytes: &[u8], sender: Sender) -> Result<Option<(FrameHeader, usize)>, FrameError> {
        FrameHeader::parse(bytes, sender, false)
    }

    #[test]
    fn rsv1_is_for_the_first_frame_of_a_message_where_compression_is_agreed() {
        let parse = |first: u8| FrameHeader::parse(&[first, 0], Sender::Server, true);
        for first in [0xC1, 0x41, 0xC2, 0x42] {
            assert!(parse(first).unwrap().unwrap().0.compressed);
        }
        for first in [0xC0, 0x40, 0xC8, 0xC9, 0xCA, 0xE1, 0xD1, 0xA1, 0x91] {
            assert_eq!(parse(first), Err(FrameError::ReservedBits), "{first:#x}");
        }
        assert!(!parse(0x81).unwrap().unwrap().0.compressed);
    }

    /// RFC 6455 §5.7, the header of each example.
    #[test]
    fn reads_the_examples_of_the_rfc() {
        let masked = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f];
        let (header, length) = parse(&masked, Sender::Client).unwrap().unwrap();
        assert_eq!(length, 6);
        assert_eq!(
            header,
            FrameHeader {
                fin: true,
                compressed: false,
                opcode: Opcode::Text,
                mask: Some([0x37, 0xfa, 0x21, 0x3d]),
                payload_bytes: 5
            }
        );
        let (header, _) = parse(&[0x01, 0x03], Sender::Server).unwrap().unwrap();
        assert_eq!((header.fin, header.opcode), (false, Opcode::Text));
        let (header, _) = parse(&[0x80, 0x02], Sender::Server).unwrap().unwrap();
        assert_eq!((header.fin, header.opcode), (true, Opcode::Continuation));
        let (header, length) = parse(&[0x82, 0x7E, 0x01, 0x00], Sender::Server).unwrap().unwrap();
        assert_eq!((header.payload_bytes, length), (256, 4));
        let long = [0x82, 0x7F, 0, 0, 0, 0, 0, 1, 0, 0];
        let (header, length) = parse(&long, Sender::Server).unwrap().unwrap();
        assert_eq!((header.payload_bytes, length), (65536, 10));
    }

    #[test]
    fn refuses_at_the_first_bad_byte() {
        use Sender::{Client, Server};
        assert_eq!(parse(&[0xC1], Client), Err(FrameError::ReservedBits));
        assert_eq!(parse(&[0x83], Client), Err(FrameError::ReservedOpcode(3)));
        assert_eq!(parse(&[0x8F], Client), Err(FrameError::ReservedOpcode(15)));
        assert_eq!(parse(&[0x09], Client), Err(FrameError::ControlFragmented));
        assert_eq!(parse(&[0x81, 0x05], Client), Err(FrameError::MaskMissing));
        assert_eq!(parse(&[0x81, 0x85], Server), Err(FrameError::MaskPresent));
        assert_eq!(parse(&[0x89, 0xFE], Client), Err(FrameError::ControlTooLong));
        assert_eq!(parse(&[0x81, 0x7E, 0, 125], Server), Err(FrameError::LengthNotMinimal));
        assert_eq!(parse(&[0x81, 0x7F, 0x80], Server), Err(FrameError::LengthTooLarge));
        let wide = [0x81, 0x7F, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF];
        assert_eq!(parse(&wide, Server), Err(FrameError::LengthNotMinimal));
    }

    #[test]
    fn a_length_of_four_gigabytes_is_not_cut_to_32_bits() {
        let wide = [0x82, 0x7F, 0, 0, 0, 1, 0, 0, 0, 5];
        let (header, _) = parse(&wide, Sender::Server).unwrap().unwrap();
        assert_eq!(header.payload_bytes, (1 << 32) + 5);
    }

    proptest! {
        #[test]
        fn encoding_gives_back_what_was_read(bytes in prop::collection::vec(any::<u8>(), 0..20), client: bool, compression: bool) {
            let sender = if client { Sender::Client } else { Sender::Server };
            let parse = |bytes: &[u8]| FrameHeader::parse(bytes, sender, compression);
            if let Ok(Some((header, length))) = parse(&bytes) {
                let mut again = Vec::new();
                header.encode(&mut again);
                prop_assert_eq!(&again, &bytes[..length]);
                for cut in 0..length {
                    prop_assert_eq!(parse(&bytes[..cut]), Ok(None));
                }
            }
        }
    }
}
