//! Frames and payloads, made once and sent many times.

/// First bytes of a whole message: FIN, RSV1 and opcode (RFC 6455 §5.2).
pub const TEXT: u8 = 0x81;
pub const BINARY: u8 = 0x82;
pub const COMPRESSED_TEXT: u8 = 0xC1;

/// A masking key is as good as another here; what is masked is not guessed at.
const KEY: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client's frame, masked.
pub fn of_client(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0x80, payload.len());
    frame.extend_from_slice(&KEY);
    let begin = frame.len();
    frame.extend_from_slice(payload);
    mask(&mut frame[begin..], KEY);
    frame
}

/// A server's frame.
pub fn of_server(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = header(first, 0, payload.len());
    frame.extend_from_slice(payload);
    frame
}

fn header(first: u8, masked: u8, length: usize) -> Vec<u8> {
    let mut header = vec![first];
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short @ 0..=125), _) => header.push(masked | short),
        (_, Ok(length)) => {
            header.push(masked | 126);
            header.extend_from_slice(&length.to_be_bytes());
        }
        _ => {
            header.push(masked | 127);
            header.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    header
}

/// Masks or unmasks, eight bytes at a time.
pub fn mask(payload: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = payload.chunks_exact_mut(8);
    for chunk in &mut chunks {
        let masked = u64::from_ne_bytes(chunk.try_into().unwrap_or_default()) ^ wide;
        chunk.copy_from_slice(&masked.to_ne_bytes());
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.into_iter().cycle()) {
        *byte ^= key;
    }
}

/// A frame that a buffer begins with: where its payload stands, where it ends.
pub struct Found {
    pub first: u8,
    pub key: Option<[u8; 4]>,
    pub begin: usize,
    pub end: usize,
}

/// The whole frame that `bytes` begin with, if all of it is there.
pub fn find(bytes: &[u8]) -> Option<Found> {
    let [first, second, rest @ ..] = bytes else { return None };
    let (length, wide) = match second & 0x7F {
        126 => (u64::from(u16::from_be_bytes(*rest.first_chunk()?)), 2),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 8),
        short => (u64::from(short), 0),
    };
    let masked = second & 0x80 != 0;
    let begin: usize = 2 + wide + if masked { 4 } else { 0 };
    let end = begin.checked_add(usize::try_from(length).ok()?)?;
    if bytes.len() < end {
        return None;
    }
    let key = masked.then(|| bytes[begin - 4..].first_chunk().copied()).flatten();
    Some(Found { first: *first, key, begin, end })
}

/// What people write to each other. No pattern of any set-up matches it, but
/// what many of them begin with is there.
const SENTENCES: [&str; 24] = [
    "Did the union vote on the new schedule yet?",
    "I'll drop the invoice ($1,249.50) on your desk before 5 o'clock.",
    "See https://docs.example.com/guide/setup.html#step-3 for the details.",
    "Build 4711 failed: expected a value <= 12, got 17.",
    "user_name and created_at are part of the export now.",
    "Could somebody in Zürich sign for the parcel on Wednesday?",
    "The script runs on every load; it's slow, but it works.",
    "<3 thanks, that was exactly what I needed!",
    "Java or JavaScript, whatever the data says. Any evaluation yet?",
    "We've selected window seats, rows 10 to 14, and one aisle seat.",
    "Please insert your name into the sheet and delete nothing there.",
    "Table 7 is free; or 1 and 2, if that is too small for you.",
    "El informe está en /home/docs/2026/11/report-final.pdf.",
    "Wait for me, the delay is only 15 minutes (platform 4b).",
    "Her e-mail: emma.clark@example.com, phone +44 20 7946 0018.",
    "Sleep well; the benchmark numbers can wait until tomorrow.",
    "Version 2.14.0 -> 2.15.1, see the change log.",
    "What about a_b vs. c_d? Both constructors take the same list.",
    "Привет! Встреча переносится на 14:30.",
    "C: is full again, D: has 120 GB left.",
    "onboarding starts on Monday, x-ray badges are at the desk.",
    "50% off, code SAVE-50; information at the counter.",
    "Je préfère la deuxième option, elle coûte moins cher.",
    "ok 👍",
];

const NAMES: [&str; 8] =
    ["emma", "liam.o", "Søren", "usr_81723", "Ximena", "Dr. Weber", "jürgen", "陳怡君"];

/// Numbers that are the same in each run.
struct Random(u32);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        self.0 >> 8
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        let place = usize::try_from(self.next()).unwrap_or(0) % choices.len();
        choices.get(place).copied().unwrap_or_default()
    }
}

/// A chat message in JSON of exactly this many bytes (32 or more), in UTF-8, and
/// another one for each `seed`; a long one is a room's history.
pub fn json(bytes: usize, seed: u32) -> Vec<u8> {
    let mut random = Random(seed.wrapping_mul(7919));
    if bytes < 512 {
        let (head, tail) = (r#"{"type":"say","text":""#.to_owned(), r#""}"#);
        return filled(head, tail, bytes, &mut random);
    }
    let room = random.next() % 1000;
    let mut text = format!(r#"{{"type":"history","room":{room},"messages":["#);
    loop {
        let (id, minute, second) = (random.next(), random.next() % 60, random.next() % 60);
        let entry = format!(
            r#"{{"id":{id},"user":"{}","at":"2026-11-28T09:{minute:02}:{second:02}Z","text":""#,
            random.of(&NAMES)
        );
        // The longest entry, and a last one behind it.
        if text.len() + 2 * (entry.len() + 80) > bytes {
            return filled(text + &entry, r#""}]}"#, bytes, &mut random);
        }
        text.push_str(&entry);
        text.push_str(random.of(&SENTENCES));
        text.push_str(r#""},"#);
    }
}

/// Sentences up to so many bytes with the tail.
fn filled(mut text: String, tail: &str, bytes: usize, random: &mut Random) -> Vec<u8> {
    let end = bytes.saturating_sub(tail.len());
    while text.len() < end {
        for letter in random.of(&SENTENCES).chars().chain([' ']) {
            if text.len() + letter.len_utf8() > end {
                break;
            }
            text.push(letter);
        }
        // Room for no whole letter.
        if end - text.len() < 4 {
            text.push_str(&"...."[..end - text.len()]);
        }
    }
    text.push_str(tail);
    text.into_bytes()
}

/// Bytes that are no text.
#[cfg(test)]
pub fn binary(bytes: usize, seed: u32) -> Vec<u8> {
    let mut random = Random(seed);
    std::iter::repeat_with(|| random.next().to_le_bytes()[2]).take(bytes).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_found_as_they_were_made() {
        for size in [0, 1, 125, 126, 65_535, 65_536] {
            let payload = binary(size, 1);
            let frame = of_client(BINARY, &payload);
            let found = find(&frame).unwrap();
            assert_eq!((found.first, found.end), (BINARY, frame.len()));
            let mut copy = frame[found.begin..].to_vec();
            mask(&mut copy, found.key.unwrap());
            assert_eq!(copy, payload);
            assert!(find(&frame[..frame.len() - 1]).is_none());
            assert_eq!(find(&of_server(TEXT, &payload)).unwrap().key, None);
        }
    }

    #[test]
    fn masks_with_the_key_s_octet_in_turn_at_every_length() {
        for size in 0..40 {
            let mut masked = vec![0; size];
            mask(&mut masked, KEY);
            let turns: Vec<u8> = KEY.into_iter().cycle().take(size).collect();
            assert_eq!(masked, turns);
        }
    }

    #[test]
    fn messages_are_json_of_the_size_asked_for_and_no_pattern_matches_them() {
        let patterns = crate::policy::PATTERNS.map(|p| format!("(?i){p}"));
        let rules = regex_automata::meta::Regex::new_many(&patterns).unwrap();
        for size in [32, 64, 511, 512, 1024, 16_384, 262_144] {
            for seed in 0..40 {
                let text = json(size, seed);
                assert_eq!(text.len(), size);
                serde_json::from_slice::<serde_json::Value>(&text).unwrap();
                assert!(rules.find(&text).is_none(), "{}", String::from_utf8_lossy(&text));
            }
            assert_ne!(json(size, 1), json(size, 2));
        }
    }
}
