//! What one end of a connection sends: messages of random shapes in random frames,
//! with pauses, and what the application of the other end must get of them.

use super::compressor::{Compressor, FLAWS, Flaw};
use super::random::Random;
use wsguard::frame::{Sender, Window};

/// What a rule of every policy but some looks for.
pub const MARKER: &str = "<script>";

/// What a client is told of a message that vanished.
const REPLY: &str =
    r#"{"type":"error","reason":"rule_matched","detail":"the message matches a rule"}"#;

/// What becomes of a message with the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    Close,
    Drop,
    Sanitize,
    Reply,
    /// There is no rule.
    None,
}

/// A message that an application gets.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    pub is_text: bool,
    pub data: Vec<u8>,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = if self.is_text { "text" } else { "binary" };
        let begin = String::from_utf8_lossy(&self.data[..self.data.len().min(60)]);
        write!(f, "{kind} of {} bytes {begin:?}", self.data.len())
    }
}

/// Bytes that are written at once, after a pause.
pub struct Write {
    pub pause_ms: u64,
    pub bytes: Vec<u8>,
}

pub struct Script {
    pub writes: Vec<Write>,
    /// What must arrive: all of it, before the first message with a flaw.
    pub expected: Vec<Message>,
    /// No message has a flaw.
    pub is_legal: bool,
    /// A rule ends the connection.
    pub is_refused: bool,
    /// What it is made of, to be told where it fails.
    pub told: Vec<String>,
}

/// Words of the texts: parts of the marker, so that it comes about by accident too.
const WORDS: [&str; 20] = [
    "hello ",
    "a",
    "größer ",
    "日本語",
    "<",
    "<scr",
    "ipt>",
    "script",
    ">",
    "\n",
    "{\"type\":",
    "\"say\"}",
    "0",
    "1234567",
    "😀",
    " and so on, ",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
    "<b>",
    "",
    "x y z ",
];

struct Writer<'a> {
    script: Script,
    random: &'a mut Random,
    sender: Sender,
    mixed: bool,
    /// The messages to come may be read in another way than was meant.
    is_unsure: bool,
    /// Percent of frames behind a pause.
    pauses: usize,
    /// Bytes that are not written yet.
    pending: Write,
}

impl Script {
    /// What `sender` says on a connection that agreed on `window`, under this rule;
    /// with flaws in one of ten.
    /// Where it is not to be `mixed`, every message arrives compressed.
    pub fn random(
        sender: Sender,
        window: Window,
        rule: Rule,
        mixed: bool,
        random: &mut Random,
    ) -> Self {
        let script = Self {
            writes: Vec::new(),
            expected: Vec::new(),
            is_legal: true,
            is_refused: false,
            told: Vec::new(),
        };
        let pauses = random.pick(&[0, 20, 60, 90]);
        let pending = Write { pause_ms: 0, bytes: Vec::new() };
        let mut writer =
            Writer { script, random, sender, mixed, is_unsure: false, pauses, pending };
        writer.messages(&mut Compressor::new(window, mixed), rule);
        writer.flush();
        writer.script
    }
}

impl Writer<'_> {
    fn messages(&mut self, compressor: &mut Compressor, rule: Rule) {
        let flawed = self.mixed && self.random.chance(15);
        let marked = self.mixed && self.random.chance(30);
        for _ in 0..self.random.between(1, 8) {
            let message = self.say(marked);
            let flaw = (flawed && self.random.chance(30)).then(|| self.random.pick(&FLAWS));
            self.send(&message, compressor, flaw);
            self.expect(message, rule, flaw);
        }
        self.frame(0x88, &1000_u16.to_be_bytes());
    }

    fn say(&mut self, marked: bool) -> Message {
        let words = self.random.pick(&[0, 1, 3, 10, 40, 40, 40, 200, 200, 200, 200, 3000]);
        let mut data = String::new();
        for _ in 0..self.random.below(words + 1) {
            data.push_str(self.random.pick(&WORDS));
        }
        if marked && self.random.chance(30) {
            data.push_str(MARKER);
            data.push_str(self.random.pick(&WORDS));
        }
        let is_text = self.random.chance(75);
        let mut data = data.into_bytes();
        if !is_text && self.random.chance(50) {
            (0..self.random.below(300)).for_each(|_| data.push(self.random.byte()));
        }
        if !self.mixed {
            // No marker, by accident either: what follows one arrives inflated.
            data.iter_mut().filter(|byte| **byte == b'<').for_each(|byte| *byte = b'(');
        }
        Message { is_text, data }
    }

    /// What the application gets of it.
    fn expect(&mut self, mut message: Message, rule: Rule, flaw: Option<Flaw>) {
        self.is_unsure |= flaw.is_some();
        self.script.is_legal &= flaw.is_none();
        if self.is_unsure || self.script.is_refused {
            return;
        }
        if contains(&message.data, MARKER.as_bytes()) {
            match rule {
                Rule::None => {}
                // The client is told, whose message it ever was.
                Rule::Reply if self.sender == Sender::Server => {
                    message = Message { is_text: true, data: REPLY.as_bytes().to_vec() };
                }
                Rule::Drop | Rule::Reply => return,
                Rule::Close => self.script.is_refused = true,
                Rule::Sanitize => {
                    message.data = without(&message.data, MARKER.as_bytes());
                    // It is checked again.
                    self.script.is_refused = contains(&message.data, MARKER.as_bytes());
                }
            }
        }
        if !self.script.is_refused {
            self.script.expected.push(message);
        }
    }

    fn send(&mut self, message: &Message, compressor: &mut Compressor, flaw: Option<Flaw>) {
        let is_compressed = flaw.is_some() || !self.mixed || self.random.chance(85);
        let opcode = if message.is_text { 1 } else { 2 };
        if is_compressed {
            let payload = compressor.message(&message.data, flaw, self.random);
            self.frames(0x40 | opcode, &payload, flaw);
        } else {
            self.frames(opcode, &message.data, flaw);
        }
        let frames = if is_compressed { "compressed" } else { "plain" };
        self.script.told.push(format!("{frames} {flaw:?} {message:?}"));
    }

    /// A message in frames, some of them empty, with Pings between.
    fn frames(&mut self, first: u8, payload: &[u8], flaw: Option<Flaw>) {
        let count = if self.random.chance(40) { 1 } else { self.random.between(2, 6) };
        let mut cuts: Vec<usize> =
            (1..count).map(|_| self.random.below(payload.len() + 1)).collect();
        cuts.extend([0, payload.len()]);
        cuts.sort_unstable();
        for (n, piece) in cuts.windows(2).enumerate() {
            if self.random.chance(10) {
                self.frame(0x89, b"ping");
            }
            let fin = if n + 2 == cuts.len() { 0x80 } else { 0 };
            let reserved = match flaw {
                Some(Flaw::Reserved) if n > 0 => 0x40,
                Some(Flaw::Reserved) if count == 1 => 0x20,
                _ => 0,
            };
            let opcode = if n == 0 { first } else { 0 };
            self.frame(fin | reserved | opcode, &payload[piece[0]..piece[1]]);
        }
    }

    fn frame(&mut self, first: u8, payload: &[u8]) {
        if self.random.chance(self.pauses) {
            self.flush();
            self.pending.pause_ms = self.random.between(5, 60) as u64;
        }
        let key = (self.sender == Sender::Client).then(|| [(); 4].map(|()| self.random.byte()));
        let bytes = super::rig::raw(first, payload, key);
        // A pause within a frame, too.
        let cut = self.random.below(bytes.len());
        self.pending.bytes.extend(&bytes[..cut]);
        if self.random.chance(self.pauses / 10) {
            self.flush();
            self.pending.pause_ms = self.random.between(5, 20) as u64;
        }
        self.pending.bytes.extend(&bytes[cut..]);
    }

    fn flush(&mut self) {
        let next = Write { pause_ms: 0, bytes: Vec::new() };
        let write = std::mem::replace(&mut self.pending, next);
        if !write.bytes.is_empty() {
            self.script.writes.push(write);
        }
    }
}

pub fn contains(data: &[u8], part: &[u8]) -> bool {
    data.windows(part.len()).any(|window| window == part)
}

fn without(data: &[u8], part: &[u8]) -> Vec<u8> {
    let mut left = Vec::new();
    let mut rest = data;
    while !rest.is_empty() {
        if rest.starts_with(part) {
            rest = &rest[part.len()..];
        } else {
            left.push(rest[0]);
            rest = &rest[1..];
        }
    }
    left
}
