//! Two voices on one channel: Pings of ours among those of the ends. An end may answer
//! only the latest Ping that it has read (RFC 6455 §5.5.3).

use super::rig::{Rig, masked, opened, plain, text, worker};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Duration;
use wsguard::frame::{FrameHeader, Opcode, Sender, mask};

const PING: u8 = 0x89;
const PONG: u8 = 0x8A;
const SECOND: Duration = Duration::from_secs(1);

/// With `push`, and a heartbeat each second.
fn beating() -> Value {
    let rules = json!({"rules": [{"name": "bad", "pattern": "<script>", "action": "reply"}]});
    let lifetime = json!({"push": true, "heartbeat": "1s", "idle": "1h"});
    json!({"policies": [{"name": "chat", "client": rules, "lifetime": lifetime}]})
}

/// Without `push`: the server gets a Ping in the place of a bad message.
fn replying() -> Value {
    let mut document = beating();
    document["policies"][0]["lifetime"] = json!({"idle": "1h"});
    document
}

fn open(document: &Value) -> Rig {
    let mut rig = Rig::open(document);
    if document["policies"][0]["lifetime"]["push"] == json!(true) {
        assert_eq!(rig.pushed(), b"");
    }
    rig
}

/// Whole frames, unmasked.
fn frames(mut bytes: &[u8], sender: Sender) -> Vec<(Opcode, Vec<u8>)> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let (header, length) = FrameHeader::parse(bytes, sender, false).unwrap().unwrap();
        let end = length + usize::try_from(header.payload_bytes).unwrap();
        let mut payload = bytes[length..end].to_vec();
        if let Some(key) = header.mask {
            mask::apply(&mut payload, key, 0);
        }
        found.push((header.opcode, payload));
        bytes = &bytes[end..];
    }
    found
}

/// The payloads of the Pongs among them, and of nothing else.
fn pongs(bytes: &[u8], sender: Sender) -> Vec<Vec<u8>> {
    let all = frames(bytes, sender);
    assert!(all.iter().all(|(opcode, _)| *opcode == Opcode::Pong), "{all:?}");
    all.into_iter().map(|(_, payload)| payload).collect()
}

/// The heartbeat that is due; its payload.
fn beat(rig: &mut Rig) -> Vec<u8> {
    rig.host.advance(SECOND);
    assert!(!rig.session.on_tick().reset);
    let pushed = rig.pushed();
    assert_eq!(pushed[..2], [PING, 8], "{pushed:?}");
    pushed[2..].to_vec()
}

#[test]
fn a_pong_to_the_heartbeat_answers_the_applications_latest_ping_too() {
    let mut rig = open(&beating());
    for payload in [&b"first"[..], b"latest"] {
        assert_eq!(rig.server(&plain(PING, payload)).bytes, plain(PING, payload));
    }
    let ours = beat(&mut rig);
    assert_eq!(rig.server(&plain(PING, b"behind it")).bytes, plain(PING, b"behind it"));
    let answered = rig.client(&masked(PONG, &ours));
    assert_eq!(pongs(&answered.bytes, Sender::Client), [b"latest"]);
    assert_eq!((answered.reset, answered.refused), (false, None));
    // That one is still open, and has its own.
    let own = masked(PONG, b"behind it");
    assert_eq!(rig.client(&own).bytes, own);
    let ours = beat(&mut rig);
    assert_eq!(rig.client(&masked(PONG, &ours)).bytes, b"", "none is open");
}

#[test]
fn a_pong_to_the_applications_ping_is_all_that_a_heartbeat_gets() {
    let mut rig = open(&beating());
    for _ in 0..10 {
        beat(&mut rig);
        rig.server(&plain(PING, b"app"));
        let own = masked(PONG, b"app");
        assert_eq!(rig.client(&own).bytes, own);
    }
    assert!(rig.events().is_empty());
}

#[test]
fn every_cut_gives_the_same() {
    let mut rig = open(&beating());
    let stream = |ours: &[u8]| {
        let parts = [text("before"), masked(PONG, ours), text("after")];
        (parts.concat(), parts)
    };
    for cut in 0..stream(&[0; 8]).0.len() {
        rig.reopen();
        rig.pushed();
        rig.server(&plain(PING, b"app"));
        let (whole, [before, _, after]) = stream(&beat(&mut rig));
        let gone_on = [rig.client(&whole[..cut]).bytes, rig.client(&whole[cut..]).bytes].concat();
        let pong = &gone_on[before.len()..gone_on.len() - after.len()];
        assert_eq!(pongs(pong, Sender::Client), [b"app"]);
        assert!(gone_on.starts_with(&before) && gone_on.ends_with(&after));
    }
}

#[test]
fn a_servers_pong_to_the_ping_for_a_reply_answers_the_clients_too() {
    let mut rig = open(&replying());
    assert_eq!(rig.client(&masked(PING, b"mine")).bytes, masked(PING, b"mine"));
    let asked = frames(&rig.client(&text("<script>")).bytes, Sender::Client);
    assert!(asked[0].0 == Opcode::Ping && asked.len() == 1, "{asked:?}");
    let told = frames(&rig.server(&plain(PONG, &asked[0].1)).bytes, Sender::Server);
    assert_eq!((told[0].0, told.len()), (Opcode::Text, 2), "the reply");
    assert_eq!(told[1], (Opcode::Pong, b"mine".to_vec()));
    // One that answers both is heard once.
    assert_eq!(rig.server(&plain(PONG, b"mine")).bytes, b"");
}

/// The Pong to our Ping lets held messages go on, and answers the application's Ping too.
#[test]
fn the_ping_for_what_waits_answers_the_applications_too() {
    let mut document = beating();
    document["policies"][0]["client"] =
        json!({"rate": {"per_connection": "2/1m"}, "on_violation": "slow"});
    document["policies"][0]["lifetime"] = json!({"push": true, "idle": "1h"});
    let mut rig = open(&document);
    let sent = [text("1"), text("2"), text("3"), text("4")].concat();
    assert_eq!(rig.client(&sent).bytes, [text("1"), text("2")].concat());
    rig.server(&plain(PING, b"app"));
    rig.host.advance(Duration::from_secs(90));
    let _ = rig.session.on_tick();
    let pushed = rig.pushed();
    let gone_on = rig.client(&masked(PONG, &pushed[2..])).bytes;
    let waited = [text("3"), text("4")].concat();
    assert_eq!(gone_on[..waited.len()], waited);
    assert_eq!(pongs(&gone_on[waited.len()..], Sender::Client), [b"app"]);
    assert_eq!(rig.server(&plain(0x81, b"so")).bytes, plain(0x81, b"so"));
}

/// A Ping that had to wait for a rate stands where it went on, not where it came.
#[test]
fn a_ping_that_waited_is_open_from_its_turn_on() {
    let mut document = beating();
    document["policies"][0]["server"] =
        json!({"rate": {"per_connection": "1/1m"}, "on_violation": "slow"});
    let mut rig = open(&document);
    rig.server(&plain(0x81, b"a"));
    assert_eq!(rig.server(&plain(PING, b"late")).bytes, b"");
    let ours = beat(&mut rig);
    assert_eq!(rig.client(&masked(PONG, &ours)).bytes, b"", "it has not gone there");
    rig.host.advance(Duration::from_secs(90));
    let _ = rig.session.on_tick();
    let pushed = frames(&rig.pushed(), Sender::Server);
    let pings: Vec<_> = pushed.iter().map(|(opcode, payload)| (*opcode, payload.len())).collect();
    assert_eq!(pings, [(Opcode::Ping, 4), (Opcode::Ping, 8)], "and the heartbeat behind it");
    let answered = rig.client(&masked(PONG, &pushed[1].1)).bytes;
    assert_eq!(pongs(&answered, Sender::Client), [b"late"]);
}

/// Only what the client sends of its own accord.
#[test]
fn a_pong_that_answers_both_counts_in_no_rate() {
    let mut document = beating();
    document["policies"][0]["client"] = json!({
        "rate": {"per_connection": "1/1m"}, "bytes": {"per_connection": "1KiB/1m"},
    });
    let mut rig = open(&document);
    for _ in 0..20 {
        rig.server(&plain(PING, &[b'p'; 125]));
        let ours = beat(&mut rig);
        assert_eq!(rig.client(&masked(PONG, &ours)).bytes.len(), 131);
    }
    assert_eq!(rig.client(&text("the one")).bytes, text("the one"));
    assert!(rig.events().is_empty());
}

/// It is the server's own payload, which goes back to where it came from.
#[test]
fn a_pong_that_is_made_is_not_the_clients_fault() {
    let mut document = beating();
    document["policies"][0]["client"]["rules"][0]["action"] = json!("close");
    let mut rig = open(&document);
    rig.server(&plain(PING, b"<script>"));
    let ours = beat(&mut rig);
    assert_eq!(pongs(&rig.client(&masked(PONG, &ours)).bytes, Sender::Client), [b"<script>"]);
    assert!(rig.events().is_empty());
}

/// An answered Ping of the application is activity, a heartbeat is none.
#[test]
fn the_applications_ping_counts_although_ours_was_answered() {
    for (pings, lives) in [(true, true), (false, false)] {
        let mut document = beating();
        document["policies"][0]["lifetime"]["idle"] = json!("10s");
        let mut rig = open(&document);
        let mut refused = None;
        for _ in 0..15 {
            if pings {
                rig.server(&plain(PING, b"app"));
            }
            rig.host.advance(SECOND);
            refused = refused.or(rig.session.on_tick().refused);
            let pushed = rig.pushed();
            // Once it has ended there is none.
            rig.client(&masked(PONG, pushed.get(2..).unwrap_or_default()));
        }
        assert_eq!(refused.is_none(), lives);
    }
}

#[test]
fn a_ping_that_vanished_is_answered_by_nothing() {
    let mut document = beating();
    document["policies"][0]["server"] =
        json!({"rules": [{"name": "bad", "pattern": "<script>", "action": "drop"}]});
    let mut rig = open(&document);
    assert_eq!(rig.server(&plain(PING, b"<script>")).bytes, b"");
    let ours = beat(&mut rig);
    assert_eq!(rig.client(&masked(PONG, &ours)).bytes, b"");
}

#[test]
fn pongs_that_nobody_asked_for_pass_as_they_came() {
    // .NET's heartbeat is one (RFC 6455 §5.5.3 allows it).
    let mut rig = open(&beating());
    for payload in [&b""[..], b"12345678", &[7; 125]] {
        assert_eq!(rig.client(&masked(PONG, payload)).bytes, masked(PONG, payload));
        assert_eq!(rig.server(&plain(PONG, payload)).bytes, plain(PONG, payload));
    }
}

#[test]
fn payloads_of_one_connection_mean_nothing_on_another() {
    let (host, guard) = worker(&beating());
    let session = opened(&guard);
    let mut rig = Rig { host, guard, session };
    rig.pushed();
    let first = beat(&mut rig);
    rig.reopen();
    rig.pushed();
    let second = beat(&mut rig);
    assert_ne!(first, second);
    assert_eq!(rig.client(&masked(PONG, &first)).bytes, masked(PONG, &first), "its own");
    assert_eq!(rig.client(&masked(PONG, &second)).bytes, b"");
}

/// One end, as the property sees it.
#[derive(Default)]
struct End {
    /// Pings that came and are not answered.
    unread: Vec<Vec<u8>>,
    /// Payloads of its own Pings, each another one.
    sent: Vec<Vec<u8>>,
    /// Number of the other end's Pings that it has read.
    read: usize,
    /// Which of its own have been answered.
    answered: Vec<usize>,
}

/// Order in which an end answers the Pings that it has read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    All,
    Latest,
    /// As no end should.
    Backwards,
}

#[derive(Clone, Copy, Debug)]
enum Does {
    Ping(bool, u8),
    Answer(bool, Answers),
    /// A Ping of ours: a heartbeat, or one in the place of a bad message.
    Ours,
    Says(bool),
}

struct Talk {
    rig: Rig,
    pushes: bool,
    cut: usize,
    client: End,
    server: End,
}

const fn sender(is_client: bool) -> Sender {
    if is_client { Sender::Client } else { Sender::Server }
}

fn frame(sender: Sender, first: u8, payload: &[u8]) -> Vec<u8> {
    match sender {
        Sender::Client => masked(first, payload),
        Sender::Server => plain(first, payload),
    }
}

impl Talk {
    fn new(pushes: bool, cut: usize) -> Self {
        let rig = open(&if pushes { beating() } else { replying() });
        Self { rig, pushes, cut, client: End::default(), server: End::default() }
    }

    fn ends(&mut self, receiver: Sender) -> (&mut End, &mut End) {
        match receiver {
            Sender::Client => (&mut self.client, &mut self.server),
            Sender::Server => (&mut self.server, &mut self.client),
        }
    }

    fn send(&mut self, sender: Sender, bytes: &[u8]) {
        let mut gone_on = Vec::new();
        for piece in bytes.chunks(self.cut) {
            let step = match sender {
                Sender::Client => self.rig.client(piece),
                Sender::Server => self.rig.server(piece),
            };
            assert!(!step.reset && step.refused.is_none());
            gone_on.extend(step.bytes);
            self.push();
        }
        self.arrive(sender.other(), &gone_on);
    }

    fn push(&mut self) {
        if self.pushes {
            let pushed = self.rig.pushed();
            self.arrive(Sender::Client, &pushed);
        }
    }

    /// Every Pong is to a Ping of its receiver that the other end has read, and the only
    /// one to it.
    fn arrive(&mut self, receiver: Sender, bytes: &[u8]) {
        let (end, other) = self.ends(receiver);
        for (opcode, payload) in frames(bytes, receiver.other()) {
            if opcode == Opcode::Ping {
                end.unread.push(payload);
            } else if opcode == Opcode::Pong {
                let place = end.sent.iter().position(|sent| *sent == payload);
                let place = place.unwrap_or_else(|| panic!("a Pong from nowhere: {payload:?}"));
                assert!(!end.answered.contains(&place), "answered twice");
                assert!(place < other.read, "the other end has not read it");
                end.answered.push(place);
            }
        }
    }

    fn answer(&mut self, answerer: Sender, how: Answers) {
        let (end, other) = self.ends(answerer);
        let mut pings = std::mem::take(&mut end.unread);
        end.read += pings.iter().filter(|ping| other.sent.contains(ping)).count();
        let (read, any) = (end.read, !pings.is_empty());
        match how {
            Answers::All => {}
            Answers::Latest => drop(pings.drain(..pings.len().saturating_sub(1))),
            Answers::Backwards => pings.reverse(),
        }
        let bytes: Vec<u8> = pings.iter().flat_map(|p| frame(answerer, PONG, p)).collect();
        self.send(answerer, &bytes);
        let (_, other) = self.ends(answerer);
        if any && how != Answers::Backwards {
            assert!(other.answered.is_sorted(), "an older one after a newer one");
            let latest = other.answered.last().map(|place| place + 1);
            assert_eq!(latest.unwrap_or(0), read, "the latest that it has read");
        }
        if how == Answers::All && any && other.answered.is_sorted() {
            assert!(other.answered.len() <= read);
        }
    }

    fn does(&mut self, step: Does) {
        match step {
            Does::Ping(is_client, length) => {
                let (end, _) = self.ends(sender(is_client));
                let mut payload = vec![0; usize::from(length % 123) + 2];
                payload[0] = u8::try_from(end.sent.len()).unwrap();
                payload[1] = u8::from(is_client);
                end.sent.push(payload.clone());
                self.send(sender(is_client), &frame(sender(is_client), PING, &payload));
            }
            Does::Answer(is_client, how) => self.answer(sender(is_client), how),
            Does::Ours if self.pushes => {
                // Or it would be taken for gone.
                self.send(Sender::Client, &text("here"));
                self.rig.host.advance(SECOND);
                assert!(!self.rig.session.on_tick().reset);
                self.push();
            }
            Does::Ours => self.send(Sender::Client, &text("<script>")),
            Does::Says(is_client) => {
                self.send(sender(is_client), &frame(sender(is_client), 0x81, b"words"));
            }
        }
        self.rig.host.take_lines();
    }
}

fn steps(answers: &'static [Answers]) -> impl Strategy<Value = Vec<Does>> {
    let step = prop_oneof![
        4 => any::<(bool, u8)>().prop_map(|(is_client, length)| Does::Ping(is_client, length)),
        3 => (any::<bool>(), prop::sample::select(answers)).prop_map(|(c, a)| Does::Answer(c, a)),
        3 => Just(Does::Ours),
        1 => any::<bool>().prop_map(Does::Says),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    /// Whatever is sent meanwhile, and however it is cut.
    #[test]
    fn each_ping_has_one_true_pong_at_most_and_the_latest_has_one(
        pushes: bool, cut in 1usize..40, steps in steps(&[Answers::All, Answers::Latest]),
    ) {
        let mut talk = Talk::new(pushes, cut);
        for step in steps {
            talk.does(step);
        }
    }

    #[test]
    fn ends_that_answer_backwards_are_heard_once_too(
        pushes: bool, cut in 1usize..40, steps in steps(&[Answers::Backwards]),
    ) {
        let mut talk = Talk::new(pushes, cut);
        for step in steps {
            talk.does(step);
        }
    }
}
