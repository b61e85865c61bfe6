//! The content of one direction's whole messages: inflated, judged, and where a
//! rule says so changed.

use super::gate::Passage;
use super::verdict::{Judge, Reshaping, Stopped, Verdict};
use crate::frame::deflate::{Inflated, Inflater, Window};
use crate::frame::{FrameHeader, Opcode, mask};
use crate::inspect::{Action, Match, TooComplex};
use crate::message::budget::{Charge, Holder, WindowCharge};
use crate::message::{Fate, Message, MessageRules, MessageType, Violation};
use std::rc::Rc;

/// Memory to work in, reused between messages and connections of a worker.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    inflated: Vec<u8>,
    sanitized: Vec<u8>,
}

impl Workspace {
    /// Gives back what has grown past this many bytes: a few large messages
    /// must not cost their size for ever.
    pub(crate) fn shrink(&mut self, kept_bytes: usize) {
        for buffer in [&mut self.inflated, &mut self.sanitized] {
            if buffer.capacity() > kept_bytes {
                *buffer = Vec::new();
            }
        }
    }
}

/// How a message goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delivery<'a> {
    /// As it came, byte for byte.
    AsItCame,
    /// With this compressed payload, as it came, but in one frame.
    Joined(&'a [u8]),
    /// Unchanged, and the rest of its direction passes without inspection (mode report).
    Unread,
    /// With this payload, in one frame, not compressed.
    Changed(&'a [u8]),
    /// Not at all.
    Vanished,
}

/// What it takes to read the messages of one direction.
#[derive(Debug)]
pub(super) struct Content {
    compression: Option<Box<Compression>>,
}

#[derive(Debug)]
struct Compression {
    inflater: Inflater,
    /// The receiver has not seen all that later messages refer to, or will not:
    /// they go on inflated.
    diverged: bool,
    /// What the inflater keeps between messages.
    window: WindowCharge,
    /// Inflated bytes written for the current chunk. A chunk can hold thousands of messages
    /// that each inflate to hundreds of times their size.
    going: Charge,
}

impl Content {
    /// Without compression.
    pub(super) const fn new() -> Self {
        Self { compression: None }
    }

    /// permessage-deflate was agreed, with these parameters in this direction.
    pub(super) fn compress(&mut self, window: Window, holder: &Rc<Holder>) {
        let inflater = Inflater::new(window);
        self.compression = Some(Box::new(Compression {
            window: WindowCharge::new(holder, inflater.history()),
            inflater,
            diverged: false,
            going: Charge::new(holder),
        }));
    }

    /// Returns true if permessage-deflate was agreed.
    pub(super) const fn is_compressed(&self) -> bool {
        self.compression.is_some()
    }

    /// Releases the charge for the current chunk, whose output is complete.
    pub(super) fn chunk_done(&mut self) {
        if let Some(compression) = &mut self.compression {
            compression.going.release();
        }
    }

    /// Gives back what is kept for messages to come: there will be none.
    pub(super) fn discard(&mut self) {
        self.compression = None;
    }

    /// Judges a whole message by its unmasked `payload`.
    pub(super) fn judge<'a>(
        &mut self,
        message: &Message,
        payload: &'a [u8],
        rules: &MessageRules,
        work: &'a mut Workspace,
        judge: &mut impl Judge,
        offset: u64,
    ) -> Result<Delivery<'a>, Stopped> {
        let Workspace { inflated, sanitized } = work;
        let mut reshaped = None;
        let plain = match (message.is_compressed(), &mut self.compression) {
            (false, _) => payload,
            (true, Some(compression)) => {
                let read = compression.inflate(payload, rules.max_message_bytes, inflated);
                // Unread, or in mode report let through: nothing that follows
                // could be read.
                let read = read.map_err(|violation| refused(judge, violation, offset))?;
                reshaped = reshaping(message, read);
                inflated.as_slice()
            }
            // The decoder lets no RSV1 pass where nothing was agreed.
            (true, None) => return Err(Stopped),
        };
        let (mut vanishes, mut changed) = match verdict(message, plain, rules, judge, offset)? {
            Verdict::Pass => (false, false),
            Verdict::Vanish => (true, false),
            Verdict::Sanitize => {
                if let Some(set) = &rules.rules {
                    set.sanitize(plain, sanitized)
                        .map_err(|TooComplex| Violation::TooComplex { bytes: plain.len() })
                        .and_then(|()| judge_again(message.kind(), sanitized, rules))
                        .map_err(|violation| refused(judge, violation, offset))?;
                }
                (false, true)
            }
            // No rule waits for anything.
            Verdict::Wait | Verdict::Stop => return Err(Stopped),
        };
        let mut overtakes = false;
        if judge.reads() && !vanishes {
            let left = if changed { sanitized.as_slice() } else { plain };
            match passage(message, left, judge, offset)? {
                Passage::AsItIs | Passage::AtOnce | Passage::Greeting => {}
                Passage::Ahead => overtakes = true,
                Passage::Nowhere => vanishes = true,
                Passage::Instead(content) => {
                    *sanitized = content;
                    changed = true;
                }
            }
        }
        if let Some(reshaping) = reshaped
            && judge.only_watches()
        {
            judge.unread(reshaping, offset);
            return Ok(Delivery::Unread);
        }
        let delivery = match (vanishes, changed) {
            (true, _) => Delivery::Vanished,
            (false, true) => Delivery::Changed(sanitized),
            (false, false) => Delivery::AsItCame,
        };
        let Some(compression) = self.compression.as_mut().filter(|_| message.is_compressed())
        else {
            return Ok(delivery);
        };
        // What overtakes others would reach the receiver in another order than it
        // refers to them, and they to it. What may vanish yet is referred to by what
        // comes before that is known.
        let diverges = overtakes || judge.waits() && judge.may_vanish(message.uncounted());
        let delivery = compression.deliver(delivery, (plain, payload), reshaped, diverges);
        // What waits is charged where it does.
        if let (Delivery::Changed(content), false) = (delivery, judge.waits())
            && !judge.only_watches()
            && compression.going.grow(content.len()).is_err()
        {
            return Err(refused(judge, Violation::Overloaded, offset));
        }
        Ok(delivery)
    }
}

impl Compression {
    /// How a message goes on that inflates to `plain`, and came as `payload`, as far
    /// as the receiver can follow: not where it `diverges`, nor once it did.
    fn deliver<'a>(
        &mut self,
        delivery: Delivery<'a>,
        (plain, payload): (&'a [u8], &'a [u8]),
        reshaping: Option<Reshaping>,
        diverges: bool,
    ) -> Delivery<'a> {
        self.diverged |=
            diverges || reshaping == Some(Reshaping::Inflate) || delivery != Delivery::AsItCame;
        match delivery {
            Delivery::AsItCame if self.diverged => Delivery::Changed(plain),
            Delivery::AsItCame if reshaping.is_some() => Delivery::Joined(payload),
            delivery => delivery,
        }
    }

    fn inflate(
        &mut self,
        payload: &[u8],
        limit: u64,
        out: &mut Vec<u8>,
    ) -> Result<Inflated, Violation> {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let inflated = self.inflater.inflate(payload, limit, out);
        let bytes = payload.len();
        let inflated = inflated.map_err(|error| Violation::Inflate { error, bytes })?;
        self.window.on_message().map_err(|_| Violation::Overloaded)?;
        Ok(inflated)
    }
}

/// The form in which a compressed message that breaks no rule has to go on, so that
/// every receiver decodes what was judged; none where that is the form in which it
/// came. Some receivers inflate frame by frame, and behind a final block each goes on
/// in its own way (see [`crate::frame::deflate`]).
fn reshaping(message: &Message, inflated: Inflated) -> Option<Reshaping> {
    if inflated.has_final_block {
        Some(Reshaping::Inflate)
    } else if message.is_fragmented() {
        Some(Reshaping::Join)
    } else {
        None
    }
}

fn refused(judge: &mut impl Judge, violation: Violation, offset: u64) -> Stopped {
    // Whatever the verdict: there is no way on from here.
    let _ = judge.violation(violation, offset);
    Stopped
}

/// What becomes of a message that breaks no rule, by who its sender is.
fn passage(
    message: &Message,
    plain: &[u8],
    judge: &mut impl Judge,
    offset: u64,
) -> Result<Passage, Stopped> {
    let waited = judge.waits();
    // What is swallowed has no turn in which it would be counted. Where its rate lets it
    // vanish, its credential is not read; nothing of it can wait.
    if waited
        && judge.swallows(message.kind(), plain)
        && take_rate(message, judge, offset)? == Verdict::Vanish
    {
        return Ok(Passage::Nowhere);
    }
    let passage = match judge.read(message.kind(), plain, offset) {
        Ok(passage) => passage,
        Err(violation) => {
            return match judge.violation(violation, offset) {
                Verdict::Pass => Ok(Passage::AsItIs),
                _ => Err(Stopped),
            };
        }
    };
    // What waits is counted when its turn has come; what need not, has none.
    let counts = waited && !judge.waits();
    let rated = if counts { take_rate(message, judge, offset)? } else { Verdict::Pass };
    if rated == Verdict::Vanish {
        return Ok(Passage::Nowhere);
    }
    if matches!(passage, Passage::Greeting) {
        judge.greeting_passes();
    }
    Ok(if rated == Verdict::Wait { Passage::AsItIs } else { passage })
}

/// Counts a message in its rates, and says what follows from that.
fn take_rate(message: &Message, judge: &mut impl Judge, offset: u64) -> Result<Verdict, Stopped> {
    let taken = judge.rate(message.uncounted());
    match taken.map_err(|violation| judge.violation(violation, offset)) {
        Ok(()) => Ok(Verdict::Pass),
        Err(Verdict::Stop | Verdict::Sanitize) => Err(Stopped),
        Err(verdict) => Ok(verdict),
    }
}

fn verdict(
    message: &Message,
    plain: &[u8],
    rules: &MessageRules,
    judge: &mut impl Judge,
    offset: u64,
) -> Result<Verdict, Stopped> {
    if message.fate() == Fate::Vanishes {
        return Ok(Verdict::Vanish);
    }
    // What was held has been judged as it came.
    let known = !message.is_compressed() && !message.is_fresh();
    let judged = if known { Ok(()) } else { judge_utf8(message.kind(), plain) };
    let ruled = || {
        let exempt = rules.rules.is_some() && judge.swallows(message.kind(), plain);
        if exempt { Ok(()) } else { judge_rules(plain, rules) }
    };
    let judged = judged.and_then(|()| ruled());
    match judged.map_err(|violation| judge.violation(violation, offset)) {
        Ok(()) => Ok(Verdict::Pass),
        Err(Verdict::Stop) => Err(Stopped),
        Err(verdict) => Ok(verdict),
    }
}

/// Judges the content of a message, by itself.
pub(super) fn judge_plain(
    kind: MessageType,
    plain: &[u8],
    rules: &MessageRules,
) -> Result<(), Violation> {
    judge_utf8(kind, plain)?;
    judge_rules(plain, rules)
}

fn judge_utf8(kind: MessageType, plain: &[u8]) -> Result<(), Violation> {
    match kind {
        MessageType::Text => {
            simdutf8::basic::from_utf8(plain).map(|_| ()).map_err(|_| Violation::InvalidUtf8)
        }
        MessageType::Binary => Ok(()),
    }
}

/// Looks for what the rules look for, in bytes that need be no text.
pub(super) fn judge_rules(plain: &[u8], rules: &MessageRules) -> Result<(), Violation> {
    match rules.rules.as_ref().and_then(|rules| rules.find(plain)) {
        Some(Match { rule, action }) => {
            Err(Violation::RuleMatched { rule, action, bytes: plain.len() })
        }
        None => Ok(()),
    }
}

/// What is left of a message that was changed: any rule that still matches, but
/// those that only report, closes.
fn judge_again(kind: MessageType, left: &[u8], rules: &MessageRules) -> Result<(), Violation> {
    match judge_plain(kind, left, rules) {
        Err(Violation::RuleMatched { action: Action::Report, .. }) | Ok(()) => Ok(()),
        Err(Violation::RuleMatched { rule, bytes, .. }) => {
            Err(Violation::RuleMatched { rule, action: Action::Close, bytes })
        }
        Err(violation) => Err(violation),
    }
}

/// Whether a message of this kind can be told good without reading it.
pub(super) const fn needs_no_reading(message: &Message, rules: &MessageRules) -> bool {
    matches!(message.kind(), MessageType::Binary)
        && !message.is_compressed()
        && rules.rules.is_none()
}

/// Appends a message in one frame, not compressed.
pub(super) fn write_message(
    kind: MessageType,
    payload: &[u8],
    key: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    write_frame((kind, false), payload, key, out);
}

/// Appends a message in one frame whose payload is compressed, or is not.
pub(super) fn write_frame(
    (kind, compressed): (MessageType, bool),
    payload: &[u8],
    key: Option<[u8; 4]>,
    out: &mut Vec<u8>,
) {
    let opcode = match kind {
        MessageType::Text => Opcode::Text,
        MessageType::Binary => Opcode::Binary,
    };
    let payload_bytes = u64::try_from(payload.len()).unwrap_or(u64::MAX);
    FrameHeader { fin: true, compressed, opcode, mask: key, payload_bytes }.encode(out);
    let begin = out.len();
    out.extend_from_slice(payload);
    if let (Some(key), Some(copy)) = (key, out.get_mut(begin..)) {
        mask::apply(copy, key, 0);
    }
}
