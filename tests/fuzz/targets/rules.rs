#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::inspect::fuzz_rules(data));
