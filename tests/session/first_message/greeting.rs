//! Protocols in which the server speaks first, and an application that verifies the
//! first message itself.

use super::*;

/// Home Assistant's: the server says that it waits, and answers the credential.
fn home_assistant(greeting: u32) -> Value {
    let first = json!({
        "pointer": "/access_token", "when": {"/type": "auth"}, "greeting": greeting,
    });
    let mut document = document(&first);
    document["policies"][0]["auth"]["forward"] = json!(true);
    document
}

fn auth(token: &str) -> Vec<u8> {
    text(&json!({"type": "auth", "access_token": token}).to_string())
}

fn says(kind: &str) -> Vec<u8> {
    plain(0x81, json!({"type": kind, "ha_version": "2026.11.1"}).to_string().as_bytes())
}

#[test]
fn a_server_that_speaks_first_is_heard_and_gets_the_message_as_it_came() {
    for early in [false, true] {
        let mut rig = open_by(&home_assistant(1));
        let asks = [auth(KEY), text("and on")].concat();
        let (greets, news) = (says("auth_required"), says("event"));
        if early {
            // Both before the server has said anything.
            assert_eq!(rig.client(&asks).bytes, asks);
            assert_eq!(rig.server(&greets).bytes, greets);
        } else {
            assert_eq!(rig.server(&greets).bytes, greets);
            assert_eq!(rig.server(&news).bytes, b"", "it is not the greeting");
            assert_eq!(rig.client(&asks).bytes, asks);
            assert_eq!(rig.pushed(), news);
        }
        assert_eq!(rig.server(&says("auth_ok")).bytes, says("auth_ok"));
        assert_eq!(rig.event()["user"], "key:alice");
        assert_eq!(rig.buffered(), 0);
    }
}

#[test]
fn so_many_messages_pass_and_no_more_of_any_type_and_in_any_cut() {
    let messages = [
        plain(0x81, b"text"),
        [plain(0x02, b"bi"), plain(0x80, b"nary")].concat(),
        plain(0x82, b""),
    ];
    let stream = [messages.concat(), plain(0x89, b"ping")].concat();
    for greeting in 0..=4 {
        for cut in 0..stream.len() {
            let mut rig = open_by(&home_assistant(greeting));
            let gone_on = [rig.server(&stream[..cut]).bytes, rig.server(&stream[cut..]).bytes];
            let passed: Vec<u8> =
                messages.iter().take(greeting as usize).flatten().copied().collect();
            assert_eq!(gone_on.concat(), [passed.clone(), plain(0x89, b"ping")].concat());
            rig.client(&auth(KEY));
            assert_eq!([passed, rig.pushed()].concat(), messages.concat(), "in order");
        }
    }
}

#[test]
fn a_greeting_is_judged_as_all_that_the_server_says() {
    let mut document = home_assistant(2);
    let rule = |action: &str| json!({"rules": [{"name": "r", "pattern": "bad", "action": action}]});
    document["policies"][0]["server"] = rule("drop");
    let mut rig = open_by(&document);
    let sent = [plain(0x81, b"bad"), plain(0x81, b"1"), plain(0x81, b"2"), plain(0x81, b"3")];
    assert_eq!(rig.server(&sent.concat()).bytes, sent[1..3].concat(), "two pass");
    document["policies"][0]["server"] = rule("close");
    let mut rig = open_by(&document);
    assert_eq!(rig.server(&sent.concat()).bytes, told_client(1008, ""));
    assert_masked_close(&rig.client(b"").bytes, 1008, "rule_matched");
}

/// Nothing else would let it go before its time.
#[test]
fn a_greeting_over_a_rate_waits_for_its_turn_only() {
    let mut document = home_assistant(3);
    document["policies"][0]["auth"]["deadline"] = json!("1m");
    document["policies"][0]["server"] =
        json!({"rate": {"per_connection": "1/1s"}, "on_violation": "slow"});
    let mut rig = open_by(&document);
    let sent = ["1", "2", "3", "4"].map(|text| plain(0x81, text.as_bytes()));
    assert_eq!(rig.server(&sent.concat()).bytes, sent[0]);
    let mut came = Vec::new();
    for _ in 0..10 {
        rig.ticks(Duration::from_secs(1));
        came.extend(rig.pushed());
    }
    assert_eq!(came, sent[1..3].concat(), "in order, and none that is no greeting");
}

#[test]
fn what_goes_on_is_judged_by_the_rules_and_what_is_swallowed_is_not() {
    let rules = json!({"rules": [{"name": "tokens", "pattern": "the-api-key-of-[a-z]+"}]});
    let mut document = home_assistant(0);
    document["policies"][0]["client"] = rules.clone();
    let mut rig = open_by(&document);
    assert_masked_close(&rig.client(&auth(KEY)).bytes, 1008, "");
    assert_eq!(rig.event()["reason"], "rule_matched");

    document["policies"][0]["auth"]["forward"] = json!(false);
    for cut in [1, 20, 58] {
        let mut rig = open_by(&document);
        let sent = auth(KEY);
        assert_eq!(rig.client(&sent[..cut]).bytes, b"");
        assert_eq!(rig.client(&sent[cut..]).bytes, b"", "swallowed");
        assert_eq!(rig.event()["event"], "opened");
        // A later one goes on without it, and is judged as it came.
        assert_masked_close(&rig.client(&sent).bytes, 1008, "");
    }
    // Framing, sizes, types, UTF-8 and rates hold for it.
    for (more, sent, reason) in [
        (json!({"max_message": 32}), auth(KEY), "message_too_big"),
        (json!({"types": ["binary"]}), auth(KEY), "type_denied"),
        (json!({}), masked(0x81, b"{\"type\":\"auth\",\"access_token\":\"\xff\"}"), "invalid_utf8"),
    ] {
        let mut document = document.clone();
        let mut client = rules.clone();
        client.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        document["policies"][0]["client"] = client;
        let mut rig = open_by(&document);
        rig.client(&sent);
        assert_eq!(rig.event()["reason"], reason);
    }
}

/// The client is told both by the filter and by the application.
#[test]
fn a_message_that_goes_on_may_be_acknowledged_too() {
    let mut document = pointer();
    document["policies"][0]["auth"]["forward"] = json!(true);
    let mut rig = open_by(&document);
    let sent = [text("before"), credential(KEY), text("after")].concat();
    assert_eq!(rig.client(&sent).bytes, sent, "all of it, in order");
    assert_eq!(rig.pushed(), ready());
    assert_eq!(rig.client(&credential(KEY)).bytes, credential(KEY), "and again");
}

#[test]
fn a_credential_that_is_wrong_goes_nowhere_though_it_would_have_been_forwarded() {
    let mut rig = open_by(&home_assistant(1));
    rig.server(&says("auth_required"));
    let gone_on = rig.client(&auth("the-api-key-of-mallory")).bytes;
    assert_masked_close(&gone_on, 1008, "credentials_invalid");
    assert_eq!(rig.pushed(), told_client(1008, "credentials_invalid"));
}

#[test]
fn report_lets_all_pass_and_tells_the_same() {
    for (token, event) in [(KEY, "opened"), ("the-api-key-of-mallory", "reported")] {
        let mut document = home_assistant(1);
        document["mode"] = json!("report");
        let mut rig = open_by(&document);
        let sent = [says("auth_required"), says("event")].concat();
        assert_eq!(rig.server(&sent).bytes, sent);
        assert_eq!(rig.client(&auth(token)).bytes, auth(token));
        assert_eq!(rig.event()["event"], event);
    }
}

/// A server that pings before the client is known, and a client that answers: the Pong
/// goes up once it is.
#[test]
fn the_servers_ping_is_answered_once_the_client_is_known() {
    for (answers, expected) in [
        (vec!["a", "b"], Some("b")),
        (vec!["b"], Some("b")),
        (vec!["a"], Some("a")),
        (vec![], None),
    ] {
        let mut rig = open_by(&home_assistant(1));
        for payload in ["a", "b"] {
            assert_eq!(rig.server(&plain(0x89, payload.as_bytes())).bytes.len(), 3);
        }
        for answer in answers {
            assert_eq!(rig.client(&masked(0x8A, answer.as_bytes())).bytes, b"", "not yet");
        }
        assert_eq!(rig.client(&masked(0x8A, b"nobody asked")).bytes, b"");
        let gone_on = rig.client(&auth(KEY)).bytes;
        let pong = gone_on.strip_suffix(auth(KEY).as_slice()).unwrap();
        let first = pong.first().copied();
        assert_eq!(first, expected.map(|_| 0x8A));
        if let Some(payload) = expected {
            assert_eq!(pong[6] ^ pong[2], payload.as_bytes()[0]);
            assert_eq!(pong.len(), 7);
        }
    }
}
