//! Ways that outsiders found past the filter, one file for each kind: their
//! inputs, and others of the same kind. `make bypasses` runs them alone, and
//! `make bypasses WASM=old.wasm` shows them on another build.

mod control_frames;
mod deflate_units;
mod early_upstream;
mod first_message_report;
mod message_shapes;
mod path_readings;
mod rebinding;
mod spellings;
