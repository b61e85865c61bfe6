//! Which claims are taken, and what becomes of them.

use super::{claims, edge, issuer, mint, now};
use crate::client::Request;
use crate::edge::{Site, detail};
use serde_json::{Value, json};

/// Seconds.
const LEEWAY: u64 = 600;

pub(super) fn sites() -> Vec<Site> {
    let mut strict = issuer();
    strict["leeway"] = json!("10m");
    strict["required"] = json!(["exp", "sub"]);
    strict["claims"] = json!({"scope": ["chat:connect", "chat:admin"]});
    let auth = json!({
        "credentials": [{"header": "authorization"}],
        "jwt": [strict],
        "identity_headers": {"x-user-id": "sub", "x-workspace": "workspace"},
    });
    let closing = json!({"policies": [{
        "name": "closing-claims", "auth": auth,
        "handshake": {"refuse_with": "close"},
    }]});
    let document = json!({"policies": [{"name": "claims", "auth": auth}]});
    vec![Site::new("claims", document), Site::new("closing-claims", closing)]
}

fn bearer(over: &Value) -> Request {
    let token = mint(&json!({"claims": claims(over)}));
    Request::upgrade("/ws").with("authorization", format!("Bearer {token}"))
}

#[test]
fn a_token_is_good_within_its_times_and_the_leeway() {
    let edge = edge("claims");
    // Bounds on the side where time runs away from them are kept at a distance.
    for good in [
        json!({"exp": now() + 1}),
        json!({"exp": now() - LEEWAY + 120}),
        json!({"exp": now() + 600, "nbf": now(), "iat": now()}),
        json!({"nbf": now() + LEEWAY}),
        json!({"iat": now() + LEEWAY}),
        json!({"exp": 253_402_300_799_u64}),
        json!({"exp": (now() + 600) as f64 + 0.5}),
    ] {
        edge.opens(&bearer(&good));
    }
    for exp in [now() - LEEWAY, now() - LEEWAY - 1, now() - LEEWAY - 86_400, 0] {
        let answer = edge.refuses(&bearer(&json!({"exp": exp})), 401, "credentials_expired");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"wsguard\", error=\"invalid_token\"")
        );
    }
    for (bad, told) in [
        (json!({"nbf": now() + LEEWAY + 120}), "not valid yet"),
        (json!({"iat": now() + LEEWAY + 120}), "issued in the future"),
        (json!({"exp": null}), "lacks the claim `exp`"),
        (json!({"exp": (now() + 600).to_string()}), "claim `exp` has a value"),
        (json!({"exp": (now() + 600) * 1000}), "claim `exp` has a value"),
        (json!({"exp": -1}), "claim `exp` has a value"),
        (json!({"exp": 1e300}), "claim `exp` has a value"),
        (json!({"exp": [now() + 600]}), "claim `exp` has a value"),
        (json!({"nbf": "now"}), "claim `nbf` has a value"),
    ] {
        let answer = edge.refuses(&bearer(&bad), 401, "credentials_invalid");
        assert!(detail(&answer).contains(told), "{bad}: {}", detail(&answer));
    }
}

#[test]
fn issuer_audience_and_configured_claims_must_be_right() {
    let edge = edge("claims");
    for good in [
        json!({"aud": ["other", "chat"]}),
        json!({"scope": "profile chat:admin"}),
        json!({"scope": ["profile", "chat:connect"]}),
    ] {
        edge.opens(&bearer(&good));
    }
    for (bad, told) in [
        (json!({"iss": "https://evil.example"}), "issuer is not known"),
        (json!({"iss": "https://issuer.example.com/"}), "issuer is not known"),
        (json!({"iss": "HTTPS://issuer.example.com"}), "issuer is not known"),
        (json!({"iss": ["https://issuer.example.com"]}), "issuer is not known"),
        (json!({"iss": null}), "issuer is not known"),
        (json!({"aud": "other"}), "`aud` does not name"),
        (json!({"aud": "chat2"}), "`aud` does not name"),
        (json!({"aud": []}), "`aud` does not name"),
        (json!({"aud": null}), "lacks the claim `aud`"),
        (json!({"aud": {"chat": true}}), "claim `aud` has a value"),
        (json!({"sub": null}), "lacks the claim `sub`"),
        (json!({"sub": ""}), "claim `sub` has a value"),
        (json!({"sub": 7}), "claim `sub` has a value"),
        (json!({"sub": "a\r\nx-admin: 1"}), "claim `sub` has a value"),
        (json!({"scope": "chat:connect2"}), "does not grant"),
        (json!({"scope": ["chat:connect "]}), "does not grant"),
        (json!({"scope": {"chat:connect": true}}), "does not grant"),
        (json!({"scope": null}), "lacks the claim `scope`"),
    ] {
        let answer = edge.refuses(&bearer(&bad), 401, "credentials_invalid");
        let said = detail(&answer);
        assert!(said.contains(told), "{bad}: {said}");
        // What would have been right is nobody's business.
        assert!(!said.contains("chat") && !said.contains("issuer.example.com"), "{said}");
    }
}

#[test]
fn claims_become_identity_headers_unless_they_fit_none() {
    let edge = edge("claims");
    for (workspace, header) in [
        (json!("acme"), vec!["acme"]),
        (json!(42), vec!["42"]),
        (json!("a, b; c=\"d\""), vec!["a, b; c=\"d\""]),
        (json!("Zo\u{eb}"), vec!["Zo\u{eb}"]),
        (json!(""), vec![""]),
        (json!(null), vec![]),
    ] {
        let request = bearer(&json!({"workspace": workspace})).with("x-workspace", "evil");
        let head = edge.opens(&request).head;
        assert_eq!(head.all("x-workspace"), header, "{workspace}");
        assert_eq!(head.all("x-user-id"), ["alice"]);
    }
    for workspace in [
        json!("acme\r\nx-admin: 1"),
        json!("acme\n"),
        json!("a\u{0}b"),
        json!("a\u{85}b"),
        json!(" acme"),
        json!(["acme"]),
        json!({"id": 1}),
        json!(true),
    ] {
        let request = bearer(&json!({"workspace": workspace}));
        let answer = edge.refuses(&request, 401, "credentials_invalid");
        assert!(detail(&answer).contains("identity"), "{workspace}: {}", detail(&answer));
    }
}

#[test]
fn a_browser_is_told_by_close_what_is_wrong_with_its_credential() {
    let edge = edge("closing-claims");
    let expired = json!({"exp": now() - LEEWAY - 1});
    for (request, reason) in [
        (Request::upgrade("/ws"), "credentials_missing"),
        (bearer(&expired), "credentials_expired"),
        (bearer(&json!({"aud": "other"})), "credentials_invalid"),
    ] {
        for offer in [None, Some("chat, v2")] {
            let request = match offer {
                Some(offer) => request.clone().with("sec-websocket-protocol", offer),
                None => request.clone(),
            };
            let (mut client, answer) = edge.closes(&request, 1008, reason);
            assert_eq!(answer.header("sec-websocket-protocol"), offer.map(|_| "chat"));
            assert_eq!(answer.header("www-authenticate"), None);
            assert!(client.ends());
        }
    }
    edge.opens(&bearer(&json!({})));
}
