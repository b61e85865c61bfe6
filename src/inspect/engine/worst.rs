//! A search for the documents that load and cost most a byte. README's figures of the bound
//! are measured with them: `make dearest`.

use super::*;
use crate::inspect::{Action, RuleSet, RuleSpec};
use std::time::{Duration, Instant};

const HEADS: [&str; 9] =
    ["<", "union", "a", r"<\w+", r"\bon", r"(?-u:\xff)", "(?:ab|ba|aa)", "é", "[a-f]"];
const MIDDLES: [&str; 9] =
    [".", r"\w", "[^>]", r"(?-u:[^\x00])", r"(?:\w\s?)", "(?:x|yy|zzz)", r"\PL", "[ab]", r"[^\s]"];
const TAILS: [&str; 7] = ["select", r"\bon\w+\s*=", "b", r"\d", r"\s*=", "$", "(?-u:[^a])z"];
const COUNTS: [&str; 12] = [
    "*", "+", "{0,5}", "{0,20}", "{0,60}", "{0,100}", "{0,200}", "{0,300}", "{2,90}", "{40}",
    "{120,}", "{0,400}",
];

/// Pseudo-random numbers (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap() % limit
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn pattern(&mut self) -> String {
        let flags = if self.below(2) == 0 { "(?i)" } else { "" };
        let mut pattern = format!("{flags}{}", self.of(&HEADS));
        for _ in 0..=self.below(2) {
            pattern += &format!("{}{}{}", self.of(&MIDDLES), self.of(&COUNTS), self.of(&TAILS));
        }
        pattern
    }

    /// Texts in which patterns of these parts begin again and again.
    fn text(&mut self) -> String {
        let parts = [
            "<", "a", "union", "on", " ", "x", "é", "ff", "<axxx on", "selec", "\n", "b", "=",
            "yy", "€", "ſ",
        ];
        let unit: String = (0..=self.below(6)).map(|_| self.of(&parts)).collect();
        unit.repeat((16 << 10) / unit.len())
    }
}

/// A document that loads, and what a byte costs.
struct Measured {
    patterns: Vec<String>,
    text: String,
    steps: Steps,
    nanoseconds: f64,
}

fn measure(patterns: &[String], text: &str) -> Option<Measured> {
    let parsed: Option<Vec<Pattern>> = patterns.iter().map(|p| Pattern::parse(p).ok()).collect();
    let steps = Engine::compile(&parsed?).ok()?.steps();
    assert!(steps <= MOST_STEPS);
    let spec =
        |p: &String| RuleSpec { name: String::new(), pattern: p.clone(), action: Action::Report };
    let rules = RuleSet::compile(patterns.iter().map(spec).collect()).ok()?;
    let mut least = Duration::MAX;
    for _ in 0..5 {
        let begin = Instant::now();
        std::hint::black_box(rules.find(text.as_bytes()));
        least = least.min(begin.elapsed());
    }
    #[allow(clippy::cast_precision_loss, reason = "a few thousand bytes")]
    let nanoseconds = least.as_nanos() as f64 / text.len() as f64;
    Some(Measured { patterns: patterns.to_vec(), text: text.to_owned(), steps, nanoseconds })
}

fn keep(worst: &mut Vec<Measured>, one: Measured) {
    worst.retain(|other| other.patterns != one.patterns || other.nanoseconds > one.nanoseconds);
    if worst.iter().any(|other| other.patterns == one.patterns) {
        return;
    }
    worst.push(one);
    worst.sort_by(|one, other| other.nanoseconds.total_cmp(&one.nanoseconds));
    worst.truncate(10);
}

/// Tries documents while `goes_on` says so of their number, and returns the ten worst.
fn search(goes_on: impl Fn(usize) -> bool) -> Vec<Measured> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut worst: Vec<Measured> = Vec::new();
    let mut tried = 0;
    while goes_on(tried) {
        tried += 1;
        let mut patterns: Vec<String> = vec![random.pattern()];
        let mut text = random.text();
        if !worst.is_empty() && random.below(3) > 0 {
            let base = &worst[random.below(worst.len())];
            patterns.clone_from(&base.patterns);
            text.clone_from(&base.text);
            match random.below(4) {
                0 => patterns.push(random.pattern()),
                1 => text = random.text(),
                2 if patterns.len() > 1 => drop(patterns.remove(random.below(patterns.len()))),
                _ => {
                    let place = random.below(patterns.len());
                    patterns[place] = random.pattern();
                }
            }
        }
        if let Some(one) = measure(&patterns, &text) {
            keep(&mut worst, one);
        }
    }
    worst
}

/// A short search: what [`measure`] asserts holds, and some documents load.
#[test]
fn documents_that_a_search_makes_dearer_stay_within_the_bound() {
    assert!(!search(|tried| tried < 5).is_empty());
}

#[test]
#[ignore = "a search of a minute, for a quiet machine: make dearest"]
fn the_ten_worst_documents_that_load() {
    let seconds = std::env::var("SEARCH_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(60);
    let begin = Instant::now();
    for Measured { patterns, text, steps, nanoseconds } in
        search(|_| begin.elapsed() < Duration::from_secs(seconds))
    {
        let begin: String = text.chars().take(24).collect();
        println!("{nanoseconds:5.1} ns, {steps} steps a byte: {patterns:?} in {begin:?}…");
    }
}
