use super::*;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use proptest::prelude::*;

mod final_blocks;
mod forgotten;

/// A message of stored blocks, which refers to nothing.
pub(crate) fn stored(bytes: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    for block in bytes.chunks(60_000) {
        let length = u16::try_from(block.len()).unwrap();
        message.push(0);
        message.extend(length.to_le_bytes());
        message.extend((!length).to_le_bytes());
        message.extend(block);
    }
    message.push(0);
    message
}

const NO_LIMIT: usize = usize::MAX;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.split_whitespace().collect::<String>();
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
        .collect()
}

fn window(bits: u8, takeover: bool) -> Window {
    Window { bits, takeover }
}

fn inflate(inflater: &mut Inflater, compressed: &[u8]) -> Result<Vec<u8>, InflateError> {
    let mut out = vec![1, 2, 3];
    inflater.inflate(compressed, NO_LIMIT, &mut out).map(|_| out)
}

fn alone(compressed: &[u8]) -> Result<Vec<u8>, InflateError> {
    inflate(&mut Inflater::new(Window::DEFAULT), compressed)
}

/// Bytes that don't repeat.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..length).map(|_| next()).collect()
}

/// A compressor that this crate does not read with.
struct Deflater {
    window: Window,
    level: u32,
    stream: Compress,
}

impl Deflater {
    fn new(window: Window, level: u32) -> Self {
        Self { window, level, stream: Self::stream(window, level) }
    }

    fn stream(window: Window, level: u32) -> Compress {
        // zlib writes no window of 8 bits.
        Compress::new_with_window_bits(Compression::new(level), false, window.bits.max(9))
    }

    /// One message without its tail, flushed at the end of each part.
    fn message(&mut self, parts: &[&[u8]]) -> Vec<u8> {
        if !self.window.takeover {
            self.stream = Self::stream(self.window, self.level);
        }
        let mut out = Vec::new();
        for part in parts {
            out.reserve(part.len() * 2 + 1024);
            let before = self.stream.total_in();
            self.stream.compress_vec(part, &mut out, FlushCompress::Sync).unwrap();
            assert_eq!(self.stream.total_in() - before, part.len() as u64);
        }
        if out.is_empty() {
            // zlib flushes nothing twice (RFC 7692 §7.2.3.6).
            return vec![0];
        }
        assert!(out.ends_with(TAIL));
        out.truncate(out.len() - TAIL.len());
        out
    }
}

#[test]
fn the_examples_of_rfc_7692_7_2_3_are_read() {
    // §7.2.3.1, §7.2.3.3, §7.2.3.4, §7.2.3.5, §7.2.3.6
    for message in [
        "f2 48 cd c9 c9 07 00",
        "00 05 00 fa ff 48 65 6c 6c 6f 00",
        "f3 48 cd c9 c9 07 00 00",
        "f2 48 05 00 00 00 ff ff ca c9 c9 07 00",
    ] {
        assert_eq!(alone(&hex(message)).unwrap(), b"Hello", "{message}");
    }
    assert_eq!(alone(&hex("00")).unwrap(), b"");
    // §7.2.3.2: the second refers to the first.
    let mut inflater = Inflater::new(Window::DEFAULT);
    for message in ["f2 48 cd c9 c9 07 00", "f2 00 11 00 00"] {
        assert_eq!(inflate(&mut inflater, &hex(message)).unwrap(), b"Hello", "{message}");
    }
    let mut inflater = Inflater::new(window(15, false));
    assert!(inflate(&mut inflater, &hex("f2 48 cd c9 c9 07 00")).is_ok());
    assert_eq!(inflate(&mut inflater, &hex("f2 00 11 00 00")), Err(InflateError::Corrupt));
}

#[test]
fn what_zlib_compresses_is_read() {
    #[derive(serde::Deserialize)]
    struct Vectors {
        messages: Vec<String>,
        cases: Vec<Case>,
    }
    #[derive(serde::Deserialize)]
    struct Case {
        name: String,
        bits: u8,
        takeover: bool,
        compressed: Vec<String>,
    }
    let text = include_str!("../../../tests/vectors/deflate.json");
    let vectors: Vectors = serde_json::from_str(text).unwrap();
    assert_eq!(vectors.cases.len(), 19);
    for case in vectors.cases {
        let mut inflater = Inflater::new(window(case.bits, case.takeover));
        let mut out = Vec::new();
        for (at, (message, compressed)) in vectors.messages.iter().zip(&case.compressed).enumerate()
        {
            let read = inflater.inflate(&hex(compressed), NO_LIMIT, &mut out);
            assert_eq!(
                (read.map(|_| ()), &out),
                (Ok(()), &hex(message)),
                "{}, message {at}",
                case.name
            );
            let most = if case.takeover { 1 << case.bits } else { 0 };
            assert!(inflater.history_bytes() <= most);
        }
    }
}

#[test]
fn a_message_ends_with_a_block_or_is_refused() {
    let good = hex("f2 48 cd c9 c9 07 00");
    for end in 0..good.len() {
        assert_eq!(alone(&good[..end]), Err(InflateError::Corrupt), "{end}");
    }
    for (what, message) in [
        ("an empty payload", ""),
        ("reserved block type", "06 00"),
        ("a stored block whose lengths differ", "00 05 00 fa fe 48 65 6c 6c 6f 00"),
        ("a tail that was sent", "f2 48 cd c9 c9 07 00 00 00 ff ff"),
        ("a distance before the first byte", "f2 00 11 00 00"),
        ("too many length codes", "ec ff ff ff 00"),
        ("one byte behind", "f2 48 cd c9 c9 07 00 00"),
    ] {
        assert_eq!(alone(&hex(message)), Err(InflateError::Corrupt), "{what}");
    }
}

/// A lenient decoder takes the empty payload for an empty message, and what
/// follows for the rest of a stored block: 65,280 bytes that nobody inspected.
#[test]
fn no_message_continues_in_the_next() {
    let smuggled = [b"\x00".to_vec(), b"<script>".repeat(8160)].concat();
    let mut zlib = Decompress::new(false);
    let mut read = Vec::with_capacity(1 << 17);
    for message in [TAIL, &smuggled] {
        zlib.decompress_vec(message, &mut read, FlushDecompress::Sync).unwrap();
    }
    assert_eq!(read, b"<script>".repeat(8160), "this is what the attack does");
    for takeover in [true, false] {
        let mut inflater = Inflater::new(window(15, takeover));
        assert_eq!(inflate(&mut inflater, b""), Err(InflateError::Corrupt));
    }
}

#[test]
fn a_message_is_never_longer_than_the_limit() {
    let text = b"0123456789".repeat(400);
    for level in [0, 1, 6] {
        let compressed = Deflater::new(Window::DEFAULT, level).message(&[&text]);
        for (limit, good) in [(4000, true), (4001, true), (3999, false), (1, false), (0, false)] {
            let mut out = Vec::new();
            let read = Inflater::new(Window::DEFAULT).inflate(&compressed, limit, &mut out);
            assert_eq!(
                read.map(|_| ()),
                if good { Ok(()) } else { Err(InflateError::TooBig) },
                "{limit}"
            );
            assert!(out.capacity() <= limit.max(8) + 1, "{limit}: {}", out.capacity());
        }
    }
    let mut out = Vec::new();
    assert_eq!(Inflater::new(Window::DEFAULT).inflate(&[0], 0, &mut out).map(|_| ()), Ok(()));
}

#[test]
fn a_bomb_takes_no_memory() {
    let bomb = Deflater::new(Window::DEFAULT, 9).message(&[&vec![0; 8 << 20]]);
    assert!(bomb.len() < 9_000);
    let mut out = Vec::new();
    let read = Inflater::new(Window::DEFAULT).inflate(&bomb, 1 << 18, &mut out);
    assert_eq!(read, Err(InflateError::TooBig));
    assert!(out.capacity() <= (1 << 18) + 1);
    let read = Inflater::new(Window::DEFAULT).inflate(&bomb, NO_LIMIT, &mut out);
    assert_eq!(read, Err(InflateError::Ratio));
    assert!(out.capacity() <= bomb.len() * MAX_RATIO + 1);
}

#[test]
fn a_ratio_is_held_against_long_messages_only() {
    let blank = |length| {
        let compressed = Deflater::new(Window::DEFAULT, 9).message(&[&vec![b' '; length]]);
        assert!(length / compressed.len() > MAX_RATIO, "{}", compressed.len());
        alone(&compressed).map(|inflated| inflated.len())
    };
    assert_eq!(blank(FREE_OUTPUT_BYTES), Ok(FREE_OUTPUT_BYTES));
    assert_eq!(blank(FREE_OUTPUT_BYTES + 1), Err(InflateError::Ratio));
    let record = br#"{"id":1,"name":"item","ok":true,"price":0},"#;
    let same = Deflater::new(Window::DEFAULT, 6).message(&[&record.repeat(20_000)]);
    assert!(alone(&same) == Ok(record.repeat(20_000)));
}

#[test]
fn empty_blocks_do_not_keep_a_worker_busy() {
    // Fixed Huffman codes and nothing but the end: 10 bits, so four in 5 bytes.
    let empty = hex("02 08 20 80 00");
    let blocks = |count: usize| [empty.repeat(count / 4), vec![0]].concat();
    // The last is the empty block whose tail was left off.
    let free = FREE_BLOCKS + FREE_BLOCKS * 5 / 4 / BYTES_PER_BLOCK - 1;
    assert_eq!(alone(&blocks(free / 4 * 4)).unwrap(), b"");
    assert_eq!(alone(&blocks(free + 8)), Err(InflateError::Blocks));
    assert_eq!(alone(&blocks(1 << 18)), Err(InflateError::Blocks));
    // The worst that compressors do: the least memory, and a flush now and then.
    let words = (0..20_000_u32).map(|n| n.wrapping_mul(2_654_435_761).to_string() + " ");
    let text = words.collect::<String>().into_bytes();
    let parts: Vec<_> = text.chunks(160).collect();
    let flushed = Deflater::new(Window::DEFAULT, 6).message(&parts);
    assert!(alone(&flushed) == Ok(text));
}

#[test]
fn what_is_kept_is_the_window_and_no_more() {
    for bits in 8..=15 {
        let mut inflater = Inflater::new(window(bits, true));
        let size = 1 << bits;
        assert_eq!(inflater.history_bytes(), 0);
        let mut deflater = Deflater::new(Window { bits: 15, takeover: false }, 6);
        let noise = noise(100_000);
        for length in [10, 100, 3, size - 113, 0, 1, size, size + 1, 99_999, 20] {
            let sent = deflater.message(&[&noise[..length]]);
            assert_eq!(inflate(&mut inflater, &sent).unwrap(), noise[..length]);
            assert!(inflater.history_bytes() <= size, "{bits}: {}", inflater.history_bytes());
        }
        assert_eq!(inflater.history.len(), size);
        let mut kept = Vec::new();
        inflater.history().append_to(&mut kept);
        assert!(kept.ends_with(&noise[..20]));
    }
    let mut inflater = Inflater::new(window(15, false));
    assert!(inflate(&mut inflater, &hex("f2 48 cd c9 c9 07 00")).is_ok());
    assert_eq!(inflater.history_bytes(), 0);
}

/// What lies further back than the window has been forgotten.
#[test]
fn a_message_refers_to_the_window_and_no_further() {
    for bits in 8..=13 {
        let size = 1_usize << bits;
        let mut deflater = Deflater::new(window(15, true), 9);
        let noise = noise(size * 2);
        let (first, second) =
            (deflater.message(&[&noise]), deflater.message(&[&noise[..size / 2]]));
        assert!(second.len() < size / 4, "{bits}: it refers to the first");
        let mut inflater = Inflater::new(window(bits, true));
        assert!(inflate(&mut inflater, &first).is_ok());
        assert!(inflate(&mut inflater, &second) == Err(InflateError::Corrupt), "{bits}");
        assert_eq!(inflater.history_bytes(), 0);
    }
}

#[test]
fn errors_say_what_is_wrong_and_stay_small() {
    assert_eq!(size_of::<InflateError>(), 1);
    for (error, words) in [
        (InflateError::Ratio, [(FREE_OUTPUT_BYTES >> 10).to_string(), MAX_RATIO.to_string()]),
        (InflateError::TooBig, ["max_message".to_owned(), "longer".to_owned()]),
    ] {
        assert!(words.iter().all(|word| error.to_string().contains(word)), "{error}");
    }
}

#[test]
fn the_fuzz_entry_holds_on_seeds() {
    for seed in
        ["", "00", "0700", "07ff07f248cdc9c9070005f200110000", "0f0107f248cdc9c9070005f200110000"]
    {
        fuzz_inflate(&hex(seed));
    }
}

/// Text of few words, so that messages refer to themselves and to one another.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let text = "(alpha|beta|gamma|\\{\"id\":[0-9]{1,4}\\}| ){0,60}".prop_map(String::into_bytes);
    prop_oneof![
        text,
        prop::collection::vec(any::<u8>(), 0..600),
        (1..200_usize).prop_map(|n| vec![b'a'; n * 97])
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_compressed_is_inflated(
        bits in 8_u8..=15,
        takeover: bool,
        level in 0_u32..=9,
        messages in prop::collection::vec(prop::collection::vec(message(), 1..4), 1..6),
    ) {
        let mut deflater = Deflater::new(window(bits, takeover), level);
        let mut inflater = Inflater::new(window(bits, takeover));
        for parts in messages {
            let compressed = deflater.message(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            prop_assert_eq!(inflate(&mut inflater, &compressed), Ok(parts.concat()));
        }
    }

    /// Whatever is read here, another implementation reads the same, as far as it
    /// goes on.
    #[test]
    fn what_is_broken_is_refused_or_read_the_same(
        messages in prop::collection::vec(message(), 1..4),
        at: prop::sample::Index,
        to: u8,
        cut: bool,
        level in 0_u32..=9,
    ) {
        let mut deflater = Deflater::new(Window::DEFAULT, level);
        let mut inflater = Inflater::new(Window::DEFAULT);
        let mut zlib = Decompress::new(false);
        for message in messages {
            let mut compressed = deflater.message(&[&message]);
            let at = at.index(compressed.len());
            if cut { compressed.truncate(at) } else { compressed[at] = to }
            let Ok(read) = inflate(&mut inflater, &compressed) else { return Ok(()) };
            let mut same = Vec::with_capacity(read.len() + 1024);
            let sent = [&compressed, TAIL].concat();
            let status = zlib.decompress_vec(&sent, &mut same, FlushDecompress::Sync);
            if let Ok(status) = status {
                if status == Status::StreamEnd {
                    prop_assert!(read.starts_with(&same));
                    return Ok(());
                }
                prop_assert_eq!(read, same);
            } else {
                return Ok(())
            }
        }
    }

    #[test]
    fn any_bytes_keep_the_invariants(data: Vec<u8>) {
        fuzz_inflate(&data);
    }

    #[test]
    fn likely_messages_keep_the_invariants(
        setup: u8,
        limit in 0_u8..3,
        messages in prop::collection::vec(message(), 1..4),
    ) {
        let mut deflater = Deflater::new(window(8 + setup % 8, setup & 8 == 0), 6);
        let mut data = vec![setup, limit];
        for message in &messages {
            let compressed = deflater.message(&[message]);
            data.push(u8::try_from(compressed.len().min(255)).unwrap());
            data.extend(&compressed[..compressed.len().min(255)]);
        }
        fuzz_inflate(&data);
    }
}
