//! The machine's own accounting: who took how much CPU and memory, and where
//! each may run.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, gettid, sched_getaffinity, sched_setaffinity};
use std::path::Path;
use std::time::Duration;

/// Where generator, upstream and proxy run.
#[derive(Clone, Copy, Debug)]
pub struct Cpus {
    pub proxy: usize,
    pub generator: usize,
    pub upstream: usize,
    /// How many there are.
    pub count: usize,
}

impl Cpus {
    /// The proxy has one of its own where there are two, the upstream one where
    /// there are three.
    pub fn choose() -> std::io::Result<Self> {
        let allowed = sched_getaffinity(None)?;
        let cpus: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).collect();
        let at = |place: usize| cpus.get(place).or(cpus.first()).copied().unwrap_or(0);
        let last = cpus.len().saturating_sub(1);
        let upstream = if cpus.len() > 2 { 1 } else { 0 };
        Ok(Self { proxy: at(last), generator: at(0), upstream: at(upstream), count: cpus.len() })
    }
}

/// Keeps a thread, and the processes that it starts, on one CPU; `None` is this
/// thread.
pub fn pin(thread: Option<i32>, cpu: usize) -> std::io::Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    Ok(sched_setaffinity(thread.and_then(rustix::thread::Pid::from_raw), &set)?)
}

/// This thread's number.
pub fn this_thread() -> i32 {
    gettid().as_raw_nonzero().get()
}

/// Raises the limit on open files as far as it goes; how many there may be.
pub fn raise_file_limit() -> u64 {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// CPU time that all threads of a process have taken.
pub fn cpu_of_process(pid: u32) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    tasks.map(|task| cpu_of(&task.path())).sum()
}

/// CPU time that a thread of this process has taken.
pub fn cpu_of_thread(thread: i32) -> Duration {
    cpu_of(Path::new(&format!("/proc/self/task/{thread}")))
}

/// By the scheduler's account, in nanoseconds; where the kernel keeps none, in
/// its ticks of 10 ms.
fn cpu_of(task: &Path) -> Duration {
    if let Ok(text) = std::fs::read_to_string(task.join("schedstat"))
        && let Some(nanos) = text.split(' ').next().and_then(|n| n.parse().ok())
    {
        return Duration::from_nanos(nanos);
    }
    let text = std::fs::read_to_string(task.join("stat")).unwrap_or_default();
    // Behind the name, which may hold anything: state is field 3, utime 14.
    let fields = text.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// Resident memory of a process, in KiB.
pub fn memory_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// How many processes wanted a CPU in the last minute, on average.
pub fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

/// Processor and kernel in general words.
pub fn describe() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("unknown processor", |(_, name)| name.trim());
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let numbers: Vec<&str> = release.trim().split(['.', '-']).take(2).collect();
    format!("{model}, Linux {}", numbers.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_shows_in_the_account() {
        let before = cpu_of_process(std::process::id());
        let mut sum = 0u64;
        while cpu_of_thread(this_thread()) < Duration::from_millis(20) {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(cpu_of_process(std::process::id()) > before);
        assert!(memory_kib(std::process::id()) > 100);
    }
}
