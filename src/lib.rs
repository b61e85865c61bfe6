//! wsguard: WebSocket security at the edge.
//!
//! A WebSocket is the hole in every gateway: after the `101` proxies stop
//! looking. wsguard is a proxy-wasm plugin for Envoy that keeps looking: it judges
//! the opening handshake, authenticates the client and inspects every frame and
//! message before upstream sees a byte of it.
//!
//! # Rooms
//!
//! Data flows one way: a callback of Envoy's enters `filter`, goes to
//! [`session`], which asks [`handshake`], [`auth`] and [`quota`] for the opening
//! handshake and [`frame`], [`message`] and [`inspect`] for what follows, and
//! comes back as a decision that the filter applies. No module calls back up.
//!
//! | module | what it holds |
//! |---|---|
//! | [`config`] | [`config::Config::parse`]: the checked document, or every error in it |
//! | [`reason`] | the one table: reason → HTTP status, close code, name |
//! | [`host`] | what the core asks of its surroundings, as small traits; an in-process one for tests |
//! | [`handshake`] | RFC 6455 §4: request head → checks → upstream's answer |
//! | [`auth`] | credentials → identity, and what that may have |
//! | [`quota`] | connections, rates and bans that hold over all workers, in shared data |
//! | [`http1`] | HTTP/1.1 heads out of a byte stream, for the stream filter |
//! | [`frame`] | frame header, masking, the streaming decoder, inflating |
//! | [`message`] | fragments → messages, with their limits |
//! | [`inspect`] | what a complete message may contain |
//! | [`session`] | one connection: phases, both directions, decisions, what waits |
//! | [`guard`] | what one worker shares between its sessions, and its metrics |
//! | [`event`] | security events, one JSON line each |
//! | [`metric`] | the one table of metrics: name, kind, labels |
//!
//! The core knows neither Envoy nor files; everything that does is in
//! `filter`, which exists on `wasm32` only.
#![cfg_attr(not(target_arch = "wasm32"), forbid(unsafe_code))]

// The loops of tests/bench name it so.
#[cfg(all(target_arch = "wasm32", feature = "bench"))]
extern crate self as wsguard;

pub mod auth;
pub mod config;
pub mod event;
#[cfg(target_arch = "wasm32")]
mod filter;
pub mod frame;
pub mod guard;
pub mod handshake;
pub mod host;
pub mod http1;
pub mod inspect;
pub mod message;
pub mod metric;
pub mod quota;
pub mod reason;
pub mod session;
