//! The core alone, native and without Envoy: what each part costs, so that it
//! can be seen where a change helps. `make bench CORE=1` runs the same inside
//! Envoy, too.
#![allow(missing_docs, reason = "a benchmark's own")]

#[allow(dead_code, unused_imports, reason = "shared with the benchmark of Envoy")]
#[path = "../src/frames.rs"]
mod frames;
#[path = "../src/loops.rs"]
mod loops;
#[allow(dead_code, unused_imports, reason = "shared with the benchmark of Envoy")]
#[path = "../src/policy.rs"]
mod policy;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use std::time::Duration;

fn core(c: &mut Criterion) {
    for mut each in loops::all() {
        let mut group = c.benchmark_group(each.group);
        if let (Ok(bytes), true) = (u64::try_from(each.bytes), each.bytes > 0) {
            group.throughput(Throughput::Bytes(bytes));
        }
        group.bench_function(each.name, |bencher| bencher.iter(&mut each.run));
        group.finish();
    }
}

criterion_group! {
    name = all;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(500));
    targets = core
}
criterion_main!(all);
