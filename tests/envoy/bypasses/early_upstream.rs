//! Bytes of upstream's before the head of its answer.
