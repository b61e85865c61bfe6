//! The configuration document: [`Config::parse`] gives the checked form, or
//! every error in it.
//!
//! # Bounds
//!
//! Beyond what the contract says, so that no document takes more memory or time
//! than a filter has: 4 MiB of text and 64 levels of nesting
//! ([`MAX_DOCUMENT_BYTES`]), 10,000 items in a list, names up to 64 characters.
//!
//! | what | at most |
//! |---|---|
//! | `buffered_per_worker` | 1 GiB |
//! | `max_frame`, `max_message`; `max_fragments` | 64 MiB; 65,536 |
//! | patterns of a direction, or of `user_agents_denied` | 80 steps a byte, 16 MiB |
//! | quotas of connections | 100,000,000 |
//! | rates | 1,000,000,000 or 1 PiB, in 100 ms to 24 h |
//! | `idle`, `max`, `heartbeat` | 8784 h |
//! | `progress` | 8784 h, at least 1 s |
//! | `threshold` and weights of bans, `window`, `duration` | 1,000,000, 24 h, 720 h |
//! | `leeway`, `refresh`, `deadline` | 10 minutes, 24 h, 10 minutes |
//! | `timeout`, `cache` of services | 30 s, 1 h |
//! | `ack`, a path with variables | 4 KiB, 1 KiB |
//!
//! # What does not go together
//!
//! Each is a variant of `Relation`, which says what to write instead.
//!
//! - Limits: `max_frame` above `max_message` (where it is written; its default is
//!   beside any `max_message`); `ipv6_prefix` without `per_ip`, or in the document
//!   without that and `bans`; `per_user`, and `by: [user]` of bans, without `auth`;
//!   a weight for what is no client's fault.
//! - Matching: `exact` without `paths`.
//! - Origins: `missing_origin` without `origins`; `same-origin` without `hosts`, or
//!   with one among them that anybody can have a name below; a cookie credential without
//!   `origins`, or with one among them that is anybody's.
//! - Credentials: those without a verifier and the other way round; an identity
//!   header that some policy takes credentials from; `jwks_uri` with HS algorithms;
//!   `send: cookie` without a cookie credential; `authorization` with `send: bearer`.
//! - First messages: one that is not the last of the credentials, or a second one;
//!   one without `push`, or with `identity_headers`; `socketio` with
//!   `plain_http: pass`; `deadline` without one.
//! - Authorization: variables of a callout's path that nothing gives a value, a
//!   path without variables, `when` without `message`.
//! - `heartbeat` and `slow` without `push`.
//! - A policy that an earlier one leaves nothing to match.
//! - With `filter: stream`, whatever needs an answer in upstream's place or writes
//!   by itself, another protocol, or lets anything but guarded upgrades through:
//!   `tls: redirect`, `refuse_with: close`, `push`, a first message,
//!   `upstream: http2`, `unmatched: pass` and `plain_http: pass`.

use crate::auth::AuthRules;
use crate::frame::Sender;
use crate::handshake::HandshakeRules;
use crate::handshake::host::HostPattern;
use crate::handshake::path::PathPattern;
use crate::message::MessageRules;
use crate::quota::bans::BanRules;
use crate::quota::connections::QuotaRules;
use crate::session::Lifetime;
use std::time::Duration;

mod auth;
mod authorize;
mod bans;
mod document;
mod envoy;
mod error;
mod events;
mod fault;
mod first_message;
mod handshake;
mod jwt;
mod lifetime;
mod messages;
mod names;
mod node;
mod object;
mod patterns;
mod policy;
mod quotas;
mod rates;
mod relations;
mod secret;
mod service;
mod session;
#[cfg(test)]
mod tests;
mod tree;
mod units;

pub use envoy::fuzz_from_envoy;
pub use error::{ConfigError, ConfigErrors, MAX_LISTED};
pub(crate) use handshake::UPSTREAM_TIMEOUT;
pub use rates::fuzz_rate;
pub use tree::{Document, MAX_DOCUMENT_BYTES};
pub use units::fuzz_units;

/// A checked document. It can only be made by [`Config::parse`].
#[derive(Clone, Debug)]
pub struct Config {
    /// Which kind of Envoy's filters it is for.
    pub filter: FilterKind,
    /// What happens to upgrades that no policy matches.
    pub unmatched: Unmatched,
    /// Most message bytes held over all connections of a worker.
    pub buffered_per_worker_bytes: u64,
    /// Most of them held over all connections of one client address; at most all.
    pub buffered_per_ip_bytes: u64,
    /// What may be open at once over all policies.
    pub quotas: QuotaRules,
    /// The first that matches wins.
    pub policies: Vec<Policy>,
    /// Identity headers of all policies, lower case with `-`; removed from
    /// every request that passes, with any other character in the place of `-`.
    pub identity_headers: Vec<String>,
    /// `mode` of the document, for what no policy matches.
    pub mode: Mode,
    /// Interval of the `progress` events of an open connection; `None` if there are none.
    pub progress: Option<Duration>,
}

impl Config {
    /// Reads the document from JSON text and checks all of it. `environment`
    /// gives the variables that it names for secrets.
    ///
    /// # Errors
    /// Everything that is wrong, in the document's order: unknown keys, wrong
    /// kinds and amounts, what does not go together, what is not supported yet.
    pub fn parse(
        document: &str,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        Self::check(&Document::from_json(document)?, environment)
    }

    /// Checks a document that is already read, from JSON or another format.
    ///
    /// # Errors
    /// As [`Self::parse`].
    pub fn check(
        document: &Document,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, ConfigErrors> {
        let checker = node::Checker::new(environment);
        let config = document::read(&checker.root(document));
        match (checker.finish(), config) {
            (None, Some(config)) => Ok(config),
            (Some(errors), _) => Err(errors),
            // Readers give nothing only after they have reported why; should one
            // forget to, the document must not load.
            (None, None) => Err(ConfigErrors::of_document(fault::Written::Empty)),
        }
    }
}

/// `filter`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FilterKind {
    /// HTTP filter, before the router.
    #[default]
    Http,
    /// Network filter, before `tcp_proxy`.
    Stream,
}

/// `mode`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Decide, count, log and refuse.
    Enforce,
    /// Decide, count and log; let everything through.
    Report,
}

/// `unmatched`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unmatched {
    /// Refuse: `no_policy`.
    Reject,
    /// Let it pass unguarded.
    Pass,
}

/// One policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Unique; `[a-z0-9_-]`.
    pub name: String,
    /// The policy's own, or the document's.
    pub mode: Mode,
    /// Hosts it is for; empty: every host.
    pub hosts: Vec<HostPattern>,
    /// Paths it is for; empty: every path.
    pub paths: Vec<PathPattern>,
    /// Its application tells paths apart that differ only in what the lenient reading
    /// leaves aside ([`crate::handshake::path::LenientPath`]).
    pub exact: bool,
    /// What it asks of the opening handshake.
    pub handshake: HandshakeRules,
    /// Who may connect; `None`: anybody.
    pub auth: Option<AuthRules>,
    /// What may be open at once.
    pub quotas: QuotaRules,
    /// What clients may send.
    pub client: MessageRules,
    /// What the server may send.
    pub server: MessageRules,
    /// How long its connections live.
    pub lifetime: Lifetime,
    /// Who is banned, and for how long; `None`: nobody by what it does here.
    pub bans: Option<BanRules>,
}

impl Policy {
    /// What `sender` may send.
    #[must_use]
    pub const fn messages(&self, sender: Sender) -> &MessageRules {
        match sender {
            Sender::Client => &self.client,
            Sender::Server => &self.server,
        }
    }
}

/// Entry for the fuzzer: holds that any text gives either errors, each of them
/// with its path and on a line of its own, or a configuration in which nothing
/// of the document is lost: no policy, no `auth`, no place of a credential, no issuer, and no limit is 0.
pub fn fuzz_config(data: &[u8]) {
    const SECRET: &str = "hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2-hunter2";
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Config::parse(text, &|_| Some(SECRET.to_owned())) {
        Err(errors) => {
            assert!(errors.iter().len() > 0 && errors.iter().len() <= MAX_LISTED);
            assert!(errors.more() == 0 || errors.iter().len() == MAX_LISTED);
            let lines = errors.iter().len() + usize::from(errors.more() > 0);
            assert_eq!(errors.to_string().lines().count(), lines);
            assert!(errors.iter().all(|error| !error.path().is_empty()));
            assert!(text.contains(SECRET) || !format!("{errors} {errors:?}").contains(SECRET));
        }
        Ok(config) => {
            let written: Option<serde_json::Value> = serde_json::from_str(text).ok();
            assert_eq!(Some(config.quotas.limits()), written.as_ref().map(written_limits));
            let written =
                written.as_ref().and_then(|document| document.get("policies")?.as_array());
            assert_eq!(written.map(Vec::len), Some(config.policies.len()));
            for (policy, written) in config.policies.iter().zip(written.into_iter().flatten()) {
                let auth = written.get("auth");
                assert_eq!(policy.auth.is_some(), auth.is_some());
                let places = auth.and_then(|auth| auth.get("credentials")?.as_array());
                let sources = policy.auth.as_ref().map_or(0, |auth| auth.sources.len());
                assert_eq!(sources, places.map_or(0, Vec::len));
                let issuers = auth.and_then(|auth| auth.get("jwt")?.as_array()).map_or(0, Vec::len);
                assert_eq!(policy.auth.as_ref().map_or(0, |auth| auth.issuers.len()), issuers);
                assert_eq!(policy.quotas.limits(), written_limits(written));
                for rules in [&policy.client, &policy.server] {
                    assert!(rules.max_frame_bytes > 0 && rules.max_message_bytes > 0);
                    assert!(rules.max_fragments > 0 && (rules.text || rules.binary));
                }
            }
        }
    }
}

/// How many limits `quotas` of a policy or document has.
fn written_limits(section: &serde_json::Value) -> usize {
    let limits = section.get("quotas").and_then(|quotas| quotas.get("connections")?.as_object());
    limits.map_or(0, serde_json::Map::len)
}
