//! One proxy process on a CPU of its own.

use crate::load::{PATIENCE, Trouble};
use crate::machine::{self, Cpus};
use serde_json::Value;
use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A running proxy; ends when dropped.
pub struct Proxy {
    child: Child,
    /// Where it takes clients.
    pub address: SocketAddr,
    /// What it took until it was ready.
    pub start: Start,
    dir: TempDir,
}

/// What a start took.
#[derive(Clone, Copy, Debug)]
pub struct Start {
    pub took: Duration,
    pub cpu: Duration,
}

/// A folder and a command to start in it.
pub struct Launch {
    pub dir: TempDir,
    pub command: Command,
}

impl Launch {
    /// The process ends with this thread, even when that is killed.
    pub fn new(program: &OsStr) -> Result<Self, Trouble> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program);
        Ok(Self { dir: TempDir::new()?, command })
    }

    /// Starts it, on its CPU, and waits until `address` knows where it listens.
    pub fn start(
        mut self,
        cpus: &Cpus,
        address: impl Fn(&Path) -> Option<SocketAddr>,
    ) -> Result<Proxy, Trouble> {
        let log = std::fs::File::create(self.dir.path().join("log"))?;
        self.command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let begin = Instant::now();
        // A child runs where the thread that starts it does.
        machine::pin(None, cpus.proxy)?;
        let child = self.command.spawn();
        machine::pin(None, cpus.generator)?;
        let start = Start { took: Duration::ZERO, cpu: Duration::ZERO };
        let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut proxy = Proxy { child: child?, address: nowhere, start, dir: self.dir };
        loop {
            if let Some(address) = address(proxy.dir.path()) {
                proxy.address = address;
                let cpu = machine::cpu_of_process(proxy.child.id());
                proxy.start = Start { took: begin.elapsed(), cpu };
                return Ok(proxy);
            }
            if proxy.child.try_wait()?.is_some() || begin.elapsed() > 3 * PATIENCE {
                return Err(format!("did not start:\n{}", proxy.log()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Proxy {
    /// CPU time that it has taken so far.
    pub fn cpu(&self) -> Duration {
        machine::cpu_of_process(self.child.id())
    }

    /// Its resident memory.
    pub fn memory_kib(&self) -> u64 {
        machine::memory_kib(self.child.id())
    }

    /// All that it has logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts Envoy with one worker.
pub fn envoy(binary: &Path, bootstrap: &Value, cpus: &Cpus) -> Result<Proxy, Trouble> {
    let mut launch = Launch::new(binary.as_os_str())?;
    let folder = launch.dir.path().to_owned();
    std::fs::write(folder.join("bootstrap.json"), bootstrap.to_string())?;
    launch
        .command
        .args(["--concurrency", "1", "--disable-hot-restart", "-l", "warning", "-c"])
        .arg(folder.join("bootstrap.json"))
        .arg("--admin-address-path")
        .arg(folder.join("admin"));
    launch.start(cpus, |folder| {
        let admin = std::fs::read_to_string(folder.join("admin")).ok()?.trim().parse().ok()?;
        if !ask(admin, "/ready")?.contains("LIVE") {
            return None;
        }
        let listeners = ask(admin, "/listeners")?;
        // edge::127.0.0.1:43210
        listeners.lines().find_map(|line| line.trim().strip_prefix("edge::")?.parse().ok())
    })
}

fn ask(admin: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(admin).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A port that is free now, for programs that can't say which one they took.
pub fn free_port() -> Result<u16, Trouble> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// This address, once something listens there.
pub fn listening(port: u16) -> Option<SocketAddr> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect(address).ok().map(|_| address)
}
