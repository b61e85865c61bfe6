//! Sets of bytes, and how often traffic holds one of them.

/// A set of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ByteSet([u128; 2]);

impl ByteSet {
    pub(super) fn one(byte: u8) -> Self {
        Self::range(byte, byte)
    }

    /// From `first` to `last`, both counted in.
    pub(super) fn range(first: u8, last: u8) -> Self {
        let mut set = Self::default();
        for byte in first..=last {
            let [low, high] = &mut set.0;
            *(if byte < 128 { low } else { high }) |= 1 << (byte & 127);
        }
        set
    }

    pub(super) const fn all() -> Self {
        Self([u128::MAX; 2])
    }

    pub(super) const fn union(self, other: Self) -> Self {
        let ([a, b], [c, d]) = (self.0, other.0);
        Self([a | c, b | d])
    }

    pub(super) const fn holds(self, byte: u8) -> bool {
        let [low, high] = self.0;
        (if byte < 128 { low } else { high }) >> (byte & 127) & 1 == 1
    }

    pub(super) fn members(self) -> impl Iterator<Item = u8> {
        let [mut low, mut high] = self.0;
        std::iter::from_fn(move || {
            let (rest, begin) = if low == 0 { (&mut high, 128) } else { (&mut low, 0) };
            let next = u8::try_from(rest.trailing_zeros()).ok().filter(|place| *place < 128)?;
            *rest &= *rest - 1;
            Some(begin + next)
        })
    }

    /// The bits that all members share, and their value there.
    pub(super) fn shared_bits(self) -> (u8, u8) {
        let first = self.members().next().unwrap_or_default();
        let shared = self.members().fold(u8::MAX, |shared, byte| shared & !(byte ^ first));
        (shared, first & shared)
    }

    /// How likely a byte of ordinary traffic is one of these.
    pub(super) fn likelihood(self) -> f32 {
        self.members().map(likelihood).sum()
    }
}

/// Letters of English from the most to the least frequent: other languages'
/// order differs, but not by so much that a bad choice would come of it.
const LETTERS: &[u8; 26] = b"etaoinshrdlcumwfgypbvkjxqz";

/// How likely a byte of ordinary traffic (JSON with prose in it) is this one.
/// A choice made by it may be slow for other traffic, and is never wrong.
pub(super) fn likelihood(byte: u8) -> f32 {
    LIKELIHOODS.get(usize::from(byte)).copied().unwrap_or_default()
}

#[expect(clippy::indexing_slicing, reason = "this is evaluated where it is compiled")]
static LIKELIHOODS: [f32; 256] = {
    let mut table = [0.0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = weight(byte) / 1137.0;
        byte += 1;
    }
    table
};

/// They add up to 1137.
const fn weight(byte: usize) -> f32 {
    match byte {
        0x61..=0x7A => letter_weight(byte, 80.0),
        0x41..=0x5A => letter_weight(byte + 0x20, 10.0),
        0x20 => 120.0,
        0x22 => 40.0,
        0x2C | 0x3A => 15.0,
        0x30..=0x39 => 10.0,
        0x2D..=0x2F | 0x5F => 6.0,
        0x21..=0x7E | 0x0A => 2.0,
        0x80..=0xBF => 0.5,
        0xC2..=0xF4 => 0.3,
        _ => 0.01,
    }
}

const fn letter_weight(letter: usize, most: f32) -> f32 {
    let mut rest: &[u8] = LETTERS;
    let mut weight = most;
    while let [first, others @ ..] = rest {
        if *first as usize == letter {
            break;
        }
        weight *= 0.88;
        rest = others;
    }
    weight
}

/// Words that make up half of all English, and some that JSON is full of: letters
/// that follow each other in them do so more often than by chance.
pub(super) const SAMPLE: &[u8] = b" the of and to in is you that it he was for on are with as i his they be at \
    one have this from or had by not but what all were we when your can said there use an each \
    which she do how their if will up other about out many then them these so some her would make \
    like him into time has look two more write go see number no way could people my than first \
    water been call who oil its now find long down day did get come made may part over new sound \
    take only little work know place year live me back give most very after thing our just name \
    good sentence man think say great where help through much before line right too mean old any \
    same table tell boy follow came want show also around form three small set put end does another \
    well large must big even such because turn here why ask went men read need land different \
    home us move try kind hand picture again change off play spell air away animal house point \
    page letter mother answer found study still learn should world \
    \"type\": \"id\": 1, \"data\": {\"user\": null}, \"text\": true, \"table\": false, \"value\": \"\", \
    \"time\": 0.1, \"url\": \"https://\", \"message\": [\"event\", \"order\", \"select\", \"description\"] ";

/// How likely bytes, each one of a set, begin at a place of ordinary traffic, were
/// its bytes mixed.
pub(super) fn by_chance(sets: &[ByteSet]) -> f32 {
    sets.iter().map(|set| set.likelihood()).product()
}

/// How likely a run begins at a place of ordinary traffic.
pub(super) fn likelihood_of(run: &[ByteSet]) -> f32 {
    let stands = |text: &&[u8]| run.iter().zip(*text).all(|(set, byte)| set.holds(*byte));
    let seen = SAMPLE.windows(run.len().max(1)).filter(stands).count();
    let seen = u16::try_from(seen).map_or(f32::MAX, f32::from);
    by_chance(run).max(seen / 1500.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_hold_what_was_put_in() {
        let set = ByteSet::range(b'a', b'c').union(ByteSet::one(0xFF));
        assert_eq!(set.members().collect::<Vec<_>>(), [b'a', b'b', b'c', 0xFF]);
        assert!(set.holds(0xFF) && !set.holds(0x7F));
        assert_eq!(ByteSet::all().members().count(), 256);
        assert_eq!(ByteSet::range(2, 1), ByteSet::default());
    }

    #[test]
    fn members_share_the_bits_in_which_none_differs() {
        let folded = ByteSet::one(b's').union(ByteSet::one(b'S'));
        assert_eq!(folded.shared_bits(), (0xDF, b'S'));
        assert_eq!(ByteSet::one(7).shared_bits(), (0xFF, 7));
        assert_eq!(ByteSet::all().shared_bits(), (0, 0));
    }

    #[test]
    fn likelihoods_are_shares_of_all_bytes() {
        let all = ByteSet::all().likelihood();
        assert!((0.95..1.05).contains(&all), "{all}");
    }
}
