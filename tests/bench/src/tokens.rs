//! Tokens, minted by PyJWT (tests/peers/mint.py).

use crate::load::Trouble;
use crate::policy::{AUDIENCE, ISSUER};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// For HS256: in the key set, as a key of its own.
const SECRET: &str = "a secret of this benchmark alone, 32 bytes or more";

/// Which token a handshake carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    None,
    /// One that no set-up has seen.
    Fresh(&'static str),
    /// The same again and again.
    Again(&'static str),
    /// Fresh, signed with a key that is in no set.
    Forged,
}

/// Mints tokens, and keeps them: every set-up gets the same.
pub struct Mint {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    keys: Value,
    made: HashMap<(&'static str, bool), Vec<String>>,
}

impl Mint {
    pub fn start(python: &Path, root: &Path) -> Result<Self, Trouble> {
        let mut child = Command::new(python)
            .arg(root.join("tests/peers/mint.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take().ok_or("the mint takes no input")?;
        let mut output = BufReader::new(child.stdout.take().ok_or("the mint says nothing")?);
        let mut line = String::new();
        output.read_line(&mut line)?;
        let mut keys: Value = serde_json::from_str(&line)?;
        if let Some(keys) = keys["keys"].as_array_mut() {
            // Envoy's jwt_authn knows no P-384 with ES256, and no kid asks for it.
            keys.retain(|key| key["crv"] != "P-384");
            let secret = URL_SAFE_NO_PAD.encode(SECRET);
            keys.push(json!({"kty": "oct", "alg": "HS256", "kid": "hmac", "k": secret}));
        }
        Ok(Self { child, input, output, keys, made: HashMap::new() })
    }

    /// The key set that verifies them.
    pub fn keys(&self) -> &Value {
        &self.keys
    }

    /// The `index`-th token for this use; none where none is sent.
    pub fn token(&mut self, which: Use, index: usize) -> Result<Option<String>, Trouble> {
        let (algorithm, forged, index) = match which {
            Use::None => return Ok(None),
            // Number 0 is for those that repeat.
            Use::Again(algorithm) => (algorithm, false, 0),
            Use::Fresh(algorithm) => (algorithm, false, index + 1),
            Use::Forged => ("RS256", true, index),
        };
        while self.made.get(&(algorithm, forged)).map_or(0, Vec::len) <= index {
            let number = self.made.get(&(algorithm, forged)).map_or(0, Vec::len);
            let token = self.mint(algorithm, forged, number)?;
            self.made.entry((algorithm, forged)).or_default().push(token);
        }
        Ok(self.made.get(&(algorithm, forged)).and_then(|made| made.get(index)).cloned())
    }

    fn mint(&mut self, algorithm: &str, forged: bool, number: usize) -> Result<String, Trouble> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let claims = json!({
            "iss": ISSUER, "aud": AUDIENCE, "sub": format!("user-{number}"),
            "iat": now, "exp": now + 86_400, "jti": format!("{number}"),
            "scope": "chat:connect profile",
        });
        let mut asked = json!({"alg": algorithm, "claims": claims});
        if algorithm == "HS256" {
            asked["key"] = "hmac".into();
            asked["secret"] = SECRET.into();
        } else if forged {
            asked["key"] = "other rsa".into();
        }
        writeln!(self.input, "{asked}")?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}

impl Drop for Mint {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
