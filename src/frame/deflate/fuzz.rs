//! The entry for the fuzzer.

use super::{FREE_BLOCKS, FREE_OUTPUT_BYTES, InflateError, Inflater, MAX_RATIO, Window};

/// Entry for the fuzzer: the first byte is the window, the second the limit in
/// KiB and the third the length of the first message, over and over. Holds that
/// no message is longer than it may be, that neither buffer is, that a failure
/// leaves nothing behind, and that a limit decides nothing but whether there is
/// a message.
///
/// # Panics
/// Where one of these does not hold.
pub fn fuzz_inflate(data: &[u8]) {
    let Some(([setup, limit], mut rest)) = data
        .split_at_checked(2)
        .map(|(head, rest)| (<[u8; 2]>::try_from(head).unwrap_or_default(), rest))
    else {
        return;
    };
    let window = Window { bits: 8 + setup % 8, takeover: setup & 8 == 0 };
    let window_bytes = 1 << window.bits;
    let limit = usize::from(limit) * 1024;
    let (mut limited, mut free) = (Inflater::new(window), Inflater::new(window));
    let (mut short, mut long) = (Vec::new(), Vec::new());
    while let [length, message @ ..] = rest {
        let (message, behind) = message.split_at(message.len().min(usize::from(*length)));
        rest = behind;
        let allowed = (message.len() * MAX_RATIO).max(FREE_OUTPUT_BYTES);
        let all = free.inflate(message, usize::MAX, &mut long);
        let some = limited.inflate(message, limit, &mut short);
        assert!(long.len() <= allowed && short.len() <= limit);
        // Doubling may leave a buffer that was grown for an earlier message.
        assert!(short.capacity() <= window_bytes + limit.max(8) + 1, "{}", short.capacity());
        for inflater in [&limited, &free] {
            assert!(inflater.history_bytes() <= if window.takeover { window_bytes } else { 0 });
        }
        match (all, some) {
            (Ok(all), Ok(some)) => assert!(long == short && all == some),
            (Ok(_), Err(error)) => {
                assert!(error == InflateError::TooBig && long.len() > limit);
                return;
            }
            (Err(_), Ok(_)) => unreachable!("a limit made a message readable"),
            (Err(error), Err(limited)) => {
                assert!(long.is_empty() && short.is_empty());
                assert!(limited == error || limited == InflateError::TooBig);
                assert!(error != InflateError::Blocks || message.len() > FREE_BLOCKS);
                return;
            }
        }
    }
}
