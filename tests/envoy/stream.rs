//! The stream filter before `tcp_proxy`, through the stock Envoy.
//!
//! | module | what it holds |
//! |---|---|
//! | `same` | the same cases, before the router and before `tcp_proxy` |
//! | `heads` | the heads: what is no upgrade, too long, too slow, or not HTTP |
//! | `answers` | what upstream answers |
//! | `bytes` | no byte is lost or doubled |
//! | `example` | envoy/stream.yaml |
//! | `kinds` | a document of the other filter kind |
//! | `peer` | who the client is: PROXY protocol, TLS |

use super::support::wait_for;
use serde_json::{Value, json};
use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

mod answers;
mod bytes;
mod example;
mod heads;
mod kinds;
mod peer;
mod same;

/// The document for a listener of this kind.
fn of_kind(filter: &str, document: &Value) -> Value {
    let mut document = document.clone();
    document["filter"] = json!(filter);
    document
}

/// An upstream that never answers and keeps every byte of every connection.
struct Sink {
    address: SocketAddr,
    bytes: Arc<Mutex<Vec<u8>>>,
    open: Arc<Mutex<usize>>,
}

impl Sink {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (bytes, open) = (Arc::<Mutex<Vec<u8>>>::default(), Arc::<Mutex<usize>>::default());
        let (all, count) = (Arc::clone(&bytes), Arc::clone(&open));
        // Ends with the test process; it holds nothing but its own port.
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (all, count) = (Arc::clone(&all), Arc::clone(&count));
                *count.lock().unwrap() += 1;
                std::thread::spawn(move || {
                    let mut chunk = [0; 4096];
                    while let Ok(length @ 1..) = stream.read(&mut chunk) {
                        all.lock().unwrap().extend_from_slice(&chunk[..length]);
                    }
                    *count.lock().unwrap() -= 1;
                });
            }
        });
        Self { address, bytes, open }
    }

    /// Every byte of every connection, once all of them have ended.
    fn all(&self) -> Vec<u8> {
        wait_for("upstream's connections to end", || {
            (*self.open.lock().unwrap() == 0).then_some(())
        });
        self.bytes.lock().unwrap().clone()
    }
}
