//! Compressed messages that receivers inflate frame by frame, or end at a final block.
