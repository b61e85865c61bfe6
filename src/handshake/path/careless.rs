//! What a careless server might make of a path.

use super::{push_triplet, triplet};

/// What a careless server might make of a path that has no normal form: it
/// decodes everything, takes backslashes as slashes, cuts parameters off and
/// what follows a NUL or `#`, collapses slashes, and stays at the root where
/// dots would leave it. `None` for what is no path at all (empty, or `*`).
///
/// It answers one question only: whether a plain request with an ambiguous
/// path may be meant for a guarded one ([`super::PathPattern::matches`]).
/// Nothing may be let in by it.
#[must_use]
pub fn careless(path: &[u8]) -> Option<String> {
    let path = without_authority(path);
    if path.is_empty() || path == b"*" {
        return None;
    }
    let path = path.split(|b| *b == b'#').next().unwrap_or_default();
    let path = decode(path);
    let path = path.split(|b| *b == 0).next().unwrap_or_default();
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut ends_in_slash = true;
    for segment in path.split(|b| matches!(b, b'/' | b'\\')) {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        ends_in_slash = matches!(name, b"" | b"." | b"..");
        if name == b".." {
            kept.pop();
        } else if !ends_in_slash {
            kept.push(name);
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for segment in &kept {
        out.push(b'/');
        segment.iter().for_each(|byte| push(&mut out, *byte));
    }
    if ends_in_slash || kept.is_empty() {
        out.push(b'/');
    }
    String::from_utf8(out).ok()
}

/// The path of a target in absolute form (RFC 9112 §3.2.2), or all of it.
fn without_authority(target: &[u8]) -> &[u8] {
    let Some(scheme_end) = target.windows(3).position(|w| w == b"://") else { return target };
    let (scheme, rest) = target.split_at(scheme_end);
    if scheme.is_empty() || !scheme.iter().all(u8::is_ascii_alphanumeric) {
        return target;
    }
    let authority = rest.get(3..).unwrap_or_default();
    let start = authority.iter().position(|b| matches!(b, b'/' | b'\\'));
    start.and_then(|start| authority.get(start..)).unwrap_or(b"/")
}

/// Decodes every triplet, and leaves a `%` that starts none.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        let (value, tail) = triplet(rest).unwrap_or((*byte, tail));
        out.push(value);
        rest = tail;
    }
    out
}

/// Appends a byte as a normal path has it.
fn push(out: &mut Vec<u8>, byte: u8) {
    if byte.is_ascii_graphic() && !matches!(byte, b'%' | b'#' | b'?') {
        out.push(byte);
    } else {
        push_triplet(out, byte);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{NormalPath, PathPattern};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn disguises_of_a_guarded_path_are_seen_through() {
        for path in [
            "/x%2f..%2fws",
            "/x\\..\\ws",
            "/x%5c..%5cws",
            "/../../ws",
            "/a/..;/ws",
            "/;/ws;x",
            "/a//../ws",
            "/ws%00.html",
            "/ws#x",
            "http://chat.example.com/ws",
            "%2fws",
            "ws",
        ] {
            assert_eq!(careless(path.as_bytes()).as_deref(), Some("/ws"), "{path}");
        }
    }

    #[test]
    fn what_is_meant_for_another_path_stays_another() {
        assert_eq!(careless(b"/api/group%2fname").as_deref(), Some("/api/group/name"));
        assert_eq!(careless(b"/ws%").as_deref(), Some("/ws%25"));
        assert_eq!(careless(b"/\xff\x01").as_deref(), Some("/%FF%01"));
        assert_eq!(careless(b"/a/..").as_deref(), Some("/"));
        assert_eq!(careless(b"/a%2f").as_deref(), Some("/a/"));
        assert_eq!(careless(b"http://chat.example.com").as_deref(), Some("/"));
        assert_eq!(careless(b"*"), None);
        assert_eq!(careless(b""), None);
    }

    proptest! {
        #[test]
        fn it_reads_careful_paths_like_everybody(
            path in r"(/|//|\.|\.\.|%2e|%25|%c3%a4|%40|ws|a|%77){0,12}"
        ) {
            let path = format!("/{path}");
            if let Ok(normal) = NormalPath::parse(path.as_bytes()) {
                let pattern = PathPattern::parse(normal.as_str()).unwrap();
                prop_assert!(pattern.matches(&careless(path.as_bytes()).unwrap()));
            }
        }
    }
}
