//! `handshake`.

use super::*;

#[test]
fn words_are_the_contracts() {
    let read = |members: &str| good(&format!(r#""handshake": {{{members}}}"#)).handshake;
    assert_eq!(read(r#""tls": "required""#).tls, TlsRule::Required);
    assert_eq!(read(r#""tls": "redirect""#).tls, TlsRule::Redirect);
    assert_eq!(read(r#""tls": "optional""#).tls, TlsRule::Optional);
    assert_eq!(read(r#""compression": "reject""#).compression, Compression::Reject);
    assert_eq!(read(r#""compression": "strip""#).compression, Compression::Strip);
    assert_eq!(read(r#""plain_http": "pass""#).plain_http, PlainHttp::Pass);
    assert_eq!(read(r#""plain_http": "reject""#).plain_http, PlainHttp::Reject);
    assert_eq!(read(r#""refuse_with": "close""#).refuse_with, RefuseWith::Close);
    assert_eq!(read(r#""refuse_with": "http""#).refuse_with, RefuseWith::Http);
    assert_eq!(read(r#""compression": "inspect""#).compression, Compression::Inspect);
    assert_eq!(read(r#""upstream": "http1""#).upstream, Upstream::Http1);
    assert_eq!(read(r#""upstream": "http2""#).upstream, Upstream::Http2);
    assert_eq!(read(r#""tls": "optional""#).upstream, Upstream::Http1);
    let timeout = |members| read(members).upstream_timeout.as_millis();
    assert_eq!(timeout(r#""tls": "optional""#), 15_000);
    assert_eq!(timeout(r#""upstream_timeout": "500ms""#), 500);
    assert_eq!(good("").handshake.upstream_timeout.as_secs(), 15);
    let allowed = read(r#""origins": ["https://a.example"], "missing_origin": "allow""#);
    assert!(allowed.origins.unwrap().allow_missing);
    for (member, words) in [
        ("tls", "`optional`, `required` or `redirect`"),
        ("compression", "`strip`, `inspect` or `reject`"),
        ("plain_http", "`reject` or `pass`"),
        ("refuse_with", "`http` or `close`"),
        ("upstream", "`http1` or `http2`"),
    ] {
        let members = format!(r#""handshake": {{"{member}": "never"}}"#);
        bad(&members, &format!("handshake.{member}"), &format!("is no known word; write {words}"));
    }
}

#[test]
fn upstream_has_a_time_that_is_not_nothing() {
    for (written, says) in [
        (r#""0s""#, "is 0"),
        ("15", "write a number with its unit"),
        (r#""15""#, "is no duration"),
        (r#""8785h""#, "8784h"),
        ("null", "has no value"),
    ] {
        let members = format!(r#""handshake": {{"upstream_timeout": {written}}}"#);
        bad(&members, "handshake.upstream_timeout", says);
    }
    let members = r#""handshake": {"upstream_timeouts": "15s"}"#;
    bad(members, "handshake.upstream_timeouts", "did you mean `upstream_timeout`?");
}

#[test]
fn missing_origin_alone_would_have_no_effect() {
    bad(
        r#""handshake": {"missing_origin": "allow"}"#,
        "handshake.missing_origin",
        "has no effect without `origins`",
    );
    // The misspelt key is the mistake, not what follows from it.
    bad(
        r#""handshake": {"missing_origin": "allow", "origns": ["https://a.example"]}"#,
        "handshake.origns",
        "did you mean `origins`?",
    );
    bad(
        r#""handshake": {"missing_origin": "allow", "origins": []}"#,
        "handshake.origins",
        "is an empty list",
    );
}

#[test]
fn origins_and_subprotocols_are_lists_without_repetition() {
    for (member, items) in [
        ("origins", r#"["https://a.example", "https://b.example", "https://a.example"]"#),
        ("subprotocols", r#"["a", "b", "a"]"#),
        ("user_agents_denied", r#"["a", "b", "a"]"#),
    ] {
        bad(
            &format!(r#""handshake": {{"{member}": {items}}}"#),
            &format!("handshake.{member}[2]"),
            &format!("says the same as policies[0].handshake.{member}[0]"),
        );
        bad(
            &format!(r#""handshake": {{"{member}": []}}"#),
            &format!("handshake.{member}"),
            "is an empty list",
        );
        bad(
            &format!(r#""handshake": {{"{member}": [""]}}"#),
            &format!("handshake.{member}[0]"),
            "is an empty text",
        );
    }
    for no_token in ["a b", "a,b", "ü", "a/b", "{}"] {
        bad(
            &format!(r#""handshake": {{"subprotocols": ["{no_token}"]}}"#),
            "handshake.subprotocols[0]",
            "holds characters that HTTP allows in no name",
        );
    }
}

#[test]
fn addresses_are_networks_or_single_addresses() {
    let read = good(
        r#""handshake": {"addresses": {"allow": ["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"],
            "deny": ["2001:db8::1"]}}"#,
    );
    let networks = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        read.handshake.addresses.allow,
        Some(networks(&["10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32"]))
    );
    assert_eq!(read.handshake.addresses.deny, networks(&["2001:db8::1/128"]));
    for (network, says) in [
        ("10.0.0.0/33", "is no IP network; write one like 10.0.0.0/8"),
        ("10.0.0", "is no IP network"),
        ("example.com", "is no IP network"),
        ("10.1.2.3/8", "has bits set behind its prefix; write 10.0.0.0/8"),
        ("2001:db8::1/32", "has bits set behind its prefix; write 2001:db8::/32"),
        ("::ffff:10.0.0.0/104", "is IPv4 written as IPv6"),
        ("::ffff:10.0.0.1", "is IPv4 written as IPv6"),
        ("", "is an empty text"),
    ] {
        for list in ["allow", "deny"] {
            bad(
                &format!(r#""handshake": {{"addresses": {{"{list}": ["{network}"]}}}}"#),
                &format!("handshake.addresses.{list}[0]"),
                says,
            );
        }
    }
    bad(
        r#""handshake": {"addresses": {"deny": ["192.0.2.7", "192.0.2.7/32"]}}"#,
        "handshake.addresses.deny[1]",
        "says the same as policies[0].handshake.addresses.deny[0]",
    );
    bad(r#""handshake": {"addresses": {"allow": []}}"#, "handshake.addresses.allow", "empty list");
    bad(r#""handshake": {"addresses": ["10.0.0.0/8"]}"#, "handshake.addresses", "is a list");
}

#[test]
fn user_agents_are_patterns_searched_in_any_bytes() {
    let read =
        good(r#""handshake": {"user_agents_denied": ["^curl/", "(?i)nikto", "(?-u)\\xff"]}"#);
    let denied = read.handshake.user_agents_denied.unwrap();
    assert!(denied.is_match(b"curl/8") && denied.is_match(b"a NIKTO b"));
    assert!(denied.is_match(b"not utf-8: \xff"));
    assert!(!denied.is_match(b"x curl/8"));
    let two = errors(&policy(r#""handshake": {"user_agents_denied": ["ok", "(", "a{2,1}"]}"#));
    let linear = "correct it (there are no look-around and no back-references, so that matching \
                  stays linear)";
    let path = "policies[0].handshake.user_agents_denied";
    assert_eq!(
        two,
        [
            format!("{path}[1]: is no regular expression: unclosed group; {linear}"),
            format!(
                "{path}[2]: is no regular expression: invalid repetition count range, the start \
                 must be <= the end; {linear}"
            ),
        ]
    );
    bad(
        r#""handshake": {"user_agents_denied": ["((\\w{1000}){1000}){1000}"]}"#,
        "handshake.user_agents_denied[0]",
        "the patterns cost more than 80 steps a byte together; the dearest one costs more than is counted",
    );
}

#[test]
fn same_origin_needs_hosts_that_are_ones_own() {
    let origins = r#""handshake": {"origins": ["https://app.example.com", "same-origin"]}"#;
    let with = |matched: &str| format!(r#""match": {matched}, {origins}"#);
    for hosts in [r#"["chat.example.com"]"#, r#"["*.example.com"]"#, r#"["127.0.0.1"]"#] {
        good(&with(&format!(r#"{{"hosts": {hosts}}}"#)));
    }
    let (at, says) = ("handshake.origins[1]", "DNS rebinding");
    bad(origins, at, says);
    bad(&with("{}"), at, says);
    bad(&with(r#"{"paths": ["/ws"]}"#), at, "write match.hosts");
    for anybodys in [r#"["*.com"]"#, r#"["chat.example.com", "*.example"]"#] {
        bad(&with(&format!(r#"{{"hosts": {anybodys}}}"#)), at, says);
    }
    // What is wrong with the hosts is the only thing to tell.
    bad(&with(r#"{"hosts": ["a b"]}"#), "match.hosts[0]", "character");
    bad(&with(r#"{"host": ["a.example"]}"#), "match.host", "hosts");
    let stream = r#"{"filter": "stream", "policies": [
        {"name": "a", "handshake": {"origins": ["same-origin"]}}]}"#;
    assert!(errors(stream)[0].starts_with("policies[0].handshake.origins[0]: "));
}

#[test]
fn exact_is_of_paths() {
    assert!(!good(r#""match": {"paths": ["/ws"]}"#).exact);
    assert!(good(r#""match": {"paths": ["/ws"], "exact": true}"#).exact);
    assert!(!good(r#""match": {"paths": ["/ws"], "exact": false}"#).exact);
    bad(r#""match": {"exact": true}"#, "match.exact", "has no effect without `paths`");
    bad(r#""match": {"paths": ["/ws"], "exact": "yes"}"#, "match.exact", "true or false");
}
