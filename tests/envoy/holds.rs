//! Ways by which one client holds up, closes or bans another, one file for each
//! kind: inputs that outsiders found, and others of the same kind.

mod signatures;
