//! `same-origin` under DNS rebinding.
