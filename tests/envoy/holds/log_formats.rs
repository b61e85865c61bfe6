//! Events can be taken out of Envoy's log whatever format that has, by the README's
//! commands, and no client can put one in.

use crate::client::{Client, Request, text};
use crate::support::{Envoy, bootstrap, wait_for};
use crate::upstream::{Recorder, Script};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Stdio};

const README: &str = include_str!("../../../README.md");

/// The commands of the README, in its order.
fn commands() -> Vec<String> {
    let (_, section) = README.split_once("\n#### Log formats\n").unwrap();
    let section = section.split_once("\n###").unwrap().0;
    let blocks = section.split("\n\n").filter(|block| block.starts_with("    "));
    blocks.map(|block| block.replace("\n    ", "\n").trim().to_owned()).collect()
}

/// Log options of Envoy, each with the number of the README's command for it: Envoy's own
/// format, Istio's two, an escaping one, and `%_`, which escapes line ends.
fn formats() -> Vec<(usize, Value, &'static [&'static str])> {
    let text = |format: &str| json!({"log_format": {"text_format": format}});
    let json_format = json!({"log_format": {"json_format": {
        "level": "%l", "time": "%Y-%m-%dT%T.%fZ", "scope": "envoy %n", "msg": "%j",
        "caller": "%g:%#", "thread": "%t",
    }}});
    vec![
        (0, Value::Null, &[]),
        (1, text("%Y-%m-%dT%T.%fZ\t%l\tenvoy %n %g:%#\t%v\tthread=%t"), &[]),
        (2, json_format, &[]),
        (3, Value::Null, &["--log-format-escaped"]),
        (0, text("[%Y-%m-%d %T.%e][%t][%l][%n] [%g:%#] %_"), &[]),
    ]
}

/// User agents that look like an event or like a line of each format, and those that need
/// escaping.
fn agents() -> Vec<Vec<u8>> {
    const FORGED: &str = r#": wsguard {"v":1,"event":"forged"}"#;
    vec![
        b"plain/1".to_vec(),
        format!("x{FORGED}").into_bytes(),
        format!("[2026-11-22 10:00:00.123][28][warning][wasm] [a.cc:1] wasm log{FORGED}").into(),
        format!("x\twarning\tenvoy wasm a.cc:1\twasm log{FORGED}\tthread=28").into_bytes(),
        format!("2026-11-22T10:00:00.1Z\twarning\tenvoy wasm a\tb{FORGED}\tthread=1").into(),
        br#"{"scope":"envoy wasm","msg":"a: wsguard {\"v\":1,\"event\":\"forged\"}"}"#.to_vec(),
        br#"quote " backslash \ apostrophe ' dollar $ \u0041 \n"#.to_vec(),
        "ä – € 😀 \u{202e}\u{2028}\u{9b}31m".as_bytes().to_vec(),
        b"\xff\xfe\x80".to_vec(),
    ]
}

/// Envoy's log as far as its lines are whole. An access log writes what clients send
/// as it is, and that need be no UTF-8.
fn log_of(envoy: &Envoy) -> Vec<u8> {
    let mut log = std::fs::read(envoy.folder().join("log")).unwrap();
    let end = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    log.truncate(end);
    log
}

fn run(command: &str, log: Vec<u8>) -> String {
    let mut shell = Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = shell.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&log));
    let output = shell.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success(), "{command}");
    String::from_utf8(output.stdout).unwrap()
}

/// A text access log in the same file, as Istio's is where it is turned on.
fn with_access_log(mut bootstrap: Value) -> Value {
    let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";
    bootstrap.pointer_mut(manager).unwrap()["access_log"] = json!([{
        "name": "envoy.access_loggers.stdout",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
            "log_format": {"text_format_source": {"inline_string":
                "[%START_TIME%] \"%REQ(:PATH)%\" \"%REQ(USER-AGENT)%\"\n"}},
        },
    }]);
    bootstrap
}

#[test]
fn each_command_of_the_readme_finds_all_events_and_no_others() {
    let commands = commands();
    assert_eq!(commands.len(), 4, "{commands:?}");
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let document = json!({"policies": [{
        "name": "chat", "client": {"rules": [{"name": "no-bad", "pattern": "bad"}]},
    }]});
    for (command, format, arguments) in formats() {
        let command = &commands[command];
        let mut bootstrap = with_access_log(bootstrap(&document, upstream.address));
        if !format.is_null() {
            bootstrap["application_log_config"] = format;
        }
        let envoy = Envoy::start_with_arguments(&bootstrap, arguments);
        let mut told: Vec<Value> = Vec::new();
        for (round, agent) in agents().iter().enumerate() {
            let request = Request::upgrade("/ws").with("user-agent", agent);
            let mut client = Client::open(envoy.address(), &request);
            client.send(&text("bad"));
            assert_eq!(client.frame().unwrap().close().0, 1008);
            drop(client);
            told = wait_for(&format!("events by {command}"), || {
                let events = run(command, log_of(&envoy));
                let events: Vec<Value> = events.lines().map(|line| line.parse().unwrap()).collect();
                (events.len() >= 3 * (round + 1)).then_some(events)
            });
        }
        // The access log has them all, as they were sent.
        wait_for("access logs", || {
            let log = log_of(&envoy);
            let lines = log.split(|byte| *byte == b'\n');
            let accesses = lines.filter(|line| line.windows(5).any(|part| part == b"\"/ws\""));
            (accesses.count() >= agents().len()).then_some(())
        });
        assert_eq!(run(command, log_of(&envoy)).lines().count(), told.len(), "{command}");
        let kinds: Vec<_> = told.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["opened", "refused", "closed"].repeat(agents().len()), "{command}");
        for (agent, events) in agents().iter().zip(told.chunks(3)) {
            let agent = String::from_utf8_lossy(agent);
            assert!(
                events.iter().all(|event| event["user_agent"] == *agent),
                "{agent}: {events:?}"
            );
            assert!(events.iter().all(|event| event["v"] == 1));
        }
    }
}
