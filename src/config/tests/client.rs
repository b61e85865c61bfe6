//! `client`.

use super::*;
use crate::inspect::RuleSet;
use crate::message::MessageRules;

fn client(members: &str) -> MessageRules {
    good(&format!(r#""client": {{{members}}}"#)).client
}

#[track_caller]
fn bad_client(members: &str, path: &str, says: &str) {
    bad(&format!(r#""client": {{{members}}}"#), &format!("client.{path}"), says);
}

#[test]
fn sizes_are_bytes_or_have_a_unit() {
    assert_eq!(client(r#""max_frame": 4096"#).max_frame_bytes, 4096);
    assert_eq!(client(r#""max_frame": 4096.0"#).max_frame_bytes, 4096);
    assert_eq!(client(r#""max_frame": "64KiB""#).max_frame_bytes, 65_536);
    assert_eq!(client(r#""max_message": "64MiB""#).max_message_bytes, 64 << 20);
    for key in ["max_frame", "max_message"] {
        for (value, says) in [
            ("0", "is 0"),
            ("-1", "is negative"),
            ("0.5", "has a fraction"),
            (r#""1.5MiB""#, "has a fraction"),
            (r#""64 KiB""#, "is no size"),
            (r#""64kb""#, "is no size"),
            (r#""65MiB""#, "is too large; write at most 64MiB"),
            (r#""99999999999GiB""#, "is too large to be meant"),
            ("4294967297", "is too large; write at most 64MiB"),
            ("[1]", "is a list; write bytes"),
        ] {
            bad_client(&format!(r#""{key}": {value}"#), key, says);
        }
    }
}

#[test]
fn a_frame_is_not_larger_than_its_message() {
    // The default of one does not stand against the other.
    let small = client(r#""max_message": "64KiB""#);
    assert_eq!((small.max_frame_bytes, small.max_message_bytes), (1 << 20, 64 << 10));
    let large = client(r#""max_message": "4MiB""#);
    assert_eq!((large.max_frame_bytes, large.max_message_bytes), (1 << 20, 4 << 20));
    let same = client(r#""max_frame": "2MiB", "max_message": "2MiB""#);
    assert_eq!(same.max_frame_bytes, same.max_message_bytes);
    for members in [r#""max_frame": "2MiB", "max_message": "1MiB""#, r#""max_frame": "2MiB""#] {
        bad_client(members, "max_frame", "is above max_message");
    }
    // Where the message's limit is the mistake, it is the only one.
    bad_client(r#""max_frame": "2MiB", "max_message": "3""#, "max_message", "is no size");
    bad_client(r#""max_frame": "2MiB", "max_mesage": "3MiB""#, "max_mesage", "did you mean");
}

#[test]
fn fragments_are_counted_in_whole_numbers() {
    assert_eq!(client(r#""max_fragments": 1"#).max_fragments, 1);
    assert_eq!(client(r#""max_fragments": 65536"#).max_fragments, 65_536);
    assert_eq!(client(r#""max_fragments": 1.28e2"#).max_fragments, 128);
    for (value, says) in [
        ("0", "is 0"),
        ("65537", "is too large; write at most 65536"),
        ("4294967296", "is too large; write at most 65536"),
        (r#""128""#, "is a text; write a whole number, without quotes"),
        ("1.5", "has a fraction"),
        ("-128", "is negative"),
    ] {
        bad_client(&format!(r#""max_fragments": {value}"#), "max_fragments", says);
    }
}

#[test]
fn fragments_of_1_kib_make_the_largest_message_where_nothing_is_written() {
    for (size, most) in [
        ("1".to_owned(), 128),
        (r#""64KiB""#.to_owned(), 128),
        (r#""128KiB""#.to_owned(), 128),
        ("132095".to_owned(), 128),
        (r#""129KiB""#.to_owned(), 129),
        (r#""1MiB""#.to_owned(), 1024),
        (r#""64MiB""#.to_owned(), 65_536),
    ] {
        let read = client(&format!(r#""max_message": {size}"#));
        assert_eq!(read.max_fragments, most, "{size}");
        let written = client(&format!(r#""max_message": {size}, "max_fragments": 7"#));
        assert_eq!(written.max_fragments, 7);
    }
    assert_eq!(client(r#""types": ["text"]"#).max_fragments, 1024);
}

#[test]
fn types_are_those_that_are_named() {
    let text = client(r#""types": ["text"]"#);
    assert!(text.text && !text.binary);
    let binary = client(r#""types": ["binary"]"#);
    assert!(!binary.text && binary.binary);
    bad_client(r#""types": []"#, "types", "is an empty list");
    bad_client(r#""types": ["text", "text"]"#, "types[1]", "says the same as");
    bad_client(r#""types": ["ping"]"#, "types[0]", "write `text` or `binary`");
    bad_client(r#""types": "text""#, "types", "is a text; write a list");
}

#[test]
fn what_is_not_built_is_refused() {
    client(r#""json": "ignored""#);
    for (members, path) in [
        (r#""json": "required""#, "json: required"),
        (r#""schema": {}"#, "schema"),
        (r#""rules": [{"preset": "sqli", "action": 1}]"#, "rules[0].preset"),
        (r#""rules": [{"name": "a", "pattern": "b", "in": 1}]"#, "rules[0].in"),
    ] {
        not_yet(&format!(r#""client": {{{members}}}"#), &format!("client.{path}"));
    }
    bad_client(r#""on_violation": "panic""#, "on_violation", "`slow` or `report`");
    bad_client(r#""on_violation": "slow""#, "on_violation", "needs lifetime.push");
    let slow = good(
        r#""lifetime": {"push": true}, "server": {"on_violation": "slow",
        "rules": [{"name": "a", "pattern": "b"}]}"#,
    );
    assert_eq!(slow.server.on_violation, Action::Slow);
    let rules = slow.server.rules.unwrap();
    assert_eq!(rules.find(b"b").unwrap().action, Action::Close, "no time helps there");
}

#[test]
fn rules_have_a_name_and_a_pattern() {
    for (rule, path, says) in [
        (r#"{"pattern": "a"}"#, "name", "is missing; write one that is unique"),
        (r#"{"name": "a"}"#, "pattern", "is missing; write a regular expression"),
        (r#"{"name": "A", "pattern": "a"}"#, "name", "is no name"),
        (r#"{"name": "a", "pattern": ""}"#, "pattern", "is an empty text"),
        (r#"{"name": "a", "pattern": 1}"#, "pattern", "is a number"),
        (r#"{"name": "a", "patern": "a"}"#, "patern", "did you mean `pattern`?"),
        (r#"{"name": "a", "pattern": "a", "action": "slow"}"#, "action", "`sanitize` or `report`"),
        (r#"{"name": "a", "pattern": "a", "action": "kill"}"#, "action", "`sanitize` or `report`"),
    ] {
        bad_client(&format!(r#""rules": [{rule}]"#), &format!("rules[0].{path}"), says);
    }
    bad_client(r#""rules": []"#, "rules", "is an empty list");
    bad_client(
        r#""rules": [{"name": "a", "pattern": "x"}, {"name": "a", "pattern": "y"}]"#,
        "rules[1].name",
        "says the same as policies[0].client.rules[0].name",
    );
}

#[test]
fn a_rules_own_action_goes_before_that_of_the_section() {
    let rules = r#""rules": [{"name": "a", "pattern": "x"},
        {"name": "b", "pattern": "y", "action": "close"}]"#;
    let read = client(&format!(r#"{rules}, "on_violation": "report""#));
    assert_eq!(read.on_violation, Action::Report);
    let spec = |name: &str, pattern: &str, action| crate::inspect::RuleSpec {
        name: name.to_owned(),
        pattern: pattern.to_owned(),
        action,
    };
    let expected =
        RuleSet::compile(vec![spec("a", "x", Action::Report), spec("b", "y", Action::Close)]);
    let shown = |set: &RuleSet| {
        let shown = format!("{set:?}");
        shown.split("engine").next().unwrap_or_default().to_owned()
    };
    assert_eq!(shown(&read.rules.unwrap()), shown(&expected.unwrap()));
}

#[test]
fn rules_that_cost_too_much_are_told_at_the_dearest() {
    bad_client(
        r#""rules": [{"name": "a", "pattern": "((\\w{1000}){1000}){1000}"}]"#,
        "rules[0].pattern",
        "the patterns cost more than 80 steps a byte together; the dearest one costs more than is counted",
    );
    let write = "a count in {} takes as many copies of what it counts; write a smaller one or *, \
                 and (?-u) where only ASCII is meant";
    for dear in [
        r"\\w{1000}",
        r"(?i)\\p{L}{0,900}x",
        r"(?s)a.{0,1000}b.{0,1000}c",
        r"(?i)union.{0,1000}select",
        r"(?-u:\\xff)\\w{0,90}x",
    ] {
        let rules = format!(
            r#""rules": [{{"name": "a", "pattern": "x"}}, {{"name": "b", "pattern": "{dear}"}}]"#
        );
        bad_client(&rules, "rules[1].pattern", write);
    }
    bad_client(
        r#""rules": [{"name": "a", "pattern": "x"},
            {"name": "b", "pattern": "a[^>]{0,300}b", "action": "sanitize"}]"#,
        "rules[1].pattern",
        "can't be cut out at a bounded cost; write * in the place of counts",
    );
}
