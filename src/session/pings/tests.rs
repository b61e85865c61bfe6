use super::*;

const SECRET: Secret = [7; 32];

fn pings() -> Pings {
    Pings::new(SECRET)
}

/// Describes how a Pong was classified: `O`, the number of our Ping and the payload that it
/// answers as well, or the kind.
fn kind(pong: Pong) -> String {
    match pong {
        Pong::Ours { also: None, number } => format!("O{number}"),
        Pong::Ours { also: Some(also), number } => {
            format!("O{number}+{}", String::from_utf8_lossy(also.bytes()))
        }
        Pong::PassedOn { behind } => format!("theirs/{behind}"),
        Pong::Late => "late".to_owned(),
        Pong::Unsolicited => "unsolicited".to_owned(),
    }
}

#[test]
fn a_pong_to_ours_answers_the_latest_of_the_other_end_before_it() {
    let mut pings = pings();
    let first = pings.next();
    for theirs in [b"a", b"b"] {
        pings.pass_on(theirs);
    }
    let second = pings.next();
    pings.pass_on(b"c");
    // The first stands before all of them.
    assert_eq!(kind(pings.answer(&first)), "O1");
    assert_eq!(kind(pings.answer(&second)), "O2+b");
    assert_eq!(kind(pings.answer(b"c")), "theirs/2");
    assert_eq!(kind(pings.answer(b"c")), "unsolicited");
    assert_eq!(kind(pings.answer(&second)), "unsolicited", "each once");
}

#[test]
fn a_pong_that_was_made_is_not_sent_a_second_time() {
    let mut pings = pings();
    pings.pass_on(b"");
    let ours = pings.next();
    assert_eq!(kind(pings.answer(&ours)), "O1+");
    // A new Ping of the same payload is not the one before it.
    pings.pass_on(b"");
    assert_eq!(kind(pings.answer(b"")), "theirs/1");
    assert_eq!(kind(pings.answer(b"")), "late");
    assert_eq!(kind(pings.answer(b"")), "unsolicited");
}

#[test]
fn of_several_with_one_payload_the_oldest_is_answered() {
    let mut pings = pings();
    pings.pass_on(b"");
    pings.pass_on(b"");
    let ours = pings.next();
    assert_eq!(kind(pings.answer(b"")), "theirs/0");
    assert_eq!(kind(pings.answer(&ours)), "O1+", "the second may never get its own");
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut pings = pings();
    let probes: Vec<Probe> = (0..70).map(|_| pings.next()).collect();
    for (place, probe) in probes.iter().enumerate() {
        let expected = if place < 6 { "unsolicited".to_owned() } else { format!("O{}", place + 1) };
        assert_eq!(kind(pings.answer(probe)), expected);
    }
    for theirs in 0..100u8 {
        pings.pass_on(&[theirs]);
    }
    assert_eq!(pings.open.len(), MAX_OPEN);
    assert_eq!(kind(pings.answer(&[91])), "unsolicited");
    let ours = pings.next();
    assert_eq!(kind(pings.answer(&ours)), "O71+c", "of the latest");
    assert!(pings.open.is_empty());
}

#[test]
fn the_latest_before_each_of_ours_is_not_forgotten() {
    let mut pings = pings();
    let mut ours = Vec::new();
    for first in [b'a', b'n'] {
        (0..10).for_each(|more| pings.pass_on(&[first + more]));
        ours.push(pings.next());
    }
    (0..100).for_each(|_| pings.pass_on(b"x"));
    assert_eq!(pings.open.len(), MAX_OPEN);
    assert_eq!(kind(pings.answer(&ours[0])), "O1+j");
    assert_eq!(kind(pings.answer(&ours[1])), "O2+w");
    assert_eq!(kind(pings.answer(b"x")), "theirs/2");
}

#[test]
fn payloads_of_ours_are_all_different_and_not_to_be_guessed() {
    let mut seen = std::collections::BTreeSet::new();
    for secret in [[1; 32], [2; 32]] {
        let mut pings = Pings::new(secret);
        for number in 1..=300 {
            let probe = pings.next();
            assert!(seen.insert(probe), "{number}");
            assert_eq!(pings.number_of(&probe), Some(number));
            let mut other = probe;
            other[0] ^= 1;
            assert_eq!(pings.number_of(&other), None);
        }
        let next = Pings { sent: 300, ..Pings::new(secret) }.probe(301);
        assert_eq!(kind(pings.answer(&next)), "unsolicited", "not sent yet");
    }
    assert_eq!(kind(pings().answer(&[0; 8])), "unsolicited", "none was sent");
}

#[test]
fn a_ping_that_waited_is_known_by_its_frame() {
    let mut pings = pings();
    for (sender, frames, is_ping) in [
        (Sender::Client, &b"\x89\x82\x01\x02\x03\x04ik"[..], true),
        (Sender::Server, b"\x89\x02hi", true),
        (Sender::Client, b"\x8a\x82\x01\x02\x03\x04ik", false),
        (Sender::Server, b"\x81\x02hi", false),
        (Sender::Server, b"\xc1\x02hi", false),
        (Sender::Server, b"", false),
    ] {
        pings.pass_on_frame(sender, frames);
        let expected = if is_ping { "theirs/0" } else { "unsolicited" };
        assert_eq!(kind(pings.answer(b"hi")), expected, "{frames:?}");
    }
    pings.pass_on(&[9; 125]);
    assert_eq!(kind(pings.answer(&[9; 125])), "theirs/0");
}
