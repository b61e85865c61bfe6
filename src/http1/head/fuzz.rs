//! What has to hold of every head that is read, for the fuzzer and the tests.

use super::{Lines, Request, Response};
use crate::handshake::HeadEdits;

/// Holds that the head is written as it came, and that edits change the lines
/// that they name and nothing else.
pub(in crate::http1) fn parsed(head: &[u8]) {
    if let Ok(request) = Request::parse(head.to_vec()) {
        written(head, &request.lines, |edits, out| request.write(edits, out).is_ok());
        let edits = HeadEdits { set: vec![(":path".to_owned(), b"/x?y".to_vec())], ..edits() };
        let mut out = Vec::new();
        assert!(request.write(&edits, &mut out).is_ok());
        let edited = Request::parse(out).ok();
        assert_eq!(edited.as_ref().map(|r| r.target.as_str()), Some("/x?y"));
        assert_eq!(edited.map(|r| r.method), Some(request.method));
    }
    if let Ok(response) = Response::parse(head.to_vec()) {
        written(head, &response.lines, |edits, out| response.write(edits, out).is_ok());
        assert!(response.status < 1000);
    }
}

fn written(head: &[u8], lines: &Lines, write: impl Fn(&HeadEdits, &mut Vec<u8>) -> bool) {
    let mut same = Vec::new();
    assert!(write(&HeadEdits::default(), &mut same));
    assert_eq!(same, head);
    let mut edits = edits();
    edits.remove.extend(lines.headers.first().map(|line| line.name.clone()));
    let mut out = b"before".to_vec();
    assert!(write(&edits, &mut out));
    let out = out.strip_prefix(b"before").unwrap_or_default();
    let text = |line: &super::Line| head.get(line.begin..line.end).unwrap_or_default().to_vec();
    let kept = lines.headers.iter().filter(|line| !edits.remove.contains(&line.name));
    let kept: Vec<u8> = kept.filter(|line| line.name != "x-ours").flat_map(text).collect();
    let start = head.split_inclusive(|b| *b == b'\n').next().unwrap_or_default();
    assert_eq!(out, [start, &kept, b"x-ours: 1\r\n\r\n"].concat());
    // What would break its line is refused, and nothing is written.
    for (name, value) in [("x", "a\r\nb: c"), ("x", "a\0"), ("x y", "a"), ("", "a"), ("x:", "a")] {
        let set = vec![(name.to_owned(), value.as_bytes().to_vec())];
        let mut out = Vec::new();
        assert!(!write(&HeadEdits { set, ..HeadEdits::default() }, &mut out) && out.is_empty());
    }
}

fn edits() -> HeadEdits {
    let ours = |value: &[u8]| ("x-ours".to_owned(), value.to_vec());
    // The later of two values of one name is the one that stands.
    HeadEdits { remove: vec!["x-theirs".to_owned()], set: vec![ours(b"0"), ours(b"1")] }
}
