//! Paths with variables, each in the place of a whole segment:
//! `/rooms/{room}/{sub}`.

use std::fmt;

/// A path with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Text(String),
    Variable(String),
}

impl PathTemplate {
    /// Reads a template.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let rest = text.strip_prefix('/').ok_or(TemplateError::Path)?;
        let segments: Vec<Segment> = rest.split('/').map(segment).collect::<Result<_, _>>()?;
        let template = Self { segments };
        let mut names = template.names();
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            return Err(TemplateError::Twice);
        }
        Ok(template)
    }

    /// The variables, in their order.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let variable = |segment: &'_ Segment| matches!(segment, Segment::Variable(_));
        self.segments.iter().filter(|s| variable(s)).map(Segment::as_str).collect()
    }

    /// What stands in the place of each variable, as it is written there; `None`
    /// where the path is another one.
    #[must_use]
    pub fn capture<'a, 'p>(&'a self, path: &'p str) -> Option<Vec<(&'a str, &'p str)>> {
        let mut found = Vec::new();
        let mut segments = path.strip_prefix('/')?.split('/');
        for expected in &self.segments {
            let here = segments.next()?;
            match expected {
                Segment::Text(text) if text == here => {}
                Segment::Text(_) => return None,
                Segment::Variable(name) => found.push((name.as_str(), here)),
            }
        }
        segments.next().is_none().then_some(found)
    }

    /// The path with each variable's value, as it is given; `None` where one has
    /// none.
    pub fn fill(&self, value: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut path = String::new();
        for segment in &self.segments {
            path.push('/');
            match segment {
                Segment::Text(text) => path.push_str(text),
                Segment::Variable(name) => path.push_str(&value(name)?),
            }
        }
        Some(path)
    }
}

impl Segment {
    fn as_str(&self) -> &str {
        let (Self::Text(text) | Self::Variable(text)) = self;
        text
    }
}

fn segment(text: &str) -> Result<Segment, TemplateError> {
    if let Some(name) = text.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        let good = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
        if name.is_empty() || !name.bytes().all(good) {
            return Err(TemplateError::Variable);
        }
        return Ok(Segment::Variable(name.to_owned()));
    }
    if text.contains(['{', '}']) {
        return Err(TemplateError::NotWhole);
    }
    let good = |b: u8| b.is_ascii_graphic() && !b"\"#<>?\\^`|".contains(&b);
    let plain = text.bytes().all(good) && text != "." && text != "..";
    if plain { Ok(Segment::Text(text.to_owned())) } else { Err(TemplateError::Path) }
}

/// Why a text is no template: the operator's to mend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// No path.
    Path,
    /// A variable's name.
    Variable,
    /// A variable that is a part of a segment.
    NotWhole,
    /// The same variable twice.
    Twice,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Path => {
                "is no path in normal form; write one that begins with /, without `.`, `..` and \
                 query, like /rooms/{room}"
            }
            Self::Variable => {
                "has a variable whose name is empty or holds other characters than letters, \
                 digits, `_` and `-`; rename it"
            }
            Self::NotWhole => {
                "has a variable that is not a whole segment; write it between slashes, like \
                 /rooms/{room}"
            }
            Self::Twice => "has the same variable twice; rename one",
        })
    }
}

impl std::error::Error for TemplateError {}

/// Entry for the fuzzer: holds that a template takes what it has filled itself,
/// and gives the values back.
pub fn fuzz_template(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(template) = PathTemplate::parse(text) else { return };
    assert_eq!(template.fill(|name| Some(format!("{{{name}}}"))).as_deref(), Some(text));
    let path = template.fill(|name| Some(format!("v-{name}"))).unwrap_or_default();
    let found = template.capture(&path).unwrap_or_default();
    assert_eq!(found.len(), template.names().len());
    assert!(found.iter().all(|(name, value)| *value == format!("v-{name}")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn template(text: &str) -> PathTemplate {
        PathTemplate::parse(text).unwrap()
    }

    #[test]
    fn a_variable_stands_for_one_whole_segment() {
        let rooms = template("/rooms/{room}");
        assert_eq!(rooms.capture("/rooms/a"), Some(vec![("room", "a")]));
        assert_eq!(rooms.capture("/rooms/"), Some(vec![("room", "")]));
        for other in ["/rooms", "/rooms/a/b", "/rooms/a/", "/Rooms/a", "rooms/a", "/", ""] {
            assert_eq!(rooms.capture(other), None, "{other}");
        }
        let two = template("/{tenant}/rooms/{room}");
        assert_eq!(two.capture("/t/rooms/r"), Some(vec![("tenant", "t"), ("room", "r")]));
        assert_eq!(two.names(), ["tenant", "room"]);
    }

    #[test]
    fn mistakes_are_told() {
        for (text, error) in [
            ("", TemplateError::Path),
            ("rooms", TemplateError::Path),
            ("/a/../{b}", TemplateError::Path),
            ("/a?b={c}", TemplateError::NotWhole),
            ("/a?b", TemplateError::Path),
            ("/a b", TemplateError::Path),
            ("/{}", TemplateError::Variable),
            ("/{a b}", TemplateError::Variable),
            ("/x{a}", TemplateError::NotWhole),
            ("/{a", TemplateError::NotWhole),
            ("/{a}/{a}", TemplateError::Twice),
        ] {
            assert_eq!(PathTemplate::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn fuzzer_entry_runs() {
        for seed in ["", "/", "/a", "/{a}", "/a/{b}/c/{d-e}", "/{a}/{a}", "//"] {
            fuzz_template(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn holds_on_what_looks_like_a_template(text in "(/|\\{a\\}|\\{b\\}|c|\\{|\\}){0,8}") {
            fuzz_template(text.as_bytes());
        }
    }
}
