//! Which values of the `Origin` header may connect.

use super::*;
use crate::handshake::Headers;
use proptest::prelude::*;

fn head(origins: &[&[u8]]) -> RequestHead {
    let line = |value: &&[u8]| ("origin".to_owned(), value.to_vec());
    let mut head = crate::handshake::fuzz::head(b"GET\n/ws\nchat.example.com");
    head.headers = Headers::new(origins.iter().map(line).collect());
    head
}

fn rules(patterns: &[&str]) -> OriginRules {
    let patterns = patterns.iter().map(|p| OriginPattern::parse(p).unwrap()).collect();
    OriginRules { patterns, allow_missing: false }
}

#[test]
fn scheme_host_and_port_decide_and_the_default_port_is_none() {
    let rules = rules(&["https://app.example.com", "http://localhost:3000"]);
    for origin in [
        "https://app.example.com",
        "HTTPS://App.Example.Com",
        "https://app.example.com:443",
        "http://localhost:3000",
    ] {
        assert_eq!(rules.judge(&head(&[origin.as_bytes()])), Ok(()), "{origin}");
    }
    for origin in [
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com:80",
        "https://example.com",
        "https://a.app.example.com",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "http://localhost",
        "https://localhost:3000",
    ] {
        let judged = rules.judge(&head(&[origin.as_bytes()]));
        assert_eq!(judged, Err(OriginDenied::NotListed), "{origin}");
    }
}

#[test]
fn what_is_no_web_origin_is_let_in_by_a_star_alone() {
    for (origin, denied) in [
        (b"app.example.com".as_slice(), OriginDenied::Malformed(OriginError::NoScheme)),
        (b"null", OriginDenied::Null),
        (b"NULL", OriginDenied::Malformed(OriginError::NoScheme)),
        (b"about:blank", OriginDenied::Malformed(OriginError::NoScheme)),
        (b"://app.example.com", OriginDenied::Malformed(OriginError::BadScheme)),
        (b"4https://app.example.com", OriginDenied::Malformed(OriginError::BadScheme)),
        (b"https://app.example.com/", OriginDenied::Malformed(OriginError::Path)),
        (b"https://app.example.com/x", OriginDenied::Malformed(OriginError::Path)),
        (b"https://app.example.com?x", OriginDenied::Malformed(OriginError::Path)),
        (b"https://app.example.com#x", OriginDenied::Malformed(OriginError::Path)),
        (b"https://app.example.com.", OriginDenied::Malformed(OriginError::TrailingDot)),
        (b"https://app.example.com.:443", OriginDenied::Malformed(OriginError::TrailingDot)),
        (b"file://", OriginDenied::Malformed(OriginError::Host(HostError::Empty))),
        (b"app://.", OriginDenied::Malformed(OriginError::Host(HostError::EmptyLabel))),
        (b"app://-", OriginDenied::NotListed),
        (b"chrome-extension://kbfnbcaeplbcioakkpcpgfkobkghlhen", OriginDenied::NotListed),
        (
            b"https://u@app.example.com",
            OriginDenied::Malformed(OriginError::Host(HostError::Userinfo)),
        ),
        (
            b"https://app.example.com:",
            OriginDenied::Malformed(OriginError::Host(HostError::BadPort)),
        ),
        (
            b"https://app.example.com\xff",
            OriginDenied::Malformed(OriginError::Host(HostError::BadCharacter)),
        ),
    ] {
        assert_eq!(rules(&["*"]).judge(&head(&[origin])), Ok(()), "{origin:?}");
        let listed = ["https://app.example.com", "https://*.example.com", "same-origin"];
        assert_eq!(rules(&listed).judge(&head(&[origin])), Err(denied), "{origin:?}");
    }
}

#[test]
fn no_rule_lets_in_several_values_or_none() {
    for (lines, denied) in [
        (&[b"".as_slice()][..], OriginDenied::Malformed(OriginError::Empty)),
        (&[b"a\x01b"], OriginDenied::Malformed(OriginError::ControlCharacter)),
        (&[b"a\x7f"], OriginDenied::Malformed(OriginError::ControlCharacter)),
        (&[b"null", b"null"], OriginDenied::MoreThanOne),
        (&[b"https://app.example.com", b""], OriginDenied::MoreThanOne),
        (&[b"https://app.example.com,https://app.example.com"], OriginDenied::MoreThanOne),
        (&[b"https://app.example.com https://app.example.com"], OriginDenied::MoreThanOne),
        (&[b"null\tnull"], OriginDenied::MoreThanOne),
        (&[b"null,"], OriginDenied::MoreThanOne),
    ] {
        for pattern in ["*", "https://app.example.com", "null"] {
            assert_eq!(rules(&[pattern]).judge(&head(lines)), Err(denied), "{lines:?}");
        }
    }
}

#[test]
fn what_is_no_web_origin_can_be_listed_and_matches_letter_by_letter() {
    for (listed, others) in [
        ("null", ["NULL", "null/", "nul"]),
        ("file://", ["file:///", "FILE://", "file://x"]),
        ("app://.", ["app://", "app://..", "App://."]),
        ("app://-", ["app://", "app://_", "app://-:443"]),
        ("chrome-extension://abc", ["chrome-extension://ABC", "moz-extension://abc", "null"]),
        (
            "capacitor://localhost",
            ["capacitor://localhost/", "capacitor://localhost.", "http://localhost"],
        ),
        (
            "https://github.com/gilmaimon/TinyWebsockets",
            [
                "https://github.com",
                "https://github.com/gilmaimon/tinywebsockets",
                "https://github.com/gilmaimon/TinyWebsockets/",
            ],
        ),
    ] {
        let rules = rules(&[listed]);
        assert_eq!(rules.judge(&head(&[listed.as_bytes()])), Ok(()), "{listed}");
        for other in others {
            assert!(rules.judge(&head(&[other.as_bytes()])).is_err(), "{listed}: {other}");
        }
    }
}

#[test]
fn a_missing_origin_is_a_choice_of_its_own() {
    assert_eq!(rules(&["*"]).judge(&head(&[])), Err(OriginDenied::Missing));
    let lenient = OriginRules { allow_missing: true, ..rules(&["same-origin"]) };
    assert_eq!(lenient.judge(&head(&[])), Ok(()));
    assert_eq!(lenient.judge(&head(&[b"https://evil.example"])), Err(OriginDenied::NotListed));
}

#[test]
fn same_origin_is_scheme_host_and_port_of_the_request() {
    let rules = rules(&["same-origin"]);
    let judge = |origin: &str, authority: &str, https| {
        let mut head = head(&[origin.as_bytes()]);
        (head.authority, head.https) = (authority.as_bytes().to_vec(), https);
        rules.judge(&head).is_ok()
    };
    assert!(judge("https://chat.example.com", "Chat.Example.com", true));
    assert!(judge("https://chat.example.com", "chat.example.com.:443", true));
    assert!(judge("http://chat.example.com:8080", "chat.example.com:8080", false));
    assert!(!judge("http://chat.example.com", "chat.example.com", true));
    assert!(!judge("https://chat.example.com", "chat.example.com", false));
    assert!(!judge("https://chat.example.com:8443", "chat.example.com", true));
    assert!(!judge("https://chat.example.com", "chat.example.com:80", true));
    assert!(!judge("https://app.example.com", "chat.example.com", true));
    assert!(!judge("https://chat.example.com", "", true));
}

#[test]
fn the_fuzz_entry_holds_on_seeds() {
    for seed in [
        "https://A.example:443",
        "null",
        "http://[::1]:80",
        "a://b/c",
        "file://",
        "App://.",
        "https://a/b",
        "*",
        "x",
        "",
    ] {
        fuzz_origin(seed.as_bytes());
    }
}

proptest! {
    #[test]
    fn any_bytes_keep_the_invariants(data: Vec<u8>) {
        fuzz_origin(&data);
    }

    #[test]
    fn likely_origins_keep_the_invariants(
        text in r"(https?|wss|x|X)://[a-cA-C1.*@]{0,8}(:[0-9]{0,5})?/?[a ,]{0,2}"
    ) {
        fuzz_origin(text.as_bytes());
    }
}
