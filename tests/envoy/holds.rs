//! Where one client could hold up others, legal clients were turned away, or the
//! operator was not told the truth: the inputs that outsiders found, and others of
//! the same kinds, one file for each.

mod clients;
mod close_codes;
mod fragments;
mod handshakes;
mod log_formats;
mod parts;
mod patterns;
mod pinging;
mod server_first;
mod shares;
mod signatures;
mod two_voices;
mod unanswered;
