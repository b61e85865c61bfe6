//! Event lines and their cap, and the metrics' names.

use super::rig::{
    Rig, admitted, arrival, client, events, hand, headers, masked, opened, plain, switching, text,
    worker,
};
use serde_json::{Value, json};
use std::time::Duration;
use wsguard::frame::Sender;
use wsguard::host::Level;
use wsguard::session::Opening;

#[test]
fn a_connection_is_told_from_its_opening_to_its_end() {
    let (host, guard) = worker(&client(json!({})));
    let mut session =
        admitted(&guard, &arrival(&[("origin", "https://a.example"), ("user-agent", "ua")]));
    host.advance(Duration::from_millis(3));
    assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
    hand(&mut session, Sender::Client, &text("hello"));
    hand(&mut session, Sender::Server, &plain(0x82, b"hi"));
    hand(&mut session, Sender::Client, &masked(0x88, b"\x03\xe8"));
    host.advance(Duration::from_secs(2));
    session.on_end();
    let lines = host.take_lines();
    assert!(lines.iter().all(|(level, _)| *level == Level::Info));
    let about = r#""policy":"chat","reason":null,"mode":"enforce","ip":"192.0.2.7","user":null,"credential":null,"path":"/ws","origin":"https://a.example","user_agent":"ua","connection":"42","request_id":null,"direction":null,"rule":null,"offset":null,"detail":null"#;
    assert_eq!(
        lines[0].1,
        format!(
            r#"wsguard {{"v":1,"ts":"2026-11-22T10:00:00.003Z","event":"opened",{about},"key_id":null,"authenticated_at":null}}"#
        )
    );
    assert_eq!(
        lines[1].1,
        format!(
            r#"wsguard {{"v":1,"ts":"2026-11-22T10:00:02.003Z","event":"closed",{about},"messages":{{"client":1,"server":1}},"bytes":{{"client":19,"server":4}},"duration_ms":2000,"code":1000,"by":"client"}}"#
        )
    );
}

/// An event never repeats what was sent.
#[test]
fn a_violations_line_holds_nothing_of_the_message() {
    let mut rig = Rig::open(&client(json!({
        "rules": [{"name": "no-scripts", "pattern": "hunter2", "action": "close"}],
    })));
    rig.client(&text("password hunter2"));
    let lines = rig.host.take_lines();
    assert_eq!(lines.len(), 1);
    assert_eq!(lines[0].0, Level::Warn);
    assert!(!lines[0].1.contains("hunter2") && !lines[0].1.contains("password"));
}

/// A hundred lines a second for each policy; what is left out is said, and
/// counted all the same.
#[test]
fn a_flood_is_told_in_part_and_counted_whole() {
    let rules = json!([{"name": "r", "pattern": "bad", "action": "report"}]);
    let (host, guard) = worker(&json!({"policies": [
        {"name": "quiet", "match": {"paths": ["/other"]}},
        {"name": "chat", "client": {"rules": rules}},
    ]}));
    let mut session = opened(&guard);
    host.take_lines();
    for _ in 0..250 {
        hand(&mut session, Sender::Client, &text("bad"));
    }
    // The opening took one of the hundred.
    assert_eq!(events(&host).len(), 99);
    let mut other = arrival(&[]);
    other.head.target = b"/other".to_vec();
    admitted(&guard, &other).on_response(101, &switching(&[]));
    assert_eq!(events(&host).len(), 1, "another policy has its own hundred");
    guard.on_tick();
    assert_eq!(events(&host), Vec::<Value>::new(), "the second is not over");
    // A sliding second, looked at in sixteenths.
    host.advance(Duration::from_millis(1100));
    guard.on_tick();
    let told = events(&host);
    assert_eq!(told.len(), 1);
    assert_eq!((&told[0]["event"], &told[0]["suppressed"]), (&json!("suppressed"), &json!(151)));
    assert_eq!((&told[0]["policy"], &told[0]["mode"]), (&json!("chat"), &json!("enforce")));
    hand(&mut session, Sender::Client, &text("bad"));
    assert_eq!(events(&host).len(), 1, "told once");
    let counted = r#"wsguard_violations_total{policy="chat",direction="client",reason="rule_matched",action="report",rule="r"}"#;
    assert_eq!(host.metric(counted), 251);
}

/// Lines of connections that live on are put off, and never hide a refusal.
#[test]
fn connections_that_live_on_leave_half_of_the_lines_to_others() {
    let rules = json!([{"name": "r", "pattern": "bad"}]);
    let (host, guard) = worker(&json!({
        "events": {"progress": "1m"},
        "policies": [{"name": "chat", "client": {"rules": rules}}],
    }));
    let mut sessions: Vec<_> = (0..150).map(|_| opened(&guard)).collect();
    host.advance(Duration::from_secs(60));
    guard.on_tick();
    events(&host);
    let told = |of: &[Value], kind: &str| of.iter().filter(|told| told["event"] == kind).count();
    let mut lived = 0;
    for second in 0..4 {
        for session in &mut sessions {
            let _ = session.on_tick();
        }
        hand(sessions.last_mut().unwrap(), Sender::Client, &text("bad"));
        let said = events(&host);
        assert!(told(&said, "progress") <= 50, "{second}");
        assert_eq!(told(&said, "refused"), usize::from(second == 0), "{second}");
        assert_eq!(told(&said, "suppressed"), 0, "put off is not left out");
        lived += told(&said, "progress");
        host.advance(Duration::from_millis(1100));
    }
    assert_eq!(lived, 149, "each once; the one that was refused in the first second not at all");
}

/// What Envoy's log level leaves out costs no other line its place.
#[test]
fn where_connections_are_not_logged_they_take_nothing_of_the_cap() {
    let rules = json!([{"name": "r", "pattern": "bad", "action": "report"}]);
    let (host, guard) = worker(&json!({"policies": [
        {"name": "chat", "client": {"rules": rules}},
    ]}));
    host.set_least_level(Level::Warn);
    for _ in 0..150 {
        opened(&guard).on_end();
    }
    let mut session = opened(&guard);
    for _ in 0..100 {
        hand(&mut session, Sender::Client, &text("bad"));
    }
    let told = events(&host);
    assert_eq!(told.len(), 100);
    assert!(told.iter().all(|event| event["event"] == "reported"));
    host.set_least_level(Level::Info);
    session.on_end();
    host.advance(Duration::from_millis(1100));
    guard.on_tick();
    assert_eq!(events(&host)[0]["suppressed"], 1, "the closed one of them");
}

#[test]
fn the_metrics_have_the_names_of_the_contract() {
    let (host, guard) = worker(&client(json!({"types": ["text"]})));
    let mut session = opened(&guard);
    for piece in text("hello").chunks(3) {
        hand(&mut session, Sender::Client, piece);
    }
    hand(&mut session, Sender::Client, &masked(0x89, b""));
    hand(&mut session, Sender::Client, &[masked(0x01, b"a"), masked(0x80, b"b")].concat());
    hand(&mut session, Sender::Server, &plain(0x82, b"hi"));
    let (sent, came) = (text("hello").len() + 6 + 14, plain(0x82, b"hi").len());
    let mut all = vec![
        (r#"wsguard_handshakes_total{policy="chat",result="accepted"}"#, 1),
        (r#"wsguard_handshake_us{policy="chat"}"#, 1),
        (r#"wsguard_connection_seconds{policy="chat"}"#, 1),
        (r#"wsguard_closes_total{policy="chat",code="1003",by="wsguard"}"#, 1),
        (r#"wsguard_messages_total{policy="chat",direction="client"}"#, 2),
        (r#"wsguard_messages_total{policy="chat",direction="server"}"#, 1),
        (r#"wsguard_bytes_total{policy="chat",direction="client"}"#, i64::try_from(sent).unwrap()),
        (r#"wsguard_bytes_total{policy="chat",direction="server"}"#, i64::try_from(came).unwrap()),
        (r#"wsguard_message_bytes{policy="chat",direction="client"}"#, 2),
        (r#"wsguard_message_bytes{policy="chat",direction="server"}"#, 1),
        ("wsguard_buffered_bytes", 0),
        (r#"wsguard_connections{policy="chat"}"#, 0),
        ("wsguard_table_fill", 0),
        ("wsguard_bans_active", 0),
    ];
    hand(&mut session, Sender::Client, &masked(0x82, b""));
    let bytes = r#"wsguard_bytes_total{policy="chat",direction="client"}"#;
    all.iter_mut().find(|(name, _)| *name == bytes).unwrap().1 += 6;
    session.on_end();
    all.push((
        r#"wsguard_violations_total{policy="chat",direction="client",reason="type_denied",action="close"}"#,
        1,
    ));

    let mut early = admitted(&guard, &arrival(&[]));
    assert!(hand(&mut early, Sender::Client, b"x").reset);
    all.push((
        r#"wsguard_handshakes_total{policy="chat",result="refused",reason="protocol_error"}"#,
        1,
    ));
    all.push((
        r#"wsguard_violations_total{policy="chat",direction="client",reason="protocol_error",action="close"}"#,
        1,
    ));
    admitted(&guard, &arrival(&[])).on_response(404, &headers(&[]));
    all.push((r#"wsguard_handshakes_total{policy="chat",result="upstream"}"#, 1));
    admitted(&guard, &arrival(&[])).on_response(101, &headers(&[]));
    all.push((
        r#"wsguard_handshakes_total{policy="chat",result="refused",reason="upstream_handshake"}"#,
        1,
    ));
    // What every message counts gathers between two ticks.
    guard.on_tick();
    for (name, value) in &all {
        assert_eq!(host.metric(name), *value, "{name}");
    }
    let mut known: Vec<String> = host.metrics().into_iter().map(|metric| metric.name).collect();
    let mut named: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    known.sort_unstable();
    named.sort_unstable();
    assert_eq!(known, named, "and there are no others");
}

#[test]
fn bytes_before_the_answer_are_refused_and_never_go_on() {
    let (host, guard) = worker(&client(json!({})));
    let mut session = admitted(&guard, &arrival(&[]));
    let empty = hand(&mut session, Sender::Client, b"");
    assert!(!empty.reset && empty.refused.is_none(), "a call without bytes is none");
    let step = hand(&mut session, Sender::Client, &text("early"));
    assert_eq!((step.bytes.as_slice(), step.reset), (&b""[..], true));
    assert_eq!(step.refused.unwrap().name(), "protocol_error");
    assert_eq!(hand(&mut session, Sender::Client, &text("more")).bytes, b"");
    let told = events(&host);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["offset"], 0);
    let late = session.on_response(101, &switching(&[]));
    assert!(
        matches!(&late, Opening::Refused(refusal) if refusal.reason.name() == "protocol_error"),
        "{late:?}"
    );
    assert_eq!(
        hand(&mut session, Sender::Client, &text("still")).bytes,
        b"",
        "nor behind a late 101"
    );
    session.on_end();
    assert_eq!(events(&host), Vec::<Value>::new(), "it was never open");
}
