//! A real browser: headless Chromium, driven by its WebDriver, with pages that
//! these tests serve to it.
//!
//! | module | what it holds |
//! |---|---|
//! | `pages` | the pages' server |
//! | `ways` | how a page says who its user is, and what it sees of a refusal |
//! | `hijacking` | what pages of other origins can't do |

use fantoccini::wd::Capabilities;
use fantoccini::{Client, ClientBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

mod hijacking;
mod pages;
mod ways;

pub use pages::Pages;

/// A browser with an empty profile.
pub struct Browser {
    runtime: Runtime,
    client: Client,
    /// Both end with it, in this order.
    _driver: Driver,
    _profile: TempDir,
}

/// chromedriver, which ends with the test, however that ends.
struct Driver(Child);

/// Chromium does not die with its driver, but stays in its process group.
/// What it writes ends with it, too: nobody else keeps its standard output.
const WATCH: &str = "trap '' INT TERM HUP; setsid chromedriver --port=0 & exec >/dev/null; cat; \
                     kill -s KILL -- -$!; wait; rm -rf -- \"$1\"";

/// How often chromedriver may find the port taken, on one of two families, that it
/// was given on the other.
const STARTS: usize = 5;

impl Browser {
    pub fn start() -> Self {
        let profile = TempDir::new().unwrap();
        let mut started = (0..STARTS).filter_map(|_| Driver::start(&profile));
        let (driver, port) = started.next().expect("chromedriver is missing: run `make test`");
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let client = runtime.block_on(async {
            ClientBuilder::new(HttpConnector::new())
                .capabilities(capabilities(&profile))
                .connect(&format!("http://127.0.0.1:{port}"))
                .await
                .unwrap()
        });
        Self { runtime, client, _driver: driver, _profile: profile }
    }

    /// Opens a page.
    pub fn open(&self, url: &str) {
        self.runtime.block_on(self.client.goto(url)).unwrap();
    }

    /// Runs the body of an async function with the argument `given` in the open
    /// page; what it returns.
    pub fn run(&self, body: &str, given: Value) -> Value {
        let script = format!(
            "const [given, done] = arguments; (async () => {{ {body} }})()\
             .then((value) => done({{value}}), (error) => done({{error: `${{error.stack}}`}}));"
        );
        let ran = self.runtime.block_on(self.client.execute_async(&script, vec![given])).unwrap();
        assert_eq!(ran.get("error"), None, "{body}");
        ran.get("value").cloned().unwrap_or_default()
    }

    /// Goes through the steps of tests/peers/talk.py in the open page, with each
    /// of these, (url, subprotocols, steps), at the same time.
    pub fn talk(&self, sockets: &[(String, Value, &[&str])]) -> Vec<Saw> {
        let body = "return Promise.all(given.map((socket) => talk(...socket)));";
        let saw: Vec<Value> = serde_json::from_value(self.run(body, json!(sockets))).unwrap();
        saw.into_iter().map(Saw).collect()
    }
}

/// What a page has seen of a WebSocket.
#[derive(Debug)]
pub struct Saw(Value);

impl Saw {
    /// Code and reason of the `close` event.
    pub fn close(&self) -> (u64, &str) {
        (self.0["code"].as_u64().unwrap(), self.0["reason"].as_str().unwrap())
    }

    /// The messages that came.
    pub fn messages(&self) -> Vec<&str> {
        self.0["got"].as_array().unwrap().iter().map(|m| m.as_str().unwrap()).collect()
    }

    /// The subprotocol of a WebSocket that was open.
    pub fn opened(&self) -> Option<&str> {
        self.0["protocol"].as_str()
    }
}

impl Driver {
    /// `None` where it has ended at once.
    fn start(profile: &TempDir) -> Option<(Self, u16)> {
        let mut command = Command::new("sh");
        command.args(["-c", WATCH, "sh"]).arg(profile.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = Self(command.spawn().unwrap());
        let mut lines = BufReader::new(driver.0.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("started successfully on port ")?;
            Some(port.trim_end_matches('.').parse().unwrap())
        });
        // Read on, or it would stand still once it has said much.
        std::thread::spawn(move || lines.for_each(drop));
        Some((driver, port?))
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn capabilities(profile: &TempDir) -> Capabilities {
    let arguments = [
        "--headless=new",
        // Chromium has no sandbox for root, whom containers often run tests as.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-breakpad",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        // Nothing but this machine, whatever a page asks for.
        "--host-resolver-rules=MAP *.localhost 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    ];
    let profile = format!("--user-data-dir={}", profile.path().display());
    let arguments: Vec<_> = arguments.iter().copied().chain([profile.as_str()]).collect();
    let capabilities = json!({
        "browserName": "chrome",
        "goog:chromeOptions": {"args": arguments},
        "timeouts": {"script": 900_000, "pageLoad": 300_000},
    });
    capabilities.as_object().unwrap().clone()
}
