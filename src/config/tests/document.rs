//! The document's own keys, and policies side by side.

use super::*;

#[test]
fn a_document_is_an_object_with_policies() {
    assert_eq!(errors("[]"), ["document: is a list; write an object (keys and values)"]);
    assert_eq!(errors("null"), ["document: has no value (null); write one, or remove the key"]);
    let missing = "policies: is missing; write a list with one policy at least";
    assert_eq!(errors("{}"), [missing]);
    let empty = "policies: is an empty list; write an item, or remove the key";
    assert_eq!(errors(r#"{"policies": []}"#), [empty]);
    let no_list = "policies: is an object (keys and values); write a list";
    assert_eq!(errors(r#"{"policies": {}}"#), [no_list]);
}

#[test]
fn every_key_is_known_or_an_error() {
    assert_eq!(
        errors(r#"{"polices": [{"name": "chat"}]}"#),
        ["polices: is no known key; did you mean `policies`?"]
    );
    bad(
        r#""origins": ["*"]"#,
        "origins",
        "is no known key; known here: name, mode, match, handshake, auth, quotas, client, server, \
         lifetime, bans",
    );
    bad(r#""mtch": {"paths": ["/ws"]}"#, "mtch", "did you mean `match`?");
}

#[test]
fn a_member_that_stands_twice_is_an_error() {
    let twice = r#"{"mode": "report", "policies": [{"name": "chat"}], "mode": "enforce"}"#;
    assert_eq!(errors(twice), ["mode: stands twice in the same object; keep one"]);
    bad(r#""client": {"types": ["text"], "types": ["binary"]}"#, "client.types", "stands twice");
    bad(r#""name": "chat""#, "name", "stands twice");
}

#[test]
fn a_key_without_a_value_is_an_error_that_says_so() {
    for members in [r#""mode": null"#, r#""match": null"#, r#""auth": null"#, r#""client": null"#] {
        let key = members.split('"').nth(1).unwrap();
        bad(members, key, "has no value (null); write one, or remove the key");
    }
    bad(r#""match": {"hosts": [null]}"#, "match.hosts[0]", "has no value (null)");
    bad(r#""client": {"max_frame": null}"#, "client.max_frame", "has no value (null)");
}

#[test]
fn words_are_the_contracts() {
    let config = |member: &str| {
        parse(&format!(r#"{{{member}, "policies": [{{"name": "chat"}}]}}"#))
            .map_err(|e| e.to_string())
    };
    assert_eq!(config(r#""mode": "report""#).unwrap().mode, Mode::Report);
    assert_eq!(config(r#""mode": "report""#).unwrap().policies[0].mode, Mode::Report);
    assert_eq!(config(r#""unmatched": "pass""#).unwrap().unmatched, Unmatched::Pass);
    assert_eq!(config(r#""filter": "http""#).unwrap().filter, FilterKind::Http);
    assert_eq!(config(r#""filter": "stream""#).unwrap().filter, FilterKind::Stream);
    assert_eq!(config(r#""mode": "enforce""#).unwrap().filter, FilterKind::Http);
    for (member, error) in [
        (r#""filter": "tcp""#, "filter: is no known word; write `http` or `stream`"),
        (r#""mode": "Report""#, "mode: is no known word; write `enforce` or `report`"),
        (r#""unmatched": "deny""#, "unmatched: is no known word; write `reject` or `pass`"),
        (
            r#""mode": false"#,
            "mode: is true or false; write a word, in quotes where it is one like yes, no, on or \
             off",
        ),
        (r#""quotas": null"#, "quotas: has no value (null); write one, or remove the key"),
    ] {
        assert_eq!(config(member).unwrap_err(), error);
    }
}

#[test]
fn the_stream_filter_answers_nothing_and_lets_nothing_by() {
    let told = |unmatched: &str, members: &str| {
        let text = format!(
            r#"{{"filter": "stream", "unmatched": "{unmatched}",
                "policies": [{{"name": "a", "handshake": {{{members}}}}}]}}"#
        );
        assert!(errors(&text.replace(r#""stream""#, r#""http""#)).is_empty(), "{text}");
        errors(&text)
    };
    assert_eq!(told("reject", r#""tls": "required""#), [""; 0]);
    let unguarded = "does not go with filter: stream, where the first request on a connection must \
                     be an accepted upgrade; write `reject`";
    assert_eq!(told("pass", ""), [format!("unmatched: {unguarded}")]);
    assert_eq!(
        told("reject", r#""plain_http": "pass""#),
        [format!("policies[0].handshake.plain_http: {unguarded}")]
    );
    let answers = "does not go with filter: stream, which can answer nothing before upstream has: \
                   a refused handshake is a closed connection; write";
    assert_eq!(
        told("reject", r#""refuse_with": "close", "tls": "redirect""#),
        [
            format!("policies[0].handshake.refuse_with: {answers} `http`"),
            format!("policies[0].handshake.tls: {answers} `required`"),
        ]
    );
    let http2 = "does not go with filter: stream, which sends upstream what the client speaks, \
                 HTTP/1.1; write `http1`";
    assert_eq!(
        told("reject", r#""upstream": "http2""#),
        [format!("policies[0].handshake.upstream: {http2}")]
    );
}

#[test]
fn a_policys_mode_goes_over_the_documents() {
    let document = r#"{"mode": "report", "policies": [
        {"name": "a", "mode": "enforce", "match": {"paths": ["/a"]}}, {"name": "b"}]}"#;
    let modes: Vec<_> = parse(document).unwrap().policies.iter().map(|p| p.mode).collect();
    assert_eq!(modes, [Mode::Enforce, Mode::Report]);
}

#[test]
fn held_bytes_are_bounded() {
    let config = |size: &str| {
        parse(&format!(
            r#"{{"limits": {{"buffered_per_worker": {size}}}, "policies": [{{"name": "chat"}}]}}"#
        ))
        .map(|config| config.buffered_per_worker_bytes)
        .map_err(|e| e.to_string())
    };
    assert_eq!(config(r#""1GiB""#), Ok(1 << 30));
    assert_eq!(config("1.048576e6"), Ok(1 << 20));
    for (size, says) in [
        (r#""2GiB""#, "is too large; write at most 1GiB"),
        ("0", "is 0, which would let nothing pass"),
        (r#""0MiB""#, "is 0, which would let nothing pass"),
        ("-1", "is negative"),
        ("1.5", "has a fraction"),
        (r#""256""#, "is no size"),
        (r#""256MB""#, "is no size"),
        ("1e300", "is too large to be meant"),
        ("true", "is true or false; write bytes as a number, or a size like \"64KiB\""),
    ] {
        let error = config(size).unwrap_err();
        assert!(error.starts_with("limits.buffered_per_worker: "), "{error}");
        assert!(error.contains(says), "{error}");
    }
}

#[test]
fn an_addresss_share_of_held_bytes_fits_its_messages_and_the_workers() {
    let config = |limits: &str, policies: &str| {
        let policies = if policies.is_empty() { r#"{"name": "chat"}"# } else { policies };
        let document = format!(r#"{{"limits": {{{limits}}}, "policies": [{policies}]}}"#);
        parse(&document).map(|config| config.buffered_per_ip_bytes).map_err(|e| e.to_string())
    };
    let large = r#"{"name": "b", "match": {"paths": ["/b"]}, "server": {"max_message": "16MiB"}},
        {"name": "a"}"#;
    // Without it: an eighth, four messages, or all.
    for (worker, policies, bytes) in [
        ("1GiB", "", 128 << 20),
        ("16MiB", "", 4 << 20),
        ("3MiB", "", 3 << 20),
        ("8KiB", "", 8 << 10),
        ("256MiB", large, 64 << 20),
    ] {
        let limits = format!(r#""buffered_per_worker": "{worker}""#);
        assert_eq!(config(&limits, policies), Ok(bytes), "{worker}");
    }
    assert_eq!(config(r#""buffered_per_ip": "256MiB""#, ""), Ok(256 << 20));
    assert_eq!(config(r#""buffered_per_ip": "2MiB""#, ""), Ok(2 << 20));
    assert_eq!(config(r#""buffered_per_ip": "32MiB""#, large), Ok(32 << 20));
    let below = "is less than two messages of the largest max_message";
    let above = "is above buffered_per_worker";
    for (limits, policies, says) in [
        (r#""buffered_per_ip": 2097151"#, "", below),
        (r#""buffered_per_ip": "31MiB""#, large, below),
        (r#""buffered_per_ip": "257MiB""#, "", above),
        (r#""buffered_per_worker": "8MiB", "buffered_per_ip": "9MiB""#, "", above),
        (r#""buffered_per_ip": 0"#, "", "is 0, which would let nothing pass"),
        (r#""buffered_per_ip": "2GiB""#, "", "is too large; write at most 1GiB"),
        (r#""buffered_per_ip": "2""#, "", "is no size"),
    ] {
        let error = config(limits, policies).unwrap_err();
        assert!(error.starts_with("limits.buffered_per_ip: ") && error.contains(says), "{error}");
    }
}

#[test]
fn names_are_there_unique_and_fit_for_metrics() {
    let missing = "policies[0].name: is missing; write one that is unique, for metrics and events";
    assert_eq!(errors(r#"{"policies": [{}]}"#), [missing]);
    let misspelt = "policies[0].nmae: is no known key; did you mean `name`?";
    assert_eq!(errors(r#"{"policies": [{"nmae": "chat"}]}"#), [misspelt]);
    for (name, says) in [
        (r#""Chat""#, "is no name; write 1 to 64 of the characters a-z, 0-9, _ and -"),
        (r#""""#, "is an empty text"),
        (r#""a\nb""#, "holds a control character"),
        (r#"" a""#, "begins or ends with white space"),
        ("1", "is a number; write a text"),
    ] {
        let told = errors(&format!(r#"{{"policies": [{{"name": {name}}}]}}"#));
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with(&format!("policies[0].name: {says}")), "{}", told[0]);
    }
    let twice = r#"{"policies": [{"name": "a", "match": {"paths": ["/a"]}}, {"name": "a"}]}"#;
    assert_eq!(errors(twice), ["policies[1].name: says the same as policies[0].name; keep one"]);
}

#[test]
fn lifetimes_are_durations_and_a_heartbeat_needs_push() {
    let read = good(
        r#""lifetime": {"idle": "90s", "max": "12h", "ping_counts": true, "push": true,
            "heartbeat": "30s"}"#,
    )
    .lifetime;
    assert_eq!((read.idle.as_secs(), read.max.unwrap().as_secs()), (90, 43_200));
    assert!(read.ping_counts && read.heartbeat.unwrap().as_secs() == 30);
    assert_eq!(good("").lifetime.idle.as_secs(), 300);
    for (members, path, says) in [
        (r#""idle": "0s""#, "idle", "is 0"),
        (r#""idle": 5"#, "idle", "is a number; write a number with its unit, like \"15m\""),
        (r#""max": "12""#, "max", "write"),
        (r#""heartbeat": "30s""#, "heartbeat", "needs lifetime.push"),
        (r#""heartbeat": "30s", "push": false"#, "heartbeat", "needs lifetime.push"),
    ] {
        bad(&format!(r#""lifetime": {{{members}}}"#), &format!("lifetime.{path}"), says);
    }
}

#[test]
fn push_is_for_the_http_filter() {
    assert!(!good("").lifetime.push);
    assert!(good(r#""lifetime": {"push": true}"#).lifetime.push);
    bad(r#""lifetime": {"push": "yes"}"#, "lifetime.push", "is a text; write true or false");
    let stream = |push: bool| {
        errors(&format!(
            r#"{{"filter": "stream", "policies": [{{"name": "a", "lifetime": {{"push": {push}}}}}]}}"#
        ))
    };
    assert_eq!(stream(false), Vec::<String>::new());
    let [told] = stream(true).try_into().unwrap();
    assert!(told.starts_with("policies[0].lifetime.push: does not go with filter: stream"));
}

/// Both directions are read alike, by what is said of each.
#[test]
fn client_and_server_have_the_same_keys_and_defaults() {
    let policy = good(r#""client": {"max_message": 10}, "server": {"max_message": 20}"#);
    assert_eq!((policy.client.max_message_bytes, policy.server.max_message_bytes), (10, 20));
    let policy = good(r#""client": {"max_message": 10}"#);
    assert_eq!(policy.server.max_message_bytes, 1 << 20);
    bad(r#""server": {"max_mesage": 1}"#, "server.max_mesage", "did you mean `max_message`?");
}

#[test]
fn what_a_policy_matches_is_not_empty_and_not_said_twice() {
    let matched = good(r#""match": {"hosts": ["a.example.com"], "paths": ["/a", "/b"]}"#);
    assert_eq!((matched.hosts.len(), matched.paths.len()), (1, 2));
    for (members, path, says) in [
        (r#""match": {"hosts": []}"#, "match.hosts", "is an empty list; write an item"),
        (r#""match": {"paths": []}"#, "match.paths", "is an empty list; write an item"),
        (r#""match": {"paths": [""]}"#, "match.paths[0]", "is an empty text"),
        (r#""match": {"paths": "/ws"}"#, "match.paths", "is a text; write a list"),
        (r#""match": {"path": ["/ws"]}"#, "match.path", "did you mean `paths`?"),
        (r#""match": {"hosts": ["a\tb"]}"#, "match.hosts[0]", "holds a control character"),
        (
            r#""match": {"hosts": ["a.example", "b.example", "a.example"]}"#,
            "match.hosts[2]",
            "says the same as policies[0].match.hosts[0]; keep one",
        ),
        (
            r#""match": {"paths": ["/a", "/a"]}"#,
            "match.paths[1]",
            "says the same as policies[0].match.paths[0]; keep one",
        ),
    ] {
        bad(members, path, says);
    }
}

#[test]
fn a_policy_that_is_never_reached_is_an_error() {
    let told = |first: &str, second: &str| {
        errors(&format!(r#"{{"policies": [{{"name": "a"{first}}}, {{"name": "b"{second}}}]}}"#))
    };
    let never = "policies[1]: is never reached, since policies[0] matches all of it before; \
                 remove it, or put it first and make its match narrower";
    for (first, second) in [
        ("", ""),
        ("", r#", "match": {"paths": ["/b"]}"#),
        (
            r#", "match": {"paths": ["/b"]}"#,
            r#", "match": {"hosts": ["b.example"], "paths": ["/b"]}"#,
        ),
        (r#", "match": {"paths": ["/a", "/b"]}"#, r#", "match": {"paths": ["/b", "/a"]}"#),
    ] {
        assert_eq!(told(first, second), [never], "{first} {second}");
    }
    for (first, second) in [
        (r#", "match": {"paths": ["/b"]}"#, ""),
        (r#", "match": {"hosts": ["b.example"]}"#, r#", "match": {"paths": ["/b"]}"#),
        (
            r#", "match": {"hosts": ["a.example"], "paths": ["/b"]}"#,
            r#", "match": {"paths": ["/b"]}"#,
        ),
    ] {
        assert_eq!(told(first, second), [""; 0], "{first} {second}");
    }
    // What the first one matches is not known, so nothing follows from it.
    let typo = told(r#", "mtch": {"paths": ["/a"]}"#, "");
    assert_eq!(typo, ["policies[0].mtch: is no known key; did you mean `match`?"]);
    let typo = told(r#", "match": {"path": ["/a"]}"#, "");
    assert_eq!(typo, ["policies[0].match.path: is no known key; did you mean `paths`?"]);
    let wrong = told(r#", "match": {"paths": 1}"#, "");
    assert_eq!(wrong, ["policies[0].match.paths: is a number; write a list"]);
}

#[test]
fn lists_are_bounded() {
    let hosts: Vec<_> = (0..=10_000).map(|n| format!("\"h{n}.example\"")).collect();
    let list = |hosts: &[String]| format!(r#""match": {{"hosts": [{}]}}"#, hosts.join(","));
    assert_eq!(good(&list(&hosts[..10_000])).hosts.len(), 10_000);
    bad(&list(&hosts), "match.hosts", "has more than 10000 items");
}
