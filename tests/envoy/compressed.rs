//! Messages that are dropped, answered or changed in the middle of compressed
//! traffic with context takeover: what follows refers to them, and arrives.

use super::peers::{Echo, Maker, Saw, long_binary, long_text, talk};
use super::support::{Envoy, bootstrap_of, listener};
use serde_json::{Value, json};

const ACTIONS: [&str; 3] = ["drop", "reply", "sanitize"];

const REPLY: &str =
    r#"{"type":"error","reason":"rule_matched","detail":"the message matches a rule"}"#;

/// Words that deflate refers back to, wherever they stood last.
const WORDS: &str = "Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich";

fn site(action: &str, push: bool) -> Value {
    let large = 4 << 20;
    let section = |pattern| {
        let rule = json!({"name": "bad", "pattern": pattern, "action": action});
        json!({"max_frame": large, "max_message": large, "rules": [rule]})
    };
    let mut listener = listener(&json!({"policies": [{
        "name": "chat",
        "handshake": {"compression": "inspect"},
        "client": section("(?i)<script>"),
        "server": section("(?i)<secret>"),
        "lifetime": {"push": push},
    }]}));
    listener["name"] = json!(format!("{action}-{push}"));
    listener
}

fn assert_all_arrives(saw: &Saw, action: &str, bad: &str, long: &[&str], context: &str) {
    let changed = bad.replace("<script>", "").replace("<secret>", "");
    let middle = match action {
        "drop" => None,
        "reply" => Some(REPLY),
        _ => Some(changed.as_str()),
    };
    let after = format!("after, {WORDS}");
    let mut expected = vec![WORDS];
    expected.extend(middle);
    expected.extend([WORDS, &after]);
    expected.extend(long);
    expected.extend(middle);
    expected.extend([after.as_str(), long[0]]);
    assert_eq!(saw.messages(), expected, "{context}");
    assert_eq!(saw.close(), Some((1000, "done")), "{context}");
    assert!(saw.is_compressed(), "{context}");
}

fn what_follows_arrives(client: Maker, server: Maker) {
    let echo = Echo::of(server);
    let sites: Vec<Value> =
        ACTIONS.iter().flat_map(|action| [site(action, false), site(action, true)]).collect();
    let envoy = Envoy::start(&bootstrap_of(&sites, echo.address));
    let (text, text_name) = long_text(300_000);
    let (binary, binary_name) = long_binary(600_000);
    let (same, after) = (format!("say:{WORDS}"), format!("say:after, {WORDS}"));
    for action in ACTIONS {
        for push in [false, true] {
            for tag in ["<script>", "<secret>"] {
                let context = format!("{client:?} to {server:?}, {action}, {push}, {tag}");
                let bad = format!("{WORDS} {tag} und noch mehr davon");
                let sent = format!("{}{bad}", if action == "drop" { "send:" } else { "say:" });
                let steps = [&same, &sent, &same, &after, &text, &binary, &sent, &after, &text];
                let steps = steps.map(String::as_str);
                let address = envoy.listener(&format!("{action}-{push}"));
                let saw = talk(client, address, &steps);
                let long = [text_name.as_str(), &binary_name];
                assert_all_arrives(&saw, action, &bad, &long, &context);
                let ended = echo.ended();
                let reached = if tag == "<script>" && action != "sanitize" { 7 } else { 9 };
                assert_eq!(ended["messages"], reached, "{context}");
                assert_eq!(ended["extensions"], json!(["permessage-deflate"]), "{context}");
            }
        }
    }
}

#[test]
fn what_follows_arrives_intact_between_python_and_node() {
    what_follows_arrives(Maker::Python, Maker::Node);
}

#[test]
fn what_follows_arrives_intact_between_node_and_python() {
    what_follows_arrives(Maker::Node, Maker::Python);
}
