use super::*;
use proptest::prelude::*;

fn parse(sources: &[&str]) -> Vec<Pattern> {
    sources.iter().map(|source| Pattern::parse(source).unwrap()).collect()
}

/// A prefilter and the engine that it asks.
struct Both(Prefilter, Engine);

impl Both {
    fn may_match(&self, text: &[u8]) -> bool {
        self.0.may_match(text, &self.1)
    }
}

fn engine(patterns: &[Pattern]) -> Engine {
    Engine::compile(patterns).unwrap()
}

fn eager(sources: &[&str]) -> Both {
    let patterns = parse(sources);
    Both(Prefilter::at_most(&patterns, f32::INFINITY).unwrap(), engine(&patterns))
}

/// The runs of one pattern; letters stand for both cases, `?` for any other set.
fn runs(source: &str) -> Option<Vec<String>> {
    let letter = |set: &ByteSet| {
        let members: Vec<u8> = set.members().collect();
        match members.as_slice() {
            [one] => char::from(*one),
            [upper, lower] if upper.to_ascii_lowercase() == *lower => char::from(*lower),
            _ => '?',
        }
    };
    let pattern = Pattern::parse(source).unwrap();
    Some(
        required(pattern.hir(), &cost)?
            .iter()
            .map(|run| run.sets.iter().map(letter).collect())
            .collect(),
    )
}

#[test]
fn a_pattern_requires_the_cheapest_of_its_runs() {
    for (source, expected) in [
        ("(?i)<script", vec!["<script"]),
        (r"(?i)\bunion\s+(all\s+)?select\b", vec!["union?"]),
        (r"[a-z]+@[a-z]+\.example", vec!["??.example"]),
        ("(?i)sqlmap|nikto", vec!["sqlmap", "nikto"]),
        ("x.*(?:abc|def)*(?:ghi|jkl)+", vec!["ghi", "jkl"]),
        ("(ab){3}", vec!["ababab"]),
        ("a{2,}b", vec!["aa?"]),
        ("q(?:xy)?e", vec!["q?"]),
        (r"(?-u:\xff\x00)", vec!["\u{ff}\0"]),
        ("é|è", vec!["\u{c3}?"]),
    ] {
        let expected = expected.into_iter().map(str::to_owned).collect();
        assert_eq!(runs(source), Some(expected), "{source}");
    }
}

/// Each with where in a match it stands; `None` where that is not known.
#[test]
fn it_is_known_what_stands_before_a_run() {
    for (source, expected) in [
        ("<script", Some((0, 0))),
        (r"\bunion\s+(all\s+)?select\b", Some((0, 0))),
        ("[ab][ab]<script", Some((0, 0))),
        ("(?:é|e)?!{4}", Some((0, 2))),
        ("a*!!!!", None),
        ("(?:a{1,9})!!!!", None),
        ("(?:a{1,3}!!!!){2}", Some((0, 2))),
        ("(?:aa|[bé])(~~~~|!!!!)", Some((1, 2))),
        ("a.{0,40}(~~~~|!!!!)", None),
    ] {
        let pattern = Pattern::parse(source).unwrap();
        let runs = required(pattern.hir(), &cost).unwrap();
        let before = runs[0].before.map(|width| (width.least, width.most));
        assert_eq!(before, expected, "{source}");
    }
}

/// The words of attacks are words of people, too.
#[test]
fn runs_that_belong_to_no_match_are_looked_at_and_passed() {
    let sources = [
        r"(?i)union\s+(all\s+)?select",
        r"(?i)insert\s+into\s",
        r"(?i)sleep\s*\(\s*\d",
        r"(?i)'\s*or\s+'1'\s*=\s*'1",
        r"(?i)eval\s*\(",
        "(?i)<script",
    ];
    let prefilter = eager(&sources);
    let text = b"The union may insert its name; sleep (well)! An evaluation of <scripts'";
    assert!(prefilter.may_match(&text[..]), "<script is all that its pattern asks for");
    let text = b"The union may insert its name; sleep (well)! An evaluation of <scribes'";
    assert!(!prefilter.may_match(&text[..]));
    for attack in ["union all select", "insert  into t", "sleep( 5", "' or '1'='1", "EVAL ("] {
        assert!(prefilter.may_match(attack.as_bytes()), "{attack}");
    }
}

#[test]
fn nothing_stands_for_what_may_be_anything() {
    for source in ["(?s).", r"\w+", "[a-z]{20}", "a|.", "a"] {
        assert!(Prefilter::new(&parse(&["<script", source])).is_none(), "{source}");
    }
}

#[test]
fn a_run_is_seen_at_every_place_of_texts_of_every_length() {
    for (source, run) in [
        ("(?i)<script", &b"<ScRiPt"[..]),
        ("ab", b"ab"),
        ("é", "é".as_bytes()),
        (r"(?-u)\x00\x00\xff", b"\x00\x00\xff"),
        ("(?i)0123456789abcdefghijklmnopqrstuvwxyz", b"0123456789abcdefghijklmnopqrstuvwxyz"),
    ] {
        let prefilter = eager(&[source]);
        for length in 0..160 {
            let clean = vec![b'~'; length];
            assert!(!prefilter.may_match(&clean), "{source} in {length}");
            for place in 0..(length + 1).saturating_sub(run.len()) {
                let mut text = clean.clone();
                text[place..place + run.len()].copy_from_slice(run);
                assert!(prefilter.may_match(&text), "{source} at {place} of {length}");
            }
        }
    }
}

#[test]
fn letters_that_fold_into_ascii_are_not_missed() {
    let prefilter = eager(&["(?i)<script", "(?i)drop kicks"]);
    for text in ["<ſcript", "droP \u{212A}icK\u{17F}", "droP \u{212A}ick\u{17F}"] {
        assert!(prefilter.may_match(text.as_bytes()), "{text}");
    }
    assert!(!prefilter.may_match("drop Zürich ſ".replace('ſ', "s").as_bytes()));
}

/// What looks like a run everywhere is given up, and then the engine decides.
#[test]
fn work_is_bounded() {
    let prefilter = eager(&["(?i)abcdefghijk!"]);
    let almost = b"abcdefghijk?".repeat(1000);
    assert!(!prefilter.may_match(&almost[..1000]));
    assert!(eager(&["(?i)aaaaaaaaaaaab"]).may_match(&[b'a'; 4096]));
}

#[test]
fn the_rules_of_the_benchmark_are_told_from_ordinary_text() {
    let sources = ["(?i)<script", r"(?i)onload\s*=", r"(?i)union\s+select", r"(?i)\.\./\.\./"];
    let patterns = parse(&sources);
    let prefilter = Both(Prefilter::new(&patterns).unwrap(), engine(&patterns));
    assert!(!prefilter.may_match("the quick brown fox jumps over ".repeat(500).as_bytes()));
    assert!(prefilter.may_match(b"a UNION select"));
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "s", "S", "ſ", "k", "K", "\u{212A}", "a", "b", "é", "É", "<", " ", "\n", "日", "1",
        "\u{2003}",
    ])
}

fn source() -> impl Strategy<Value = String> {
    let atom = prop_oneof![
        6 => prop::collection::vec(piece(), 1..5).prop_map(|parts| parts.concat()),
        2 => prop::sample::select(vec![
            ".", "(?s:.)", r"\s", r"\d", r"\w", "[^a]", "[a-k]", r"(?-u:\xff)", "(?-u:[^s])", "^", "$",
            "(?m:^)", r"(?-u:\b)", "[sé]", "[ſ\u{212A}]",
        ])
        .prop_map(str::to_owned),
    ];
    let tree = atom.prop_recursive(4, 16, 3, |inner| {
        let count = prop::sample::select(vec!["?", "*", "+", "{2}", "{2,}", "{1,3}", "{0,2}"]);
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 2..4).prop_map(|parts| parts.concat()),
            1 => (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
            1 => (inner.clone(), count).prop_map(|(a, count)| format!("(?:{a}){count}")),
            1 => inner.prop_map(|a| format!("({a})")),
        ]
    });
    (any::<bool>(), tree)
        .prop_map(|(fold, tree)| format!("{}{tree}", if fold { "(?i)" } else { "" }))
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => prop::collection::vec(piece(), 1..6).prop_map(|parts| parts.concat().into_bytes()),
        1 => (0usize..40).prop_map(|length| vec![b'~'; length]),
        1 => Just(b"\xff".to_vec()),
    ];
    prop::collection::vec(part, 0..8).prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    /// Where it sees nothing, the engine finds nothing.
    #[test]
    fn no_match_goes_unseen(
        sources in prop::collection::vec(source(), 1..4),
        texts in prop::collection::vec(text(), 1..20),
    ) {
        let patterns: Vec<Pattern> = sources.iter().filter_map(|s| Pattern::parse(s).ok()).collect();
        let engine = engine(&patterns);
        if let Some(prefilter) = Prefilter::at_most(&patterns, f32::INFINITY) {
            for text in texts {
                prop_assert!(
                    prefilter.may_match(&text, &engine) || !engine.is_match(&text),
                    "{:?} in {:?}", sources, text
                );
            }
        }
    }
}
