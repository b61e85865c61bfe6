//! What a worker holds for unfinished messages: charged, bounded, given back.

use super::rig::{
    Rig, assert_masked_close, client, hand, masked, opened, plain, text, told_client,
};
use serde_json::{Value, json};
use wsguard::frame::Sender;
use wsguard::reason::Reason;

const LIMIT: i64 = 64 << 10;

fn bounded() -> Value {
    let mut document = client(json!({
        "rules": [{"name": "r", "pattern": "<script", "action": "close"}],
    }));
    document["limits"] = json!({"buffered_per_worker": LIMIT});
    document
}

fn holding() -> Rig {
    let mut rig = Rig::open(&bounded());
    assert_eq!(rig.client(&masked(0x01, &[b'a'; 5000])).bytes, b"");
    let held = rig.buffered();
    assert!((5000..=LIMIT).contains(&held), "{held}");
    rig
}

/// What ends a held message, and what it does.
type End = (&'static str, fn(&mut Rig));

#[test]
fn an_unfinished_message_is_charged_and_given_back_however_it_ends() {
    let ends: [End; 7] = [
        ("its last fragment", |rig| drop(rig.client(&masked(0x80, b"a")))),
        ("a rule", |rig| drop(rig.client(&masked(0x80, b"<script")))),
        ("broken framing", |rig| drop(rig.client(&[0xFF]))),
        ("the client's Close", |rig| drop(rig.client(&masked(0x88, b"")))),
        ("the server's broken framing", |rig| drop(rig.server(&[0xFF]))),
        ("the connection's end", |rig| {
            rig.session.on_end();
            rig.session = opened(&rig.guard);
        }),
        ("no end at all", |rig| rig.session = opened(&rig.guard)),
    ];
    for (name, end) in ends {
        let mut rig = holding();
        end(&mut rig);
        assert_eq!(rig.buffered(), 0, "{name}");
    }
}

/// A frame whose payload is not complete is held like a fragment.
#[test]
fn a_frame_in_progress_is_charged() {
    let mut rig = Rig::open(&bounded());
    let frame = masked(0x82, &[0; 9000]);
    rig.client(&frame[..6000]);
    assert!(rig.buffered() >= 5900);
    rig.client(&frame[6000..]);
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn over_the_limit_it_is_overloaded_and_what_needs_no_holding_goes_on() {
    let mut rig = Rig::open(&bounded());
    let mut others: Vec<_> = (0..20).map(|_| opened(&rig.guard)).collect();
    let mut refused = 0;
    for session in &mut others {
        let step = hand(session, Sender::Client, &masked(0x01, &[b'a'; 8000]));
        if let Some(reason) = step.refused {
            refused += 1;
            assert_eq!(reason.name(), "overloaded");
            assert_masked_close(&step.bytes, 1013, "");
            let echo = hand(session, Sender::Server, &told_client(1013, ""));
            assert_eq!(echo.bytes, told_client(1013, "overloaded"));
        } else {
            assert_eq!(step.bytes, b"");
        }
    }
    assert!((10..20).contains(&refused), "{refused} of 20");
    assert!(rig.buffered() <= LIMIT);
    assert_eq!(rig.client(&text("in one piece")).bytes, text("in one piece"));
    let metric = r#"wsguard_violations_total{policy="chat",direction="client",reason="overloaded",action="close"}"#;
    assert_eq!(rig.host.metric(metric), refused);
    others.truncate(0);
    assert_eq!(rig.buffered(), 0);
    assert_eq!(rig.client(&masked(0x01, &[b'a'; 8000])).refused, None, "there is room again");
}

/// Many frames without payload take memory all the same.
#[test]
fn empty_fragments_are_charged_too() {
    let mut document = bounded();
    document["policies"][0]["client"]["max_fragments"] = json!(65536);
    let mut rig = Rig::open(&document);
    rig.client(&masked(0x01, b""));
    let empty = masked(0x00, b"").repeat(64);
    let overloaded = (0..1024).find_map(|_| rig.client(&empty).refused);
    assert_eq!(overloaded.unwrap().name(), "overloaded");
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn what_the_server_sends_is_charged_alike() {
    let mut rig = Rig::open(&bounded());
    assert_eq!(rig.server(&plain(0x01, &[b'a'; 8000])).bytes, b"");
    assert!((8000..=16_384).contains(&rig.buffered()));
    rig.server(&plain(0x80, b""));
    assert_eq!(rig.buffered(), 0);
    rig.server(&plain(0x01, &[b'a'; 8000]));
    assert_eq!(rig.server(&plain(0x00, &[b'a'; 70_000])).refused, Some(Reason::Overloaded));
    assert_eq!(rig.buffered(), 0);
}

#[test]
fn a_worker_that_goes_takes_what_it_told_out_of_the_gauge() {
    let rig = holding();
    let Rig { host, guard, session } = rig;
    drop(guard);
    assert!(host.metric("wsguard_buffered_bytes") > 0, "the session still holds it");
    drop(session);
    assert_eq!(host.metric("wsguard_buffered_bytes"), 0);
}
