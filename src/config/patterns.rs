//! Regular expressions.

use super::fault::Fault;
use super::node::Node;
use crate::inspect::pattern::{Pattern, PatternError, compile};
use regex_automata::meta::Regex;

/// Longest reason that is told, in characters.
const MAX_CAUSE: usize = 200;

/// Compiles a list of patterns of which any one may match, within a bound on
/// the memory it takes. They are searched in bytes that may be no UTF-8.
pub(super) fn any_of(node: &Node<'_>, limit_bytes: usize) -> Option<Regex> {
    let patterns = node.list_of(|item| {
        Pattern::parse(item.text()?).map_err(|error| item.report(fault(&error))).ok()
    })?;
    // Each is well-formed, so together they can only be too large.
    let built = compile(&patterns, limit_bytes);
    node.take(built.map_err(|_| Fault::PatternsTooLarge(limit_bytes)))
}

/// Why a pattern is none.
pub(super) fn fault(error: &PatternError) -> Fault {
    match error {
        PatternError::Malformed(cause) => malformed(cause),
        PatternError::MatchesEverything => Fault::PatternMatchesEverything,
    }
}

/// Why a pattern is none, on one line. The causes that regex-syntax tells draw
/// the pattern over several lines, with the cause in the last one.
fn malformed(cause: &str) -> Fault {
    let last = cause.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("malformed");
    let told = last.strip_prefix("error: ").unwrap_or(last);
    Fault::Pattern(told.chars().filter(|c| !c.is_control()).take(MAX_CAUSE).collect())
}
