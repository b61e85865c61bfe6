//! The contract's own example, as JSON.

use super::*;
use crate::quota::rate::Rate;
use std::time::Duration;

/// The contract's example with every section, of which the first message alone
/// does not go with the rest: see [`without_first_message`].
pub(super) const EVERY_SECTION: &str = r#"{
"filter": "http",
"mode": "enforce",
"unmatched": "reject",
"limits": {"buffered_per_worker": "256MiB", "buffered_per_ip": "32MiB"},
"quotas": {"connections": {"per_ip": 50, "total": 20000}},
"policies": [{
  "name": "chat",
  "mode": "report",
  "match": {"hosts": ["chat.example.com", "*.example.com"], "paths": ["/ws", "/rooms/*"]},
  "handshake": {
    "origins": ["https://app.example.com", "https://*.example.com"],
    "missing_origin": "reject",
    "addresses": {"allow": ["10.0.0.0/8"], "deny": ["10.9.0.0/16"]},
    "tls": "optional",
    "subprotocols": ["ag-ui", "graphql-transport-ws"],
    "user_agents_denied": ["(?i)sqlmap|nikto"],
    "compression": "inspect",
    "plain_http": "reject",
    "refuse_with": "http",
    "upstream": "http2",
    "upstream_timeout": "15s"
  },
  "auth": {
    "credentials": [
      {"header": "authorization"},
      {"header": "x-api-key"},
      {"query": "token"},
      {"cookie": "session"},
      {"subprotocol": "bearer"},
      {"subprotocol_prefix": "base64url.bearer.authorization.k8s.io.", "encoding": "base64url"},
      {"header": "authorization", "scheme": "basic"},
      {"first_message": {"pointer": "/token", "when": {"/type": "auth"},
        "ack": "{\"type\":\"ready\"}", "greeting": 0}}
    ],
    "forward": false,
    "deadline": "5s",
    "jwt": [{
      "issuer": "https://issuer.example.com",
      "audiences": ["chat"],
      "algorithms": ["RS256"],
      "keys": {"jwks_uri": {"cluster": "issuer", "host": "issuer.example.com",
        "path": "/.well-known/jwks.json", "refresh": "10m", "timeout": "2s"}},
      "leeway": "30s",
      "required": ["exp", "sub"],
      "claims": {"scope": ["chat:connect"]}
    }],
    "api_keys": [{"id": "dashboard", "key": {"env": "DASHBOARD_KEY"}}],
    "session": {"cluster": "auth", "host": "auth.example.com", "path": "/api/auth/get-session",
      "send": "cookie", "timeout": "2s", "cache": "30s", "subject": "/user/id",
      "active": "/active", "expires": "/session/expiresAt",
      "authorization": {"env": "INTROSPECTION_SECRET"}},
    "authorize": [
      {"from": {"query": "workspaceId"}, "claim": "workspaces"},
      {"from": {"path": "/rooms/{room}"},
       "callout": {"cluster": "auth", "path": "/members/{room}/{sub}", "cache": "30s"}},
      {"from": {"message": "/room", "when": {"/type": "join"}}, "claim": "rooms"}
    ],
    "identity_headers": {"x-user-id": "sub", "x-workspace-id": "workspace"},
    "close_at_expiry": true
  },
  "quotas": {"connections": {"per_ip": 10, "per_user": 5, "total": 10000},
    "handshakes": {"per_ip": "30/1m"}, "ipv6_prefix": 64},
  "client": {
    "max_frame": "64KiB",
    "max_message": "1MiB",
    "max_fragments": 128,
    "types": ["text", "binary"],
    "rate": {"per_connection": "100/1m", "per_ip": "1000/1m", "per_user": "500/1m"},
    "bytes": {"per_connection": "10MiB/1m"},
    "json": "required",
    "schema": {},
    "rules": [
      {"preset": "xss"},
      {"name": "no-scripts", "pattern": "(?i)<script", "in": "/payload/*", "action": "close"}
    ],
    "on_violation": "close"
  },
  "server": {},
  "lifetime": {"idle": "5m", "max": "12h", "ping_counts": true, "push": true, "heartbeat": "30s"},
  "bans": {"threshold": 10, "window": "1m", "duration": "15m", "by": ["ip", "user"],
    "open": false, "weights": {"credentials_invalid": 2}}
}]}"#;

/// The example without its first message, beside which there can be no identity
/// headers.
fn without_first_message() -> Value {
    let mut tree: Value = serde_json::from_str(EVERY_SECTION).unwrap();
    let auth = &mut tree["policies"][0]["auth"];
    auth.as_object_mut().unwrap().remove("deadline");
    auth["credentials"].as_array_mut().unwrap().pop();
    tree
}

/// The example with only what is built.
pub(super) fn built_now() -> String {
    let mut tree = without_first_message();
    let policy = &mut tree["policies"][0];
    let auth = &mut policy["auth"];
    auth["jwt"][0]["keys"] = json!({"jwks": {"keys": [rsa_jwk()]}});
    let client = &mut policy["client"];
    client.as_object_mut().unwrap().remove("schema");
    client["json"] = "ignored".into();
    client["rules"].as_array_mut().unwrap().remove(0);
    client["rules"][0].as_object_mut().unwrap().remove("in");
    tree.to_string()
}

#[test]
fn what_is_not_built_is_refused_by_name_and_nothing_else_is() {
    assert_eq!(
        errors(&without_first_message().to_string()),
        [
            "not supported yet: policies[0].client.json: required",
            "not supported yet: policies[0].client.rules[0].preset",
            "not supported yet: policies[0].client.rules[1].in",
            "not supported yet: policies[0].client.schema",
        ]
    );
    let told = parse(&without_first_message().to_string()).unwrap_err();
    assert!(told.iter().all(ConfigError::is_not_supported_yet));
}

#[test]
fn all_of_the_example_that_contradicts_itself_are_the_identity_headers() {
    let told: Vec<_> = errors(EVERY_SECTION)
        .into_iter()
        .filter(|error| !error.starts_with("not supported yet: "))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("policies[0].auth.identity_headers: "), "{told:?}");
}

#[test]
fn the_built_part_of_the_example_is_read_as_it_says() {
    let config = parse(&built_now()).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(config.identity_headers, ["x-user-id", "x-workspace-id"]);
    let [policy] = config.policies.as_slice() else { panic!("one policy") };
    assert_eq!((config.mode, policy.mode), (Mode::Enforce, Mode::Report));
    assert_eq!((policy.hosts.len(), policy.paths.len()), (2, 2));
    let handshake = &policy.handshake;
    assert_eq!(handshake.origins.as_ref().map(|origins| origins.patterns.len()), Some(2));
    assert_eq!(handshake.addresses.allow, Some(vec!["10.0.0.0/8".parse().unwrap()]));
    assert_eq!(handshake.addresses.deny, ["10.9.0.0/16".parse().unwrap()]);
    let subprotocols = ["ag-ui".to_owned(), "graphql-transport-ws".to_owned()];
    assert_eq!(handshake.subprotocols.as_deref(), Some(subprotocols.as_slice()));
    let denied = handshake.user_agents_denied.as_ref().unwrap();
    assert!(denied.is_match(b"SQLMap/1.8") && !denied.is_match(b"Mozilla/5.0"));
    let auth = policy.auth.as_ref().unwrap();
    assert_eq!(
        auth.sources,
        [
            CredentialSource::Authorization(Scheme::Bearer),
            CredentialSource::Header("x-api-key".to_owned()),
            CredentialSource::Query("token".to_owned()),
            CredentialSource::Cookie("session".to_owned()),
            CredentialSource::Subprotocol("bearer".to_owned()),
            CredentialSource::SubprotocolPrefix {
                prefix: "base64url.bearer.authorization.k8s.io.".to_owned(),
                encoding: Encoding::Base64Url,
            },
            CredentialSource::Authorization(Scheme::Basic),
        ]
    );
    let [issuer] = auth.issuers.as_slice() else { panic!("one issuer") };
    assert_eq!(issuer.issuer, "https://issuer.example.com");
    assert_eq!(issuer.audiences, ["chat"]);
    assert_eq!(issuer.leeway.as_secs(), 30);
    assert_eq!(issuer.required, ["exp", "sub"]);
    assert_eq!(issuer.claims, [("scope".to_owned(), vec!["chat:connect".to_owned()])]);
    let claims: Vec<_> =
        auth.identity_headers.iter().map(|h| (h.name.as_str(), h.claim.as_str())).collect();
    assert_eq!(claims, [("x-user-id", "sub"), ("x-workspace-id", "workspace")]);
    let document = QuotaRules { per_ip: Some(50), total: Some(20_000), ..QuotaRules::default() };
    assert_eq!(config.quotas, document);
    let quotas = QuotaRules {
        per_ip: Some(10),
        per_user: Some(5),
        total: Some(10_000),
        handshakes_per_ip: Rate::new(30, Duration::from_secs(60)),
        ipv6_prefix: 64,
    };
    assert_eq!(policy.quotas, quotas);
    assert_eq!((policy.client.rate.count(), policy.client.bytes.count()), (3, 1));
    assert_eq!(policy.client.max_frame_bytes, 64 << 10);
    assert!(policy.client.rules.is_some());
}

#[test]
fn debug_of_a_configuration_shows_no_secret() {
    let shown = format!("{:?}", parse(&built_now()).unwrap());
    assert!(!shown.contains("hunter2"), "{shown}");
    // Nor as the numbers of its bytes.
    let numbers: Vec<String> = b"hunter2".iter().map(u8::to_string).collect();
    assert!(!shown.contains(&numbers.join(", ")), "{shown}");
}
