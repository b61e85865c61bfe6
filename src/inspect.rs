//! What a complete, unmasked message may contain: pattern rules, and what is
//! left of a message when what they find is cut out.

use cuts::Cuts;
use engine::{Engine, MOST_STEPS, TooDear};
use pattern::{Pattern, PatternError};
use prefilter::Prefilter;

mod cuts;
mod engine;
mod fuzz;
pub mod pattern;
mod prefilter;

pub use cuts::TooComplex;
pub use fuzz::fuzz_rules;

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

/// The rules of one direction of a policy.
#[derive(Clone, Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    /// Tells most messages in which there is nothing to find.
    prefilter: Option<Prefilter>,
    engine: Engine,
    /// The patterns of the rules that sanitize, if there are any.
    cuts: Option<Cuts>,
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
    /// All together cost more a byte than a message may; so much the dearest.
    TooDear {
        /// Its place in the list.
        index: usize,
        /// What it costs alone, in steps; `None` for more than is counted.
        steps: Option<usize>,
        /// What all may cost, in steps.
        limit: usize,
    },
    /// What this rule would cut out can't be found at a bounded cost.
    CutTooLarge {
        /// Its place in the list.
        index: usize,
    },
}

impl RuleError {
    /// Which rule it is of: its place in the list.
    #[must_use]
    pub const fn index(&self) -> usize {
        let (Self::Pattern { index, .. }
        | Self::TooDear { index, .. }
        | Self::CutTooLarge { index }) = self;
        *index
    }
}

impl From<TooDear> for RuleError {
    fn from(TooDear { dearest, steps }: TooDear) -> Self {
        Self::TooDear { index: dearest, steps, limit: MOST_STEPS }
    }
}

impl RuleSet {
    /// Compiles the rules ([`Pattern::parse`] has the syntax). What matching costs a
    /// byte is known then, and is the same for any message.
    ///
    /// # Errors
    /// Every pattern that does not compile, or the one that costs most of too many.
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
        let engine = Engine::compile(&patterns).map_err(|error| vec![error.into()])?;
        let prefilter = Prefilter::new(&patterns);
        let cuts = cuts(&rules, &patterns).map_err(|error| vec![error])?;
        let rules = rules.into_iter().map(|r| Rule { name: r.name, action: r.action }).collect();
        Ok(Self { rules, prefilter, engine, cuts })
    }

    /// The most severe rule that finds its pattern in `message`, the first in
    /// the list among equals.
    #[must_use]
    pub fn find(&self, message: &[u8]) -> Option<Match> {
        let engine = &self.engine;
        if self.prefilter.as_ref().is_some_and(|prefilter| !prefilter.may_match(message, engine)) {
            return None;
        }
        let mut most: Option<Match> = None;
        engine.find(message, &mut |rule| {
            // Were there no such rule, refuse all the same.
            let action = self.rules.get(rule).map_or(Action::Close, |rule| rule.action);
            let severity = |found: &Match| (found.action, std::cmp::Reverse(found.rule));
            let found = Match { rule, action };
            if most.is_none_or(|most| severity(&most) < severity(&found)) {
                most = Some(found);
            }
        });
        most
    }

    /// Writes `message` without what the sanitizing rules match (from the left,
    /// places that overlap counting as the first) to `left`, which is cleared
    /// first. What is left may match again: it has to be judged.
    ///
    /// # Errors
    /// Where that takes more work than the message may.
    pub fn sanitize(&self, message: &[u8], left: &mut Vec<u8>) -> Result<(), TooComplex> {
        if let Some(cuts) = &self.cuts {
            return cuts.cut(message, left);
        }
        left.clear();
        left.extend_from_slice(message);
        Ok(())
    }

    /// Name of a rule by its place; empty where there is none.
    #[must_use]
    pub fn name(&self, rule: usize) -> &str {
        self.rules.get(rule).map_or("", |rule| rule.name.as_str())
    }
}

/// What the sanitizing rules cut out.
fn cuts(rules: &[RuleSpec], patterns: &[Pattern]) -> Result<Option<Cuts>, RuleError> {
    let sanitizing: Vec<(usize, &Pattern)> = rules
        .iter()
        .zip(patterns)
        .enumerate()
        .filter(|(_, (rule, _))| rule.action == Action::Sanitize)
        .map(|(index, (_, pattern))| (index, pattern))
        .collect();
    let all: Vec<&Pattern> = sanitizing.iter().map(|(_, pattern)| *pattern).collect();
    if all.is_empty() {
        return Ok(None);
    }
    Cuts::compile(&all).map(Some).map_err(|_| {
        let alone = |(_, pattern): &&(usize, &Pattern)| Cuts::compile(&[pattern]).is_err();
        let dearest = sanitizing.iter().find(alone).or(sanitizing.last());
        RuleError::CutTooLarge { index: dearest.map_or(0, |(index, _)| *index) }
    })
}

/// Patterns of which any one may match, at a cost a byte that is bounded.
#[derive(Clone, Debug)]
pub struct AnyOf(Engine);

impl AnyOf {
    /// Compiles the patterns.
    ///
    /// # Errors
    /// [`RuleError::TooDear`].
    pub fn compile(patterns: &[Pattern]) -> Result<Self, RuleError> {
        Ok(Self(Engine::compile(patterns)?))
    }

    /// Whether one matches somewhere in `text`.
    #[must_use]
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
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
        rules.sanitize(b"a <B>secret</B> seen < secret", &mut left).unwrap();
        assert_eq!(left, b"a  seen < ");
        assert_eq!(rules.find(b"secret seen").unwrap().action, Action::Sanitize);
        set(&[("watch", "seen", Action::Report)]).sanitize(b"seen", &mut left).unwrap();
        assert_eq!(left, b"seen");
    }

    #[test]
    fn what_is_left_may_match_again() {
        let rules = set(&[("t", "<script>", Action::Sanitize)]);
        let mut left = Vec::new();
        rules.sanitize(b"<scr<script>ipt>", &mut left).unwrap();
        assert!(rules.find(&left).is_some());
    }

    /// Each cut of this one would read to the end for the `!`.
    #[test]
    fn sanitizing_takes_no_more_than_its_share_of_work() {
        let rules = set(&[("slow", "a.*!|a", Action::Sanitize)]);
        let message = vec![b'a'; 1 << 20];
        assert_eq!(rules.sanitize(&message, &mut Vec::new()), Err(TooComplex));
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
