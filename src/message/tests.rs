use super::*;
use budget::Budget;

fn header(bytes: u64, fin: bool, opcode: Opcode) -> FrameHeader {
    FrameHeader { fin, compressed: false, opcode, mask: Some([7, 1, 9, 3]), payload_bytes: bytes }
}

#[test]
fn what_is_held_comes_out_as_it_came() {
    let budget = Budget::new(1 << 20);
    let holder = Holder::new(&budget, None, 64);
    let mut wire = Vec::new();
    let first = header(3, false, Opcode::Binary);
    let mut message = Message::begin(MessageType::Binary, &first, &holder);
    for (length, fin) in [(3u8, false), (0, false), (200, true)] {
        let head = header(u64::from(length), fin, Opcode::Binary);
        head.encode(&mut wire);
        let masked: Vec<u8> = (0..length).collect();
        wire.extend_from_slice(&masked);
        let cut = masked.len() / 2;
        message.hold(&head, &masked[..cut], 0).unwrap();
        if cut > 0 {
            message.hold(&head, &masked[cut..], u64::try_from(cut).unwrap()).unwrap();
        }
    }
    let mut out = Vec::new();
    message.release(&mut out);
    assert_eq!(out, wire);
    assert!(budget.used_bytes() >= 203);
    drop(message);
    assert_eq!(budget.used_bytes(), 0, "what a message held is given back with it");
}

#[test]
fn a_full_worker_holds_no_more() {
    let budget = Budget::new(4000);
    let holder = Holder::new(&budget, None, 64);
    let head = header(9000, true, Opcode::Binary);
    let mut message = Message::begin(MessageType::Binary, &head, &holder);
    message.count(&head, &MessageRules::default()).unwrap();
    assert_eq!(message.hold(&head, &[0; 500], 0), Ok(()));
    assert_eq!(message.hold(&head, &[0; 8500], 500), Err(Violation::Overloaded));
    assert!((500..=4000).contains(&budget.used_bytes()));
    message.skip();
    assert_eq!(budget.used_bytes(), 0);
}

#[test]
fn a_frame_takes_no_more_room_than_it_needs() {
    let budget = Budget::new(1 << 20);
    let holder = Holder::new(&budget, None, 64);
    let head = header(65_536, false, Opcode::Binary);
    let mut message = Message::begin(MessageType::Binary, &head, &holder);
    message.count(&head, &MessageRules::default()).unwrap();
    for offset in (0..65_536u64).step_by(10_000) {
        let piece = vec![0; usize::try_from((65_536 - offset).min(10_000)).unwrap()];
        message.hold(&head, &piece, offset).unwrap();
    }
    let headers = u64::try_from(64 * size_of::<FrameHeader>()).unwrap();
    assert_eq!(budget.used_bytes(), 65_536 + headers);
    let last = header(1, true, Opcode::Continuation);
    message.count(&last, &MessageRules::default()).unwrap();
    message.hold(&last, &[0], 0).unwrap();
    assert_eq!(budget.used_bytes(), 65_537 + headers);
}
