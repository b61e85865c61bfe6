//! Regular expressions.

use super::fault::Fault;
use super::node::Node;
use crate::inspect::pattern::{Pattern, PatternError};
use crate::inspect::{AnyOf, RuleError};

/// Longest reason that is told, in characters.
const MAX_CAUSE: usize = 200;

/// Compiles a list of patterns of which any one may match. They are searched in
/// bytes that may be no UTF-8.
pub(super) fn any_of(node: &Node<'_>) -> Option<AnyOf> {
    let patterns = node.list_of(|item| {
        Pattern::parse(item.text()?).map_err(|error| item.report(pattern_fault(&error))).ok()
    })?;
    let at_dearest = |error: RuleError| {
        let items = node.plain_items();
        items.get(error.index()).unwrap_or(node).report(fault(&error));
    };
    AnyOf::compile(&patterns).map_err(at_dearest).ok()
}

/// Why patterns can't be searched for.
pub(super) fn fault(error: &RuleError) -> Fault {
    match error {
        RuleError::Pattern { cause, .. } => pattern_fault(cause),
        RuleError::TooDear { steps, limit, .. } => {
            Fault::PatternTooDear { steps: *steps, limit: *limit }
        }
        RuleError::CutTooLarge { .. } => Fault::CutTooLarge,
    }
}

/// Why a pattern is none.
fn pattern_fault(error: &PatternError) -> Fault {
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
