//! What an open connection keeps of its handshake until its first message has
//! been verified.

use super::AuthRules;
use super::authorize::{AskedFor, Asking, Wish};
use super::query;
use super::strip::same_name;
use crate::handshake::{Headers, RequestHead};
use std::fmt;

/// What `authorize` will need of a handshake that carried no credential.
#[derive(Clone)]
pub struct AwaitedCredential {
    head: RequestHead,
    path: String,
    query: Option<Vec<u8>>,
}

impl AwaitedCredential {
    /// Keeps what the rules ask for, and no more.
    #[must_use]
    pub fn of(rules: &AuthRules, wish: Wish<'_>) -> Self {
        let asked = || rules.authorize.iter().map(|rule| &rule.from);
        // Those of another spelling too, which are one too many.
        let asks = |sent: &str| {
            asked().any(|from| matches!(from, Asking::Header(name) if same_name(sent, name)))
        };
        let lines = wish.head.headers.iter().filter(|(sent, _)| asks(sent));
        let lines = lines.map(|(sent, value)| (sent.to_owned(), value.to_vec())).collect();
        let parameters: Vec<&str> = asked().filter_map(Asking::parameter).collect();
        let like = |query| query::pieces_like(query, &parameters).collect::<Vec<_>>().join(&b'&');
        let query = wish.query.filter(|_| !parameters.is_empty()).map(like);
        let head = RequestHead {
            method: Vec::new(),
            target: Vec::new(),
            authority: Vec::new(),
            headers: Headers::new(lines),
            source: wish.head.source,
            https: wish.head.https,
            http2: wish.head.http2,
        };
        Self { head, path: wish.path.to_owned(), query }
    }

    /// Bytes of what is kept, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let line = |(name, value): (&str, &[u8])| name.len() + value.len() + 48;
        let headers: usize = self.head.headers.iter().map(line).sum();
        headers + self.path.len() + self.query.as_ref().map_or(0, Vec::len)
    }

    /// What the handshake asked for, and `said` in its first message, for
    /// [`super::Attempt::advance`].
    #[must_use]
    pub fn wish<'a>(&'a self, said: &'a [AskedFor]) -> Wish<'a> {
        Wish { head: &self.head, path: &self.path, query: self.query.as_deref(), said }
    }
}

/// Without what the client sent.
impl fmt::Debug for AwaitedCredential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AwaitedCredential").finish_non_exhaustive()
    }
}
