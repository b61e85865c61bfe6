//! Messages behind others that were forgotten.

use super::*;

/// RFC 7692 §7.2.3.2: "Hello" twice, the second time as a reference to the first.
const HELLO: [&str; 2] = ["f2 48 cd c9 c9 07 00", "f2 00 11 00 00"];

#[test]
fn what_refers_to_a_forgotten_message_is_told_from_what_is_no_deflate() {
    let mut inflater = Inflater::new(Window::DEFAULT);
    assert_eq!(inflate(&mut inflater, &hex(HELLO[0])), Ok(b"Hello".to_vec()));
    inflater.history().forget();
    assert_eq!(inflater.history_bytes(), 0);
    assert_eq!(inflate(&mut inflater, &hex(HELLO[1])), Err(InflateError::Forgotten));
    // It has failed: nothing is remembered to have been forgotten.
    assert_eq!(inflate(&mut inflater, &hex(HELLO[1])), Err(InflateError::Corrupt));
    for corrupt in ["ff ff ff", "06", "f2 48 cd c9 c9", "00 01 00 00 00 41"] {
        let mut inflater = Inflater::new(Window::DEFAULT);
        inflate(&mut inflater, &stored(&[b'a'; 40_000])).unwrap();
        inflater.history().forget();
        assert_eq!(inflate(&mut inflater, &hex(corrupt)), Err(InflateError::Corrupt), "{corrupt}");
    }
}

#[test]
fn what_refers_to_nothing_forgotten_is_read_and_kept() {
    let mut inflater = Inflater::new(Window::DEFAULT);
    inflate(&mut inflater, &stored(b"what will be forgotten")).unwrap();
    inflater.history().forget();
    assert_eq!(inflate(&mut inflater, &hex(HELLO[0])), Ok(b"Hello".to_vec()));
    assert_eq!(inflate(&mut inflater, &hex(HELLO[1])), Ok(b"Hello".to_vec()));
    inflater.history().forget();
    inflater.history().forget();
    assert_eq!(inflate(&mut inflater, &hex(HELLO[0])), Ok(b"Hello".to_vec()));
}

#[test]
fn behind_a_whole_window_nothing_is_missing() {
    let mut inflater = Inflater::new(window(8, true));
    inflate(&mut inflater, &stored(&[1; 200])).unwrap();
    inflater.history().forget();
    inflate(&mut inflater, &stored(&[2; 100])).unwrap();
    assert_eq!(inflater.history().lost_bytes(), 156);
    inflate(&mut inflater, &stored(&[3; 156])).unwrap();
    assert_eq!(inflater.history().lost_bytes(), 0);
    inflater.history().forget();
    assert_eq!(inflater.history().lost_bytes(), 256);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Reads a message behind two pasts that differ in what was forgotten: it refers to
    /// that exactly where these differ, and otherwise is what it would have been.
    #[test]
    fn a_message_is_read_as_it_is_or_not_at_all(
        bits in 8_u8..=15,
        level in 0_u32..=9,
        messages in prop::collection::vec((message(), any::<bool>(), any::<bool>()), 1..8),
    ) {
        let mut deflater = Deflater::new(window(bits, true), level);
        let mut inflater = Inflater::new(window(bits, true));
        for (text, anew, forgets) in messages {
            if anew {
                deflater = Deflater::new(window(bits, true), level);
            }
            let compressed = deflater.message(&[&text]);
            let mut kept = Vec::new();
            inflater.history().append_to(&mut kept);
            let behind = |fill: u8| {
                let past = [vec![fill; inflater.history().lost_bytes()], kept.clone()].concat();
                let mut other = Inflater::new(window(bits, true));
                inflate(&mut other, &stored(&past)).unwrap();
                inflate(&mut other, &compressed)
            };
            let (zeros, ones) = (behind(0), behind(1));
            let read = inflate(&mut inflater, &compressed);
            if zeros == ones && zeros.is_ok() {
                prop_assert_eq!(read, Ok(text));
            } else {
                prop_assert_eq!(read, Err(InflateError::Forgotten));
                return Ok(());
            }
            if forgets {
                inflater.history().forget();
            }
        }
    }

    #[test]
    fn what_is_broken_is_refused_or_read_the_same_behind_what_is_forgotten(
        texts in (message(), message()),
        at: prop::sample::Index,
        to: u8,
    ) {
        let mut deflater = Deflater::new(Window::DEFAULT, 6);
        let (mut whole, mut inflater) = (Inflater::new(Window::DEFAULT), Inflater::new(Window::DEFAULT));
        let first = deflater.message(&[&texts.0]);
        inflate(&mut whole, &first).unwrap();
        inflate(&mut inflater, &first).unwrap();
        inflater.history().forget();
        let mut second = deflater.message(&[&texts.1]);
        let at = at.index(second.len());
        second[at] = to;
        match (inflate(&mut inflater, &second), inflate(&mut whole, &second)) {
            (Ok(read), all) => prop_assert_eq!(Ok(read), all),
            (Err(InflateError::Forgotten), _) => {}
            (Err(error), all) => prop_assert_eq!(Err(error), all),
        }
    }
}
