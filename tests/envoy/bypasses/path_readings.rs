//! Spellings of a path that reach another policy: before an Express application,
//! to which letter case and a slash at the end make no difference. Where it does
//! not read a path so, servers that do stand for its kind.

use crate::client::{Answer, Client, Request};
use crate::peers::{node, peer};
use crate::support::{Envoy, bootstrap, stream_listener};
use crate::{TEST_API_KEY, by_api_key};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Stdio};

/// The Express application; it ends with the test.
struct Express {
    child: Child,
    address: SocketAddr,
}

impl Express {
    fn start() -> Self {
        let mut command = node();
        command.arg(peer("node/express.js")).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port: u16 = lines.next().expect("it did not start").unwrap().parse().unwrap();
        Self { child, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }
}

impl Drop for Express {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The route for the administrator, and all others.
fn policies(others: &Value) -> Value {
    json!([
        {"name": "admin", "match": {"paths": ["/admin/ws"]}, "auth": by_api_key()},
        {"name": "others", "match": {"paths": others}},
    ])
}

/// Opens, and says which route it is, or is refused.
fn ask(address: SocketAddr, request: &Request) -> Result<String, Answer> {
    let (mut client, answer) = Client::ask(address, request);
    if answer.status != 101 {
        return Err(answer);
    }
    Ok(String::from_utf8(client.frame().unwrap().payload).unwrap())
}

/// Paths that are `/admin/ws` to a server which is less strict, and to Express where
/// it says so.
const SPELLINGS: [(&str, bool); 17] = [
    ("/ADMIN/ws", true),
    ("/admin/ws/", true),
    ("/Admin/WS/", true),
    ("/%41dmin/ws", true),
    ("//aDMIN//ws//", true),
    ("/x/../Admin/./ws", true),
    ("/admin/ws.", false),
    ("/admin/ws%2e%2E", false),
    ("/admin/ws%20", false),
    ("/admin./ws", false),
    ("/admin%20/ws", false),
    ("/admin/ws;", false),
    ("/admin/ws;jsessionid=1", false),
    ("/admin;x/ws", false),
    ("/admin/ws%3Bx/", false),
    ("/ADMIN.%20;a=b/./ws/.", false),
    ("/admin/w%C5%BF", false),
];

#[test]
fn no_spelling_of_a_path_leads_past_its_policy() {
    let express = Express::start();
    for document in [
        json!({"policies": policies(&json!(["/*"]))}),
        json!({"unmatched": "pass", "policies": policies(&json!(["/public/*"]))}),
    ] {
        let envoy = Envoy::start(&bootstrap(&document, express.address));
        for (path, reaches) in SPELLINGS {
            if reaches {
                let alone = ask(express.address, &Request::upgrade(path));
                // What comes before it gets the normal form.
                let reads = !path.contains("..") && !path.contains("//") && !path.contains('%');
                assert!(!reads || alone.as_deref().is_ok_and(|route| route == "admin"), "{path}");
            }
            let answer = ask(envoy.address(), &Request::upgrade(path)).expect_err(path);
            assert_eq!(answer.status, 400, "{path}: {answer:?}");
            assert_eq!(answer.reason(), "handshake_malformed", "{path}");
        }
        let named = Request::upgrade("/admin/ws");
        assert_eq!(ask(envoy.address(), &named).expect_err("no key").status, 401);
        let with_key = named.with("x-api-key", TEST_API_KEY);
        assert_eq!(ask(envoy.address(), &with_key).unwrap(), "admin");
        assert_eq!(
            ask(envoy.address(), &Request::upgrade("/public/ws?a=/ADMIN/ws")).unwrap(),
            "public"
        );
        let event = envoy.event("refused", Some("handshake_malformed"));
        assert!(event["detail"].as_str().unwrap().contains("match.exact"), "{event}");
    }
}

#[test]
fn nor_in_the_stream_filter() {
    let express = Express::start();
    let mut bootstrap = bootstrap(&json!({}), express.address);
    let document = json!({"filter": "stream", "policies": policies(&json!(["/*"]))});
    bootstrap["static_resources"]["listeners"] = json!([stream_listener(&document)]);
    let envoy = Envoy::start(&bootstrap);
    for (path, _) in SPELLINGS {
        let mut client = Client::connect(envoy.address());
        client.send(&Request::upgrade(path).bytes());
        assert!(client.ends(), "{path}");
    }
    assert_eq!(ask(envoy.address(), &Request::upgrade("/lobby")).unwrap(), "room");
}

#[test]
fn an_open_route_is_no_way_to_a_stricter_servers_guarded_one() {
    let express = Express::start();
    // The other way round: `/lobby;x` is a room of its own to Express.
    let document = json!({"policies": [
        {"name": "lobby", "match": {"paths": ["/lobby", "/public/*"]}},
        {"name": "rooms", "match": {"paths": ["/*"]}, "auth": by_api_key()},
    ]});
    let envoy = Envoy::start(&bootstrap(&document, express.address));
    for path in
        ["/lobby;x", "/lobby.", "/lobby%20", "/Lobby", "/lobby%3B", "/public", "/public;x/ws"]
    {
        let answer = ask(envoy.address(), &Request::upgrade(path)).expect_err(path);
        assert_eq!(
            (answer.status, answer.reason().as_str()),
            (400, "handshake_malformed"),
            "{path}"
        );
    }
    assert_eq!(ask(envoy.address(), &Request::upgrade("/lobby")).unwrap(), "room");
    let secret = Request::upgrade("/secret");
    assert_eq!(ask(envoy.address(), &secret).expect_err("no key").status, 401);
}

#[test]
fn what_is_one_policys_in_both_readings_opens_as_before() {
    let express = Express::start();
    let document = json!({"policies": [
        {"name": "io", "match": {"paths": ["/socket.io/"]}},
        {"name": "public", "match": {"paths": ["/public/*"]}},
        {"name": "root", "match": {"paths": ["/"]}, "handshake": {"origins": ["https://a.example"]}},
        {"name": "case", "match": {"paths": ["/PUBLIC/ws"]}},
        {"name": "others", "match": {"paths": ["/*"]}},
    ]});
    let envoy = Envoy::start(&bootstrap(&document, express.address));
    for (path, route) in [
        ("/socket.io/?EIO=4&transport=websocket", "socket.io"),
        ("/public/ws", "public"),
        ("/public/WS/", "public"),
        ("/PUBLIC/ws", "public"),
        ("/Abc", "room"),
        ("/abc.d;e=f%20", "room"),
        ("/abc/", "room"),
    ] {
        assert_eq!(ask(envoy.address(), &Request::upgrade(path)).unwrap(), route, "{path}");
    }
    assert_eq!(ask(envoy.address(), &Request::upgrade("/")).expect_err("origin").status, 403);
}

/// Only of this build: `exact` is new.
#[test]
fn an_application_that_tells_paths_apart_says_so() {
    let express = Express::start();
    let mut policies = policies(&json!(["/*"]));
    policies[0]["match"]["exact"] = true.into();
    let envoy = Envoy::start(&bootstrap(&json!({"policies": policies}), express.address));
    // Express does not: this is what the operator says by it.
    assert_eq!(ask(envoy.address(), &Request::upgrade("/ADMIN/ws")).unwrap(), "admin");
    let named = Request::upgrade("/admin/ws");
    assert_eq!(ask(envoy.address(), &named).expect_err("no key").status, 401);
}

#[test]
fn report_tells_it_once_and_lets_it_through_by_the_normalized_path() {
    let express = Express::start();
    let document = json!({"mode": "report", "policies": policies(&json!(["/*"]))});
    let envoy = Envoy::start(&bootstrap(&document, express.address));
    assert_eq!(ask(envoy.address(), &Request::upgrade("/ADMIN/ws")).unwrap(), "admin");
    let event = envoy.event("reported", Some("handshake_malformed"));
    assert_eq!((&event["policy"], &event["path"]), (&json!("others"), &json!("/ADMIN/ws")));
    let told = envoy.events().into_iter().filter(|event| event["event"] == "reported");
    assert_eq!(told.count(), 1);
}

#[test]
fn a_template_of_authorize_is_read_letter_for_letter() {
    let express = Express::start();
    let mut auth = by_api_key();
    auth["authorize"] = json!([{"from": {"path": "/rooms/{room}"}, "claim": "rooms"}]);
    let document = json!({"policies": [{"name": "rooms", "auth": auth}]});
    let envoy = Envoy::start(&bootstrap(&document, express.address));
    for path in ["/Rooms/a", "/rooms/a/", "/rooms./a", "/rooms%20/a", "/rooms;x/a", "/rooms/a/b"] {
        let request = Request::upgrade(path).with("x-api-key", TEST_API_KEY);
        let answer = ask(envoy.address(), &request).expect_err(path);
        assert_eq!((answer.status, answer.reason().as_str()), (403, "access_denied"), "{path}");
    }
}
