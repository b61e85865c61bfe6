//! The core's loops inside Envoy's V8, beside what criterion found native.
//! `make bench CORE=1` runs that first.

use crate::load::{self, Trouble};
use crate::setup::{self, Parts};
use serde_json::Value;
use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// All loops take about half a minute; on a machine that is busy, longer.
const WITHIN: Duration = Duration::from_secs(600);

/// Nanoseconds of one run of a loop, in the shortest sample.
struct Timed {
    name: String,
    bytes: f64,
    in_envoy: f64,
    native: Option<f64>,
}

/// A table of them all; `wasm` is the module with the feature `bench`.
pub fn table(parts: &Parts, wasm: &Path, criterion: &Path) -> Result<String, Trouble> {
    let mut text = "\n| the core, one run of | native, ns | in Envoy's V8, ns | V8 to native \
                    | native, GB/s | V8, GB/s |\n|---|---|---|---|---|---|\n"
        .to_owned();
    for Timed { name, bytes, in_envoy, native } in in_envoy(parts, wasm, criterion)? {
        let shown = |figure: Option<f64>, digits| {
            figure.map_or_else(|| "–".to_owned(), |figure| format!("{figure:.digits$}"))
        };
        // Bytes in a nanosecond are GB in a second.
        let rate = |nanos: f64| (bytes > 0.0).then(|| bytes / nanos);
        writeln!(
            text,
            "| {name} | {} | {in_envoy:.0} | {} | {} | {} |",
            shown(native, 0),
            shown(native.map(|native| in_envoy / native), 2),
            shown(native.and_then(rate), 2),
            shown(rate(in_envoy), 2),
        )?;
    }
    Ok(text)
}

fn in_envoy(parts: &Parts, wasm: &Path, criterion: &Path) -> Result<Vec<Timed>, Trouble> {
    let parts = Parts { wasm: wasm.to_owned(), ..parts.clone() };
    let proxy = setup::start_with_patterns(&parts, 1)?;
    let lines = [("x-wsguard-bench".to_owned(), "1".to_owned())];
    let mut stream = TcpStream::connect(proxy.address)?;
    stream.write_all(&load::request_head("/echo", proxy.address, &lines))?;
    let begin = Instant::now();
    while !proxy.log().contains("wsguard-bench done") {
        if begin.elapsed() > WITHIN || proxy.log().contains("trapped") {
            return Err(format!("the loops did not end:\n{}", proxy.log()).into());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    let log = proxy.log();
    // … wasm log …: wsguard-bench <name>\t<bytes>\t<nanoseconds>
    let told = log.lines().filter_map(|line| line.split_once("wsguard-bench "));
    let mut timed = Vec::new();
    for (_, told) in told {
        let [name, bytes, nanos] = told.split('\t').collect::<Vec<_>>()[..] else { continue };
        let (bytes, in_envoy) = (bytes.parse()?, nanos.trim().parse()?);
        let native = native(criterion, name)?;
        timed.push(Timed { name: name.to_owned(), bytes, in_envoy, native });
    }
    Ok(timed)
}

/// What criterion keeps of a benchmark of this full name.
fn native(criterion: &Path, name: &str) -> Result<Option<f64>, Trouble> {
    let groups = std::fs::read_dir(criterion).into_iter().flatten().flatten();
    let benches = groups.flat_map(|group| std::fs::read_dir(group.path()).into_iter().flatten());
    for folder in benches.flatten().map(|bench| bench.path().join("new")) {
        let Ok(told) = std::fs::read(folder.join("benchmark.json")) else { continue };
        let told: Value = serde_json::from_slice(&told)?;
        if told["full_id"] != name {
            continue;
        }
        let samples: Value = serde_json::from_slice(&std::fs::read(folder.join("sample.json"))?)?;
        let all = |name| samples[name].as_array().into_iter().flatten().filter_map(Value::as_f64);
        // The shortest, as inside Envoy.
        let each = all("times").zip(all("iters")).map(|(nanos, times)| nanos / times);
        return Ok(each.min_by(f64::total_cmp));
    }
    Ok(None)
}
