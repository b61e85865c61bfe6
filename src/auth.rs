//! Authentication: where a credential may stand in the opening handshake,
//! whether it verifies, and whom it names.
