//! The proxies that are compared.

use crate::load::{Pace, Trouble};
use crate::machine::Cpus;
use crate::proxy::{self, Proxy};
use crate::workload::{Traffic, Workload};
use crate::{bootstrap, peers, policy};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Where things are.
#[derive(Clone)]
pub struct Parts {
    pub root: PathBuf,
    pub envoy: PathBuf,
    pub wasm: PathBuf,
    pub python: PathBuf,
    pub upstream: SocketAddr,
    pub cpus: Cpus,
    /// The key set that tokens are verified with.
    pub keys: Value,
}

/// One way to stand before the application.
pub struct Setup {
    pub name: &'static str,
    pub title: &'static str,
    /// Part of a quick run.
    pub quick: bool,
    kind: Kind,
    judges: Judges,
    /// Another wasm than that of the others, to compare with.
    wasm: Option<PathBuf>,
}

#[derive(Clone)]
enum Kind {
    /// Envoy with these filters before the router.
    Http(fn(&Parts) -> Vec<Value>),
    /// Envoy with these filters before `tcp_proxy`.
    Stream(fn(&Parts) -> Vec<Value>),
    /// The contract's example, as much of it as is built.
    Example,
    /// A document of the user's.
    Own(Value),
    Haproxy,
    Nginx,
    Python,
    Node,
}

/// What a set-up looks at, and so what can be sent through it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Judges {
    Nothing,
    Messages,
    /// Messages, and inflates them.
    Inflated,
    Tokens,
    /// Tokens, and bans who has shown a bad one.
    Banned,
    /// Tokens, and JSON text.
    All,
}

/// A set-up that runs, or why it does not.
pub struct Running {
    pub proxy: Proxy,
    /// What of its document is not built yet, and was left out.
    pub left_out: Vec<String>,
}

impl Setup {
    const fn new(
        name: &'static str,
        title: &'static str,
        quick: bool,
        kind: Kind,
        judges: Judges,
    ) -> Self {
        Self { name, title, quick, kind, judges, wasm: None }
    }

    /// All of them, the one that others are compared with first.
    pub fn all() -> Vec<Self> {
        use Judges as J;
        use Kind as K;
        let new = Self::new;
        vec![
            new("envoy", "Envoy alone", true, K::Http(|_| Vec::new()), J::Nothing),
            new("minimal", "wsguard, minimal policy", true, K::Http(minimal), J::Messages),
            new("example", "wsguard, example policy", true, K::Example, J::All),
            new("rules", "wsguard, 50 patterns", true, K::Http(rules), J::Messages),
            new(
                "rules-both",
                "wsguard, 50 patterns both ways",
                false,
                K::Http(rules_both),
                J::Messages,
            ),
            new("inspect", "wsguard, compression: inspect", true, K::Http(inspect), J::Inflated),
            new("jwt", "wsguard, JWT", true, K::Http(jwt), J::Tokens),
            new("banned", "wsguard, JWT and bans", false, K::Http(banned), J::Banned),
            new("jwt-authn", "Envoy's jwt_authn", true, K::Http(|p| authn(p, false)), J::Tokens),
            new(
                "jwt-authn-cache",
                "Envoy's jwt_authn, cache",
                true,
                K::Http(|p| authn(p, true)),
                J::Tokens,
            ),
            new(
                "lua",
                "Envoy's Lua, reading chunks",
                false,
                K::Http(|_| vec![bootstrap::lua()]),
                J::Messages,
            ),
            new(
                "copies",
                "a wasm filter that only copies",
                true,
                K::Http(|_| vec![bootstrap::copies()]),
                J::Messages,
            ),
            new("tcp", "Envoy's tcp_proxy alone", true, K::Stream(|_| Vec::new()), J::Nothing),
            new("stream", "wsguard, stream filter", true, K::Stream(stream), J::Messages),
            new("haproxy", "HAProxy alone", false, K::Haproxy, J::Nothing),
            new("nginx", "nginx alone", false, K::Nginx, J::Nothing),
            new("python", "Python gateway, same checks", false, K::Python, J::All),
            new("node", "Node gateway, same checks", false, K::Node, J::All),
        ]
    }

    /// One with the document of a file, in JSON, by that file's name. It has to
    /// let messages of text pass, without a token.
    pub fn of_file(path: &Path) -> Result<Self, Trouble> {
        let document = serde_json::from_slice(&std::fs::read(path)?)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        // Names last as long as the process.
        let name: &'static str = name.leak();
        Ok(Self::new(name, name, true, Kind::Own(document), Judges::Messages))
    }

    /// Whether its document is the user's.
    pub const fn is_own(&self) -> bool {
        matches!(self.kind, Kind::Own(_))
    }

    /// The same with another wasm; `None` where it has none.
    pub fn before(&self, wasm: &Path) -> Option<Self> {
        if !self.title.starts_with("wsguard") && !self.is_own() {
            return None;
        }
        let name = format!("before-{}", self.name).leak();
        let title = format!("{}, before", self.title).leak();
        let (kind, quick, judges) = (self.kind.clone(), self.quick, self.judges);
        Some(Self { name, title, quick, kind, judges, wasm: Some(wasm.to_owned()) })
    }

    /// Whether this traffic says something about it.
    pub fn takes(&self, workload: &Workload) -> bool {
        use Judges as J;
        match &workload.traffic {
            Traffic::Messages(messages) if messages.compressed => {
                matches!(self.judges, J::Nothing | J::Inflated)
            }
            // At a rate that leaves all asleep in between, nginx takes less than the
            // generator, which would be what is measured.
            Traffic::Messages(messages)
                if self.name == "nginx" && matches!(messages.pace, Pace::Open(_)) =>
            {
                false
            }
            Traffic::Messages(_) if workload.name.starts_with("binary") => {
                matches!(self.judges, J::Nothing | J::Messages)
            }
            Traffic::Messages(_) => matches!(self.judges, J::Nothing | J::Messages | J::All),
            Traffic::Handshakes(_) if workload.name == "open" => {
                matches!(self.judges, J::Nothing | J::Messages)
            }
            Traffic::Handshakes(shakes) if shakes.status == 429 => self.judges == J::Banned,
            Traffic::Handshakes(shakes) if shakes.foreign => self.name.ends_with("jwt"),
            Traffic::Handshakes(shakes) if shakes.status == 101 => {
                ["envoy", "copies"].contains(&self.name)
                    || matches!(self.judges, J::Tokens | J::All)
            }
            Traffic::Handshakes(_) => matches!(self.judges, J::Tokens | J::All),
        }
    }

    /// Starts it. `Ok(Err(…))` says why it is skipped: a program that is not
    /// here.
    pub fn start(&self, parts: &Parts) -> Result<Result<Running, String>, Trouble> {
        let other = self.wasm.clone().map(|wasm| Parts { wasm, ..parts.clone() });
        let parts = other.as_ref().unwrap_or(parts);
        let whole = |proxy| Ok(Ok(Running { proxy, left_out: Vec::new() }));
        let (envoy, upstream) = (&parts.envoy, parts.upstream);
        match &self.kind {
            Kind::Http(filters) => {
                let bootstrap = bootstrap::http(&filters(parts), upstream);
                whole(proxy::envoy(envoy, &bootstrap, &parts.cpus)?)
            }
            Kind::Stream(filters) => {
                let bootstrap = bootstrap::stream(&filters(parts), upstream);
                whole(proxy::envoy(envoy, &bootstrap, &parts.cpus)?)
            }
            Kind::Own(document) => {
                let bootstrap = bootstrap::http(&guarded(parts, document), upstream);
                whole(proxy::envoy(envoy, &bootstrap, &parts.cpus)?)
            }
            Kind::Example => start_example(parts).map(Ok),
            Kind::Haproxy => peers::haproxy(parts)?.map_or_else(skip, whole),
            Kind::Nginx => peers::nginx(parts)?.map_or_else(skip, whole),
            Kind::Python => whole(peers::python(parts)?),
            Kind::Node => peers::node(parts)?.map_or_else(skip, whole),
        }
    }
}

fn skip(why: String) -> Result<Result<Running, String>, Trouble> {
    Ok(Err(why))
}

fn guarded(parts: &Parts, document: &Value) -> Vec<Value> {
    vec![bootstrap::wsguard("http", &parts.wasm, document)]
}

fn minimal(parts: &Parts) -> Vec<Value> {
    guarded(parts, &policy::minimal())
}

fn rules(parts: &Parts) -> Vec<Value> {
    guarded(parts, &policy::with("client", policy::patterns(50)))
}

fn rules_both(parts: &Parts) -> Vec<Value> {
    let mut document = policy::with("client", policy::patterns(50));
    document["policies"][0]["server"] = policy::patterns(50);
    guarded(parts, &document)
}

fn inspect(parts: &Parts) -> Vec<Value> {
    guarded(parts, &policy::with("handshake", json!({"compression": "inspect"})))
}

fn jwt(parts: &Parts) -> Vec<Value> {
    let mut document = policy::with("auth", policy::auth(&parts.keys));
    document["policies"][0]["handshake"] = json!({"origins": ["https://app.example.com"]});
    guarded(parts, &document)
}

/// Bans the benchmark's client for its first bad token.
fn banned(parts: &Parts) -> Vec<Value> {
    let mut document = policy::with("auth", policy::auth(&parts.keys));
    let bans = json!({"threshold": 1, "window": "1m", "duration": "24h", "by": ["ip"]});
    document["policies"][0]["bans"] = bans;
    guarded(parts, &document)
}

fn authn(parts: &Parts, cached: bool) -> Vec<Value> {
    vec![bootstrap::http_filter("jwt_authn", policy::jwt_authn(&parts.keys, cached))]
}

fn stream(parts: &Parts) -> Vec<Value> {
    let mut document = policy::minimal();
    document["filter"] = "stream".into();
    vec![bootstrap::wsguard("network", &parts.wasm, &document)]
}

/// Starts Envoy with a policy of so many patterns; of none, alone.
pub fn start_with_patterns(parts: &Parts, count: usize) -> Result<Proxy, Trouble> {
    let document = policy::with("client", policy::patterns(count));
    let filters = if count == 0 { Vec::new() } else { guarded(parts, &document) };
    let bootstrap = bootstrap::http(&filters, parts.upstream);
    proxy::envoy(&parts.envoy, &bootstrap, &parts.cpus)
}

/// Starts the example, and leaves out what Envoy's log says is not built.
fn start_example(parts: &Parts) -> Result<Running, Trouble> {
    let mut document = policy::example(&parts.keys);
    let mut left_out: Vec<String> = Vec::new();
    loop {
        let bootstrap = bootstrap::http(&guarded(parts, &document), parts.upstream);
        match proxy::envoy(&parts.envoy, &bootstrap, &parts.cpus) {
            Ok(proxy) => return Ok(Running { proxy, left_out }),
            Err(error) => {
                let paths = policy::not_supported(&error.to_string());
                if paths.is_empty() || left_out.len() > 20 {
                    return Err(error);
                }
                // Items of a list from the last on: the others keep their place.
                for path in paths.iter().rev() {
                    policy::remove(&mut document, path);
                }
                left_out.extend(paths);
            }
        }
    }
}
