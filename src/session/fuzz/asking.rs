//! Entry for the fuzzer: one client, whose messages ask services, and what these
//! answer, in any order.

use super::{cut, open, parsed};
use crate::frame::{FrameHeader, Opcode, Sender, mask};
use crate::guard::Guard;
use crate::host::memory::MemoryHost;
use crate::host::{CallAnswer, CallId, Timestamp};
use crate::message::MessageType;
use crate::reason::Reason;
use crate::session::content::write_message;
use crate::session::{Forwarded, Session, close_code};
use serde_json::json;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

/// Most steps of a run.
const MAX_STEPS: usize = 200;

/// Masks what the client sends.
const KEY: [u8; 4] = [1, 2, 3, 4];

/// The API key of these clients, and its SHA-256.
const API_KEY: &str = "the-api-key-of-the-fuzzer";
const API_KEY_HASH: &str = "e4227309e76fc64eec989d3c6ee021546fbaf957713d32dff131abee5975e035";

/// Holds, for a client that says who it is in the handshake or in its first
/// message, whatever it sends in any cut and whatever services answer and when: at
/// most one question is under way, and it is the next one; all messages before the
/// first that has not been granted have gone on with the last bytes that came, as
/// they were, and none behind it; a no ends the connection with a Close each;
/// report lets everything pass, ends nothing, and decides what
/// was asked before the framing broke; and nothing stays held.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_asking(data: &[u8]) {
    let Some(([setting, seed], steps)) = data.split_first_chunk::<2>() else { return };
    let (report, by_first) = (setting & 1 != 0, setting & 2 != 0);
    let host = Rc::new(MemoryHost::at(Timestamp::from_unix(Duration::from_secs(1_795_341_600))));
    let credential = [("x-key", API_KEY)];
    let lines = if by_first { &[][..] } else { &credential };
    let opened = guard(&host, report).and_then(|guard| Some((open(&guard, lines, &[])?, guard)));
    let Some((mut session, guard)) = opened else { return assert!(data.is_empty(), "it opens") };
    session.set_ready_to_push(true);
    let mut run = Run {
        session,
        host: Rc::clone(&host),
        report,
        seed: *seed,
        known: !by_first,
        verifying: false,
        refused: false,
        sent: Vec::new(),
        pings: 0,
        due: VecDeque::new(),
        under_way: None,
        gone_on: Vec::new(),
        broken: false,
        asked_for_turn: false,
        ended: None,
    };
    for step in steps.iter().take(MAX_STEPS) {
        run.step(*step);
        if run.ended.is_some() {
            run.check_end();
            break;
        }
        run.check();
    }
    run.session.on_end();
    assert!(!run.session.is_waiting(), "it has ended");
    drop(run);
    guard.on_tick();
    assert_eq!(host.metric("wsguard_buffered_bytes"), 0, "something is still held");
}

fn guard(host: &Rc<MemoryHost>, report: bool) -> Option<Rc<Guard>> {
    let document = json!({"mode": if report { "report" } else { "enforce" }, "policies": [{
        "name": "p",
        "auth": {
            "credentials": [{"header": "x-key"}, {"first_message": {"pointer": "/token"}}],
            "api_keys": [{"id": "a", "sha256": API_KEY_HASH}],
            "authorize": [{
                "from": {"message": "/room"}, "callout": {"cluster": "c", "path": "/{room}"},
            }],
        },
        "lifetime": {"push": true},
    }]});
    Some(Guard::new(parsed(document.to_string())?, Rc::<MemoryHost>::clone(host)))
}

/// One connection, and what should become of it.
struct Run {
    session: Session,
    host: Rc<MemoryHost>,
    report: bool,
    seed: u8,
    /// Who it is has been verified.
    known: bool,
    /// It would be, had a service granted what was asked with it.
    verifying: bool,
    /// Mode report: it has been refused.
    refused: bool,
    /// Messages that should go on.
    sent: Vec<Sent>,
    /// Pings that should have.
    pings: usize,
    /// What has still to be asked, and for which message; for none: for the
    /// credential.
    due: VecDeque<(Option<usize>, String)>,
    under_way: Option<CallId>,
    /// What did go on, before the client broke the framing.
    gone_on: Vec<u8>,
    /// Mode report: it has, and is seen no more.
    broken: bool,
    /// The client has been sent a Ping since it last sent something.
    asked_for_turn: bool,
    ended: Option<Reason>,
}

struct Sent {
    frame: Vec<u8>,
    waits: bool,
}

impl Run {
    /// What the client or a service does next.
    fn step(&mut self, step: u8) {
        let room = format!("room{}", step >> 3 & 3);
        match step & 7 {
            0 if step & 32 != 0 => {
                self.say(&json!([{"text": 1}, {"room": room}]).to_string(), Some(room))
            }
            0 | 1 => self.say(&json!({"room": room}).to_string(), Some(room)),
            2 => self.say(&json!({"text": room}).to_string(), None),
            3 => {
                self.pings += usize::from((self.known || self.report) && !self.broken);
                self.client(&ping());
            }
            4 => self.answer(200),
            5 => self.answer(if step & 8 == 0 { 403 } else { 500 }),
            6 => self.advance(None),
            _ if self.report && step & 32 != 0 => self.break_framing(),
            _ if self.known || self.verifying || self.refused || self.broken => self.client(b""),
            _ => self.say_who(step & 8 != 0, (step & 16 != 0).then_some(room)),
        }
    }

    /// Whatever else it sends is seen by nobody; what it has asked for is decided.
    fn break_framing(&mut self) {
        self.broken = true;
        if !self.known && !self.verifying {
            self.due.clear();
        }
        self.client(&[0xF1, 0x80, 0, 0, 0, 0]);
    }

    fn say(&mut self, message: &str, room: Option<String>) {
        let (place, frame) = (self.sent.len(), text(message));
        if self.broken {
            return self.client(&frame);
        }
        let waits = room.is_some();
        self.sent.push(Sent { frame: frame.clone(), waits });
        if !self.refused {
            self.due.extend(room.map(|room| (Some(place), room)));
        }
        self.client(&frame);
    }

    /// Says who it is, and what it asks for with that.
    fn say_who(&mut self, good: bool, room: Option<String>) {
        let token = if good { API_KEY } else { "another" };
        let frame = text(&match &room {
            Some(room) => json!({"token": token, "room": room}).to_string(),
            None => json!({"token": token}).to_string(),
        });
        if self.report {
            self.sent.push(Sent { frame: frame.clone(), waits: false });
        }
        match room {
            _ if !good => self.refuse(Reason::CredentialsInvalid),
            Some(room) => {
                self.verifying = true;
                self.due.push_front((None, room));
            }
            None => self.known = true,
        }
        self.client(&frame);
    }

    /// A service answers, if one has been asked.
    fn answer(&mut self, status: u16) {
        let Some(id) = self.under_way.take() else { return self.advance(None) };
        let asked = self.due.pop_front().and_then(|(place, _)| place);
        match (status, asked) {
            (200, Some(place)) => {
                if let Some(sent) = self.sent.get_mut(place) {
                    sent.waits = false;
                }
            }
            (200, None) => (self.known, self.verifying) = (true, false),
            (_, Some(_)) if self.report => {}
            (403, _) => self.refuse(Reason::AccessDenied),
            _ => self.refuse(Reason::AuthUnavailable),
        }
        self.advance(Some((id, status)));
    }

    fn refuse(&mut self, reason: Reason) {
        self.due.clear();
        if self.report {
            self.refused = true;
        } else {
            self.ended = Some(reason);
        }
    }

    fn advance(&mut self, answer: Option<(CallId, u16)>) {
        let whole = |status| CallAnswer::Whole { status, body: Vec::new() };
        assert!(!self.session.on_answer(CallId(u32::MAX), &whole(200)), "somebody else's");
        if let Some((id, status)) = answer {
            assert!(self.session.on_answer(id, &whole(status)), "its own");
        }
        let outcome = self.session.advance();
        assert!(!outcome.reset && outcome.forwarded == Forwarded::Unchanged);
        self.look();
    }

    /// The client sends, in pieces.
    fn client(&mut self, bytes: &[u8]) {
        self.asked_for_turn &= bytes.is_empty();
        let pieces = if bytes.is_empty() { vec![bytes] } else { cut(bytes, self.seed) };
        for piece in pieces {
            let mut out = Vec::new();
            let outcome = self.session.on_data(Sender::Client, piece, &mut out);
            match outcome.forwarded {
                Forwarded::Unchanged if self.broken => {}
                Forwarded::Unchanged => self.gone_on.extend_from_slice(piece),
                Forwarded::Replaced => self.gone_on.append(&mut out),
            }
            assert!(!outcome.reset);
        }
        self.look();
        if self.ended.is_none() {
            let expected: Vec<_> = self.granted().collect();
            assert_eq!(self.messages(), expected, "not what was granted");
        }
    }

    /// What is asked and said now.
    fn look(&mut self) {
        let calls = self.host.take_calls();
        assert!(calls.len() <= usize::from(self.under_way.is_none()), "two questions");
        if let Some((id, call)) = calls.into_iter().next() {
            let next = self.due.front().map(|(_, room)| format!("/{room}"));
            assert_eq!(Some(call.path), next, "out of turn");
            self.under_way = Some(id);
        }
        if self.ended.is_none() {
            let mut pushed = Vec::new();
            self.session.push(&mut pushed);
            self.asked_for_turn |= pushed.starts_with(&[0x89]);
        }
    }

    /// Holds between two steps.
    fn check(&self) {
        let may_ask = self.known || self.verifying;
        assert_eq!(self.under_way.is_some(), may_ask && !self.due.is_empty(), "nobody is asked");
        assert_eq!(self.session.is_waiting(), self.under_way.is_some());
        let behind = self.granted().count() > self.messages().len();
        assert!(self.asked_for_turn || !behind, "no way on");
        let pings = self.frames().into_iter().filter(|(opcode, _)| *opcode == Opcode::Ping);
        assert_eq!(pings.count(), self.pings);
    }

    /// A no has ended it: with a Close each, behind what had been granted before.
    fn check_end(&mut self) {
        let Some(reason) = self.ended else { return };
        let mut told = Vec::new();
        self.session.push(&mut told);
        self.client(b"");
        let code = close_code(reason).to_be_bytes();
        let close = [&code[..], reason.name().as_bytes()].concat();
        assert!(told.ends_with(&close), "the client is not told");
        let last = self.frames().pop();
        assert_eq!(last.map(|(opcode, _)| opcode), Some(Opcode::Close));
        let gone_on = self.messages();
        let granted: Vec<_> = self.granted().take(gone_on.len()).collect();
        assert_eq!(gone_on, granted);
        assert!(!self.session.is_waiting());
    }

    /// The messages that may have gone on by now.
    fn granted(&self) -> impl Iterator<Item = &[u8]> {
        let open = self.known || self.report;
        let gone = self.sent.iter().take_while(move |s| open && (self.report || !s.waits));
        gone.map(|sent| sent.frame.as_slice())
    }

    /// Those that did.
    fn messages(&self) -> Vec<&[u8]> {
        let frames = self.frames().into_iter();
        frames.filter(|(opcode, _)| !opcode.is_control()).map(|(_, frame)| frame).collect()
    }

    fn frames(&self) -> Vec<(Opcode, &[u8])> {
        let (mut found, mut rest) = (Vec::new(), self.gone_on.as_slice());
        while let Ok(Some((header, length))) = FrameHeader::parse(rest, Sender::Client, false) {
            let end = length.saturating_add(usize::try_from(header.payload_bytes).unwrap_or(0));
            let (frame, after) = rest.split_at_checked(end).unwrap_or((rest, &[]));
            found.push((header.opcode, frame));
            rest = after;
        }
        assert!(rest.is_empty(), "part of a frame");
        found
    }
}

fn text(message: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    write_message(MessageType::Text, message.as_bytes(), Some(KEY), &mut frame);
    frame
}

fn ping() -> Vec<u8> {
    let header = FrameHeader {
        fin: true,
        compressed: false,
        opcode: Opcode::Ping,
        mask: Some(KEY),
        payload_bytes: 1,
    };
    let (mut frame, mut payload) = (Vec::new(), *b"p");
    header.encode(&mut frame);
    mask::apply(&mut payload, KEY, 0);
    frame.extend(payload);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_key_is_the_one_of_its_hash() {
        use sha2::{Digest, Sha256};
        let hash: String = Sha256::digest(API_KEY).iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hash, API_KEY_HASH);
    }

    proptest! {
        #[test]
        fn holds_on_any_steps(
            setting in 0u8..4,
            seed: u8,
            // A no ends a run: so there are few of them.
            steps in prop::collection::vec(
                prop_oneof![9 => any::<u8>().prop_map(|s| if s & 7 == 5 { s ^ 1 } else { s }), 1 => any::<u8>()],
                0..60,
            ),
        ) {
            fuzz_asking(&[&[setting, seed], steps.as_slice()].concat());
        }
    }
}
