//! `events`: what else is told than what happens by itself.

use super::fault::Amount;
use super::node::Node;
use super::units::Bound;
use std::time::Duration;

/// In milliseconds.
const LONGEST: Bound = Bound { most: 366 * 24 * 3_600_000, text: "8784h" };

/// Connections are looked at twice a second, and there may be thousands.
const SHORTEST: Duration = Duration::from_secs(1);

/// Reads how often each open connection is told of.
pub(super) fn progress(node: &Node<'_>) -> Option<Duration> {
    let events = node.object(&["progress"])?;
    let node = events.require("progress", "how often, like \"1h\"")?;
    let every = node.duration(LONGEST)?;
    if every < SHORTEST {
        node.report(Amount::BelowBound("1s"));
        return None;
    }
    Some(every)
}
