//! What the core judged, by the core itself: the same bytes through a session of
//! this process, which is made to pass everything on inflated.

use super::rig::{admitted, arrival, hand, raw, switching, worker};
use super::script::{Message, Write};
use serde_json::Value;
use wsguard::frame::{Sender, mask};
use wsguard::session::Opening;

/// What was agreed, as it was written.
#[derive(Clone, Debug)]
pub struct Agreed {
    pub offer: String,
    pub answer: String,
}

/// The messages that the core passed on.
pub fn judged(
    document: &Value,
    path: &str,
    agreed: &Agreed,
    sender: Sender,
    writes: &[Write],
) -> Vec<Message> {
    let (_host, guard) = worker(document);
    let extension = "sec-websocket-extensions";
    let mut arrival = arrival(&[(extension, agreed.offer.as_str())]);
    arrival.head.target = path.as_bytes().to_vec();
    let mut session = admitted(&guard, &arrival);
    let answer = switching(&[(extension, agreed.answer.as_str())]);
    assert!(matches!(session.on_response(101, &answer), Opening::Open(_)), "{agreed:?}");
    // An empty final block and the octet behind it (RFC 7692 §7.2.3.4): it goes on
    // inflated, and so does all that follows it.
    let key = (sender == Sender::Client).then_some([1, 2, 3, 4]);
    let mut passed = hand(&mut session, sender, &raw(0xC1, &[0x03, 0x00, 0x00], key)).bytes;
    for write in writes {
        let step = hand(&mut session, sender, &write.bytes);
        passed.extend(step.bytes);
        if step.reset {
            break;
        }
    }
    let mut messages = messages(&passed);
    assert_eq!(messages.remove(0), Message { is_text: true, data: Vec::new() }, "the first one");
    messages
}

/// The messages of a stream of frames; nothing is compressed.
fn messages(stream: &[u8]) -> Vec<Message> {
    let mut all = Vec::new();
    let mut open: Option<Message> = None;
    frames(stream, |first, payload| {
        assert_eq!(first & 0x70, 0, "compressed");
        match first & 0x0F {
            0 => open.as_mut().unwrap().data.extend(payload),
            opcode @ (1 | 2) => {
                open = Some(Message { is_text: opcode == 1, data: payload.to_vec() })
            }
            _ => return,
        }
        if first & 0x80 != 0 {
            all.extend(open.take());
        }
    });
    all
}

/// Goes over whole frames, unmasked; how many bytes they are.
pub fn frames(stream: &[u8], mut each: impl FnMut(u8, &[u8])) -> usize {
    let mut at = 0;
    while let Some((first, payload, length)) = frame(&stream[at..]) {
        each(first, &payload);
        at += length;
    }
    at
}

fn frame(bytes: &[u8]) -> Option<(u8, Vec<u8>, usize)> {
    let (first, second) = (*bytes.first()?, *bytes.get(1)?);
    let (mut at, length) = match second & 0x7F {
        126 => (4, u64::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()))),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap())),
        short => (2, u64::from(short)),
    };
    let mut key = [0; 4];
    if second & 0x80 != 0 {
        key = bytes.get(at..at + 4)?.try_into().unwrap();
        at += 4;
    }
    let end = at + usize::try_from(length).unwrap();
    let mut payload = bytes.get(at..end)?.to_vec();
    mask::apply(&mut payload, key, 0);
    Some((first, payload, end))
}
