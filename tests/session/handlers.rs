//! What passes `authorize`, held against what applications in four languages make of
//! it: `tests/handlers` has the ways in which they read messages. Whatever makes any
//! of them join a room that was not granted must have been refused.

use crate::rig::{arrival, hand, masked, switching, worker};
use messages::Messages;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::rc::Rc;
use wsguard::frame::Sender;
use wsguard::guard::Guard;
use wsguard::session::{Admission, Opening, Session, admit};

mod messages;

/// An API key, and its SHA-256. Its `sub` is the one room that is granted.
const API_KEY: &str = "the-api-key-of-the-fuzzer";
const API_KEY_HASH: &str = "e4227309e76fc64eec989d3c6ee021546fbaf957713d32dff131abee5975e035";
const GRANTED: &str = "key:a";

/// Messages in a run of `make test`, per kind of application; and in a long one.
const SHORT: usize = 1_500;
const LONG: usize = 20_000;

/// A kind of application, and the policy that guards it.
struct Setup {
    mode: &'static str,
    authorize: Value,
    socketio: bool,
    /// A plain join of the room that is granted.
    good: &'static str,
}

fn rule(message: &str, when: Value) -> Value {
    json!({"from": {"message": message, "when": when}, "claim": "sub"})
}

fn setups() -> [Setup; 4] {
    let setup = |mode, authorize, good| Setup { mode, authorize, socketio: mode == "packet", good };
    [
        setup(
            "json",
            json!([
                rule("/room", json!({"/type": "join"})),
                rule("/room", json!({"/op": 1})),
                rule("/params/0", json!({"/method": "join"})),
            ]),
            r#"{"type":"join","room":"key:a"}"#,
        ),
        setup("zero", json!([rule("/room", json!({"/op": 0}))]), r#"{"op":0,"room":"key:a"}"#),
        setup(
            "list",
            json!([rule("/2", json!({"/3": "phx_join"}))]),
            r#"["1","1","key:a","phx_join",{}]"#,
        ),
        setup(
            "packet",
            json!([rule("/1/room", json!({"/0": "join"}))]),
            r#"42["join",{"room":"key:a"}]"#,
        ),
    ]
}

impl Setup {
    fn guard(&self, other_messages: &str) -> Rc<Guard> {
        let mut credentials = vec![json!({"header": "x-key"})];
        if self.socketio {
            credentials.push(json!({"first_message": "socketio"}));
        }
        let document = json!({"policies": [{
            "name": "rooms",
            "auth": {
                "credentials": credentials,
                "api_keys": [{"id": "a", "sha256": API_KEY_HASH}],
                "authorize": self.authorize,
                "other_messages": other_messages,
            },
            "client": {"types": ["text", "binary"]},
            "lifetime": {"push": true},
        }]});
        worker(&document).1
    }
}

/// A connection, and others after it: a refused message ends each.
struct Connection {
    guard: Rc<Guard>,
    session: Option<Session>,
}

impl Connection {
    fn open(&self) -> Session {
        let mut arrival = arrival(&[("x-key", API_KEY)]);
        arrival.head.target = b"/ws?EIO=4&transport=websocket".to_vec();
        let Admission::Guarded(mut session, _) = admit(&self.guard, &arrival).admission else {
            panic!("not let in");
        };
        assert!(matches!(session.on_response(101, &switching(&[])), Opening::Open(_)));
        *session
    }

    /// Whether a message passes.
    fn passes(&mut self, first: u8, message: &[u8]) -> bool {
        let mut session = self.session.take().unwrap_or_else(|| self.open());
        let sent = masked(first, message);
        let step = hand(&mut session, Sender::Client, &sent);
        let passes = step.refused.is_none() && !step.reset;
        if passes {
            assert_eq!(step.bytes, sent);
            self.session = Some(session);
        } else {
            session.on_end();
        }
        passes
    }
}

/// A program of `tests/handlers`; it ends with the test.
struct Program {
    name: &'static str,
    child: Child,
    lines: BufReader<ChildStdout>,
    input: Option<ChildStdin>,
}

impl Program {
    fn start(name: &'static str, program: &Path, script: Option<&str>) -> Option<Self> {
        let mut command = Command::new(program);
        if let Some(script) = script {
            command.arg(root().join("tests/handlers").join(script));
        }
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let Ok(mut child) = command.spawn() else {
            eprintln!("SKIPPED: {name} is not here, see tests/tools/handlers.sh");
            return None;
        };
        let lines = BufReader::new(child.stdout.take().unwrap());
        let input = child.stdin.take();
        Some(Self { name, child, lines, input })
    }

    /// The rooms that are joined.
    fn joins(&mut self, mode: &str, message: &[u8]) -> BTreeSet<String> {
        let hex: String = message.iter().map(|byte| format!("{byte:02x}")).collect();
        let input = self.input.as_mut().unwrap();
        writeln!(input, "{mode} {hex}").unwrap();
        input.flush().unwrap();
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{}: {line:?} on {hex}", self.name))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.input.take());
        let _ = self.child.wait();
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Node, Python, PHP and Go, as far as they are here.
fn programs() -> Vec<Program> {
    let python = env::var_os("PYTHON").map_or_else(|| "python3".into(), PathBuf::from);
    let programs = [
        Program::start("Node", Path::new("node"), Some("handlers.js")),
        Program::start("Python", &python, Some("handlers.py")),
        Program::start("PHP", Path::new("php"), Some("handlers.php")),
        Program::start("Go", &root().join("target/handlers/go"), None),
    ];
    programs.into_iter().flatten().collect()
}

/// Holds it for so many messages, which a seed gives.
fn differ(seed: u64, count: usize) {
    let mut programs = programs();
    for setup in setups() {
        for other_messages in ["reject", "pass"] {
            let guard = setup.guard(other_messages);
            let mut connection = Connection { guard, session: None };
            assert!(connection.passes(0x81, setup.good.as_bytes()), "{}", setup.good);
            for program in &mut programs {
                let rooms = program.joins(setup.mode, setup.good.as_bytes());
                assert_eq!(rooms, BTreeSet::from([GRANTED.to_owned()]), "{}", program.name);
            }
            let mut told = vec![0; programs.len()];
            for message in Messages::new(seed, setup.mode).take(count) {
                let passes = [0x81, 0x82].map(|first| connection.passes(first, &message));
                for (program, told) in programs.iter_mut().zip(&mut told) {
                    let mut rooms = program.joins(setup.mode, &message);
                    rooms.remove(GRANTED);
                    assert!(
                        rooms.is_empty() || passes == [false, false],
                        "{} joins {rooms:?} by {:?}, which passes ({}, seed {seed})",
                        program.name,
                        String::from_utf8_lossy(&message),
                        setup.mode,
                    );
                    *told += usize::from(!rooms.is_empty());
                }
            }
            // Or the messages would say nothing to anybody.
            assert!(told.iter().all(|told| *told > count / 100), "{}: {told:?}", setup.mode);
        }
    }
}

#[test]
fn what_makes_an_application_join_a_room_that_was_not_granted_is_refused() {
    differ(1, SHORT);
}

/// `SEED=…` goes on from another one.
#[test]
#[ignore = "takes minutes: make soak"]
fn what_makes_an_application_join_is_refused_at_length() {
    let seed = env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2);
    differ(seed, LONG);
}
