//! What the server sends: judged as what the client sends, by rules of its own.

use super::rig::{Rig, assert_masked_close, client, masked, plain, text, told_client};
use serde_json::json;

/// Frames in all their sizes, each judged when it is whole; no limit of the
/// client's is the server's.
#[test]
fn a_message_goes_on_whole_by_the_servers_own_rules() {
    let mut document = client(json!({
        "max_message": 10, "types": ["binary"],
        "rules": [{"name": "any", "pattern": "a", "action": "close"}],
    }));
    document["policies"][0]["server"] = json!({"rules": [{"name": "other", "pattern": "b"}]});
    let mut rig = Rig::open(&document);
    for size in [0, 1, 125, 126, 65535, 65536, 200_000] {
        let frame = plain(0x81, &vec![b'a'; size]);
        let (held, last) = frame.split_at(frame.len() - 1);
        for chunk in held.chunks(5000) {
            assert_eq!(rig.server(chunk).bytes.len(), 0, "{size}: before its verdict");
        }
        assert!(rig.server(last).bytes == frame, "{size}: not as it came");
    }
    assert_eq!(rig.events(), Vec::<serde_json::Value>::new());
}

#[test]
fn a_frame_of_four_gigabytes_is_not_mistaken_for_a_small_one() {
    let mut rig = Rig::open(&client(json!({})));
    let head = [0x82, 0x7F, 0, 0, 0, 1, 0, 0, 0, 5];
    let step = rig.server(&head);
    assert_eq!(step.bytes, told_client(1009, ""));
    assert_eq!(rig.event()["detail"], "a frame of 4294967301 bytes, allowed are 1048576");
}

#[test]
fn broken_framing_closes_in_place_and_tells_the_server_why() {
    let violations: [(&str, Vec<u8>); 11] = [
        ("RSV1", plain(0xC1, b"a")),
        ("a reserved opcode", plain(0x83, b"a")),
        ("a mask", masked(0x81, b"a")),
        ("a masked Close", masked(0x88, b"\x03\xe8")),
        ("a fragmented pong", plain(0x0A, b"")),
        ("a long ping", vec![0x89, 126, 0, 126]),
        ("5 in 16 bits", vec![0x81, 126, 0, 5]),
        ("a continuation of nothing", plain(0x80, b"a")),
        ("an empty continuation of nothing", plain(0x80, b"")),
        ("a message in another", [plain(0x01, b"a"), plain(0x82, b"b")].concat()),
        ("close code 1006", plain(0x88, b"\x03\xee")),
    ];
    let mut rig = Rig::open(&client(json!({})));
    for (name, bytes) in violations {
        let good = plain(0x81, b"hello");
        let stream = [good.as_slice(), &bytes].concat();
        for cut in 0..stream.len() {
            rig.reopen();
            assert_eq!(rig.client(&masked(0x81, b"held, and never let go")[..20]).bytes, b"");
            let steps = [rig.server(&stream[..cut]), rig.server(&stream[cut..])];
            assert!(steps.iter().all(|step| !step.reset), "{name}: reset where a Close fits");
            let gone_on: Vec<u8> = steps.into_iter().flat_map(|step| step.bytes).collect();
            let begun = if name == "a message in another" { plain(0x01, b"a") } else { vec![] };
            let expected = [good.as_slice(), &begun, &told_client(1002, "")].concat();
            assert_eq!(gone_on, expected, "{name}");
            let event = rig.event();
            assert_eq!(
                (event["reason"].as_str(), event["direction"].as_str()),
                (Some("protocol_error"), Some("server")),
                "{name}"
            );
            assert_eq!(event["offset"], good.len() + begun.len(), "{name}");
            assert_eq!(rig.server(&plain(0x81, b"more")).bytes, b"");
            assert_masked_close(&rig.client(&text("more")).bytes, 1002, "protocol_error");
            assert_eq!(rig.client(&text("and more")).bytes, b"");
            assert_eq!(rig.buffered(), 0, "{name}");
        }
    }
}

#[test]
fn a_close_reason_that_is_no_utf8_closes_with_1007() {
    let mut rig = Rig::open(&client(json!({})));
    assert_eq!(rig.server(&plain(0x88, b"\x03\xe8\xff")).bytes, told_client(1007, ""));
    assert_masked_close(&rig.client(b"").bytes, 1007, "invalid_utf8");
}
