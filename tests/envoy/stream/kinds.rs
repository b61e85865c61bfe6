//! A document that is for the other kind of filter: nothing passes.

use super::{Sink, of_kind};
use crate::client::{Client, Request};
use crate::support::{Envoy, bootstrap_of, listener, stream_listener};
use serde_json::json;

#[test]
fn a_document_of_the_other_kind_lets_nothing_through() {
    let upstream = Sink::start();
    let document = json!({"policies": [{"name": "chat"}]});
    for listener in
        [stream_listener(&of_kind("http", &document)), listener(&of_kind("stream", &document))]
    {
        let envoy = Envoy::start(&bootstrap_of(&[listener], upstream.address));
        for _ in 0..3 {
            let mut client = Client::connect(envoy.address());
            client.send(&Request::upgrade("/ws").bytes());
            let mut all = Vec::new();
            let _ = std::io::Read::read_to_end(&mut client.stream, &mut all);
            assert!(!all.starts_with(b"HTTP/1.1 101"), "{}", String::from_utf8_lossy(&all));
        }
        envoy.assert_trapped();
        assert!(envoy.log().contains("`filter`"), "says what to look at:\n{}", envoy.log());
    }
    assert_eq!(upstream.all(), b"");
}
