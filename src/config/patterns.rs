//! Regular expressions.

use super::fault::Fault;
use super::node::Node;
use regex_automata::meta::Regex;
use regex_automata::util::syntax;

/// Longest reason that is told, in characters.
const MAX_CAUSE: usize = 200;

/// Compiles a list of patterns of which any one may match, within a bound on
/// the memory it takes. They are searched in bytes that may be no UTF-8.
pub(super) fn any_of(node: &Node<'_>, limit_bytes: usize) -> Option<Regex> {
    let patterns = node.list_of(|item| {
        let pattern = item.text()?;
        match regex_syntax::ParserBuilder::new().utf8(false).build().parse(pattern) {
            Ok(_) => Some(pattern.to_owned()),
            Err(error) => {
                item.report(malformed(&error.to_string()));
                None
            }
        }
    })?;
    let built = Regex::builder()
        .configure(Regex::config().nfa_size_limit(Some(limit_bytes)).utf8_empty(false))
        .syntax(syntax::Config::new().utf8(false))
        .build_many(&patterns);
    // Each is well-formed, so together they can only be too large.
    node.take(built.map_err(|_| Fault::PatternsTooLarge(limit_bytes)))
}

/// Why a pattern is none, on one line. The causes that regex-syntax tells draw
/// the pattern over several lines, with the cause in the last one.
pub(super) fn malformed(cause: &str) -> Fault {
    let last = cause.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("malformed");
    let told = last.strip_prefix("error: ").unwrap_or(last);
    Fault::Pattern(told.chars().filter(|c| !c.is_control()).take(MAX_CAUSE).collect())
}
