//! The grammar that header values share (RFC 9110 §5.6).
//!
//! Proxies join repeated lines of one name with a comma and may take them
//! apart again, so `a` and `b` on two lines and `a, b` on one always read the
//! same here, and a header that has one value is broken by either.

use super::Headers;

/// A header that has one value came on several lines, or with a comma.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Repeated;

/// Whether this byte may stand in a token (RFC 9110 §5.6.2).
pub(super) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// The text, if it is a token.
pub(super) fn token(text: &[u8]) -> Option<&str> {
    if text.is_empty() || !text.iter().copied().all(is_tchar) {
        return None;
    }
    std::str::from_utf8(text).ok()
}

/// Optional whitespace (RFC 9110 §5.6.3).
pub(super) const fn is_ows(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Without the optional whitespace around it.
fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_ows(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_ows(*last)
    {
        text = rest;
    }
    text
}

/// The elements of a comma-separated list over all lines of this (lower-case)
/// name, in order, without whitespace around them; empty ones too.
pub(super) fn elements<'a>(
    headers: &'a Headers,
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> + use<'a> {
    headers.all(name).flat_map(|line| line.split(|b| *b == b',')).map(trim)
}

/// The value of a header that has one, byte for byte.
///
/// # Errors
/// [`Repeated`], whatever the values.
pub(super) fn single<'a>(
    headers: &'a Headers,
    name: &'a str,
) -> Result<Option<&'a [u8]>, Repeated> {
    let mut lines = headers.all(name);
    let Some(value) = lines.next() else { return Ok(None) };
    if lines.next().is_some() || value.contains(&b',') {
        return Err(Repeated);
    }
    Ok(Some(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[&str]) -> Headers {
        Headers::new(lines.iter().map(|v| ("X-List".to_owned(), v.as_bytes().to_vec())).collect())
    }

    #[test]
    fn lines_and_commas_read_the_same() {
        let apart = headers(&["a", " b\t"]);
        let joined = headers(&["a, b"]);
        let read = |h: &Headers| elements(h, "x-list").map(<[u8]>::to_vec).collect::<Vec<_>>();
        assert_eq!(read(&apart), [b"a".to_vec(), b"b".to_vec()]);
        assert_eq!(read(&apart), read(&joined));
    }

    #[test]
    fn one_value_is_one_line_without_a_comma() {
        assert_eq!(single(&headers(&[]), "x-list"), Ok(None));
        assert_eq!(single(&headers(&["a"]), "x-list"), Ok(Some(b"a".as_slice())));
        assert_eq!(single(&headers(&["a", "a"]), "x-list"), Err(Repeated));
        assert_eq!(single(&headers(&["a,a"]), "x-list"), Err(Repeated));
        assert_eq!(single(&headers(&["a,"]), "x-list"), Err(Repeated));
    }

    #[test]
    fn tokens_hold_no_separator() {
        assert_eq!(token(b"graphql-transport-ws"), Some("graphql-transport-ws"));
        for separator in br#" "(),/:;<=>?@[\]{}"#.iter().chain(&[0, 0x7F, 0x80, b'\t']) {
            assert_eq!(token(&[b'a', *separator]), None, "{separator:#x}");
        }
        assert_eq!(token(b""), None);
    }
}
