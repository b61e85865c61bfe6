#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::auth::fuzz_first_message(data));
