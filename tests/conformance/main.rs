//! Autobahn's cases, run by kosoku, against a real server alone and through
//! Envoy with wsguard before it. What differs must be expected in
//! `differences.txt`, and what is expected must differ.
//!
//! Cases 1 to 10 always; `FULL=1` adds 12 and 13, compressed messages, which
//! take minutes.
#![allow(
    missing_docs,
    unreachable_pub,
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that can't go on should say where; the tests with Envoy use all of support"
)]

#[path = "../envoy/support.rs"]
mod support;

mod server;

use serde_json::{Value, json};
use server::Server;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use support::{Envoy, bootstrap_of, listener, python, stream_listener, tied};
use wsguard::config::Config;

/// What `support` gives the module's environment; nothing here needs it.
pub const TEST_SECRET: &str = "";
pub const TEST_API_KEY: &str = "";

/// The largest message of the cases, and no more.
const LARGEST: u32 = 16 << 20;
/// The most frames of one message: 4 MiB in frames of 64 bytes.
const FRAGMENTS: u32 = 65_536;

/// What came of each case: of what was asked, and of how it was closed.
type Results = BTreeMap<String, String>;

/// The document of a guard that should be seen nowhere: wide limits, no rules.
fn document(filter: &str) -> Value {
    let limits = json!({"max_frame": LARGEST, "max_message": LARGEST, "max_fragments": FRAGMENTS});
    let mut document = json!({"filter": filter, "policies": [{
        "name": "conformance",
        "handshake": {"compression": "inspect"},
        "client": limits,
        "server": limits,
    }]});
    // Until limits for the server are built, there are none for it.
    if Config::parse(&document.to_string(), &|_| None).is_err() {
        document["policies"][0].as_object_mut().unwrap().remove("server");
    }
    document
}

/// Runs the cases of these groups.
fn run(address: SocketAddr, groups: &[&str]) -> Results {
    let reports = tempfile::tempdir().unwrap();
    let mut command = tied(&python().with_file_name("kosoku"));
    command.args(["-p", "4", "-o"]).arg(reports.path());
    for group in groups {
        command.arg("-i").arg(format!("{group}.*"));
    }
    let output = command.arg(address.to_string()).output().unwrap();
    let index = std::fs::read(reports.path().join("index.json"))
        .unwrap_or_else(|_| panic!("kosoku reported nothing: {output:?}"));
    let index: BTreeMap<String, BTreeMap<String, Value>> = serde_json::from_slice(&index).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let cases = index.into_values().next().expect("kosoku found no server");
    cases
        .into_iter()
        .map(|(case, of)| (case, [text(&of["behavior"]), text(&of["behaviorClose"])].join("/")))
        .collect()
}

/// `differences.txt`: way, case, what it is alone, what it is guarded, why.
fn expected(way: &str) -> BTreeMap<String, [String; 2]> {
    let lines = include_str!("differences.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut expected = BTreeMap::new();
    for line in lines {
        let fields: Vec<&str> = line.splitn(5, '\t').collect();
        let [at, case, alone, guarded, why] = fields[..] else { panic!("five fields: {line}") };
        assert!(!why.trim().is_empty(), "{line}: why?");
        if at == way {
            let before = expected.insert(case.to_owned(), [alone.to_owned(), guarded.to_owned()]);
            assert!(before.is_none(), "{case} twice");
        }
    }
    expected
}

/// Everything that is not as it should be, a line each.
fn compare(way: &str, ran: &[&str], alone: &Results, guarded: &Results) -> Vec<String> {
    assert_eq!(
        alone.keys().collect::<Vec<_>>(),
        guarded.keys().collect::<Vec<_>>(),
        "the same cases ran"
    );
    let mut expected = expected(way);
    expected.retain(|case, _| ran.iter().any(|group| case.starts_with(&format!("{group}."))));
    let mut wrong = Vec::new();
    for (case, alone) in alone {
        let guarded = &guarded[case];
        match expected.remove(case) {
            Some([told_alone, told_guarded])
                if told_alone == *alone && told_guarded.split('|').any(|told| told == guarded) => {}
            None if alone == guarded => {}
            _ => wrong.push(format!("{way}\t{case}\t{alone}\t{guarded}")),
        }
    }
    wrong.extend(expected.keys().map(|case| format!("{way}\t{case}\tis no case")));
    wrong
}

/// The cases alone, behind the HTTP filter and behind the stream filter.
fn conforms(server: &Server, groups: &[&str], least: usize) {
    let listeners = [listener(&document("http")), stream_listener(&document("stream"))];
    let envoy = Envoy::start(&bootstrap_of(&listeners, server.address));
    let alone = run(server.address, groups);
    assert!(alone.len() >= least, "only {} cases ran", alone.len());
    let failed = alone.iter().filter(|(_, result)| result.contains("FAILED")).count();
    assert!(failed * 20 < alone.len(), "a server that fails {failed} cases shows nothing");
    let mut wrong = Vec::new();
    for (way, name) in [("http", "edge"), ("stream", "stream")] {
        wrong.extend(compare(way, groups, &alone, &run(envoy.listener(name), groups)));
    }
    assert!(wrong.is_empty(), "not as differences.txt has it:\n{}", wrong.join("\n"));
}

#[test]
fn a_guarded_server_is_the_server_that_it_was() {
    conforms(&server::tungstenite(), &["1", "2", "3", "4", "5", "6", "7", "9", "10"], 301);
}

#[test]
fn compressed_messages_are_what_they_were() {
    if std::env::var_os("FULL").is_none_or(|full| full.is_empty() || full == "0") {
        println!("cases 12 and 13 run with FULL=1");
        return;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/echo.py");
    conforms(&server::python(&script), &["12", "13"], 216);
}

#[test]
fn a_difference_that_nobody_expected_is_found_and_one_that_is_gone() {
    let results = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(case, result)| ((*case).to_owned(), (*result).to_owned())).collect()
    };
    let alone: Results = results(&[("0.1", "OK/OK"), ("0.2", "OK/OK")]);
    let other: Results = results(&[("0.1", "OK/OK"), ("0.2", "FAILED/OK")]);
    assert_eq!(compare("http", &["0"], &alone, &alone), [""; 0]);
    assert_eq!(compare("http", &["0"], &alone, &other), ["http\t0.2\tOK/OK\tFAILED/OK"]);
    for way in ["http", "stream"] {
        for case in expected(way).keys() {
            let group = case.split('.').next().unwrap();
            let same = results(&[(case, "FAILED/FAILED")]);
            assert!(compare(way, &[group], &same, &same).iter().any(|line| line.contains(case)));
            let none = results(&[]);
            assert!(compare(way, &[group], &none, &none).iter().any(|line| line.contains(case)));
        }
    }
}
