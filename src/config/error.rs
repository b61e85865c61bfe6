//! What is wrong with a document.

use super::fault::{Fault, Written};
use std::fmt;

/// Most errors that are listed; the rest is counted.
pub const MAX_LISTED: usize = 100;

/// Everything that is wrong with a document, in the document's order. There is
/// at least one error. Secrets and other values of the document are never in it.
#[derive(Clone, Debug)]
pub struct ConfigErrors {
    listed: Vec<ConfigError>,
    more: usize,
}

/// One thing that is wrong: where, what, and what to write instead.
#[derive(Clone, Debug)]
pub struct ConfigError {
    path: String,
    fault: Fault,
    position: u32,
}

impl ConfigErrors {
    pub(super) fn of_document(fault: Written) -> Self {
        let error = ConfigError::new("document".to_owned(), fault.into(), 0);
        Self { listed: vec![error], more: 0 }
    }

    /// The errors, at most [`MAX_LISTED`] of them.
    pub fn iter(&self) -> std::slice::Iter<'_, ConfigError> {
        self.listed.iter()
    }

    /// How many more there are than [`Self::iter`] gives.
    #[must_use]
    pub fn more(&self) -> usize {
        self.more
    }
}

impl<'a> IntoIterator for &'a ConfigErrors {
    type Item = &'a ConfigError;
    type IntoIter = std::slice::Iter<'a, ConfigError>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// One error a line, without a line break at the end.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.listed.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl ConfigError {
    pub(super) fn new(path: String, fault: Fault, position: u32) -> Self {
        Self { path, fault, position }
    }

    /// Where it is, as in `policies[0].client.max_message`; `document` for all of it.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Whether what stands there is of the contract, and not built yet.
    #[must_use]
    pub fn is_not_supported_yet(&self) -> bool {
        matches!(self.fault, Fault::NotSupportedYet(_))
    }
}

/// `path: what is wrong; what to write`, or `not supported yet: path`, on one line.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.fault {
            Fault::NotSupportedYet(None) => write!(f, "not supported yet: {}", self.path),
            Fault::NotSupportedYet(Some(word)) => {
                write!(f, "not supported yet: {}: {word}", self.path)
            }
            fault => write!(f, "{}: {fault}", self.path),
        }
    }
}

impl std::error::Error for ConfigError {}

/// Errors while they are collected: bounded, whatever the document.
#[derive(Default)]
pub(super) struct Collected {
    errors: Vec<ConfigError>,
    met: usize,
}

impl Collected {
    pub(super) fn push(&mut self, error: ConfigError) {
        self.met = self.met.saturating_add(1);
        self.errors.push(error);
        // The first ones of the document are kept, whatever the order in which
        // they are found; sorting rarely keeps that cheap.
        if self.errors.len() >= MAX_LISTED * 4 {
            self.keep_first();
        }
    }

    fn keep_first(&mut self) {
        self.errors.sort_by_key(|error| error.position);
        self.errors.truncate(MAX_LISTED);
    }

    /// `None` when nothing was wrong.
    pub(super) fn finish(mut self) -> Option<ConfigErrors> {
        if self.met == 0 {
            return None;
        }
        self.keep_first();
        let more = self.met.saturating_sub(self.errors.len());
        Some(ConfigErrors { listed: self.errors, more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_the_document_are_listed_whatever_the_order_they_came_in() {
        let mut collected = Collected::default();
        for position in (0..1_000).rev() {
            let fault = Fault::NotSupportedYet(None);
            collected.push(ConfigError::new(format!("p{position}"), fault, position));
        }
        let errors = collected.finish().unwrap();
        assert_eq!(errors.more(), 900);
        let paths: Vec<_> = errors.iter().map(|error| error.path().to_owned()).collect();
        let first: Vec<_> = (0..100).map(|n| format!("p{n}")).collect();
        assert_eq!(paths, first);
        let text = errors.to_string();
        assert_eq!(text.lines().count(), 101);
        assert!(text.starts_with("not supported yet: p0\n") && text.ends_with("\nand 900 more"));
    }

    #[test]
    fn nothing_wrong_is_no_error() {
        assert!(Collected::default().finish().is_none());
    }
}
