//! What is wrong with the description of a path, and where.

use std::fmt;
use std::ops::Range;

/// A description that is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainError {
    /// The description.
    pub text: String,
    /// Which bytes of it are wrong.
    pub place: Range<usize>,
    /// What is wrong with them.
    pub what: String,
}

impl ChainError {
    pub(super) fn new(text: &str, place: Range<usize>, what: impl Into<String>) -> Self {
        Self { text: text.to_owned(), place, what: what.into() }
    }
}

/// The description, with carets under what is wrong, and why.
impl fmt::Display for ChainError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let before = self.text.get(..self.place.start).unwrap_or_default().chars().count();
        let wrong = self.text.get(self.place.clone()).unwrap_or_default().chars().count();
        write!(f, "{}\n{:before$}{} {}", self.text, "", "^".repeat(wrong.max(1)), self.what)
    }
}

impl std::error::Error for ChainError {}
