//! What the message asks for that carries the credential is verified with it.

use super::*;

/// Opaque credentials, which a session service knows, and these rules.
fn by_service(first: &Value, authorize: &Value) -> Value {
    let mut document = document(first);
    let auth = &mut document["policies"][0]["auth"];
    auth["session"] = json!({
        "cluster": "auth", "host": "auth.example.com", "path": "/session", "send": "bearer",
        "subject": "/user",
    });
    auth["authorize"] = authorize.clone();
    auth["other_messages"] = json!("pass");
    document
}

fn pointer_by_service(authorize: &Value) -> Value {
    let first =
        json!({"pointer": "/token", "when": {"/type": "auth"}, "ack": r#"{"type":"ready"}"#});
    by_service(&first, authorize)
}

fn workspace_claim() -> Value {
    let from = json!({"message": "/workspaceId", "when": {"/type": "auth"}});
    json!([{"from": from, "claim": "workspaces"}])
}

fn workspace_callout() -> Value {
    let from = json!({"message": "/workspaceId", "when": {"/type": "auth"}});
    let path = "/members/{workspaceId}/{sub}";
    json!([{"from": from, "callout": {"cluster": "members", "path": path}}])
}

fn bob(claims: &Value) -> CallAnswer {
    let mut body = json!({"user": "bob"});
    for (name, value) in claims.as_object().unwrap() {
        body[name] = value.clone();
    }
    CallAnswer::Whole { status: 200, body: body.to_string().into_bytes() }
}

fn auth(workspace: &Value) -> Vec<u8> {
    let mut message = json!({"type": "auth", "token": "opaque"});
    if !workspace.is_null() {
        message["workspaceId"] = workspace.clone();
    }
    text(&message.to_string())
}

impl Rig {
    /// The path of the one question since the last call, and its answer.
    fn is_told(&mut self, answer: &CallAnswer) -> String {
        let mut calls = self.host.take_calls();
        assert_eq!(calls.len(), 1, "{calls:?}");
        let (id, call) = calls.remove(0);
        self.session.on_answer(id, answer);
        let _ = self.session.advance();
        call.path
    }
}

fn status(status: u16) -> CallAnswer {
    CallAnswer::Whole { status, body: Vec::new() }
}

#[test]
fn the_workspace_of_a_swallowed_message_must_be_in_the_claim() {
    let red = json!({"workspaces": ["red", "green"]});
    for (workspace, claims, granted) in [
        (json!("red"), red.clone(), true),
        (json!("red"), json!({"workspaces": "red"}), true),
        (json!("red"), json!({"workspaces": "green red"}), true),
        (json!(7), json!({"workspaces": [7]}), true),
        (json!("yellow"), red.clone(), false),
        (json!("Red"), red.clone(), false),
        (json!("red"), json!({}), false),
        (json!("red"), json!({"workspaces": null}), false),
        (json!("true"), json!({"workspaces": true}), false),
        (json!("red"), json!({"workspaces": {"red": true}}), false),
        (json!("red"), json!({"workspaces": [["red"]]}), false),
        (json!(["red"]), red.clone(), false),
        (json!(""), red.clone(), false),
        (json!(null), red, false),
    ] {
        let mut rig = open_by(&pointer_by_service(&workspace_claim()));
        rig.server(&plain(0x81, b"news"));
        let at_once = rig.client(&[auth(&workspace), text("after")].concat());
        let told = if at_once.bytes.is_empty() {
            assert_eq!(rig.is_told(&bob(&claims)), "/session");
            rig.pushed()
        } else {
            assert_masked_close(&at_once.bytes, 1008, "");
            rig.pushed()
        };
        if granted {
            assert!(told.starts_with(&[ready(), plain(0x81, b"news")].concat()), "{workspace}");
        } else {
            assert_eq!(told, told_client(1008, "access_denied"), "{workspace} {claims}");
            assert_eq!(rig.event()["reason"], "access_denied");
            assert!(!rig.session.is_waiting());
        }
        assert_eq!(rig.session.user().is_some(), at_once.bytes.is_empty());
    }
}

/// RFC 7662 §2.2, whether or not the document says where it stands.
#[test]
fn a_session_that_is_not_active_is_none() {
    for (claims, reason) in [
        (json!({"active": false}), Some("credentials_invalid")),
        (json!({"active": true}), None),
        (json!({"active": null}), None),
    ] {
        let mut rig = open_by(&pointer_by_service(&workspace_claim()));
        rig.client(&auth(&json!("red")));
        let mut claims = claims;
        claims["workspaces"] = json!("red");
        rig.is_told(&bob(&claims));
        match reason {
            Some(reason) => assert_eq!(rig.pushed(), told_client(1008, reason)),
            None => assert_eq!(rig.pushed(), ready()),
        }
    }
}

#[test]
fn a_service_grants_it_before_anything_goes_on() {
    let mut rig = open_by(&pointer_by_service(&workspace_callout()));
    rig.server(&plain(0x81, b"news"));
    assert_eq!(rig.client(&[text("before"), auth(&json!("red"))].concat()).bytes, b"");
    assert_eq!(rig.is_told(&bob(&json!({}))), "/session");
    assert!(rig.pushed().is_empty() && rig.events().is_empty(), "not opened yet");
    assert_eq!(rig.client(&text("after")).bytes, b"");
    assert_eq!(rig.is_told(&status(200)), "/members/red/bob");
    let ahead = [ready(), plain(0x81, b"news")].concat();
    assert_eq!(rig.turn_behind(&ahead), [text("before"), text("after")].concat());
    assert_eq!((rig.event()["event"].clone(), rig.buffered()), (json!("opened"), 0));

    for (answer, code, reason) in [
        (status(403), 1008, "access_denied"),
        (status(404), 1008, "access_denied"),
        (status(500), 1013, "auth_unavailable"),
        (CallAnswer::Reset, 1013, "auth_unavailable"),
    ] {
        let mut rig = open_by(&pointer_by_service(&workspace_callout()));
        rig.server(&plain(0x81, b"news"));
        rig.client(&[text("before"), auth(&json!("red")), text("after")].concat());
        rig.is_told(&bob(&json!({})));
        assert_eq!(rig.is_told(&answer), "/members/red/bob");
        assert_eq!(rig.pushed(), told_client(code, reason));
        assert_masked_close(&rig.client(b"").bytes, code, reason);
        assert_eq!(rig.buffered(), 0);
    }
}

#[test]
fn the_presets_payload_is_what_asks() {
    let graphql = json!([{
        "from": {"message": "/payload/workspaceId", "when": {"/type": "connection_init"}},
        "claim": "workspaces",
    }]);
    let init = |workspace: &str| {
        let payload = json!({"token": "opaque", "workspaceId": workspace});
        text(&json!({"type": "connection_init", "payload": payload}).to_string())
    };
    let socketio = json!([{"from": {"message": "/workspaceId"}, "claim": "workspaces"}]);
    let connect = |workspace: &str| {
        text(&format!(r#"40{}"#, json!({"token": "opaque", "workspaceId": workspace})))
    };
    let claims = bob(&json!({"workspaces": ["red"]}));
    for (workspace, granted) in [("red", true), ("yellow", false)] {
        let mut graphql = open_by(&by_service(&json!("graphql"), &graphql));
        let document = by_service(&json!("socketio"), &socketio);
        let mut socketio = open_by_socketio_with(&document, None);
        for (rig, message) in [(&mut graphql, init(workspace)), (&mut socketio, connect(workspace))]
        {
            assert_eq!(rig.client(&message).bytes, b"");
            rig.is_told(&claims);
            if granted {
                let gone_on = rig.turn();
                let said = String::from_utf8(unmasked(&gone_on)).unwrap();
                assert!(said.contains("red") && !said.contains("opaque"), "{said}");
            } else {
                assert_eq!(rig.pushed(), told_client(1008, "access_denied"));
            }
        }
    }
}

#[test]
fn other_messages_that_were_held_wait_for_their_services_in_order() {
    let mut rules = workspace_callout();
    rules.as_array_mut().unwrap().push(json!({
        "from": {"message": "/room"}, "callout": {"cluster": "members", "path": "/rooms/{room}"},
    }));
    let room = |name: &str| text(&json!({"room": name}).to_string());
    for last in [200, 403] {
        let mut rig = open_by(&pointer_by_service(&rules));
        let sent = [room("a"), text("1"), auth(&json!("red")), room("b"), text("2")].concat();
        assert_eq!(rig.client(&sent).bytes, b"");
        assert_eq!(rig.is_told(&bob(&json!({}))), "/session");
        assert_eq!(rig.is_told(&status(200)), "/members/red/bob");
        assert_eq!(rig.pushed(), ready(), "it is known who it is");
        assert_eq!(rig.client(&masked(0x89, b"p")).bytes, masked(0x89, b"p"));
        assert_eq!(rig.is_told(&status(200)), "/rooms/a");
        assert_eq!(rig.turn(), [room("a"), text("1")].concat());
        assert_eq!(rig.is_told(&status(last)), "/rooms/b");
        if last == 200 {
            assert_eq!(rig.turn(), [room("b"), text("2")].concat());
        } else {
            assert_eq!(rig.pushed(), told_client(1008, "access_denied"));
        }
        assert_eq!(rig.buffered(), 0);
    }
}

#[test]
fn an_earlier_credential_that_is_refused_asks_no_service() {
    let rules = json!([{
        "from": {"message": "/room"}, "callout": {"cluster": "members", "path": "/rooms/{room}"},
    }]);
    let mut rig = open_by(&pointer_by_service(&rules));
    rig.client(&[text(r#"{"room":"a"}"#), auth(&json!(null))].concat());
    assert_eq!(rig.is_told(&status(401)), "/session");
    assert_eq!(rig.pushed(), told_client(1008, "credentials_invalid"));
    assert!(rig.host.take_calls().is_empty() && !rig.session.is_waiting());
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn report_asks_about_it_too_and_holds_nothing() {
    let mut rules = workspace_callout();
    rules.as_array_mut().unwrap().push(json!({
        "from": {"message": "/room"}, "callout": {"cluster": "members", "path": "/rooms/{room}"},
    }));
    let mut document = pointer_by_service(&rules);
    document["mode"] = json!("report");
    let mut rig = open_by(&document);
    for sent in [text(r#"{"room":"a"}"#), auth(&json!("red")), text(r#"{"room":"b"}"#)] {
        assert_eq!(rig.client(&sent).bytes, sent);
    }
    rig.is_told(&bob(&json!({})));
    assert_eq!(rig.is_told(&status(200)), "/members/red/bob");
    assert_eq!(rig.event()["event"], "opened");
    assert_eq!(rig.is_told(&status(403)), "/rooms/a");
    assert_eq!(rig.is_told(&status(200)), "/rooms/b");
    let event = rig.event();
    assert_eq!((&event["event"], &event["reason"]), (&json!("reported"), &json!("access_denied")));
    assert_eq!(rig.buffered(), 0);
    // What enforce would have refused is asked nothing more.
    let mut rig = open_by(&document);
    rig.client(&[text(r#"{"room":"a"}"#), auth(&json!("red"))].concat());
    rig.is_told(&bob(&json!({})));
    rig.is_told(&status(403));
    assert_eq!(rig.event()["reason"], "access_denied");
    assert_eq!(rig.client(&text(r#"{"room":"b"}"#)).bytes, text(r#"{"room":"b"}"#));
    assert!(rig.host.take_calls().is_empty() && !rig.session.is_waiting());
    assert_eq!(rig.buffered(), 0);
}

/// What comes beside the question, and ends what enforce would look at.
fn trouble() -> [Vec<u8>; 6] {
    [
        masked(0xF1, b"a"),
        masked(0x83, b"a"),
        plain(0x81, b"a"),
        masked(0x01, b"a").repeat(2),
        masked(0x88, b"a"),
        masked(0x89, &[b'a'; 126]),
    ]
}

/// In mode report that has bytes pass unseen from then on, and decides all the
/// same.
#[test]
fn report_decides_what_was_asked_whatever_comes_beside_it() {
    for (rules, by_claim) in [(workspace_claim(), true), (workspace_callout(), false)] {
        let mut document = pointer_by_service(&rules);
        document["mode"] = json!("report");
        for (bad, at_once) in trouble().into_iter().flat_map(|t| [(t.clone(), true), (t, false)]) {
            for granted in [true, false] {
                let mut rig = open_by(&document);
                let asks = auth(&json!("red"));
                if at_once {
                    rig.client(&[asks, bad.clone()].concat());
                } else {
                    rig.client(&asks);
                    rig.client(&bad);
                }
                assert_eq!(rig.event()["reason"], "protocol_error");
                assert!(rig.session.is_waiting(), "the question is open");
                let claims = json!({"workspaces": if granted { "red" } else { "blue" }});
                rig.is_told(&bob(&claims));
                if !by_claim {
                    rig.is_told(&status(if granted { 200 } else { 403 }));
                }
                let event = rig.event();
                let expected =
                    if granted { ("opened", None) } else { ("reported", Some("access_denied")) };
                assert_eq!((event["event"].as_str().unwrap(), event["reason"].as_str()), expected);
                assert_eq!((rig.session.is_waiting(), rig.buffered()), (false, 0));
            }
        }
    }
}

/// Broken by the server, whose bytes ask for nothing.
#[test]
fn report_decides_when_the_server_breaks_the_framing() {
    let mut document = pointer_by_service(&workspace_claim());
    document["mode"] = json!("report");
    let mut rig = open_by(&document);
    rig.client(&auth(&json!("yellow")));
    rig.server(&[0xF1]);
    assert_eq!(rig.event()["reason"], "protocol_error");
    rig.is_told(&bob(&json!({"workspaces": "red"})));
    assert_eq!(rig.event()["reason"], "access_denied");
}

/// Other messages ask, too, before it is known who the client is and behind that.
#[test]
fn report_decides_what_other_messages_asked_for_before_the_trouble() {
    let mut rules = workspace_callout();
    for (pointer, grant) in [
        ("/room", json!({"callout": {"cluster": "members", "path": "/rooms/{room}"}})),
        ("/team", json!({"claim": "teams"})),
    ] {
        let mut rule = grant;
        rule["from"] = json!({"message": pointer});
        rules.as_array_mut().unwrap().push(rule);
    }
    let mut document = pointer_by_service(&rules);
    document["mode"] = json!("report");
    let bad = masked(0xF1, b"a");
    // A room that a service denies.
    let mut rig = open_by(&document);
    rig.client(&[text(r#"{"room":"a"}"#), auth(&json!("red")), bad.clone()].concat());
    rig.is_told(&bob(&json!({})));
    rig.is_told(&status(200));
    assert_eq!(rig.is_told(&status(403)), "/rooms/a");
    let told: Vec<_> =
        rig.events().into_iter().map(|e| (e["event"].clone(), e["reason"].clone())).collect();
    let expected = [
        (json!("reported"), json!("protocol_error")),
        (json!("opened"), json!(null)),
        (json!("reported"), json!("access_denied")),
    ];
    assert_eq!(told, expected);
    assert_eq!((rig.session.is_waiting(), rig.buffered()), (false, 0));
    // A team that no claim grants.
    let mut rig = open_by(&document);
    rig.client(&[text(r#"{"team":"x"}"#), auth(&json!("red")), bad.clone()].concat());
    rig.is_told(&bob(&json!({"teams": ["y"]})));
    rig.is_told(&status(200));
    let reasons: Vec<_> = rig.events().into_iter().map(|e| e["reason"].clone()).collect();
    assert_eq!(reasons, ["protocol_error", "access_denied"]);
    // Where no credential has come, none can any more: nothing is kept.
    let mut rig = open_by(&document);
    rig.client(&[text(r#"{"team":"x"}"#), text(r#"{"room":"a"}"#), bad].concat());
    assert_eq!((rig.session.is_waiting(), rig.buffered()), (false, 0));
}

/// What the message itself asks for in a wrong form is decided at once.
#[test]
fn report_tells_once_of_a_first_message_that_asks_in_a_wrong_form() {
    let mut document = pointer_by_service(&workspace_claim());
    document["mode"] = json!("report");
    let mut rig = open_by(&document);
    rig.client(&auth(&json!(["red"])));
    assert_eq!(rig.event()["reason"], "access_denied");
    assert!(rig.host.take_calls().is_empty() && !rig.session.is_waiting());
    rig.ticks(Duration::from_secs(30));
    assert!(rig.events().is_empty(), "nor opened");
}

/// An ending that report only tells takes no verdict's place.
#[test]
fn report_decides_after_it_has_told_of_another_ending() {
    let mut document = pointer_by_service(&workspace_claim());
    document["mode"] = json!("report");
    document["policies"][0]["lifetime"]["max"] = json!("1s");
    let mut rig = open_by(&document);
    rig.client(&auth(&json!("yellow")));
    rig.ticks(Duration::from_secs(1));
    assert_eq!(rig.event()["reason"], "lifetime_exceeded");
    rig.is_told(&bob(&json!({"workspaces": "red"})));
    assert_eq!(rig.event()["reason"], "access_denied");
}
