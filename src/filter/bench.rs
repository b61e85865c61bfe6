//! Times the core inside Envoy's V8, by the loops that criterion times native
//! (tests/bench). Only in a module with the feature `bench`, which `make wasm`
//! never has.

use super::host::Envoy;
use crate::host::{Clock, Level, Log};
use loops::Loop;
use std::time::Duration;

#[allow(dead_code, unreachable_pub, reason = "shared with tests/bench")]
#[path = "../../tests/bench/src/frames.rs"]
mod frames;
#[path = "../../tests/bench/src/loops.rs"]
mod loops;
#[allow(dead_code, unreachable_pub, reason = "shared with tests/bench")]
#[path = "../../tests/bench/src/policy.rs"]
mod policy;

/// How long a sample takes, at least.
const SAMPLE: Duration = Duration::from_millis(10);
/// Samples of each loop, of which the shortest counts: whatever else the machine
/// does only ever adds to one.
const SAMPLES: usize = 10;

/// Runs all loops, and logs a line of each, by tabs: name, bytes and nanoseconds of one
/// run.
pub(super) fn run() {
    for mut each in loops::all() {
        let nanos = least(&mut each);
        let Loop { group, name, bytes, .. } = each;
        Envoy.write(Level::Warn, &format!("wsguard-bench {group}/{name}\t{bytes}\t{nanos:.1}"));
    }
    Envoy.write(Level::Warn, "wsguard-bench done");
}

/// Nanoseconds of one run.
fn least(each: &mut Loop) -> f64 {
    let mut times = 1;
    while sample(each, times) < SAMPLE && times < 1 << 24 {
        times *= 2;
    }
    let samples = (0..SAMPLES).map(|_| sample(each, times).as_secs_f64() * 1e9 / f64::from(times));
    samples.fold(f64::INFINITY, f64::min)
}

/// By the host's clock.
fn sample(each: &mut Loop, times: u32) -> Duration {
    let begin = Envoy.monotonic();
    for _ in 0..times {
        (each.run)();
    }
    Envoy.monotonic().saturating_sub(begin)
}
