//! Reading a script letter by letter.

use alloc::string::{String, ToString};
use core::fmt;

/// Why a script cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub message: String,
    /// The line itself.
    pub text: String,
}

impl fmt::Display for ScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "line {}, column {}: {}", self.line, self.column, self.message)?;
        writeln!(f, "  {}", self.text)?;
        write!(f, "  {:>column$}", '^', column = self.column)
    }
}

impl core::error::Error for ScriptError {}

/// A place in a text.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    pub(super) fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn bump(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    pub(super) fn line(&self) -> usize {
        self.text[..self.at.min(self.text.len())].matches('\n').count() + 1
    }

    pub(super) fn error(&self, message: impl Into<String>) -> ScriptError {
        let before = &self.text[..self.at.min(self.text.len())];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = self.text[start..].lines().next().unwrap_or_default();
        ScriptError {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            message: message.into(),
            text: line.to_string(),
        }
    }

    /// Passes over blanks and comments.
    pub(super) fn skip(&mut self) {
        loop {
            let rest = self.rest();
            let trimmed = rest.trim_start();
            self.at += rest.len() - trimmed.len();
            if trimmed.starts_with("//") || trimmed.starts_with('#') {
                self.at += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.at += trimmed.find("*/").map_or(trimmed.len(), |end| end + 2);
            } else {
                return;
            }
        }
    }

    /// Takes `what` if it comes next, after blanks.
    pub(super) fn eat(&mut self, what: &str) -> bool {
        let before = self.at;
        self.skip();
        if self.rest().starts_with(what) {
            self.at += what.len();
            true
        } else {
            self.at = before;
            false
        }
    }

    /// Takes a whole word if it comes next.
    pub(super) fn eat_word(&mut self, what: &str) -> bool {
        let before = *self;
        if self.word() == what {
            return true;
        }
        *self = before;
        false
    }

    pub(super) fn expect(&mut self, what: &str) -> Result<(), ScriptError> {
        if self.eat(what) {
            return Ok(());
        }
        self.skip();
        Err(self.error(alloc::format!("expected {what:?} here")))
    }

    /// Letters as long as they please.
    pub(super) fn take_while(&mut self, pleases: impl Fn(char) -> bool) -> &'a str {
        let rest = self.rest();
        let end = rest.find(|letter| !pleases(letter)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A name: empty if there is none.
    pub(super) fn word(&mut self) -> &'a str {
        self.skip();
        if self.peek().is_some_and(|first| first.is_ascii_digit()) {
            return "";
        }
        self.take_while(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    }

    /// A whole number, decimal or hexadecimal.
    pub(super) fn number(&mut self) -> Result<i64, ScriptError> {
        self.skip();
        let start = *self;
        let negative = self.eat("-");
        let (digits, radix) = if self.rest().starts_with("0x") {
            self.at += 2;
            (self.take_while(|letter| letter.is_ascii_hexdigit()), 16)
        } else {
            (self.take_while(|letter| letter.is_ascii_digit()), 10)
        };
        match i64::from_str_radix(digits, radix) {
            Ok(value) => Ok(if negative { -value } else { value }),
            Err(_) => Err(start.error("expected a number here")),
        }
    }

    /// A number that fits.
    pub(super) fn number_as<T: TryFrom<i64>>(&mut self, what: &str) -> Result<T, ScriptError> {
        self.skip();
        let start = *self;
        let value = self.number()?;
        T::try_from(value).map_err(|_| start.error(alloc::format!("{value} is no {what}")))
    }

    /// Everything up to `end`, which is taken too.
    pub(super) fn until(&mut self, end: &str) -> Result<&'a str, ScriptError> {
        let rest = self.rest();
        let Some(length) = rest.find(end) else {
            return Err(self.error(alloc::format!("this never ends: {end:?} is missing")));
        };
        self.at += length + end.len();
        Ok(&rest[..length])
    }

    /// Seconds with a fraction, in microseconds.
    pub(super) fn seconds(&mut self) -> Result<i64, ScriptError> {
        self.skip();
        let start = *self;
        let whole = self.take_while(|letter| letter.is_ascii_digit());
        let mut fraction = "";
        // Three dots are no fraction.
        if self.rest().starts_with('.') && !self.rest().starts_with("...") {
            self.at += 1;
            fraction = self.take_while(|letter| letter.is_ascii_digit());
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(start.error("expected a time in seconds here, as in 0.100"));
        }
        let seconds: i64 = if whole.is_empty() { 0 } else { whole.parse().unwrap_or(i64::MAX) };
        if seconds > 1_000_000 {
            return Err(start.error("no script lasts so long"));
        }
        let mut micros = 0;
        for place in 0..6 {
            let digit = fraction.as_bytes().get(place).map_or(0, |digit| i64::from(digit - b'0'));
            micros = micros * 10 + digit;
        }
        Ok(seconds * 1_000_000 + micros)
    }
}
