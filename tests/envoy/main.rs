//! Tests against the stock Envoy, with clients and servers that other projects
//! made. `make test` builds and fetches what they need.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where"
)]

mod bans;
mod client;
mod clock;
mod edge;
mod lds;
mod support;
mod upstream;

mod attackers;
mod auth;
mod bounds;
mod browser;
mod bypasses;
mod compressed;
mod config;
mod credentials;
mod events;
mod examples;
mod first_message;
mod frames;
mod handshake;
mod holds;
mod http2;
mod lifetimes;
mod metrics;
mod peers;
mod push;
mod quotas;
mod rates;
mod readme;
mod report;
mod revoked;
mod smuggling;
mod stream;
mod tls;
mod verdicts;

/// What the module's environment holds for documents that name secrets.
pub const TEST_SECRET: &str = "a-secret-of-tests-that-is-long-enough-for-hs256";
pub const TEST_API_KEY: &str = "an-api-key-of-tests";

/// The section `auth` by which that key, in the header `x-api-key`, is the user
/// `key:robot`.
pub fn by_api_key() -> serde_json::Value {
    serde_json::json!({
        "credentials": [{"header": "x-api-key"}],
        "api_keys": [{"id": "robot", "key": {"env": "TEST_API_KEY"}}],
    })
}
