//! The configuration document: [`Config::parse`] gives the checked form, or
//! every error in it.

use crate::auth::AuthRules;
use crate::handshake::HandshakeRules;
use crate::handshake::host::HostPattern;
use crate::handshake::path::PathPattern;
use crate::message::MessageRules;

/// A checked document. It can only be made by [`Config::parse`].
#[derive(Clone, Debug)]
pub struct Config {
    /// What happens to upgrades that no policy matches.
    pub unmatched: Unmatched,
    /// Most message bytes held over all connections of a worker.
    pub buffered_per_worker_bytes: u64,
    /// The first that matches wins.
    pub policies: Vec<Policy>,
    /// Identity headers of all policies, lower case with `-`; removed from
    /// every request that passes, in any mixture of `-` and `_`.
    pub identity_headers: Vec<String>,
    /// `mode` of the document, for what no policy matches.
    pub mode: Mode,
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
    /// What it asks of the opening handshake.
    pub handshake: HandshakeRules,
    /// Who may connect; `None`: anybody.
    pub auth: Option<AuthRules>,
    /// What clients may send.
    pub client: MessageRules,
}
