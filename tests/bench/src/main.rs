//! `make bench`: what wsguard costs, and against whom.
//!
//! Starts every set-up with one worker on a CPU of its own, sends the same
//! traffic through each in turn, and reads from the kernel how much CPU each
//! took for it. Figures of different machines say nothing: what counts is the
//! ratio to Envoy alone in the same run.
//!
//!     wsguard-bench [--quick | --smoke] [--rounds N] [--seconds N] [--only NAME,…]
//!                   [--setups NAME,…] [--policy FILE.json]… [--before FILE.wasm]
//!                   [--out FOLDER] [--cross K6] [--core FILE.wasm] [--no-rest]

mod bootstrap;
mod chart;
mod core;
mod cross;
mod frames;
mod load;
mod machine;
mod peers;
mod policy;
mod proxy;
mod report;
mod run;
mod setup;
mod stats;
mod tokens;
mod upstream;
mod workload;

use cross::Cross;
use load::Trouble;
use machine::Cpus;
use report::{Idle, Report, Started};
use run::{Bench, Extent, FIRST_IDLE};
use setup::{Parts, Setup};
use stats::Spread;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokens::Mint;
use upstream::Upstream;
use workload::Workload;

const FULL: Extent = Extent { rounds: 7, seconds: 1.0, handshakes: 300, warm: 2000, idle: 5000 };
const QUICK: Extent = Extent { rounds: 3, seconds: 0.4, handshakes: 150, warm: 1000, idle: 1000 };
const SMOKE: Extent = Extent { rounds: 1, seconds: 0.02, handshakes: 10, warm: 10, idle: 20 };

/// What was asked for.
struct Asked {
    extent: Extent,
    quick: bool,
    smoke: bool,
    workloads: Option<Vec<String>>,
    setups: Option<Vec<String>>,
    /// Documents of the user's own, each a set-up.
    policies: Vec<PathBuf>,
    /// Another wasm, with which each of wsguard's set-ups runs again.
    before: Option<PathBuf>,
    out: PathBuf,
    /// The other generator, k6, to compare with.
    cross: Option<PathBuf>,
    /// The module that times the core.
    core: Option<PathBuf>,
    /// Without idle connections and starts.
    no_rest: bool,
}

fn main() -> ExitCode {
    match Asked::read().and_then(|asked| bench(&asked)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => {
            eprintln!("wsguard: {trouble}");
            ExitCode::FAILURE
        }
    }
}

impl Asked {
    fn read() -> Result<Self, Trouble> {
        let mut asked = Self {
            extent: FULL,
            quick: false,
            smoke: false,
            workloads: None,
            setups: None,
            policies: Vec::new(),
            before: None,
            out: root().join("target/bench-report"),
            cross: None,
            core: None,
            no_rest: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            let list = |value: String| Some(value.split(',').map(str::to_owned).collect());
            match argument.as_str() {
                "--quick" => (asked.extent, asked.quick) = (QUICK, true),
                "--smoke" => (asked.extent, asked.quick, asked.smoke) = (SMOKE, true, true),
                "--only" => asked.workloads = list(value()?),
                "--setups" => asked.setups = list(value()?),
                "--rounds" => asked.extent.rounds = value()?.parse()?,
                "--seconds" => asked.extent.seconds = value()?.parse()?,
                "--policy" => asked.policies.push(value()?.into()),
                "--before" => asked.before = Some(Path::new(&value()?).canonicalize()?),
                "--cross" => asked.cross = Some(Path::new(&value()?).canonicalize()?),
                "--core" => asked.core = Some(Path::new(&value()?).canonicalize()?),
                "--no-rest" => asked.no_rest = true,
                "--out" => asked.out = value()?.into(),
                _ => return Err(format!("{argument} is no option of this").into()),
            }
        }
        Ok(asked)
    }

    fn workload(&self, workload: &Workload) -> bool {
        match &self.workloads {
            Some(names) => names.iter().any(|name| workload.name.starts_with(name.as_str())),
            None => workload.quick || !self.quick,
        }
    }

    /// The set-ups that are asked for, and the user's own.
    fn setups(&self) -> Result<Vec<Setup>, Trouble> {
        let mut setups: Vec<Setup> = Setup::all().into_iter().filter(|s| self.setup(s)).collect();
        for path in &self.policies {
            setups.push(Setup::of_file(path)?);
        }
        if let Some(wasm) = &self.before {
            let before: Vec<Setup> = setups.iter().filter_map(|s| s.before(wasm)).collect();
            setups.extend(before);
        }
        Ok(setups)
    }

    fn setup(&self, setup: &Setup) -> bool {
        match &self.setups {
            Some(names) => names.iter().any(|name| name == setup.name),
            None => setup.quick || !self.quick,
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// `make bench` says where things are; without it, where it puts them.
fn part(variable: &str, fallback: &str) -> Result<PathBuf, Trouble> {
    let path = std::env::var_os(variable).map_or_else(|| root().join(fallback), PathBuf::from);
    if !path.exists() {
        return Err(format!("{variable} is missing: run `make bench`, or set it").into());
    }
    Ok(path.canonicalize().unwrap_or(path))
}

fn bench(asked: &Asked) -> Result<(), Trouble> {
    let files = machine::raise_file_limit();
    let cpus = Cpus::choose()?;
    let generator = machine::this_thread();
    machine::pin(None, cpus.generator)?;
    let upstream = Upstream::start()?;
    machine::pin(Some(upstream.thread), cpus.upstream)?;
    // Not canonical: a virtual environment's interpreter is a link.
    let python = root().canonicalize()?.join(".tools/venv/bin/python");
    let python = std::env::var_os("PYTHON").map_or(python, PathBuf::from);
    let mint = Mint::start(&python, &root())?;
    let parts = Parts {
        root: root().canonicalize()?,
        envoy: part("ENVOY", ".tools/envoy-1.40.0/envoy")?,
        wasm: part("WSGUARD_WASM", "dist/wsguard.wasm")?,
        python,
        upstream: upstream.address,
        cpus,
        keys: mint.keys().clone(),
    };
    let extent = asked.extent;
    let mut bench = Bench { parts: &parts, upstream: &upstream, generator, mint, extent };
    let mut report = Report::new(&parts, asked.quick);
    report.rows = rows(&mut bench, asked, &mut report)?;
    if let Some(k6) = &asked.cross {
        eprintln!("wsguard: one row by k6, too");
        report.cross = Some(Cross::run(&mut bench, k6)?);
    }
    if let Some(wasm) = &asked.core {
        eprintln!("wsguard: the core inside Envoy");
        // Beside the folder of this build: target/bench/release/wsguard-bench.
        let program = std::env::current_exe()?;
        let target = program.ancestors().nth(2).ok_or("no target folder")?;
        report.further.push(core::table(&parts, wasm, &target.join("criterion"))?);
    }
    if asked.smoke || asked.no_rest {
        return report.write(&asked.out);
    }
    // A connection takes two files here, and two in the proxy.
    let most = usize::try_from(files / 2).unwrap_or(usize::MAX);
    let idle = extent.idle.min(most.saturating_sub(FIRST_IDLE + 200)).max(1);
    idle_connections(&mut bench, asked, &mut report, idle)?;
    report.started = starts(&parts, extent.rounds.min(5))?;
    report.write(&asked.out)
}

/// Every workload through every set-up.
fn rows(
    bench: &mut Bench<'_>,
    asked: &Asked,
    report: &mut Report,
) -> Result<Vec<stats::Row>, Trouble> {
    let setups = asked.setups()?;
    report.titles = setups.iter().map(|setup| (setup.name, setup.title)).collect();
    let mut running = Vec::new();
    for setup in &setups {
        match setup.start(bench.parts)? {
            Ok(started) => {
                if !started.left_out.is_empty() {
                    report.left_out = started.left_out;
                }
                running.push((setup, started.proxy));
            }
            Err(why) => report.skipped.push(format!("{}: {why}", setup.title)),
        }
    }
    let running: Vec<_> = running.iter().map(|(setup, proxy)| (*setup, proxy)).collect();
    let mut rows = Vec::new();
    for workload in Workload::all()?.iter().filter(|w| asked.workload(w)) {
        eprintln!("wsguard: {}", workload.title);
        rows.extend(bench.rows(workload, &running)?);
    }
    Ok(rows)
}

/// In processes of their own: what others have freed hides what these take.
fn idle_connections(
    bench: &mut Bench<'_>,
    asked: &Asked,
    report: &mut Report,
    count: usize,
) -> Result<(), Trouble> {
    let names = ["envoy", "minimal", "example", "copies", "tcp", "stream"];
    let setups = asked.setups()?;
    let name = |setup: &Setup| setup.name.trim_start_matches("before-");
    for setup in setups.iter().filter(|setup| setup.is_own() || names.contains(&name(setup))) {
        eprintln!("wsguard: {count} idle connections, {}", setup.title);
        let Ok(running) = setup.start(bench.parts)? else { continue };
        match bench.idle(&running.proxy, count) {
            Ok(kib) => report.idle.push(Idle { name: setup.name, setup: setup.title, count, kib }),
            // A policy of the user's may let in fewer.
            Err(error) if setup.is_own() => {
                report.skipped.push(format!("{count} idle connections, {}: {error}", setup.title));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What it takes to load policies, again and again.
fn starts(parts: &Parts, rounds: usize) -> Result<Vec<Started>, Trouble> {
    let titles = ["Envoy alone", "1 pattern", "50 patterns", "1,000 patterns"];
    let mut started = Vec::new();
    for (title, patterns) in titles.into_iter().zip([0, 1, 50, 1000]) {
        eprintln!("wsguard: start, {title}");
        let (mut ready, mut cpu, mut kib) = (Vec::new(), Vec::new(), 0);
        for _ in 0..rounds {
            let proxy = setup::start_with_patterns(parts, patterns)?;
            ready.push(proxy.start.took.as_secs_f64() * 1e3);
            cpu.push(proxy.start.cpu.as_secs_f64() * 1e3);
            kib = proxy.memory_kib();
        }
        let spread = |figures: Vec<f64>| Spread::of(figures.into_iter()).ok_or("no start");
        let (ready_ms, cpu_ms) = (spread(ready)?, spread(cpu)?);
        started.push(Started { title, patterns, ready_ms, cpu_ms, kib });
    }
    Ok(started)
}
