//! Heads out of a fuzzer's bytes, for the entries beside the parsers.

use super::{Headers, RequestHead};

/// Reads lines: method, target, authority, then `name: value` each.
pub(super) fn head(data: &[u8]) -> RequestHead {
    let mut lines = data.splitn(4, |b| *b == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    RequestHead {
        method: line().to_vec(),
        target: line().to_vec(),
        authority: line().to_vec(),
        headers: headers(line()),
        source: None,
        https: false,
        http2: false,
    }
}

/// Reads lines of `name: value`.
pub(super) fn headers(data: &[u8]) -> Headers {
    let mut lines = Vec::new();
    for line in data.split(|b| *b == b'\n').filter(|line| !line.is_empty()) {
        let mut parts = line.splitn(2, |b| *b == b':');
        let name = String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
        let value = parts.next().unwrap_or_default();
        lines.push((name, value.strip_prefix(b" ").unwrap_or(value).to_vec()));
    }
    Headers::new(lines)
}
