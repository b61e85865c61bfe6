#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::http1::fuzz_head(data));
