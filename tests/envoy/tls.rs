//! envoy/tls.yaml as it stands: TLS 1.3, the redirect, headers for browsers,
//! mutual TLS to upstream with its name checked, WebSockets over HTTP/2.

use super::support::{Envoy, python, tied, wait_for, wasm};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use tempfile::TempDir;

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(name)
}

/// An application that speaks TLS only, to clients of our CA only.
struct Application {
    child: Child,
    port: u16,
    /// What it printed after its port: a line for each WebSocket.
    opened: Arc<Mutex<usize>>,
}

impl Application {
    fn start(certificates: &Path, stem: &str) -> Self {
        let mut child = tied(&python())
            .arg(script("tls.py"))
            .arg("serve")
            .args([certificates, Path::new(stem)])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.next().unwrap().unwrap().parse().unwrap();
        let opened = Arc::<Mutex<usize>>::default();
        let count = Arc::clone(&opened);
        std::thread::spawn(move || lines.for_each(|_| *count.lock().unwrap() += 1));
        Self { child, port, opened }
    }
}

impl Drop for Application {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn certificates() -> TempDir {
    let folder = TempDir::new().unwrap();
    let made = Command::new(python()).arg(script("certificates.py")).arg(folder.path()).status();
    assert!(made.unwrap().success());
    folder
}

/// The example with free ports and the paths of this run, nothing else changed.
fn edge(certificates: &Path, upstream: u16) -> Envoy {
    Envoy::start_with(&example(certificates, upstream), &[])
}

fn example(certificates: &Path, upstream: u16) -> String {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("envoy/tls.yaml");
    let mut text = std::fs::read_to_string(example).unwrap();
    for (from, to) in [
        ("port_value: 9901", "port_value: 0".to_owned()),
        ("port_value: 10443", "port_value: 0".to_owned()),
        ("port_value: 10080", "port_value: 0".to_owned()),
        ("port_value: 8765", format!("port_value: {upstream}")),
        ("dist/wsguard.wasm", wasm().display().to_string()),
        ("certs/", format!("{}/", certificates.display())),
    ] {
        assert!(text.contains(from), "{from} is gone from tls.yaml");
        text = text.replace(from, &to);
    }
    text
}

fn probe(certificates: &Path, envoy: &Envoy) -> Output {
    let port = |name| envoy.listener(name).port().to_string();
    Command::new(python())
        .arg(script("tls.py"))
        .arg("probe")
        .arg(certificates)
        .args([port("edge-tls"), port("edge-plain")])
        .output()
        .unwrap()
}

#[test]
fn the_tls_example_does_what_it_says() {
    let certificates = certificates();
    let application = Application::start(certificates.path(), "app");
    let envoy = edge(certificates.path(), application.port);
    super::examples::relies_on("tls.yaml", &envoy.get("/config_dump").parse().unwrap());
    let output = probe(certificates.path(), &envoy);
    let errors = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{errors}\n{}", envoy.log()));

    assert_eq!(seen["wss"]["version"], "TLSv1.3");
    assert_eq!(seen["wss"]["echoed"], "hello over TLS");
    for version in ["tls1.2", "tls1.1"] {
        let reason = seen[version].as_str().unwrap();
        assert!(reason.ends_with("ALERT_PROTOCOL_VERSION"), "{version}: {reason}");
    }
    // Our own answer, and one of the application's.
    assert!(seen["plain"]["headers"]["content-type"] == "application/problem+json");
    assert!(seen["page"]["headers"]["content-type"] != "application/problem+json");
    for answer in ["plain", "page"] {
        assert_eq!(seen[answer]["status"], 426, "{answer}");
        for (name, value) in [
            ("strict-transport-security", "max-age=63072000; includeSubDomains"),
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert_eq!(seen[answer]["headers"][name], value, "{answer}");
        }
        let policy = &seen[answer]["headers"]["content-security-policy"];
        assert!(policy.as_str().unwrap().contains("connect-src 'self'"), "{answer}");
    }
    for redirect in ["redirect", "page_redirect"] {
        assert_eq!(seen[redirect]["status"], 308);
        assert_eq!(seen[redirect]["location"], "https://127.0.0.1:10443/ws?room=1");
    }

    let http2 = &seen["http2"];
    assert_eq!(http2["answer"][":status"], "200");
    assert_eq!(http2["answer"]["sec-websocket-accept"], Value::Null);
    assert_eq!(http2["frames"], "811168656c6c6f206f76657220485454502f32");
    // Close 1008, rule_matched
    assert_eq!(http2["close"], "880e03f072756c655f6d617463686564");
    assert_eq!(http2["refused"][":status"], "403");
    envoy.event("refused", Some("origin_denied"));
    wait_for("both to be told", || (*application.opened.lock().unwrap() == 2).then_some(()));
}

/// Nobody who sent no key is told the answer to one (RFC 8441 §5).
#[test]
fn a_refusal_by_close_over_http2_opens_and_closes() {
    let certificates = certificates();
    let application = Application::start(certificates.path(), "app");
    let text = example(certificates.path(), application.port);
    let rule = "tls: required\n";
    assert_eq!(text.matches(rule).count(), 1);
    let closing = format!("{rule}{:24}refuse_with: close\n", "");
    let envoy = Envoy::start_with(&text.replace(rule, &closing), &[]);
    let output = probe(certificates.path(), &envoy);
    let errors = String::from_utf8_lossy(&output.stderr);
    let seen: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{errors}\n{}", envoy.log()));
    let refused = &seen["http2"]["refused"];
    assert_eq!(refused[":status"], "200");
    for name in ["sec-websocket-accept", "content-type", "content-length", "upgrade"] {
        assert_eq!(refused[name], Value::Null, "{refused}");
    }
    // Close 1008, origin_denied
    assert_eq!(seen["http2"]["refused_with"], "880f03f06f726967696e5f64656e696564");
    envoy.event("refused", Some("origin_denied"));
}

#[test]
fn an_upstream_of_another_name_gets_no_connection() {
    let certificates = certificates();
    for stem in ["other", "stranger"] {
        let application = Application::start(certificates.path(), stem);
        let envoy = edge(certificates.path(), application.port);
        let output = probe(certificates.path(), &envoy);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(errors.contains("HTTP 503"), "{stem}: {errors}");
        assert_eq!(*application.opened.lock().unwrap(), 0);
        wait_for("Envoy to count the failed check", || {
            let stats = envoy.get("/stats?filter=cluster.app.ssl.fail_verify");
            stats.lines().any(|line| !line.ends_with(": 0")).then_some(())
        });
    }
}
