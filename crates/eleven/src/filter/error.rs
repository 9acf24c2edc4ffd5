//! Why a filter was not understood.

use std::fmt;
use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// What is wrong with a filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause {
    /// A term begins with a word that the language does not have.
    #[error("`{0}` is not a word of the filter language")]
    UnknownWord(String),
    /// A word of the language that does not go with what is asked.
    #[error("`{word}` is asked of {of}, and this is about {about}")]
    OtherSubject {
        /// The word.
        word: &'static str,
        /// What has it.
        of: &'static str,
        /// What has it not.
        about: &'static str,
    },
    /// No anomaly has this name.
    #[error("`{0}` is no anomaly that is looked for")]
    UnknownAnomaly(String),
    /// No state, and no class of states, has this name.
    #[error("`{0}` is not a TCP state")]
    UnknownState(String),
    /// No operator is written like this.
    #[error("`{0}` is not an operator")]
    UnknownOperator(String),
    /// Something had to come here and something else, or nothing, did.
    #[error("{wanted} should follow{}, but {}", follows(.after.as_deref()), instead(.found.as_deref()))]
    Expected {
        /// What had to come.
        wanted: &'static str,
        /// After what, as it was written.
        after: Option<String>,
        /// What came, as it was written; `None` at the end of the filter.
        found: Option<String>,
    },
    /// `(` without `)`.
    #[error("this parenthesis is never closed")]
    UnclosedParenthesis,
    /// `)` without `(`.
    #[error("this parenthesis closes nothing")]
    UnopenedParenthesis,
    /// A quotation mark without its partner.
    #[error("this quotation mark is never closed")]
    UnclosedQuote,
    /// More parentheses and negations inside each other than anyone can read.
    #[error("parentheses and negations nest deeper than {0}")]
    TooDeep(usize),
    /// `<` and the like, where only equality makes sense.
    #[error("`{0}` compares with = and != only")]
    NotOrdered(&'static str),
    /// An operator after a word that is a whole term.
    #[error("`{0}` stands alone and compares with nothing")]
    NotCompared(&'static str),
    /// `~`.
    #[error("there are no regular expressions here; * and ? stand for parts of a name")]
    NoRegularExpressions,
    /// A number above 65535.
    #[error("`{0}` is no port: the highest is 65535")]
    PortTooHigh(String),
    /// Neither a port nor the name of one.
    #[error("`{0}` is neither a port nor a TCP service in /etc/services")]
    UnknownService(String),
    /// Neither an address nor a possible host name.
    #[error("`{0}` is not an address")]
    NotAnAddress(String),
    /// A prefix longer than the address.
    #[error("`/{length}` is no prefix length: it goes from 0 to {longest}")]
    PrefixLength {
        /// What was written.
        length: String,
        /// Bits of the address.
        longest: u8,
    },
    /// An IPv6 address with a zone.
    #[error("an address has no zone in a filter; add `and dev {0}` instead")]
    Zone(String),
    /// A host without an address.
    #[error("the host `{name}` has no address: {reason}")]
    UnknownHost {
        /// The host.
        name: String,
        /// What the resolver said.
        reason: String,
    },
    /// An index that no interface has.
    #[error("no network interface has the index {0}")]
    UnknownInterface(u32),
    /// Not a number where one had to be.
    #[error("`{0}` is not a number, or too large a one")]
    NotANumber(String),
    /// Not a size.
    #[error("`{0}` is not a size; write bytes, or 4k, 16M, 1G")]
    NotASize(String),
    /// Not a duration.
    #[error("`{0}` is not a duration; write 90s, 10m, 2h30m, 250ms")]
    NotADuration(String),
    /// A bare number where seconds and milliseconds are equally likely to be meant.
    #[error("`{0}` needs a unit: us, ms or s")]
    NeedsUnit(String),
    /// Not a mark.
    #[error("`{0}` is not a firewall mark; write 0x10 or 0x10/0xff")]
    NotAMark(String),
    /// A word that is not one of the few that may stand here.
    #[error("`{word}` is no {keyword}; it is one of {}", choices.join(", "))]
    NotAChoice {
        /// The word before it.
        keyword: &'static str,
        /// What was written.
        word: String,
        /// What may be.
        choices: &'static [&'static str],
    },
}

fn follows(text: Option<&str>) -> String {
    text.map_or_else(String::new, |text| format!(" `{text}`"))
}

fn instead(text: Option<&str>) -> String {
    text.map_or_else(|| "the filter ends".to_owned(), |text| format!("`{text}` does"))
}

/// A filter that was not understood: what is wrong, where, and what may have been meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterError {
    details: Box<Details>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Details {
    text: String,
    span: Range<usize>,
    cause: Cause,
    suggestion: Option<String>,
}

impl FilterError {
    pub(super) fn new(span: Range<usize>, cause: Cause) -> Self {
        Self { details: Box::new(Details { text: String::new(), span, cause, suggestion: None }) }
    }

    pub(super) fn suggest(mut self, suggestion: impl Into<Option<String>>) -> Self {
        self.details.suggestion = suggestion.into();
        self
    }

    /// Remembers the filter, for [`Self::render`].
    pub(super) fn within(mut self, text: &str) -> Self {
        text.clone_into(&mut self.details.text);
        self
    }

    /// What is wrong.
    pub fn cause(&self) -> &Cause {
        &self.details.cause
    }

    /// Where, in bytes of the filter. Empty and at the end when something is missing there.
    pub fn span(&self) -> Range<usize> {
        self.details.span.clone()
    }

    /// What may have been meant instead of the text at [`Self::span`].
    pub fn suggestion(&self) -> Option<&str> {
        self.details.suggestion.as_deref()
    }

    fn sentence(&self) -> String {
        /// What was written is part of the sentence, and may be of any length.
        const LONGEST: usize = 240;
        let cause = self.details.cause.to_string();
        let mut sentence: String = cause.chars().take(LONGEST).map(printable).collect();
        if cause.chars().nth(LONGEST).is_some() {
            sentence.push('…');
        }
        if let Some(suggestion) = &self.details.suggestion {
            sentence.push_str("; did you mean `");
            sentence.extend(suggestion.chars().take(LONGEST).map(printable));
            sentence.push_str("`?");
        }
        sentence
    }

    /// Three lines: the filter, carets under the place, and the sentence. Of a long filter
    /// the first line shows the surroundings of the place.
    pub fn render(&self) -> String {
        /// Columns shown before and after the place.
        const AROUND: usize = 36;
        let Details { text, span, .. } = &*self.details;
        // A place is cut too: it may be a quotation that runs to the end of the filter.
        let marked: String = text[span.clone()].chars().take(AROUND).collect();
        let before: Vec<char> = text[..span.start].chars().collect();
        let behind: Vec<char> = text[span.start + marked.len()..].chars().collect();
        let (shown_before, shown_behind) = (before.len().min(AROUND), behind.len().min(AROUND));

        let mut line = String::from("  ");
        if shown_before < before.len() {
            line.push('…');
        }
        line.extend(before[before.len() - shown_before..].iter().map(|c| printable(*c)));
        let indent = width(&line);
        let marked: String = marked.chars().map(printable).collect();
        line.push_str(&marked);
        line.extend(behind[..shown_behind].iter().map(|c| printable(*c)));
        if shown_behind < behind.len() {
            line.push('…');
        }
        let carets = "^".repeat(width(&marked).max(1));
        format!("{}\n{:indent$}{carets}\n{}", line.trim_end(), "", self.sentence())
    }
}

/// A filter may come from a file: what it holds must not move the cursor.
fn printable(c: char) -> char {
    match c {
        c if c.is_whitespace() => ' ',
        c if c.is_control() => '\u{fffd}',
        // Marks that reverse the direction of text would set the carets elsewhere.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => '\u{fffd}',
        c => c,
    }
}

/// Columns that a line takes.
fn width(line: &str) -> usize {
    line.chars().map(|c| c.width().unwrap_or(0)).sum()
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "filter: {}", self.sentence())
    }
}

impl std::error::Error for FilterError {}
