//! A tunnel that nobody asked for.

use super::Arrival;
use super::admission;
use super::refusal::Refusal;
use crate::config::Mode;
use crate::event::Event;
use crate::frame::Sender;
use crate::guard::{self, Guard};
use crate::reason::Reason;
use std::rc::Rc;

const DETAIL: &str = "upstream answered 101 to a request that did not ask for an upgrade";

/// Judges a 101 to a request that asked for no upgrade and therefore has no
/// session, with the `policy` that matched it: whoever stands between the client
/// and us would take what follows for a tunnel (RFC 9110 §15.2.2). What to answer
/// in its place; none in mode report.
#[must_use]
pub fn unasked_switch(
    guard: &Rc<Guard>,
    arrival: &Arrival,
    policy: Option<usize>,
) -> Option<Refusal> {
    let matched = policy.and_then(|index| guard.policy(index));
    let mode = matched.map_or(guard.config().mode, |policy| policy.mode);
    let (kind, result) = guard::refused(mode);
    let reason = Reason::UpstreamHandshake;
    guard.count_handshake(policy, result, Some(reason));
    let about = admission::about(guard, arrival);
    let mut event = Event::new(guard.now(), kind, mode, &about);
    event.reason = Some(reason);
    event.direction = Some(Sender::Server);
    event.detail = Some(DETAIL.to_owned());
    guard.tell(policy, event);
    (mode == Mode::Enforce).then(|| Refusal::http(reason, DETAIL))
}
