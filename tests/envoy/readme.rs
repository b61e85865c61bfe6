//! The clients in the README's "Clients", run as they are written there: in
//! Chromium, by Python and on the command line, each in every way of
//! authentication that it has an example of.

use super::TEST_API_KEY;
use super::peers::node_modules;
use super::support::{Envoy, bootstrap_of, listener, tied};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

mod pages;
mod presets;
mod programs;

const WRONG: &str = "a-wrong-key-of-mallory";
const APP: &str = "app.localhost";

/// A way of authentication.
struct Way {
    /// Its section.
    heading: &'static str,
    /// Name of its listener.
    name: &'static str,
    /// What the section says of `credentials`.
    written: &'static str,
    credential: fn() -> Value,
}

const WAYS: [Way; 9] = [
    Way {
        heading: "A token in a header",
        name: "header",
        written: "{header: authorization}",
        credential: || json!({"header": "authorization"}),
    },
    Way {
        heading: "An API key",
        name: "key",
        written: "{header: x-api-key}",
        credential: || json!({"header": "x-api-key"}),
    },
    Way {
        heading: "Basic",
        name: "basic",
        written: "{header: authorization, scheme: basic}",
        credential: || json!({"header": "authorization", "scheme": "basic"}),
    },
    Way {
        heading: "A cookie or session",
        name: "cookie",
        written: "{cookie: session}",
        credential: || json!({"cookie": "session"}),
    },
    Way {
        heading: "A subprotocol",
        name: "subprotocol",
        written: "{subprotocol: bearer}",
        credential: || json!({"subprotocol": "bearer"}),
    },
    Way {
        heading: "The query",
        name: "query",
        written: "{query: token}",
        credential: || json!({"query": "token"}),
    },
    Way {
        heading: "A message of your own",
        name: "message",
        written: "`pointer`",
        credential: || {
            let ack = r#"{"type":"ready"}"#;
            json!({"first_message": {"pointer": "/token", "when": {"/type": "auth"}, "ack": ack}})
        },
    },
    Way {
        heading: "Socket.IO",
        name: "socketio",
        written: "{first_message: socketio}",
        credential: || json!({"first_message": "socketio"}),
    },
    Way {
        heading: "GraphQL",
        name: "graphql",
        written: "{first_message: graphql}",
        credential: || json!({"first_message": "graphql"}),
    },
];

/// Those whose clients are the README's, and not a library's.
fn plain_ways() -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(|way| !["socketio", "graphql"].contains(&way.name))
}

/// The text under a heading of "Clients", up to the next one.
fn section(heading: &str) -> &'static str {
    let readme = include_str!("../../README.md");
    let (_, clients) = readme.split_once("\n## Clients\n").unwrap();
    let (clients, _) = clients.split_once("\n## ").unwrap();
    let (_, rest) = clients
        .split_once(&format!("\n### {heading}\n"))
        .unwrap_or_else(|| panic!("no section {heading}"));
    rest.split_once("\n### ").map_or(rest, |(section, _)| section)
}

/// The example of this language in a section, where it has one.
fn example(heading: &str, language: &str) -> Option<&'static str> {
    let (_, rest) = section(heading).split_once(&format!("\n```{language}\n"))?;
    Some(rest.split_once("\n```").unwrap().0)
}

/// An example with an address of the test's in the place of its own.
fn at(example: &str, address: &str) -> String {
    assert!(!example.contains("example.com") || example.contains("//"), "{example}");
    example
        .replace("wss://chat.example.com", &format!("ws://{address}"))
        .replace("https://chat.example.com", &format!("http://{address}"))
}

/// Runs an example of the command line's, that says this much more; whether it
/// prints a line that begins so before it ends.
fn prints(example: &str, more: &str, token: &str, line: &str) -> bool {
    let own = node_modules().join(".bin");
    let path = format!("{}:{}", own.display(), std::env::var("PATH").unwrap());
    let mut shell = tied(Path::new("sh"));
    // wscat stays for as long when it has said what it is to say.
    shell.args(["-c", &format!("exec {example} {more} -w 600")]);
    shell.env("PATH", path).env("TOKEN", token);
    // It would leave when its input ends.
    shell.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = shell.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let printed = lines.any(|printed| printed.starts_with(line));
    let _ = child.kill();
    let _ = child.wait();
    printed
}

/// A listener for each way, for API keys and whatever else this says of `auth`.
fn start(origin: &str, more: &Value, upstream: SocketAddr) -> Envoy {
    let site = |way: &Way| {
        let mut policy = json!({
            "name": way.name,
            "handshake": {"refuse_with": "close"},
            "auth": {
                "credentials": [(way.credential)()],
                "api_keys": [{"id": "dashboard", "key": {"env": "TEST_API_KEY"}}],
            },
            "lifetime": {"push": true},
        });
        if way.name == "cookie" {
            policy["handshake"]["origins"] = json!([origin]);
        }
        for (key, value) in more.as_object().unwrap() {
            for (name, value) in value.as_object().unwrap() {
                policy[key][name] = value.clone();
            }
        }
        let mut listener = listener(&json!({"policies": [policy]}));
        listener["name"] = json!(way.name);
        listener
    };
    let listeners: Vec<Value> = WAYS.iter().map(site).collect();
    Envoy::start(&bootstrap_of(&listeners, upstream))
}

/// Nothing in "Clients" is shown that these tests don't run.
#[test]
fn every_example_belongs_to_a_way() {
    let readme = include_str!("../../README.md");
    let (_, clients) = readme.split_once("\n## Clients\n").unwrap();
    let (clients, _) = clients.split_once("\n## ").unwrap();
    let written = |language: &str| clients.matches(&format!("\n```{language}\n")).count();
    let known =
        |language: &str| WAYS.iter().filter(|way| example(way.heading, language).is_some()).count();
    assert_eq!(written("js"), known("js") + 1);
    assert_eq!(written("python"), known("python") + 1);
    assert_eq!(written("sh"), known("sh"));
    for way in &WAYS {
        assert!(section(way.heading).contains(way.written), "{}", way.heading);
        assert!(example(way.heading, "python").is_some(), "{}", way.heading);
        assert!(example(way.heading, "sh").is_some(), "{}", way.heading);
    }
    let not_for_pages: Vec<_> =
        WAYS.iter().filter(|way| example(way.heading, "js").is_none()).map(|w| w.name).collect();
    assert_eq!(not_for_pages, ["header", "key", "basic"]);
}
