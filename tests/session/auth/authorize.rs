//! What a credential must reach to.

use super::*;

/// Workers whose one rule is this.
fn rule(rule: Value) -> Worker {
    Worker::new(&json!({"authorize": [rule]}))
}

#[test]
fn a_user_only_gets_into_workspaces_they_belong_to() {
    let worker = rule(json!({"from": {"query": "workspaceId"}, "claim": "workspaces"}));
    for good in ["/ws?workspaceId=red", "/ws?a=1&workspaceId=green", "/ws?workspaceId=re%64"] {
        session(worker.decided(&at(good), &yes()));
    }
    for bad in [
        "/ws",
        "/ws?workspaceId",
        "/ws?workspaceId=",
        "/ws?workspaceId=yellow",
        "/ws?workspaceId=Red",
        "/ws?workspaceId=red%20green",
        "/ws?workspaceId=red&workspaceId=red",
        "/ws?workspaceId=red&workspace%49d=yellow",
        "/ws?workspaceId=%FF",
        "/ws?workspaceid=red",
    ] {
        let told = refusal(worker.decided(&at(bad), &yes()));
        assert_eq!(told, (Reason::AccessDenied, 403), "{bad}");
        let event = events(&worker.host).pop().unwrap();
        assert_eq!((&event["user"], &event["reason"]), (&json!("alice"), &json!("access_denied")));
    }
}

#[test]
fn claims_are_strings_lists_words_or_numbers_and_nothing_else() {
    for (claim, value, granted) in [
        ("team", "blue", true),
        ("team", "blu", false),
        ("scope", "chat", true),
        ("scope", "rooms:read", true),
        ("scope", "rooms", false),
        ("number", "7", true),
        ("number", "07", false),
        ("/user/id", "alice", true),
        ("/workspaces/1", "green", true),
        ("sub", "alice", true),
        ("admin", "true", false),
        ("user", "alice", false),
        ("missing", "x", false),
    ] {
        let worker = rule(json!({"from": {"header": "x-ask"}, "claim": claim}));
        let arrival = arrival(&[("x-session", "opaque"), ("x-ask", value)]);
        let admitted = worker.decided(&arrival, &yes());
        let reason = admitted.reason;
        assert_eq!(reason, (!granted).then_some(Reason::AccessDenied), "{claim} {value}");
    }
}

/// Many an application takes `x_ask` for `X-Ask`, and one of the two.
#[test]
fn a_header_in_another_spelling_is_one_too_many() {
    let worker = rule(json!({"from": {"header": "x-ask"}, "claim": "workspaces"}));
    let asking = |lines: &[(&str, &str)]| {
        let lines = [&[("x-session", "opaque")], lines].concat();
        worker.decided(&arrival(&lines), &yes()).reason
    };
    assert_eq!(asking(&[("x-ask", "red")]), None);
    for lines in [
        &[("x-ask", "red"), ("x_ask", "yellow")][..],
        &[("x_ask", "yellow"), ("x-ask", "red")],
        &[("x_ask", "red")],
        &[("x-ask", "red"), ("x-ask", "red")],
    ] {
        assert_eq!(asking(lines), Some(Reason::AccessDenied), "{lines:?}");
    }
}

#[test]
fn a_callout_says_who_is_a_member() {
    let worker = rule(json!({
        "from": {"path": "/rooms/{room}"},
        "callout": {"cluster": "members", "path": "/members/{room}/{sub}", "cache": "30s"},
    }));
    let ask = |target: &str| {
        let (mut pending, id, _) = worker.waits(&at(target));
        pending.on_answer(id, &yes());
        assert!(pending.advance().is_none(), "one more question");
        let (id, call) = worker.call();
        (pending, id, call)
    };
    for (status, expected) in [
        (200, None),
        (403, Some(Reason::AccessDenied)),
        (404, Some(Reason::AccessDenied)),
        (500, Some(Reason::AuthUnavailable)),
        (302, Some(Reason::AuthUnavailable)),
    ] {
        let (mut pending, id, call) = ask(&format!("/rooms/a%20b{status}"));
        let path = format!("/members/a%20b{status}/alice");
        assert_eq!((call.cluster.as_str(), call.path.as_str()), ("members", path.as_str()));
        assert_eq!((call.authority.as_str(), call.method), ("members", "GET"));
        pending.on_answer(id, &answer(status, ""));
        assert_eq!(pending.advance().unwrap().reason, expected, "{status}");
    }
    // Known now: the session is asked about, the membership is not.
    session(worker.decided(&at("/rooms/a%20b200"), &yes()));
    assert!(worker.host.take_calls().is_empty());
    for bad in ["/rooms/", "/rooms", "/rooms/a/b", "/other/a"] {
        let told = refusal(worker.decided(&at(bad), &yes()));
        assert_eq!(told, (Reason::AccessDenied, 403), "{bad}");
    }
}

/// Each says how long an answer is good for it, or that none is.
#[test]
fn callouts_share_no_answer_that_is_kept_for_another_time() {
    let rule = |(cache, timeout): (Option<&str>, &str)| {
        let mut callout = json!({"cluster": "members", "path": "/members/{room}/{sub}"});
        callout["timeout"] = json!(timeout);
        if let Some(cache) = cache {
            callout["cache"] = json!(cache);
        }
        json!({"from": {"path": "/rooms/{room}"}, "callout": callout})
    };
    let kept = [Some("1h"), None, Some("1m")];
    let rules: Vec<_> =
        ["2s", "3s"].iter().flat_map(|timeout| kept.map(|cache| rule((cache, *timeout)))).collect();
    let worker = Worker::new(&json!({"authorize": rules}));
    // How often the service is asked until it is decided.
    let questions = || {
        let (mut pending, id, _) = worker.waits(&at("/rooms/a"));
        pending.on_answer(id, &yes());
        let mut questions = 0;
        while pending.advance().is_none() {
            let (id, call) = worker.call();
            assert_eq!(call.path, "/members/a/alice");
            assert!(pending.on_answer(id, &answer(200, "")));
            questions += 1;
        }
        questions
    };
    assert_eq!(questions(), 4, "two are kept for the same time as one before");
    assert_eq!(questions(), 2, "those that keep nothing");
    worker.host.advance(Duration::from_secs(60));
    assert_eq!(questions(), 3);
}

#[test]
fn no_value_leaves_its_place_in_the_path_of_a_callout() {
    let worker = rule(json!({
        "from": {"query": "room"},
        "callout": {"cluster": "members", "path": "/members/{room}"},
    }));
    for (value, path) in [
        ("a%2F..%2Fb", Some("/members/a%2F..%2Fb")),
        ("%3Fx=1", Some("/members/%3Fx%3D1")),
        ("a+b", Some("/members/a%20b")),
        ("%C3%A4", Some("/members/%C3%A4")),
        (".", None),
        ("..", None),
        ("%2E%2e", None),
        ("a%0d%0ax", None),
    ] {
        let (mut pending, id, _) = worker.waits(&at(&format!("/ws?room={value}")));
        pending.on_answer(id, &yes());
        match path {
            Some(path) => {
                assert!(pending.advance().is_none());
                assert_eq!(worker.call().1.path, path);
            }
            None => assert_eq!(refusal(pending.advance().unwrap()).0, Reason::AccessDenied),
        }
    }
}
