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

mod auth;
mod budget;
mod closing;
mod events;
mod limits;
mod oracle;
mod quotas;
mod report;
mod rig;
mod server;
mod violations;
