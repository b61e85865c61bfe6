//! What a complete, unmasked message may contain: pattern rules, and what is
//! left of a message when what they find is cut out.

use automaton::Automaton;
use pattern::{Pattern, PatternError};
use prefilter::Prefilter;
use regex_automata::meta::Regex;

mod automaton;
mod fuzz;
pub mod pattern;
mod prefilter;

pub use fuzz::fuzz_rules;

/// Most bytes that one sanitizing reads, over all its cuts: each cut searches on
/// to the next place, and a pattern may have to read to the end to find none.
/// Past it the rest stays as it is, so that a message that still matches closes.
/// Reading this much takes some tens of milliseconds, and only a pattern that
/// reads far ahead makes it so.
const SANITIZE_WORK_BYTES: usize = 64 << 20;

/// What to do with a message that breaks a rule or limit. Ordered by severity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Let it pass, count and log it.
    Report,
    /// Let it wait until a rate allows it; close where no time would help.
    Slow,
    /// Cut out what matched; close where there is nothing to cut out.
    Sanitize,
    /// Let it vanish.
    Drop,
    /// Let it vanish, and tell the client.
    Reply,
    /// Close both sides.
    Close,
}

impl Action {
    /// Name in configuration, events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Slow => "slow",
            Self::Sanitize => "sanitize",
            Self::Drop => "drop",
            Self::Reply => "reply",
            Self::Close => "close",
        }
    }
}

/// One rule, before it is compiled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleSpec {
    /// Name in events.
    pub name: String,
    /// Regular expression, searched in the whole message.
    pub pattern: String,
    /// What to do where it is found.
    pub action: Action,
}

/// The rules of one direction of a policy, in one automaton.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Tells most messages in which there is nothing to find.
    prefilter: Option<Prefilter>,
    automaton: Automaton,
    /// The patterns of the rules that sanitize, if there are any.
    cuts: Option<Regex>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    action: Action,
}

/// A rule that found its pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match {
    /// Which rule: its place in the list.
    pub rule: usize,
    /// What it asks for.
    pub action: Action,
}

/// Why rules don't compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// This rule's pattern is no regular expression.
    Pattern {
        /// Its place in the list.
        index: usize,
        /// What is wrong with it.
        cause: PatternError,
    },
    /// All together are larger than an edge proxy should hold.
    TooLarge {
        /// The bound, in bytes of compiled automaton.
        limit: usize,
    },
}

/// Bound on the compiled automaton of one rule set, in bytes: a policy with
/// 1,000 rules of ordinary size fits, a pattern like `(a{1000}){1000}` does not.
const AUTOMATON_LIMIT_BYTES: usize = 16 << 20;

impl RuleSet {
    /// Compiles the rules ([`Pattern::parse`] has the syntax). Matching takes time
    /// linear in the message's length (finite automata, no backtracking).
    ///
    /// # Errors
    /// Every pattern that does not compile, or that all are too large.
    pub fn compile(rules: Vec<RuleSpec>) -> Result<Self, Vec<RuleError>> {
        let mut errors = Vec::new();
        let mut patterns = Vec::with_capacity(rules.len());
        for (index, rule) in rules.iter().enumerate() {
            match Pattern::parse(&rule.pattern) {
                Ok(pattern) => patterns.push(pattern),
                Err(cause) => errors.push(RuleError::Pattern { index, cause }),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        // Each is well-formed, so together they can only be too large.
        let too_large = || vec![RuleError::TooLarge { limit: AUTOMATON_LIMIT_BYTES }];
        let automaton =
            Automaton::compile(&patterns, AUTOMATON_LIMIT_BYTES).map_err(|_| too_large())?;
        let prefilter = Prefilter::new(&patterns);
        let sanitizing = rules.iter().zip(patterns);
        let sanitizing: Vec<_> = sanitizing
            .filter_map(|(rule, pattern)| (rule.action == Action::Sanitize).then_some(pattern))
            .collect();
        let cuts = (!sanitizing.is_empty())
            .then(|| pattern::compile(&sanitizing, AUTOMATON_LIMIT_BYTES))
            .transpose()
            .map_err(|_| too_large())?;
        let rules = rules.into_iter().map(|r| Rule { name: r.name, action: r.action }).collect();
        Ok(Self { rules, prefilter, automaton, cuts })
    }

    /// The most severe rule that finds its pattern in `message`, the first in
    /// the list among equals.
    #[must_use]
    pub fn find(&self, message: &[u8]) -> Option<Match> {
        let automaton = &self.automaton;
        if self.prefilter.as_ref().is_some_and(|prefilter| !prefilter.may_match(message, automaton))
            || !automaton.is_match(message)
        {
            return None;
        }
        automaton
            .matches(message)
            .iter()
            .filter_map(|id| Some((id.as_usize(), self.rules.get(id.as_usize())?.action)))
            .max_by_key(|(rule, action)| (*action, std::cmp::Reverse(*rule)))
            .map(|(rule, action)| Match { rule, action })
            // Something matched: were the set empty all the same, refuse.
            .or(Some(Match { rule: 0, action: Action::Close }))
    }

    /// Writes `message` without what the sanitizing rules match (from the left,
    /// places that overlap counting as the first) to `left`, which is cleared
    /// first. What is left may match again: it has to be judged.
    pub fn sanitize(&self, message: &[u8], left: &mut Vec<u8>) {
        left.clear();
        let (mut kept, mut work) = (0, 0usize);
        for found in self.cuts.iter().flat_map(|cuts| cuts.find_iter(message)) {
            left.extend_from_slice(message.get(kept..found.start()).unwrap_or_default());
            kept = found.end();
            work = work.saturating_add(message.len() - kept);
            if work > SANITIZE_WORK_BYTES {
                break;
            }
        }
        left.extend_from_slice(message.get(kept..).unwrap_or_default());
    }

    /// Name of a rule by its place; empty where there is none.
    #[must_use]
    pub fn name(&self, rule: usize) -> &str {
        self.rules.get(rule).map_or("", |rule| rule.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use regex_automata::nfa::thompson::{self, pikevm::PikeVM};
    use regex_automata::util::syntax;

    fn rule(name: &str, pattern: &str, action: Action) -> RuleSpec {
        RuleSpec { name: name.into(), pattern: pattern.into(), action }
    }

    fn set(rules: &[(&str, &str, Action)]) -> RuleSet {
        RuleSet::compile(rules.iter().map(|(n, p, a)| rule(n, p, *a)).collect()).unwrap()
    }

    #[test]
    fn finds_the_pattern_wherever_it_stands() {
        let rules = set(&[("no-scripts", "(?i)<script", Action::Close)]);
        let found = rules.find(b"{\"a\":\"hello <SCRIPT>\"}").unwrap();
        assert_eq!((found.rule, found.action), (0, Action::Close));
        assert_eq!(rules.find(b"hello <scrip"), None);
        assert_eq!(rules.name(0), "no-scripts");
    }

    #[test]
    fn finds_text_between_bytes_that_are_not_utf8() {
        let rules = set(&[("s", "(?i)<script", Action::Close)]);
        assert!(rules.find(b"\xff\xfe<Script\xff").is_some());
        let rules = set(&[("b", r"(?-u)\xff\x00", Action::Close)]);
        assert!(rules.find(b"a\xff\x00b").is_some());
    }

    #[test]
    fn the_most_severe_of_several_decides() {
        let rules = set(&[
            ("watch", "script", Action::Report),
            ("stop", "<script>", Action::Close),
            ("too", "<s", Action::Close),
        ]);
        assert_eq!(rules.find(b"a script").unwrap().rule, 0);
        let found = rules.find(b"script and <script>").unwrap();
        assert_eq!((found.rule, found.action), (1, Action::Close));
    }

    #[test]
    fn what_sanitizing_rules_match_is_cut_out_and_nothing_else() {
        let rules = set(&[
            ("tags", "(?i)<.*?>", Action::Sanitize),
            ("word", "secret", Action::Sanitize),
            ("watch", "seen", Action::Report),
        ]);
        let mut left = vec![b'x'];
        rules.sanitize(b"a <B>secret</B> seen < secret", &mut left);
        assert_eq!(left, b"a  seen < ");
        assert_eq!(rules.find(b"secret seen").unwrap().action, Action::Sanitize);
        set(&[("watch", "seen", Action::Report)]).sanitize(b"seen", &mut left);
        assert_eq!(left, b"seen");
    }

    #[test]
    fn what_is_left_may_match_again() {
        let rules = set(&[("t", "<script>", Action::Sanitize)]);
        let mut left = Vec::new();
        rules.sanitize(b"<scr<script>ipt>", &mut left);
        assert!(rules.find(&left).is_some());
    }

    /// Each cut of this one would read to the end for the `!`.
    #[test]
    fn sanitizing_takes_no_more_than_its_share_of_work() {
        let rules = set(&[("slow", "a.*!|a", Action::Sanitize)]);
        let message = vec![b'a'; 1 << 20];
        let mut left = Vec::new();
        rules.sanitize(&message, &mut left);
        assert!(left.len() > message.len() - 128);
        assert!(rules.find(&left).is_some(), "what is left over closes");
    }

    #[test]
    fn every_bad_pattern_is_named() {
        let rules = vec![
            rule("a", "(", Action::Close),
            rule("b", "fine", Action::Close),
            rule("c", r"\1", Action::Close),
        ];
        let errors = RuleSet::compile(rules).unwrap_err();
        assert!(matches!(
            errors.as_slice(),
            [RuleError::Pattern { index: 0, .. }, RuleError::Pattern { index: 2, .. }]
        ));
    }

    #[test]
    fn a_pattern_that_would_fill_memory_is_refused() {
        let rules = vec![rule("a", "((a{100}){100}){100}", Action::Close)];
        assert!(RuleSet::compile(rules).is_err());
    }

    /// The plainest engine there is, for one rule alone.
    fn alone(pattern: &str) -> PikeVM {
        PikeVM::builder()
            .syntax(syntax::Config::new().utf8(false))
            .thompson(thompson::Config::new().utf8(false))
            .build(pattern)
            .unwrap()
    }

    fn pattern() -> impl Strategy<Value = String> {
        let atom = prop_oneof![
            4 => "[ab<é]{1,4}",
            1 => prop::sample::select(vec![
                "(?i)<A", "[ab]", "[^a]", ".", "(?s).", r"(?-u:\xff)", r"(?-u:\b)a", "^a", "b$", "(?m)^b",
            ])
            .prop_map(str::to_owned),
        ];
        atom.prop_recursive(3, 8, 3, |inner| {
            prop_oneof![
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{a}{b}")),
                (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("(?:{a}|{b})")),
                inner.clone().prop_map(|a| format!("(?:{a})+")),
                (inner.clone(), inner).prop_map(|(a, b)| format!("{a}(?:{b}){{0,2}}")),
            ]
        })
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        let part = prop_oneof![
            "[abAB<é ]{1,6}".prop_map(String::into_bytes),
            Just(b"\xff".to_vec()),
            Just(b"\n".to_vec()),
        ];
        prop::collection::vec(part, 0..6).prop_map(|parts| parts.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]
        /// Whatever shortcut the automaton takes for a set of rules, each rule
        /// finds what it would alone.
        #[test]
        fn a_set_finds_what_each_of_its_rules_finds_alone(
            patterns in prop::collection::vec((pattern(), any::<bool>()), 1..12),
            messages in prop::collection::vec(message(), 1..8),
        ) {
            let action = |close: bool| if close { Action::Close } else { Action::Report };
            let specs = patterns.iter().map(|(p, close)| rule("r", p, action(*close))).collect();
            let rules = RuleSet::compile(specs).unwrap();
            let alone: Vec<PikeVM> = patterns.iter().map(|(pattern, _)| alone(pattern)).collect();
            for message in messages {
                let finds = |vm: &PikeVM| vm.is_match(&mut vm.create_cache(), &message);
                let found: Vec<bool> = alone.iter().map(finds).collect();
                let first = |close| patterns.iter().zip(&found).position(|(p, f)| p.1 == close && *f);
                let expected = first(true).map(|rule| Match { rule, action: Action::Close });
                let expected =
                    expected.or_else(|| first(false).map(|rule| Match { rule, action: Action::Report }));
                prop_assert_eq!(rules.find(&message), expected, "{:?} in {:?}", patterns, message);
            }
        }
    }
}
