//! Starts the stock Envoy with `wsguard.wasm` before an upstream, and takes
//! both away again, also when the test fails.

use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

#[path = "support/bootstrap.rs"]
mod bootstrap;

pub use bootstrap::{
    balanced, behind_a_proxy, bootstrap, bootstrap_of, cluster, listener, socket_address,
    stats_tags, stream_listener, trust_a_proxy,
};

/// When a test gives up on what must happen: far more than it takes on a machine
/// that is busy with other work.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A running Envoy.
pub struct Envoy {
    child: Child,
    admin: SocketAddr,
    dir: TempDir,
    /// A test that traps a VM says so.
    pub may_trap: bool,
}

/// Worker threads, where a test does not say how many.
pub const WORKERS: u8 = 2;

/// `make test` says where things are; without it, where it puts them.
fn tool(variable: &str, fallback: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let path = std::env::var_os(variable).map_or_else(|| root.join(fallback), PathBuf::from);
    assert!(path.exists(), "{} is missing: run `make test`, or set {variable}", path.display());
    path
}

/// The module under test.
pub fn wasm() -> PathBuf {
    tool("WSGUARD_WASM", "dist/wsguard.wasm")
}

/// The module that a header traps, and another asks for signatures.
pub fn trap_wasm() -> PathBuf {
    tool("WSGUARD_TRAP_WASM", "dist/wsguard-trap.wasm")
}

/// The Envoy under test.
fn envoy() -> PathBuf {
    tool("ENVOY", ".tools/envoy-1.40.0/envoy")
}

/// The interpreter with the pinned packages.
pub fn python() -> PathBuf {
    tool("PYTHON", ".tools/venv/bin/python")
}

/// A command whose process dies with this thread, even when that is killed.
pub fn tied(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program);
    command
}

/// Polls until `probe` gives something.
pub fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "gave up waiting for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Envoy {
    /// Starts Envoy with this bootstrap and waits until it listens.
    pub fn start(bootstrap: &Value) -> Self {
        Self::start_with(&bootstrap.to_string(), &[])
    }

    /// The same from a text in YAML or JSON, with environment variables.
    pub fn start_with(bootstrap: &str, environment: &[(&str, &str)]) -> Self {
        Self::launch(bootstrap, environment, WORKERS, &[])
    }

    /// Starts Envoy with so many worker threads.
    pub fn start_on(workers: u8, bootstrap: &Value) -> Self {
        Self::launch(&bootstrap.to_string(), &[], workers, &[])
    }

    /// Starts Envoy with more arguments.
    pub fn start_with_arguments(bootstrap: &Value, arguments: &[&str]) -> Self {
        Self::launch(&bootstrap.to_string(), &[], WORKERS, arguments)
    }

    fn launch(
        bootstrap: &str,
        environment: &[(&str, &str)],
        workers: u8,
        arguments: &[&str],
    ) -> Self {
        let dir = TempDir::new().unwrap();
        let child = Self::spawn(&dir, bootstrap, environment, workers, arguments);
        let admin = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy = Self { child, admin, dir, may_trap: false };
        let path = envoy.dir.path().join("admin");
        envoy.admin = wait_for("Envoy's admin address", || {
            if let Some(status) = envoy.child.try_wait().unwrap() {
                panic!("Envoy ended with {status}:\n{}", envoy.log());
            }
            std::fs::read_to_string(&path).ok()?.trim().parse().ok()
        });
        wait_for("Envoy to be ready", || {
            (envoy.get("/ready").contains("LIVE") && !envoy.listeners().is_empty()).then_some(())
        });
        envoy
    }

    /// Major and minor version of the Envoy under test.
    pub fn version() -> (u32, u32) {
        let told = Command::new(envoy()).arg("--version").output().unwrap();
        let told = String::from_utf8(told.stdout).unwrap();
        // /path/of/envoy  version: <commit>/1.40.0/Clean/RELEASE/BoringSSL
        let (_, told) = told.split_once("version: ").unwrap();
        let mut numbers = told.split('/').nth(1).unwrap().split('.').map(|n| n.parse().unwrap());
        (numbers.next().unwrap(), numbers.next().unwrap())
    }

    /// Waits until one of Envoy's own counters stands at this.
    pub fn counter(&self, name: &str, value: u64) {
        let line = format!("{name}: {value}");
        wait_for(&line, || {
            self.get(&format!("/stats?filter=^{name}$")).contains(&line).then_some(())
        });
    }

    /// Starts Envoy with a bootstrap that it must refuse; gives its log.
    pub fn refuses(bootstrap: &Value) -> String {
        Self::refuses_with(&bootstrap.to_string(), &[])
    }

    /// The same from a text in YAML or JSON, with environment variables.
    pub fn refuses_with(bootstrap: &str, environment: &[(&str, &str)]) -> String {
        let dir = TempDir::new().unwrap();
        let mut child = Self::spawn(&dir, bootstrap, environment, WORKERS, &[]);
        let status = wait_for("Envoy to refuse", || child.try_wait().unwrap());
        let log = std::fs::read_to_string(dir.path().join("log")).unwrap();
        assert!(!status.success(), "Envoy ended well:\n{log}");
        log
    }

    fn spawn(
        dir: &TempDir,
        bootstrap: &str,
        environment: &[(&str, &str)],
        workers: u8,
        arguments: &[&str],
    ) -> Child {
        let config = dir.path().join("bootstrap.yaml");
        std::fs::write(&config, bootstrap).unwrap();
        let log = std::fs::File::create(dir.path().join("log")).unwrap();
        tied(&envoy())
            .args(["--concurrency", &workers.to_string()])
            .args(["--disable-hot-restart", "-l", "warning"])
            .args(["--component-log-level", "wasm:info"])
            // Access logs without the ten seconds that Envoy may keep them.
            .args(["--file-flush-interval-msec", "50"])
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(dir.path().join("admin"))
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap()
    }

    /// Where the first listener listens.
    pub fn address(&self) -> SocketAddr {
        self.listeners().first().unwrap().1
    }

    /// Where the listener of this name listens.
    pub fn listener(&self, name: &str) -> SocketAddr {
        self.listeners().into_iter().find(|(n, _)| n == name).unwrap().1
    }

    fn listeners(&self) -> Vec<(String, SocketAddr)> {
        let Ok(json) = serde_json::from_str::<Value>(&self.get("/listeners?format=json")) else {
            return Vec::new();
        };
        let statuses = json["listener_statuses"].as_array().cloned().unwrap_or_default();
        statuses
            .iter()
            .filter_map(|status| {
                let address = &status["local_address"]["socket_address"];
                let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
                let address = SocketAddr::from(([127, 0, 0, 1], port));
                Some((status["name"].as_str()?.to_owned(), address))
            })
            .collect()
    }

    /// Body of a page of Envoy's admin interface.
    pub fn get(&self, path: &str) -> String {
        self.ask_admin("GET", path)
    }

    /// Sets the level of one of Envoy's loggers.
    pub fn set_log_level(&self, logger: &str, level: &str) {
        let answer = self.ask_admin("POST", &format!("/logging?{logger}={level}"));
        assert!(answer.contains(&format!("{logger}: {level}")), "{answer}");
    }

    /// The folder of its log, which goes when it does.
    pub fn folder(&self) -> &Path {
        self.dir.path()
    }

    fn ask_admin(&self, method: &str, path: &str) -> String {
        let Ok(mut stream) = TcpStream::connect(self.admin) else { return String::new() };
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let request =
            format!("{method} {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        if head.contains("chunked") { unchunked(body) } else { body.to_owned() }
    }

    /// What its process takes of memory, in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// Seconds of processor time that its process has taken.
    pub fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        // Behind the name, which may hold spaces: fields 14 and 15 are ticks of 10 ms.
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_ascii_whitespace().collect();
        let ticks = |field: usize| fields[field - 3].parse::<f64>().unwrap();
        (ticks(14) + ticks(15)) / 100.0
    }

    /// Everything that Envoy has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    /// The events logged so far.
    pub fn events(&self) -> Vec<Value> {
        let log = self.log();
        log.lines()
            .filter_map(|line| line.split_once(": wsguard ")?.1.parse::<Value>().ok())
            .collect()
    }

    /// Waits for an event of this kind and reason.
    pub fn event(&self, kind: &str, reason: Option<&str>) -> Value {
        wait_for(&format!("event {kind} {reason:?} in\n{}", self.log()), || {
            self.events()
                .into_iter()
                .find(|event| event["event"] == kind && event["reason"].as_str() == reason)
        })
    }

    /// Connections that each worker has been given so far.
    pub fn taken_by_workers(&self) -> Vec<u64> {
        self.of_workers("downstream_cx_total")
    }

    /// Connections that each worker has open.
    pub fn open_on_workers(&self) -> Vec<u64> {
        self.of_workers("downstream_cx_active")
    }

    fn of_workers(&self, stat: &str) -> Vec<u64> {
        let page = self.get(&format!("/stats?filter=^listener\\..*worker_.\\.{stat}"));
        page.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    /// Opens connections until each worker has got one of them.
    pub fn open_on_each_worker<T>(&self, mut open: impl FnMut() -> T) -> Vec<T> {
        let before = self.taken_by_workers();
        let mut opened = Vec::new();
        wait_for("a connection on each worker", || {
            opened.push(open());
            let now = self.taken_by_workers();
            (0..now.len()).all(|n| now[n] > before.get(n).copied().unwrap_or(0)).then_some(())
        });
        opened
    }

    /// Waits until a line of the Prometheus page stands there.
    pub fn metric(&self, line: &str) {
        wait_for(
            &format!("metric {line} in {}", self.get("/stats/prometheus?filter=wsguard")),
            || {
                let page = self.get("/stats/prometheus?filter=wsguard");
                page.lines().any(|l| l == line).then_some(())
            },
        );
    }

    /// The VM has trapped, as it should.
    pub fn assert_trapped(&mut self) {
        wait_for("a trap", || self.log().contains("trapped").then_some(()));
        self.may_trap = true;
    }

    /// The VM has not trapped.
    pub fn assert_sound(&self) {
        let log = self.log();
        for word in ["trapped", "Function: proxy_", "Plugin is failed", "Unreachable"] {
            assert!(!log.contains(word), "the VM has trapped:\n{log}");
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("--- Envoy's log ---\n{}", self.log());
        } else if !self.may_trap {
            self.assert_sound();
        }
    }
}

/// The body behind its chunk sizes (RFC 9112 §7.1).
fn unchunked(body: &str) -> String {
    let (mut rest, mut whole) = (body, String::new());
    while let Some((size, after)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        let Some(chunk) = after.get(..size).filter(|chunk| !chunk.is_empty()) else { break };
        whole.push_str(chunk);
        rest = after.get(size + 2..).unwrap_or_default();
    }
    whole
}
