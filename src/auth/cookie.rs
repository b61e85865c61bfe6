//! Credentials in cookies (RFC 6265 §4.2, §5.4).

/// The values of every cookie of this name over all `cookie` lines, in order,
/// without the quotes that a value may stand in.
pub(super) fn values<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    name: &'a str,
) -> impl Iterator<Item = &'a [u8]> {
    lines
        .flat_map(|line| line.split(|byte| *byte == b';'))
        .filter_map(split_pair)
        .filter(move |(n, _)| *n == name.as_bytes())
        .map(|(_, value)| unquoted(value))
}

/// All lines as one, without the cookies of these names, everything else byte
/// for byte; `None` when there is none of them.
pub(super) fn without<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    names: &[&str],
) -> Option<Vec<u8>> {
    let mut found = false;
    let mut left: Vec<u8> = Vec::new();
    for line in lines {
        for piece in line.split(|byte| *byte == b';') {
            let piece = piece.trim_ascii();
            let name = split_pair(piece).map(|(name, _)| name);
            if names.iter().any(|n| Some(n.as_bytes()) == name) {
                found = true;
            } else if !piece.is_empty() {
                if !left.is_empty() {
                    left.extend_from_slice(b"; ");
                }
                left.extend_from_slice(piece);
            }
        }
    }
    found.then_some(left)
}

/// Name and value of a pair; `None` without `=`.
fn split_pair(pair: &[u8]) -> Option<(&[u8], &[u8])> {
    let equals = pair.iter().position(|byte| *byte == b'=')?;
    let (name, value) = pair.split_at_checked(equals)?;
    Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value)
}

/// Entry for the fuzzer: holds that after stripping no cookie of the name is
/// left, however the lines are cut, and that the others keep their values.
pub fn fuzz_cookie(data: &[u8]) {
    const NAME: &str = "session";
    let lines = || data.split(|byte| *byte == b'\n');
    let found = values(lines(), NAME).count();
    let Some(left) = without(lines(), &[NAME]) else {
        assert_eq!(found, 0);
        return;
    };
    assert!(found > 0);
    let left = || std::iter::once(left.as_slice());
    assert_eq!(values(left(), NAME).count(), 0);
    assert!(values(left(), "a").eq(values(lines(), "a")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(lines: &[&str]) -> Vec<String> {
        values(lines.iter().map(|line| line.as_bytes()), "session")
            .map(|value| String::from_utf8(value.to_vec()).unwrap())
            .collect()
    }

    #[test]
    fn finds_every_cookie_of_the_name_over_all_lines() {
        assert_eq!(found(&["a=1; session=x.y=; b=2"]), ["x.y="]);
        assert_eq!(found(&["session=x; session=y"]), ["x", "y"]);
        assert_eq!(found(&["session=x", "a=1;session=y"]), ["x", "y"]);
        assert_eq!(found(&["session=\"x y\""]), ["x y"]);
        assert_eq!(found(&["session=\""]), ["\""]);
        assert_eq!(found(&[" session = x ;"]), ["x"]);
        assert_eq!(found(&["session="]), [""]);
        assert_eq!(found(&["Session=x; sessions=y; session; a=session=z", ""]), [""; 0]);
    }

    #[test]
    fn stripping_leaves_the_others_in_order() {
        let strip = |lines: &[&str]| {
            without(lines.iter().map(|line| line.as_bytes()), &["session", "sid"])
                .map(|left| String::from_utf8(left).unwrap())
        };
        assert_eq!(strip(&["b=\"2 3\"; session=x; a=%31"]).as_deref(), Some("b=\"2 3\"; a=%31"));
        assert_eq!(strip(&["b=1", "session=x; sid=y", "flag"]).as_deref(), Some("b=1; flag"));
        assert_eq!(strip(&["session=x"]).as_deref(), Some(""));
        assert_eq!(strip(&["a=1;b=2"]), None);
        assert_eq!(strip(&[]), None);
    }

    #[test]
    fn fuzzer_entry_runs() {
        for seed in ["", "session=", "a=1; session=x\nsession=y; a=2", ";=;session = ;", "\""] {
            fuzz_cookie(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn holds_on_anything(data in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz_cookie(&data);
        }

        #[test]
        fn holds_on_what_looks_like_cookies(text in "(session|a|[=; \"\n]){0,14}") {
            fuzz_cookie(text.as_bytes());
        }
    }
}
