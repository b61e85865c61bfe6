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
pub(crate) const fn is_tchar(byte: u8) -> bool {
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

/// Most empty elements of a list (`a,,b`), over all its lines. A recipient has to read past
/// a reasonable number of them (RFC 9110 §5.6.1.2): enough for senders that merge values, not
/// so many that they are work.
pub(super) const MAX_EMPTY_ELEMENTS: usize = 32;

/// More than [`MAX_EMPTY_ELEMENTS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyEmpty;

/// A comma-separated list over all lines of one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List<'a> {
    /// Its elements in order, without whitespace around them; none is empty.
    pub(super) elements: Vec<&'a [u8]>,
    /// Some elements are empty. The header is then rewritten before it goes upstream, since
    /// not every server accepts empty elements.
    pub(super) has_empty: bool,
}

impl<'a> List<'a> {
    /// Reads every line of this (lower-case) name; a list without elements where there is
    /// none.
    pub(super) fn read(headers: &'a Headers, name: &'a str) -> Result<Self, TooManyEmpty> {
        let mut elements = Vec::new();
        let mut empty = 0_usize;
        for element in headers.all(name).flat_map(|line| line.split(|b| *b == b',')).map(trim) {
            if !element.is_empty() {
                elements.push(element);
                continue;
            }
            empty = empty.saturating_add(1);
            if empty > MAX_EMPTY_ELEMENTS {
                return Err(TooManyEmpty);
            }
        }
        Ok(Self { elements, has_empty: empty > 0 })
    }

    /// Returns true if the request has no such header.
    pub(super) const fn is_absent(&self) -> bool {
        self.elements.is_empty() && !self.has_empty
    }
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
        let read = |h| List::read(h, "x-list").unwrap();
        assert_eq!(read(&apart).elements, [b"a", b"b"]);
        assert_eq!(read(&apart), read(&joined));
        assert!(!read(&apart).has_empty && !read(&apart).is_absent());
        assert!(read(&headers(&[])).is_absent());
    }

    /// RFC 9110 §5.6.1.2
    #[test]
    fn empty_elements_are_left_out_and_bounded() {
        for lines in [&["a,"][..], &[",a"], &[" ,\t, a ,,"], &["", "a"], &["a", ""], &["a", ","]] {
            let headers = headers(lines);
            let list = List::read(&headers, "x-list").unwrap();
            assert_eq!((list.elements, list.has_empty), (vec![b"a".as_slice()], true), "{lines:?}");
        }
        for lines in [&[""][..], &[","], &[" , ,"], &["", ""]] {
            let headers = headers(lines);
            let list = List::read(&headers, "x-list").unwrap();
            assert!(list.elements.is_empty() && list.has_empty && !list.is_absent(), "{lines:?}");
        }
        let most = headers(&[&format!("a{}", ",".repeat(MAX_EMPTY_ELEMENTS))]);
        assert!(List::read(&most, "x-list").is_ok());
        let more = headers(&[&",".repeat(MAX_EMPTY_ELEMENTS - 1), ""]);
        assert_eq!(List::read(&more, "x-list"), Err(TooManyEmpty));
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
