//! Spellings of a path that reach another policy.
