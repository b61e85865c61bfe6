#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::config::fuzz_rate(data));
