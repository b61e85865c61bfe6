//! The opening handshake (RFC 6455 §4): the request head that a client sends,
//! what of it a policy may judge, and what upstream may answer.
//!
//! Each check is a function of its own; [`crate::session`] knows their order.

use std::net::IpAddr;

/// Header lines as received: names in lower case, values as bytes, repeated
/// lines apart and in order. Pseudo-headers are not among them.
#[derive(Clone, Debug, Default)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// Takes the lines as they came; names are made lower case.
    #[must_use]
    pub fn new(lines: Vec<(String, Vec<u8>)>) -> Self {
        let mut lines = lines;
        for (name, _) in &mut lines {
            name.make_ascii_lowercase();
        }
        Self(lines)
    }

    /// Every line.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    /// The values of every line of this (lower-case) name, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter().filter(move |(n, _)| *n == name).map(|(_, value)| value)
    }
}

/// A request head as a filter hands it over. Everything in it but `source`,
/// `https` and `http2` is the client's word.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// `:method`, or the method of the request line.
    pub method: Vec<u8>,
    /// `:path`, or the request target in origin form: path and query.
    pub target: Vec<u8>,
    /// `:authority`, or `Host`.
    pub authority: Vec<u8>,
    /// The other header lines.
    pub headers: Headers,
    /// The client address that Envoy trusts (`source.address`).
    pub source: Option<IpAddr>,
    /// Whether the client's connection is TLS, as Envoy trusts it.
    pub https: bool,
    /// Whether the request is an extended CONNECT (RFC 8441): no key, no
    /// accept on the client's side.
    pub http2: bool,
}

/// What to change in a head before it goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeadEdits {
    /// Lower-case names of headers to remove, all their lines.
    pub remove: Vec<String>,
    /// Headers to set to one line with this value (`:path` among them).
    pub set: Vec<(String, Vec<u8>)>,
}

pub mod address;
pub mod answer;
pub mod compression;
pub mod deflate;
pub mod extensions;
pub mod form;
mod fuzz;
pub mod host;
mod key;
mod list;
pub mod origin;
pub mod path;
pub mod subprotocol;
pub mod tls;
pub mod upgrade;
pub mod user_agent;

pub(crate) use list::is_tchar;

use crate::inspect::AnyOf;
use address::AddressRules;
use origin::OriginRules;
use std::time::Duration;

/// What a policy asks of the opening handshake.
#[derive(Clone, Debug)]
pub struct HandshakeRules {
    /// Which origins may connect; `None`: not checked.
    pub origins: Option<OriginRules>,
    /// Which client addresses may connect.
    pub addresses: AddressRules,
    /// What to do with requests without TLS.
    pub tls: TlsRule,
    /// Allowed subprotocols; `None`: not checked.
    pub subprotocols: Option<Vec<String>>,
    /// Patterns of user agents that may not connect.
    pub user_agents_denied: Option<AnyOf>,
    /// What to do with offered compression.
    pub compression: Compression,
    /// What to do with requests on a matched path that are no upgrade.
    pub plain_http: PlainHttp,
    /// How a refusal is told.
    pub refuse_with: RefuseWith,
    /// What upstream speaks.
    pub upstream: Upstream,
    /// Time within which upstream must answer the upgrade.
    pub upstream_timeout: Duration,
}

/// `tls`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsRule {
    /// With or without.
    Optional,
    /// Refused without.
    Required,
    /// Without: 308 to the same place by https.
    Redirect,
}

/// `compression`: what to do with an offered permessage-deflate (RFC 7692).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Remove the offer.
    Strip,
    /// Let upstream agree to it, and inflate messages to look at them.
    Inspect,
    /// Refuse the handshake.
    Reject,
}

/// `plain_http`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainHttp {
    /// Refuse: `not_websocket`.
    Reject,
    /// Let them pass, unguarded.
    Pass,
}

/// `refuse_with`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefuseWith {
    /// With an HTTP status and a problem document.
    Http,
    /// By opening the WebSocket and closing it at once, so that a browser's
    /// script sees code and reason.
    Close,
}

/// `upstream`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// HTTP/1.1: the accept in its answer proves that it speaks WebSocket.
    Http1,
    /// HTTP/2: there is neither key nor accept (RFC 8441 §5).
    Http2,
}
