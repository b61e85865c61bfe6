//! Close frames (RFC 6455 §5.5.1, §7.4): judging theirs, writing ours.

use super::header::{FrameHeader, Opcode};
use super::{FrameError, mask};

/// What is wrong with the payload of a Close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CloseError {
    /// Its form.
    Frame(FrameError),
    /// Its reason is not UTF-8.
    ReasonNotUtf8,
}

/// The code in an unmasked Close payload; `None` when the payload is empty.
///
/// # Errors
/// One byte only, a code that must not be sent, a reason that is not UTF-8.
pub fn judge(payload: &[u8]) -> Result<Option<u16>, CloseError> {
    let Some((code, reason)) = payload.split_first_chunk::<2>() else {
        return if payload.is_empty() {
            Ok(None)
        } else {
            Err(CloseError::Frame(FrameError::CloseTruncated))
        };
    };
    let code = u16::from_be_bytes(*code);
    if !may_be_sent(code) {
        return Err(CloseError::Frame(FrameError::CloseCode(code)));
    }
    simdutf8::basic::from_utf8(reason).map_err(|_| CloseError::ReasonNotUtf8)?;
    Ok(Some(code))
}

/// RFC 6455 §7.4.1, and the codes registered since (1012 to 1014); 3000 to 4999
/// are for libraries and applications (§7.4.2).
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// Appends a Close frame with this code and reason; `mask` where it goes to a
/// server. A reason over 123 bytes is left out, as the frame could not hold it.
pub fn write(code: u16, reason: &str, mask: Option<[u8; 4]>, out: &mut Vec<u8>) {
    let reason = if reason.len() <= 123 { reason.as_bytes() } else { &[] };
    let payload_bytes = u64::try_from(reason.len()).unwrap_or(0) + 2;
    FrameHeader { fin: true, compressed: false, opcode: Opcode::Close, mask, payload_bytes }
        .encode(out);
    let begin = out.len();
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason);
    if let (Some(key), Some(payload)) = (mask, out.get_mut(begin..)) {
        mask::apply(payload, key, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Sender;

    #[test]
    fn codes_that_are_only_for_local_use_must_not_be_sent() {
        for code in [0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535] {
            let error = CloseError::Frame(FrameError::CloseCode(code));
            assert_eq!(judge(&code.to_be_bytes()), Err(error));
        }
        for code in [1000u16, 1001, 1003, 1007, 1011, 1014, 3000, 4999] {
            assert_eq!(judge(&code.to_be_bytes()), Ok(Some(code)));
        }
    }

    #[test]
    fn a_close_may_be_empty_but_not_one_byte_long() {
        assert_eq!(judge(&[]), Ok(None));
        assert_eq!(judge(&[3]), Err(CloseError::Frame(FrameError::CloseTruncated)));
        assert_eq!(judge(&[3, 0xE8, 0xFF]), Err(CloseError::ReasonNotUtf8));
    }

    #[test]
    fn what_we_write_reads_back() {
        for mask in [None, Some([1, 2, 3, 4])] {
            let sender = if mask.is_some() { Sender::Client } else { Sender::Server };
            let mut bytes = Vec::new();
            write(1008, "rule_matched", mask, &mut bytes);
            let (header, length) = FrameHeader::parse(&bytes, sender, false).unwrap().unwrap();
            let mut payload = bytes[length..].to_vec();
            assert_eq!(u64::try_from(payload.len()).unwrap(), header.payload_bytes);
            if let Some(key) = header.mask {
                mask::apply(&mut payload, key, 0);
            }
            assert_eq!(judge(&payload), Ok(Some(1008)));
            assert_eq!(&payload[2..], b"rule_matched");
        }
    }
}
