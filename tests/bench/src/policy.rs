//! wsguard's documents, and its rivals' rules that say the same.

use serde_json::{Value, json};

/// Of the tokens that are taken.
pub const ISSUER: &str = "https://issuer.example.com";
pub const AUDIENCE: &str = "chat";

/// What people write against injection: 50 patterns, all without regard to case.
pub const PATTERNS: [&str; 50] = [
    r"<script",
    r"</script",
    r"<iframe",
    r"<object",
    r"<embed",
    r"<svg[^>]*onload",
    r"javascript:",
    r"vbscript:",
    r"data:text/html",
    r"onerror\s*=",
    r"onload\s*=",
    r"onclick\s*=",
    r"onmouseover\s*=",
    r"onfocus\s*=",
    r"document\.cookie",
    r"document\.write",
    r"window\.location",
    r"eval\s*\(",
    r"settimeout\s*\(",
    r"string\.fromcharcode",
    r"union\s+(all\s+)?select",
    r"select\s.+\sfrom\s",
    r"insert\s+into\s",
    r"delete\s+from\s",
    r"drop\s+table",
    r"drop\s+database",
    r"alter\s+table",
    r"exec\s+xp_",
    r"xp_cmdshell",
    r"information_schema",
    r"waitfor\s+delay",
    r"benchmark\s*\(",
    r"sleep\s*\(\s*\d",
    r"load_file\s*\(",
    r"into\s+outfile",
    r"'\s*or\s+'1'\s*=\s*'1",
    r"or\s+1\s*=\s*1\s*--",
    r"\.\./\.\./",
    r"\.\.\\\.\.\\",
    r"/etc/passwd",
    r"/etc/shadow",
    r"/proc/self/environ",
    r"c:\\windows",
    r"cmd\.exe",
    r"powershell\s+-",
    r"/bin/(ba)?sh",
    r"\$\{jndi:",
    r"__proto__",
    r"constructor\s*\[",
    r"<!entity",
];

/// One policy that asks for nothing: frames, UTF-8 and the defaults' limits.
pub fn minimal() -> Value {
    json!({"policies": [{"name": "chat"}]})
}

/// The same with a policy's section.
pub fn with(section: &str, value: Value) -> Value {
    let mut document = minimal();
    document["policies"][0][section] = value;
    document
}

/// So many of the patterns, looked for in what clients send.
pub fn patterns(count: usize) -> Value {
    let rules = (0..count).map(|index| {
        let pattern = match PATTERNS.get(index) {
            Some(pattern) => (*pattern).to_owned(),
            None => format!("attack-number-{index}-of"),
        };
        json!({"name": format!("rule-{index}"), "pattern": format!("(?i){pattern}")})
    });
    json!({"rules": rules.collect::<Vec<_>>()})
}

/// Tokens of these keys, by the header.
pub fn auth(keys: &Value) -> Value {
    json!({
        "credentials": [{"header": "authorization"}],
        "jwt": [{
            "issuer": ISSUER,
            "audiences": [AUDIENCE],
            "algorithms": ["RS256", "ES256", "EdDSA", "HS256"],
            "keys": {"jwks": keys},
        }],
    })
}

/// Envoy's own filter, asking for the same tokens.
pub fn jwt_authn(keys: &Value, cached: bool) -> Value {
    let mut provider = json!({
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "local_jwks": {"inline_string": keys.to_string()},
    });
    if cached {
        provider["jwt_cache_config"] = json!({"jwt_cache_size": 100});
    }
    json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "providers": {"issuer": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "issuer"}}],
    })
}

/// The contract's example: every section of it that asks nobody else, with limits
/// that the benchmark's one client keeps to. Of `authorize` only the rule about
/// messages is there, of the rules those that no field is named for.
pub fn example(keys: &Value) -> Value {
    let mut auth = auth(keys);
    auth["credentials"] = json!([
        {"header": "authorization"}, {"header": "x-api-key"}, {"query": "token"},
        {"cookie": "session"}, {"subprotocol": "bearer"},
    ]);
    auth["jwt"][0]["required"] = json!(["exp", "sub"]);
    auth["jwt"][0]["claims"] = json!({"scope": ["chat:connect"]});
    auth["api_keys"] = json!([{"id": "dashboard", "sha256": "ab".repeat(32)}]);
    auth["authorize"] = json!([
        {"from": {"message": "/room", "when": {"/type": "join"}}, "claim": "rooms"},
    ]);
    auth["identity_headers"] = json!({"x-user-id": "sub", "x-workspace-id": "workspace"});
    auth["close_at_expiry"] = json!(true);
    json!({
        "limits": {"buffered_per_worker": "256MiB"},
        "quotas": {"connections": {"per_ip": 100_000, "total": 200_000}},
        "policies": [{
            "name": "chat",
            "match": {"hosts": ["127.0.0.1", "*.example.com"], "paths": ["/echo", "/answer/*"]},
            "handshake": {
                "origins": ["https://app.example.com", "https://*.example.com"],
                "addresses": {"allow": ["127.0.0.0/8"], "deny": ["10.9.0.0/16"]},
                "user_agents_denied": ["(?i)sqlmap|nikto"],
            },
            "auth": auth,
            "quotas": {
                "connections": {"per_ip": 100_000, "per_user": 100_000, "total": 200_000},
                "handshakes": {"per_ip": "10000000/1m"},
            },
            "client": {
                "max_frame": "1MiB",
                "max_message": "1MiB",
                "max_fragments": 128,
                "types": ["text", "binary"],
                "rate": {
                    "per_connection": "100000000/1m",
                    "per_ip": "100000000/1m",
                    "per_user": "100000000/1m",
                },
                "bytes": {"per_connection": "1048576GiB/1m"},
                "json": "required",
                "schema": {"type": "object", "required": ["type"]},
                "rules": [
                    {"preset": "xss"},
                    {"name": "no-scripts", "pattern": "(?i)<script", "action": "close"},
                ],
            },
            "server": {},
            "lifetime": {"idle": "5m", "max": "12h", "push": true, "heartbeat": "30s"},
            "bans": {"threshold": 1_000_000, "window": "1m", "duration": "15m", "by": ["ip", "user"],
                "weights": {"credentials_invalid": 2}},
        }],
    })
}

/// The paths that a log says are not built yet.
pub fn not_supported(log: &str) -> Vec<String> {
    let mut paths: Vec<String> = log
        .lines()
        .filter_map(|line| line.split_once("wsguard configuration: not supported yet: "))
        .map(|(_, path)| path.split(": ").next().unwrap_or(path).trim().to_owned())
        .collect();
    paths.sort();
    paths.dedup();
    paths
}

/// Takes what stands at `path` out of a document: `policies[0].bans`, or of a
/// list's item the whole item.
pub fn remove(document: &mut Value, path: &str) {
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    let Some((parent, key)) = pointer.rsplit_once('/') else { return };
    if let (Some((list, index)), true) = (parent.rsplit_once('/'), parent.contains("/rules/"))
        && let (Some(Value::Array(items)), Ok(index)) = (document.pointer_mut(list), index.parse())
        && index < items.len()
    {
        let _: Value = items.remove(index);
        return;
    }
    if let Some(Value::Object(members)) = document.pointer_mut(parent) {
        members.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_built_is_taken_out() {
        let log = "x: wsguard configuration: not supported yet: policies[0].bans\n\
                   x: wsguard configuration: not supported yet: policies[0].client.rules[0].preset\n\
                   x: wsguard configuration: not supported yet: policies[0].client.json: required";
        let mut document = example(&json!({}));
        let paths = not_supported(log);
        assert_eq!(paths.len(), 3);
        for path in paths.iter().rev() {
            remove(&mut document, path);
        }
        let policy = &document["policies"][0];
        assert!(policy["bans"].is_null() && policy["client"]["json"].is_null());
        assert_eq!(policy["client"]["rules"].as_array().unwrap().len(), 1);
        assert!(policy["client"]["rate"].is_object());
    }
}
