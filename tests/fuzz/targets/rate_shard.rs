#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::quota::rate::fuzz_rate_shard(data));
