#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::frame::deflate::fuzz_inflate(data));
