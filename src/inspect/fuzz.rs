//! The entry for the fuzzer.

use super::engine::{Engine, MOST_STEPS};
use super::pattern::Pattern;
use super::prefilter::Prefilter;
use super::{Action, RuleSet, RuleSpec};
use regex_automata::nfa::thompson::{self, pikevm::PikeVM};

/// Most patterns of an input.
const MAX_PATTERNS: usize = 8;

/// Entry for the fuzzer: patterns, one a line up to an empty one, and a text.
/// Holds that where the prefilter sees nothing the automaton finds nothing, also
/// where the text begins at another place and where it stands in a longer one;
/// that rules find the same with it and without, and each what the plainest engine
/// finds; and that no byte costs more steps than it may, in any part of the engine.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_rules(data: &[u8]) {
    let mut rest = data;
    let mut sources = Vec::new();
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let (line, behind) = rest.split_at(end);
        rest = behind.get(1..).unwrap_or_default();
        if line.is_empty() || sources.len() == MAX_PATTERNS {
            break;
        }
        sources.extend(std::str::from_utf8(line).ok().filter(|line| Pattern::parse(line).is_ok()));
    }
    let patterns: Vec<Pattern> = sources.iter().filter_map(|s| Pattern::parse(s).ok()).collect();
    let Ok(all) = Engine::compile(&patterns) else {
        return;
    };
    assert!(all.steps() <= MOST_STEPS, "{sources:?}: {} steps", all.steps());
    let mut found = vec![false; sources.len()];
    all.find(rest, &mut |pattern| {
        found.get_mut(pattern).into_iter().for_each(|found| *found = true)
    });
    for ((pattern, found), source) in patterns.iter().zip(found).zip(&sources) {
        assert_eq!(plain(pattern, rest).unwrap_or(found), found, "{source:?} in {rest:?}");
    }
    if let Some(prefilter) = Prefilter::at_most(&patterns, f32::INFINITY) {
        for before in 0..20 {
            // Line breaks, so that what is anchored still has its place.
            let text = [&[b'\n'].repeat(before), rest, &[b'\n'].repeat(before * 5)].concat();
            let may_match = prefilter.may_match(&text, &all);
            assert!(may_match || !all.is_match(&text), "{sources:?} in {text:?}");
        }
    }
    let spec = |(index, source): (usize, &&str)| RuleSpec {
        name: String::new(),
        pattern: (*source).to_owned(),
        action: if index % 2 == 0 { Action::Close } else { Action::Report },
    };
    let Ok(rules) = RuleSet::compile(sources.iter().enumerate().map(spec).collect()) else {
        return;
    };
    let plain = RuleSet { prefilter: None, ..rules.clone() };
    assert_eq!(rules.find(rest), plain.find(rest), "{sources:?} in {rest:?}");
}

/// Returns true if the plainest engine finds the pattern; `None` where that would take too long.
fn plain(pattern: &Pattern, text: &[u8]) -> Option<bool> {
    let config = thompson::Config::new().utf8(false).nfa_size_limit(Some(1 << 20));
    let compiler = thompson::Compiler::new().configure(config).build_from_hir(pattern.hir());
    let nfa = compiler.ok().filter(|nfa| nfa.states().len() * text.len() < 1 << 24)?;
    let plain = PikeVM::new_from_nfa(nfa).ok()?;
    Some(plain.is_match(&mut plain.create_cache(), text))
}
