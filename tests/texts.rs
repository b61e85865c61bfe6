//! The texts of logs, events and errors are single lines: no text in the source has two
//! blanks in a row or a line break.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where"
)]

use std::path::{Path, PathBuf};

/// Texts that are meant so, and why. One that stands nowhere any more fails the test.
const MEANT: [(&str, &str); 4] = [
    ("\n", "separates fields that are hashed or stored, and lines of errors"),
    ("\nand {} more", "a line of its own; each line of errors is logged by itself"),
    (" HTTP/1.1\r\n", "an HTTP/1.1 head"),
    ("\r\n", "the same"),
];

/// Every source file without the tests.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "tests" {
            sources(&path, found);
        } else if name.ends_with(".rs") && !matches!(name, "tests.rs" | "fuzz.rs") {
            found.push(path);
        }
    }
}

/// The string literals of a source text as the compiler reads them, with the line that
/// each begins in. Raw strings are left out: they are JSON and patterns.
fn texts(source: &str) -> Vec<(usize, String)> {
    let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap();
    let (bytes, mut at, mut found) = (source.as_bytes(), 0, Vec::new());
    while at < bytes.len() {
        let rest = &source[at..];
        at += match bytes[at] {
            b'/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            b'\'' if rest.starts_with("'\\") => 3 + rest[3..].find('\'').unwrap(),
            // A character, or a lifetime.
            b'\'' => {
                let length = 1 + rest[1..].chars().next().map_or(1, char::len_utf8);
                length + usize::from(rest[length..].starts_with('\''))
            }
            b'r' if rest.starts_with("r\"") => 3 + rest[2..].find('"').unwrap(),
            b'r' if rest.starts_with("r#\"") => 4 + rest[3..].find("\"#").unwrap(),
            b'"' => {
                let length = literal_bytes(&rest[1..]);
                let line = source[..at].matches('\n').count() + 1;
                found.push((line, unescaped(&rest[1..=length])));
                length + 2
            }
            _ => rest.chars().next().map_or(1, char::len_utf8),
        };
    }
    found
}

/// Returns the length of the text up to its closing quote.
fn literal_bytes(rest: &str) -> usize {
    let mut escaped = false;
    let end = rest.bytes().position(|byte| {
        let ends = byte == b'"' && !escaped;
        escaped = byte == b'\\' && !escaped;
        ends
    });
    end.unwrap()
}

/// The escapes that matter here: a line that goes on, and the end of one.
fn unescaped(text: &str) -> String {
    let (mut plain, mut rest) = (String::new(), text);
    while let Some((before, behind)) = rest.split_once('\\') {
        plain.push_str(before);
        let next = behind.chars().next().unwrap();
        rest = &behind[next.len_utf8()..];
        match next {
            '\n' => rest = rest.trim_start(),
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            other => plain.push(other),
        }
    }
    plain + rest
}

#[test]
fn literals_are_read_as_the_compiler_reads_them() {
    let source = "let a = \"one \\\n    two\"; // \"no  text\"\nlet b = ('\"', '\\'', 'x', &'a str);\n\
        let c = (r\"raw  one\", r#\"raw  \"two\"\"#, b\"bytes\\\"\\n\", \"ä\");\n\
        #[cfg(test)]\nmod tests {\n \"in  tests\" }";
    let found: Vec<_> = texts(source).into_iter().map(|(_, text)| text).collect();
    assert_eq!(found, ["one two", "bytes\"\n", "ä"]);
}

#[test]
fn no_text_has_two_blanks_in_a_row_or_breaks_the_line() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let (mut seen, mut wrong, mut count) = ([false; MEANT.len()], Vec::new(), 0);
    for file in &files {
        for (line, text) in texts(&std::fs::read_to_string(file).unwrap()) {
            count += 1;
            if let Some(place) = MEANT.iter().position(|(meant, _)| *meant == text) {
                seen[place] = true;
            } else if text.contains("  ") || text.contains(['\n', '\r']) && words(&text) {
                wrong.push(format!("{}:{line}: {text:?}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(files.len() > 100 && count > 1000, "{count} texts in {} files", files.len());
    for ((meant, _), seen) in MEANT.iter().zip(seen) {
        assert!(seen, "{meant:?} stands nowhere any more");
    }
}

/// Returns true if the text is written for people, and false if it is sent or hashed byte
/// for byte.
fn words(text: &str) -> bool {
    text.contains(' ') && !text.starts_with("GET\n")
}
