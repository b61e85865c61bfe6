//! The grammar of `Sec-WebSocket-Extensions` (RFC 6455 §9.1).

use super::Headers;
use super::list::{self, MAX_EMPTY_ELEMENTS};

/// Most extensions in one head. Browsers offer one, in at most a handful of
/// variants.
pub const MAX_EXTENSIONS: usize = 16;
/// Most parameters of one extension; permessage-deflate has four.
pub const MAX_PARAMETERS: usize = 16;

/// One extension that is offered, or accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extension {
    name: String,
    parameters: Vec<(String, Option<String>)>,
}

impl Extension {
    /// Reads all lines of the header, in order; none where there is no header. Empty
    /// elements are left out (RFC 9110 §5.6.1), but not all can be empty.
    ///
    /// # Errors
    /// [`ExtensionError`] where a line does not follow the grammar.
    pub fn parse_all(headers: &Headers) -> Result<Vec<Self>, ExtensionError> {
        let mut extensions = Vec::new();
        let mut empty = 0_usize;
        // No element goes over the end of a line: each line is a list.
        for line in headers.all("sec-websocket-extensions") {
            let mut cursor = Cursor(line);
            loop {
                if cursor.at_empty_element() {
                    empty = empty.saturating_add(1);
                } else if extensions.len() == MAX_EXTENSIONS {
                    return Err(ExtensionError::TooMany);
                } else {
                    extensions.push(cursor.extension()?);
                }
                if empty > MAX_EMPTY_ELEMENTS {
                    return Err(ExtensionError::TooManyEmpty);
                }
                if cursor.0.is_empty() {
                    break;
                }
                if !cursor.eat(b',') {
                    return Err(ExtensionError::Separator);
                }
            }
        }
        let only_empty = extensions.is_empty() && empty > 0;
        if only_empty { Err(ExtensionError::Name) } else { Ok(extensions) }
    }

    /// Its name, as written.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its parameters in order, as written, quotes taken off.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.parameters.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether it would compress messages: permessage-deflate (RFC 7692), its
    /// forerunners (`x-webkit-deflate-frame`) and whatever `permessage-…`
    /// comes next, since that is what the name stands for.
    #[must_use]
    pub fn is_compression(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        name.starts_with("permessage-") || name.contains("deflate") || name.contains("compress")
    }
}

/// How the header breaks the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ExtensionError {
    /// No extension name where one is expected.
    Name,
    /// A parameter whose name or value is no token.
    Parameter,
    /// Something else than `;` or `,` behind an extension or parameter.
    Separator,
    /// More than [`MAX_EXTENSIONS`], or [`MAX_PARAMETERS`] of one.
    TooMany,
    /// More elements without anything in them than anybody has to read past.
    TooManyEmpty,
}

impl std::fmt::Display for ExtensionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Name => "an extension name is missing or no token",
            Self::Parameter => "the name or value of a parameter is missing or no token",
            Self::Separator => "extensions are separated by commas, parameters by semicolons",
            Self::TooMany => "there are too many extensions or parameters",
            Self::TooManyEmpty => "there are too many commas with nothing between them",
        })
    }
}

/// What is left of a line.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    /// Skips whitespace; returns true where an element ends that has not begun.
    fn at_empty_element(&mut self) -> bool {
        self.skip_whitespace();
        matches!(self.0.first(), None | Some(b','))
    }

    /// `token *( ";" parameter )`, with whitespace around.
    fn extension(&mut self) -> Result<Extension, ExtensionError> {
        self.skip_whitespace();
        let name = self.token().ok_or(ExtensionError::Name)?.to_owned();
        let mut parameters = Vec::new();
        self.skip_whitespace();
        while self.eat(b';') {
            if parameters.len() == MAX_PARAMETERS {
                return Err(ExtensionError::TooMany);
            }
            self.skip_whitespace();
            parameters.push(self.parameter().ok_or(ExtensionError::Parameter)?);
            self.skip_whitespace();
        }
        Ok(Extension { name, parameters })
    }

    /// `token [ "=" ( token / quoted-string ) ]`
    fn parameter(&mut self) -> Option<(String, Option<String>)> {
        let name = self.token()?.to_owned();
        if !self.eat(b'=') {
            return Some((name, None));
        }
        let value = if self.eat(b'"') { self.quoted()? } else { self.token()?.to_owned() };
        Some((name, Some(value)))
    }

    /// The rest of a quoted-string, whose value must be a token once the
    /// backslashes are off (RFC 6455 §9.1).
    fn quoted(&mut self) -> Option<String> {
        let mut value = Vec::new();
        loop {
            match self.next()? {
                b'"' => return list::token(&value).map(str::to_owned),
                b'\\' => value.push(self.next()?),
                byte => value.push(byte),
            }
        }
    }

    fn token(&mut self) -> Option<&'a str> {
        let end = self.0.iter().position(|b| !list::is_tchar(*b)).unwrap_or(self.0.len());
        let (token, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        list::token(token)
    }

    fn skip_whitespace(&mut self) {
        while let [first, rest @ ..] = self.0
            && list::is_ows(*first)
        {
            self.0 = rest;
        }
    }

    fn eat(&mut self, byte: u8) -> bool {
        let Some(rest) = self.0.strip_prefix(&[byte]) else { return false };
        self.0 = rest;
        true
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }
}

/// Entry for the fuzzer: holds that what was read is made of tokens within the
/// bounds, and reads the same when written out again, apart or joined.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_extensions(data: &[u8]) {
    let header = |lines: Vec<Vec<u8>>| {
        let name = "sec-websocket-extensions";
        Headers::new(lines.into_iter().map(|line| (name.to_owned(), line)).collect())
    };
    let Ok(extensions) = Extension::parse_all(&header(vec![data.to_vec()])) else { return };
    assert!(!extensions.is_empty() && extensions.len() <= MAX_EXTENSIONS);
    let mut lines = Vec::new();
    for extension in &extensions {
        assert!(list::token(extension.name().as_bytes()).is_some());
        assert!(extension.parameters.len() <= MAX_PARAMETERS);
        let mut line = extension.name().to_owned();
        for (name, value) in extension.parameters() {
            line += &value.map_or(format!(";{name}"), |value| format!("; {name}=\"{value}\""));
        }
        lines.push(line.into_bytes());
    }
    assert_eq!(
        Extension::parse_all(&header(vec![lines.join(&b", "[..])])).as_ref(),
        Ok(&extensions)
    );
    let with_empty = [b",".to_vec(), lines.join(&b" ,, "[..]), b" ".to_vec()].to_vec();
    assert_eq!(Extension::parse_all(&header(with_empty)).as_ref(), Ok(&extensions));
    assert_eq!(Extension::parse_all(&header(lines)).as_ref(), Ok(&extensions));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(lines: &[&str]) -> Result<Vec<Extension>, ExtensionError> {
        let name = "sec-websocket-extensions".to_owned();
        let line = |value: &&str| (name.clone(), value.as_bytes().to_vec());
        Extension::parse_all(&Headers::new(lines.iter().map(line).collect()))
    }

    fn names(lines: &[&str]) -> Vec<String> {
        parse(lines).unwrap().into_iter().map(|extension| extension.name).collect()
    }

    #[test]
    fn the_examples_of_rfc_6455_and_7692_are_read() {
        assert_eq!(names(&["foo", "bar; baz=2"]), names(&["foo, bar; baz=2"]));
        assert_eq!(names(&["deflate-stream"]), ["deflate-stream"]);
        assert_eq!(
            names(&["mux; max-channels=4; flow-control, deflate-stream"]),
            ["mux", "deflate-stream"]
        );
        assert_eq!(names(&["private-extension"]), ["private-extension"]);
        let offers = "permessage-deflate; client_max_window_bits; server_max_window_bits=\"1\\0\", permessage-deflate";
        let offers = parse(&[offers]).unwrap();
        assert_eq!(
            offers[0].parameters().collect::<Vec<_>>(),
            [("client_max_window_bits", None), ("server_max_window_bits", Some("10"))]
        );
        assert_eq!(offers[1].parameters().count(), 0);
        assert_eq!(parse(&[]), Ok(vec![]));
    }

    #[test]
    fn what_the_grammar_does_not_know_is_refused() {
        for (line, error) in [
            ("", ExtensionError::Name),
            (",", ExtensionError::Name),
            (" , ,", ExtensionError::Name),
            ("a; , b", ExtensionError::Parameter),
            (", ;a", ExtensionError::Name),
            ("=x", ExtensionError::Name),
            ("\u{e4}", ExtensionError::Name),
            ("a;", ExtensionError::Parameter),
            ("a; =1", ExtensionError::Parameter),
            ("a; b=", ExtensionError::Parameter),
            ("a; b=\"", ExtensionError::Parameter),
            ("a; b=\"\"", ExtensionError::Parameter),
            ("a; b=\"1, c\"", ExtensionError::Parameter),
            ("a; b=\"1\\", ExtensionError::Parameter),
            ("a b", ExtensionError::Separator),
            ("a; b=\"1\"2", ExtensionError::Separator),
            ("a; b c", ExtensionError::Separator),
            ("a\u{0}", ExtensionError::Separator),
        ] {
            assert_eq!(parse(&[line]), Err(error), "{line:?}");
        }
        assert_eq!(parse(&["a; b=\"1", "2\""]), Err(ExtensionError::Parameter));
    }

    /// RFC 9110 §5.6.1.2
    #[test]
    fn empty_elements_are_left_out_and_bounded() {
        for lines in [&["a, b"][..], &["a,,b"], &[",a,b, "], &["a", "", "b"], &[" ,\ta , , b;c,"]] {
            assert_eq!(names(lines), ["a", "b"], "{lines:?}");
        }
        let most = format!("a{}", ",".repeat(MAX_EMPTY_ELEMENTS));
        assert_eq!(names(&[&most]), ["a"]);
        assert_eq!(parse(&[&most, ""]), Err(ExtensionError::TooManyEmpty));
        assert_eq!(parse(&[&",".repeat(1000)]), Err(ExtensionError::TooManyEmpty));
    }

    #[test]
    fn there_is_a_bound_on_their_number() {
        let many = |count: usize| vec!["a"; count].join(",");
        assert_eq!(parse(&[&many(MAX_EXTENSIONS)]).unwrap().len(), MAX_EXTENSIONS);
        assert_eq!(parse(&[&many(MAX_EXTENSIONS + 1)]), Err(ExtensionError::TooMany));
        assert_eq!(parse(&vec!["a"; MAX_EXTENSIONS + 1]), Err(ExtensionError::TooMany));
        let parameters = |count: usize| "a".to_owned() + &"; b=1".repeat(count);
        assert!(parse(&[&parameters(MAX_PARAMETERS)]).is_ok());
        assert_eq!(parse(&[&parameters(MAX_PARAMETERS + 1)]), Err(ExtensionError::TooMany));
    }

    #[test]
    fn compression_is_known_by_any_of_its_names() {
        for name in [
            "permessage-deflate",
            "Permessage-Deflate",
            "permessage-bzip2",
            "x-webkit-deflate-frame",
        ] {
            assert!(parse(&[name]).unwrap()[0].is_compression(), "{name}");
        }
        assert!(!parse(&["mux"]).unwrap()[0].is_compression());
    }

    #[test]
    fn the_fuzz_entry_holds_on_seeds() {
        for seed in ["permessage-deflate; a=\"1\\0\";b , c", "a;b=\"", "a,,b", ""] {
            fuzz_extensions(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_keep_the_invariants(data: Vec<u8>) {
            fuzz_extensions(&data);
        }

        #[test]
        fn likely_lists_keep_the_invariants(text in r#"(a|b|;|=|,| |"|\\|permessage-deflate){0,24}"#) {
            fuzz_extensions(text.as_bytes());
        }
    }
}
