#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsguard::quota::bans::fuzz_ban_shard(data));
