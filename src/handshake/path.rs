//! Request paths: one normal form, so that a policy is matched against what
//! servers make of a path and not against how it was spelled.
//!
//! Where two servers could make different things of a path there is no normal
//! form: the request is refused, and nobody has to guess.

use crate::reason::Reason;

mod lenient;
mod pattern;

pub use lenient::LenientPath;
pub use pattern::{PathPattern, PathPatternError};

/// Cuts a request target (RFC 9112 §3.2.1) at its first `?`.
#[must_use]
pub fn split_target(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    let mut parts = target.splitn(2, |b| *b == b'?');
    (parts.next().unwrap_or_default(), parts.next())
}

/// A path in normal form: absolute, printable ASCII, unreserved characters as
/// themselves, other percent-encodings in upper case, no dot segments, no
/// double slashes (RFC 3986 §6.2.2). Never holds an encoded slash, backslash
/// or control character.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NormalPath(String);

impl NormalPath {
    /// Brings the path of a request target (without its query) into normal form.
    ///
    /// # Errors
    /// [`PathError`] where the path is none, or where servers differ in what
    /// they make of it.
    pub fn parse(path: &[u8]) -> Result<Self, PathError> {
        if path.first() != Some(&b'/') {
            return Err(PathError::NotAbsolute);
        }
        let path = resolve(&decode(path)?)?;
        String::from_utf8(path).map(Self).map_err(|_| PathError::NotUtf8)
    }

    /// The normal form.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a path has no normal form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PathError {
    /// Not in origin form: it does not start with `/`.
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    BadEncoding,
    /// `%2F`: some servers decode it before they split the path, some after.
    EncodedSlash,
    /// `\` or `%5C`: a slash to some servers.
    Backslash,
    /// `..` above the root.
    LeavesRoot,
    /// `..` behind `//`: servers differ in which segment it removes.
    AmbiguousDots,
    /// A segment like `..;x`, `..%20` or `;x`: a dot segment, or an empty one, to
    /// servers that cut parameters, or spaces at the end, off.
    ParameterSegment,
    /// A space, control character or byte beyond ASCII.
    ForbiddenByte,
    /// A percent-encoded control character, NUL among them.
    EncodedControl,
    /// A `#`.
    Fragment,
    /// A `?`, which starts the query.
    Query,
    /// Percent-encoded bytes that are no UTF-8 (overlong forms among them).
    NotUtf8,
}

impl PathError {
    /// What the refusal is called.
    #[must_use]
    pub const fn reason(self) -> Reason {
        Reason::HandshakeMalformed
    }
}

impl std::fmt::Display for PathError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "the path does not start with a slash",
            Self::BadEncoding => "the path has a % without two hexadecimal digits behind it",
            Self::EncodedSlash => "the path has an encoded slash (%2F)",
            Self::Backslash => "the path has a backslash, plain or encoded (%5C)",
            Self::LeavesRoot => "the path leaves the root by its .. segments",
            Self::AmbiguousDots => "the path has a .. segment behind a double slash",
            Self::ParameterSegment => {
                "the path has a segment that is nothing but dots and spaces, or dots and a ; parameter"
            }
            Self::ForbiddenByte => {
                "the path has a space, control or non-ASCII character that is not percent-encoded"
            }
            Self::EncodedControl => "the path has an encoded control character",
            Self::Fragment => "the path has a # in it",
            Self::Query => "the path has a ? in it",
            Self::NotUtf8 => "the path's percent-encoded characters are no UTF-8",
        })
    }
}

/// Unreserved characters of RFC 3986 §2.3: encoded or not they mean the same.
const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The value of a hexadecimal digit.
const fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// Splits `%41…` into the byte it stands for and what follows.
fn triplet(text: &[u8]) -> Option<(u8, &[u8])> {
    let [b'%', high, low, rest @ ..] = text else { return None };
    Some((hex_value(*high)? << 4 | hex_value(*low)?, rest))
}

/// Appends `%` and two upper-case digits.
fn push_triplet(out: &mut Vec<u8>, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0');
    out.extend([b'%', digit(byte >> 4), digit(byte & 0xF)]);
}

/// Decodes what may be decoded and refuses what must not stand in a path.
fn decode(path: &[u8]) -> Result<Vec<u8>, PathError> {
    let mut normal = Vec::with_capacity(path.len());
    // What a server holds that decodes everything: it must be UTF-8, or an
    // overlong %C0%AF could be the slash that is refused as %2F.
    let mut meant = Vec::with_capacity(path.len());
    let mut rest = path;
    while let [byte, tail @ ..] = rest {
        match *byte {
            b'%' => {
                let (value, tail) = triplet(rest).ok_or(PathError::BadEncoding)?;
                push_encoded(&mut normal, value)?;
                meant.push(value);
                rest = tail;
                continue;
            }
            b'\\' => return Err(PathError::Backslash),
            b'#' => return Err(PathError::Fragment),
            b'?' => return Err(PathError::Query),
            plain @ 0x21..=0x7E => {
                normal.push(plain);
                meant.push(plain);
            }
            _ => return Err(PathError::ForbiddenByte),
        }
        rest = tail;
    }
    std::str::from_utf8(&meant).map_err(|_| PathError::NotUtf8)?;
    Ok(normal)
}

/// Appends a character that came percent-encoded.
fn push_encoded(normal: &mut Vec<u8>, value: u8) -> Result<(), PathError> {
    match value {
        b'/' => return Err(PathError::EncodedSlash),
        b'\\' => return Err(PathError::Backslash),
        0..=0x1F | 0x7F => return Err(PathError::EncodedControl),
        value if is_unreserved(value) => normal.push(value),
        value => push_triplet(normal, value),
    }
    Ok(())
}

/// Resolves dot segments and collapses double slashes.
fn resolve(path: &[u8]) -> Result<Vec<u8>, PathError> {
    // Empty, or slash and segment in turns.
    let mut out = Vec::with_capacity(path.len());
    let mut collapsed = false;
    let mut segments = path.split(|b| *b == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            b"" => collapsed = true,
            b"." => {}
            // Envoy removes dot segments before it merges slashes, nginx
            // after: /a//../b is /a/b to one and /b to the other.
            b".." if collapsed => return Err(PathError::AmbiguousDots),
            b".." => {
                let parent = out.iter().rposition(|b| *b == b'/');
                out.truncate(parent.ok_or(PathError::LeavesRoot)?);
            }
            segment if is_parameter_segment(segment) => return Err(PathError::ParameterSegment),
            segment => {
                out.push(b'/');
                out.extend_from_slice(segment);
                continue;
            }
        }
        if segments.peek().is_none() {
            out.push(b'/');
        }
    }
    Ok(out)
}

/// Returns true for a segment that is empty or a dot segment once its parameters, or the
/// spaces behind its dots, are removed. Servlet containers cut `;…` off, most of
/// them before they resolve dots; others trim each segment.
fn is_parameter_segment(segment: &[u8]) -> bool {
    let name_end = segment.strip_prefix(b"..").or_else(|| segment.strip_prefix(b"."));
    let mut rest = name_end.unwrap_or(segment);
    if rest.starts_with(b";") || rest.starts_with(b"%3B") {
        return true;
    }
    while let Some(behind) = rest.strip_prefix(b"%20") {
        rest = behind;
        if rest.is_empty() || rest.starts_with(b";") || rest.starts_with(b"%3B") {
            return name_end.is_some();
        }
    }
    false
}

/// Entry for the fuzzer: holds that a normal form is a fixed point, matches
/// itself as a pattern and is free of everything that servers read differently.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_path(data: &[u8]) {
    let (path, _) = split_target(data);
    let _ = LenientPath::read(path);
    let Ok(normal) = NormalPath::parse(path) else { return };
    assert_eq!(NormalPath::parse(normal.as_str().as_bytes()).as_ref(), Ok(&normal));
    let text = normal.as_str();
    assert!(text.starts_with('/') && text.bytes().all(|b| b.is_ascii_graphic()));
    assert!(!text.contains("//") && !text.contains('\\'));
    assert!(!text.contains("%2F") && !text.contains("%5C") && !text.contains("%0"));
    assert!(text.split('/').all(|segment| segment != "." && segment != ".."));
    if let Ok(pattern) = PathPattern::parse(text) {
        assert!(pattern.matches(text) && pattern.matches_without_parameters(text));
        let disguised = text.to_ascii_uppercase().replace("%20", " ");
        for spelled in [text.to_owned(), disguised, format!("{text}/"), format!("{text}%2E;x")] {
            let lenient = LenientPath::read(spelled.as_bytes());
            assert!(lenient.is_some_and(|path| pattern.matches_leniently(&path)), "{spelled}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(path: &str) -> Result<String, PathError> {
        NormalPath::parse(path.as_bytes()).map(|path| path.as_str().to_owned())
    }

    #[test]
    fn spellings_of_one_path_have_one_form() {
        for (spelled, form) in [
            ("/", "/"),
            ("/ws", "/ws"),
            ("//ws", "/ws"),
            ("/ws//", "/ws/"),
            ("///", "/"),
            ("/%77s", "/ws"),
            ("/%7Eme/%2d%5F", "/~me/-_"),
            ("/x/../ws", "/ws"),
            ("/ws/%2e%2e/x", "/x"),
            ("/ws/.%2E/x", "/x"),
            ("/./ws/.", "/ws/"),
            ("/a/b/..", "/a/"),
            ("/a/..", "/"),
            ("/a/b/../../c//d", "/c/d"),
            ("/.../..a/a..", "/.../..a/a.."),
            ("/r%c3%a4ume", "/r%C3%A4ume"),
            ("/%20/a%20/..%20b/%20;", "/%20/a%20/..%20b/%20;"),
            ("/a%20b%3fc%23%25", "/a%20b%3Fc%23%25"),
            ("/%2577s", "/%2577s"),
            ("/ws;v=1/a:b@c", "/ws;v=1/a:b@c"),
        ] {
            assert_eq!(normal(spelled).as_deref(), Ok(form), "{spelled}");
        }
    }

    #[test]
    fn what_servers_read_differently_is_refused() {
        for (path, error) in [
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
            ("ws", PathError::NotAbsolute),
            ("http://chat.example.com/ws", PathError::NotAbsolute),
            ("/x%2fws", PathError::EncodedSlash),
            ("/x%2F..%2Fws", PathError::EncodedSlash),
            ("/x\\ws", PathError::Backslash),
            ("/x%5cws", PathError::Backslash),
            ("/..", PathError::LeavesRoot),
            ("/a/../../ws", PathError::LeavesRoot),
            ("/%2e%2e/ws", PathError::LeavesRoot),
            ("/a//../ws", PathError::AmbiguousDots),
            ("/a//b/../../ws", PathError::AmbiguousDots),
            ("/a/..;/ws", PathError::ParameterSegment),
            ("/a/..;x=1/ws", PathError::ParameterSegment),
            ("/a/%2e%2e%3bx/ws", PathError::ParameterSegment),
            ("/a/.;/ws", PathError::ParameterSegment),
            ("/a/;/../ws", PathError::ParameterSegment),
            ("/a/..%20/ws", PathError::ParameterSegment),
            ("/a/%2e%2e%20%20;x/ws", PathError::ParameterSegment),
            ("/a/.%20", PathError::ParameterSegment),
            ("/%", PathError::BadEncoding),
            ("/%7", PathError::BadEncoding),
            ("/%7g", PathError::BadEncoding),
            ("/%u002e", PathError::BadEncoding),
            ("/a b", PathError::ForbiddenByte),
            ("/a\tb", PathError::ForbiddenByte),
            ("/a\0", PathError::ForbiddenByte),
            ("/\u{e4}", PathError::ForbiddenByte),
            ("/ws%00", PathError::EncodedControl),
            ("/ws%0d%0aX:y", PathError::EncodedControl),
            ("/ws%7f", PathError::EncodedControl),
            ("/ws#", PathError::Fragment),
            ("/ws?", PathError::Query),
            ("/%c0%af", PathError::NotUtf8),
            ("/%c0%ae%c0%ae/", PathError::NotUtf8),
            ("/%ff", PathError::NotUtf8),
        ] {
            assert_eq!(normal(path), Err(error), "{path:?}");
        }
    }

    #[test]
    fn the_query_starts_at_the_first_question_mark() {
        assert_eq!(split_target(b"/ws"), (b"/ws".as_slice(), None));
        assert_eq!(split_target(b"/ws?"), (b"/ws".as_slice(), Some(b"".as_slice())));
        assert_eq!(split_target(b"/ws?a=/?b"), (b"/ws".as_slice(), Some(b"a=/?b".as_slice())));
        assert_eq!(split_target(b""), (b"".as_slice(), None));
    }

    #[test]
    fn the_fuzz_entry_holds_on_seeds() {
        for seed in ["/ws?x", "/a/%2e%2e/b;c/%C3%A4*", "/a%2f..\\b%00;/x", "http://h/a", "*", ""] {
            fuzz_path(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_keep_the_invariants(data: Vec<u8>) {
            fuzz_path(&data);
        }

        #[test]
        fn likely_paths_keep_the_invariants(
            path in r"(/|//|\.|\.\.|%2e|%2E%2e|%2f|\\|;|%3b|%25|%c3%a4|ws|a|\*|%77){0,12}"
        ) {
            fuzz_path(format!("/{path}").as_bytes());
        }

        #[test]
        fn encoding_unreserved_characters_changes_nothing(
            path in "(/[a-z0-9._~-]{1,8}){1,5}", upper: bool, mask: u64
        ) {
            let spelled: String = path.char_indices().map(|(at, c)| match c {
                '/' => "/".to_owned(),
                c if mask >> (at % 64) & 1 == 0 => c.to_string(),
                c if upper => format!("%{:02X}", u32::from(c)),
                c => format!("%{:02x}", u32::from(c)),
            }).collect();
            prop_assert_eq!(normal(&spelled), normal(&path));
        }
    }
}
