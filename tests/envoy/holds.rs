//! Clients that hold up or turn away others, and legal clients that were turned away:
//! what outsiders found on the running filter. With `WSGUARD_WASM=…` another build
//! shows what it does.

mod pinging;
mod server_first;
mod two_voices;
mod unanswered;
