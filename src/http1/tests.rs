use super::*;
use crate::handshake::HeadEdits;
use proptest::prelude::*;

const UPGRADE: &str = "GET /chat?room=1 HTTP/1.1\r\nHost: server.example.com\r\n\
    Upgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: chat\r\n\r\n";

fn request(text: &str) -> Result<Request, HeadError> {
    whole(text.as_bytes()).and_then(Request::parse)
}

fn response(text: &str) -> Result<Response, HeadError> {
    whole(text.as_bytes()).and_then(Response::parse)
}

fn whole(stream: &[u8]) -> Result<Vec<u8>, HeadError> {
    match HeadReader::default().push(stream)? {
        Read::Complete { head, .. } => Ok(head),
        Read::Incomplete => Err(HeadError::Ended),
    }
}

fn edited(text: &str, remove: &[&str], set: &[(&str, &str)]) -> String {
    let edits = HeadEdits {
        remove: remove.iter().map(|name| (*name).to_owned()).collect(),
        set: set.iter().map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())).collect(),
    };
    let mut out = Vec::new();
    request(text).unwrap().write(&edits, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_rfcs_opening_handshake_is_read() {
    // RFC 6455 §1.2.
    let head = request(UPGRADE).unwrap().to_judge(None, true);
    assert_eq!(
        (head.method.as_slice(), head.target.as_slice()),
        (&b"GET"[..], &b"/chat?room=1"[..])
    );
    assert_eq!(head.authority, b"server.example.com");
    assert!(head.https && !head.http2);
    assert_eq!(head.headers.iter().count(), 6, "Host is the authority and no line beside it");
    assert!(crate::handshake::form::check(&head).is_ok());
    let answer = response(SWITCH).unwrap();
    assert_eq!(answer.status(), 101);
    let accept: Vec<_> = answer.headers().all("sec-websocket-accept").map(<[u8]>::to_vec).collect();
    assert_eq!(accept, [b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="]);
}

#[test]
fn every_prefix_is_incomplete_and_what_follows_is_left_alone() {
    for head in [UPGRADE, SWITCH] {
        for cut in 0..head.len() {
            let read = HeadReader::default().push(&head.as_bytes()[..cut]).unwrap();
            assert!(matches!(read, Read::Incomplete), "{cut}");
            let mut reader = HeadReader::default();
            assert!(matches!(reader.push(&head.as_bytes()[..cut]), Ok(Read::Incomplete)));
            let rest = [&head.as_bytes()[cut..], b"\x81\x05hello\r\n\r\n"].concat();
            let Ok(Read::Complete { head: read, used }) = reader.push(&rest) else {
                panic!("{cut}")
            };
            assert_eq!((read.as_slice(), used), (head.as_bytes(), head.len() - cut));
        }
    }
}

#[test]
fn what_a_recipient_may_forgive_is_refused() {
    let good = "GET /ws HTTP/1.1\r\nhost: h\r\na: b\r\n\r\n";
    assert!(request(good).is_ok());
    for (from, to, error) in [
        ("\r\nhost", "\nhost", HeadError::BareLineEnd),
        ("\r\na", "\ra", HeadError::BareLineEnd),
        ("\r\na", "\r\r\na", HeadError::BareLineEnd),
        ("b\r\n\r\n", "b\r\n\n", HeadError::BareLineEnd),
        ("a: b", "a: b\0", HeadError::ControlByte),
        ("a: b", "a: b\x7f", HeadError::ControlByte),
        ("a: b", "a: \x0bb", HeadError::ControlByte),
        ("GET", "\r\nGET", HeadError::StartLine),
        ("GET", " GET", HeadError::StartLine),
        ("GET /", "GET  /", HeadError::StartLine),
        ("GET /", "GET\t/", HeadError::StartLine),
        ("/ws HTTP", "/ws  HTTP", HeadError::Version),
        ("/ws HTTP", "/w s HTTP", HeadError::Version),
        ("GET", "G@T", HeadError::StartLine),
        ("GET /ws HTTP/1.1", "GET /ws", HeadError::StartLine),
        ("GET /ws HTTP/1.1", "HTTP/1.1 200 OK", HeadError::StartLine),
        ("HTTP/1.1", "HTTP/1.1 ", HeadError::BareLineEnd),
        ("HTTP/1.1", "HTTP/1.0", HeadError::Version),
        ("HTTP/1.1", "HTTP/1.2", HeadError::Version),
        ("HTTP/1.1", "HTTP/2.0", HeadError::Version),
        ("HTTP/1.1", "http/1.1", HeadError::Version),
        ("/ws", "http://h/ws", HeadError::Target),
        ("/ws", "h:443", HeadError::Target),
        ("/ws", "*", HeadError::Target),
        ("/ws", "/ws?a=b#&token=c", HeadError::Target),
        ("/ws", "/w\u{e4}", HeadError::Target),
        ("a: b", "a : b", HeadError::HeaderName),
        ("a: b", "a\t: b", HeadError::HeaderName),
        ("a: b", "a", HeadError::HeaderName),
        ("a: b", ": b", HeadError::HeaderName),
        ("a: b", "a\u{e4}: b", HeadError::HeaderName),
        ("a: b", "(a): b", HeadError::HeaderName),
        ("a: b", "a: b\r\n c", HeadError::Folded),
        ("a: b", "a: b\r\n\tc", HeadError::Folded),
        ("host: h", " x: y\r\nhost: h", HeadError::Folded),
        ("host: h\r\n", "", HeadError::HostMissing),
        ("a: b", "Host: h", HeadError::HostTwice),
    ] {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good);
        assert_eq!(request(&text).err(), Some(error), "{text:?}");
    }
}

#[test]
fn other_protocols_are_refused_by_their_first_bytes() {
    // TLS, HTTP/2 with prior knowledge, SSH, and a plain line.
    for (bytes, error) in [
        (&b"\x16\x03\x01\x02\x00"[..], HeadError::ControlByte),
        (b"PRI * HTTP/2.0\r\n\r\n", HeadError::Version),
        (b"SSH-2.0-OpenSSH\r\nx: y\r\n\r\n", HeadError::StartLine),
        (b"hello\n", HeadError::BareLineEnd),
    ] {
        assert_eq!(whole(bytes).and_then(Request::parse).err(), Some(error));
    }
}

#[test]
fn size_and_number_are_bounded_to_the_byte() {
    let begin = "GET / HTTP/1.1\r\nhost: h\r\na: ";
    let of = |size: usize| format!("{begin}{}\r\n\r\n", "x".repeat(size - begin.len() - 4));
    assert!(request(&of(MAX_HEAD_BYTES)).is_ok());
    assert_eq!(request(&of(MAX_HEAD_BYTES + 1)).err(), Some(HeadError::TooLong));
    // An endless one is refused without its end, and no more of it is held.
    let mut reader = HeadReader::default();
    let chunk = [b'x'; 1000];
    let refused = (0..).find_map(|n| reader.push(&chunk).err().map(|error| (n, error)));
    assert_eq!(refused, Some((61, HeadError::TooLong)));
    assert!(reader.bytes().len() <= MAX_HEAD_BYTES);
    let with =
        |lines: usize| format!("GET / HTTP/1.1\r\nhost: h\r\n{}\r\n", "a: b\r\n".repeat(lines - 1));
    assert!(request(&with(MAX_HEADERS)).is_ok());
    assert_eq!(request(&with(MAX_HEADERS + 1)).err(), Some(HeadError::TooManyHeaders));
    let endless = "GET / HTTP/1.1\r\n".to_owned() + &"a: b\r\n".repeat(MAX_HEADERS + 1);
    assert_eq!(whole(endless.as_bytes()), Err(HeadError::TooManyHeaders));
}

#[test]
fn edits_change_the_lines_they_name() {
    let head = "GET /a?token=s HTTP/1.1\r\nHost:  h \r\nX-Api-Key:k\r\nB: 1\r\nx-API-key: l\r\n\
                b: 2\r\n\r\n";
    assert_eq!(edited(head, &[], &[]), head);
    assert_eq!(
        edited(head, &["x-api-key"], &[(":path", "/a"), ("b", "3"), ("x-user-id", "u\u{e4}")]),
        "GET /a HTTP/1.1\r\nHost:  h \r\nb: 3\r\nx-user-id: u\u{e4}\r\n\r\n"
    );
    assert_eq!(edited(head, &["b"], &[("b", "3"), ("b", "4")]).matches("b: ").count(), 1);
}

#[test]
fn an_edit_that_would_split_a_line_is_refused() {
    let request = request(UPGRADE).unwrap();
    for (name, value) in [
        (":path", "/a b"),
        (":path", "/a\r\nx: y"),
        (":path", "a"),
        ("x", "a\r\ny: z"),
        ("x", "a\n"),
        ("x\r\ny", "a"),
        ("x:", "a"),
        ("", "a"),
    ] {
        let set = vec![(name.to_owned(), value.as_bytes().to_vec())];
        let mut out = Vec::new();
        assert!(request.write(&HeadEdits { remove: Vec::new(), set }, &mut out).is_err(), "{name}");
        assert!(out.is_empty());
    }
}

#[test]
fn answers_are_read_as_servers_write_them() {
    for (head, status, body) in [
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 9\r\n\r\n", 404, Some(9)),
        ("HTTP/1.0 404 File not found\r\nserver: x\r\n\r\n", 404, None),
        ("HTTP/1.1 401 \r\ncontent-length: 0\r\n\r\n", 401, Some(0)),
        ("HTTP/1.1 304 Not Modified\r\n\r\n", 304, Some(0)),
        ("HTTP/1.1 500 X\r\ntransfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n", 500, None),
        ("HTTP/1.1 500 X\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\n", 500, None),
        ("HTTP/1.1 500 X\r\ncontent-length: +3\r\n\r\n", 500, None),
        ("HTTP/1.1 500 X\r\ncontent-length: 99999999999999999999\r\n\r\n", 500, None),
    ] {
        let answer = response(head).unwrap();
        assert_eq!((answer.status(), answer.body_bytes()), (status, body), "{head}");
    }
    assert_eq!(response(&SWITCH.replace("1.1", "1.0")).err(), Some(HeadError::Version));
    for bad in
        ["HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n", "ICY 200 OK\r\n\r\n", "a\r\n\r\n"]
    {
        assert!(response(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_requests_body_is_known_or_not() {
    for (line, body) in [
        ("a: b", Some(0)),
        ("content-length: 12", Some(12)),
        ("content-length: 1\r\ncontent-length: 1", None),
        ("content-length: 1, 1", None),
        ("content-length:", None),
        ("transfer-encoding: chunked", None),
        ("content-length: 1\r\ntransfer-encoding: chunked", None),
    ] {
        let head = format!("POST / HTTP/1.1\r\nhost: h\r\n{line}\r\n\r\n");
        assert_eq!(request(&head).unwrap().body_bytes(), body, "{line}");
    }
}

#[test]
fn debug_shows_no_value_of_a_head() {
    let head = UPGRADE.replace("superchat", "bearer.secret");
    let mut reader = HeadReader::default();
    reader.push(&head.as_bytes()[..head.len() - 2]).unwrap();
    let shown = format!("{reader:?} {:?} {:?}", request(&head).unwrap(), response(SWITCH).unwrap());
    assert!(!shown.contains("secret") && !shown.contains("room=1"), "{shown}");
}

#[test]
fn the_fuzz_entry_holds_on_seeds() {
    for head in [UPGRADE, SWITCH, "", "\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 200\r\n\r\n"]
    {
        for cut in [0, 1, 7, 255] {
            fuzz_head(&[&[cut], head.as_bytes()].concat());
            fuzz_head(&[&[cut], head.as_bytes(), b"x-ours: 2\r\n\r\n"].concat());
        }
    }
    fuzz_head(b"");
}

/// Something like a head: lines out of the words that matter, any ends.
fn like_a_head() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "GET",
        "/ws",
        " ",
        "HTTP/1.1",
        "HTTP/1.0",
        "\r\n",
        "\r\n",
        "\r\n",
        "\n",
        "\r",
        "host",
        ":",
        ": ",
        "h",
        "x-theirs",
        "x-ours",
        "\t",
        "101",
        "\0",
        "\u{e4}",
        "content-length",
        "0",
    ];
    let start = prop_oneof![
        Just("GET /ws HTTP/1.1\r\nhost: h\r\n"),
        Just("HTTP/1.1 101 \r\n"),
        Just("HTTP/1.1 404 Not Found\r\n"),
        Just("")
    ];
    let line = prop_oneof![
        "[a-zA-Z-]{1,9}:[ \t]?[ -~]{0,9}\r\n",
        prop::collection::vec(prop::sample::select(words.to_vec()), 0..6)
            .prop_map(|words| words.concat())
    ];
    (start, prop::collection::vec(line, 0..6), any::<bool>()).prop_map(|(start, lines, end)| {
        [start, &lines.concat(), if end { "\r\n" } else { "" }].concat().into_bytes()
    })
}

proptest! {
    #[test]
    fn whatever_comes_holds(cut in any::<u8>(), stream in like_a_head()) {
        fuzz_head(&[&[cut][..], &stream].concat());
    }

    #[test]
    fn a_head_with_changed_bytes_holds(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<u8>(),
    ) {
        for head in [UPGRADE, SWITCH] {
            let mut bytes = [&[cut], head.as_bytes()].concat();
            for (index, byte) in &changes {
                let index = index.index(bytes.len());
                bytes[index] = *byte;
            }
            fuzz_head(&bytes);
        }
    }

    #[test]
    fn any_cut_gives_the_same(cuts in prop::collection::vec(0..UPGRADE.len(), 0..8)) {
        let mut cuts = cuts;
        cuts.sort_unstable();
        let (mut reader, mut from) = (HeadReader::default(), 0);
        for at in cuts {
            let read = reader.push(&UPGRADE.as_bytes()[from..at]);
            prop_assert!(matches!(read, Ok(Read::Incomplete)));
            from = at;
        }
        let Ok(Read::Complete { head, .. }) = reader.push(&UPGRADE.as_bytes()[from..]) else {
            return Err(TestCaseError::fail("incomplete"));
        };
        prop_assert_eq!(head, UPGRADE.as_bytes());
    }
}
