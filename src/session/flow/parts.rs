//! Messages of which nobody reads more than their framing: they go on as they come.
//! Binary goes on piece by piece, and so does the server's text, as far as it is
//! UTF-8; the client's text goes on frame by frame.

use super::{Flow, Piece, Room, Scratch, unmask};
use crate::frame::Item;
use crate::message::{Message, MessageRules, MessageType, Parts};
use crate::session::forward::Forward;
use crate::session::verdict::{Judge, Stopped, settle};

/// The parts in which a message goes on that has just begun; `holds` says that its
/// direction holds messages for another reason than their rules.
pub(super) const fn of(message: &Message, rules: &MessageRules, holds: bool) -> Parts {
    if holds || rules.hold_messages() {
        return Parts::Whole;
    }
    match message.kind() {
        // A client must not get part of a text into its server that is none.
        MessageType::Text if message.mask().is_some() => Parts::Frames,
        MessageType::Text | MessageType::Binary => Parts::Pieces,
    }
}

/// Returns the room behind a piece that has gone on. `end`: the piece ends its frame; `fin`:
/// the frame ends its message.
const fn room_behind(end: bool, fin: bool) -> Room {
    match (end, fin) {
        (false, _) => Room::Nothing,
        (true, false) => Room::Controls,
        (true, true) => Room::All,
    }
}

impl Flow {
    /// Lets a piece of such a message go on, or holds it until its frame is complete.
    /// Nothing goes on of a piece with a bad byte, so its frame never ends.
    pub(super) fn pass_piece(
        &mut self,
        piece: &Piece<'_>,
        forward: &mut Forward<'_>,
        scratch: &mut Scratch,
        judge: &mut impl Judge,
    ) -> Result<(), Stopped> {
        let Some(message) = &mut self.message else { return Err(Stopped) };
        let last = piece.end && piece.header.fin;
        let is_held = message.parts() == Parts::Frames && !(piece.end && piece.offset == 0);
        let mut read = if !message.is_read() {
            Ok(())
        } else if is_held {
            message.hold(&piece.header, piece.data, piece.offset)
        } else if message.kind() == MessageType::Text {
            message.read(unmask(piece.header.mask, piece.data, &mut scratch.unmasked))
        } else {
            Ok(())
        };
        if last && message.is_read() {
            read = read.and_then(|()| message.ends_well());
        }
        settle(read, message, self.frame_offset, judge)?;
        let before = self.room;
        if message.is_read() && !is_held {
            piece.pass(forward);
            self.room = room_behind(piece.end, piece.header.fin);
        } else if message.is_read() && piece.end {
            forward.insert(|out| message.release(out));
            message.let_go();
            self.room = room_behind(true, piece.header.fin);
        }
        if self.room > before && judge.is_due(self.room) {
            forward.insert(|out| judge.due(self.room, out));
        }
        if last {
            self.end_message(judge);
        }
        Ok(())
    }

    /// Lets the rest of a frame go on whose beginning has, and nothing behind it: we
    /// are ending the connection.
    pub(in crate::session) fn finish_frame(
        &mut self,
        input: &[u8],
        forward: &mut Forward<'_>,
    ) -> Result<(), Stopped> {
        let (mut rest, fin) = (input, self.frame.is_some_and(|frame| frame.fin));
        let Some(message) = self.message.as_mut().filter(|_| self.room == Room::Nothing) else {
            return Ok(());
        };
        let Ok(Some(Item::Payload { data, end, .. })) = self.decoder.next(&mut rest) else {
            return Ok(());
        };
        // The client's text goes on in whole frames, so this is not masked.
        let mut read = message.read(data);
        if end && fin {
            read = read.and_then(|()| message.ends_well());
        }
        read.map_err(|_| Stopped)?;
        forward.pass(0, data.len());
        self.room = room_behind(end, fin);
        Ok(())
    }
}
