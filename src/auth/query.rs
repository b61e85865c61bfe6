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

/// The query without the parameters that a reader may take for one of these names
/// ([`is_like`]), everything else byte for byte; `None` when there is none of them.
pub(super) fn without(query: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    cut(query, |sent, _| names.iter().any(|name| is_like(sent, name)))
}

/// The same, but with the parameters of exactly these names left in: the other spellings
/// were never verified.
pub(super) fn without_other_spellings(query: &[u8], names: &[&str]) -> Option<Vec<u8>> {
    cut(query, |sent, of_piece| {
        let is_exact = names.iter().any(|name| *of_piece == *name.as_bytes());
        !is_exact && names.iter().any(|name| is_like(sent, name))
    })
}

/// Cuts the parameters out of a query for whose decoded name `is_cut` returns true. Some
/// readers end a parameter at `;` too; `is_cut` is also told the name for those that don't.
/// A parameter that begins behind a `&` is cut up to the next `&`, since its value may hold
/// a `;`.
fn cut(query: &[u8], is_cut: impl Fn(&[u8], &[u8]) -> bool) -> Option<Vec<u8>> {
    let mut changed = false;
    let mut left = Vec::with_capacity(query.len());
    for piece in query.split(|byte| *byte == b'&') {
        let of_piece = decode(split_pair(piece).0);
        let mut kept = piece
            .split(|byte| *byte == b';')
            .map(|part| (part, is_cut(&decode(split_pair(part).0), &of_piece)));
        let Some((first, false)) = kept.next() else {
            changed = true;
            continue;
        };
        left.push(b'&');
        left.extend_from_slice(first);
        for (part, cut) in kept {
            if cut {
                changed = true;
            } else {
                left.push(b';');
                left.extend_from_slice(part);
            }
        }
    }
    let left = left.split_off(1.min(left.len()));
    changed.then_some(left)
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

/// Fuzzer entry. Asserts that no parameter that a reader may take for the name is left
/// after stripping, that the rest stands in the same order as before, and that a query
/// without such a parameter is not touched.
pub fn fuzz_query(data: &[u8]) {
    const NAME: &str = "token";
    let found = values(data, NAME).count();
    let sole = sole_value(data, NAME);
    assert!(sole.is_none() || found == 1 && !pieces_like(data, &[NAME]).any(|p| p.contains(&b';')));
    let other = without_other_spellings(data, &[NAME]);
    assert_eq!(values(other.as_deref().unwrap_or(data), NAME).count(), found);
    let Some(left) = without(data, &[NAME]) else {
        assert_eq!((found, other), (0, None));
        assert!(pieces_like(data, &[NAME]).next().is_none());
        return;
    };
    assert!(pieces_like(&left, &[NAME]).next().is_none());
    let parts = |query| <[u8]>::split(query, |byte: &u8| matches!(byte, b'&' | b';'));
    let mut before = parts(data);
    assert!(left.is_empty() || parts(&left).all(|part| before.any(|other| other == part)));
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
        assert_eq!(strip("&a&&"), None);
        assert_eq!(strip("&token&a"), Some("&a".to_owned()));
    }

    /// PHP, Rack 2 and ASP.NET take these for `access_token`.
    #[test]
    fn spellings_that_another_reader_takes_for_the_name_are_stripped() {
        let names = ["access_token"];
        let text = |left: Option<Vec<u8>>| left.map(|left| String::from_utf8(left).unwrap());
        let strip = |query: &str| text(without(query.as_bytes(), &names));
        let others = |query: &str| text(without_other_spellings(query.as_bytes(), &names));
        for other in [
            "access.token=e",
            "%20access_token=e",
            "access%20token=e",
            "ACCESS_TOKEN=e",
            "access_token[]=e",
            "access_token%00x=e",
            "access%5Btoken=e",
            "%25u0061ccess_token=e",
        ] {
            let query = format!("access_token=good&a=1&{other}&b=2");
            assert_eq!(strip(&query).as_deref(), Some("a=1&b=2"), "{other}");
            let left = others(&query);
            assert_eq!(left.as_deref(), Some("access_token=good&a=1&b=2"), "{other}");
        }
        let query = "access_token=good&x=1;access_token=e;y=2";
        assert_eq!(strip(query).as_deref(), Some("x=1;y=2"));
        assert_eq!(others(query).as_deref(), Some("access_token=good&x=1;y=2"));
        // What the filter reads as the credential goes on or goes as a whole.
        assert_eq!(strip("access_token=a;b&c").as_deref(), Some("c"));
        assert_eq!(others("access_token=a;b&c"), None);
        assert_eq!(others("access_token=a;%25u=e&c"), None);
        // Were only the end cut off, there would be a credential where none was.
        assert_eq!(others("access_token;%25u&c").as_deref(), Some("c"));
        assert_eq!(others("access_token;b=1&c").as_deref(), Some("c"));
        assert_eq!(others("access_token;access_token&c").as_deref(), Some("c"));
        assert_eq!(others("access_token&c"), None);
    }

    #[test]
    fn fuzzer_entry_runs() {
        for seed in [
            "",
            "&",
            "token",
            "a&token=1&&%74oken=2&b",
            "+=+&%",
            "token=1&token=1&a",
            "a;token&Token=1;b",
            "token;token",
            "token;a=1",
        ] {
            fuzz_query(seed.as_bytes());
        }
    }

    proptest! {
        #[test]
        fn holds_on_anything(data in proptest::collection::vec(any::<u8>(), 0..60)) {
            fuzz_query(&data);
        }

        #[test]
        fn holds_on_what_looks_like_a_query(text in "(token|%74oken|Token|to.ken|a|[=&;+%]){0,12}") {
            fuzz_query(text.as_bytes());
        }
    }
}
