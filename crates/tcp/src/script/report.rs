//! How a script went.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// How one event went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The line of the script, from 1.
    pub line: usize,
    /// Why it is not what the script says, if it is not.
    pub difference: Option<Difference>,
}

/// What was expected, and what happened instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What is different, in words.
    pub what: String,
    /// In the script's notation.
    pub expected: String,
    /// In the same notation.
    pub got: String,
}

/// How a script went, event by event up to the first that differs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub(super) verdicts: Vec<Verdict>,
    /// The line that differs, as it is written.
    pub(super) text: String,
}

impl Report {
    /// The events that were played.
    pub fn verdicts(&self) -> &[Verdict] {
        &self.verdicts
    }

    /// Whether everything was as the script says.
    pub fn passed(&self) -> bool {
        self.failure().is_none()
    }

    /// The event that was not.
    pub fn failure(&self) -> Option<&Verdict> {
        self.verdicts.last().filter(|verdict| verdict.difference.is_some())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some((line, difference)) =
            self.failure().and_then(|verdict| Some((verdict.line, verdict.difference.as_ref()?)))
        else {
            return write!(f, "all {} events as the script says", self.verdicts.len());
        };
        writeln!(f, "line {line}: {}", difference.what)?;
        writeln!(f, "  {}", self.text.trim())?;
        writeln!(f, "  expected: {}", difference.expected)?;
        write!(f, "  got:      {}", difference.got)
    }
}
