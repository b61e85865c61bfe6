//! Clients that make wsguard speak and do not listen.
