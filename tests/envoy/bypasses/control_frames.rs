//! Control frames under rules.
