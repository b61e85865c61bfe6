//! Who may connect: addresses, TLS, origins, user agents.

use super::edge;
use crate::client::{Client, Request};
use crate::edge::Site;
use serde_json::{Value, json};

pub(super) fn sites() -> Vec<Site> {
    vec![
        Site::new(
            "addresses",
            policies(json!({
                "ours": {"addresses": {"allow": ["127.0.0.0/8"]}},
                "theirs": {"addresses": {"allow": ["10.0.0.0/8", "2001:db8::/32"]}},
                "denied": {"addresses": {"deny": ["127.0.0.1/32"]}},
                "but": {"addresses": {"allow": ["127.0.0.0/8"], "deny": ["127.0.0.1"]}},
                "elsewhere": {"addresses": {"deny": ["10.0.0.0/8"]}},
            })),
        ),
        Site::new(
            "tls",
            policies(json!({
                "optional": {"tls": "optional"},
                "required": {"tls": "required"},
                "redirect": {"tls": "redirect"},
            })),
        ),
        Site::new(
            "origins",
            policies(json!({
                "listed": {"origins": ["https://app.example.com", "https://*.pages.example.com:8443"]},
                "same": {"origins": ["same-origin"]},
                "any": {"origins": ["*"]},
                "lenient": {"origins": ["https://app.example.com"], "missing_origin": "allow"},
                "unchecked": {},
            })),
        ),
        Site::new(
            "agents",
            policies(json!({
                "ws": {"user_agents_denied": ["(?i)sqlmap|nikto", "^curl/"]},
            })),
        ),
    ]
}

/// One policy for each of these handshake rules, at the path of its name.
fn policies(rules: Value) -> Value {
    let policies: Vec<Value> = rules
        .as_object()
        .unwrap()
        .iter()
        .map(|(name, rules)| {
            let mut matched = json!({"paths": [format!("/{name}")]});
            if rules["origins"] == json!(["same-origin"]) {
                matched["hosts"] = json!(["chat.example.com"]);
            }
            json!({"name": name, "match": matched, "handshake": rules})
        })
        .collect();
    json!({"policies": policies})
}

/// Headers in which proxies tell the client's address, and clients lie.
const ADDRESS_HEADERS: [&str; 5] =
    ["x-forwarded-for", "x-real-ip", "x-envoy-external-address", "forwarded", "true-client-ip"];

#[test]
fn addresses_are_the_connections_whatever_a_header_says() {
    let edge = edge("addresses");
    let plain = |path: &str| Request::upgrade(path);
    let spoofed = |path: &str, address: &str| {
        let request = Request::upgrade(path);
        ADDRESS_HEADERS.iter().fold(request, |r, name| r.with(name, address))
    };
    for path in ["/ours", "/elsewhere"] {
        edge.opens(&plain(path));
        edge.opens(&spoofed(path, "10.1.2.3"));
    }
    for path in ["/theirs", "/denied", "/but"] {
        edge.refuses(&plain(path), 403, "address_denied");
        for address in ["10.1.2.3", "2001:db8::1", "10.1.2.3, 127.0.0.1", "127.0.0.2", "\"", ""] {
            // The refusal's event names 127.0.0.1 too.
            edge.refuses(&spoofed(path, address), 403, "address_denied");
        }
        edge.refuses(
            &spoofed(path, "10.1.2.3").with("x-forwarded-for", "10.1.2.4"),
            403,
            "address_denied",
        );
    }
}

#[test]
fn without_tls_only_the_rule_decides() {
    let edge = edge("tls");
    let claims = |request: Request| {
        request
            .with("x-forwarded-proto", "https")
            .with("x-forwarded-scheme", "https")
            .with("x-forwarded-ssl", "on")
            .with("x-forwarded-port", "443")
            .with("forwarded", "proto=https")
    };
    edge.opens(&Request::upgrade("/optional"));
    edge.refuses(&Request::upgrade("/required"), 403, "tls_required");
    edge.refuses(&claims(Request::upgrade("/required")), 403, "tls_required");
    for (target, location) in [
        ("/redirect", "https://chat.example.com/redirect"),
        ("//redirect?room=1&b=%0a", "https://chat.example.com/redirect?room=1&b=%0a"),
    ] {
        let request = claims(Request::upgrade(target).set("host", "Chat.example.com.:8080"));
        let request = edge.marked(&request);
        let (_, answer) = Client::ask(edge.address, &request);
        assert_eq!(answer.status, 308);
        assert_eq!(answer.header("location"), Some(location));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(edge.refusal(&request, "tls_required")["policy"], "redirect");
    }
    // A target in absolute form could name another scheme than the connection's.
    for path in ["/required", "/redirect", "/optional"] {
        edge.stops(&Request::upgrade(&format!("https://chat.example.com{path}")).bytes(), 403);
    }
}

#[test]
fn origins_are_compared_by_scheme_host_and_port() {
    let edge = edge("origins");
    let from = |path: &str, origin: &str| Request::upgrade(path).with("origin", origin);
    for (path, origin) in [
        ("/listed", "https://app.example.com"),
        ("/listed", "HTTPS://App.Example.com"),
        ("/listed", "https://app.example.com:443"),
        ("/listed", "https://a.pages.example.com:8443"),
        ("/listed", "https://a.b.pages.example.com:8443"),
        ("/same", "http://chat.example.com"),
        ("/same", "http://chat.example.com:80"),
        ("/any", "https://evil.example"),
        ("/any", "null"),
        ("/lenient", "https://app.example.com"),
        ("/unchecked", "https://evil.example"),
        ("/unchecked", "\u{e4}"),
    ] {
        edge.opens(&from(path, origin));
    }
    for path in ["/lenient", "/unchecked"] {
        edge.opens(&Request::upgrade(path));
    }
    for (path, origin) in [
        ("/listed", "https://evil.example"),
        ("/listed", "http://app.example.com"),
        ("/listed", "https://app.example.com:8443"),
        ("/listed", "https://app.example.com."),
        ("/listed", "https://app.example.com/"),
        ("/listed", "https://app.example.com.evil.example"),
        ("/listed", "https://evil.example/https://app.example.com"),
        ("/listed", "https://user@app.example.com"),
        ("/listed", "https://xapp.example.com"),
        ("/listed", "https://pages.example.com:8443"),
        ("/listed", "https://a.pages.example.com"),
        ("/listed", "https://a.pages.example.com.evil.example:8443"),
        ("/listed", "https://.pages.example.com:8443"),
        ("/listed", "null"),
        ("/listed", ""),
        ("/listed", "app.example.com"),
        ("/listed", "https://app.example.com, https://app.example.com"),
        ("/listed", "https://app.example.com https://app.example.com"),
        ("/same", "https://chat.example.com"),
        ("/same", "http://chat.example.com:8080"),
        ("/same", "http://other.example.com"),
        ("/same", "null"),
        ("/any", "https://a, https://b"),
        ("/lenient", "null"),
        ("/lenient", ""),
    ] {
        edge.refuses(&from(path, origin), 403, "origin_denied");
    }
    for path in ["/listed", "/same", "/any"] {
        edge.refuses(&Request::upgrade(path), 403, "origin_denied");
    }
    let twice =
        from("/listed", "https://app.example.com").with("origin", "https://app.example.com");
    edge.refuses(&twice, 403, "origin_denied");
    let no_text = Request::upgrade("/listed").with("origin", b"https://app.example.com\x80");
    edge.refuses(&no_text, 403, "origin_denied");
}

#[test]
fn a_denied_user_agent_is_found_in_any_case_and_any_bytes() {
    let edge = edge("agents");
    let agent = |value: &[u8]| Request::upgrade("/ws").with("user-agent", value);
    for good in [&b"Mozilla/5.0"[..], b"libcurl/8", b"\x80\xff\xfe", b"", b"nikt\xc3\xb6"] {
        edge.opens(&agent(good));
    }
    edge.opens(&Request::upgrade("/ws"));
    for bad in [&b"sqlmap/1.8"[..], b"SQLMap", b"a NIKTO b", b"curl/8.5", b"\x80\xffsqlmap\xfe\xfe"]
    {
        edge.refuses(&agent(bad), 403, "user_agent_denied");
    }
    let second = agent(b"Mozilla/5.0").with("user-agent", "sqlmap/2");
    let (_, answer) = Client::ask(edge.address, &second);
    assert_eq!(answer.reason(), "user_agent_denied", "on any line");
}
