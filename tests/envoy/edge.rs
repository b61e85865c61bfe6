//! Handshakes through an Envoy that tests share, and what must hold for each
//! of them, whatever it is about: what was refused never reached upstream, and
//! a refusal says why in the same form everywhere.

use super::client::{Answer, Client, Request};
use super::support::{Envoy, bootstrap, cluster, listener, wait_for};
use super::upstream::{Recorder, Script, Seen};
use serde_json::{Value, json};
use std::cell::Cell;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// The header by which upstream's record of a request is found again.
const PROBE: &str = "x-probe";

/// One document, and what its upstream answers.
pub struct Site {
    pub name: &'static str,
    pub document: Value,
    pub script: Script,
}

impl Site {
    /// Before an upstream that accepts every upgrade.
    pub const fn new(name: &'static str, document: Value) -> Self {
        Self::before(Script::Accept(Vec::new()), name, document)
    }

    /// Before an upstream that answers by script.
    pub const fn before(script: Script, name: &'static str, document: Value) -> Self {
        Self { name, document, script }
    }
}

/// Sites at work side by side in one Envoy, each at a listener of its own:
/// starting it costs seconds, and most tests only ask.
pub struct Rig {
    envoy: Envoy,
    sites: Vec<(&'static str, SocketAddr, Recorder)>,
}

impl Rig {
    /// Starts Envoy for as long as this process lives.
    pub fn keep(sites: Vec<Site>) -> &'static Self {
        let (give, take) = mpsc::channel::<&'static Self>();
        // Envoy dies with the thread that started it; a test's ends too soon.
        std::thread::spawn(move || {
            let rig = Box::leak(Box::new(Self::start(sites)));
            remove_at_exit(rig.envoy.folder());
            let _ = give.send(rig);
            loop {
                std::thread::park();
            }
        });
        take.recv().expect("Envoy did not start")
    }

    fn start(sites: Vec<Site>) -> Self {
        let recorders: Vec<_> =
            sites.iter().map(|site| Recorder::start(site.script.clone())).collect();
        let mut bootstrap = bootstrap(&json!({}), recorders[0].address);
        bootstrap["static_resources"] = json!({
            "listeners": sites.iter().map(site_listener).collect::<Vec<_>>(),
            "clusters": sites.iter().zip(&recorders).map(site_cluster).collect::<Vec<_>>(),
        });
        let envoy = Envoy::start(&bootstrap);
        let sites = sites.into_iter().zip(recorders);
        let sites = sites.map(|(site, up)| (site.name, envoy.listener(site.name), up)).collect();
        Self { envoy, sites }
    }
}

fn site_listener(site: &Site) -> Value {
    let mut listener = listener(&site.document);
    listener["name"] = json!(site.name);
    let manager = &mut listener["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["virtual_hosts"][0]["routes"][0]["route"]["cluster"] = json!(site.name);
    listener
}

fn site_cluster((site, upstream): (&Site, &Recorder)) -> Value {
    let mut cluster = cluster(upstream.address);
    cluster["name"] = json!(site.name);
    cluster["load_assignment"]["cluster_name"] = json!(site.name);
    cluster
}

/// A process of tests ends without a word: another one sees the pipe close.
fn remove_at_exit(folder: &std::path::Path) {
    let mut command = Command::new("sh");
    command.args(["-c", "cat >/dev/null; rm -rf -- \"$1\"", "sh"]).arg(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::mem::forget(child.stdin.take());
    std::thread::spawn(move || child.wait());
}

/// One site, for one test.
pub struct Edge {
    pub site: &'static str,
    pub envoy: &'static Envoy,
    pub upstream: &'static Recorder,
    pub address: SocketAddr,
    /// Tells this test's requests from others'.
    id: usize,
    asked: Cell<usize>,
    passed: Cell<usize>,
}

/// At most 100 event lines a second are written for policies of one name, which
/// sites share, and a connection has two: tests that look for theirs take turns.
fn wait_for_a_line() {
    static NEXT: Mutex<Option<Instant>> = Mutex::new(None);
    let turn = {
        let mut next = NEXT.lock().unwrap();
        let turn = next.map_or_else(Instant::now, |next| next.max(Instant::now()));
        *next = Some(turn + Duration::from_millis(22));
        turn
    };
    std::thread::sleep(turn.saturating_duration_since(Instant::now()));
}

/// A WebSocket that is open.
pub struct Opened {
    /// Kept, or the WebSocket would end.
    _client: Client,
    pub answer: Answer,
    /// The head that upstream saw.
    pub head: Head,
}

impl Edge {
    pub fn at(rig: &'static Rig, site: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let (site, address, upstream) = rig.sites.iter().find(|(name, ..)| *name == site).unwrap();
        Self {
            site,
            envoy: &rig.envoy,
            upstream,
            address: *address,
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            asked: Cell::new(0),
            passed: Cell::new(0),
        }
    }

    /// With a header by which upstream's record is found and, unless it has
    /// one, a user agent by which the event is.
    pub fn marked(&self, request: &Request) -> Request {
        wait_for_a_line();
        let probe = self.probe();
        let request = request.clone().with(PROBE, &probe);
        if value(&request, "user-agent").is_some() {
            request
        } else {
            request.with("user-agent", probe)
        }
    }

    /// The same for a request that upstream will see.
    pub fn marked_as_passing(&self, request: &Request) -> Request {
        self.passed.set(self.passed.get() + 1);
        self.marked(request)
    }

    /// Sends the request; upstream must see it. Its answer and what it saw.
    pub fn passes(&self, request: &Request) -> (Client, Answer, Head) {
        let request = self.marked_as_passing(request);
        let (client, answer) = Client::ask(self.address, &request);
        let seen = wait_for(&format!("upstream to see {}{answer:?}", shown(&request)), || {
            self.seen(&request)
        });
        (client, answer, Head(seen.head))
    }

    /// Opens a WebSocket.
    pub fn opens(&self, request: &Request) -> Opened {
        let (client, answer, head) = self.passes(request);
        assert_eq!(answer.status, 101, "{}{answer:?}", shown(request));
        Opened { _client: client, answer, head }
    }

    /// Sends the request; it must be refused for this reason, in the form that
    /// all refusals have, with an event.
    pub fn refuses(&self, request: &Request, status: u16, reason: &str) -> Answer {
        let request = self.marked(request);
        let (_, answer) = Client::ask(self.address, &request);
        let context = format!("{}{answer:?}", shown(&request));
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{context}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{context}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{context}");
        let problem: Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(problem["type"], format!("urn:wsguard:reason:{reason}"), "{context}");
        assert_eq!(problem["status"], status, "{context}");
        assert!(problem["title"].as_str().is_some_and(|title| !title.is_empty()), "{context}");
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.len() > 10), "{context}");
        assert_eq!(problem.as_object().unwrap().len(), 5, "{context}");
        let event = self.refusal(&request, reason);
        assert_eq!(event["detail"], problem["detail"], "{context}");
        answer
    }

    /// The same with `refuse_with: close`: opened, and closed at once.
    pub fn closes(&self, request: &Request, code: u16, reason: &str) -> (Client, Answer) {
        let request = self.marked(request);
        let (mut client, answer) = Client::ask(self.address, &request);
        assert_eq!(answer.status, 101, "{}{answer:?}", shown(&request));
        assert_eq!(first_close(&mut client, &answer), (code, reason.to_owned()));
        self.refusal(&request, reason);
        (client, answer)
    }

    /// Sends bytes that Envoy itself refuses, before any filter sees them.
    pub fn stops(&self, bytes: &[u8], status: u16) {
        let line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let probe = format!("{PROBE}: {}\r\n", self.probe());
        let mut client = Client::connect(self.address);
        client.send(&[&bytes[..line], probe.as_bytes(), &bytes[line..]].concat());
        let answer = client.answer();
        let context = format!("{}{answer:?}", String::from_utf8_lossy(bytes));
        assert_eq!((answer.status, answer.reason().as_str()), (status, ""), "{context}");
    }

    /// What upstream has seen of a marked request.
    pub fn seen(&self, marked: &Request) -> Option<Seen> {
        let probe = value(marked, PROBE).unwrap();
        self.upstream.seen().into_iter().find(|seen| head_of(seen).all(PROBE) == [&probe])
    }

    /// Waits for the event of a marked request's refusal.
    pub fn refusal(&self, marked: &Request, reason: &str) -> Value {
        let event = self.event(marked, "refused");
        assert_eq!(event["reason"], reason, "{}{event}", shown(marked));
        event
    }

    /// Waits for an event of a marked request.
    pub fn event(&self, marked: &Request, kind: &str) -> Value {
        let agent = value(marked, "user-agent").unwrap();
        let event = wait_for(&format!("{kind} of {}", shown(marked)), || {
            let mut events = self.envoy.events().into_iter();
            events.find(|event| event["event"] == kind && event["user_agent"] == agent)
        });
        assert_eq!((&event["mode"], &event["ip"]), (&json!("enforce"), &json!("127.0.0.1")));
        event
    }

    /// Takes it as it is which of this test's requests have reached upstream,
    /// where that is a race.
    pub fn passed_or_not(&self) {
        self.passed.set(self.heads().len());
    }

    /// Those of this test's requests that upstream has seen.
    fn heads(&self) -> Vec<String> {
        let ours = format!("probe-{}-", self.id);
        let is_ours = |seen: &Seen| head_of(seen).all(PROBE).iter().any(|p| p.starts_with(&ours));
        self.upstream.seen().into_iter().filter(is_ours).map(|seen| seen.head).collect()
    }

    fn probe(&self) -> String {
        self.asked.set(self.asked.get() + 1);
        format!("probe-{}-{}", self.id, self.asked.get())
    }
}

/// Of this test's requests, upstream got those that were let through.
impl Drop for Edge {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.envoy.assert_sound();
        let heads = self.heads();
        assert_eq!(heads.len(), self.passed.get(), "upstream saw {heads:#?}");
    }
}

/// Code and reason of the Close that stands behind a 101.
pub fn first_close(client: &mut Client, answer: &Answer) -> (u16, String) {
    match answer.body.as_slice() {
        [] => client.frame().unwrap().close(),
        [first, _, payload @ ..] => {
            super::client::Frame { first: *first, payload: payload.to_vec() }.close()
        }
        [_] => panic!("half a frame"),
    }
}

/// What a problem document says was wrong.
pub fn detail(answer: &Answer) -> String {
    let problem: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    problem["detail"].as_str().unwrap_or_default().to_owned()
}

/// A request, for whom reads why a test failed.
pub fn shown(request: &Request) -> String {
    String::from_utf8_lossy(&request.bytes()).into_owned()
}

fn value(request: &Request, name: &str) -> Option<String> {
    let (_, value) = request.headers.iter().find(|(n, _)| n == name)?;
    Some(String::from_utf8_lossy(value).into_owned())
}

fn head_of(seen: &Seen) -> Head {
    Head(seen.head.clone())
}

/// A request head as upstream saw it.
#[derive(Debug)]
pub struct Head(String);

impl Head {
    /// Path and query.
    pub fn target(&self) -> &str {
        self.0.split(' ').nth(1).unwrap()
    }

    /// The value of each line of this name, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.0.lines().skip(1).filter_map(|line| line.split_once(':'));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.trim()).collect()
    }

    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// Whether this stands anywhere in it, letter case aside.
    pub fn mentions(&self, text: &str) -> bool {
        self.0.to_ascii_lowercase().contains(&text.to_ascii_lowercase())
    }
}
