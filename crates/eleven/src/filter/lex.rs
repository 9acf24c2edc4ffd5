//! Cuts a filter into tokens.

use std::ops::Range;

use super::comparison::Comparison;
use super::error::{Cause, FilterError};

/// A comparison, and whether it must fail instead of hold: `!=` is "not equal".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operator {
    pub(super) comparison: Comparison,
    pub(super) negated: bool,
}

impl Operator {
    pub(super) const EQUAL: Self = Self { comparison: Comparison::Equal, negated: false };
    const NOT_EQUAL: Self = Self { comparison: Comparison::Equal, negated: true };

    const fn ordered(comparison: Comparison) -> Self {
        Self { comparison, negated: false }
    }

    pub(super) const fn is_equality(self) -> bool {
        matches!(self.comparison, Comparison::Equal)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Open,
    Close,
    And,
    Or,
    Not,
    Operator(Operator),
    /// Anything else. What was quoted is never a word of the language.
    Word {
        text: String,
        quoted: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    /// Where it stands, in bytes.
    pub(super) span: Range<usize>,
}

/// Characters that end a word, and so need quotes to be part of one.
pub(super) const fn ends_word(c: char) -> bool {
    c.is_whitespace() || matches!(c, '(' | ')' | '!' | '=' | '<' | '>' | '&' | '|' | '"' | '\'')
}

/// What a bare word says other than itself.
pub(super) fn word_operator(word: &str) -> Option<TokenKind> {
    Some(match word.to_ascii_lowercase().as_str() {
        "and" => TokenKind::And,
        "or" => TokenKind::Or,
        "not" => TokenKind::Not,
        "eq" => TokenKind::Operator(Operator::EQUAL),
        "ne" | "neq" => TokenKind::Operator(Operator::NOT_EQUAL),
        "gt" => TokenKind::Operator(Operator::ordered(Comparison::Greater)),
        "ge" | "geq" => TokenKind::Operator(Operator::ordered(Comparison::GreaterOrEqual)),
        "lt" => TokenKind::Operator(Operator::ordered(Comparison::Less)),
        "le" | "leq" => TokenKind::Operator(Operator::ordered(Comparison::LessOrEqual)),
        _ => return None,
    })
}

fn symbol_operator(symbols: &str) -> Option<TokenKind> {
    Some(match symbols {
        "(" => TokenKind::Open,
        ")" => TokenKind::Close,
        "&" | "&&" => TokenKind::And,
        "|" | "||" => TokenKind::Or,
        "!" => TokenKind::Not,
        "=" | "==" => TokenKind::Operator(Operator::EQUAL),
        "!=" => TokenKind::Operator(Operator::NOT_EQUAL),
        ">" => TokenKind::Operator(Operator::ordered(Comparison::Greater)),
        ">=" => TokenKind::Operator(Operator::ordered(Comparison::GreaterOrEqual)),
        "<" => TokenKind::Operator(Operator::ordered(Comparison::Less)),
        "<=" => TokenKind::Operator(Operator::ordered(Comparison::LessOrEqual)),
        _ => return None,
    })
}

/// Operators of other languages, and what they are here.
const FOREIGN: [(&str, &str); 6] =
    [("=>", ">="), ("=<", "<="), ("<>", "!="), ("=!", "!="), ("===", "="), ("!==", "!=")];

pub(super) fn tokens(text: &str) -> Result<Vec<Token>, FilterError> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let start = at;
        let kind = if c.is_whitespace() {
            at += c.len_utf8();
            continue;
        } else if ends_word(c) && !matches!(c, '"' | '\'') {
            let symbols = longest_symbols(&text[at..]);
            at += symbols.len();
            if let Some((_, here)) = FOREIGN.iter().find(|(foreign, _)| *foreign == symbols) {
                return Err(FilterError::new(start..at, Cause::UnknownOperator(symbols.to_owned()))
                    .suggest((*here).to_owned()));
            }
            symbol_operator(symbols)
                .ok_or_else(|| FilterError::new(start..at, Cause::UnknownOperator(symbols.to_owned())))?
        } else {
            let (word, quoted, end) = word(text, at)?;
            at = end;
            if !quoted && word.starts_with('~') {
                return Err(FilterError::new(start..at, Cause::NoRegularExpressions));
            }
            match word_operator(&word) {
                Some(operator) if !quoted => operator,
                _ => TokenKind::Word { text: word, quoted },
            }
        };
        tokens.push(Token { kind, span: start..at });
    }
    Ok(tokens)
}

/// The longest operator, known or foreign, that `text` begins with; at least one character.
fn longest_symbols(text: &str) -> &str {
    (1..=3)
        .rev()
        .filter_map(|length| text.get(..length))
        .find(|symbols| {
            symbol_operator(symbols).is_some() || FOREIGN.iter().any(|(foreign, _)| foreign == symbols)
        })
        .unwrap_or_else(|| &text[..1])
}

/// A word from `start`, of bare and quoted pieces as in a shell, without escapes: its text,
/// whether any of it was quoted, and where it ends.
fn word(text: &str, start: usize) -> Result<(String, bool, usize), FilterError> {
    let mut word = String::new();
    let mut quoted = false;
    let mut at = start;
    while let Some(c) = text[at..].chars().next() {
        if matches!(c, '"' | '\'') {
            quoted = true;
            let inside = &text[at + 1..];
            let Some(length) = inside.find(c) else {
                return Err(FilterError::new(at..text.len(), Cause::UnclosedQuote));
            };
            word.push_str(&inside[..length]);
            at += length + 2;
        } else if ends_word(c) {
            break;
        } else {
            word.push(c);
            at += c.len_utf8();
        }
    }
    Ok((word, quoted, at))
}
