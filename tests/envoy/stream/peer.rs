//! Who the client is, as Envoy knows it and not as it says.

use super::of_kind;
use crate::client::{Client, Request};
use crate::support::{Envoy, bootstrap_of, python, stream_listener, tied};
use crate::tls::certificates;
use crate::upstream::{Recorder, Script};
use serde_json::json;
use std::process::Stdio;

/// Sends a request over TLS; prints what comes back.
const OVER_TLS: &str = r#"
import socket, ssl, sys
context = ssl.create_default_context(cafile=sys.argv[2])
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20) as plain:
    with context.wrap_socket(plain, server_hostname="localhost") as stream:
        stream.sendall(sys.stdin.buffer.read())
        sys.stdout.write(stream.recv(4096).decode())
"#;

#[test]
fn the_address_is_the_connections_or_that_of_a_trusted_proxy() {
    let document = json!({"policies": [{
        "name": "chat", "handshake": {"addresses": {"allow": ["192.0.2.0/24"]}},
    }]});
    let mut listener = stream_listener(&of_kind("stream", &document));
    let proxied = {
        let mut proxied = listener.clone();
        proxied["name"] = json!("proxied");
        proxied["listener_filters"] = json!([{
            "name": "envoy.filters.listener.proxy_protocol",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"},
        }]);
        proxied
    };
    listener["name"] = json!("direct");
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&bootstrap_of(&[listener, proxied], upstream.address));
    let spoofed = Request::upgrade("/ws").with("x-forwarded-for", "192.0.2.7").bytes();
    let line = b"PROXY TCP4 192.0.2.7 127.0.0.1 1234 80\r\n";

    let mut direct = Client::connect(envoy.listener("direct"));
    direct.send(&spoofed);
    assert!(direct.ends());
    assert_eq!(envoy.event("refused", Some("address_denied"))["ip"], "127.0.0.1");
    let mut direct = Client::connect(envoy.listener("direct"));
    direct.send(&[line, spoofed.as_slice()].concat());
    assert!(direct.ends(), "nobody is asked to believe it");
    envoy.event("refused", Some("handshake_malformed"));

    let mut trusted = Client::connect(envoy.listener("proxied"));
    trusted.send(&[line, spoofed.as_slice()].concat());
    assert_eq!(trusted.answer().status, 101);
    assert_eq!(envoy.event("opened", None)["ip"], "192.0.2.7");
}

#[test]
fn tls_is_what_the_connection_is_and_no_header() {
    let folder = certificates();
    let document = json!({"policies": [{"name": "chat", "handshake": {"tls": "required"}}]});
    let plain = stream_listener(&of_kind("stream", &document));
    let mut secure = plain.clone();
    secure["name"] = json!("secure");
    let file = |name: &str| json!({"filename": folder.path().join(name)});
    secure["filter_chains"][0]["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {"tls_certificates": [
                {"certificate_chain": file("edge.crt"), "private_key": file("edge.key")},
            ]},
        },
    });
    let upstream = Recorder::start(Script::Accept(Vec::new()));
    let envoy = Envoy::start(&bootstrap_of(&[plain, secure], upstream.address));
    let request = Request::upgrade("/ws").with("x-forwarded-proto", "https").bytes();

    let mut client = Client::connect(envoy.listener("stream"));
    client.send(&request);
    assert!(client.ends());
    envoy.event("refused", Some("tls_required"));
    assert!(upstream.seen().is_empty());

    let mut over_tls = tied(&python())
        .args(["-c", OVER_TLS, &envoy.listener("secure").port().to_string()])
        .arg(folder.path().join("ca.crt"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut over_tls.stdin.take().unwrap(), &request).unwrap();
    let output = over_tls.wait_with_output().unwrap();
    let answer = String::from_utf8_lossy(&output.stdout);
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}\n{}", envoy.log());
}
