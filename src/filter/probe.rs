//! What only the module for tests does (feature `trap`): a request traps its VM,
//! or asks whether a signature verifies.

use super::host::{self, Envoy};
use crate::auth::verdicts;
use crate::handshake::RequestHead;
use crate::reason::Reason;
use crate::session::Refusal;

/// Answers such a request; whether it was one.
pub(super) fn answers(head: &RequestHead) -> bool {
    if head.headers.all("x-wsguard-trap").next().is_some() {
        std::process::abort();
    }
    let Some(question) = head.headers.all("x-wsguard-verify").next() else { return false };
    host::respond(&Refusal {
        reason: Reason::NotWebsocket,
        status: 200,
        headers: Vec::new(),
        body: format!("{:?}", verdicts(question, &Envoy)).into_bytes(),
    });
    true
}
