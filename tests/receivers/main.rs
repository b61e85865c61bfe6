//! What the application of every WebSocket library gets is what the filter judged:
//! messages of random DEFLATE shapes, in random frames, with pauses, through the
//! stock Envoy, both filter kinds and both directions. README.md beside this says
//! what a receiver does; `RECEIVERS_SEED=… RECEIVERS_ONLY=ws` repeats a run.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stdout,
    reason = "a test that can't go on should say where, and a long one how far it is"
)]

mod bits;
mod compressor;
mod job;
mod judged;
mod process;
mod random;
#[path = "../session/rig.rs"]
#[allow(dead_code, reason = "shared")]
mod rig;
mod run;
mod script;
mod shapes;
#[path = "../envoy/support.rs"]
#[allow(dead_code, unused_imports, reason = "shared")]
mod support;
mod wire;

use script::{MARKER, Rule};
use serde_json::{Value, json};

/// What the bootstrap that these tests share names.
pub const TEST_SECRET: &str = "unused";
pub const TEST_API_KEY: &str = "unused";

/// The rule of each policy, by the last digit of a connection's id.
const RULES: [Rule; 10] = [
    Rule::Close,
    Rule::Drop,
    Rule::Sanitize,
    Rule::None,
    Rule::Reply,
    Rule::Close,
    Rule::Drop,
    Rule::Sanitize,
    Rule::None,
    Rule::None,
];

/// From here on the policies have `push`, where the filter kind can.
const FIRST_WITH_PUSH: usize = 5;

/// What fails with it fails because of a change.
const SHORT_RUN_SEED: u64 = 1_796_026_066_897_883_051;

fn rule(id: u64) -> Rule {
    RULES[(id % 10) as usize]
}

/// Where a connection asks for.
fn path(id: u64) -> String {
    format!("/{}?id={id}", id % 10)
}

/// A document with the policy of this connection alone, or with all.
fn document(kind: &str, of: Option<u64>) -> Value {
    let all = 0..RULES.len();
    let policies = all.filter(|n| of.is_none_or(|id| id % 10 == *n as u64));
    json!({"filter": kind, "policies": policies.map(|n| policy(kind, n)).collect::<Vec<_>>()})
}

/// The policy of this number, for filters of this kind, `http` or `stream`.
fn policy(kind: &str, n: usize) -> Value {
    let action = match RULES[n] {
        Rule::Close => Some("close"),
        Rule::Drop => Some("drop"),
        Rule::Sanitize => Some("sanitize"),
        Rule::Reply => Some("reply"),
        Rule::None => None,
    };
    let mut policy = json!({
        "name": format!("p{n}"),
        "match": {"paths": [format!("/{n}")]},
        "handshake": {"compression": "inspect"},
    });
    if let Some(action) = action {
        let rules = json!({"rules": [{"name": "marker", "pattern": MARKER, "action": action}]});
        policy["client"] = rules.clone();
        policy["server"] = rules;
    }
    if n >= FIRST_WITH_PUSH && kind == "http" {
        policy["lifetime"] = json!({"push": true});
    }
    policy
}

#[test]
fn what_applications_get_is_what_was_judged() {
    run::all(40, Some(SHORT_RUN_SEED));
}

#[test]
#[ignore = "takes many minutes: make soak"]
fn what_applications_get_is_what_was_judged_on_thousands_of_connections() {
    run::all(5_000, None);
}
