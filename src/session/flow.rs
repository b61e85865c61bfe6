//! One direction of a connection: bytes → frames → messages → verdict → what
//! goes on.

use super::content::{self, Content, Delivery, Workspace};
use super::forward::Forward;
use super::verdict::{Judge, Stopped, settle};
use crate::frame::deflate::Window;
use crate::frame::{Decoder, FrameHeader, Item, Sender, mask};
use crate::message::budget::Holder;
use crate::message::{Fate, Message, MessageRules, Parts, Violation};
use header::{judge_type, take_rate};
use onward::{deliver, send};
use std::rc::Rc;
use std::time::Duration;

mod control;
mod header;
mod onward;
mod parts;
mod short;

/// What a flow works with; the same for every chunk of a connection.
pub(super) struct Surroundings<'a> {
    pub(super) rules: &'a MessageRules,
    pub(super) holder: &'a Rc<Holder>,
    pub(super) scratch: &'a mut Scratch,
}

/// Memory to work in, reused between chunks and connections of the worker.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    unmasked: Vec<u8>,
    work: Workspace,
}

impl Scratch {
    /// Gives back what has grown past this many bytes.
    pub(crate) fn shrink(&mut self, kept_bytes: usize) {
        if self.unmasked.capacity() > kept_bytes {
            self.unmasked = Vec::new();
        }
        self.work.shrink(kept_bytes);
    }
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
    /// Masked payload of the control frame in progress, `<= 125` bytes.
    control: Vec<u8>,
    message: Option<Message>,
    content: Content,
    close: Option<CloseSeen>,
    /// Room for frames of ours to the receiver.
    room: Room,
    /// When the message or frame in progress began, by the steady clock, as of the
    /// chunk.
    begun: Option<Duration>,
    /// Mode report: what follows can't be read as every receiver reads it, and
    /// passes unread.
    unread: bool,
}

/// Room for frames of ours between those of the other end. It depends on whether an end has
/// had part of a frame, or of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Room {
    /// Nothing: it has had the beginning of a frame and not its end.
    Nothing,
    /// Control frames (RFC 6455 §5.4): of a message it has had some frames and not the last.
    Controls,
    /// Whole messages, too.
    All,
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
            control: Vec::new(),
            message: None,
            content: Content::new(),
            close: None,
            room: Room::All,
            begun: None,
            unread: false,
        }
    }

    /// permessage-deflate was agreed, with these parameters in this direction;
    /// to be called before the first byte.
    pub(super) fn compress(&mut self, window: Window, holder: &Rc<Holder>) {
        self.decoder.allow_compression();
        self.content.compress(window, holder);
    }

    /// The sender's Close, when it has gone by; nothing goes on after it.
    pub(super) const fn close_seen(&self) -> Option<CloseSeen> {
        self.close
    }

    /// Returns true once the direction passes without inspection (mode report).
    pub(super) const fn is_unread(&self) -> bool {
        self.unread
    }

    /// Returns the room that there is now for frames of ours to the receiver.
    pub(super) const fn room(&self) -> Room {
        self.room
    }

    /// Returns true if the receiver has had the beginning of a frame and not its end.
    pub(super) fn is_inside(&self) -> bool {
        self.room == Room::Nothing
    }

    /// When the message or frame in progress began, where one is, and how much its
    /// headers have announced.
    pub(super) fn begun(&self) -> Option<(Duration, u64)> {
        let announced = self.message.as_ref().map_or(0, Message::announced_bytes);
        Some((self.begun?, announced))
    }

    /// Records that an event has told of the message in progress: it took too long.
    pub(super) const fn is_told_late(&mut self) {
        self.begun = Some(Duration::MAX);
    }

    /// Returns the offset in the stream at which the frame in progress began.
    pub(super) const fn frame_offset(&self) -> u64 {
        self.frame_offset
    }

    /// Bytes that came so far, looked at or not.
    pub(super) const fn stream_bytes(&self) -> u64 {
        self.stream_bytes
    }

    /// Counts bytes that came.
    pub(super) const fn count(&mut self, bytes: u64) {
        self.stream_bytes = self.stream_bytes.saturating_add(bytes);
    }

    /// Gives back whatever is held: nothing of it will go on.
    pub(super) fn discard(&mut self) {
        // Of what goes on in pieces nothing is held, and a frame that has begun ends.
        self.message = self.message.take().filter(|_| self.room == Room::Nothing);
        self.control = Vec::new();
        self.content.discard();
    }

    /// Takes the next chunk.
    pub(super) fn process(
        &mut self,
        input: &[u8],
        forward: &mut Forward<'_>,
        with: &mut Surroundings<'_>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let done = self.walk(input, forward, with, judge);
        self.content.chunk_done();
        if !self.is_between() {
            self.begun.get_or_insert_with(|| judge.moment());
        } else {
            self.begun = None;
        }
        self.count(to_u64(input.len()));
        done
    }

    fn walk(
        &mut self,
        input: &[u8],
        forward: &mut Forward<'_>,
        with: &mut Surroundings<'_>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let mut rest = input;
        // Where in `input` the frame in progress begins, if all of it is there.
        let mut begin = None;
        while self.close.is_none() && !self.unread {
            let before = input.len() - rest.len();
            if let Some(length) = self.good_message(rest, with, judge) {
                forward.pass(before, before + length);
                rest = rest.get(length..).unwrap_or_default();
                if rest.is_empty() {
                    return Ok(());
                }
                continue;
            }
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
                    self.begin_frame(&header, forward, with, judge)?;
                }
                Item::Payload { data, offset, end } => {
                    let Some(header) = self.frame else { return Err(Stopped) };
                    let piece = Piece { header, data, offset, end, begin, before, after };
                    if header.opcode.is_control() {
                        self.control_piece(&piece, with.rules, forward, judge)?;
                    } else {
                        self.data_piece(&piece, forward, with, judge)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Returns true if neither a message nor a frame is in progress.
    const fn is_between(&self) -> bool {
        self.message.is_none()
            && self.decoder.at_boundary()
            && self.decoder.partial_header_bytes() == 0
    }

    fn offset_at(&self, before: usize, partial: u8) -> u64 {
        (self.stream_bytes + to_u64(before)).saturating_sub(u64::from(partial))
    }

    fn data_piece(
        &mut self,
        piece: &Piece<'_>,
        forward: &mut Forward<'_>,
        with: &mut Surroundings<'_>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let Some(message) = &mut self.message else { return Err(Stopped) };
        let offset = self.frame_offset;
        let last = piece.end && piece.header.fin;
        // The whole message stands in this chunk: it is not held.
        let at_once = last && piece.offset == 0 && message.is_fresh();
        if !at_once && message.parts() != Parts::Whole {
            return self.pass_piece(piece, forward, with.scratch, judge);
        }
        if !at_once && message.is_read() {
            let held = message.hold(&piece.header, piece.data, piece.offset);
            settle(held, message, offset, judge)?;
        }
        if last && message.waits() {
            judge.hold_back();
        } else if last {
            // It may have begun when others waited.
            take_rate(message, offset, forward, judge)?;
        }
        if at_once && message.is_read() {
            let delivery = whole(message, piece, &mut self.content, with, judge, offset)?;
            self.unread = delivery == Delivery::Unread;
            if delivery != Delivery::AsItCame {
                deliver(message, delivery, forward, judge, offset)?;
            } else if judge.waits() {
                send(forward, judge, (message, offset), |out| {
                    piece.header.encode(out);
                    out.extend_from_slice(piece.data);
                })?;
            } else {
                piece.pass(forward);
            }
        } else if last && message.is_read() {
            self.conclude(forward, with, judge)?;
        }
        if last {
            self.end_message(judge);
        }
        if self.unread {
            self.discard();
        }
        Ok(())
    }

    /// The last byte of the message has come.
    fn end_message(&mut self, judge: &mut impl Judge) {
        self.begun = None;
        if let Some(message) = self.message.take() {
            judge.message(message.announced_bytes());
        }
    }

    /// All of the message is held.
    fn conclude(
        &mut self,
        forward: &mut Forward<'_>,
        with: &mut Surroundings<'_>,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let Some(message) = &mut self.message else { return Err(Stopped) };
        let offset = self.frame_offset;
        let ended = message.ends_well();
        settle(ended, message, offset, judge)?;
        if message.fate() == Fate::Unread {
            return Ok(());
        }
        let work = &mut with.scratch.work;
        let payload = message.payload();
        let delivery = self.content.judge(message, payload, with.rules, work, judge, offset)?;
        self.unread = delivery == Delivery::Unread;
        match delivery {
            Delivery::AsItCame => {
                send(forward, judge, (message, offset), |out| message.release(out))
            }
            delivery => deliver(message, delivery, forward, judge, offset),
        }
    }
}

/// Judges a message whose whole payload stands in one chunk.
fn whole<'a>(
    message: &Message,
    piece: &Piece<'a>,
    content: &mut Content,
    with: &'a mut Surroundings<'_>,
    judge: &mut impl Judge,
    offset: u64,
) -> Result<Delivery<'a>, Stopped> {
    if content::needs_no_reading(message, with.rules) && !judge.reads() {
        return Ok(Delivery::AsItCame);
    }
    let Scratch { unmasked, work } = &mut *with.scratch;
    let payload = unmask(piece.header.mask, piece.data, unmasked);
    content.judge(message, payload, with.rules, work, judge, offset)
}

/// The payload of a frame as it was before it was masked, in `room` where it was.
fn unmask<'a>(key: Option<[u8; 4]>, payload: &'a [u8], room: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(key) = key else { return payload };
    room.clear();
    room.extend_from_slice(payload);
    mask::apply(room, key, 0);
    room
}

/// Tells the judge of a violation that leaves no way on.
fn stop(judge: &mut impl Judge, violation: Violation, offset: u64) -> Stopped {
    let _ = judge.violation(violation, offset);
    Stopped
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

impl Piece<'_> {
    /// Lets it go on as it came, behind its frame's header where it is the first.
    fn pass(&self, forward: &mut Forward<'_>) {
        if self.offset == 0 {
            match self.begin {
                Some(begin) => forward.pass(begin, self.before),
                None => forward.insert(|out| self.header.encode(out)),
            }
        }
        forward.pass(self.before, self.after);
    }
}

pub(super) fn to_u64(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}
