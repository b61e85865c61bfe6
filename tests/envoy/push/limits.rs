//! Which limits of Envoy's buffers go with `push`.
