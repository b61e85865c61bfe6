//! DEFLATE blocks, written bit by bit (RFC 1951 §3.2), with Huffman codes that no
//! compressor would choose.

use super::random::Random;

/// What a block says.
#[derive(Clone, Copy, Debug)]
pub enum Token {
    Literal(u8),
    /// So many bytes, from so far behind.
    Match {
        length: usize,
        distance: usize,
    },
}

/// End of a block, among the literals and lengths.
const END: usize = 256;

/// First length and extra bits of the codes 257 to 285 (§3.2.5).
const LENGTHS: [(usize, u32); 29] = [
    (3, 0),
    (4, 0),
    (5, 0),
    (6, 0),
    (7, 0),
    (8, 0),
    (9, 0),
    (10, 0),
    (11, 1),
    (13, 1),
    (15, 1),
    (17, 1),
    (19, 2),
    (23, 2),
    (27, 2),
    (31, 2),
    (35, 3),
    (43, 3),
    (51, 3),
    (59, 3),
    (67, 4),
    (83, 4),
    (99, 4),
    (115, 4),
    (131, 5),
    (163, 5),
    (195, 5),
    (227, 5),
    (258, 0),
];

/// First distance and extra bits of the distance codes.
const DISTANCES: [(usize, u32); 30] = [
    (1, 0),
    (2, 0),
    (3, 0),
    (4, 0),
    (5, 1),
    (7, 1),
    (9, 2),
    (13, 2),
    (17, 3),
    (25, 3),
    (33, 4),
    (49, 4),
    (65, 5),
    (97, 5),
    (129, 6),
    (193, 6),
    (257, 7),
    (385, 7),
    (513, 8),
    (769, 8),
    (1025, 9),
    (1537, 9),
    (2049, 10),
    (3073, 10),
    (4097, 11),
    (6145, 11),
    (8193, 12),
    (12289, 12),
    (16385, 13),
    (24577, 13),
];

/// In which order the lengths of the code for lengths stand (§3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];

/// Code, value of its extra bits and their number.
fn coded(table: &[(usize, u32)], value: usize) -> (usize, usize, u32) {
    let code = table.partition_point(|(first, _)| *first <= value) - 1;
    (code, value - table[code].0, table[code].1)
}

/// Octets under construction, filled from their lowest bit.
#[derive(Default)]
pub struct Bits {
    pub octets: Vec<u8>,
    /// Bits of the last octet that are taken; 0 stands for all.
    used: u32,
}

impl Bits {
    /// The lowest `count` bits of `value`, lowest first.
    pub fn put(&mut self, value: usize, count: u32) {
        for bit in 0..count {
            if self.used == 0 {
                self.octets.push(0);
            }
            *self.octets.last_mut().unwrap() |= u8::from(value >> bit & 1 == 1) << self.used;
            self.used = (self.used + 1) % 8;
        }
    }

    /// Fills the last octet with these bits.
    pub fn align(&mut self, padding: u8) {
        while self.used != 0 {
            self.put(usize::from(padding >> self.used & 1), 1);
        }
    }

    fn code(&mut self, code: Code) {
        for bit in (0..code.bits).rev() {
            self.put(code.value >> bit & 1, 1);
        }
    }

    /// The head of a block, of type 0 (stored), 1 (fixed) or 2 (dynamic).
    fn head(&mut self, kind: usize, is_final: bool) {
        self.put(usize::from(is_final), 1);
        self.put(kind, 2);
    }

    /// A stored block (§3.2.4).
    pub fn stored(&mut self, bytes: &[u8], is_final: bool, padding: u8) {
        self.head(0, is_final);
        self.align(padding);
        let length = u16::try_from(bytes.len()).unwrap();
        self.octets.extend(length.to_le_bytes());
        self.octets.extend((!length).to_le_bytes());
        self.octets.extend(bytes);
    }

    /// A block with the fixed codes (§3.2.6).
    pub fn fixed(&mut self, tokens: &[Token], is_final: bool) {
        self.head(1, is_final);
        let lengths: Vec<u32> = (0..288)
            .map(|symbol| match symbol {
                0..144 => 8,
                144..256 => 9,
                256..280 => 7,
                _ => 8,
            })
            .collect();
        self.tokens(tokens, &codes(&lengths), &codes(&[5; 30]));
    }

    /// A block with codes of its own (§3.2.7).
    pub fn dynamic(&mut self, tokens: &[Token], is_final: bool, random: &mut Random) {
        let (mut literals, mut distances) = (vec![false; 286], vec![false; 30]);
        literals[END] = true;
        for token in tokens {
            match *token {
                Token::Literal(byte) => literals[usize::from(byte)] = true,
                Token::Match { length, distance } => {
                    literals[257 + coded(&LENGTHS, length).0] = true;
                    distances[coded(&DISTANCES, distance).0] = true;
                }
            }
        }
        // Symbols that never come; one alone would not be a complete code.
        for _ in 0..random.between(1, 20) {
            literals[random.below(286)] = true;
        }
        literals[random.below(2)] = true;
        for _ in 0..random.below(3) {
            distances[random.below(30)] = true;
        }
        let literals = random_lengths(&literals, 15, random);
        let distances = random_lengths(&distances, 15, random);
        self.head(2, is_final);
        self.code_lengths(&literals, &distances, random);
        self.tokens(tokens, &codes(&literals), &codes(&distances));
    }

    fn code_lengths(&mut self, literals: &[u32], distances: &[u32], random: &mut Random) {
        let most = |lengths: &[u32], least: usize| {
            lengths.iter().rposition(|length| *length > 0).map_or(0, |at| at + 1).max(least)
        };
        let (literals, distances) =
            (&literals[..most(literals, 257)], &distances[..most(distances, 1)]);
        let runs = runs(&[literals, distances].concat(), random);
        let mut wanted = vec![false; 19];
        runs.iter().for_each(|run| wanted[run.0] = true);
        wanted[random.below(9)] = true;
        wanted[9 + random.below(10)] = true;
        let lengths = random_lengths(&wanted, 7, random);
        let count = ORDER.iter().rposition(|symbol| lengths[*symbol] > 0).unwrap().max(3) + 1;
        self.put(literals.len() - 257, 5);
        self.put(distances.len() - 1, 5);
        self.put(count - 4, 4);
        ORDER[..count].iter().for_each(|symbol| self.put(lengths[*symbol] as usize, 3));
        let codes = codes(&lengths);
        for (symbol, extra, bits) in runs {
            self.code(codes[symbol]);
            self.put(extra, bits);
        }
    }

    fn tokens(&mut self, tokens: &[Token], literals: &[Code], distances: &[Code]) {
        for token in tokens {
            match *token {
                Token::Literal(byte) => self.code(literals[usize::from(byte)]),
                Token::Match { length, distance } => {
                    let (code, extra, bits) = coded(&LENGTHS, length);
                    self.code(literals[257 + code]);
                    self.put(extra, bits);
                    let (code, extra, bits) = coded(&DISTANCES, distance);
                    self.code(distances[code]);
                    self.put(extra, bits);
                }
            }
        }
        self.code(literals[END]);
    }
}

#[derive(Clone, Copy, Default)]
struct Code {
    value: usize,
    bits: u32,
}

/// The codes of these lengths (§3.2.2).
fn codes(lengths: &[u32]) -> Vec<Code> {
    let mut codes = vec![Code::default(); lengths.len()];
    let mut value = 0;
    for bits in 1..=15 {
        value <<= 1;
        for symbol in (0..lengths.len()).filter(|symbol| lengths[*symbol] == bits) {
            codes[symbol] = Code { value, bits };
            value += 1;
        }
    }
    codes
}

/// Lengths of a complete code for the wanted symbols, a tree split at random; of
/// one alone it is a single bit, as §3.2.7 has it for distances.
fn random_lengths(wanted: &[bool], most: u32, random: &mut Random) -> Vec<u32> {
    let symbols: Vec<usize> = (0..wanted.len()).filter(|symbol| wanted[*symbol]).collect();
    let mut leaves = vec![u32::from(symbols.len() == 1)];
    while leaves.len() < symbols.len() {
        // Mostly near the root, or few leaves would be left to split.
        let at = (0..3).map(|_| random.below(leaves.len())).min_by_key(|at| leaves[*at]).unwrap();
        if leaves[at] < most {
            leaves[at] += 1;
            leaves.push(leaves[at]);
        }
    }
    let mut lengths = vec![0; wanted.len()];
    for symbol in symbols {
        lengths[symbol] = leaves.swap_remove(random.below(leaves.len()));
    }
    lengths
}

/// Lengths, with repeats at random (§3.2.7): symbol, extra bits, their number.
fn runs(lengths: &[u32], random: &mut Random) -> Vec<(usize, usize, u32)> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < lengths.len() {
        let length = lengths[at];
        let same = lengths[at..].iter().take_while(|other| **other == length).count();
        let is_repeat = at > 0 && lengths[at - 1] == length;
        let (taken, run) = if !random.chance(80) {
            (1, (length as usize, 0, 0))
        } else if length == 0 && same >= 11 {
            let taken = random.between(11, same.min(138));
            (taken, (18, taken - 11, 7))
        } else if length == 0 && same >= 3 {
            let taken = random.between(3, same.min(10));
            (taken, (17, taken - 3, 3))
        } else if is_repeat && same >= 3 {
            let taken = random.between(3, same.min(6));
            (taken, (16, taken - 3, 2))
        } else {
            (1, (length as usize, 0, 0))
        };
        runs.push(run);
        at += taken;
    }
    runs
}
