use super::*;
use crate::handshake::fuzz;
use proptest::prelude::*;

/// The example of RFC 6455 §1.2, without its Origin.
const GOOD: [&str; 6] = [
    "upgrade: websocket",
    "connection: Upgrade",
    "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
    "sec-websocket-protocol: chat, superchat",
    "sec-websocket-version: 13",
    "user-agent: example",
];

fn head(lines: &[&str]) -> RequestHead {
    fuzz::head(format!("GET\n/chat\nserver.example.com\n{}", lines.join("\n")).as_bytes())
}

/// The good handshake with one header in other words; `""`: without it.
fn with(name: &str, lines: &[&str]) -> Result<ValidHandshake, HandshakeError> {
    let kept = GOOD.iter().filter(|line| !line.starts_with(&format!("{name}:")));
    check(&head(&kept.chain(lines).copied().collect::<Vec<_>>()))
}

#[test]
fn the_example_of_rfc_6455_1_2_is_well_formed() {
    let valid = check(&head(&GOOD)).unwrap();
    assert_eq!(valid.host().name(), "server.example.com");
    assert_eq!(valid.key(), "dGhlIHNhbXBsZSBub25jZQ==");
    assert_eq!(valid.expected_accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(valid.subprotocols(), ["chat", "superchat"]);
    assert!(!valid.offers_extensions() && !valid.offers_compression());
    assert_eq!(valid.rewrites(), Rewrites::default());
}

#[test]
fn only_get_opens() {
    for method in ["POST", "get", "CONNECT", "HEAD", ""] {
        let request = RequestHead { method: method.into(), ..head(&GOOD) };
        assert_eq!(check(&request), Err(HandshakeError::Method), "{method}");
    }
}

/// RFC 8441 §5: no key, no accept. The key that upstream needs is made here.
#[test]
fn over_http2_there_is_no_key_and_one_is_made() {
    let request = RequestHead { http2: true, ..head(&GOOD) };
    assert_eq!(check(&request), Err(HandshakeError::KeyOverHttp2));
    let lines: Vec<_> = GOOD.into_iter().filter(|line| !line.contains("-key:")).collect();
    let request = RequestHead { http2: true, ..head(&lines) };
    let valid = check(&request).unwrap();
    assert!(valid.is_http2());
    assert!(Key::parse(valid.key().as_bytes()).is_some());
    assert_eq!(check(&head(&lines)), Err(HandshakeError::KeyMissing));
}

#[test]
fn there_is_one_valid_host() {
    let authority = |text: &str| {
        check(&RequestHead { authority: text.into(), ..head(&GOOD) }).map(|valid| valid.host)
    };
    assert_eq!(authority(""), Err(HandshakeError::Host(HostError::Empty)));
    assert_eq!(authority("a@b"), Err(HandshakeError::Host(HostError::Userinfo)));
    assert_eq!(authority("a,b"), Err(HandshakeError::Host(HostError::BadCharacter)));
    assert!(with("host", &["host: Server.example.com"]).is_ok());
    for lines in [
        ["host: other.example.com"].as_slice(),
        &["host: server.example.com:80"],
        &["host: server.example.com", "host: server.example.com"],
    ] {
        assert_eq!(with("host", lines), Err(HandshakeError::HostTwice), "{lines:?}");
    }
}

#[test]
fn upgrade_and_connection_are_lists() {
    assert!(with("upgrade", &["Upgrade: WebSocket"]).is_ok());
    for lines in [[].as_slice(), &["upgrade: websocket/13"], &["upgrade: web socket"]] {
        assert_eq!(with("upgrade", lines), Err(HandshakeError::UpgradeMissing), "{lines:?}");
    }
    for lines in [
        ["upgrade: websocket, h2c"].as_slice(),
        &["upgrade: h2c", "upgrade: websocket"],
        &["upgrade: websocket", "upgrade: websocket"],
    ] {
        assert_eq!(with("upgrade", lines), Err(HandshakeError::UpgradeAmbiguous), "{lines:?}");
    }
    for lines in [
        ["connection: keep-alive, Upgrade"].as_slice(),
        &["connection: keep-alive", "connection: UPGRADE"],
    ] {
        assert!(!with("connection", lines).unwrap().rewrites().connection, "{lines:?}");
    }
    for lines in [[].as_slice(), &["connection: keep-alive"], &["connection: upgrades"]] {
        assert_eq!(with("connection", lines), Err(HandshakeError::ConnectionMissing), "{lines:?}");
    }
    assert_eq!(
        with("connection", &["connection: upgrade, a b"]),
        Err(HandshakeError::ConnectionMalformed)
    );
}

#[test]
fn a_connection_header_that_names_others_must_not_go_on() {
    for lines in [
        ["connection: Upgrade, x-user-id"].as_slice(),
        &["connection: Upgrade", "connection: close"],
        &["connection: Upgrade, sec-websocket-protocol"],
    ] {
        assert!(with("connection", lines).unwrap().rewrites().connection, "{lines:?}");
    }
}

#[test]
fn there_is_no_body() {
    assert!(with("content-length", &["content-length: 0"]).is_ok());
    for line in [
        "content-length: 1",
        "content-length: 00",
        "content-length: 0, 0",
        "content-length: -0",
        "content-length:",
        "transfer-encoding: chunked",
        "transfer-encoding: identity",
        "transfer-encoding:",
    ] {
        assert_eq!(with("content-length", &[line]), Err(HandshakeError::Body), "{line}");
    }
    let twice = ["content-length: 0", "content-length: 0"];
    assert_eq!(with("content-length", &twice), Err(HandshakeError::Body));
}

#[test]
fn the_version_is_13_and_there_once() {
    let name = "sec-websocket-version";
    assert_eq!(with(name, &[]), Err(HandshakeError::VersionMissing));
    for value in ["8", "14", "013", "13a", "", "\u{e4}"] {
        let error = with(name, &[&format!("{name}: {value}")]).unwrap_err();
        assert_eq!(error, HandshakeError::VersionUnsupported, "{value}");
        assert_eq!(error.reason(), Reason::VersionUnsupported);
    }
    let joined = [format!("{name}: 13, 8")];
    assert_eq!(with(name, &[&joined[0]]), Err(HandshakeError::VersionTwice));
    let lines = ["sec-websocket-version: 13", "sec-websocket-version: 13"];
    assert_eq!(with(name, &lines), Err(HandshakeError::VersionTwice));
}

#[test]
fn another_version_is_told_before_what_it_may_do_otherwise() {
    let lines = ["upgrade: websocket", "connection: upgrade", "sec-websocket-version: 8"];
    assert_eq!(check(&head(&lines)), Err(HandshakeError::VersionUnsupported));
}

#[test]
fn the_key_is_there_once_and_16_bytes() {
    let name = "sec-websocket-key";
    let key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    assert_eq!(with(name, &[]), Err(HandshakeError::KeyMissing));
    assert_eq!(with(name, &[key, key]), Err(HandshakeError::KeyTwice));
    assert_eq!(with(name, &[&format!("{key}, {key}")]), Err(HandshakeError::KeyTwice));
    for value in ["", "x", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZTEy"] {
        let line = format!("{name}: {value}");
        assert_eq!(with(name, &[&line]), Err(HandshakeError::KeyMalformed), "{value}");
    }
}

#[test]
fn an_accept_is_the_servers_to_send() {
    let line = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
    assert_eq!(with("sec-websocket-accept", &[line]), Err(HandshakeError::AcceptInRequest));
}

#[test]
fn subprotocols_are_different_tokens_in_order() {
    let name = "sec-websocket-protocol";
    let offer = |lines: &[&str]| with(name, lines).map(|valid| valid.subprotocols);
    let joined = offer(&["sec-websocket-protocol: b, a,B"]).unwrap();
    assert_eq!(joined, ["b", "a", "B"]);
    let apart = ["sec-websocket-protocol: b", "sec-websocket-protocol: a,B"];
    assert_eq!(offer(&apart).unwrap(), joined);
    assert_eq!(offer(&[]).unwrap(), [""; 0]);
    for value in ["", ",", " , ,", "a b", "a/b", "a, b c", "\"a\"", "\u{e4}"] {
        let line = format!("{name}: {value}");
        assert_eq!(offer(&[&line]), Err(HandshakeError::SubprotocolMalformed), "{value}");
    }
    assert_eq!(offer(&["sec-websocket-protocol: a, a"]), Err(HandshakeError::SubprotocolTwice));
    let many = |count: usize| {
        let names: Vec<_> = (0..count).map(|n| n.to_string()).collect();
        format!("{name}: {}", names.join(","))
    };
    assert_eq!(offer(&[&many(MAX_SUBPROTOCOLS)]).unwrap().len(), MAX_SUBPROTOCOLS);
    assert_eq!(offer(&[&many(MAX_SUBPROTOCOLS + 1)]), Err(HandshakeError::TooManySubprotocols));
}

/// RFC 9110 §5.6.1.2
#[test]
fn empty_elements_of_lists_are_left_out_and_do_not_go_on() {
    for lines in [
        &["sec-websocket-protocol: chat,"][..],
        &["sec-websocket-protocol: , chat"],
        &["sec-websocket-protocol: ,chat ,\t,"],
        &["sec-websocket-protocol:", "sec-websocket-protocol: chat"],
    ] {
        let valid = with("sec-websocket-protocol", lines).unwrap();
        assert_eq!(valid.subprotocols(), ["chat"], "{lines:?}");
        assert_eq!(valid.rewrites(), Rewrites { subprotocols: true, ..Rewrites::default() });
    }
    for lines in
        [&["connection: upgrade,"][..], &["connection: ", "connection: ,keep-alive,upgrade"]]
    {
        let rewrites = with("connection", lines).unwrap().rewrites();
        assert_eq!(rewrites, Rewrites { connection: true, ..Rewrites::default() }, "{lines:?}");
    }
    for lines in [
        &["upgrade: websocket,"][..],
        &["upgrade: , WebSocket"],
        &["upgrade:", "upgrade: websocket"],
    ] {
        let rewrites = with("upgrade", lines).unwrap().rewrites();
        assert_eq!(rewrites, Rewrites { upgrade: true, ..Rewrites::default() }, "{lines:?}");
    }
    let many = ",".repeat(list::MAX_EMPTY_ELEMENTS + 1);
    for (name, value) in
        [("upgrade", "websocket"), ("connection", "upgrade"), ("sec-websocket-protocol", "chat")]
    {
        let error = with(name, &[&format!("{name}: {value}{many}")]).unwrap_err();
        assert_eq!(error, HandshakeError::TooManyEmpty, "{name}");
        assert_eq!(error.reason(), Reason::HandshakeMalformed);
    }
    let error = with("x", &[&format!("sec-websocket-extensions: a{many}")]).unwrap_err();
    assert_eq!(error, HandshakeError::Extensions(ExtensionError::TooManyEmpty));
}

#[test]
fn debug_output_holds_no_credential() {
    let line = "sec-websocket-protocol: bearer, eyJhbGciOiJub25lIn0.secret.";
    let valid = with("sec-websocket-protocol", &[line]).unwrap();
    assert!(!format!("{valid:?}").contains("secret"));
    let forwarded = valid.subprotocols().to_vec();
    let agreement = super::super::answer::Agreement::new(&valid, forwarded, None);
    assert!(!format!("{agreement:?}").contains("secret"));
}

#[test]
fn extensions_follow_their_grammar() {
    let name = "sec-websocket-extensions";
    let valid = with(name, &[&format!("{name}: permessage-deflate; client_max_window_bits")]);
    assert!(valid.as_ref().unwrap().offers_compression());
    let valid = with(name, &[&format!("{name}: mux")]).unwrap();
    assert!(valid.offers_extensions() && !valid.offers_compression());
    let error = with(name, &[&format!("{name}: a;")]).unwrap_err();
    assert_eq!(error, HandshakeError::Extensions(ExtensionError::Parameter));
    assert_eq!(error.reason(), Reason::HandshakeMalformed);
}

#[test]
fn the_bound_is_the_one_that_clients_are_told() {
    let told = HandshakeError::TooManySubprotocols.to_string();
    assert!(told.contains(&MAX_SUBPROTOCOLS.to_string()));
}

#[test]
fn the_fuzz_entry_holds_on_seeds() {
    let good = format!("GET\n/chat\nserver.example.com\n{}", GOOD.join("\n"));
    assert!(check(&fuzz::head(good.as_bytes())).is_ok());
    fuzz_form(good.as_bytes());
    fuzz_form(format!("{good}\nsec-websocket-extensions: a; b=\"c\"").as_bytes());
    fuzz_form(b"");
}

proptest! {
    #[test]
    fn any_bytes_keep_the_invariants(data: Vec<u8>) {
        fuzz_form(&data);
    }

    #[test]
    fn likely_heads_keep_the_invariants(
        lines in proptest::collection::vec(prop_oneof![
            proptest::sample::select(GOOD.as_slice()).prop_map(str::to_owned),
            "(upgrade|connection|sec-websocket-(protocol|extensions)): [a-c,; =\"]{0,6}",
            "(connection|upgrade): (keep-alive|, |upgrade|websocket){0,4}",
        ], 0..6)
    ) {
        let mut head = GOOD.join("\n");
        for line in lines {
            head = format!("{head}\n{line}");
        }
        fuzz_form(format!("GET\n/\nh\n{head}").as_bytes());
    }

    #[test]
    fn no_byte_of_a_good_handshake_can_be_anything(at: prop::sample::Index, to: u8) {
        let mut text = format!("GET\n/chat\nserver.example.com\n{}", GOOD.join("\n")).into_bytes();
        let at = at.index(text.len());
        text[at] = to;
        fuzz_form(&text);
    }
}
