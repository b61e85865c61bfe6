//! What a complete, unmasked message may contain.

use regex_automata::meta::Regex;

/// What to do with a message that breaks a rule or limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Let it pass, count and log it.
    Report,
    /// Close both sides.
    Close,
}

impl Action {
    /// Name in configuration, events and metrics.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Report => "report",
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
    rules: Vec<RuleSpec>,
    automaton: Regex,
}

/// Why rules don't compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleError {
    /// This rule's pattern is no regular expression.
    Pattern {
        /// Its place in the list.
        index: usize,
        /// What is wrong with it.
        cause: String,
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
    /// Compiles the rules; matching is linear in the message's length
    /// whatever the patterns (finite automata, no backtracking).
    pub fn compile(rules: Vec<RuleSpec>) -> Result<Self, Vec<RuleError>> {
        let patterns: Vec<&str> = rules.iter().map(|rule| rule.pattern.as_str()).collect();
        let automaton = Regex::builder()
            .configure(
                Regex::config().nfa_size_limit(Some(AUTOMATON_LIMIT_BYTES)).utf8_empty(false),
            )
            .syntax(regex_automata::util::syntax::Config::new().utf8(false))
            .build_many(&patterns)
            .map_err(|_| vec![RuleError::TooLarge { limit: AUTOMATON_LIMIT_BYTES }])?;
        Ok(Self { rules, automaton })
    }
}
