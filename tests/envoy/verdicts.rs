//! What each action does to a conversation between real peers, in both
//! directions: what a script in a browser sees of it (messages, and code and
//! reason of the Close), and what the server does.

use super::frames::counter;
use super::peers::{Echo, Maker, Saw, long_text, talk};
use super::support::{Envoy, bootstrap_of, listener, stream_listener, wait_for};
use serde_json::{Value, json};

/// How wsguard stands before the server.
const WAYS: [&str; 3] = ["http", "push", "stream"];

/// Actions that leave the connection open, and the one that does not.
const ACTIONS: [&str; 4] = ["drop", "reply", "sanitize", "close"];

const REPLY: &str =
    r#"{"type":"error","reason":"rule_matched","detail":"the message matches a rule"}"#;

/// One rule for each direction: what breaks the server's passes the client's, so
/// that an echo breaks it.
fn document(way: &str, action: &str) -> Value {
    let rule = |pattern| json!({"rules": [{"name": "bad", "pattern": pattern, "action": action}]});
    json!({
        "filter": if way == "stream" { "stream" } else { "http" },
        "policies": [{
            "name": action,
            "client": rule("(?i)<script>"),
            "server": rule("(?i)<secret>"),
            "lifetime": {"push": way == "push"},
        }],
    })
}

/// One listener for each way and action.
fn start(echo: &Echo) -> Envoy {
    let mut listeners = Vec::new();
    for way in WAYS {
        for action in ACTIONS {
            let document = document(way, action);
            let mut listener =
                if way == "stream" { stream_listener(&document) } else { listener(&document) };
            listener["name"] = json!(format!("{way}-{action}"));
            listeners.push(listener);
        }
    }
    Envoy::start(&bootstrap_of(&listeners, echo.address))
}

/// What the messages are that a client gets for one that breaks a rule.
fn answers(action: &str) -> Vec<&'static str> {
    match action {
        "drop" => vec![],
        "reply" => vec![REPLY],
        "sanitize" => vec!["a  b"],
        other => panic!("{other} leaves nothing to answer"),
    }
}

fn lives_on(saw: &Saw, action: &str, large: &str, context: &str) {
    let mut expected = vec!["before"];
    expected.extend(answers(action));
    expected.extend(["after", large]);
    assert_eq!(saw.messages(), expected, "{context}");
    assert_eq!(saw.close(), Some((1000, "done")), "{context}");
    assert_eq!(saw.pings(), 0, "{context}: our Pings are for servers");
}

fn actions_between(client: Maker, server: Maker) {
    let echo = Echo::of(server);
    let envoy = start(&echo);
    let (large, name) = long_text(200_000);
    for way in WAYS {
        for action in ACTIONS {
            for bad in ["a <script> b", "a <SECRET> b"] {
                let context = format!("{client:?} to {server:?}, {way}, {action}, {bad}");
                let address = envoy.listener(&format!("{way}-{action}"));
                let waits = if action == "drop" { "send:" } else { "say:" };
                let steps = ["say:before", &format!("{waits}{bad}"), "say:after", &large];
                let saw = talk(client, address, &steps);
                let ended = echo.ended();
                let by_client = bad.contains("script");
                let (told, code) = (&ended["reason"], &ended["code"]);
                if action == "close" {
                    // Who broke the rule is told which.
                    let reasons =
                        if by_client { ["rule_matched", ""] } else { ["", "rule_matched"] };
                    assert_eq!(saw.messages(), ["before"], "{context}");
                    assert_eq!(saw.close(), Some((1008, reasons[0])), "{context}");
                    assert_eq!((code, told), (&json!(1008), &json!(reasons[1])), "{context}");
                } else {
                    lives_on(&saw, action, &name, &context);
                    assert_eq!((code, told), (&json!(1000), &json!("done")), "{context}");
                }
                let mut reached = if action == "close" { 1 } else { 3 };
                reached += u64::from(!by_client || action == "sanitize");
                assert_eq!(ended["messages"], reached, "{context}");
                assert_eq!(ended["pongs"], 0, "{context}");
            }
        }
    }
    for action in ACTIONS {
        for direction in ["client", "server"] {
            let name = format!(
                "wsguard_violations_total{{policy=\"{action}\",direction=\"{direction}\",\
                 reason=\"rule_matched\",action=\"{action}\",rule=\"bad\"}}"
            );
            wait_for(&name, || (counter(&envoy, &name) == WAYS.len()).then_some(()));
        }
    }
}

#[test]
fn each_action_does_what_it_says_before_python_websockets() {
    actions_between(Maker::Node, Maker::Python);
}

#[test]
fn each_action_does_what_it_says_before_node_ws() {
    actions_between(Maker::Python, Maker::Node);
}

#[test]
fn each_action_does_what_it_says_before_tungstenite() {
    actions_between(Maker::Python, Maker::Tungstenite);
}
