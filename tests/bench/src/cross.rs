//! One row by a generator of another project, k6, and by ours: if both find the
//! same ratio, it is the proxy's and not the generator's. `make bench CROSS=1`.

use crate::load::Trouble;
use crate::machine;
use crate::proxy::Proxy;
use crate::run::Bench;
use crate::setup::Setup;
use crate::stats::{Row, Sample, Spread};
use crate::tokens::Use;
use crate::workload::{Messages, Traffic, Workload};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Until k6 has compiled its script and opened its connections, at the most.
const BEGIN: Duration = Duration::from_secs(30);
const WORKLOAD: &str = "text-1k";
const SETUPS: [&str; 2] = ["envoy", "example"];

/// What both found.
pub struct Cross {
    workload: &'static str,
    /// By generator: the row of Envoy alone and that of the example policy.
    found: [(&'static str, [Row; 2]); 2],
}

impl Cross {
    /// Runs both generators in turn.
    pub fn run(bench: &mut Bench<'_>, k6: &Path) -> Result<Self, Trouble> {
        let workloads = Workload::all()?;
        let workload = workloads.iter().find(|w| w.name == WORKLOAD).ok_or("no such workload")?;
        let Traffic::Messages(messages) = &workload.traffic else {
            return Err("messages are compared".into());
        };
        let row = |setup| Row { workload: WORKLOAD, setup, samples: Vec::new() };
        let mut found = [("wsguard-bench", SETUPS.map(row)), ("k6", SETUPS.map(row))];
        let mut proxies = Vec::new();
        for setup in Setup::all().into_iter().filter(|setup| SETUPS.contains(&setup.name)) {
            let running = setup.start(bench.parts)?.map_err(Trouble::from)?;
            proxies.push(running.proxy);
        }
        for _ in 0..bench.extent.rounds {
            for (place, proxy) in proxies.iter().enumerate() {
                let ours = bench.messages(messages, proxy)?;
                let theirs = theirs(bench, k6, messages, proxy)?;
                for ((_, rows), sample) in found.iter_mut().zip([ours, theirs]) {
                    rows[place].samples.push(sample);
                }
            }
        }
        Ok(Self { workload: workload.title, found })
    }

    /// A table of both.
    pub fn table(&self) -> Result<String, Trouble> {
        let mut text = format!(
            "\n| {}, generator | Envoy alone, µs | example policy, µs | ratio | its own CPU, µs |\n\
             |---|---|---|---|---|\n",
            self.workload
        );
        for (generator, [base, guarded]) in &self.found {
            let shown = |spread: Option<Spread>| spread.map_or_else(String::new, Spread::shown);
            writeln!(
                text,
                "| {generator} | {} | {} | {} | {} |",
                shown(base.proxy()),
                shown(guarded.proxy()),
                shown(guarded.ratio(base)),
                shown(base.generator()),
            )?;
        }
        Ok(text)
    }

    pub fn json(&self) -> Value {
        let rows = self.found.iter().map(|(generator, [base, guarded])| {
            json!({"generator": generator, "rows": [base.json(None), guarded.json(Some(base))]})
        });
        rows.collect()
    }
}

/// k6, ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A sample by k6: the upstream counts the messages.
fn theirs(
    bench: &mut Bench<'_>,
    k6: &Path,
    messages: &Messages,
    proxy: &Proxy,
) -> Result<Sample, Trouble> {
    let token = bench.mint.token(Use::Again("RS256"), 0)?.ok_or("no token")?;
    let told = json!({
        "url": format!("ws://{}{}", proxy.address, messages.path),
        "connections": messages.connections,
        "headers": {"origin": "https://app.example.com", "authorization": format!("Bearer {token}")},
        "messages": messages.texts.iter().map(|text| String::from_utf8_lossy(text)).collect::<Vec<_>>(),
    });
    let script = bench.parts.root.join("tests/bench/peers/cross.js");
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(k6);
    command.args(["run", "--quiet", "--no-usage-report", "--no-summary", "--address", ""]);
    command.arg(script).env("TOLD", told.to_string()).env("GOMAXPROCS", "1");
    // It runs where this thread does, as ours.
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let mut k6 = Running(command.spawn()?);
    let mut seen = bench.upstream.answered();
    let begin = Instant::now();
    // Past its start, when all its connections speak.
    while bench.upstream.answered() < seen + 50 * messages.connections as u64 {
        if begin.elapsed() > BEGIN || k6.0.try_wait()?.is_some() {
            return Err(format!("k6 sends nothing\n{}", proxy.log()).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    seen = bench.upstream.answered();
    let (begin, before) = (Instant::now(), bench.cpu(proxy));
    let own = machine::cpu_of_process(k6.0.id());
    std::thread::sleep(Duration::from_secs_f64(bench.extent.seconds));
    let (count, took) = (bench.upstream.answered() - seen, begin.elapsed());
    let mut sample = bench.sample(before, proxy, count, took, crate::load::latencies()?);
    let own = machine::cpu_of_process(k6.0.id()).saturating_sub(own);
    sample.generator_us = own.as_secs_f64() * 1e6 / count.max(1) as f64;
    Ok(sample)
}
