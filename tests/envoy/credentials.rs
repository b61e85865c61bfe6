//! Credentials in the opening handshake, through the stock Envoy.
//!
//! | module | what it holds |
//! |---|---|
//! | `places` | where a credential may stand, and that upstream doesn't see it |
//! | `tokens` | which tokens are taken: algorithms, keys, forgeries |
//! | `claims` | which claims are taken: times, issuer, audience, identity |
//! | `vectors` | tests/vectors/tokens.json, verified by Envoy |
//! | `wycheproof` | edge cases that others have gathered, verified by Envoy |
//! | `secrecy` | that no credential stands in a log or an answer |
//! | `clients` | what clients that other projects made see |

use super::edge::{Edge, Rig, Site};
use super::support::python;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, SystemTime};

mod claims;
mod clients;
mod places;
mod secrecy;
mod tokens;
mod vectors;
mod wycheproof;

static RIG: LazyLock<&Rig> = LazyLock::new(|| {
    let sites: [fn() -> Vec<Site>; 5] =
        [claims::sites, clients::sites, places::sites, tokens::sites, vectors::sites];
    Rig::keep(sites.iter().flat_map(|sites| sites()).collect())
});

fn edge(site: &str) -> Edge {
    Edge::at(&RIG, site)
}

pub const ISSUER: &str = "https://issuer.example.com";

/// tests/peers/mint.py, which makes keys of its own for each run.
struct Mint {
    keys: Value,
    /// It ends when its input does: with this process.
    pipe: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
}

static MINT: LazyLock<Mint> = LazyLock::new(|| {
    let mut child = Command::new(python())
        .arg(peer("mint.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    let questions = child.stdin.take().unwrap();
    std::thread::spawn(move || child.wait());
    let mut keys = String::new();
    answers.read_line(&mut keys).unwrap();
    Mint { keys: serde_json::from_str(&keys).unwrap(), pipe: Mutex::new((questions, answers)) }
});

fn peer(script: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers").join(script)
}

/// The public keys, as a JWK set.
pub fn jwks() -> Value {
    MINT.keys.clone()
}

/// A token of exactly this; what may stand here is said in mint.py.
pub fn mint(asked: &Value) -> String {
    let mut pipe = MINT.pipe.lock().unwrap();
    writeln!(pipe.0, "{asked}").unwrap();
    let mut token = String::new();
    pipe.1.read_line(&mut token).unwrap();
    assert!(token.ends_with('\n'), "mint.py has ended over {asked}");
    token.trim_end().to_owned()
}

/// A good token's claims with these over them; null removes one.
pub fn claims(over: &Value) -> Value {
    let mut claims = json!({
        "iss": ISSUER, "sub": "alice", "aud": "chat", "scope": "chat:connect", "exp": now() + 600,
    });
    for (name, value) in over.as_object().unwrap() {
        if value.is_null() {
            claims.as_object_mut().unwrap().remove(name);
        } else {
            claims[name] = value.clone();
        }
    }
    claims
}

/// A good token, for ten minutes.
pub fn good_token() -> String {
    mint(&json!({"claims": claims(&json!({}))}))
}

/// Seconds since 1970.
pub fn now() -> u64 {
    let elapsed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    elapsed.unwrap_or(Duration::ZERO).as_secs()
}

/// An issuer of tokens by any of the minted keys.
pub fn issuer() -> Value {
    json!({
        "issuer": ISSUER,
        "algorithms": [
            "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA",
        ],
        "audiences": ["chat"],
        "keys": {"jwks": jwks()},
    })
}
