//! One receiver in one role: random connections, and what its application got of
//! them held against what was judged.

use super::judged::judged;
use super::process::{All, Got, Receiver};
use super::random::Random;
use super::script::{Message, Script};
use super::support::PATIENCE;
use super::wire::{self, Sent};
use super::{document, path, rule};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use wsguard::frame::Sender;

/// Connections of a receiver that are open at once.
const AT_ONCE: usize = 100;

/// Ids of one receiver lie so far from those of the next.
pub const IDS: u64 = 1_000_000;

/// The id of another try lies so far behind.
const AGAIN: u64 = 100_000;

/// How a difference is told that a filter must never make.
pub const UNJUDGED: &str = "which was not judged";

pub struct Job {
    pub receiver: Receiver,
    /// The end that is not the receiver's.
    pub sender: Sender,
    pub seed: u64,
    /// Id of its first connection.
    pub first: u64,
    /// Of each filter kind.
    pub addresses: [SocketAddr; 2],
    /// What the receiver's server tells, where that is its role.
    pub got: Option<All>,
    pub raw: Raw,
}

/// How it went.
pub struct Done {
    pub name: String,
    /// That applications got.
    pub messages: usize,
    /// Differences: something arrived that was not judged.
    pub unjudged: Vec<String>,
    pub others: Vec<String>,
    pub took: Duration,
}

/// The server that says any bytes to clients; what it has said, by their ids.
#[derive(Clone)]
pub struct Raw {
    said: Arc<Mutex<HashMap<u64, Sent>>>,
}

impl Raw {
    /// Serves for as long as the runtime lives.
    pub fn start(listener: TcpListener, seed: u64) -> Self {
        let said = Arc::<Mutex<HashMap<u64, Sent>>>::default();
        let raw = Self { said: Arc::clone(&said) };
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = listener.accept().await else { continue };
                let said = Arc::clone(&said);
                tokio::spawn(async move {
                    if let Some((id, sent)) = wire::server(stream, seed).await {
                        said.lock().unwrap().insert(id, sent);
                    }
                });
            }
        });
        raw
    }

    fn take(&self, id: u64) -> Option<Sent> {
        self.said.lock().unwrap().remove(&id)
    }
}

impl Job {
    pub async fn run(self, connections: usize) -> Done {
        let begin = Instant::now();
        let (differences, messages) = match &self.got {
            Some(got) => self.to_server(got, connections).await,
            None => self.to_clients(connections).await,
        };
        let (unjudged, others) = differences.into_iter().partition(|told| told.contains(UNJUDGED));
        Done { name: self.name(), messages, unjudged, others, took: begin.elapsed() }
    }

    /// Raw clients, to a server of the library.
    async fn to_server(&self, all: &All, connections: usize) -> (Vec<String>, usize) {
        let (mut tasks, mut differences, mut told) = (JoinSet::new(), Vec::new(), 0);
        let mut next = self.first;
        let end = self.first + connections as u64;
        while next < end || !tasks.is_empty() {
            while next < end && tasks.len() < AT_ONCE {
                let (first, address) = (next, self.addresses[(next % 20 / 10) as usize]);
                let got = Arc::clone(all);
                let (spared, seed) = (self.receiver.spared(self.sender), self.seed);
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
    async fn to_clients(&self, connections: usize) -> (Vec<String>, usize) {
        let (mut differences, mut told) = (Vec::new(), 0);
        let step = AT_ONCE.min(connections.div_ceil(2));
        for (batch, from) in (0..connections).step_by(step).enumerate() {
            let count = step.min(connections - from);
            let first = self.first + from as u64;
            let process = self.receiver.clients(self.addresses[batch % 2], first, count);
            let begin = Instant::now();
            for id in first..first + count as u64 {
                ended_in_place(&process.got, id, begin).await;
                let got = take(&process.got, id).unwrap_or_default();
                told += got.messages.len();
                let sent = loop {
                    match self.raw.take(id) {
                        None if begin.elapsed() < PATIENCE => {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        sent => break sent.ok_or_else(|| "it never came".to_owned()),
                    }
                };
                differences.extend(self.compare(id, sent, &got));
            }
        }
        (differences, told)
    }

    /// What is wrong with what an application got.
    fn compare(&self, id: u64, sent: Result<Sent, String>, got: &Got) -> Option<String> {
        let Sent { agreed, script } = match sent {
            Ok(sent) => sent,
            Err(error) => return Some(format!("{} {id}: {error} ({:?})", self.name(), got.end)),
        };
        let document = document("stream", Some(id));
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
