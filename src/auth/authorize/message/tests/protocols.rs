//! Messages that a protocol wraps: Socket.IO packets, and GraphQL's.

use super::*;
use crate::auth::first_message::{FirstMessageRules, Form};
use std::time::Duration;

fn by_first(form: Form, rules: AuthRules) -> AuthRules {
    let first = FirstMessageRules { form, deadline: Duration::ZERO, forward: false };
    AuthRules { first_message: Some(first), ..rules }
}

#[test]
fn of_socketio_the_payload_is_read() {
    let rules = by_first(Form::SocketIo, rules("/1/room", &[("/0", "join".into())]));
    holds(
        &rules,
        &[
            (r#"42["join",{"room":"a"}]"#, Ok(())),
            (r#"42["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42/chat,17["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"451-["join",{"room":"c","_":{"_placeholder":true,"num":0}}]"#, NOT_GRANTED),
            (r#"451-["join",{"_placeholder":true,"num":0}]"#, NOT_ASKED),
            (r#"451-[{"_placeholder":true,"num":0},{"room":"c"}]"#, NOT_ASKED),
            (r#"451-/chat,["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"45-["join",{"room":"c"}]"#, UNREAD),
            (r#"42["say",{"room":"c"}]"#, Ok(())),
            (r#"42[["join"],{"room":"c"}]"#, NOT_ASKED),
            (r#"42["join",[{"room":"c"}]]"#, NOT_ASKED),
            (r#"42["join","{\"room\":\"c\"}"]"#, NOT_ASKED),
            (r#"42/chat{x,["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42 ["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42 1["join",{"room":"c"}]"#, UNREAD),
            (r#"42x["join",{"room":"c"}]"#, UNREAD),
            (r#"42{"0":"join","1":{"room":"c"}}"#, UNREAD),
            (r#"42"join""#, UNREAD),
            ("42", UNREAD),
            ("4\u{664}2[]", UNREAD),
            (r#"["join",{"room":"c"}]"#, UNREAD),
            (r#"{"room":"c"}"#, UNREAD),
            ("b25bImpvaW4iXQ", UNREAD),
            // What is no event asks for nothing.
            (r#"431["join",{"room":"c"}]"#, Ok(())),
            (r#"43/chat,1[{"ok":true}]"#, Ok(())),
            (r#"43["x""#, UNREAD),
            (r#"44{"message":"x"}"#, UNREAD),
            (r#"40{"token":"t"}"#, Ok(())),
            (r#"4017{"token":"t"}"#, UNREAD),
            ("1", Ok(())),
            ("2", Ok(())),
            ("3", Ok(())),
            ("4", UNREAD),
            ("40", Ok(())),
            ("40/chat,", Ok(())),
            ("41", Ok(())),
            ("41/chat,", Ok(())),
            (r#"41["join"]"#, UNREAD),
        ],
    );
}

/// The payload of a CONNECT is an object, and an event's arguments may be.
#[test]
fn of_socketio_objects_are_read_by_rules_that_begin_with_a_name() {
    let rules = by_first(Form::SocketIo, rules("/room", &[]));
    holds(
        &rules,
        &[
            (r#"40{"token":"t","room":"a"}"#, Ok(())),
            (r#"40{"token":"t","room":"c"}"#, NOT_GRANTED),
            (r#"42["join",{"room":"c"}]"#, NOT_GRANTED),
            (r#"42["say","hello",1,null,{"x":1}]"#, Ok(())),
            (r#"42["message","{\"room\":\"c\"}"]"#, UNREAD),
            (r#"42["join",[{"room":"c"}]]"#, UNREAD),
        ],
    );
}

#[test]
fn graphqls_heartbeats_pass() {
    let subscribe = r#"{"id":"1","type":"subscribe","payload":{"variables":{"room":"c"}}}"#;
    let start = [("/type", "subscribe".into())];
    holds(
        &by_first(Form::GraphQl, rules("/payload/variables/room", &start)),
        &[
            (subscribe, NOT_GRANTED),
            (r#"{"type":"ping"}"#, Ok(())),
            (r#"{"type":"pong","payload":{}}"#, Ok(())),
            (r#"{"type":"connection_init","payload":{}}"#, Ok(())),
            (r#"[{"type":"subscribe","payload":{"variables":{"room":"c"}}}]"#, NOT_GRANTED),
            ("ping", UNREAD),
        ],
    );
    holds(
        &by_first(Form::GraphQl, rules("/0", &[])),
        &[
            (r#"{"type":"ping"}"#, Ok(())),
            (r#"{"type":"connection_init"}"#, Ok(())),
            (r#"{"type":["ping"]}"#, UNREAD),
            (subscribe, UNREAD),
        ],
    );
}
