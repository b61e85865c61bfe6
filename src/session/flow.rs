//! One direction of a connection: bytes → frames → messages → verdict → what
//! goes on.

use super::forward::Forward;
use super::verdict::{Judge, Stopped, judge_rules, judge_type, judge_whole, settle};
use crate::frame::header::MAX_CONTROL_BYTES;
use crate::frame::{Decoder, FrameError, FrameHeader, Item, Opcode, Sender, close, mask};
use crate::message::budget::Budget;
use crate::message::{Message, MessageRules, Violation, begins};
use std::rc::Rc;

/// What a flow does with the bytes it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handling {
    /// Nothing of a message goes on before its verdict.
    Hold,
    /// Framing is judged; payload goes on as it comes, unseen.
    Relay,
}

/// What a flow works with; the same for every chunk of a connection.
pub(super) struct Surroundings<'a> {
    pub(super) handling: Handling,
    pub(super) rules: Option<&'a MessageRules>,
    pub(super) budget: &'a Rc<Budget>,
    /// Reused between chunks and connections of the worker.
    pub(super) scratch: &'a mut Vec<u8>,
}

/// The state of one direction.
#[derive(Debug)]
pub(super) struct Flow {
    decoder: Decoder,
    /// The frame whose payload is due.
    frame: Option<FrameHeader>,
    /// Where in the stream that frame began.
    frame_offset: u64,
    /// Bytes of the stream before the current chunk.
    stream_bytes: u64,
    /// A relayed data frame has begun to go on and has not ended.
    inside_relayed: bool,
    /// Masked payload of the control frame in progress, `<= 125` bytes.
    control: Vec<u8>,
    message: Option<Message>,
    close: Option<CloseSeen>,
}

/// The sender's Close frame went by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct CloseSeen {
    /// Its code, if it had one.
    pub(super) code: Option<u16>,
}

impl Flow {
    pub(super) const fn new(sender: Sender) -> Self {
        Self {
            decoder: Decoder::new(sender),
            frame: None,
            frame_offset: 0,
            stream_bytes: 0,
            inside_relayed: false,
            control: Vec::new(),
            message: None,
            close: None,
        }
    }

    /// The sender's Close, when it has gone by; nothing goes on after it.
    pub(super) const fn close_seen(&self) -> Option<CloseSeen> {
        self.close
    }

    /// Bytes that came so far, looked at or not.
    pub(super) const fn stream_bytes(&self) -> u64 {
        self.stream_bytes
    }

    /// Counts bytes that came.
    pub(super) const fn count(&mut self, bytes: u64) {
        self.stream_bytes = self.stream_bytes.saturating_add(bytes);
    }

    /// Whether what went on so far ends between two frames, so that a frame of
    /// ours can follow. Only a data frame that is relayed goes on in pieces.
    pub(super) const fn at_boundary(&self) -> bool {
        !self.inside_relayed
    }

    /// Lets only the rest of a frame go on that has begun to; whether that is
    /// done.
    pub(super) fn finish_frame(&mut self, input: &[u8], forward: &mut Forward<'_>) -> bool {
        let mut rest = input;
        if self.inside_relayed
            && let Ok(Some(Item::Payload { end, .. })) = self.decoder.next(&mut rest)
        {
            forward.pass(0, input.len() - rest.len());
            self.inside_relayed = !end;
        }
        self.at_boundary()
    }

    /// Gives back whatever is held: nothing of it will go on.
    pub(super) fn discard(&mut self) {
        self.message = None;
        self.control = Vec::new();
    }

    /// Takes the next chunk.
    pub(super) fn process(
        &mut self,
        input: &[u8],
        forward: &mut Forward<'_>,
        with: &mut Surroundings<'_>,
        judge: &mut dyn Judge,
    ) -> Result<(), Stopped> {
        let done = self.walk(input, forward, with, judge);
        self.count(to_u64(input.len()));
        done
    }

    fn walk(
        &mut self,
        input: &[u8],
        forward: &mut Forward<'_>,
        with: &mut Surroundings<'_>,
        judge: &mut dyn Judge,
    ) -> Result<(), Stopped> {
        let mut rest = input;
        // Where in `input` the frame in progress begins, if all of it is there.
        let mut begin = None;
        while self.close.is_none() {
            let before = input.len() - rest.len();
            let partial = self.decoder.partial_header_bytes();
            let item = match self.decoder.next(&mut rest) {
                Ok(Some(item)) => item,
                Ok(None) => return Ok(()),
                Err(error) => {
                    let offset = self.offset_at(before, partial);
                    judge.violation(Violation::Frame(error), offset);
                    return Err(Stopped);
                }
            };
            let after = input.len() - rest.len();
            match item {
                Item::Header(header) => {
                    begin = (partial == 0).then_some(before);
                    self.frame_offset = self.offset_at(before, partial);
                    self.frame = Some(header);
                    self.begin_frame(&header, with, judge)?;
                    if with.handling == Handling::Relay && !header.opcode.is_control() {
                        pass_header(&header, begin, after, forward);
                        self.inside_relayed = true;
                    }
                }
                Item::Payload { data, offset, end } => {
                    let Some(header) = self.frame else { return Err(Stopped) };
                    let piece = Piece { header, data, offset, end, begin, before, after };
                    if header.opcode.is_control() {
                        self.control_piece(&piece, forward, judge)?;
                    } else {
                        self.data_piece(&piece, forward, with, judge)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn offset_at(&self, before: usize, partial: u8) -> u64 {
        (self.stream_bytes + to_u64(before)).saturating_sub(u64::from(partial))
    }

    /// A header is complete: its place in the message, type and limits.
    fn begin_frame(
        &mut self,
        header: &FrameHeader,
        with: &Surroundings<'_>,
        judge: &mut dyn Judge,
    ) -> Result<(), Stopped> {
        if header.opcode.is_control() {
            self.control.clear();
            return Ok(());
        }
        let order = match (begins(header.opcode), &self.message) {
            (None, None) => Some(FrameError::ContinuationUnexpected),
            (Some(_), Some(_)) => Some(FrameError::ContinuationExpected),
            _ => None,
        };
        if let Some(error) = order {
            judge.violation(Violation::Frame(error), self.frame_offset);
            return Err(Stopped);
        }
        let mut denied = Ok(());
        if let Some(kind) = begins(header.opcode) {
            self.message = Some(Message::begin(kind, with.budget));
            denied = judge_type(kind, with.rules);
        }
        let offset = self.frame_offset;
        let Some(message) = &mut self.message else { return Err(Stopped) };
        settle(denied, message, offset, judge)?;
        let counted = message.count(header, with.rules);
        settle(counted, message, offset, judge)
    }

    /// Control frames go on at once, ahead of a held message, but whole.
    fn control_piece(
        &mut self,
        piece: &Piece<'_>,
        forward: &mut Forward<'_>,
        judge: &mut dyn Judge,
    ) -> Result<(), Stopped> {
        debug_assert!(piece.header.payload_bytes <= MAX_CONTROL_BYTES);
        self.control.extend_from_slice(piece.data);
        if !piece.end {
            return Ok(());
        }
        if piece.header.opcode == Opcode::Close {
            self.judge_close(piece, judge)?;
        }
        match piece.begin {
            Some(begin) => forward.pass(begin, piece.after),
            None => forward.insert(|out| {
                piece.header.encode(out);
                out.extend_from_slice(&self.control);
            }),
        }
        Ok(())
    }

    fn judge_close(&mut self, piece: &Piece<'_>, judge: &mut dyn Judge) -> Result<(), Stopped> {
        let mut payload = self.control.clone();
        if let Some(key) = piece.header.mask {
            mask::apply(&mut payload, key, 0);
        }
        let violation = match close::judge(&payload) {
            Ok(code) => {
                self.close = Some(CloseSeen { code });
                // Nothing goes on after it: what is held never will.
                self.message = None;
                return Ok(());
            }
            Err(close::CloseError::Frame(error)) => Violation::Frame(error),
            Err(close::CloseError::ReasonNotUtf8) => Violation::InvalidUtf8,
        };
        judge.violation(violation, self.frame_offset);
        Err(Stopped)
    }

    fn data_piece(
        &mut self,
        piece: &Piece<'_>,
        forward: &mut Forward<'_>,
        with: &mut Surroundings<'_>,
        judge: &mut dyn Judge,
    ) -> Result<(), Stopped> {
        let Some(message) = &mut self.message else { return Err(Stopped) };
        let offset = self.frame_offset;
        let last = piece.end && piece.header.fin;
        if with.handling == Handling::Relay {
            forward.pass(piece.before, piece.after);
            self.inside_relayed = !piece.end;
        } else if last && piece.offset == 0 && message.is_fresh() && !message.is_skipped() {
            // The whole message stands in this chunk: look at it in the
            // worker's scratch, hold nothing.
            let (kind, key) = (message.kind(), piece.header.mask);
            let verdict = judge_whole(kind, piece.data, key, with.rules, with.scratch);
            settle(verdict, message, offset, judge)?;
            pass_header(&piece.header, piece.begin, piece.before, forward);
            forward.pass(piece.before, piece.after);
        } else if !message.is_skipped() {
            let held = message.hold(&piece.header, piece.data, piece.offset);
            settle(held, message, offset, judge)?;
            if last && !message.is_skipped() {
                let payload = message.complete();
                let verdict = payload.and_then(|payload| judge_rules(payload, with.rules));
                settle(verdict, message, offset, judge)?;
                forward.insert(|out| message.release(out));
            }
        }
        if last {
            judge.message(message.announced_bytes());
            self.message = None;
        }
        Ok(())
    }
}

/// One piece of a frame's payload, and where it stands in the chunk.
struct Piece<'a> {
    header: FrameHeader,
    data: &'a [u8],
    offset: u64,
    end: bool,
    /// Where the frame's header begins in this chunk, if it does.
    begin: Option<usize>,
    /// Where the piece begins and ends in the chunk.
    before: usize,
    after: usize,
}

/// Lets a header go on that ends at `end` of the chunk, from the chunk where
/// all of it stands there.
fn pass_header(header: &FrameHeader, begin: Option<usize>, end: usize, forward: &mut Forward<'_>) {
    match begin {
        Some(begin) => forward.pass(begin, end),
        None => forward.insert(|out| header.encode(out)),
    }
}

pub(super) fn to_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
