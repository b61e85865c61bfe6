//! The way of most messages: one short frame, all there, that breaks no rule.

use super::{Flow, Surroundings, judge_type, unmask};
use crate::message::{MessageType, begins};
use crate::session::content;
use crate::session::verdict::Judge;

/// The longest message that is tried as one that breaks no rule, in bytes: what
/// it costs beyond its reading matters for short ones, and one that does break a
/// rule is read again.
const SHORT_BYTES: usize = 4 << 10;

impl Flow {
    /// The length in bytes of what stands at the front of `bytes`, if that is one
    /// short message in one frame, all there, that breaks no rule: it goes on as it
    /// is. Whatever else it may be is found out, and told, piece by piece.
    pub(super) fn good_message(
        &self,
        bytes: &[u8],
        with: &mut Surroundings<'_>,
        judge: &mut impl Judge,
    ) -> Option<usize> {
        if self.message.is_some() {
            return None;
        }
        let (header, payload, length) = self.decoder.whole(bytes)?;
        let kind = begins(header.opcode)?;
        let is_plain = header.fin && !header.compressed && payload.len() <= SHORT_BYTES;
        if !is_plain || judge.waits() {
            return None;
        }
        let rules = with.rules;
        if header.payload_bytes > rules.max_frame_bytes.min(rules.max_message_bytes) {
            return None;
        }
        judge_type(kind, rules).ok()?;
        if !judge.rate_ahead(header.payload_bytes) {
            return None;
        }
        let reads = judge.reads();
        if kind == MessageType::Text || rules.rules.is_some() || reads {
            let plain = unmask(header.mask, payload, &mut with.scratch.unmasked);
            content::judge_plain(kind, plain, rules).ok()?;
            if reads && !judge.is_nothing_to_read(plain) {
                return None;
            }
        }
        judge.message(header.payload_bytes);
        Some(length)
    }
}
