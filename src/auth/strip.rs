//! What upstream must not see: credentials, and identity headers that the
//! client made up.

use super::{AuthRules, CredentialSource, cookie, query};
use crate::handshake::{HeadEdits, RequestHead};

/// What is to be taken out of a request head. Subprotocol credentials leave
/// with the offer ([`super::Presented::offer_left`]).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stripped {
    /// Lower-case names of headers to remove, all their lines.
    pub remove_headers: Vec<String>,
    /// What is left of the `cookie` lines.
    pub cookie: Rest,
    /// What is left of the query.
    pub query: Rest,
}

/// What is left of something after stripping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// There was nothing to strip.
    #[default]
    Untouched,
    /// Nothing: the line, or the query with its `?`, goes.
    Nothing,
    /// This.
    Left(Vec<u8>),
}

impl From<Option<Vec<u8>>> for Rest {
    fn from(left: Option<Vec<u8>>) -> Self {
        match left {
            None => Self::Untouched,
            Some(left) if left.is_empty() => Self::Nothing,
            Some(left) => Self::Left(left),
        }
    }
}

/// Takes the credentials out of every listed place, whichever of them decided,
/// unless they are to be forwarded. `query` is what follows the `?`.
#[must_use]
pub fn strip(rules: &AuthRules, head: &RequestHead, query: Option<&[u8]>) -> Stripped {
    let mut stripped = Stripped::default();
    if rules.forward {
        return stripped;
    }
    let (mut cookies, mut parameters) = (Vec::new(), Vec::new());
    for source in &rules.sources {
        match source {
            // `x_api_key` too: many an upstream takes it for `x-api-key`.
            CredentialSource::Header(name) => stripped.remove_headers.extend(
                head.headers.iter().filter(|(n, _)| same_name(n, name)).map(|(n, _)| n.to_owned()),
            ),
            CredentialSource::Query(name) => parameters.push(name.as_str()),
            CredentialSource::Cookie(name) => cookies.push(name.as_str()),
            CredentialSource::Subprotocol(_) => {}
        }
    }
    stripped.remove_headers.sort_unstable();
    stripped.remove_headers.dedup();
    stripped.cookie = cookie::without(head.headers.all("cookie"), &cookies).into();
    stripped.query = query.and_then(|query| query::without(query, &parameters)).into();
    stripped
}

/// Path and query without the parameters that any of these rules has for
/// credentials, `None` where there is none of them: what access logs may show of a
/// request that does not go on.
#[must_use]
pub fn target_without_credentials<'a>(
    rules: impl Iterator<Item = &'a AuthRules>,
    path: &[u8],
    query: Option<&[u8]>,
) -> Option<Vec<u8>> {
    let parameter = |source: &'a CredentialSource| match source {
        CredentialSource::Query(name) => Some(name.as_str()),
        _ => None,
    };
    let parameters: Vec<&str> =
        rules.flat_map(|rules| &rules.sources).filter_map(parameter).collect();
    let left = query::without(query?, &parameters)?;
    Some(if left.is_empty() { path.to_vec() } else { [path, b"?", &left].concat() })
}

impl Stripped {
    /// Adds what is to be done to `edits`. `path` is the path, without query,
    /// that goes to upstream.
    pub fn add_to(self, path: &[u8], edits: &mut HeadEdits) {
        edits.remove.extend(self.remove_headers);
        match self.cookie {
            Rest::Untouched => {}
            Rest::Nothing => edits.remove.push("cookie".to_owned()),
            Rest::Left(cookie) => edits.set.push(("cookie".to_owned(), cookie)),
        }
        let target = match self.query {
            Rest::Untouched => return,
            Rest::Nothing => path.to_vec(),
            Rest::Left(query) => [path, b"?", &query].concat(),
        };
        edits.set.push((":path".to_owned(), target));
    }
}

/// Whether `name` is one of the identity headers `configured`, letter case
/// aside and with `_` and `-` equal: many an upstream (CGI, WSGI) does not
/// tell `x_user_id` from `X-User-Id`.
#[must_use]
pub fn is_identity_header(name: &str, configured: &[String]) -> bool {
    configured.iter().any(|other| same_name(name, other))
}

/// The identity headers that a client made up, by the names it gave them; to
/// be removed from every request that passes.
#[must_use]
pub fn sent_identity_headers(head: &RequestHead, configured: &[String]) -> Vec<String> {
    let mut names: Vec<String> = head
        .headers
        .iter()
        .map(|(name, _)| name)
        .filter(|name| is_identity_header(name, configured))
        .map(str::to_owned)
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn same_name(one: &str, other: &str) -> bool {
    let fold = |byte: u8| if byte == b'_' { b'-' } else { byte.to_ascii_lowercase() };
    one.bytes().map(fold).eq(other.bytes().map(fold))
}
