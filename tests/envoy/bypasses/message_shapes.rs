//! Messages whose shape hides what they ask for.
