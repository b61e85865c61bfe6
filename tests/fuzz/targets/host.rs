#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::handshake::host::fuzz_host(data));
