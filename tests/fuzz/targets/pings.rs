#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::session::fuzz_pings(data));
