//! Identity and credential headers in other spellings: a server that makes
//! environment variables of headers (lighttpd for CGI, RFC 3875 §4.1.18) reads
//! whatever is no letter or digit as `_`.

use crate::client::{Client, Request};
use crate::support::{Envoy, bootstrap, stream_listener, wait_for};
use crate::upstream::{Recorder, Script};
use crate::{TEST_API_KEY, by_api_key};
use serde_json::{Value, json};

/// `x-user-id`, as only such a server reads it.
const SPELLINGS: [&str; 12] = [
    "X.User.Id",
    "x~user~id",
    "x.user-id",
    "x_user.id",
    "X!User!Id",
    "x|user|id",
    "x`user`id",
    "x^user_id",
    "x#user$id",
    "x%user&id",
    "x*user+id",
    "x'user-id",
];

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

fn policy() -> Value {
    let mut auth = by_api_key();
    auth["identity_headers"] = json!({"x-user-id": "sub"});
    json!({"name": "auth", "match": {"paths": ["/auth"]}, "auth": auth})
}

/// What a CGI program has in its environment by this name.
fn variable(head: &str, name: &str) -> Vec<String> {
    let lines = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    lines
        .filter(|(n, _)| format!("HTTP_{}", n.chars().map(fold).collect::<String>()) == name)
        .map(|(_, value)| value.trim().to_owned())
        .collect()
}

/// The head that upstream sees of a request.
fn seen(recorder: &Recorder, address: std::net::SocketAddr, request: &Request) -> String {
    let before = recorder.seen().len();
    let (_client, answer) = Client::ask(address, request);
    assert_eq!(answer.status, 101, "{request:?} {answer:?}");
    wait_for("upstream to see it", || recorder.seen().get(before).map(|seen| seen.head.clone()))
}

/// Each alone and twice, with all others, in small letters and capitals.
fn forged(request: &Request) -> Vec<Request> {
    let twice = |request: Request, name: &str| request.with(name, "eve").with(name, "eve");
    let one = SPELLINGS.iter().map(|name| twice(request.clone(), &name.to_uppercase()));
    let all = SPELLINGS.iter().fold(request.clone(), |request, name| twice(request, name));
    one.chain([all]).collect()
}

#[test]
fn upstream_reads_no_identity_that_a_client_made_up() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let open = json!({"name": "open", "match": {"paths": ["/open"]}});
    let envoy = Envoy::start(&bootstrap(
        &json!({"unmatched": "pass", "policies": [policy(), open]}),
        recorder.address,
    ));
    let with_key = Request::upgrade("/auth").with("x-api-key", TEST_API_KEY);
    for request in forged(&with_key) {
        let head = seen(&recorder, envoy.address(), &request);
        assert_eq!(variable(&head, "HTTP_X_USER_ID"), ["key:robot"], "{head}");
    }
    for path in ["/open", "/unmatched"] {
        for request in forged(&Request::upgrade(path)) {
            let head = seen(&recorder, envoy.address(), &request);
            assert!(variable(&head, "HTTP_X_USER_ID").is_empty(), "{path}: {head}");
        }
    }
}

#[test]
fn nor_of_a_plain_request() {
    let recorder = Recorder::start(Script::Raw(OK));
    let envoy = Envoy::start(&bootstrap(&json!({"policies": [policy()]}), recorder.address));
    for (count, request) in forged(&Request::plain("/elsewhere")).into_iter().enumerate() {
        let (_, answer) = Client::ask(envoy.address(), &request);
        assert_eq!(answer.status, 200);
        let head = wait_for("upstream to see it", || {
            recorder.seen().get(count).map(|seen| seen.head.clone())
        });
        assert!(variable(&head, "HTTP_X_USER_ID").is_empty(), "{head}");
    }
}

#[test]
fn nor_in_the_stream_filter() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let mut bootstrap = bootstrap(&json!({}), recorder.address);
    let document = json!({"filter": "stream", "policies": [policy()]});
    bootstrap["static_resources"]["listeners"] = json!([stream_listener(&document)]);
    let envoy = Envoy::start(&bootstrap);
    let with_key = Request::upgrade("/auth").with("x-api-key", TEST_API_KEY);
    for request in forged(&with_key) {
        let head = seen(&recorder, envoy.address(), &request);
        assert_eq!(variable(&head, "HTTP_X_USER_ID"), ["key:robot"], "{head}");
    }
}

/// Another spelling of a credential's header is never read and never goes on, where
/// the credential itself does (`forward`), and past other policies.
#[test]
fn a_credential_has_one_spelling() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let mut auth = by_api_key();
    auth["forward"] = true.into();
    let document = json!({"policies": [
        {"name": "auth", "match": {"paths": ["/auth"]}, "auth": auth},
        {"name": "open", "match": {"paths": ["/open"]}},
    ]});
    let envoy = Envoy::start(&bootstrap(&document, recorder.address));
    for name in ["X.Api.Key", "x_api_key", "x~api~key", "x-api.key", "x!api_key", "x+api+key"] {
        let alone = Request::upgrade("/auth").with(name, TEST_API_KEY);
        let (_, answer) = Client::ask(envoy.address(), &alone);
        assert_eq!((answer.status, answer.reason().as_str()), (401, "credentials_missing"));
        let beside = Request::upgrade("/auth").with("x-api-key", TEST_API_KEY).with(name, "eve");
        let head = seen(&recorder, envoy.address(), &beside);
        assert_eq!(variable(&head, "HTTP_X_API_KEY"), [TEST_API_KEY], "{head}");
        let head = seen(&recorder, envoy.address(), &Request::upgrade("/open").with(name, "eve"));
        assert!(variable(&head, "HTTP_X_API_KEY").is_empty(), "{head}");
    }
}

#[test]
fn what_authorize_reads_has_one_spelling() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let mut auth = by_api_key();
    auth["authorize"] = json!([{"from": {"header": "x-room"}, "claim": "sub"}]);
    let document = json!({"policies": [{"name": "auth", "auth": auth}]});
    let envoy = Envoy::start(&bootstrap(&document, recorder.address));
    let request = Request::upgrade("/").with("x-api-key", TEST_API_KEY);
    seen(&recorder, envoy.address(), &request.clone().with("x-room", "key:robot"));
    for name in ["x.room", "X~Room", "x_room", "x!room", "x|room", "x'room"] {
        let alone = request.clone().with(name, "key:robot");
        let beside = alone.clone().with("x-room", "key:robot");
        for request in [alone, beside] {
            let (_, answer) = Client::ask(envoy.address(), &request);
            assert_eq!((answer.status, answer.reason().as_str()), (403, "access_denied"), "{name}");
        }
    }
}

/// PHP, Rack 2 and ASP.NET take each of these for the parameter `token`.
const PARAMETERS: [&str; 8] = [
    "Token=eve",
    "to.ken=eve",
    "%20token=eve",
    "token%00x=eve",
    "token[]=eve",
    "%5btoken=eve",
    "a=1;token=eve",
    "%25u0074oken=eve",
];

#[test]
fn a_credential_in_the_query_has_one_spelling() {
    let recorder = Recorder::start(Script::Accept(Vec::new()));
    let auth = |forward: bool| {
        let mut auth = by_api_key();
        auth["credentials"] = json!([{"query": "token"}]);
        auth["forward"] = forward.into();
        auth
    };
    let policies = [("strip", false), ("forward", true)].map(|(name, forward)| {
        let path = format!("/{name}");
        json!({"name": name, "match": {"paths": [path]}, "auth": auth(forward)})
    });
    let document = json!({"policies": policies});
    let mut bootstrap = bootstrap(&document, recorder.address);
    let mut stream = document;
    stream["filter"] = "stream".into();
    let listeners = bootstrap["static_resources"]["listeners"].as_array_mut().unwrap();
    listeners.push(stream_listener(&stream));
    let envoy = Envoy::start(&bootstrap);
    for address in [envoy.address(), envoy.listener("stream")] {
        for (path, forwarded) in [("/strip", false), ("/forward", true)] {
            for other in PARAMETERS {
                let target = format!("{path}?token={TEST_API_KEY}&{other}&b=2");
                let head = seen(&recorder, address, &Request::upgrade(&target));
                let line = head.lines().next().unwrap_or_default();
                assert!(!line.contains("eve") && line.contains("b=2"), "{other}: {line}");
                assert_eq!(line.contains(TEST_API_KEY), forwarded, "{line}");
            }
        }
    }
}
