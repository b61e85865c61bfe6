//! The clients that are no browsers: Python's and the command line's.

use super::{TEST_API_KEY, WRONG, at, example, plain_ways, prints, start};
use crate::credentials::{ISSUER, claims, jwks, mint, now};
use crate::peers::Echo;
use crate::support::{python, tied};
use serde_json::json;
use std::process::Output;

/// Runs the client with these tokens, one after the other, until it has shown
/// its hello so often. It prints what it waits, and what it shows.
fn python_client(code: &str, tokens: &[&str], hellos: u32) -> Output {
    let run = format!(
        "import types\n\
         websockets.connect.__init__.__kwdefaults__.update(open_timeout=None, close_timeout=None)\n\
         tokens, left = {tokens:?}, {hellos}\n\
         def fresh_token(): return tokens.pop(0) if len(tokens) > 1 else tokens[0]\n\
         dial_only, real = dial, asyncio\n\
         async def dial():\n    ws = await dial_only()\n    await ws.send('hello')\n    return ws\n\
         def sleep(seconds):\n    print(f'wait {{seconds}}')\n    return real.sleep(seconds / 5)\n\
         asyncio = types.SimpleNamespace(sleep=sleep)\n\
         def show(message):\n    global left\n    print(f'show {{message}}')\n    \
         left -= message == 'hello'\n    if left == 0: raise SystemExit\n\
         real.run(real.wait_for(run(show), 600))\n"
    );
    tied(&python()).args(["-c", &format!("{code}\n{run}")]).output().unwrap()
}

fn python_code(way: &super::Way, address: &str) -> String {
    let client = example("In Python", "python").unwrap();
    at(&format!("{client}\n{}\n", example(way.heading, "python").unwrap()), address)
}

#[test]
fn the_client_in_python_converses_in_every_way_and_gives_up_with_a_wrong_key() {
    let echo = Echo::start();
    let envoy = start(
        "https://app.example.com",
        &json!({"handshake": {"refuse_with": "http"}}),
        echo.address,
    );
    for way in plain_ways() {
        let code = python_code(way, &envoy.listener(way.name).to_string());
        let good = python_client(&code, &[TEST_API_KEY], 1);
        let told = String::from_utf8_lossy(&good.stdout);
        assert!(told.ends_with("show hello\n") && !told.contains("wait"), "{}: {good:?}", way.name);
        let bad = python_client(&code, &[WRONG], 1);
        assert!(!bad.status.success() && bad.stdout.is_empty(), "{}: {bad:?}", way.name);
        let why = if way.name == "message" { "credentials_invalid" } else { "HTTP 401" };
        assert!(String::from_utf8_lossy(&bad.stderr).contains(why), "{}: {bad:?}", way.name);
    }
}

#[test]
fn the_client_in_python_comes_back_with_a_fresh_token_and_with_back_off() {
    let echo = Echo::start();
    let more = json!({
        "handshake": {"refuse_with": "http"},
        "auth": {"jwt": [{"issuer": ISSUER, "audiences": ["chat"], "algorithms": ["EdDSA"],
                          "keys": {"jwks": jwks()}}]},
        "lifetime": {"max": "4s", "push": true},
        "quotas": {"handshakes": {"per_ip": "2/25s"}},
    });
    let envoy = start("https://app.example.com", &more, echo.address);
    let way = plain_ways().find(|way| way.name == "header").unwrap();
    let code = python_code(way, &envoy.listener(way.name).to_string());
    let expired = mint(&json!({"claims": claims(&json!({"exp": now() - 3600}))}));
    let good = mint(&json!({"claims": claims(&json!({}))}));
    let output = python_client(&code, &[&expired, &good], 2);
    let told = String::from_utf8_lossy(&output.stdout);
    let mut wait = 0.5;
    let mut waits = 0;
    for line in told.lines() {
        match line.strip_prefix("wait ") {
            None => wait = 0.5,
            Some(waited) => {
                let waited: f64 = waited.parse().unwrap();
                assert!((wait * 0.5..=wait * 1.5).contains(&waited), "{waited}: {told}");
                wait = f64::min(wait * 2.0, 30.0);
                waits += 1;
            }
        }
    }
    // For the expired token, the lifetime, and at least one 429.
    assert!(waits >= 3 && told.ends_with("show hello\n"), "{output:?}");
}

#[test]
fn the_commands_converse_in_every_way() {
    let echo = Echo::start();
    let more = json!({"handshake": {"refuse_with": "http"}});
    let envoy = start("https://app.example.com", &more, echo.address);
    for way in plain_ways() {
        let example = example(way.heading, "sh").unwrap();
        let address = envoy.listener(way.name).to_string();
        let example = at(example, &address);
        assert!(prints(&example, "-x hello", TEST_API_KEY, "hello"), "{}", way.name);
        assert!(!prints(&example, "-x hello", WRONG, "hello"), "{}", way.name);
    }
}
