//! Services that answer for credentials: `session` and `authorize`.

use super::*;

/// A cookie session with these members over the usual ones; null removes one.
fn with_session(members: &Value, credentials: &Value) -> String {
    let mut session = json!({
        "cluster": "auth", "host": "auth.example.com", "path": "/session", "send": "cookie",
        "subject": "/user/id",
    });
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            session.as_object_mut().unwrap().remove(name);
        } else {
            session[name] = value.clone();
        }
    }
    let auth = json!({"credentials": credentials, "session": session});
    format!(r#""handshake": {{"origins": ["https://a.example"]}}, "auth": {auth}"#)
}

#[test]
fn sessions_are_read_as_they_are_written() {
    let cookie = json!([{"header": "x-a"}, {"cookie": "first"}, {"cookie": "second"}]);
    let read = |members: Value| good(&with_session(&members, &cookie)).auth.unwrap();
    let session = read(json!({})).session.unwrap();
    assert_eq!(session.send, crate::auth::Send::Cookie("first".to_owned()));
    assert_eq!((session.timeout.as_secs(), session.cache), (2, None));
    assert_eq!(session.active, "/active");
    assert_eq!((session.expires, session.authorization), (None, None));
    let auth = read(json!({
        "send": "form", "cache": "30s", "timeout": "1s", "active": "/active", "expires": "/a~1b",
    }));
    let session = auth.session.unwrap();
    assert_eq!(session.cache.map(|time| time.as_secs()), Some(30));
    assert_eq!(session.expires.as_deref(), Some("/a~1b"));
    assert!(auth.close_at_expiry, "the default");
}

#[test]
fn what_is_wrong_with_a_session_is_told() {
    let cookie = json!([{"cookie": "session"}]);
    for (members, below, says) in [
        (json!({"send": null}), ".send", "is missing"),
        (json!({"send": "header"}), ".send", "is no known word"),
        (json!({"subject": null}), ".subject", "is missing"),
        (json!({"subject": "user.id"}), ".subject", "is no JSON pointer"),
        (json!({"subject": "/a~2"}), ".subject", "is no JSON pointer"),
        (json!({"active": "active"}), ".active", "is no JSON pointer"),
        (json!({"expires": 1}), ".expires", "is a number"),
        (json!({"cache": "2h"}), ".cache", "at most 1h"),
        (json!({"cache": "0s"}), ".cache", "is 0"),
        (json!({"timeout": "1h"}), ".timeout", "at most 30s"),
        (json!({"cluster": null}), ".cluster", "is missing"),
        (json!({"path": "session"}), ".path", "begins with /"),
        (json!({"authorization": "Basic x"}), ".authorization", "is a secret written out"),
    ] {
        bad(&with_session(&members, &cookie), &format!("auth.session{below}"), says);
    }
    let both = json!({"send": "bearer", "authorization": {"env": "A_KEY"}});
    bad(&with_session(&both, &cookie), "auth.session.authorization", "where send: bearer puts");
    let none = with_session(&json!({}), &json!([{"header": "x-session"}]));
    bad(&none, "auth.session.send", "no credential stands in one");
}

fn with_rule(rule: &Value) -> String {
    let auth = json!({
        "credentials": [{"header": "x-api-key"}], "authorize": [rule],
        "api_keys": [{"id": "a", "key": {"env": "A_KEY"}}],
    });
    format!(r#""auth": {auth}"#)
}

#[test]
fn authorization_is_read_as_it_is_written() {
    use crate::auth::authorize::{Asking, Grant};
    let rule = |rule: Value| good(&with_rule(&rule)).auth.unwrap().authorize.remove(0);
    let read = rule(json!({"from": {"query": "workspaceId"}, "claim": "workspaces"}));
    assert_eq!(read.from, Asking::Query("workspaceId".to_owned()));
    assert_eq!(read.grant, Grant::Claim("workspaces".to_owned()));
    let read = rule(json!({
        "from": {"path": "/rooms/{room}"}, "callout": {"cluster": "auth", "path": "/m/{room}/{sub}"},
    }));
    let Grant::Callout(callout) = read.grant else { panic!() };
    assert_eq!((callout.cluster.as_str(), callout.host.as_str()), ("auth", "auth"));
    assert_eq!((callout.timeout.as_secs(), callout.cache), (2, None));
}

#[test]
fn what_is_wrong_with_authorization_is_told() {
    let callout = |path: &str| json!({"cluster": "auth", "path": path});
    for (rule, below, says) in [
        (json!({"claim": "rooms"}), ".from", "is missing"),
        (json!({"from": {"query": "a"}}), "", "says none of them"),
        (
            json!({"from": {"query": "a"}, "claim": "b", "callout": callout("/{a}")}),
            "",
            "says more than one",
        ),
        (json!({"from": {"query": "a", "header": "b"}, "claim": "c"}), ".from", "more than one"),
        (
            json!({"from": {"header": "connection"}, "claim": "c"}),
            ".from.header",
            "needs for itself",
        ),
        (json!({"from": {"path": "rooms"}, "claim": "c"}), ".from.path", "is no path"),
        (json!({"from": {"path": "/rooms"}, "claim": "c"}), ".from.path", "has no variable"),
        (json!({"from": {"path": "/a{b}"}, "claim": "c"}), ".from.path", "not a whole segment"),
        (
            json!({"from": {"query": "a", "when": {"/b": 1}}, "claim": "c"}),
            ".from.when",
            "beside `message` only",
        ),
        (
            json!({"from": {"query": "a"}, "callout": callout("/m/{b}")}),
            ".callout.path",
            "write {a} or {sub}",
        ),
        (
            json!({"from": {"query": "a"}, "callout": {"path": "/"}}),
            ".callout.cluster",
            "is missing",
        ),
    ] {
        bad(&with_rule(&rule), &format!("auth.authorize[0]{below}"), says);
    }
}
