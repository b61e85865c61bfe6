//! Messages with a final block (RFC 7692 §7.2.3.4).

use super::*;

/// Returns true if the message has a final block.
fn is_final(message: &str) -> bool {
    let read = Inflater::new(Window::DEFAULT).inflate(&hex(message), NO_LIMIT, &mut Vec::new());
    read.unwrap().has_final_block
}

#[test]
fn behind_a_final_block_come_further_blocks_or_the_octet_of_rfc_7692_7_2_3_4() {
    let hello = "f3 48 cd c9 c9 07 00";
    for (what, behind, text) in [
        ("the octet", "00", "Hello"),
        ("a block that is not final", "f2 48 cd c9 c9 07 00", "HelloHello"),
        ("another final one", "f3 48 cd c9 c9 07 00 00", "HelloHello"),
        ("two more", "f3 48 cd c9 c9 07 00 f3 48 cd c9 c9 07 00 00", "HelloHelloHello"),
        ("an empty final one", "03 00 00", "Hello"),
        ("empty final ones", "03 00 03 00 01 00 00 ff ff 00", "Hello"),
        ("an empty stored block", "00 00 00 ff ff 00", "Hello"),
        ("a final stored block", "01 01 00 fe ff 21 00", "Hello!"),
        ("a reference to what was before it", "f2 00 11 00 00", "HelloHello"),
        ("padding that is not 0 (RFC 1951 §3.2.4)", "03 fc 00", "Hello"),
    ] {
        let message = format!("{hello} {behind}");
        let read = alone(&hex(&message)).map(|read| String::from_utf8(read).unwrap());
        assert_eq!(read.as_deref(), Ok(text), "{what}");
        assert!(is_final(&message), "{what}");
    }
    for (what, behind) in [
        ("nothing", ""),
        ("the octet with BFINAL set", "01"),
        ("the octet with padding that is not 0", "08"),
        ("another octet", "42"),
        ("two of them", "00 00"),
        ("the tail", "00 00 00 ff ff"),
        ("half a block", "f2 48 cd c9"),
        ("a reserved block type", "06 00"),
        ("a final block without its octet", "f3 48 cd c9 c9 07 00"),
        ("a final block that the tail is the end of", "01 04 00 fb ff"),
    ] {
        let read = alone(&hex(&format!("{hello} {behind}")));
        assert_eq!(read, Err(InflateError::Corrupt), "{what}");
    }
    assert_eq!(alone(&hex("03 00 00")).unwrap(), b"");
    assert!(is_final("03 00 00") && !is_final("00") && !is_final("f2 48 cd c9 c9 07 00"));
    assert_eq!(alone(&hex("01")), Err(InflateError::Corrupt));
    assert_eq!(alone(&hex("01 04 00 fb ff")), Err(InflateError::Corrupt));
}

/// A compressor may go on with its window behind a final block; where nothing is
/// taken over, no later message refers to anything.
#[test]
fn the_window_does_not_end_with_a_final_block() {
    for (takeover, second) in [(true, Ok(b"Hello".to_vec())), (false, Err(InflateError::Corrupt))] {
        let mut inflater = Inflater::new(window(15, takeover));
        assert_eq!(inflate(&mut inflater, &hex("f3 48 cd c9 c9 07 00 00")).unwrap(), b"Hello");
        assert_eq!(inflate(&mut inflater, &hex("f2 00 11 00 00")), second);
    }
}

/// Bounds hold for the whole message, however often a decoder begins anew in it.
#[test]
fn final_blocks_set_no_bound_back() {
    let empty = |count: usize| [hex("03 00").repeat(count), vec![0]].concat();
    let free = FREE_BLOCKS + FREE_BLOCKS * 2 / BYTES_PER_BLOCK;
    assert_eq!(alone(&empty(free - 1)).unwrap(), b"");
    assert_eq!(alone(&empty(free + 32)), Err(InflateError::Blocks));
    assert_eq!(alone(&empty(1 << 18)), Err(InflateError::Blocks));
    let part = |length: usize| {
        let mut part = Vec::with_capacity(1024 + length);
        let mut stream = Compress::new(Compression::best(), false);
        stream.compress_vec(&vec![b' '; length], &mut part, FlushCompress::Finish).unwrap();
        part
    };
    let bomb = [part(1 << 20).repeat(8), vec![0]].concat();
    let mut out = Vec::new();
    let mut read = |limit| Inflater::new(Window::DEFAULT).inflate(&bomb, limit, &mut out);
    assert_eq!(read(NO_LIMIT), Err(InflateError::Ratio));
    assert_eq!(read(1 << 18), Err(InflateError::TooBig));
    assert!(out.capacity() <= bomb.len() * MAX_RATIO + 1);
}
