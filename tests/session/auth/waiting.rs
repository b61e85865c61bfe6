//! How much may wait for services, and how many questions may be under way.

use super::messages::{asking, cached, join, open, open_by};
use super::*;
use crate::rig::{Rig, Step, assert_masked_close, masked, text, told_client};
use wsguard::auth::MAX_ASKED_PER_ADDRESS;

const MOST: usize = MAX_ASKED_PER_ADDRESS as usize;

/// Handshakes that wait for the session service, of the address that all tests
/// connect from.
fn handshakes(worker: &Worker, count: usize) -> Vec<(Box<PendingAdmission>, CallId)> {
    let waits = |n: usize| worker.waits(&with(&format!("opaque{n}")));
    (0..count).map(waits).map(|(pending, id, _)| (pending, id)).collect()
}

/// Their answers have come.
fn answered(handshakes: Vec<(Box<PendingAdmission>, CallId)>) {
    for (mut pending, id) in handshakes {
        pending.on_answer(id, &answer(401, ""));
        assert!(pending.advance().is_some());
    }
}

#[test]
fn what_waits_for_a_service_is_bounded() {
    let large = masked(0x82, &[7; 9_000]);
    let many = join("again");
    for (message, at_most) in [(large, 10), (many, 1025)] {
        let worker = Worker::new(&asking(&json!({})));
        let mut rig = open(&worker);
        rig.client(&join("a"));
        let ended = (0..2000).map(|_| rig.client(&message)).enumerate();
        let (count, Step { bytes, refused, .. }) =
            ended.into_iter().find(|(_, step)| step.refused.is_some()).unwrap();
        assert!(count <= at_most, "{count}");
        assert_eq!(refused, Some(Reason::Overloaded));
        assert_masked_close(&bytes, 1013, "");
        assert_eq!(rig.pushed(), told_client(1013, "overloaded"));
        assert_eq!(rig.buffered(), 0);
        assert!(!rig.session.is_waiting());
    }
}

#[test]
fn an_address_asks_so_much_whether_in_handshakes_or_messages() {
    let worker = Worker::new(&asking(&json!({})));
    let mut rigs: Vec<Rig> = (0..3).map(|_| open(&worker)).collect();
    let handshakes = handshakes(&worker, MOST - 1);
    for rig in &mut rigs {
        assert_eq!(rig.client(&join("a")).bytes, b"");
    }
    let (first, call) = worker.call();
    assert_eq!(call.path, "/members/a/alice");
    assert_eq!(refusal(worker.arrives(&with("new"))), (Reason::AuthUnavailable, 503));
    rigs[0].session.on_answer(first, &answer(200, ""));
    assert_eq!(rigs[0].session.advance().refused, None);
    assert_eq!(rigs[0].turn(), join("a"));
    // The place is free for one of the two.
    for rig in &mut rigs[1..] {
        assert_eq!(rig.session.advance().refused, None);
    }
    assert_eq!(worker.call().1.path, "/members/a/alice");
    answered(handshakes);
    assert_eq!(rigs[2].session.advance().refused, None);
    worker.call();
}

#[test]
fn who_waits_for_its_place_does_so_no_longer_than_for_an_answer() {
    let worker = Worker::new(&asking(&json!({})));
    let mut rig = open(&worker);
    let handshakes = handshakes(&worker, MOST);
    rig.client(&join("a"));
    worker.host.advance(Duration::from_millis(1900));
    assert_eq!(rig.session.advance().refused, None);
    worker.host.advance(Duration::from_millis(100));
    assert_eq!(rig.session.advance().refused, Some(Reason::AuthUnavailable));
    assert_eq!(rig.pushed(), told_client(1013, "auth_unavailable"));
    assert!(worker.host.take_calls().is_empty());
    drop(handshakes);
}

/// An IPv6 client has a whole network to choose addresses from.
#[test]
fn an_address_that_asks_is_what_the_policy_counts_as_one() {
    for (prefix, shared) in [(48, true), (64, false)] {
        let quotas = json!({"ipv6_prefix": prefix, "connections": {"per_ip": 100}});
        let worker = Worker::new(&json!({"quotas": quotas}));
        let from = |network: u16| {
            let mut arrival = with("opaque");
            let address = [0x2001, 0xdb8, 1, network, 0, 0, 0, network];
            arrival.head.source = Some(address.into());
            arrival
        };
        let asking: Vec<_> = (0..32).map(|network| worker.waits(&from(network))).collect();
        let one_more = worker.arrives(&from(99));
        assert_eq!(one_more.reason, shared.then_some(Reason::AuthUnavailable), "{prefix}");
        drop(asking);
    }
}

/// A filter goes on with that one alone; with all, where it was for keys.
#[test]
fn an_answer_is_told_to_be_whose_it_is() {
    let keys = json!({"jwks_uri": {"cluster": "keys", "host": "keys.example.com", "path": "/"}});
    let issuer = json!({
        "issuer": "https://issuer.example.com", "audiences": ["chat"], "algorithms": ["RS256"],
        "keys": keys,
    });
    let worker = Worker::new(&asking(&json!({"jwt": [issuer]})));
    worker.guard.on_short_tick();
    let for_keys = worker.call().0;
    let mut rig = open(&worker);
    rig.client(&join("a"));
    let for_message = worker.call().0;
    let mut waiting = handshakes(&worker, 3);
    let ids: Vec<_> = waiting.iter().map(|(_, id)| *id).chain([for_message, for_keys]).collect();
    for (place, id) in ids.into_iter().enumerate() {
        let no = answer(500, "");
        let mut whose: Vec<_> =
            waiting.iter_mut().map(|(pending, _)| pending.on_answer(id, &no)).collect();
        whose.push(rig.session.on_answer(id, &no));
        whose.push(worker.guard.on_call_answer(id, &no));
        assert!(whose.iter().enumerate().all(|(at, own)| *own == (at == place)), "{whose:?}");
    }
}

/// It would be waiting for its place since the last one.
#[test]
fn the_next_one_waits_for_its_place_anew() {
    let worker = Worker::new(&asking(&json!({})));
    let mut rig = open(&worker);
    for _ in 0..3 {
        let handshakes = handshakes(&worker, MOST);
        rig.client(&join("a"));
        worker.host.advance(Duration::from_millis(1500));
        assert_eq!(rig.session.advance().refused, None);
        answered(handshakes);
        assert_eq!(rig.session.advance().refused, None);
        rig.answers(200);
        assert_eq!(rig.turn(), join("a"));
    }
}

/// The service goes on with what it was asked: clients that come, ask and go must
/// not be a flood there.
#[test]
fn whatever_ends_a_connection_gives_its_question_back_when_no_answer_can_come() {
    let worker = Worker::new(&asking(&json!({"session": {"cache": "1h"}})));
    open(&worker);
    let known = || {
        let mut session = session(worker.arrives(&with("opaque")));
        assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
        Rig { host: Rc::clone(&worker.host), guard: Rc::clone(&worker.guard), session }
    };
    for end in ["goes", "breaks a rule", "times out"] {
        for _ in 0..MOST {
            let mut rig = known();
            rig.client(&join("a"));
            worker.call();
            match end {
                "goes" => rig.session.on_end(),
                "breaks a rule" => drop(rig.client(&[0xFF, 0xFF])),
                _ => {
                    worker.host.advance(Duration::from_secs(3));
                    assert_eq!(rig.session.advance().refused, Some(Reason::AuthUnavailable));
                }
            }
        }
        if end != "times out" {
            assert_eq!(refusal(worker.arrives(&with("new"))).0, Reason::AuthUnavailable, "{end}");
            let mut rig = known();
            rig.client(&join("a"));
            assert!(rig.session.is_waiting() && worker.host.take_calls().is_empty(), "{end}");
            worker.host.advance(Duration::from_secs(3));
        }
    }
    assert_eq!(handshakes(&worker, MOST).len(), MOST);
}

#[test]
fn a_message_that_is_slowed_counts_in_its_rate_once() {
    let rate = json!({"client": {"rate": {"per_connection": "3/1m"}, "on_violation": "slow"}});
    let mut rig = open_by(&asking(&rate));
    rig.client(&[join("a"), text("2"), text("3"), text("4")].concat());
    rig.answers(200);
    assert_eq!(rig.turn(), [join("a"), text("2"), text("3")].concat());
    assert!(!rig.session.is_waiting() && rig.buffered() > 0, "the rate is used up");
    rig.host.advance(Duration::from_secs(90));
    assert_eq!(rig.client(&join("b")).bytes, text("4"));
    rig.answers(200);
    assert_eq!(rig.turn(), join("b"));
}

#[test]
fn report_asks_and_tells_and_lets_everything_pass_at_once() {
    let mut over = asking(&json!({"mode": "report"}));
    over["authorize"].as_array_mut().unwrap().push(json!({
        "from": {"message": "/team"}, "claim": "team",
    }));
    let mut rig = open_by(&over);
    for sent in [text("before"), join("a"), join("b"), text("after"), masked(0x82, b"more")] {
        assert_eq!(rig.client(&sent).bytes, sent);
    }
    assert!(rig.events().is_empty(), "nobody knows yet");
    assert_eq!(rig.answers(403), "/members/a/alice");
    let event = rig.event();
    assert_eq!(
        (&event["event"], &event["reason"], &event["offset"]),
        (&json!("reported"), &json!("access_denied"), &json!(text("before").len()))
    );
    assert_eq!(rig.answers(200), "/members/b/alice");
    assert!(rig.events().is_empty() && !rig.session.is_waiting() && rig.buffered() == 0);
    let denied = text(r#"{"team":"red"}"#);
    assert_eq!(rig.client(&denied).bytes, denied);
    assert_eq!(rig.event()["reason"], "access_denied");
    rig.client(&join("c"));
    assert_eq!(rig.answers(500), "/members/c/alice");
    assert_eq!(rig.event()["reason"], "auth_unavailable");
    rig.client(&join("d"));
    let broken = masked(0x83, b"");
    assert_eq!(rig.client(&broken).bytes, broken);
    assert_eq!(rig.event()["reason"], "protocol_error");
    // What comes is unseen from now on; what has been asked for is decided yet.
    assert_eq!(rig.answers(403), "/members/d/alice");
    assert_eq!(rig.event()["reason"], "access_denied");
    assert_eq!(rig.client(&join("e")).bytes, join("e"));
    assert!(!rig.session.is_waiting() && rig.buffered() == 0);
}

#[test]
fn what_report_asks_about_is_bounded_too() {
    let mut rig = open_by(&asking(&json!({"mode": "report"})));
    let told = (0..1100).filter(|_| rig.client(&join("a")).refused.is_some()).count();
    assert!((100..1000).contains(&told), "{told}: as many as the worker's account has room for");
    assert_eq!(rig.events().pop().unwrap()["reason"], "overloaded");
    for _ in told..1100 {
        assert_eq!(rig.answers(200), "/members/a/alice");
    }
    assert!(!rig.session.is_waiting() && rig.buffered() == 0);
}

#[test]
fn cached_answers_need_no_question_of_the_address() {
    let worker = Worker::new(&cached());
    let mut rig = open(&worker);
    rig.client(&join("a"));
    rig.answers(200);
    rig.turn();
    let handshakes = handshakes(&worker, MOST);
    for _ in 0..100 {
        assert_eq!(rig.client(&join("a")).bytes, join("a"));
    }
    drop(handshakes);
}
