//! Runs connections to every receiver, and compares.

use super::judged::judged;
use super::process::{All, Fault, Got, Process, RECEIVERS, Receiver};
use super::random::Random;
use super::script::{Message, Script};
use super::support::{Envoy, PATIENCE, bootstrap_of, cluster, listener, stream_listener};
use super::wire::{self, Sent};
use super::{document, path, rule};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wsguard::frame::Sender;

/// Connections that are open at once.
const AT_ONCE: usize = 100;

/// Ids of one receiver lie so far from those of the next.
const IDS: u64 = 1_000_000;

/// The id of another try lies so far behind.
const AGAIN: u64 = 100_000;

/// Differences that are told in full.
const TOLD: usize = 5;

/// How a difference is told that a filter must never make.
const UNJUDGED: &str = "which was not judged";

/// The filter kinds, by the name of their listeners.
const KINDS: [&str; 2] = ["http", "stream"];

/// One receiver in one role.
struct Job {
    receiver: Receiver,
    sender: Sender,
    seed: u64,
    /// Of its first connection.
    first: u64,
    /// Of each filter kind.
    addresses: [SocketAddr; 2],
}

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Runs so many connections to each receiver in each of its roles, the same every time
/// where a `seed` is given.
pub fn all(connections: usize, seed: Option<u64>) {
    let connections =
        setting("RECEIVERS_CONNECTIONS").map_or(connections, |count| count.parse().unwrap());
    let asked = setting("RECEIVERS_SEED").map(|seed| seed.parse().unwrap());
    let seed = asked
        .or(seed)
        .unwrap_or_else(|| std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64);
    println!("RECEIVERS_SEED={seed}");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let failed = runtime.block_on(receivers(seed, connections));
    assert!(failed.is_empty(), "RECEIVERS_SEED={seed}\n{}", failed.join("\n"));
}

/// A receiver with its server, where it has one.
type Started = (Receiver, Option<(Process, SocketAddr)>);

/// Those that are wanted and can be had.
fn started() -> Vec<Started> {
    let only = setting("RECEIVERS_ONLY");
    let wanted = |receiver: &&Receiver| {
        only.as_ref().is_none_or(|only| only.split(',').any(|name| name == receiver.name))
    };
    let mut started = Vec::new();
    for receiver in RECEIVERS.iter().filter(wanted) {
        if receiver.is_here() {
            started.push((*receiver, receiver.has_server.then(|| receiver.server())));
        } else {
            println!("NOT TESTED HERE: {} (see tests/tools/receivers.sh)", receiver.name);
        }
    }
    started
}

async fn receivers(seed: u64, connections: usize) -> Vec<String> {
    let raw = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let started = started();
    let mut upstreams = vec![("raw", raw.local_addr().unwrap())];
    for (receiver, server) in &started {
        upstreams.extend(server.iter().map(|(_, address)| (receiver.name, *address)));
    }
    let envoy = Envoy::start(&edges(&upstreams));
    let is_direct = setting("RECEIVERS_DIRECT").is_some();
    let mut failed = Vec::new();
    for (receiver, server) in &started {
        for (sender, upstream) in [(Sender::Client, receiver.name), (Sender::Server, "raw")] {
            let direct = upstreams.iter().find(|(name, _)| *name == upstream);
            let Some((_, direct)) = direct else { continue };
            let addresses = KINDS.map(|kind| {
                if is_direct { *direct } else { envoy.listener(&format!("{upstream}-{kind}")) }
            });
            let n = RECEIVERS.iter().position(|other| other.name == receiver.name).unwrap();
            let first = n as u64 * IDS + if sender == Sender::Client { 0 } else { IDS / 2 };
            let job = Job { receiver: *receiver, sender, seed, first, addresses };
            let begin = Instant::now();
            let (differences, messages) = match (sender, server) {
                (Sender::Client, Some((process, _))) => job.to_server(process, connections).await,
                _ => job.to_clients(&raw, connections).await,
            };
            let (worst, others): (Vec<_>, Vec<_>) =
                differences.into_iter().partition(|told| told.contains(UNJUDGED));
            println!(
                "{:>24}: {connections} connections, {messages} messages; {} messages that were \
                 never judged, {} other differences ({:.1} s)",
                job.name(),
                worst.len(),
                others.len(),
                begin.elapsed().as_secs_f32(),
            );
            let mut told: Vec<_> = worst.into_iter().chain(others).collect();
            told.truncate(TOLD);
            // At once, too: the rest of a long run takes its time.
            told.iter().for_each(|told| println!("{told}"));
            failed.extend(told);
        }
    }
    failed
}

/// An Envoy with a listener of each filter kind before each upstream.
fn edges(upstreams: &[(&str, SocketAddr)]) -> Value {
    let mut listeners = Vec::new();
    for (name, _) in upstreams {
        for kind in KINDS {
            let document = document(kind, None);
            let mut edge =
                if kind == "http" { listener(&document) } else { stream_listener(&document) };
            edge["name"] = json!(format!("{name}-{kind}"));
            let filters = &mut edge["filter_chains"][0]["filters"];
            if kind == "http" {
                let host = &mut filters[0]["typed_config"]["route_config"]["virtual_hosts"][0];
                host["routes"][0]["route"]["cluster"] = json!(name);
            } else {
                filters[1]["typed_config"]["cluster"] = json!(name);
            }
            listeners.push(edge);
        }
    }
    let mut bootstrap = bootstrap_of(&listeners, upstreams[0].1);
    let clusters = upstreams.iter().map(|(name, address)| {
        let mut cluster = cluster(*address);
        cluster["name"] = json!(name);
        cluster["connect_timeout"] = json!("60s");
        cluster["load_assignment"]["cluster_name"] = json!(name);
        cluster
    });
    bootstrap["static_resources"]["clusters"] = clusters.collect();
    bootstrap
}

impl Job {
    /// The parameter that this receiver is spared.
    fn spared(&self) -> &'static str {
        match (self.receiver.has(Fault::OwnTakeover), self.sender) {
            (false, _) => "",
            (true, Sender::Client) => "server_no_context_takeover",
            (true, Sender::Server) => "client_no_context_takeover",
        }
    }

    /// Raw clients, to a server of the library.
    async fn to_server(&self, process: &Process, connections: usize) -> (Vec<String>, usize) {
        let (mut tasks, mut differences, mut told) = (JoinSet::new(), Vec::new(), 0);
        let mut next = self.first;
        let end = self.first + connections as u64;
        while next < end || !tasks.is_empty() {
            while next < end && tasks.len() < AT_ONCE {
                let (first, address) = (next, self.addresses[(next % 20 / 10) as usize]);
                let got = Arc::clone(&process.got);
                let (spared, seed) = (self.spared(), self.seed);
                tasks.spawn(async move {
                    let mut id = first;
                    loop {
                        let mut random = Random::of(seed, first);
                        let offer = wire::random_offer(&mut random, spared);
                        let script = |window| {
                            Script::random(Sender::Client, window, rule(id), true, &mut random)
                        };
                        let sent = wire::client(address, id, offer, script).await;
                        // On a machine that stands still an upgrade may take longer than
                        // the filter waits for it; nothing was said, and another id says it.
                        if sent.is_err() && id < first + 2 * AGAIN {
                            id += AGAIN;
                            continue;
                        }
                        break (id, sent, ended(&got, id).await);
                    }
                });
                next += 1;
            }
            let (id, sent, got) = tasks.join_next().await.unwrap().unwrap();
            told += got.messages.len();
            differences.extend(self.compare(id, sent, &got));
        }
        (differences, told)
    }

    /// A raw server, to clients of the library, so many at a time.
    async fn to_clients(&self, raw: &TcpListener, connections: usize) -> (Vec<String>, usize) {
        let (mut differences, mut told) = (Vec::new(), 0);
        let step = AT_ONCE.min(connections.div_ceil(2));
        for (batch, from) in (0..connections).step_by(step).enumerate() {
            let count = step.min(connections - from);
            let first = self.first + from as u64;
            let process = self.receiver.clients(self.addresses[batch % 2], first, count);
            let mut sent = self.serve(raw, &process, first, count).await;
            for id in first..first + count as u64 {
                let got = take(&process.got, id).unwrap_or_default();
                told += got.messages.len();
                let sent = sent.remove(&id).ok_or_else(|| "it never came".to_owned());
                differences.extend(self.compare(id, sent, &got));
            }
        }
        (differences, told)
    }

    async fn serve(
        &self,
        raw: &TcpListener,
        process: &Process,
        first: u64,
        count: usize,
    ) -> HashMap<u64, Sent> {
        let sent = Arc::new(Mutex::new(HashMap::new()));
        let mut tasks = JoinSet::new();
        let all_ended = async {
            let begin = Instant::now();
            for id in first..first + count as u64 {
                ended_in_place(&process.got, id, begin).await;
            }
        };
        let mut all_ended = std::pin::pin!(all_ended);
        loop {
            tokio::select! {
                () = &mut all_ended => break,
                Ok((stream, _)) = raw.accept() => {
                    let (sent, seed) = (Arc::clone(&sent), self.seed);
                    let (spared, mixed) = (self.spared(), !self.receiver.has(Fault::Mixed));
                    tasks.spawn(async move {
                        let script = |id, random: &mut Random, window| {
                            Script::random(Sender::Server, window, rule(id), mixed, random)
                        };
                        let random = |id| Random::of(seed, id);
                        if let Some((id, said)) = wire::server(stream, spared, script, random).await {
                            sent.lock().unwrap().insert(id, said);
                        }
                    });
                }
            }
        }
        let finish = async { while tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(PATIENCE, finish).await;
        std::mem::take(&mut *sent.lock().unwrap())
    }

    /// What is wrong with what an application got.
    fn compare(&self, id: u64, sent: Result<Sent, String>, got: &Got) -> Option<String> {
        let Sent { agreed, script } = match sent {
            Ok(sent) => sent,
            Err(error) => return Some(format!("{} {id}: {error} ({:?})", self.name(), got.end)),
        };
        let document = document(KINDS[1], Some(id));
        let judged = judged(&document, &path(id), &agreed, self.sender, &script.writes);
        let ends_in_refusal = !script.is_legal || script.is_refused;
        // Who does not answer a Close within 2 s, on a busy machine, is reset, and may
        // not have read all that came before.
        let is_reset = ends_in_refusal && got.end.as_ref().is_some_and(|end| code(end) == "1006");
        let is_whole = if script.is_legal {
            got.messages == judged
        } else {
            got.messages.starts_with(&script.expected)
        };
        let what = if script.is_legal && judged != script.expected {
            first_difference("the core judged", &judged, &script.expected)
        } else if !judged.starts_with(&got.messages) || !is_whole && !is_reset {
            first_difference("the application got", &got.messages, &judged)
        } else if got.end.is_none() {
            "the application saw no end".to_owned()
        } else if !ends_in_refusal && got.end.as_ref().is_none_or(|end| code(end) != "1000") {
            "a legal connection ended badly".to_owned()
        } else {
            return None;
        };
        Some(format!(
            "{} {id} ({:?}, {:?}, end {:?}): {what}\n  said: {:#?}",
            self.name(),
            rule(id),
            agreed,
            got.end,
            script.told
        ))
    }

    fn name(&self) -> String {
        let role = if self.sender == Sender::Client { "server" } else { "client" };
        format!("{} as {role}", self.receiver.name)
    }
}

/// The code of an end.
fn code(end: &str) -> &str {
    end.split(' ').next().unwrap_or_default()
}

fn first_difference(who: &str, got: &[Message], wanted: &[Message]) -> String {
    let at = got.iter().zip(wanted).take_while(|(a, b)| a == b).count();
    let (got, wanted) = (got.get(at..), wanted.get(at..));
    let wanted = wanted.and_then(<[_]>::first);
    match got.and_then(<[_]>::first) {
        Some(got) => format!("message {at}: {who} {got:?}, {UNJUDGED}, not {wanted:?}"),
        None => format!("message {at}: {who} nothing, not {wanted:?}"),
    }
}

fn take(all: &All, id: u64) -> Option<Got> {
    all.lock().unwrap().remove(&id)
}

/// What the application got, when it has seen the end of the connection.
async fn ended(all: &All, id: u64) -> Got {
    ended_in_place(all, id, Instant::now()).await;
    take(all, id).unwrap_or_default()
}

async fn ended_in_place(all: &All, id: u64, begin: Instant) {
    while begin.elapsed() < PATIENCE {
        if all.lock().unwrap().get(&id).is_some_and(|got| got.end.is_some()) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
