//! The two readings of a path: which policy an upgrade meets, and where none.

use super::rig::{arrival, events, worker};
use proptest::prelude::*;
use serde_json::{Value, json};
use wsguard::session::{Admission, Admitted, admit};

/// What becomes of an upgrade of this path: policy and reason, or `None` where it
/// passes unguarded.
fn meets(document: &Value, path: &str) -> (Option<usize>, Option<String>, Vec<Value>) {
    let (host, guard) = worker(document);
    let mut request = arrival(&[]);
    request.head.target = path.into();
    let Admitted { admission, policy, reason, .. } = admit(&guard, &request);
    if reason.is_none() {
        let guarded = matches!(admission, Admission::Guarded(..));
        assert_eq!(guarded, policy.is_some(), "{path}");
    }
    (policy, reason.map(|reason| reason.name().to_owned()), events(&host))
}

fn two(admin: &str, others: &str) -> Value {
    json!([
        {"name": "admin", "mode": admin, "match": {"paths": ["/admin/ws"]}},
        {"name": "others", "mode": others, "match": {"paths": ["/*"]}},
    ])
}

#[test]
fn the_mode_of_the_policy_that_might_be_passed_by_decides() {
    let malformed = Some("handshake_malformed".to_owned());
    for others in ["enforce", "report"] {
        let document = json!({"policies": two("enforce", others)});
        let (policy, reason, told) = meets(&document, "/ADMIN/ws");
        assert_eq!((policy, &reason), (Some(1), &malformed));
        assert_eq!((told.len(), &told[0]["event"]), (1, &json!("refused")));
    }
    // Nothing of it is enforced: what the normalized path finds decides, and one event
    // says that the other might have been meant.
    let (policy, reason, told) = meets(&json!({"policies": two("report", "enforce")}), "/ADMIN/ws");
    assert_eq!((policy, reason, told.len()), (Some(1), None, 1));
    assert_eq!((&told[0]["event"], &told[0]["policy"]), (&json!("reported"), &json!("others")));
    assert_eq!(
        (&told[0]["reason"], &told[0]["mode"]),
        (&json!("handshake_malformed"), &json!("report"))
    );
    let (policy, reason, told) = meets(&json!({"policies": two("report", "report")}), "/ADMIN/ws");
    assert_eq!((policy, &reason), (Some(1), &malformed));
    assert_eq!((told.len(), &told[0]["event"]), (1, &json!("reported")));
    assert_eq!(told[0]["policy"], "others");
}

#[test]
fn none_counts_as_a_policy() {
    let one = |mode: &str, unmatched: &str, document: &str| {
        let policies = json!([{"name": "ws", "mode": mode, "match": {"paths": ["/ws"]}}]);
        let document = json!({"mode": document, "unmatched": unmatched, "policies": policies});
        let (policy, reason, told) = meets(&document, "/ws/");
        assert_eq!(policy, None);
        (reason.unwrap_or_default(), told.first().map_or(json!(null), |e| e["event"].clone()))
    };
    let told = |reason: &str, event: &str| (reason.to_owned(), json!(event));
    let malformed = "handshake_malformed";
    for unmatched in ["reject", "pass"] {
        for document in ["enforce", "report"] {
            assert_eq!(one("enforce", unmatched, document), told(malformed, "refused"));
        }
        assert_eq!(one("report", unmatched, "report"), told(malformed, "reported"));
    }
    assert_eq!(one("report", "pass", "enforce"), told(malformed, "reported"));
    assert_eq!(one("report", "reject", "enforce"), told("no_policy", "refused"));
}

#[test]
fn hosts_are_held_in_both_readings() {
    let document = json!({"policies": [
        {"name": "a", "match": {"hosts": ["a.example"], "paths": ["/ws"]}},
        {"name": "b", "match": {"paths": ["/*"]}},
    ]});
    assert_eq!(meets(&document, "/WS").0, Some(1));
    assert_eq!(meets(&document, "/WS").1, None);
}

#[test]
fn plain_requests_go_by_the_normalized_path() {
    let (_, guard) = worker(&json!({"policies": two("enforce", "enforce")}));
    for (path, policy) in
        [("/admin/ws", 0), ("/admin/ws;x", 0), ("/ADMIN/ws", 1), ("/admin/ws/", 1)]
    {
        let mut request = arrival(&[]);
        request.head.headers = super::rig::headers(&[]);
        request.head.target = path.into();
        let admitted = admit(&guard, &request);
        assert_eq!(admitted.policy, Some(policy), "{path}");
        assert_eq!(admitted.reason.map(|r| r.name()), Some("not_websocket"), "{path}");
    }
}

#[derive(Clone, Debug)]
struct Rule {
    pattern: String,
    exact: bool,
}

/// The lenient form of a path without percent-encoding, with a slash behind it.
fn lenient(path: &str) -> String {
    let mut out = "/".to_owned();
    for segment in path.to_lowercase().split('/') {
        let name = segment.split(';').next().unwrap().trim_end_matches(['.', ' ']);
        if !name.is_empty() {
            out += name;
            out += "/";
        }
    }
    out
}

/// The contract's paragraph, word for word.
fn expected(rules: &[Rule], path: &str) -> Result<Option<usize>, ()> {
    let normalized = |rule: &Rule| match rule.pattern.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == rule.pattern,
    };
    let second = |rule: &Rule| match rule.pattern.strip_suffix('*') {
        Some(folder) => lenient(path).starts_with(&lenient(folder)),
        None => lenient(path) == lenient(&rule.pattern),
    };
    let first = rules.iter().position(normalized);
    // An exact policy is passed over: the next might be one that is not.
    let other = rules.iter().position(|rule| normalized(rule) || !rule.exact && second(rule));
    let named = first.is_some_and(|index| rules[index].pattern == path);
    if named || first == other { Ok(first) } else { Err(()) }
}

fn rules() -> impl Strategy<Value = Vec<Rule>> {
    let pattern = "(/(a|A|b|a\\.|b;x)){1,2}(/|/\\*)?|/|/\\*";
    let rule =
        (pattern, prop::bool::weighted(0.3)).prop_map(|(pattern, exact)| Rule { pattern, exact });
    prop::collection::vec(rule, 1..4).prop_filter("no policy twice", |rules| {
        let mut patterns: Vec<_> = rules.iter().map(|rule| &rule.pattern).collect();
        patterns.sort_unstable();
        patterns.windows(2).all(|pair| pair[0] != pair[1])
    })
}

proptest! {
    #[test]
    fn an_upgrade_meets_what_the_contract_says(
        rules in rules(), path in "(/(a|A|b|B|c|a\\.|a\\.\\.|b;x|b;y|a;)){1,3}/?|/"
    ) {
        let policies: Vec<_> = rules.iter().enumerate().map(|(index, rule)| json!({
            "name": index.to_string(), "match": {"paths": [rule.pattern], "exact": rule.exact},
        })).collect();
        let (policy, reason, _) = meets(&json!({"unmatched": "pass", "policies": policies}), &path);
        match expected(&rules, &path) {
            Ok(index) => prop_assert_eq!((policy, reason), (index, None)),
            Err(()) => prop_assert_eq!(reason.as_deref(), Some("handshake_malformed")),
        }
    }
}

/// A reader that trims every Unicode space resolves dots that the normal form keeps.
#[test]
fn dots_behind_which_a_space_beyond_ascii_stands_are_two_readings() {
    let malformed = Some("handshake_malformed".to_owned());
    let rooms = json!({"name": "rooms", "match": {"paths": ["/rooms/*"]}});
    let admin = json!({"name": "admin", "match": {"paths": ["/admin"]}});
    for policies in [json!([rooms, admin]), json!([rooms])] {
        let (_, reason, _) = meets(&json!({"policies": policies}), "/rooms/..%C2%A0/admin");
        assert_eq!(reason, malformed, "{policies}");
    }
}
