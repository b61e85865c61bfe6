//! What a complete, unmasked message may contain.
