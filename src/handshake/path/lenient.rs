//! The lenient reading of a path: what servers make of it that are less strict
//! than the normal form.

use super::triplet;

/// A path as the most lenient server reads it: decoded, without letter case, and
/// without dots, spaces and `;…` at the end of its segments. Segments of which
/// nothing is left, and the slash at the end, don't count.
///
/// Letter case is Unicode's, one character at a time, as ASP.NET Core, IIS, Java's
/// `equalsIgnoreCase` and Python's `(?i)` fold it, each in parts: `ſ` is an `s`,
/// `K` (Kelvin) a `k`, `ı` and `İ` an `i`. Express, whose case-insensitive
/// patterns see the path still encoded, folds ASCII alone, and so does nginx:
/// what differs under the narrower folding differs here or is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LenientPath {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    /// All of it, letter case aside.
    folded: String,
    /// The length of what is left of `folded` without its end, never 0.
    name_bytes: usize,
}

impl Segment {
    /// `None` where nothing is left.
    fn read(text: &str) -> Option<Self> {
        let folded = fold(text);
        let name_bytes = name(&folded).trim_end_matches(is_dropped).len();
        (name_bytes > 0).then_some(Self { folded, name_bytes })
    }

    fn name(&self) -> &str {
        self.folded.get(..self.name_bytes).unwrap_or_default()
    }
}

impl LenientPath {
    /// Reads a request's path, whether it has a normal form or not: backslashes
    /// are slashes, what follows a NUL or `#` is cut off, and dots stay at the
    /// root where they would leave it. `None` for what is no path at all (empty,
    /// or `*`).
    #[must_use]
    pub fn read(path: &[u8]) -> Option<Self> {
        let path = without_authority(path);
        if path.is_empty() || path == b"*" {
            return None;
        }
        let path = path.split(|b| *b == b'#').next().unwrap_or_default();
        let path = decode(path);
        let path = path.split(|b| *b == 0).next().unwrap_or_default();
        Some(Self::of_decoded(&String::from_utf8_lossy(path)))
    }

    fn of_decoded(path: &str) -> Self {
        let mut segments = Vec::new();
        for text in path.split(['/', '\\']) {
            if name(text).trim_end_matches(char::is_whitespace) == ".." {
                segments.pop();
            } else {
                segments.extend(Segment::read(text));
            }
        }
        Self { segments }
    }
}

/// A policy's path in the lenient reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LenientPattern {
    segments: Vec<Segment>,
    /// With a `*`: how the next segment begins, letter case aside; often empty.
    rest: Option<String>,
}

impl LenientPattern {
    /// Reads a path in normal form, which is all of the pattern but a `*` at its end.
    pub(super) fn of(path: &str, any_rest: bool) -> Self {
        let decoded = decode(path.as_bytes());
        let decoded = String::from_utf8_lossy(&decoded);
        // What stands before the `*` has no end that could be cut off.
        let (whole, begun) =
            if any_rest { decoded.rsplit_once('/').unwrap_or_default() } else { (&*decoded, "") };
        let LenientPath { segments } = LenientPath::of_decoded(whole);
        // A segment that begins with what is dropped may be dropped whole.
        let begun = Segment::read(begun).map(|begun| begun.folded).unwrap_or_default();
        Self { segments, rest: any_rest.then_some(begun) }
    }

    pub(super) fn matches(&self, path: &LenientPath) -> bool {
        let names = self.segments.iter().map(Segment::name);
        let found = path.segments.get(..self.segments.len());
        let starts_alike = found.is_some_and(|found| names.eq(found.iter().map(Segment::name)));
        let next = path.segments.get(self.segments.len());
        starts_alike
            && match (&self.rest, next) {
                (None, next) => next.is_none(),
                (Some(begun), None) => begun.is_empty(),
                (Some(begun), Some(next)) => next.folded.starts_with(begun.as_str()),
            }
    }
}

/// A segment without its parameters.
fn name(segment: &str) -> &str {
    segment.split(';').next().unwrap_or_default()
}

/// Windows drops dots and spaces at the end of a name, others trim it.
fn is_dropped(c: char) -> bool {
    c == '.' || c.is_whitespace()
}

fn fold(text: &str) -> String {
    // To upper case first: `ſ` and `ı` have no lower case of their own.
    let lower = |c: char| c.to_uppercase().flat_map(char::to_lowercase);
    // `İ` in lower case is an `i` and this mark.
    text.chars().flat_map(lower).filter(|c| *c != '\u{307}').collect()
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

#[cfg(test)]
mod tests {
    use super::super::{NormalPath, PathPattern};
    use super::*;
    use proptest::prelude::*;

    fn matches(pattern: &str, path: &str) -> bool {
        let path = LenientPath::read(path.as_bytes());
        path.is_some_and(|path| PathPattern::parse(pattern).unwrap().matches_leniently(&path))
    }

    #[test]
    fn disguises_of_a_guarded_path_are_seen_through() {
        for path in [
            "/x%2f..%2fws",
            "/x\\..\\ws",
            "/x%5c..%5cws",
            "/../../ws",
            "/a/..;/ws",
            "/a/..%20/ws",
            "/;/ws;x",
            "/a//../ws",
            "/ws%00.html",
            "/ws#x",
            "http://chat.example.com/ws",
            "%2fws",
            "ws",
        ] {
            assert!(matches("/ws", path), "{path}");
        }
    }

    #[test]
    fn a_segment_that_begins_with_what_is_dropped_may_be_missing() {
        for (pattern, path) in [("/%20;*", "/%20;*"), ("/%20;*", "/%20;x/y"), ("/...*", "/.../x")] {
            assert!(matches(pattern, path), "{pattern} {path}");
        }
        assert!(!matches("/a/%20;*", "/b/;x"));
    }

    #[test]
    fn case_slashes_and_what_ends_a_segment_make_no_difference() {
        for path in [
            "/WS",
            "/ws/",
            "/ws.",
            "/ws...",
            "/ws%20",
            "/ws%20.%20",
            "/ws;",
            "/ws;jsessionid=1",
            "/ws%3Bx",
            "/ws.;x",
            "/ws;x/",
            "/Ws./",
            "/./ws",
            "/%20/ws",
            "/.../ws",
            "/w%C5%BF",
        ] {
            assert!(matches("/ws", path), "{path}");
        }
        assert!(matches("/admin/kit", "/ADM%C4%B0N./%E2%84%AAit"));
        assert!(matches("/", "/") && matches("/", "//"));
        assert!(matches("/socket.io/", "/socket.io/") && matches("/socket.io/", "/Socket.IO"));
        assert!(matches("/ws;v=1", "/ws") && matches("/a./b", "/A/B"));
        for path in ["/w", "/wss", "/ws/a", "/ws/;/a", "/%20ws", "/w.s", "/", "/%2577s"] {
            assert!(!matches("/ws", path), "{path}");
        }
        assert!(!matches("/a/ws", "/a%2ews") && !matches("/", "/a"));
    }

    #[test]
    fn a_star_matches_the_rest_and_a_folder_itself() {
        for path in ["/rooms", "/ROOMS", "/rooms/", "/rooms;x/1", "/Rooms./A/b", "/rooms/%20"] {
            assert!(matches("/rooms/*", path), "{path}");
        }
        for path in ["/", "/room", "/roomservice", "/x/rooms/1"] {
            assert!(!matches("/rooms/*", path), "{path}");
        }
        assert!(matches("/rooms*", "/ROOMSERVICE") && matches("/x/v1.*", "/X./V1.2"));
        assert!(matches("/*", "/") && matches("/*", "/x/y"));
        assert!(!matches("/x/v1.*", "/x/v12"));
    }

    #[test]
    fn what_is_meant_for_another_path_stays_another() {
        assert!(matches("/api/group/name", "/api/group%2fname"));
        assert!(matches("/ws%25", "/ws%") && matches("/", "/a/.."));
        assert!(matches("/", "http://chat.example.com"));
        assert_eq!(LenientPath::read(b"*"), None);
        assert_eq!(LenientPath::read(b""), None);
    }

    /// The contract's second reading, word for word, of a path in normal form.
    fn second_reading(path: &str) -> Vec<String> {
        let path = percent_encoding::percent_decode_str(path).decode_utf8().unwrap();
        let mut segments: Vec<String> = Vec::new();
        for segment in path.to_lowercase().split('/') {
            let mut segment = segment.to_owned();
            if let Some(at) = segment.find(';') {
                segment.truncate(at);
            }
            while segment.ends_with('.') || segment.ends_with(' ') {
                segment.pop();
            }
            if !segment.is_empty() {
                segments.push(segment);
            }
        }
        segments
    }

    const PATHS: &str = "(/(a|B|b|%C3%A4|%C3%84|A%20|a%3Bx|b;c=1|b\\.|\\.\\.\\.|%20|a\\.b)?){1,4}";

    proptest! {
        #[test]
        fn two_paths_are_alike_as_a_naive_reader_says(one in PATHS, other in PATHS) {
            let form = |path: &str| NormalPath::parse(path.as_bytes()).map(|p| p.as_str().to_owned());
            if let (Ok(one), Ok(other)) = (form(&one), form(&other)) {
                let alike = second_reading(&one) == second_reading(&other);
                prop_assert_eq!(matches(&one, &other), alike, "{} {}", one, other);
            }
        }

        #[test]
        fn a_folder_is_read_as_a_naive_reader_does(folder in PATHS, path in PATHS) {
            let form = |path: &str| NormalPath::parse(path.as_bytes()).map(|p| p.as_str().to_owned());
            if let (Ok(folder), Ok(path)) = (form(&folder), form(&path)) {
                let pattern = format!("{}/*", folder.trim_end_matches('/'));
                let below = second_reading(&path).starts_with(&second_reading(&folder));
                prop_assert_eq!(matches(&pattern, &path), below, "{} {}", pattern, path);
            }
        }

        #[test]
        fn what_names_a_path_matches_it_leniently(path in PATHS) {
            if let Ok(normal) = NormalPath::parse(path.as_bytes()) {
                prop_assert!(matches(normal.as_str(), normal.as_str()));
            }
        }

        #[test]
        fn it_reads_careful_paths_like_everybody(
            path in r"(/|//|\.|\.\.|%2e|%25|%c3%a4|%40|ws|a|%77){0,12}"
        ) {
            let path = format!("/{path}");
            if let Ok(normal) = NormalPath::parse(path.as_bytes()) {
                prop_assert!(matches(normal.as_str(), &path));
            }
        }
    }
}
