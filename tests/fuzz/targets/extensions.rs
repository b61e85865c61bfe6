#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::handshake::extensions::fuzz_extensions(data));
