//! How a judged message goes on: in which form, and at once or in its turn.

use super::{Room, stop};
use crate::message::Message;
use crate::session::content::{self, Delivery};
use crate::session::forward::Forward;
use crate::session::verdict::{Judge, Queued, Stopped};

/// Lets a message go on that does not go on as it came.
pub(super) fn deliver(
    message: &Message,
    delivery: Delivery<'_>,
    forward: &mut Forward<'_>,
    judge: &mut impl Judge,
    offset: u64,
) -> Result<(), Stopped> {
    match delivery {
        // Mode report lets all pass.
        Delivery::AsItCame | Delivery::Unread => {}
        Delivery::Joined(payload) => send(forward, judge, (message, offset), |out| {
            content::write_frame((message.kind(), true), payload, message.mask(), out);
        })?,
        Delivery::Changed(payload) => send(forward, judge, (message, offset), |out| {
            content::write_message(message.kind(), payload, message.mask(), out);
        })?,
        Delivery::Vanished => forward.insert(|out| judge.in_its_place(Room::All, out)),
    }
    Ok(())
}

/// Lets the frames of `message` go on that `write` appends, now or in their turn.
pub(super) fn send(
    forward: &mut Forward<'_>,
    judge: &mut impl Judge,
    (message, offset): (&Message, u64),
    mut write: impl FnMut(&mut Vec<u8>),
) -> Result<(), Stopped> {
    if !judge.waits() {
        forward.insert(write);
        return Ok(());
    }
    let queued = Queued::Message(message.uncounted());
    let queued = judge.enqueue(queued, offset, &mut write);
    queued.map_err(|violation| stop(judge, violation, offset))
}
