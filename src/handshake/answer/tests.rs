use super::*;
use crate::handshake::{form, fuzz};
use proptest::prelude::*;

const GOOD: [&str; 3] = [
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
];

fn agreement(bearer: Option<&str>) -> Agreement {
    let head = fuzz::head(
        b"GET\n/\nh\nupgrade: websocket\nconnection: upgrade\nsec-websocket-version: 13\n\
          sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\n\
          sec-websocket-protocol: a, b, dropped\n\
          sec-websocket-extensions: permessage-deflate",
    );
    let forwarded = vec!["a".to_owned(), "b".to_owned()];
    Agreement::new(&form::check(&head).unwrap(), forwarded, bearer.map(str::to_owned))
}

fn judge(status: u16, lines: &[&str]) -> Answer {
    agreement(None).judge(status, &fuzz::headers(lines.join("\n").as_bytes()))
}

/// The good 101 with one header in other words.
fn with(name: &str, lines: &[&str]) -> Answer {
    let kept = GOOD.iter().filter(|line| !line.starts_with(&format!("{name}:")));
    judge(101, &kept.chain(lines).copied().collect::<Vec<_>>())
}

const OPEN: Answer = Answer::Open { add_subprotocol: None, deflate: None };

#[test]
fn a_101_that_keeps_the_agreement_opens() {
    assert_eq!(judge(101, &GOOD), OPEN);
    assert_eq!(with("upgrade", &["Upgrade: WebSocket"]), OPEN);
    assert_eq!(with("connection", &["connection: keep-alive, upgrade"]), OPEN);
    assert_eq!(with("", &["sec-websocket-protocol: b"]), OPEN);
}

#[test]
fn only_a_101_opens_and_upstreams_own_refusals_pass() {
    for status in [300, 301, 400, 401, 426, 500, 503, 599] {
        assert_eq!(judge(status, &GOOD), Answer::PassThrough, "{status}");
    }
    for status in [0, 100, 102, 103, 199, 200, 201, 204, 299, 600, 999, u16::MAX] {
        assert_eq!(judge(status, &GOOD), Answer::Refused(AnswerError::Status), "{status}");
    }
}

#[test]
fn a_101_needs_upgrade_and_connection() {
    for lines in
        [[].as_slice(), &["upgrade: h2c"], &["upgrade: websocket, h2c"], &["upgrade: websocket,"]]
    {
        assert_eq!(with("upgrade", lines), Answer::Refused(AnswerError::Upgrade), "{lines:?}");
    }
    for lines in [[].as_slice(), &["connection: keep-alive"], &["connection: upgrades"]] {
        let refused = Answer::Refused(AnswerError::Connection);
        assert_eq!(with("connection", lines), refused, "{lines:?}");
    }
}

#[test]
fn there_is_one_accept_and_it_answers_the_key() {
    let good = GOOD[2];
    let joined = format!("{good}, s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for (lines, error) in [
        ([].as_slice(), AnswerError::AcceptMissing),
        (&["sec-websocket-accept:"], AnswerError::AcceptWrong),
        (&["sec-websocket-accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo="], AnswerError::AcceptWrong),
        (&["sec-websocket-accept: dGhlIHNhbXBsZSBub25jZQ=="], AnswerError::AcceptWrong),
        (&[good, good], AnswerError::AcceptTwice),
        (&[joined.as_str()], AnswerError::AcceptTwice),
    ] {
        assert_eq!(with("sec-websocket-accept", lines), Answer::Refused(error), "{lines:?}");
    }
}

#[test]
fn an_extension_that_did_not_go_up_may_not_come_down() {
    for value in ["permessage-deflate", "x; y=1"] {
        let line = format!("sec-websocket-extensions: {value}");
        assert_eq!(with("", &[&line]), Answer::Refused(AnswerError::ExtensionNotOffered));
    }
    // Clients fail on empty elements, so they are upstream's fault here.
    for value in ["", "permessage-deflate,", ", permessage-deflate"] {
        let line = format!("sec-websocket-extensions: {value}");
        let refused = AnswerError::Extensions(ExtensionError::Name);
        assert_eq!(with("", &[&line]), Answer::Refused(refused), "{value:?}");
    }
}

#[test]
fn compression_is_agreed_as_it_was_offered_or_not_at_all() {
    let judge = |lines: &[&str]| {
        let lines = [GOOD.as_slice(), lines].concat().join("\n");
        let agreement = agreement(None).with_deflate(fuzz_offers());
        agreement.judge(101, &fuzz::headers(lines.as_bytes()))
    };
    let good = "permessage-deflate; server_no_context_takeover; server_max_window_bits=9";
    let good = format!("sec-websocket-extensions: {good}");
    assert_eq!(judge(&[]), OPEN);
    let Answer::Open { deflate: Some(Deflate { client, server }), .. } = judge(&[&good]) else {
        panic!("{:?}", judge(&[&good]))
    };
    assert_eq!((client.bits, client.takeover, server.bits, server.takeover), (15, true, 9, false));
    let twice = format!("{good}, permessage-deflate");
    let other = format!("{good}, mux");
    for (lines, error) in [
        ([good.as_str(), good.as_str()].as_slice(), AnswerError::ExtensionTwice),
        (&[&twice], AnswerError::ExtensionTwice),
        (&[&other], AnswerError::ExtensionNotOffered),
        (&[&good.replace("per", "Per")], AnswerError::ExtensionNotOffered),
        (&[&good.replace("=9", "=11")], AnswerError::Deflate(DeflateError::NoSuchOffer)),
        (&[&good.replace("=9", "=7")], AnswerError::Deflate(DeflateError::Value)),
    ] {
        assert_eq!(judge(lines), Answer::Refused(error), "{lines:?}");
    }
}

#[test]
fn where_no_key_went_up_no_accept_is_asked_for() {
    let judge = |accept: &[&str]| {
        let lines = [&GOOD[..2], accept].concat().join("\n");
        agreement(None).without_accept().judge(101, &fuzz::headers(lines.as_bytes()))
    };
    let wrong = "sec-websocket-accept: dGhlIHNhbXBsZSBub25jZQ==";
    for accept in [[].as_slice(), &[wrong], &[wrong, wrong]] {
        assert_eq!(judge(accept), OPEN, "{accept:?}");
    }
}

#[test]
fn a_subprotocol_is_one_of_those_that_went_up() {
    for value in ["dropped", "c", "A", "", "a b"] {
        let line = format!("sec-websocket-protocol: {value}");
        let refused = Answer::Refused(AnswerError::SubprotocolNotOffered);
        assert_eq!(with("", &[&line]), refused, "{value}");
    }
    for lines in [
        ["sec-websocket-protocol: a, b"].as_slice(),
        &["sec-websocket-protocol: a", "sec-websocket-protocol: a"],
    ] {
        assert_eq!(with("", lines), Answer::Refused(AnswerError::SubprotocolTwice), "{lines:?}");
    }
}

#[test]
fn a_client_that_presented_a_token_there_gets_a_subprotocol_that_it_offered() {
    let judge = |lines: &[&str]| {
        let lines = [GOOD.as_slice(), lines].concat().join("\n");
        agreement(Some("bearer")).judge(101, &fuzz::headers(lines.as_bytes()))
    };
    let add_subprotocol = Some("bearer".to_owned());
    assert_eq!(judge(&[]), Answer::Open { add_subprotocol, deflate: None });
    assert_eq!(judge(&["sec-websocket-protocol: a"]), OPEN);
    let not_forwarded = judge(&["sec-websocket-protocol: bearer"]);
    assert_eq!(not_forwarded, Answer::Refused(AnswerError::SubprotocolNotOffered));
}

#[test]
fn the_fuzz_entry_holds_on_seeds() {
    for lines in [
        "",
        "\nsec-websocket-protocol: a",
        "\nsec-websocket-extensions: x",
        "\nsec-websocket-extensions: permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
    ] {
        for status in ['\0', '\u{1}', '\u{4}', '\u{6}', '\u{7f}'] {
            fuzz_answer(format!("{status}{}{lines}", GOOD.join("\n")).as_bytes());
        }
    }
    fuzz_answer(b"");
    fuzz_answer(b"\xff");
}

proptest! {
    #[test]
    fn any_bytes_keep_the_invariants(data: Vec<u8>) {
        fuzz_answer(&data);
    }

    #[test]
    fn likely_answers_keep_the_invariants(
        status: u8,
        extra in r"((upgrade|connection|sec-websocket-(accept|protocol|extensions)): [ab,; ]{0,4}\n){0,3}"
    ) {
        let mut data = vec![status];
        data.extend(format!("{}\n{extra}", GOOD.join("\n")).bytes());
        fuzz_answer(&data);
    }
}
