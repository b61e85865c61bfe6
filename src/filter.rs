//! The proxy-wasm adapter: callbacks in, decisions applied. It translates only;
//! what it does not know, it asks the session.
//!
//! | module | what it holds |
//! |---|---|
//! | `host` | every host call |
//! | `body` | which bytes a callback is about |
//! | `root` | one worker: configuration, ticks, the sessions that are open |
//! | `live` | those, whichever kind they are |
//! | `http` | one HTTP stream |
//! | `downlink` | what goes to its client |
//! | `stream` | one connection before `tcp_proxy` |
//! | `bench` | the core timed inside Envoy, where it is compiled for that |
//! | `probe` | what tests ask for |

#[cfg(feature = "bench")]
mod bench;
mod body;
mod downlink;
mod host;
mod http;
mod live;
#[cfg(feature = "trap")]
mod probe;
mod root;
mod stream;

proxy_wasm::main! {{
    host::start(|_| Box::new(root::Root::new()));
}}
