//! Runs: every set-up in turn, again and again (A/B/A/B), so that what drifts
//! on the machine hits all of them alike.

use crate::load::{self, Fleet, Trouble};
use crate::machine;
use crate::proxy::Proxy;
use crate::setup::{Parts, Setup};
use crate::stats::{Row, Sample};
use crate::tokens::{Mint, Use};
use crate::upstream::Upstream;
use crate::workload::{DEFLATE, Handshakes, Messages, Traffic, Workload};
use hdrhistogram::Histogram;
use std::net::SocketAddr;
use std::time::Duration;

/// How much is run.
#[derive(Clone, Copy)]
pub struct Extent {
    pub rounds: usize,
    pub seconds: f64,
    pub handshakes: usize,
    /// Handshakes before the first that count: V8 compiles what is called often once
    /// more, and better, and an edge is started once and called for weeks.
    pub warm: usize,
    pub idle: usize,
}

/// Handshakes at a time.
const PARALLEL: usize = 4;
/// For what a proxy still does after the last answer.
const SETTLE: Duration = Duration::from_millis(30);

/// Idle connections that are opened before memory is looked at. Envoy frees some
/// tens of MiB when it has compiled a wasm, and keeps them.
pub const FIRST_IDLE: usize = 1500;

/// Who is measured, and by whom.
pub struct Bench<'a> {
    pub parts: &'a Parts,
    pub upstream: &'a Upstream,
    pub generator: i32,
    pub mint: Mint,
    pub extent: Extent,
}

/// CPU time of all three.
#[derive(Clone, Copy)]
pub struct Cpu {
    proxy: Duration,
    generator: Duration,
    upstream: Duration,
}

impl Bench<'_> {
    /// Runs one workload through those of the set-ups that take it.
    pub fn rows(
        &mut self,
        workload: &Workload,
        setups: &[(&Setup, &Proxy)],
    ) -> Result<Vec<Row>, Trouble> {
        let taking = setups.iter().filter(|(setup, _)| setup.takes(workload));
        let mut rows = Vec::new();
        let taking: Vec<_> = taking.collect();
        for (setup, _) in &taking {
            let samples = Vec::new();
            rows.push(Row { workload: workload.name, setup: setup.name, samples });
        }
        for round in 0..self.extent.rounds {
            for (row, (setup, proxy)) in rows.iter_mut().zip(&taking) {
                let sample = match &workload.traffic {
                    Traffic::Messages(messages) => self.messages(messages, proxy),
                    Traffic::Handshakes(shakes) => self.handshakes(shakes, proxy, round),
                };
                let told = |error| {
                    format!("{} through {}: {error}\n{}", workload.name, setup.name, proxy.log())
                };
                row.samples.push(sample.map_err(told)?);
            }
        }
        Ok(rows)
    }

    /// A sample of messages through a proxy.
    pub fn messages(&mut self, messages: &Messages, proxy: &Proxy) -> Result<Sample, Trouble> {
        let lines = if messages.compressed {
            vec![("sec-websocket-extensions".to_owned(), DEFLATE.to_owned())]
        } else {
            Vec::new()
        };
        let head = self.head(messages.path, proxy.address, Use::Again("RS256"), 0, lines)?;
        let heads = std::iter::repeat_n(head.as_slice(), messages.connections);
        let held = load::hold(proxy.address, heads, PARALLEL)?;
        let mut fleet = Fleet::new(held, messages)?;
        fleet.run(Duration::from_secs_f64(self.extent.seconds / 8.0))?;
        let before = self.cpu(proxy);
        let sent = fleet.run(Duration::from_secs_f64(self.extent.seconds))?;
        let sample = self.sample(before, proxy, sent.messages, sent.took, sent.latency);
        drop(fleet);
        std::thread::sleep(SETTLE);
        Ok(sample)
    }

    fn handshakes(
        &mut self,
        shakes: &Handshakes,
        proxy: &Proxy,
        round: usize,
    ) -> Result<Sample, Trouble> {
        let count = self.extent.handshakes;
        let mut heads = Vec::new();
        for index in round * count..(round + 1) * count {
            heads.push(self.head_for(shakes, proxy.address, index)?);
        }
        let warm = if round == 0 { self.extent.warm } else { shakes.parallel * 4 };
        let first = self.extent.rounds * count + round * self.extent.warm;
        let mut before = Vec::new();
        for index in first..first + warm {
            // What is repeated has been there before; what is fresh has not.
            before.push(match shakes.token {
                Use::Fresh(_) => self.head_for(shakes, proxy.address, index)?,
                _ => heads.first().cloned().unwrap_or_default(),
            });
        }
        // Who is to be banned has to be seen first.
        if shakes.status == 429 && round == 0 {
            load::shake(proxy.address, heads.iter().take(1).map(Vec::as_slice), 401, 1)?;
        }
        let before = before.iter().map(Vec::as_slice);
        load::shake(proxy.address, before, shakes.status, shakes.parallel)?;
        std::thread::sleep(SETTLE);
        let before = self.cpu(proxy);
        let heads = heads.iter().map(Vec::as_slice);
        let shaken = load::shake(proxy.address, heads, shakes.status, shakes.parallel)?;
        std::thread::sleep(SETTLE);
        Ok(self.sample(before, proxy, shaken.handshakes, shaken.took, shaken.latency))
    }

    fn head_for(
        &mut self,
        shakes: &Handshakes,
        address: SocketAddr,
        index: usize,
    ) -> Result<Vec<u8>, Trouble> {
        if shakes.foreign {
            let origin = vec![("origin".to_owned(), "https://evil.example".to_owned())];
            return self.bare_head("/echo", address, shakes.token, index, origin);
        }
        self.head("/echo", address, shakes.token, index, Vec::new())
    }

    fn head(
        &mut self,
        path: &str,
        address: SocketAddr,
        token: Use,
        index: usize,
        mut lines: Vec<(String, String)>,
    ) -> Result<Vec<u8>, Trouble> {
        lines.push(("origin".to_owned(), "https://app.example.com".to_owned()));
        self.bare_head(path, address, token, index, lines)
    }

    fn bare_head(
        &mut self,
        path: &str,
        address: SocketAddr,
        token: Use,
        index: usize,
        mut lines: Vec<(String, String)>,
    ) -> Result<Vec<u8>, Trouble> {
        if let Some(token) = self.mint.token(token, index)? {
            lines.push(("authorization".to_owned(), format!("Bearer {token}")));
        }
        Ok(load::request_head(path, address, &lines))
    }

    /// What each of so many idle connections adds to a proxy's memory, in KiB.
    pub fn idle(&mut self, proxy: &Proxy, count: usize) -> Result<f64, Trouble> {
        let head = self.head("/echo", proxy.address, Use::Again("RS256"), 0, Vec::new())?;
        // The first ones take what a start has left free, and stay open: memory that
        // they gave back would be taken again unseen.
        let first = std::iter::repeat_n(head.as_slice(), FIRST_IDLE);
        let first = load::hold(proxy.address, first, PARALLEL)?;
        std::thread::sleep(Duration::from_millis(500));
        let before = proxy.memory_kib();
        let heads = std::iter::repeat_n(head.as_slice(), count);
        let held = load::hold(proxy.address, heads, PARALLEL)?;
        std::thread::sleep(Duration::from_secs(1));
        let after = proxy.memory_kib();
        drop(first);
        Ok((after as f64 - before as f64) / held.streams.len() as f64)
    }

    /// CPU time that all three have taken so far.
    pub fn cpu(&self, proxy: &Proxy) -> Cpu {
        Cpu {
            proxy: proxy.cpu(),
            generator: machine::cpu_of_thread(self.generator),
            upstream: machine::cpu_of_thread(self.upstream.thread),
        }
    }

    /// What so many messages or handshakes have taken since `before`.
    pub fn sample(
        &self,
        before: Cpu,
        proxy: &Proxy,
        count: u64,
        took: Duration,
        latency: Histogram<u64>,
    ) -> Sample {
        let after = self.cpu(proxy);
        let each = |before: Duration, after: Duration| {
            after.saturating_sub(before).as_secs_f64() * 1e6 / count.max(1) as f64
        };
        Sample {
            count,
            proxy_us: each(before.proxy, after.proxy),
            generator_us: each(before.generator, after.generator),
            upstream_us: each(before.upstream, after.upstream),
            rate: count as f64 / took.as_secs_f64(),
            latency,
        }
    }
}
