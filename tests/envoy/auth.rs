//! Credentials that somebody else has to answer for: keys that an issuer
//! publishes, session services, authorization callouts.
//!
//! | module | what it holds |
//! |---|---|
//! | `service` | a service that answers by script and counts |
//! | `keys` | `jwks_uri` |
//! | `sessions` | `session`, `authorize`, `close_at_expiry` |
//! | `messages` | `authorize` for what messages ask for |

use super::client::{Client, Request, text};
use super::credentials::{claims, mint};
use super::support::{Envoy, bootstrap_of, cluster, listener, stream_listener, wait_for};
use super::upstream::{Recorder, Script, frames};
use serde_json::{Value, json};
pub use service::{Reply, Service};
use std::net::SocketAddr;

mod keys;
mod messages;
mod service;
mod sessions;

/// An Envoy with a listener of each kind for one document, and a cluster `auth`.
struct Rig {
    envoy: Envoy,
    upstream: Recorder,
}

impl Rig {
    fn start(document: &Value, service: &Service) -> Self {
        Self::start_with(document, service, Envoy::start)
    }

    /// The same by another way to start Envoy.
    fn start_with(
        document: &Value,
        service: &Service,
        start: impl FnOnce(&Value) -> Envoy,
    ) -> Self {
        let upstream = Recorder::start(Script::Accept(Vec::new()));
        let mut before_tcp = document.clone();
        before_tcp["filter"] = json!("stream");
        let listeners = [listener(document), stream_listener(&before_tcp)];
        let mut bootstrap = bootstrap_of(&listeners, upstream.address);
        add_service(&mut bootstrap, service);
        Self { envoy: start(&bootstrap), upstream }
    }

    fn http(&self) -> SocketAddr {
        self.envoy.listener("edge")
    }

    fn stream(&self) -> SocketAddr {
        self.envoy.listener("stream")
    }

    /// It opens, with the identity header and without the credential, and
    /// messages go by.
    fn opens(&self, address: SocketAddr, request: &Request) {
        let before = self.upstream.seen().len();
        let mut client = Client::open(address, request);
        client.send(&text("hello"));
        wait_for("the message at upstream", || {
            self.upstream.seen().into_iter().skip(before).find(|seen| {
                seen.head.contains("x-user-id: alice")
                    && !seen.head.contains("authorization")
                    && !seen.head.contains("session=")
                    && frames(&seen.bytes).iter().any(|(_, payload)| payload == b"hello")
            })
        });
    }

    /// Both listeners refuse it, each in its way.
    fn refuses(&self, request: &Request, status: u16, reason: &str) {
        let (_, answer) = Client::ask(self.http(), request);
        assert_eq!((answer.status, answer.reason().as_str()), (status, reason), "{answer:?}");
        let mut client = Client::connect(self.stream());
        client.send(&request.bytes());
        assert!(client.ends(), "not closed");
    }
}

/// Adds the cluster `auth`.
pub fn add_service(bootstrap: &mut Value, service: &Service) {
    let mut auth = cluster(service.address);
    auth["name"] = json!("auth");
    auth["load_assignment"]["cluster_name"] = json!("auth");
    bootstrap["static_resources"]["clusters"].as_array_mut().unwrap().push(auth);
}

/// An upgrade with a minted token of alice's.
fn bearer(key: &str) -> Request {
    let alg = if key.contains("rsa") { "RS256" } else { "EdDSA" };
    let token = mint(&json!({"alg": alg, "key": key, "claims": claims(&json!({}))}));
    Request::upgrade("/ws").with("authorization", format!("Bearer {token}"))
}
