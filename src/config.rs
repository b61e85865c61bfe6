//! The configuration document: [`Config::parse`] gives the checked form, or
//! every error in it.
