//! What should become of a connection, from the frames that were sent.

use super::{MAX_FRAGMENTS, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, NEEDLE, Seen, Setting};
use crate::frame::{FrameHeader, Inflater, Opcode, Sender, Window, mask};
use crate::inspect::Action;
use crate::reason::Reason;
use crate::session::close_code;

/// A whole frame, and its bytes as they came.
type Raw<'a> = (FrameHeader, &'a [u8]);

/// A whole message: whether it is text, its content, how many frames it has.
type Content = (bool, Vec<u8>, usize);

/// Mode enforce: what went on, and what both sides were told.
pub(super) fn judge(setting: &Setting, stream: &[u8], seen: &Seen) {
    let (mut sent, begun) = frames(setting, stream, setting.sender);
    if let Some(end) = sent.iter().position(|frame| frame.0.opcode == Opcode::Close) {
        sent.truncate(end + 1);
    }
    let (mut gone_on, rest) = frames(setting, &seen.forwarded, setting.sender);
    assert!(rest.is_empty() || setting.passes_parts(), "part of a frame");
    if seen.reset {
        let is_text_of_server = setting.sender == Sender::Server && setting.passes_parts();
        assert!(is_text_of_server && seen.refused == Some(Reason::InvalidUtf8));
        assert!(!rest.is_empty(), "a Close could have been framed");
    } else if let Some(reason) = seen.refused {
        assert!(rest.is_empty(), "a Close inside a frame");
        let last = gone_on.pop();
        assert!(last.as_ref().is_some_and(|frame| {
            frame.0.opcode == Opcode::Close && payload(frame) == close_code(reason).to_be_bytes()
        }));
        let (mut told, rest) = frames(setting, &seen.told, setting.sender.other());
        let mut expected = close_code(reason).to_be_bytes().to_vec();
        expected.extend_from_slice(reason.name().as_bytes());
        let last = told.pop();
        assert!(rest.is_empty());
        assert!(last.is_some_and(|f| f.0.opcode == Opcode::Close && payload(&f) == expected));
        assert!(told.iter().all(is_answer));
    }
    if seen.refused.is_none() {
        let goes_on = begun.starts_with(rest) || sent.iter().any(|frame| frame.1.starts_with(rest));
        assert!(goes_on, "not the frame that was sent");
    }
    judge_controls(setting, &sent, &gone_on, seen.refused.is_some());
    judge_messages(setting, &sent, &gone_on, seen.refused.is_some());
    judge_forms(&gone_on);
}

/// What goes on compressed stands in one frame and has no final block: receivers
/// that inflate frame by frame, or stop at a final block, read it as all others do.
fn judge_forms(gone_on: &[Raw<'_>]) {
    let mut inflater = Inflater::new(Window::DEFAULT);
    for frame in gone_on.iter().filter(|frame| frame.0.compressed) {
        assert!(frame.0.fin, "a compressed message in fragments");
        let read = inflater.inflate(&payload(frame), usize::MAX, &mut Vec::new());
        assert!(read.is_ok_and(|read| !read.has_final_block), "a final block");
    }
}

/// Control frames go on as they came, but for what the rule finds, with Pings of
/// ours among them where a reply waits for a chance.
fn judge_controls(setting: &Setting, sent: &[Raw<'_>], gone_on: &[Raw<'_>], refused: bool) {
    // With `push` too, as long as nothing can be pushed.
    let asks = setting.action == Action::Reply && setting.sender == Sender::Client;
    let control = |frame: &&Raw<'_>| frame.0.opcode.is_control();
    let mut came = sent.iter().filter(control).filter_map(|f| control_left(setting, f)).peekable();
    for frame in gone_on.iter().filter(control) {
        if came.next_if_eq(&(frame.0.opcode, frame.0.mask, payload(frame))).is_none() {
            assert!(asks && frame.0.opcode == Opcode::Ping, "a control frame from nowhere");
        }
        assert!(!setting.rule || !holds_needle(&payload(frame)), "the rule does not hold");
    }
    // A Pong with the payload of our Pings would be taken for theirs.
    assert!(refused || came.all(|(opcode, ..)| opcode == Opcode::Pong), "one is lost");
}

/// What goes on of a control frame, if it does not end the connection.
fn control_left(setting: &Setting, frame: &Raw<'_>) -> Option<(Opcode, Option<[u8; 4]>, Vec<u8>)> {
    let (opcode, mut left) = (frame.0.opcode, payload(frame));
    let content = left.get(if opcode == Opcode::Close { 2 } else { 0 }..).unwrap_or_default();
    if setting.rule && holds_needle(content) {
        if opcode != Opcode::Close {
            return None;
        }
        left.truncate(2);
    }
    Some((opcode, frame.0.mask, left))
}

/// Every message that went on is whole and within its limits, and none of the
/// good ones is missing.
fn judge_messages(setting: &Setting, sent: &[Raw<'_>], gone_on: &[Raw<'_>], refused: bool) {
    let (sent, begun) = messages(sent, MAX_FRAME_BYTES);
    // What was changed goes on in one frame, however many it came in.
    let (mut gone_on, unfinished) = messages(gone_on, MAX_MESSAGE_BYTES);
    assert!(unfinished.is_none() || setting.passes_parts(), "a message without its end");
    if setting.sender == Sender::Server {
        gone_on.retain(|(text, content, _)| !(*text && content.starts_with(ANSWER)));
    }
    for (text, content, fragments) in &gone_on {
        assert!(u64::try_from(content.len()).is_ok_and(|bytes| bytes <= MAX_MESSAGE_BYTES));
        assert!(*fragments <= MAX_FRAGMENTS);
        assert!(if *text { std::str::from_utf8(content).is_ok() } else { !setting.text_only });
        assert!(!setting.rule || !holds_needle(content));
    }
    let mut expected: Vec<_> = sent.into_iter().filter_map(|m| expected(setting, m)).collect();
    if let Some((text, part, _)) = unfinished {
        let all = expected.get(gone_on.len()).cloned().or(begun);
        let is_part = all.is_some_and(|(kind, all, _)| kind == text && all.starts_with(&part));
        assert!(is_part, "not part of what was sent");
        let bad = std::str::from_utf8(&part).is_err_and(|error| error.error_len().is_some());
        assert!(!text || !bad, "part of a text that is none");
        assert!(text || !setting.text_only);
    }
    if refused {
        assert!(gone_on.len() <= expected.len());
        expected.truncate(gone_on.len());
    }
    let contents = |messages: Vec<Content>| -> Vec<_> {
        messages.into_iter().map(|(text, content, _)| (text, content)).collect()
    };
    assert_eq!(contents(gone_on), contents(expected), "not what was sent");
}

/// What goes on of a message, if no violation ends the connection.
fn expected(setting: &Setting, (text, content, fragments): Content) -> Option<Content> {
    let vanishes = matches!(setting.action, Action::Drop | Action::Reply);
    if vanishes && (!text && setting.text_only || setting.rule && holds_needle(&content)) {
        return None;
    }
    let mut left = content;
    while let (Action::Sanitize, true, Some(at)) = (setting.action, setting.rule, needle(&left)) {
        left.drain(at..at + NEEDLE.len());
    }
    Some((text, left, fragments))
}

fn needle(content: &[u8]) -> Option<usize> {
    content.windows(NEEDLE.len()).position(|part| part == NEEDLE.as_bytes())
}

fn holds_needle(content: &[u8]) -> bool {
    needle(content).is_some()
}

/// How an answer of ours begins.
const ANSWER: &[u8] = br#"{"type":"error","reason":""#;

fn is_answer(frame: &Raw<'_>) -> bool {
    frame.0.opcode == Opcode::Text && payload(frame).starts_with(ANSWER)
}

/// The messages that these frames make, inflated, and the one that has no end.
/// What can't be inflated ends them: it closes, as a larger frame does.
fn messages(frames: &[Raw<'_>], max_frame_bytes: u64) -> (Vec<Content>, Option<Content>) {
    let mut inflater = Inflater::new(Window::DEFAULT);
    let (mut found, mut open): (Vec<Content>, Option<(Content, bool)>) = (Vec::new(), None);
    for frame in frames.iter().filter(|frame| !frame.0.opcode.is_control()) {
        if frame.0.payload_bytes > max_frame_bytes {
            break;
        }
        let text = frame.0.opcode == Opcode::Text;
        let begun = open.take();
        // A message in another, or a continuation of nothing: it closes.
        if begun.is_some() == (frame.0.opcode != Opcode::Continuation) {
            open = begun;
            break;
        }
        let begun = begun.unwrap_or_else(|| ((text, Vec::new(), 0), frame.0.compressed));
        let ((text, mut content, fragments), compressed) = begun;
        content.extend(payload(frame));
        if !frame.0.fin {
            open = Some(((text, content, fragments + 1), compressed));
            continue;
        }
        if compressed {
            let mut out = Vec::new();
            let limit = usize::try_from(MAX_MESSAGE_BYTES).unwrap_or(usize::MAX);
            if inflater.inflate(&content, limit, &mut out).is_err() {
                break;
            }
            content = out;
        }
        found.push((text, content, fragments + 1));
    }
    (found, open.map(|(content, _)| content))
}

/// The whole, well-formed frames that `bytes` begin with, and what is left.
fn frames<'a>(setting: &Setting, bytes: &'a [u8], sender: Sender) -> (Vec<Raw<'a>>, &'a [u8]) {
    let (mut found, mut rest) = (Vec::new(), bytes);
    while let Ok(Some((header, length))) = FrameHeader::parse(rest, sender, setting.compression) {
        let end = usize::try_from(header.payload_bytes).ok().and_then(|p| p.checked_add(length));
        let Some((frame, after)) = end.and_then(|end| rest.split_at_checked(end)) else { break };
        found.push((header, frame));
        rest = after;
    }
    (found, rest)
}

fn payload(frame: &Raw<'_>) -> Vec<u8> {
    let length = usize::try_from(frame.0.payload_bytes).unwrap_or(0);
    let mut payload = frame.1.get(frame.1.len() - length..).unwrap_or_default().to_vec();
    if let Some(key) = frame.0.mask {
        mask::apply(&mut payload, key, 0);
    }
    payload
}
