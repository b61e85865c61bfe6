#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::handshake::path::fuzz_path(data));
