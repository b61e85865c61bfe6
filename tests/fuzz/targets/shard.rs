#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::quota::fuzz_shard(data));
