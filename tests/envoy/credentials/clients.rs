//! What clients that other projects made see: tokio-tungstenite, and the
//! Python package `websockets`.

use super::{claims, edge, good_token, issuer, mint, now, peer};
use crate::edge::{Edge, Site};
use crate::support::python;
use crate::upstream::Script;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::process::Command;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

pub(super) fn sites() -> Vec<Site> {
    let document = |name: &str, refuse_with: &str| {
        json!({"policies": [{
            "name": name,
            "handshake": {"refuse_with": refuse_with},
            "auth": {
                "credentials": [{"header": "authorization"}, {"subprotocol": "bearer"}],
                "jwt": [issuer()],
            },
        }]})
    };
    // Upstream says hello first.
    let hello = || Script::Accept(b"\x81\x05hello".to_vec());
    vec![
        Site::before(hello(), "clients", document("clients", "http")),
        Site::before(hello(), "closed-clients", document("closed-clients", "close")),
    ]
}

/// Runs tests/peers/connect.py.
fn websockets(edge: &Edge, options: &[String]) -> Value {
    let output = Command::new(python())
        .arg(peer("connect.py"))
        .arg(format!("ws://{}/ws", edge.address))
        .args(options)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{errors}"))
}

fn expired() -> String {
    mint(&json!({"claims": claims(&json!({"exp": now() - 3600}))}))
}

#[test]
fn python_websockets_opens_with_a_token_and_understands_refusals() {
    let at_http = edge("clients");
    let bearer = |token: &str| [format!("Authorization:Bearer {token}")];
    let opened = websockets(&at_http, &bearer(&good_token()));
    assert_eq!(opened, json!({"subprotocol": null, "echo": "hello", "code": 1000, "reason": ""}));
    let offer = ["bearer".to_owned(), good_token()].map(|name| format!("subprotocol={name}"));
    let opened = websockets(&at_http, &offer);
    assert_eq!((&opened["subprotocol"], &opened["echo"]), (&json!("bearer"), &json!("hello")));
    let refused = websockets(&at_http, &bearer(&expired()));
    assert_eq!(refused["status"], 401);
    assert_eq!(refused["problem"]["reason"], "credentials_expired");

    let at_close = edge("closed-clients");
    for (options, reason) in [
        (vec![], "credentials_missing"),
        (bearer(&expired()).to_vec(), "credentials_expired"),
        (bearer("guess").to_vec(), "credentials_invalid"),
        (
            vec!["subprotocol=bearer".to_owned(), "subprotocol=guess".to_owned()],
            "credentials_invalid",
        ),
    ] {
        let closed = websockets(&at_close, &options);
        assert_eq!(
            (&closed["code"], &closed["reason"]),
            (&json!(1008), &json!(reason)),
            "{closed}"
        );
    }
    assert!(at_close.upstream.seen().is_empty(), "nobody was let in");
}

#[tokio::test]
async fn tungstenite_opens_with_a_token_and_understands_refusals() {
    let (at_http, at_close) = (edge("clients"), edge("closed-clients"));
    let request = |edge: &Edge, name: &'static str, value: &str| {
        let mut request = format!("ws://{}/ws", edge.address).into_client_request().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        request
    };
    for (name, value, picked) in [
        ("authorization", format!("Bearer {}", good_token()), None),
        ("sec-websocket-protocol", format!("bearer, {}", good_token()), Some("bearer")),
    ] {
        let (mut socket, answer) = connect_async(request(&at_http, name, &value)).await.unwrap();
        let protocol = answer.headers().get("sec-websocket-protocol");
        assert_eq!(protocol.map(|name| name.to_str().unwrap()), picked);
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
        socket.send(Message::text("hello")).await.unwrap();
        socket.close(None).await.unwrap();
    }
    let late = format!("Bearer {}", expired());
    let refused = connect_async(request(&at_http, "authorization", &late)).await;
    let Err(Error::Http(answer)) = refused else { panic!("{refused:?}") };
    assert_eq!(answer.status(), 401);
    assert_eq!(answer.headers()["cache-control"], "no-store");

    for (name, value, reason) in [
        ("authorization", late.as_str(), "credentials_expired"),
        ("authorization", "Bearer guess", "credentials_invalid"),
        ("sec-websocket-protocol", "bearer, guess", "credentials_invalid"),
    ] {
        let (mut socket, _) = connect_async(request(&at_close, name, value)).await.unwrap();
        let Some(Ok(Message::Close(Some(close)))) = socket.next().await else { panic!("no Close") };
        assert_eq!((u16::from(close.code), close.reason.as_str()), (1008, reason));
    }
}
