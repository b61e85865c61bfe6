//! Rules of fetching, by a clock that the tests set.

use super::*;
use crate::host::memory::MemoryHost;
use crate::host::{Clock, SharedData, Timestamp};

const REFRESH: Duration = Duration::from_secs(600);
const TIMEOUT: Duration = Duration::from_secs(2);
const SECOND: Duration = Duration::from_secs(1);

const ONE: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"iklVLSeAZbhsbxDmeg7JfhnOp6ln10E1VPJ0PKJKqyI"}]}"#;
const TWO: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"two","x":"iklVLSeAZbhsbxDmeg7JfhnOp6ln10E1VPJ0PKJKqyI"}]}"#;

fn uri() -> KeysUri {
    KeysUri {
        cluster: "issuer".to_owned(),
        host: "issuer.example.com".to_owned(),
        path: "/jwks".to_owned(),
        refresh: REFRESH,
        timeout: TIMEOUT,
    }
}

/// One worker and its view of the keys.
struct Worker {
    host: Rc<MemoryHost>,
    remote: RemoteKeys,
}

impl Worker {
    fn at(host: MemoryHost) -> Self {
        let host = Rc::new(host);
        let uri = uri();
        let remote = RemoteKeys::open(Rc::<MemoryHost>::clone(&host), std::iter::once(&uri));
        Self { host, remote }
    }

    fn first() -> Self {
        Self::at(MemoryHost::at(Timestamp::from_unix(Duration::from_secs(1_800_000_000))))
    }

    fn beside(&self) -> Self {
        Self::at(self.host.beside())
    }

    fn set(&self) -> &RemoteSet {
        self.remote.find(&uri()).unwrap()
    }

    /// A tick; the calls that it made.
    fn tick(&self) -> Vec<CallId> {
        self.remote.on_tick();
        self.host.take_calls().into_iter().map(|(id, _)| id).collect()
    }

    fn answer(&self, id: CallId, status: u16, body: &str) {
        let answer = CallAnswer::Whole { status, body: body.as_bytes().to_vec() };
        assert!(self.remote.on_answer(id, &answer));
        assert!(!self.remote.on_answer(id, &answer), "once is enough");
    }

    fn kid(&self) -> Option<String> {
        let held = self.set().held(self.host.monotonic())?;
        Some(format!("{:?}", held.keys))
    }

    /// Has fetched the first set.
    fn with_keys() -> Self {
        let worker = Self::first();
        let calls = worker.tick();
        worker.answer(calls[0], 200, ONE);
        worker
    }

    /// Lets time pass until there is a call; with how long that took.
    fn next_call(&self) -> (CallId, Duration) {
        let mut passed = Duration::ZERO;
        loop {
            passed += Duration::from_millis(500);
            if let [call] = self.pass(Duration::from_millis(500))[..] {
                return (call, passed);
            }
        }
    }

    /// Lets time pass in small steps; the calls that were made.
    fn pass(&self, time: Duration) -> Vec<CallId> {
        let mut calls = Vec::new();
        for _ in 0..time.as_millis() / 500 {
            self.host.advance(Duration::from_millis(500));
            calls.extend(self.tick());
        }
        calls
    }
}

const HAS_ONE: Option<&str> = Some(r#"[Some("one")]"#);
const HAS_TWO: Option<&str> = Some(r#"[Some("two")]"#);

#[test]
fn one_worker_fetches_and_all_have_the_keys() {
    let one = Worker::first();
    let two = one.beside();
    let calls = one.tick();
    assert_eq!(calls.len(), 1);
    assert!(two.tick().is_empty(), "the other has the lease");
    assert_eq!((one.kid(), two.kid()), (None, None));
    one.answer(calls[0], 200, ONE);
    assert!(two.tick().is_empty());
    assert_eq!((one.kid().as_deref(), two.kid().as_deref()), (HAS_ONE, HAS_ONE));
    let late = one.beside();
    assert_eq!(late.kid().as_deref(), HAS_ONE, "there from the beginning");
}

#[test]
fn the_call_asks_for_what_was_configured() {
    let worker = Worker::first();
    worker.remote.on_tick();
    let (_, call) = worker.host.take_calls().remove(0);
    assert_eq!((call.cluster.as_str(), call.method), ("issuer", "GET"));
    assert_eq!((call.authority.as_str(), call.path.as_str()), ("issuer.example.com", "/jwks"));
    assert_eq!(call.timeout, TIMEOUT);
}

#[test]
fn keys_are_fetched_ahead_of_need_and_once() {
    let one = Worker::with_keys();
    let two = one.beside();
    assert!(one.pass(REFRESH * 79 / 100).is_empty());
    two.host.advance(REFRESH * 79 / 100);
    let (call, later) = one.next_call();
    assert!(later <= REFRESH * 12 / 100, "between 80 and 90 %: {later:?}");
    two.host.advance(later);
    assert!(two.tick().is_empty());
    one.answer(call, 200, TWO);
    two.host.advance(SECOND);
    assert!(two.tick().is_empty());
    assert_eq!(two.kid().as_deref(), HAS_TWO);
}

#[test]
fn failures_are_tried_again_ever_later_and_keys_are_kept() {
    let worker = Worker::with_keys();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let (call, pause) = worker.next_call();
        worker.answer(call, 500, "");
        assert_eq!(worker.kid().as_deref(), HAS_ONE, "kept");
        pauses.push(pause);
    }
    pauses.remove(0);
    for (place, pause) in pauses.iter().enumerate() {
        let plain = Duration::from_secs(1 << place).min(MAX_PAUSE);
        let late = plain * 5 / 4 + Duration::from_millis(500);
        assert!(*pause >= plain * 3 / 4 && *pause <= late, "{place}: {pause:?}");
    }
    let lines = worker.host.take_lines();
    assert_eq!(lines.len(), 9);
    assert!(lines.iter().all(|(level, line)| *level == Level::Warn && line.contains("is 500")));
}

#[test]
fn keys_that_were_not_refreshed_for_a_day_are_no_longer_good() {
    let worker = Worker::with_keys();
    worker.host.advance(STALE);
    assert_eq!(worker.kid().as_deref(), HAS_ONE);
    worker.host.advance(SECOND);
    assert_eq!(worker.kid(), None);
}

#[test]
fn an_answer_that_is_no_key_set_changes_nothing() {
    let answers = [
        CallAnswer::Whole { status: 200, body: b"<html>".to_vec() },
        CallAnswer::Whole { status: 200, body: b"{}".to_vec() },
        CallAnswer::Whole { status: 200, body: br#"{"keys":[]}"#.to_vec() },
        CallAnswer::Whole { status: 200, body: ONE.replace("OKP", "oct").into_bytes() },
        CallAnswer::Whole { status: 204, body: Vec::new() },
        CallAnswer::Whole { status: 302, body: TWO.into() },
        CallAnswer::TooLong,
        CallAnswer::Reset,
    ];
    for answer in answers {
        let worker = Worker::with_keys();
        let (call, _) = worker.next_call();
        assert!(worker.remote.on_answer(call, &answer));
        assert_eq!(worker.kid().as_deref(), HAS_ONE, "{answer:?}");
        assert_eq!(worker.set().rounds(), (2, true), "{answer:?}");
        assert_eq!(worker.host.take_lines().len(), 1, "{answer:?}");
    }
}

#[test]
fn published_secrets_are_left_out() {
    let secret = r#"{"keys":[{"kty":"oct","k":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"},"#;
    let set = ONE.replace(r#"{"keys":["#, secret);
    let read = KeySet::from_published(set.as_bytes()).unwrap();
    assert_eq!(Some(format!("{read:?}").as_str()), HAS_ONE);
}

#[test]
fn a_fetch_whose_worker_has_died_is_taken_over() {
    let dead = Worker::first();
    assert_eq!(dead.tick().len(), 1);
    let lives = dead.beside();
    assert!(lives.pass(TIMEOUT).is_empty());
    assert_eq!(lives.pass(LEASE_MARGIN + SECOND).len(), 1);
}

#[test]
fn a_cluster_that_is_not_there_is_a_failure() {
    let worker = Worker::first();
    worker.host.set_unreachable(true);
    assert!(worker.tick().is_empty());
    assert_eq!(worker.set().rounds(), (1, true));
    worker.host.set_unreachable(false);
    assert_eq!(worker.pass(2 * SECOND).len(), 1);
}

#[test]
fn unknown_keys_make_one_fetch_begin_in_thirty_seconds() {
    let one = Worker::with_keys();
    let two = one.beside();
    one.host.advance(SECOND);
    two.host.advance(SECOND);
    assert!(one.set().ask(one.host.monotonic(), Want::Unknown));
    assert!(two.set().ask(two.host.monotonic(), Want::Unknown));
    let calls = one.tick();
    assert_eq!(calls.len(), 1);
    assert!(two.tick().is_empty(), "the same fetch is for both");
    one.answer(calls[0], 200, ONE);
    two.tick();
    for worker in [&one, &two] {
        worker.host.advance(ASK_EVERY - SECOND);
        assert!(!worker.set().ask(worker.host.monotonic(), Want::Unknown));
        assert!(worker.tick().is_empty());
        worker.host.advance(SECOND);
        assert!(worker.set().ask(worker.host.monotonic(), Want::Unknown));
    }
    assert_eq!(two.tick().len() + one.tick().len(), 1);
}

#[test]
fn while_the_issuer_is_down_nobody_waits_for_what_will_not_be_tried() {
    let worker = Worker::first();
    let call = worker.tick()[0];
    assert!(worker.set().ask(worker.host.monotonic(), Want::Any), "the one under way");
    worker.answer(call, 503, "");
    assert!(!worker.set().ask(worker.host.monotonic(), Want::Any));
    worker.host.advance(2 * SECOND);
    assert!(worker.set().ask(worker.host.monotonic(), Want::Any));
}

#[test]
fn jumps_of_the_wall_clock_are_not_noticed() {
    let worker = Worker::with_keys();
    let begin = worker.host.now().since_epoch();
    let week = Duration::from_secs(7 * 24 * 3600);
    for jumped in [begin - week, begin + week] {
        worker.host.set(Timestamp::from_unix(jumped));
        assert!(worker.pass(10 * SECOND).is_empty(), "no storm of fetches");
        assert_eq!(worker.kid().as_deref(), HAS_ONE, "not stale");
    }
    let (call, _) = worker.next_call();
    worker.host.set(Timestamp::from_unix(begin - week));
    assert!(worker.beside().tick().is_empty(), "the lease holds");
    worker.answer(call, 500, "");
    worker.host.set(Timestamp::from_unix(begin + week));
    assert!(worker.pass(SECOND / 2).is_empty(), "the pause after a failure holds");
}

#[test]
fn bytes_that_nobody_wrote_are_replaced() {
    let worker = Worker::with_keys();
    let keys = worker.host.shared_keys();
    let place = keys.iter().find(|key| key.starts_with("wsguard/keys/")).unwrap();
    worker.host.store(place, b"garbage", None).unwrap();
    worker.host.advance(SECOND);
    let calls = worker.tick();
    assert_eq!(calls.len(), 1);
    worker.answer(calls[0], 200, TWO);
    assert_eq!(worker.kid().as_deref(), HAS_TWO);
}

#[test]
fn the_same_place_is_one_key_of_shared_data() {
    let worker = Worker::first();
    let _others = [worker.beside(), worker.beside()];
    let uris = [uri(), KeysUri { refresh: SECOND, ..uri() }];
    RemoteKeys::open(Rc::<MemoryHost>::clone(&worker.host), uris.iter());
    let keys = worker.host.shared_keys();
    assert_eq!(keys.iter().filter(|key| key.starts_with("wsguard/keys/")).count(), 1);
}

#[test]
fn what_another_worker_fetched_meanwhile_is_not_fetched_again() {
    let one = Worker::first();
    let two = one.beside();
    assert!(two.set().ask(two.host.monotonic(), Want::Any), "it has not looked for a while");
    let call = one.tick()[0];
    one.answer(call, 200, ONE);
    assert!(two.tick().is_empty());
    assert_eq!(two.kid().as_deref(), HAS_ONE);
    assert!(two.pass(2 * SECOND).is_empty());
}
