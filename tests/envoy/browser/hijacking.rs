//! Cross-site WebSocket hijacking: pages of other origins, in a browser that has
//! the user's cookie.

use super::{Browser, Pages};
use crate::TEST_API_KEY;
use crate::peers::Echo;
use crate::support::{Envoy, bootstrap_of, listener};
use crate::upstream::{Recorder, Script};
use serde_json::{Value, json};

const APP: &str = "app.localhost";
/// The same site, as browsers see it: `SameSite` holds nothing back.
const UPLOADS: &str = "uploads.app.localhost";
const EVIL: &str = "evil.localhost";

fn policy(name: &str, handshake: Value) -> Value {
    let mut listener = listener(&json!({"policies": [{
        "name": name,
        "handshake": handshake,
        "auth": {
            "credentials": [{"cookie": "session"}],
            "api_keys": [{"id": "page", "key": {"env": "TEST_API_KEY"}}],
        },
    }]}));
    listener["name"] = json!(name);
    listener
}

#[test]
fn pages_of_other_origins_are_refused_although_the_browser_sends_the_cookie() {
    let (pages, browser) = (Pages::start(), Browser::start());
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let origins = json!([pages.origin(APP)]);
    let listeners = [
        policy("http", json!({"origins": origins})),
        policy("close", json!({"origins": origins, "refuse_with": "close"})),
    ];
    let envoy = Envoy::start(&bootstrap_of(&listeners, upstream.address));
    // What shows that it is the origin that stops them: without it they'd be in.
    let echo = Echo::start();
    let all = json!([pages.origin(APP), pages.origin(UPLOADS), pages.origin(EVIL)]);
    let careless =
        Envoy::start(&bootstrap_of(&[policy("careless", json!({"origins": all}))], echo.address));

    browser.open(&pages.login(APP, &format!("session={TEST_API_KEY}; HttpOnly; SameSite=Lax")));
    for other in [EVIL, UPLOADS] {
        browser.open(&pages.page(other));
        let at = |envoy: &Envoy, name| {
            let url = format!("ws://{APP}:{}/ws", envoy.listener(name).port());
            (url, json!([]), &["say:hello"][..])
        };
        let saw =
            browser.talk(&[at(&envoy, "http"), at(&envoy, "close"), at(&careless, "careless")]);
        assert_eq!((saw[0].close(), saw[0].opened()), ((1006, ""), None), "{other}");
        assert_eq!(saw[1].close(), (1008, "origin_denied"), "{other}");
        // `SameSite` holds the cookie back from another site, and from no page of
        // its own.
        let in_the_users_name = if other == UPLOADS { vec!["hello"] } else { vec![] };
        assert_eq!(saw[2].messages(), in_the_users_name, "{other}");
    }
    assert!(upstream.seen().is_empty(), "nothing of them goes up");
    let event = envoy.event("refused", Some("origin_denied"));
    assert_eq!(event["origin"], pages.origin(EVIL));
}
