//! Compressed messages of one direction, of any shape that RFC 7692 allows, and
//! some that it does not.

use super::bits::{Bits, Token};
use super::random::Random;
use std::collections::HashMap;
use wsguard::frame::Window;

/// DEFLATE's own window (RFC 1951 §2).
const LARGEST_WINDOW: usize = 1 << 15;

/// What is wrong with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Refers farther back than was agreed.
    Window,
    /// Padding bits that are not 0.
    Padding,
    /// Does not end with the head of an empty block (RFC 7692 §7.2.1).
    Ending,
    /// Some bits are others.
    Bits,
    /// The end is missing.
    Short,
    /// More bytes behind.
    Long,
    /// No payload at all.
    Empty,
    /// Its frames have reserved bits where they have no meaning.
    Reserved,
}

pub const FLAWS: [Flaw; 8] = [
    Flaw::Window,
    Flaw::Padding,
    Flaw::Ending,
    Flaw::Bits,
    Flaw::Short,
    Flaw::Long,
    Flaw::Empty,
    Flaw::Reserved,
];

/// A sender's end of a compressed direction.
pub struct Compressor {
    window: Window,
    /// Some blocks are final ones; such messages go on inflated.
    finals: bool,
    /// The end of what was sent.
    history: Vec<u8>,
    /// Its part that is referred to no more, from the front.
    forgotten: usize,
}

impl Compressor {
    pub fn new(window: Window, finals: bool) -> Self {
        Self { window, finals, history: Vec::new(), forgotten: 0 }
    }

    /// The payload of a message that says `plain`, and breaks the rules in `flaw`.
    pub fn message(&mut self, plain: &[u8], flaw: Option<Flaw>, random: &mut Random) -> Vec<u8> {
        if !self.window.takeover && flaw != Some(Flaw::Window) {
            self.history.clear();
            self.forgotten = 0;
        }
        let tokens = self.tokens(plain, flaw, random);
        let has_final = self.finals && random.chance(30);
        let payload = blocks(&tokens, &self.history, has_final, flaw, random);
        self.history.extend(plain);
        // A sender that begins anew behind a final block, or one that does not.
        if has_final && random.chance(50) {
            self.forgotten = self.history.len();
        }
        let surplus = self.history.len().saturating_sub(LARGEST_WINDOW);
        self.history.drain(..surplus);
        self.forgotten = self.forgotten.saturating_sub(surplus);
        spoilt(payload, flaw, random)
    }

    /// Any way to say it, with references to what was before where there are some.
    fn tokens(&self, plain: &[u8], flaw: Option<Flaw>, random: &mut Random) -> Vec<Token> {
        let agreed = 1 << self.window.bits;
        let farthest = if flaw == Some(Flaw::Window) { LARGEST_WINDOW } else { agreed };
        let all = [&self.history, plain].concat();
        let mut places: HashMap<[u8; 3], Vec<usize>> = HashMap::new();
        let note = |at: usize, places: &mut HashMap<[u8; 3], Vec<usize>>| {
            if let Some(three) = three_at(&all, at) {
                places.entry(three).or_default().push(at);
            }
        };
        (self.forgotten..self.history.len()).for_each(|at| note(at, &mut places));
        let (mut tokens, mut at) = (Vec::new(), self.history.len());
        let literals = random.pick(&[5, 30, 100]);
        while at < all.len() {
            let found = three_at(&all, at).and_then(|three| places.get(&three));
            let found: &[usize] = found.map_or(&[], Vec::as_slice);
            let found = &found[found.partition_point(|from| at - from > farthest)..];
            let length = if found.is_empty() || random.chance(literals) {
                tokens.push(Token::Literal(all[at]));
                1
            } else {
                // The farthest ones are those that go wrong.
                let from = if random.chance(50) { found[0] } else { random.pick(found) };
                let same =
                    (0..(all.len() - at).min(258)).take_while(|n| all[from + n] == all[at + n]);
                let most = same.count();
                let length = if random.chance(70) { most } else { random.between(3, most) };
                tokens.push(Token::Match { length, distance: at - from });
                length
            };
            (at..at + length).for_each(|at| note(at, &mut places));
            at += length;
        }
        tokens
    }
}

/// The three bytes that stand there.
fn three_at(all: &[u8], at: usize) -> Option<[u8; 3]> {
    all.get(at..at + 3)?.try_into().ok()
}

/// What the tokens say, behind `history`.
fn said(tokens: &[Token], history: &mut Vec<u8>) -> Vec<u8> {
    let before = history.len();
    for token in tokens {
        match *token {
            Token::Literal(byte) => history.push(byte),
            Token::Match { length, distance } => {
                (0..length).for_each(|_| history.push(history[history.len() - distance]));
            }
        }
    }
    history[before..].to_vec()
}

fn blocks(
    tokens: &[Token],
    history: &[u8],
    has_final: bool,
    flaw: Option<Flaw>,
    random: &mut Random,
) -> Vec<u8> {
    let mut bits = Bits::default();
    let mut history = history.to_vec();
    let mut rest = tokens;
    let pieces = random.between(1, 4);
    let empties = random.below(4) * random.below(3);
    let mut left = pieces + empties;
    while left > 0 || !rest.is_empty() {
        let is_empty = left > 1 && random.chance(100 * empties / (pieces + empties));
        let length = match (is_empty, left) {
            (true, _) => 0,
            (_, 0 | 1) => rest.len(),
            _ => random.below(rest.len() + 1),
        };
        let (block, behind) = rest.split_at(length);
        rest = behind;
        left = left.saturating_sub(1);
        let is_final = has_final && (random.chance(40) || left == 0 && random.chance(70));
        block_of(&mut bits, block, &mut history, is_final, flaw, random);
    }
    if flaw != Some(Flaw::Ending) {
        bits.put(0, 3);
        bits.align(padding(flaw, random));
    }
    bits.octets
}

fn padding(flaw: Option<Flaw>, random: &mut Random) -> u8 {
    if flaw == Some(Flaw::Padding) { random.byte() } else { 0 }
}

/// A block of any type that can say it.
fn block_of(
    bits: &mut Bits,
    tokens: &[Token],
    history: &mut Vec<u8>,
    is_final: bool,
    flaw: Option<Flaw>,
    random: &mut Random,
) {
    let bytes = said(tokens, history);
    match random.below(3) {
        0 if bytes.len() < 1 << 16 => bits.stored(&bytes, is_final, padding(flaw, random)),
        1 => bits.fixed(tokens, is_final),
        _ => bits.dynamic(tokens, is_final, random),
    }
    if is_final {
        bits.align(padding(flaw, random));
    }
}

fn spoilt(mut payload: Vec<u8>, flaw: Option<Flaw>, random: &mut Random) -> Vec<u8> {
    match flaw {
        Some(Flaw::Bits) => {
            for _ in 0..random.between(1, 3) {
                let at = random.below(payload.len());
                payload[at] ^= 1 << random.below(8);
            }
        }
        Some(Flaw::Short) => payload.truncate(random.below(payload.len())),
        Some(Flaw::Long) => {
            (0..random.between(1, 40)).for_each(|_| payload.push(random.byte()));
            if random.chance(50) {
                payload.push(0);
            }
        }
        Some(Flaw::Empty) => payload.clear(),
        _ => {}
    }
    payload
}
