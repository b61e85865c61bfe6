//! Pointers, and what readers may differ on.

use super::*;
use proptest::prelude::*;
use serde_json::Value;

fn at<'a>(text: &'a str, pointer: &str) -> Result<Option<&'a str>, ()> {
    let pointer = Pointer::parse(pointer).expect("a pointer");
    match Outline::of(text.as_bytes(), [&pointer].into_iter()).expect("JSON").find(&pointer) {
        Found::Nothing | Found::OtherKind => Ok(None),
        Found::One(value) => Ok(Some(value.get())),
        Found::Ambiguous => Err(()),
    }
}

fn left(text: &str, pointer: &str) -> Option<String> {
    Pointer::parse(pointer).expect("a pointer").without(document(text.as_bytes())?)
}

/// The document of RFC 6901 §5.
const RFC: &str = r#"{"foo": ["bar", "baz"], "": 0, "a/b": 1, "c%d": 2, "e^f": 3,
    "g|h": 4, "i\\j": 5, "k\"l": 6, " ": 7, "m~n": 8}"#;

#[test]
fn finds_what_rfc_6901_finds() {
    for (pointer, value) in [
        ("/foo", r#"["bar", "baz"]"#),
        ("/foo/0", r#""bar""#),
        ("/", "0"),
        ("/a~1b", "1"),
        ("/c%d", "2"),
        ("/e^f", "3"),
        ("/g|h", "4"),
        ("/i\\j", "5"),
        ("/k\"l", "6"),
        ("/ ", "7"),
        ("/m~0n", "8"),
    ] {
        assert_eq!(at(RFC, pointer), Ok(Some(value)), "{pointer}");
    }
    for nothing in ["/fo", "/foo/2", "/foo/-", "/foo/01", "/foo/+1", "/foo/0/a", "/a/b", "/m~01n"] {
        assert_eq!(at(RFC, nothing), Ok(None), "{nothing}");
    }
    for none in ["", "a", "a/b", "/~", "/~2", "/a~", "#/a"] {
        assert_eq!(Pointer::parse(none), None, "{none}");
    }
    assert!(Pointer::parse(&"/a".repeat(16)).is_some());
    assert_eq!(Pointer::parse(&"/a".repeat(17)), None);
}

#[test]
fn what_two_readers_may_read_in_two_ways_is_ambiguous() {
    for text in [
        r#"{"token":"a","token":"b"}"#,
        r#"{"token":"a","\u0074oken":"b"}"#,
        r#"{"token":"a","Token":"b"}"#,
        r#"{"TOKEN":"b"}"#,
        r#"{"to\u212Aen":"b"}"#,
        r#"{"token\u0000":"b"}"#,
        r#"{"Token\u0000x":"b"}"#,
        r#"{"to\u0000ken":"b"}"#,
    ] {
        assert_eq!(at(text, "/token"), Err(()), "{text}");
        assert_eq!(left(text, "/token").as_deref(), Some("{}"), "{text}");
    }
    assert_eq!(at(r#"{"a":{"b":1},"a":{}}"#, "/a/b"), Err(()));
    assert_eq!(at(r#"{"\ud800":1,"token":"a"}"#, "/token"), Err(()));
    // Elsewhere it does not matter.
    assert_eq!(
        at(r#"{"b":1,"b":2,"token":{"token":1,"x":1,"x":2}}"#, "/token/token"),
        Ok(Some("1"))
    );
}

#[test]
fn cutting_leaves_the_rest_as_it_was_written() {
    for (text, pointer, rest) in [
        (r#"{"token":"a"}"#, "/token", Some("{}")),
        (r#"{"a":1e400,"token":"a","b":"\ud800"}"#, "/token", Some(r#"{"a":1e400,"b":"\ud800"}"#)),
        (r#"{"a": {"b": 1, "c" : [ 1 ]}, "d":2}"#, "/a/b", Some(r#"{"a":{"c":[ 1 ]},"d":2}"#)),
        (r#"["a", "b", 3]"#, "/1", Some(r#"["a",null,3]"#)),
        (r#"[{"a":1},{"a":2}]"#, "/1/a", Some(r#"[{"a":1},{}]"#)),
        (r#"{"a":1}"#, "/token", None),
        (r#""token""#, "/token", None),
    ] {
        assert_eq!(left(text, pointer).as_deref(), rest, "{text} {pointer}");
    }
}

#[test]
fn deep_and_wide_documents_cost_no_stack() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(at(&deep, "/0/0/a"), Ok(None));
    let wide = format!("{{{}\"token\":1}}", "\"a\":0,".repeat(100_000));
    assert_eq!(at(&wide, "/token"), Ok(Some("1")));
}

fn same(text: &str, value: impl Into<Value>) -> Equality {
    Found::One(document(text.as_bytes()).unwrap()).is(&value.into())
}

#[test]
fn values_are_equal_by_what_they_mean() {
    for (text, value) in [
        ("1.0", Value::from(1)),
        ("1e0", 1.into()),
        ("1", 1.into()),
        ("1", 1.0.into()),
        ("-0", 0.into()),
        (r#""\u0061""#, "a".into()),
        ("true", true.into()),
    ] {
        assert_eq!(same(text, value), Equality::Equal, "{text}");
    }
    for (text, value) in [
        ("2", Value::from(1)),
        ("\"a\"", "b".into()),
        ("\"1a\"", "1".into()),
        ("\"inf\"", "1".into()),
        ("false", true.into()),
        ("3", 1.5.into()),
    ] {
        assert_eq!(same(text, value), Equality::Other, "{text}");
    }
    assert_eq!(same(r#""leave\u0000join""#, "join"), Equality::Other);
    assert_eq!(Found::Nothing.is(&"join".into()), Equality::Other);
}

/// Loose comparisons, tables of functions and readers that fill in or cut what they
/// are given take these for what is expected.
#[test]
fn what_some_reader_takes_for_a_value_is_told_from_another_value() {
    for (text, value) in [
        ("1", Value::from(true)),
        ("true", 1.into()),
        ("\"1\"", 1.into()),
        ("1", "1".into()),
        ("[1]", 1.into()),
        (r#"["join"]"#, "join".into()),
        (r#"[["join"]]"#, "join".into()),
        ("{}", "a".into()),
        ("0", "join".into()),
        ("true", "join".into()),
        ("null", 0.into()),
        ("null", "join".into()),
        ("1e400", "a".into()),
    ] {
        assert_eq!(same(text, value), Equality::OtherKind, "{text}");
    }
    for (text, value) in [
        (r#""join\ud800""#, Value::from("join")),
        (r#""\ud800""#, 1.into()),
        (r#""join\u0000""#, "join".into()),
        (r#""join\u0000x""#, "join".into()),
        (r#""jo\u0000in""#, "join".into()),
        ("1e400", 1.into()),
        ("1.5", 1.into()),
        ("0.9999", 1.into()),
        ("4294967297", 1.into()),
        ("-4294967295", 1.into()),
        ("18446744073709551617", 1.into()),
        (r#""01""#, "1".into()),
        // Names of enumerations in .NET, and of SignalR's methods.
        (r#""JOIN""#, "join".into()),
        (r#"" join""#, "join".into()),
        (r#"" 1e0""#, "1".into()),
    ] {
        assert_eq!(same(text, value), Equality::Unclear, "{text}");
    }
    for default in [Value::from(0), "".into(), false.into()] {
        assert_eq!(Found::Nothing.is(&default), Equality::Default);
    }
}

/// A way through another kind of value is no place where there is nothing.
#[test]
fn a_way_through_another_kind_of_value_is_told_from_nothing() {
    for (text, pointer, other_kind) in [
        (r#"{"a":[{"b":1}]}"#, "/a/b", true),
        (r#"{"a":{"b":1}}"#, "/a/0", true),
        (r#"{"a":"{\"b\":1}"}"#, "/a/b", true),
        (r#"{"a":"\u007b}"}"#, "/a/b", true),
        (r#"{"a":"x"}"#, "/a/0", true),
        (r#"{"a":"\ud800"}"#, "/a/b", true),
        (r#"{"a":[]}"#, "/a/b", false),
        (r#"{"a":{}}"#, "/a/0", false),
        (r#"{"a":"x"}"#, "/a/b", false),
        (r#"{"a":1}"#, "/a/b", false),
        (r#"{"a":null}"#, "/a/b", false),
        (r#"{"a":{"c":1}}"#, "/a/b", false),
        (r#"{"a":["x"]}"#, "/a/1", false),
    ] {
        let pointer = Pointer::parse(pointer).unwrap();
        let outline = Outline::of(text.as_bytes(), [&pointer].into_iter()).unwrap();
        let found = outline.find(&pointer);
        assert_eq!(matches!(found, Found::OtherKind), other_kind, "{text} {pointer:?} {found:?}");
        assert_eq!(matches!(found, Found::Nothing), !other_kind, "{text} {pointer:?} {found:?}");
    }
}

#[test]
fn a_prototype_is_seen_in_what_pointers_lead_through() {
    for (text, seen) in [
        (r#"{"__proto__":{"b":1},"x":1}"#, true),
        (r#"{"\u005f_proto__":1}"#, true),
        (r#"{"a":{"__proto__":{"b":1}}}"#, true),
        (r#"{"a":{"b":{"__proto__":1}}}"#, false),
        (r#"{"x":{"__proto__":1}}"#, false),
        (r#"{"a":"__proto__"}"#, false),
        (r#"["__proto__"]"#, false),
    ] {
        let [a, b] = ["/a/b", "/c"].map(|text| Pointer::parse(text).unwrap());
        let outline = Outline::of(text.as_bytes(), [&a, &b].into_iter()).unwrap();
        assert_eq!(outline.has_proto(), seen, "{text}");
    }
}

#[test]
fn letters_of_any_script_are_alike_in_another_case() {
    for (text, ambiguous) in [
        (r#"{"GRÖSSE":1}"#, false),
        (r#"{"GRÖẞE":1}"#, true),
        (r#"{"gröſſe":1}"#, false),
        (r#"{"Größe":1}"#, true),
        (r#"{"größe":1}"#, false),
    ] {
        assert_eq!(at(text, "/größe").is_err(), ambiguous, "{text}");
    }
    assert_eq!(at(r#"{"ID":1}"#, "/id"), Err(()));
    assert_eq!(at(r#"{"ıd":1}"#, "/id"), Ok(None), "no reader folds it");
}

/// However many zeros are written behind a number, or in its exponent.
#[test]
fn numbers_are_read_as_exactly_as_upstream_may_read_them() {
    for zeros in 0..30 {
        let zeros = "0".repeat(zeros);
        assert_eq!(
            same(&format!("100007919003.0{zeros}"), 100_007_919_003_i64),
            Equality::Equal,
            "{zeros}"
        );
        assert_eq!(same(&format!("0.00003{zeros}"), 0.00003), Equality::Equal, "{zeros}");
        assert_eq!(
            same(&format!("3{zeros}e-{}", 5 + zeros.len()), 0.00003),
            Equality::Equal,
            "{zeros}"
        );
    }
}

#[test]
fn an_outline_knows_only_what_it_was_looked_through_for() {
    let [a, b, other] = ["/a/0", "/b", "/c"].map(|text| Pointer::parse(text).unwrap());
    let outline = Outline::of(br#"{"b":2,"a":[1],"c":3}"#, [&a, &b].into_iter()).unwrap();
    assert!(matches!(outline.find(&a), Found::One(value) if value.get() == "1"));
    assert!(matches!(outline.find(&b), Found::One(value) if value.get() == "2"));
    assert!(matches!(outline.find(&other), Found::Ambiguous));
    for no_json in [&b""[..], b" ", b"{\"a\":1", b"{}x", b"[1,]", b"\"\xff\"", b"{\"\\ud800\":1,}"]
    {
        assert!(Outline::of(no_json, [&a].into_iter()).is_none(), "{no_json:?}");
    }
    for nothing_there in [&b"1e400"[..], b" null ", b"\"\\ud800\"", b"[]", b"{}"] {
        let outline = Outline::of(nothing_there, [&a].into_iter()).unwrap();
        let found = outline.find(&a);
        assert!(matches!(found, Found::Nothing | Found::OtherKind), "{nothing_there:?}");
    }
}

proptest! {
    /// One look for all finds what a look for each finds, in a message that was
    /// read as a whole before.
    #[test]
    fn an_outline_finds_what_looks_one_by_one_find(
        text in "[\\[{](\"(a|A|b|1|\\\\ud800|\\\\u0061)\":|[\\[\\]{},1 ]|1e400|\"a\"){0,8}[\\]}]{0,2}",
    ) {
        fuzz_outline(text.as_bytes());
    }

    #[test]
    fn a_number_is_the_same_with_more_zeros(number in any::<i32>(), digits in 0..12i32, zeros in 0..20usize) {
        let text = format!("{number}e-{digits}");
        let expected: f64 = text.parse().unwrap();
        let more = format!("{number}{}e-{}", "0".repeat(zeros), digits + i32::try_from(zeros).unwrap());
        prop_assert_eq!(same(&more, expected), Equality::Equal, "{} {}", text, more);
    }

    #[test]
    fn what_is_found_is_what_serde_json_finds(text in "[\\[\\]{}:,\"ab01. \\\\]{0,30}") {
        let pointer = "/a/0";
        let found = document(text.as_bytes());
        let found = found.map(|raw| find(raw, &Pointer::parse(pointer).unwrap().0, Case::Exact));
        let built = serde_json::from_str::<Value>(&text);
        if let (Some(Found::One(value)), Ok(built)) = (found, built) {
            let value: Value = serde_json::from_str(value.get()).unwrap();
            prop_assert_eq!(Some(&value), built.pointer(pointer));
        }
    }
}
