//! Socket.IO and GraphQL, whose libraries retry by themselves.

use super::{APP, TEST_API_KEY, WAYS, WRONG, at, example, prints, start};
use crate::browser::{Browser, Pages};
use crate::first_message::Server;
use crate::support::{Envoy, python, tied};
use serde_json::{Value, json};
use std::process::Output;

fn example_of(name: &str, language: &str, envoy: &Envoy, host: &str) -> String {
    let way = WAYS.iter().find(|way| way.name == name).unwrap();
    let address = format!("{host}:{}", envoy.listener(name).port());
    at(example(way.heading, language).unwrap(), &address)
}

/// Runs an example in Python, that has what it needs, and then the rest.
fn in_python(imports: &str, example: &str, rest: &str, token: &str) -> Output {
    let indented = |text: &str| text.lines().map(|l| format!("    {l}\n")).collect::<String>();
    let code = format!(
        "import asyncio\n{imports}\nfresh_token = lambda: '{token}'\nasync def main():\n{}{}\n\
         asyncio.run(asyncio.wait_for(main(), 600))\n",
        indented(example),
        indented(rest)
    );
    tied(&python()).args(["-c", &code]).output().unwrap()
}

#[test]
fn socketio_clients_connect_with_the_examples() {
    let server = Server::start("socketio_peer.py");
    let (pages, browser) = (Pages::start(), Browser::start());
    let envoy = start(&pages.origin(APP), &json!({}), server.address);
    browser.open(&pages.page(APP));
    let body = r#"
        const { io } = await import("/modules/socket.io-client/dist/socket.io.esm.min.js");
        const run = new Function("io", "freshToken", `${given.code}; return socket;`);
        const socket = run(io, async () => given.token);
        let attempts = 0;
        socket.io.on("reconnect_attempt", () => { attempts += 1; });
        if (given.good) {
          const word = await new Promise((resolve) => { socket.emit("say", "hello", resolve); });
          socket.disconnect();
          return word;
        }
        await new Promise((resolve) => { socket.io.on("close", resolve); });
        // Its first wait is no longer than this.
        await new Promise((resolve) => { setTimeout(resolve, 2000); });
        return attempts;"#;
    let code = example_of("socketio", "js", &envoy, APP);
    let run = |token: &str| {
        browser.run(body, json!({"code": code, "token": token, "good": token == TEST_API_KEY}))
    };
    assert_eq!(run(WRONG), 0);
    assert_eq!(run(TEST_API_KEY), "hello");
    // The first that reaches it: nothing did of who was refused.
    let reached = [server.next(), server.next()].map(|told| told["event"].clone());
    assert_eq!(reached, ["connect", "say"]);

    let example = example_of("socketio", "python", &envoy, "127.0.0.1");
    let say = "print(await client.call('say', 'hello'))\nawait client.disconnect()";
    let good = in_python("import socketio", &example, say, TEST_API_KEY);
    assert_eq!(good.stdout, b"hello\n", "{good:?}");
    let bad = in_python("import socketio", &example, say, WRONG);
    assert!(!bad.status.success() && bad.stdout.is_empty(), "{bad:?}");

    let example = example_of("socketio", "sh", &envoy, "127.0.0.1");
    assert!(prints(&example, "", TEST_API_KEY, "40{\"sid\""));
    assert!(!prints(&example, "", WRONG, "40"));
}

#[test]
fn graphql_clients_subscribe_with_the_examples() {
    let server = Server::start("graphql_peer.py");
    let (pages, browser) = (Pages::start(), Browser::start());
    let envoy = start(&pages.origin(APP), &json!({}), server.address);
    browser.open(&pages.page(APP));
    let body = r#"
        const { createClient } = await import("/modules/graphql-ws/dist/client.js");
        let asked = 0;
        const freshToken = async () => { asked += 1; return given.token; };
        const client = new Function("createClient", "freshToken", `${given.code}; return client;`)(
          createClient, freshToken);
        const words = [];
        const error = await new Promise((resolve) => {
          client.subscribe({ query: "subscription { words }" }, {
            next: (result) => words.push(result.data.words),
            error: resolve,
            complete: () => resolve(null),
          });
        });
        return { words, asked, code: error?.code, reason: error?.reason };"#;
    let code = example_of("graphql", "js", &envoy, APP);
    let run = |token: &str| -> Value { browser.run(body, json!({"code": code, "token": token})) };
    let refused = json!({"words": [], "asked": 1, "code": 1008, "reason": "credentials_invalid"});
    assert_eq!(run(WRONG), refused);
    assert_eq!(
        run(TEST_API_KEY),
        json!({"words": ["one", "two"], "asked": 1, "code": null, "reason": null})
    );

    let example = example_of("graphql", "python", &envoy, "127.0.0.1");
    let imports =
        "from gql import Client, gql\nfrom gql.transport.websockets import WebsocketsTransport";
    let subscribe = "async with Client(transport=transport) as session:\n    \
                     async for result in session.subscribe(gql('subscription { words }')):\n        \
                     print(result['words'])";
    let good = in_python(imports, &example, subscribe, TEST_API_KEY);
    assert_eq!(good.stdout, b"one\ntwo\n", "{good:?}");
    let bad = in_python(imports, &example, subscribe, WRONG);
    assert!(!bad.status.success() && bad.stdout.is_empty(), "{bad:?}");

    let example = example_of("graphql", "sh", &envoy, "127.0.0.1");
    let accepted = "{\"type\": \"connection_ack\"";
    assert!(prints(&example, "", TEST_API_KEY, accepted));
    assert!(!prints(&example, "", WRONG, accepted));
}
