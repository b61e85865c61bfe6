//! Credentials in the query (`application/x-www-form-urlencoded`).

use std::borrow::Cow;

/// The values of every parameter of this name, still encoded, in order. Names
/// are compared decoded, so `%74oken=` is `token`; `Some("")` and a parameter
/// without `=` are both empty.
pub(super) fn values<'a>(query: &'a [u8], name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    query
        .split(|byte| *byte == b'&')
        .map(split_pair)
        .filter(move |(n, _)| *decode(n) == *name.as_bytes())
        .map(|(_, value)| value)
}

/// The value of the parameter `name`, decoded, where all readers find the same
/// one: it stands there once, and nothing else does that some of them take for
/// it: another spelling ([`is_like`]), or what follows a `;`, which some take for
/// a `&`.
pub(super) fn sole_value(query: &[u8], name: &str) -> Option<Vec<u8>> {
    let mut found = None;
    for piece in pieces_like(query, &[name]) {
        let (sent, value) = split_pair(piece);
        if *decode(sent) != *name.as_bytes() || piece.contains(&b';') || found.is_some() {
            return None;
        }
        found = Some(decode(value).into_owned());
    }
    found
}

/// The parameters that some reader takes for one of these names, as they were
/// sent.
pub(super) fn pieces_like<'a>(
    query: &'a [u8],
    names: &'a [&'a str],
) -> impl Iterator<Item = &'a [u8]> {
    query.split(|byte| *byte == b'&').filter(move |piece| {
        piece.split(|byte| *byte == b';').any(|part| {
            let sent = decode(split_pair(part).0);
            names.iter().any(|name| is_like(&sent, name))
        })
    })
}

/// Whether some reader may take the decoded name `sent` for `name`: letter case aside
/// (ASP.NET; its older ones read `%u0072`, too), up to a NUL or bracket (PHP, Rack),
/// and with a space, dot or bracket for a `_`, or for nothing, wherever it stands
/// (PHP, Rack).
fn is_like(sent: &[u8], name: &str) -> bool {
    let sent = String::from_utf8_lossy(sent).to_lowercase();
    if sent.contains("%u") {
        return true;
    }
    let ends = |c: char| matches!(c, '\0' | '[' | ']');
    let begin = sent.trim_start_matches(is_nothing).split(ends).next().unwrap_or_default();
    let (all, begin) = (letters(&sent), letters(begin));
    let name = (letters(&name.to_lowercase()), name.contains('['));
    match name {
        (name, false) => all == name || begin == name,
        // What follows its bracket is often not looked at.
        (name, true) => all.starts_with(&name),
    }
}

/// What of a name all readers look at.
fn letters(name: &str) -> String {
    name.chars().filter(|c| !is_nothing(*c)).collect()
}

fn is_nothing(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '[' | ']' | '.' | '_')
}

/// The query without the parameters of these names, everything else byte for
/// byte; `None` when there is none of them.
pub(super) fn without(query: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    let is_named = |piece: &&[u8]| {
        let name = decode(split_pair(piece).0);
        names.iter().any(|n| *n.as_bytes() == *name)
    };
    let pieces = || query.split(|byte| *byte == b'&');
    if !pieces().any(|piece| is_named(&piece)) {
        return None;
    }
    let left: Vec<&[u8]> = pieces().filter(|piece| !is_named(piece)).collect();
    Some(left.join(&b'&'))
}

/// Percent-decoding with `+` as space; what is no percent-encoding stays.
pub(super) fn decode(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.contains(&b'+') {
        return percent_encoding::percent_decode(encoded).into();
    }
    // A literal plus comes as %2B, so that this order is the right one.
    let spaced: Vec<u8> =
        encoded.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
    percent_encoding::percent_decode(&spaced).collect::<Vec<u8>>().into()
}

fn split_pair(piece: &[u8]) -> (&[u8], &[u8]) {
    let mut halves = piece.splitn(2, |byte| *byte == b'=');
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}

/// Entry for the fuzzer: holds that after stripping no parameter of the name
/// is left, that what is left was there before in the same order, and that a
/// query without the name is not touched.
pub fn fuzz_query(data: &[u8]) {
    const NAME: &str = "token";
    let found = values(data, NAME).count();
    let sole = sole_value(data, NAME);
    assert!(sole.is_none() || found == 1 && !pieces_like(data, &[NAME]).any(|p| p.contains(&b';')));
    let Some(left) = without(data, &[NAME]) else {
        assert_eq!(found, 0);
        return;
    };
    assert!(found > 0);
    assert_eq!(values(&left, NAME).count(), 0);
    let mut before = data.split(|byte| *byte == b'&');
    assert!(
        left.is_empty()
            || left.split(|byte| *byte == b'&').all(|piece| before.any(|other| other == piece))
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(query: &str) -> Vec<String> {
        values(query.as_bytes(), "token")
            .map(|value| String::from_utf8(decode(value).into_owned()).unwrap())
            .collect()
    }

    #[test]
    fn names_and_values_are_compared_decoded() {
        assert_eq!(found("a=1&token=x.y.z&b=2"), ["x.y.z"]);
        assert_eq!(found("%74oken=x"), ["x"]);
        assert_eq!(found("%74%6F%6b%65%6E=x&token=y"), ["x", "y"]);
        assert_eq!(found("token=a%2Bb+c%3D%26"), ["a+b c=&"]);
        assert_eq!(found("token=a=b=="), ["a=b=="]);
        assert_eq!(found("token"), [""]);
        assert_eq!(found("token=&Token=a&tok=en&x=token&tokens=1&+token=1"), [""]);
        assert_eq!(found("token=%zz%"), ["%zz%"]);
        assert!(found("").is_empty());
    }

    #[test]
    fn a_sole_value_is_one_that_no_reader_reads_otherwise() {
        let sole = |query: &str, name: &str| {
            sole_value(query.as_bytes(), name).map(|value| String::from_utf8(value).unwrap())
        };
        for query in
            ["room=a", "x=1&%72oom=a&rooms=b&ro-om=b&y", "x;y=2&room=%61", "my[room]=b&room=a"]
        {
            assert_eq!(sole(query, "room").as_deref(), Some("a"), "{query}");
        }
        for query in [
            "",
            "rooms=a",
            "room=a&room=a",
            "room=a&room",
            "Room=b&room=a",
            "room=a&ROOM=b",
            "Room=b",
            "room=a&x=1;room=b",
            "room=a;b",
            "x=1;room=a",
            "room=a&room[]=b",
            "room=a&room%5B0%5D=b",
            "room=a&[room=b",
            "room=a&%20room=b",
            "room=a&+room=b",
            "room=a&room%00=b",
            "room=a&room+=b",
            "room=a&%00room=b&%5broom%5D=c",
        ] {
            assert_eq!(sole(query, "room"), None, "{query}");
        }
        for other in [
            "room.id",
            "room%20id",
            "room+id",
            "Room_Id",
            "room.id[]",
            "room[id",
            "room%5Bid",
            "room[.id",
            "room_id]",
            "room_id[x",
            "%25u0072oom_id",
            "roomId",
        ] {
            assert_eq!(sole(&format!("room_id=a&{other}=b"), "room_id"), None, "{other}");
        }
        assert_eq!(sole("at[room]=a&at[user]=b", "at[room]").as_deref(), Some("a"));
        for other in ["[at[Room]", "at[room]x", "at[room][]", "at[[room]"] {
            assert_eq!(sole(&format!("at[room]=a&{other}=b"), "at[room]"), None, "{other}");
        }
    }

    #[test]
    fn stripping_leaves_the_rest_byte_for_byte() {
        let strip = |query: &str| {
            without(query.as_bytes(), &["token", "key"]).map(|q| String::from_utf8(q).unwrap())
        };
        assert_eq!(strip("a=%41&token=x&b=+2").as_deref(), Some("a=%41&b=+2"));
        assert_eq!(strip("token=x&a=1&&b").as_deref(), Some("a=1&&b"));
        assert_eq!(strip("a=1&%74oken=x").as_deref(), Some("a=1"));
        assert_eq!(strip("token=x&key=y&token").as_deref(), Some(""));
        assert_eq!(strip("a=1&b=2"), None);
        assert_eq!(strip(""), None);
    }

    #[test]
    fn fuzzer_entry_runs() {
        for seed in ["", "&", "token", "a&token=1&&%74oken=2&b", "+=+&%", "token=1&token=1&a"] {
            fuzz_query(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn holds_on_anything(data in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz_query(&data);
        }

        #[test]
        fn holds_on_what_looks_like_a_query(text in "(token|%74oken|a|[=&+%]){0,12}") {
            fuzz_query(text.as_bytes());
        }
    }
}
