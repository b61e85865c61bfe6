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

/// Removes the credentials from every listed place, whichever of them decided. With
/// `forward` they stay, and only other spellings of their headers and query parameters are
/// removed, since these were not verified. `query` is the text behind the `?`.
#[must_use]
pub fn strip(rules: &AuthRules, head: &RequestHead, query: Option<&[u8]>) -> Stripped {
    let mut stripped = Stripped::default();
    if rules.forward {
        stripped.remove_headers = other_spellings(head, &[rules]);
        let parameters: Vec<&str> = rules.sources.iter().filter_map(parameter).collect();
        let left = query.and_then(|query| query::without_other_spellings(query, &parameters));
        stripped.query = left.into();
        return stripped;
    }
    let (mut cookies, mut parameters) = (Vec::new(), Vec::new());
    for source in &rules.sources {
        // `x_api_key`, `x.api.key` too: many an upstream takes them for `x-api-key`.
        if let Some(name) = source.header() {
            let same = head.headers.iter().filter(|(n, _)| same_name(n, name));
            stripped.remove_headers.extend(same.map(|(n, _)| n.to_owned()));
        }
        match source {
            CredentialSource::Query(name) => parameters.push(name.as_str()),
            CredentialSource::Cookie(name) => cookies.push(name.as_str()),
            _ => {}
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
    let parameters: Vec<&str> =
        rules.flat_map(|rules| &rules.sources).filter_map(parameter).collect();
    let left = query::without(query?, &parameters)?;
    Some(if left.is_empty() { path.to_vec() } else { [path, b"?", &left].concat() })
}

/// The query parameter that holds the credential, if that is the place.
fn parameter(source: &CredentialSource) -> Option<&str> {
    match source {
        CredentialSource::Query(name) => Some(name.as_str()),
        _ => None,
    }
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

/// The sent headers that an upstream may confuse with a credential header of one of these
/// policies, by the names in the request. They are removed from every request that
/// passes. The configured names themselves are not among them.
#[must_use]
pub fn other_spellings(head: &RequestHead, policies: &[&AuthRules]) -> Vec<String> {
    let sources = policies.iter().flat_map(|rules| &rules.sources);
    let credentials: Vec<&str> = sources.filter_map(CredentialSource::header).collect();
    let is_other = |sent: &str| {
        credentials.iter().any(|name| same_name(sent, name)) && !credentials.contains(&sent)
    };
    let names = head.headers.iter().map(|(name, _)| name);
    let mut names: Vec<String> = names.filter(|name| is_other(name)).map(str::to_owned).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns true if an upstream may read `name` as one of the `configured` identity
/// headers.
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

/// Returns true if servers that turn headers into environment variables (CGI, RFC 3875
/// §4.1.18; WSGI, Rack, PHP) may give both names the same variable. They ignore letter
/// case and turn any character that is no letter or digit into `_`: `X-User-Id`,
/// `x_user_id` and `X.User~Id` are the same.
pub(super) fn same_name(one: &str, other: &str) -> bool {
    one.bytes().map(folded).eq(other.bytes().map(folded))
}

/// A name that stands for all that [`same_name`] takes for the same: in lower case,
/// with `-` for what is no letter or digit.
pub(crate) fn folded_name(name: &str) -> String {
    name.bytes().map(|byte| char::from(folded(byte))).collect()
}

const fn folded(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() { byte.to_ascii_lowercase() } else { b'-' }
}
