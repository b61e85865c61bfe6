use super::positions::Positions;
use super::*;
use proptest::prelude::*;
use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
use regex_automata::util::syntax;

fn parse(pattern: &str) -> Pattern {
    Pattern::parse(pattern).unwrap()
}

fn all(patterns: &[&str]) -> Vec<Pattern> {
    patterns.iter().map(|pattern| parse(pattern)).collect()
}

fn bits(pattern: &str) -> Bits {
    let pattern = parse(pattern);
    Bits::compile(&[&pattern], Reading::of(&pattern)).unwrap()
}

fn is_match(bits: &Bits, text: &[u8]) -> bool {
    let mut is_match = false;
    bits.find(text, &mut |_| is_match = true);
    is_match
}

#[test]
fn patterns_that_must_load_do_and_are_cheap() {
    let words: Vec<String> = (0..50).map(|n| format!(r"(?i)\bdrop{n}table\b")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let sets: [&[&str]; 14] = [
        &words,
        &["(?i)<script"],
        &[r"(?i)<\w+[^>]*\bon\w+\s*="],
        &["<[^>]*>", "(?i)<script[^>]*>.*?</script>"],
        &["(?i)union.{0,200}select"],
        &[r"(?i)<\w+[^>]{0,300}\bon\w+\s*="],
        &["(?i)union.{0,300}select"],
        &[r"(?i)<[a-z]+[^>]{0,200}(?:src|href)\s*="],
        &[r"a[^b]{0,250}c\d"],
        &[r"(?:\w+\s?){1,10}="],
        &[r"(?i)\bor\b.{0,200}\band\b"],
        &[r"[a-f]\w{0,300}\d!"],
        &[r"(?i)\p{L}{0,100}x"],
        &[r"(?i)\bunion\b.{0,200}\bselect\b", r"(?i)onload\s*=", r"\.\./\.\./", r"(?-u)\xff\x00"],
    ];
    for set in sets {
        let engine = Engine::compile(&all(set));
        let steps = engine.as_ref().map(Engine::steps);
        println!("{steps:?} {set:?}");
        assert!(steps.as_ref().is_ok_and(|steps| *steps <= MOST_STEPS), "{set:?}: {steps:?}");
    }
}

#[test]
fn patterns_that_explode_do_not_load() {
    for pattern in [
        "(?i)union.{0,1000}select",
        r"(?i)<\w+[^>]{0,900}\bon\w+\s*=",
        "(?s)a.{0,1000}b.{0,1000}c",
        r"\w{1000}",
        r"(?i)\p{L}{0,900}x",
        r"(?-u:\xff)\w{0,90}x",
        "((a{100}){100}){100}",
    ] {
        let engine = Engine::compile(&all(&[pattern]));
        println!("{pattern}: {:?}", engine.as_ref().map(Engine::steps));
        assert!(engine.is_err(), "{pattern}");
    }
}

#[test]
fn a_thousand_rules_of_ordinary_size_load() {
    let rules: Vec<String> = (0..1000).map(|n| format!("(?i)word{n}x{}", n * 7919)).collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    let engine = Engine::compile(&all(&rules)).unwrap();
    let mut found = Vec::new();
    engine.find(b"a WORD17X134623, word3x", &mut |rule| found.push(rule));
    assert_eq!(found, [17]);
}

#[test]
fn what_costs_too_much_is_named() {
    let patterns = all(&["fine", "(?s)a.{0,900}b.{0,900}c", r"(?-u)\xff[^\x00]{900}"]);
    let TooDear { dearest, steps } = Engine::compile(&patterns).unwrap_err();
    assert!(dearest > 0, "{dearest}: {steps:?}");
    for endless in ["((a{100}){100}){100}", r"(\pL{50}|\d{60}x?){400}", r"(?-u:\xff)(\w{3}){90}"] {
        let error = Engine::compile(&all(&[endless])).unwrap_err();
        assert_eq!(error, TooDear { dearest: 0, steps: None }, "{endless}");
    }
}

/// What a part repeats is linked copy by copy, not each with all behind it.
#[test]
fn counts_make_as_many_positions_as_they_say() {
    let pattern = parse("a[^>]{0,300}b");
    let positions = Positions::new(&[&pattern], Reading::Characters, 1024).unwrap();
    assert_eq!(positions.takes.len(), 302);
    assert_eq!(positions.symbols.len(), 3);
    let long = positions.links.iter().filter(|link| link.from.len() + link.to.len() > 2);
    assert!(long.count() <= 1);
}

#[test]
fn a_look_from_one_place_tells_what_a_search_would() {
    for search in [bits(r"ab{2,}\b"), bits(r"(?-u)ab{2,}(?:\b|\xff)")] {
        let look = |text: &[u8], most| search.look_at(text, 1, most);
        assert_eq!(look(b"xabb!", 64).0, Sighting::Match);
        assert_eq!(look(b"xabb", 64), (Sighting::Match, 3));
        assert_eq!(look(b"xabx", 64).0, Sighting::Nothing);
        assert_eq!(look(b"xxabb", 64).0, Sighting::Nothing, "it begins later");
        assert_eq!(look(&[b"xa".as_slice(), &[b'b'; 100]].concat(), 64).0, Sighting::Undecided);
        assert_eq!(look(b"x", 64).0, Sighting::Nothing);
    }
    let search = bits("aé{2,3}!");
    assert_eq!(search.look_at("xaééé".as_bytes(), 1, 2).0, Sighting::Undecided);
    assert_eq!(search.look_at("xaéé!".as_bytes(), 1, 64).0, Sighting::Match);
    assert_eq!(search.look_at("éaéé!".as_bytes(), 1, 64).0, Sighting::Nothing, "half a character");
}

/// The plainest engine there is.
fn plain(pattern: &str) -> PikeVM {
    PikeVM::builder()
        .syntax(syntax::Config::new().utf8(false))
        .thompson(thompson::Config::new().utf8(false))
        .build(pattern)
        .unwrap()
}

fn pattern() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        4 => "[ab<é]{1,4}",
        2 => prop::sample::select(vec![
            "(?i)<A", "[ab]", "[^a]", ".", "(?s).", r"(?-u:\xff)", r"(?-u:[^a])", "^a", "b$", "(?m)^b",
            "(?m)a$", "(?mR)^b", "(?mR)a$", r"(?-u:\b)a", r"a(?-u:\B)", r"(?-u:\b{start})b", r"b(?-u:\b{end})",
            r"(?-u:\b{start-half})é", r"é(?-u:\b{end-half})", r"\w", r"\s", "[\u{80}-\u{ffff}]", r"(?i)ſ",
        ])
        .prop_map(str::to_owned),
    ];
    atom.prop_recursive(4, 12, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
            inner.clone().prop_map(|a| format!("(?:{a})+")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}(?:{b})*")),
            (inner.clone(), inner.clone(), 0..3u8, 0..40u8)
                .prop_map(|(a, b, min, more)| format!("{a}(?:{b}){{{min},{}}}", min + more)),
            (inner.clone(), inner, 0..3u8).prop_map(|(a, b, min)| format!("{a}(?:{b}){{{min},}}")),
        ]
    })
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        "[abAB<éſ_ ]{1,6}".prop_map(String::into_bytes),
        prop::sample::select(vec![
            b"\xff".to_vec(),
            b"\n".to_vec(),
            b"\r".to_vec(),
            b"\r\n".to_vec(),
            b"\xc3".to_vec(),
            b"\xa9".to_vec(),
            b"\xe2\x82".to_vec(),
            b"\xf0\x9f\x98\x80".to_vec(),
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaa".to_vec(),
        ]),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

/// The states of each hold so many positions that a table would take minutes.
#[test]
fn a_table_that_takes_too_much_to_make_is_none() {
    for part in ["s?{1,30}:?{1,40}2?{1,30}.?+.?{1,20}", "(?:a?b?){30}.?+"] {
        let pattern = parse(&format!("((x{part}{{9}}){{9}}){{9}}"));
        assert!(Table::compile(&[&pattern], 4 << 20).is_none(), "{part}");
    }
}

/// Wherever a match stands, in one piece of the text or across several.
#[test]
fn a_match_is_found_at_every_place_of_texts_of_every_length() {
    let patterns = all(&["needle", "(?s-u)begin.*end", "(?-u)<[^<>]{2,90}!", "last$"]);
    let table = Table::compile(&patterns.iter().collect::<Vec<_>>(), 1 << 20).unwrap();
    let find = |text: &[u8]| {
        let mut found = [0; 4];
        table.find(text, &mut |pattern| found[pattern] = 1);
        found
    };
    let longest = [b"<".as_slice(), &[b'x'; 90], b"!"].concat();
    for length in [255, 256, 257, 600, 1024, 4096, 4097, 9000] {
        let text = vec![b'.'; length];
        let with = |places: &[(usize, &[u8])]| {
            let mut text = text.clone();
            for (place, part) in places {
                text.iter_mut().skip(*place).zip(*part).for_each(|(byte, new)| *byte = *new);
            }
            find(&text)
        };
        assert_eq!(find(&text), [0; 4]);
        for place in (0..length - longest.len()).step_by(if length > 1000 { 13 } else { 1 }) {
            assert_eq!(with(&[(place, b"needle")]), [1, 0, 0, 0], "{place} of {length}");
            assert_eq!(with(&[(place, &longest)]), [0, 0, 1, 0], "{place} of {length}");
            let (begin, end) = (length - 8 - place, length - 8);
            assert_eq!(with(&[(begin.min(place), b"begin"), (end, b"end")]), [0, 1, 0, 0]);
            assert_eq!(with(&[(place, b"last"), (length - 4, b"last")]), [0, 0, 0, 1]);
        }
    }
}

/// Texts that are read in several pieces: mostly the same bytes, with parts written over
/// them anywhere and at places where pieces may meet.
fn long_text() -> impl Strategy<Value = Vec<u8>> {
    let fill = prop_oneof![4 => Just(b".".to_vec()), 1 => text()];
    let length = prop_oneof![250..300usize, 1000..1100usize, 4000..4200usize, 16_000..40_000usize];
    let part = prop_oneof![text(), Just("abaé<".as_bytes().to_vec())];
    let part = (part, any::<prop::sample::Index>(), 0..48usize, 0..12usize, any::<bool>());
    (fill, length, prop::collection::vec(part, 0..6)).prop_map(|(mut fill, length, parts)| {
        fill.push(b'.');
        let mut text: Vec<u8> = fill.into_iter().cycle().take(length).collect();
        for (part, anywhere, piece, before, meets) in parts {
            let size = (length / 4).min(1024);
            let meeting = (piece * size).saturating_sub(before);
            let place = if meets { meeting } else { anywhere.index(length) };
            text.iter_mut().skip(place).zip(part).for_each(|(byte, new)| *byte = new);
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    /// All patterns are found in long texts, wherever in them their matches stand.
    #[test]
    fn pieces_of_a_text_hide_no_match(
        patterns in prop::collection::vec(prop_oneof![pattern(), "[abé<]{3,4}"], 1..6),
        texts in prop::collection::vec(long_text(), 1..8),
    ) {
        let parsed: Vec<(&String, Pattern)> = patterns
            .iter()
            .filter_map(|pattern| Some((pattern, Pattern::parse(pattern).ok()?)))
            .filter(|(_, pattern)| Table::compile(&[pattern], 1 << 13).is_some())
            .collect();
        let all: Vec<&Pattern> = parsed.iter().map(|(_, pattern)| pattern).collect();
        let Some(table) = Table::compile(&all, 1 << 18) else { return Ok(()) };
        for text in texts {
            let mut found = vec![false; all.len()];
            table.find(&text, &mut |pattern| found[pattern] = true);
            for ((pattern, _), found) in parsed.iter().zip(found) {
                let plain = plain(pattern);
                let expected = plain.is_match(&mut plain.create_cache(), &text);
                prop_assert_eq!(found, expected, "{:?} of {:?} in {:?}", pattern, patterns, text);
            }
        }
    }

    /// Bits find what the plainest engine finds, read as characters or as bytes, and
    /// so does a table where there is one.
    #[test]
    fn every_search_finds_the_same(pattern in pattern(), texts in prop::collection::vec(text(), 1..12)) {
        let Ok(parsed) = Pattern::parse(&pattern) else { return Ok(()) };
        let plain = plain(&pattern);
        let natural = Reading::of(&parsed);
        let readings = [natural, Reading::Bytes];
        let searches: Vec<Bits> =
            readings.iter().filter_map(|reading| Bits::compile(&[&parsed], *reading).ok()).collect();
        let table = Table::compile(&[&parsed], 1 << 13);
        for text in texts {
            let expected = plain.is_match(&mut plain.create_cache(), &text);
            for search in &searches {
                prop_assert_eq!(is_match(search, &text), expected, "{:?} in {:?}: {:?}", pattern, text, search);
            }
            if let Some(table) = &table {
                let mut found = false;
                table.find(&text, &mut |_| found = true);
                prop_assert_eq!(found, expected, "{:?} in {:?}: table", pattern, text);
            }
        }
    }

    /// A look from a place finds what a search anchored there finds.
    #[test]
    fn every_look_tells_the_same(pattern in pattern(), text in text(), start in 0usize..8, most in 0usize..40) {
        let Ok(parsed) = Pattern::parse(&pattern) else { return Ok(()) };
        let start = start.min(text.len());
        let plain = plain(&pattern);
        let input = regex_automata::Input::new(&text).range(start..).anchored(regex_automata::Anchored::Yes);
        let expected = if plain.is_match(&mut plain.create_cache(), input) {
            Sighting::Match
        } else {
            Sighting::Nothing
        };
        if let Ok(bits) = Bits::compile(&[&parsed], Reading::of(&parsed)) {
            let (told, read) = bits.look_at(&text, start, most);
            prop_assert!(told == expected || told == Sighting::Undecided, "{:?} in {:?} from {}", pattern, text, start);
            prop_assert!(read <= most + 4);
        }
        if let Some(table) = Table::compile(&[&parsed], 1 << 13) {
            let (told, _) = table.look_at(&text, start, most);
            prop_assert!(told == expected || told == Sighting::Undecided, "{:?} in {:?} from {}", pattern, text, start);
        }
    }
}
