//! Identity and credential headers in other spellings.
