//! Documents as Envoy hands them over: refused with every error, taken at the
//! start and on updates, with secrets from the environment.

use super::TEST_SECRET;
use super::client::{Client, Request, text};
use super::lds::Lds;
use super::support::{Envoy, bootstrap, listener, wait_for};
use super::upstream::{Recorder, Script, frames};
use serde_json::{Value, json};
use std::net::SocketAddr;

/// Where [`bootstrap`] has the plugin.
const PLUGIN: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config\
                      /http_filters/0/typed_config/config";

/// An upstream for documents that nobody gets to be served by.
const NOBODY: ([u8; 4], u16) = ([127, 0, 0, 1], 9);

/// Five mistakes of five kinds: an unknown key, an empty list, a variable that
/// is not set, a zero limit, a section that is not built.
fn five_mistakes() -> Value {
    json!({
        "mod": "report",
        "policies": [{
            "name": "chat",
            "handshake": {"origins": []},
            "auth": {
                "credentials": [{"header": "authorization"}],
                "jwt": [{
                    "issuer": "https://issuer.example.com",
                    "algorithms": ["HS256"],
                    "keys": {"secret": {"env": "MISSING_SECRET"}},
                }],
            },
            "client": {"max_message": 0},
            "server": {"max_message": 10},
        }],
    })
}

/// What is said of them, in alphabetical order.
const FIVE_ERRORS: [&str; 5] = [
    "mod: is no known key; did you mean `mode`?",
    "not supported yet: policies[0].server",
    "policies[0].auth.jwt[0].keys.secret.env: MISSING_SECRET is not set in the plugin's \
     environment; set it, and name it in vm_config.environment_variables",
    "policies[0].client.max_message: is 0, which would let nothing pass; write at least 1",
    "policies[0].handshake.origins: is an empty list; write an item, or remove the key",
];

/// The configuration errors in a log, in alphabetical order.
fn told(log: &str) -> Vec<&str> {
    let mut told: Vec<_> = log
        .lines()
        .filter_map(|line| Some(line.split_once("wsguard configuration: ")?.1))
        .collect();
    told.sort_unstable();
    told
}

/// A bootstrap that gives the plugin a Struct (plain YAML inside Envoy's).
fn with_struct(document: &Value) -> Value {
    let mut bootstrap = bootstrap(document, NOBODY.into());
    bootstrap.pointer_mut(PLUGIN).unwrap()["configuration"] =
        json!({"@type": "type.googleapis.com/google.protobuf.Struct", "value": document});
    bootstrap
}

#[test]
fn a_document_with_five_mistakes_prints_five_errors_and_envoy_refuses_to_start() {
    let document = five_mistakes();
    for bootstrap in [bootstrap(&document, NOBODY.into()), with_struct(&document)] {
        let log = Envoy::refuses(&bootstrap);
        assert_eq!(told(&log), FIVE_ERRORS, "{log}");
        assert!(!log.contains("trapped"), "{log}");
    }
}

#[test]
fn what_is_no_document_is_refused_in_words() {
    for (value, says) in [
        (json!("mode: enforce"), "document: is not JSON: "),
        (json!(""), "document: is empty; write at least `policies`"),
    ] {
        let mut bootstrap = bootstrap(&json!({}), NOBODY.into());
        bootstrap.pointer_mut(PLUGIN).unwrap()["configuration"]["value"] = value;
        let log = Envoy::refuses(&bootstrap);
        let told = told(&log);
        assert!(told.len() == 1 && told[0].starts_with(says), "{log}");
    }
    let mut none = bootstrap(&json!({}), NOBODY.into());
    none.pointer_mut(PLUGIN).unwrap().as_object_mut().unwrap().remove("configuration");
    let log = Envoy::refuses(&none);
    assert_eq!(told(&log), ["document: is empty; write at least `policies`"], "{log}");
}

/// A document with one policy for `paths`, that closes on `word`.
fn closing_on(word: &str, paths: &[&str]) -> Value {
    json!({"policies": [{
        "name": "chat",
        "match": {"paths": paths},
        "client": {"rules": [{"name": format!("no-{word}"), "pattern": word}]},
    }]})
}

/// Whether the upstream has got this message on its connection `index`.
fn arrives(upstream: &Recorder, index: usize, message: &str) {
    wait_for(&format!("{message} at connection {index}"), || {
        let seen = upstream.seen();
        let frames = frames(&seen.get(index)?.bytes);
        frames.iter().any(|(_, payload)| payload == message.as_bytes()).then_some(())
    });
}

/// The client's message is closed on, by this rule, and did not arrive.
fn is_closed_on(client: &mut Client, envoy: &Envoy, upstream: &Recorder, index: usize, word: &str) {
    client.send(&text(word));
    assert_eq!(client.frame().unwrap().close(), (1008, "rule_matched".to_owned()));
    let rule = format!("no-{word}");
    wait_for("the rule's event", || envoy.events().into_iter().find(|e| e["rule"] == rule));
    let seen = frames(&upstream.seen()[index].bytes);
    assert!(!seen.iter().any(|(_, payload)| payload == word.as_bytes()), "{seen:?}");
}

#[test]
fn a_bad_update_is_rejected_told_and_changes_nothing() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let mut lds = Lds::start(&listener(&closing_on("apple", &["/ws"])), upstream.address);
    let address = lds.envoy.address();
    let mut open = Client::open(address, &Request::upgrade("/ws"));

    lds.offer(&listener(&five_mistakes()));
    lds.wait_for("listener_manager.lds.update_rejected", 1);
    wait_for("the errors", || (told(&lds.envoy.log()).len() >= FIVE_ERRORS.len()).then_some(()));
    assert_eq!(told(&lds.envoy.log()), FIVE_ERRORS);
    let dump: Value = lds.envoy.get("/config_dump?resource=dynamic_listeners").parse().unwrap();
    let kept = &dump["configs"][0];
    assert_eq!(kept["active_state"]["version_info"], "1", "{dump}");
    assert!(kept["error_state"]["details"].as_str().is_some_and(|d| !d.is_empty()), "{dump}");

    open.send(&text("pear"));
    arrives(&upstream, 0, "pear");
    let mut new = Client::open(address, &Request::upgrade("/ws"));
    is_closed_on(&mut new, &lds.envoy, &upstream, 1, "apple");
    is_closed_on(&mut open, &lds.envoy, &upstream, 0, "apple");
}

#[test]
fn an_update_is_for_new_connections_and_open_ones_keep_their_document() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let mut lds = Lds::start(&listener(&closing_on("apple", &["/ws"])), upstream.address);
    let address = lds.envoy.address();
    let mut open = Client::open(address, &Request::upgrade("/ws"));
    open.send(&text("first"));
    arrives(&upstream, 0, "first");
    // Half of a message is held while the document changes.
    let pear = text("pear");
    open.send(&pear[..8]);

    lds.offer(&listener(&closing_on("pear", &["/ws", "/second"])));
    lds.wait_for("listener_manager.lds.update_success", 2);
    let mut new = wait_for("the new document to be in use", || {
        let (client, answer) = Client::ask(address, &Request::upgrade("/second"));
        (answer.status == 101).then_some(client)
    });
    open.send(&pear[8..]);
    arrives(&upstream, 0, "pear");
    new.send(&text("apple"));
    arrives(&upstream, 1, "apple");
    is_closed_on(&mut new, &lds.envoy, &upstream, 1, "pear");
    is_closed_on(&mut open, &lds.envoy, &upstream, 0, "apple");
    let closed = |path: &str| {
        wait_for(&format!("{path} to be told as closed"), || {
            lds.envoy.events().into_iter().find(|e| e["event"] == "closed" && e["path"] == path)
        })
    };
    // All three of the connection's chunks were counted, before and after.
    let bytes = (text("first").len() + pear.len() + text("apple").len()) as u64;
    assert_eq!(closed("/ws")["bytes"]["client"], bytes);
    closed("/second");
}

/// The document's policy takes this API key.
fn with_api_key(variable: &str) -> Value {
    json!({"policies": [{"name": "chat", "auth": {
        "credentials": [{"header": "x-api-key"}],
        "api_keys": [{"id": "a", "key": {"env": variable}}],
    }}]})
}

fn with_host_variable(document: &Value, upstream: SocketAddr) -> Value {
    let mut bootstrap = bootstrap(document, upstream);
    bootstrap.pointer_mut(PLUGIN).unwrap()["vm_config"]["environment_variables"] =
        json!({"host_env_keys": ["WSGUARD_TEST_KEY"], "key_values": {"TEST_SECRET": TEST_SECRET}});
    bootstrap
}

#[test]
fn secrets_come_from_the_environment_of_envoy_or_of_the_plugin() {
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let of_envoy = "a-key-that-is-in-envoys-environment";
    for (variable, key) in [("WSGUARD_TEST_KEY", of_envoy), ("TEST_SECRET", TEST_SECRET)] {
        let bootstrap = with_host_variable(&with_api_key(variable), upstream.address);
        let envoy = Envoy::start_with(&bootstrap.to_string(), &[("WSGUARD_TEST_KEY", of_envoy)]);
        let ask = |key: &str| {
            let request = Request::upgrade("/ws").with("x-api-key", key);
            Client::ask(envoy.address(), &request).1.status
        };
        assert_eq!((ask(key), ask("another-key-of-good-length")), (101, 401));
        assert!(!envoy.log().contains(key));
    }
}

#[test]
fn a_secret_that_is_missing_is_named_and_envoy_refuses_to_start() {
    // Listed for the plugin and not set in Envoy's own environment; set there
    // and not listed.
    let listed = with_host_variable(&with_api_key("WSGUARD_TEST_KEY"), NOBODY.into());
    let unlisted = bootstrap(&with_api_key("PATH_TO_NOTHING"), NOBODY.into());
    for (bootstrap, name) in [(listed, "WSGUARD_TEST_KEY"), (unlisted, "PATH_TO_NOTHING")] {
        let log = Envoy::refuses(&bootstrap);
        let expected = format!(
            "policies[0].auth.api_keys[0].key.env: {name} is not set in the plugin's \
             environment; set it, and name it in vm_config.environment_variables"
        );
        assert_eq!(told(&log), [expected], "{log}");
    }
}
