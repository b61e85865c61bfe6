//! Many workers over one shared data, in any order of events: what is counted
//! holds, whoever traps or stands still, and nothing lives on.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where"
)]

mod flood;
mod points;
mod quotas;
mod random;
mod rates;
mod rules;
