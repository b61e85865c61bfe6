//! Runs connections to every receiver.

use super::document;
use super::job::{Done, IDS, Job, Raw};
use super::process::{Process, RECEIVERS, Receiver};
use super::support::{Envoy, bootstrap_of, cluster, listener, stream_listener};
use serde_json::{Value, json};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wsguard::frame::Sender;

/// Receivers that are tried at once.
const JOBS_AT_ONCE: usize = 6;

/// Differences of one receiver that are told in full.
const TOLD: usize = 5;

/// The filter kinds, by the name of their listeners.
const KINDS: [&str; 2] = ["http", "stream"];

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
    let raw = Raw::start(raw, seed);
    let envoy = Envoy::start(&edges(&upstreams));
    let mut waiting = jobs(&started, &upstreams, &envoy, &raw, seed).into_iter();
    let (mut running, mut failed) = (JoinSet::new(), Vec::new());
    loop {
        while running.len() < JOBS_AT_ONCE
            && let Some(job) = waiting.next()
        {
            running.spawn(job.run(connections));
        }
        let Some(done) = running.join_next().await else { return failed };
        failed.extend(told(done.unwrap(), connections));
    }
}

/// Every receiver in every role that it has.
fn jobs(
    started: &[Started],
    upstreams: &[(&str, SocketAddr)],
    envoy: &Envoy,
    raw: &Raw,
    seed: u64,
) -> Vec<Job> {
    let is_direct = setting("RECEIVERS_DIRECT").is_some();
    let mut jobs = Vec::new();
    for (receiver, server) in started {
        for (sender, upstream) in [(Sender::Client, receiver.name), (Sender::Server, "raw")] {
            let direct = upstreams.iter().find(|(name, _)| *name == upstream);
            let Some((_, direct)) = direct else { continue };
            let addresses = KINDS.map(|kind| {
                if is_direct { *direct } else { envoy.listener(&format!("{upstream}-{kind}")) }
            });
            let n = RECEIVERS.iter().position(|other| other.name == receiver.name).unwrap();
            let first = n as u64 * IDS + if sender == Sender::Client { 0 } else { IDS / 2 };
            let got = server.as_ref().map(|(process, _)| process.got.clone());
            let got = got.filter(|_| sender == Sender::Client);
            let raw = raw.clone();
            jobs.push(Job { receiver: *receiver, sender, seed, first, addresses, got, raw });
        }
    }
    jobs
}

/// Prints how one receiver did; the differences to be told.
fn told(done: Done, connections: usize) -> Vec<String> {
    let Done { name, messages, unjudged, others, took } = done;
    println!(
        "{name:>24}: {connections} connections, {messages} messages; {} messages that were \
         never judged, {} other differences ({:.1} s)",
        unjudged.len(),
        others.len(),
        took.as_secs_f32(),
    );
    let mut told: Vec<_> = unjudged.into_iter().chain(others).collect();
    told.truncate(TOLD);
    // At once, too: the rest of a long run takes its time.
    told.iter().for_each(|told| println!("{told}"));
    told
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
