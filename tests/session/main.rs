//! One connection as a filter sees it, on the in-process host: what goes on,
//! who is told what, and when it ends.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where"
)]

mod agreement;
mod answers;
mod auth;
mod bans;
mod budget;
mod closes;
mod closing;
mod compression;
mod controls;
mod events;
mod first_message;
mod handlers;
mod lifetimes;
mod limits;
mod oracle;
mod paths;
mod pings;
mod quotas;
mod rates;
mod receivers;
mod report;
mod rig;
mod server;
mod slow;
mod strikes;
mod upstream_timeout;
mod verdicts;
mod violations;
