//! What is printed and kept: a table, a JSON file, a chart.

use crate::chart;
use crate::cross::Cross;
use crate::load::Trouble;
use crate::machine;
use crate::setup::{Parts, Setup};
use crate::stats::{Row, Spread};
use crate::workload::Workload;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// The set-up that others are compared with.
const BASE: &str = "envoy";

/// Everything that one run found.
pub struct Report {
    pub rows: Vec<Row>,
    pub idle: Vec<Idle>,
    pub started: Vec<Started>,
    /// Name and title of the set-ups, in the order of the table.
    pub titles: Vec<(&'static str, &'static str)>,
    /// What of the example policy is not built yet.
    pub left_out: Vec<String>,
    pub skipped: Vec<String>,
    quick: bool,
    machine: String,
    cpus: usize,
    envoy: String,
    commit: String,
    wasm_bytes: u64,
    /// The machine's load before anything was measured.
    load: f64,
    /// What else was asked for, as tables.
    pub further: Vec<String>,
    pub cross: Option<Cross>,
}

/// Memory of idle connections.
pub struct Idle {
    pub name: &'static str,
    pub setup: &'static str,
    pub count: usize,
    /// Of each.
    pub kib: f64,
}

/// What Envoy took from its start until it was ready.
pub struct Started {
    pub title: &'static str,
    pub patterns: usize,
    /// Of each start, in milliseconds.
    pub ready_ms: Spread,
    pub cpu_ms: Spread,
    pub kib: u64,
}

impl Report {
    pub fn new(parts: &Parts, quick: bool) -> Self {
        let told = |command: &mut Command| {
            let output = command.output().ok().filter(|output| output.status.success());
            output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        // <path> version: <commit>/1.40.0/Clean/RELEASE/BoringSSL
        let version = told(Command::new(&parts.envoy).arg("--version")).unwrap_or_default();
        let version = version.rsplit_once("version: ").map_or("", |(_, rest)| rest);
        let describe = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"];
        Self {
            rows: Vec::new(),
            idle: Vec::new(),
            started: Vec::new(),
            titles: Vec::new(),
            left_out: Vec::new(),
            skipped: Vec::new(),
            quick,
            machine: machine::describe(),
            cpus: parts.cpus.count,
            envoy: version.split('/').nth(1).unwrap_or("unknown").to_owned(),
            commit: told(Command::new("git").current_dir(&parts.root).args(describe))
                .unwrap_or_else(|| "unknown".into()),
            wasm_bytes: std::fs::metadata(&parts.wasm).map_or(0, |file| file.len()),
            load: machine::load(),
            further: Vec::new(),
            cross: None,
        }
    }

    /// The row of a workload and a set-up.
    pub fn row(&self, workload: &str, setup: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.workload == workload && row.setup == setup)
    }

    /// Its CPU by another set-up's for the same.
    pub fn ratio(&self, workload: &str, setup: &str, base: &str) -> Option<Spread> {
        self.row(workload, setup)?.ratio(self.row(workload, base)?)
    }

    /// Prints the table, and writes it with the other files into a folder.
    pub fn write(&self, folder: &Path) -> Result<(), Trouble> {
        let table = self.table()?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(folder.join("table.md"), &table)?;
        std::fs::write(folder.join("results.json"), serde_json::to_vec_pretty(&self.json())?)?;
        std::fs::write(folder.join("chart.svg"), chart::draw(self)?)?;
        println!("{table}");
        eprintln!("wsguard: table.md, results.json and chart.svg are in {}", folder.display());
        Ok(())
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|row| row.json(self.row(row.workload, BASE)));
        let idle = self.idle.iter().map(
            |idle| json!({"setup": idle.setup, "connections": idle.count, "kib_each": idle.kib}),
        );
        let started = self.started.iter().map(|started| {
            json!({
                "policy": started.title,
                "ready_ms": started.ready_ms.json(),
                "cpu_ms": started.cpu_ms.json(),
                "memory_kib": started.kib,
            })
        });
        json!({
            "machine": self.machine, "cpus": self.cpus, "envoy": self.envoy,
            "commit": self.commit, "quick": self.quick, "wasm_bytes": self.wasm_bytes,
            "load_before": self.load, "load_after": machine::load(),
            "cross": self.cross.as_ref().map(Cross::json),
            "example_left_out": self.left_out, "skipped": self.skipped,
            "rows": rows.collect::<Vec<_>>(),
            "idle": idle.collect::<Vec<_>>(),
            "started": started.collect::<Vec<_>>(),
        })
    }

    fn table(&self) -> Result<String, Trouble> {
        let mut text = String::new();
        writeln!(
            text,
            "Envoy {} with one worker, commit {}; {}, {} CPUs, load {:.1} before and {:.1} after{}.\n",
            self.envoy,
            self.commit,
            self.machine,
            self.cpus,
            self.load,
            machine::load(),
            if self.quick { "; a quick run" } else { "" }
        )?;
        if self.is_busy() {
            writeln!(text, "**The machine was busy with something else: expect little of it.**\n")?;
        }
        let workloads = Workload::all()?;
        let (shakes, messages): (Vec<_>, Vec<_>) = workloads.iter().partition(|w| w.is_handshake());
        for (title, workloads) in [("message and its answer", messages), ("handshake", shakes)] {
            self.part(&mut text, title, &workloads)?;
        }
        self.goals(&mut text)?;
        self.rest(&mut text)?;
        if let Some(cross) = &self.cross {
            text.push_str(&cross.table()?);
        }
        text.extend(self.further.iter().map(String::as_str));
        Ok(text)
    }

    /// Whether others wanted this many CPUs before anything was measured.
    fn is_busy(&self) -> bool {
        self.load > self.cpus as f64 / 2.0
    }

    fn part(&self, text: &mut String, title: &str, workloads: &[&Workload]) -> Result<(), Trouble> {
        writeln!(
            text,
            "| {title} | set-up | proxy CPU, µs | to Envoy alone | generator CPU, µs | a second \
             | p50, p99, p99.9, µs |\n|---|---|---|---|---|---|---|"
        )?;
        for workload in workloads {
            let mut first = workload.title;
            for (setup, title) in &self.titles {
                let Some(row) = self.row(workload.name, setup) else { continue };
                let (Some(proxy), Some(generator), Some(rate)) =
                    (row.proxy(), row.generator(), row.rate())
                else {
                    continue;
                };
                let ratio = self.ratio(workload.name, setup, BASE).map(Spread::shown);
                // The generator must not be what limits.
                let high = if generator.median >= proxy.median { " (!)" } else { "" };
                writeln!(
                    text,
                    "| {first} | {} | {:.2} ({:.2}–{:.2}) | {} | {:.2}{high} | {:.0} | {:.0}, {:.0}, {:.0} |",
                    title,
                    proxy.median,
                    proxy.least,
                    proxy.most,
                    ratio.unwrap_or_else(|| "–".into()),
                    generator.median,
                    rate.median,
                    row.latency_us(0.5),
                    row.latency_us(0.99),
                    row.latency_us(0.999),
                )?;
                first = "";
            }
        }
        writeln!(text, "\n(!): the generator took more CPU than the proxy.\n")?;
        Ok(())
    }

    /// Where wsguard stands by what it should cost, and where a wasm filter would
    /// that only copies.
    fn goals(&self, text: &mut String) -> Result<(), Trouble> {
        let goals = [
            ("64 B, example policy", "text-64", "example", BASE, 1.15),
            ("64 B, 16 in flight, example policy", "text-64x16", "example", BASE, 1.25),
            ("1 KiB, example policy", "text-1k", "example", BASE, 1.25),
            ("16 KiB, 50 patterns", "text-16k", "rules", BASE, 1.3),
            ("handshake, RS256, fresh token", "rs256-fresh", "jwt", "jwt-authn", 1.0),
            ("handshake, RS256, repeated token", "rs256-again", "jwt", "jwt-authn-cache", 1.0),
            ("refused handshake, bad signature", "refused-signature", "jwt", "jwt-authn", 1.0),
            ("refused handshake, no token", "refused-missing", "jwt", "jwt-authn", 1.0),
        ];
        writeln!(
            text,
            "| goal | compared with | at most | measured | | a wasm filter that only copies |\n\
             |---|---|---|---|---|---|"
        )?;
        for (title, workload, setup, base, most) in goals {
            let Some(ratio) = self.ratio(workload, setup, base) else { continue };
            let verdict = met(ratio.median <= most);
            let copies = self.ratio(workload, "copies", base).map_or("–".into(), Spread::shown);
            let base = Setup::all().into_iter().find(|s| s.name == base).map_or("", |s| s.title);
            let ratio = ratio.shown();
            writeln!(text, "| {title} | {base} | {most} | {ratio} | {verdict} | {copies} |")?;
        }
        let idle = |name| self.idle.iter().find(|idle| idle.name == name).map(|idle| idle.kib);
        if let (Some(base), Some(guarded)) = (idle(BASE), idle("example")) {
            let (added, verdict) = (guarded - base, met(guarded - base <= 2.0));
            let copies = idle("copies").map_or("–".into(), |kib| format!("{:.1}", kib - base));
            writeln!(
                text,
                "| idle connection, KiB added | Envoy alone | 2 | {added:.1} | {verdict} | {copies} |"
            )?;
        }
        let ready = |patterns| self.started.iter().find(|s| s.patterns == patterns);
        if let (Some(base), Some(loaded)) = (ready(1), ready(1000)) {
            let added = (loaded.ready_ms.median - base.ready_ms.median) / 1e3;
            let verdict = met(added <= 1.0);
            writeln!(
                text,
                "| 1,000 patterns load, s | 1 pattern | 1 | {added:.2} | {verdict} | – |"
            )?;
        }
        writeln!(text)?;
        Ok(())
    }

    fn rest(&self, text: &mut String) -> Result<(), Trouble> {
        writeln!(text, "| idle connections | KiB each |\n|---|---|")?;
        for idle in &self.idle {
            writeln!(text, "| {}, {} | {:.1} |", idle.count, idle.setup, idle.kib)?;
        }
        writeln!(text, "\n| start with | ready, ms | CPU, ms | memory, MiB |\n|---|---|---|---|")?;
        for Started { title, ready_ms, cpu_ms, kib, .. } in &self.started {
            let [ready, cpu] = [ready_ms, cpu_ms]
                .map(|s| format!("{:.0} ({:.0}–{:.0})", s.median, s.least, s.most));
            writeln!(text, "| {title} | {ready} | {cpu} | {} |", kib / 1024)?;
        }
        writeln!(text, "\nwsguard.wasm: {:.2} MiB.", self.wasm_bytes as f64 / f64::from(1 << 20))?;
        if !self.left_out.is_empty() {
            writeln!(text, "Not built yet, so not in the example: {}.", self.left_out.join(", "))?;
        }
        for skipped in &self.skipped {
            writeln!(text, "Skipped: {skipped}.")?;
        }
        Ok(())
    }
}

const fn met(is_met: bool) -> &'static str {
    if is_met { "met" } else { "missed" }
}
