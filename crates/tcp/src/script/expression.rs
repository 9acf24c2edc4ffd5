//! What stands between `%{` and `}%`: assertions about the fields of `TCP_INFO`.
//!
//! A small language of its own that looks as scripts expect: `assert a == 1 and 5 <= b < 9, b; …`, with whole numbers,
//! `+ - * & | << >>`, comparisons that can be chained, `and`, `or`, `not`.

use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::cursor::{Cursor, ScriptError};
use crate::sockets::{INFO_NAMES, TcpInfo};

/// One assertion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// What has to be true.
    pub condition: Expression,
    /// As it is written.
    pub text: String,
}

/// Something that has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// A number.
    Number(i64),
    /// A field or the name of a number.
    Name(String),
    /// `not`.
    Not(Box<Expression>),
    /// Two values joined.
    Binary(Box<Expression>, Operator, Box<Expression>),
    /// Comparisons in a chain: all have to be true.
    Chain(Box<Expression>, Vec<(Operator, Expression)>),
}

/// How two values are joined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    AtMost,
    AtLeast,
    Less,
    Greater,
    BitOr,
    BitAnd,
    ShiftLeft,
    ShiftRight,
    Plus,
    Minus,
    Times,
}

/// Nesting beyond this is no assertion.
const DEEPEST: u32 = 50;

const COMPARISONS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

/// Operators from the loosest to the tightest.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("|", Operator::BitOr)],
    &[("&", Operator::BitAnd)],
    &[("<<", Operator::ShiftLeft), (">>", Operator::ShiftRight)],
    &[("+", Operator::Plus), ("-", Operator::Minus)],
    &[("*", Operator::Times)],
];

/// Reads the assertions of one block.
pub(super) fn statements(cursor: &mut Cursor<'_>) -> Result<Vec<Statement>, ScriptError> {
    let mut found = Vec::new();
    loop {
        while cursor.eat(";") || cursor.eat("\\") {}
        if cursor.eat("}%") {
            return Ok(found);
        }
        if cursor.eat_word("print") {
            // What a script prints is for those who watch it.
            let mut depth = 0_i32;
            loop {
                match cursor.peek() {
                    Some('(') => depth += 1,
                    Some(')') => depth -= 1,
                    Some(';' | '\n' | '}') if depth <= 0 => break,
                    None => return Err(cursor.error("this never ends: \"}%\" is missing")),
                    _ => {}
                }
                cursor.bump();
            }
            continue;
        }
        if !cursor.eat_word("assert") {
            cursor.skip();
            return Err(cursor.error("expected \"assert\" or \"}%\" here"));
        }
        cursor.skip();
        let start = cursor.rest();
        let condition = any(cursor, 0)?;
        let text = start[..start.len() - cursor.rest().len()].trim().to_string();
        if cursor.eat(",") {
            message(cursor);
        }
        found.push(Statement { condition, text });
    }
}

/// What is shown when an assertion fails: passed over, the values are shown anyway.
fn message(cursor: &mut Cursor<'_>) {
    let mut quote = None;
    while let Some(letter) = cursor.peek() {
        match quote {
            Some(open) if letter == open => quote = None,
            None if letter == '\'' || letter == '"' => quote = Some(letter),
            None if matches!(letter, ';' | '\n' | '}' | '\\' | '#') => return,
            _ => {}
        }
        cursor.bump();
    }
}

fn any(cursor: &mut Cursor<'_>, depth: u32) -> Result<Expression, ScriptError> {
    let mut left = all(cursor, depth)?;
    while cursor.eat_word("or") {
        left = Expression::Binary(Box::new(left), Operator::Or, Box::new(all(cursor, depth)?));
    }
    Ok(left)
}

fn all(cursor: &mut Cursor<'_>, depth: u32) -> Result<Expression, ScriptError> {
    let mut left = negation(cursor, depth)?;
    while cursor.eat_word("and") {
        left = Expression::Binary(Box::new(left), Operator::And, Box::new(negation(cursor, depth)?));
    }
    Ok(left)
}

fn negation(cursor: &mut Cursor<'_>, depth: u32) -> Result<Expression, ScriptError> {
    if depth > DEEPEST {
        return Err(cursor.error("this is nested too deeply"));
    }
    if cursor.eat_word("not") {
        return Ok(Expression::Not(Box::new(negation(cursor, depth + 1)?)));
    }
    let first = level(cursor, 0, depth)?;
    let mut links = Vec::new();
    while let Some(operator) = take(cursor, &COMPARISONS) {
        links.push((operator, level(cursor, 0, depth)?));
    }
    Ok(if links.is_empty() { first } else { Expression::Chain(Box::new(first), links) })
}

fn take(cursor: &mut Cursor<'_>, operators: &[(&str, Operator)]) -> Option<Operator> {
    for (text, operator) in operators {
        let before = *cursor;
        if cursor.eat(text) {
            // "<" of "<<" is none.
            if matches!(*text, "<" | ">") && cursor.rest().starts_with(text) {
                *cursor = before;
                continue;
            }
            return Some(*operator);
        }
    }
    None
}

fn level(cursor: &mut Cursor<'_>, place: usize, depth: u32) -> Result<Expression, ScriptError> {
    let Some(operators) = LEVELS.get(place) else { return atom(cursor, depth) };
    let mut left = level(cursor, place + 1, depth)?;
    while let Some(operator) = take(cursor, operators) {
        left = Expression::Binary(Box::new(left), operator, Box::new(level(cursor, place + 1, depth)?));
    }
    Ok(left)
}

fn atom(cursor: &mut Cursor<'_>, depth: u32) -> Result<Expression, ScriptError> {
    if cursor.eat("(") {
        let inner = any(cursor, depth + 1)?;
        cursor.expect(")")?;
        return Ok(inner);
    }
    cursor.skip();
    let start = *cursor;
    let name = cursor.word();
    if name.is_empty() {
        return cursor.number().map(Expression::Number);
    }
    let known = TcpInfo::NAMES.contains(&name) || INFO_NAMES.iter().any(|(known, _)| *known == name);
    if !known {
        return Err(start.error(alloc::format!("{name} is no field of TCP_INFO, nor a number's name")));
    }
    Ok(Expression::Name(name.to_string()))
}

impl Expression {
    /// The value for a connection; what is true is 1.
    pub fn value(&self, info: &TcpInfo) -> i64 {
        match self {
            Self::Number(number) => *number,
            Self::Name(name) => info.field(name).unwrap_or_else(|| {
                INFO_NAMES.iter().find(|(known, _)| known == name).map_or(0, |(_, number)| *number)
            }),
            Self::Not(inner) => (inner.value(info) == 0).into(),
            Self::Binary(left, Operator::Or, right) => {
                (left.value(info) != 0 || right.value(info) != 0).into()
            }
            Self::Binary(left, Operator::And, right) => {
                (left.value(info) != 0 && right.value(info) != 0).into()
            }
            Self::Binary(left, operator, right) => operator.join(left.value(info), right.value(info)),
            Self::Chain(first, links) => {
                let mut left = first.value(info);
                for (operator, next) in links {
                    let right = next.value(info);
                    if operator.join(left, right) == 0 {
                        return 0;
                    }
                    left = right;
                }
                1
            }
        }
    }

    /// The fields it is about, with their values.
    pub(super) fn fields(&self, info: &TcpInfo, found: &mut Vec<(String, i64)>) {
        match self {
            Self::Number(_) => {}
            Self::Name(name) => {
                if let Some(value) = info.field(name)
                    && !found.iter().any(|(known, _)| known == name)
                {
                    found.push((name.clone(), value));
                }
            }
            Self::Not(inner) => inner.fields(info, found),
            Self::Binary(left, _, right) => {
                left.fields(info, found);
                right.fields(info, found);
            }
            Self::Chain(first, links) => {
                first.fields(info, found);
                for (_, next) in links {
                    next.fields(info, found);
                }
            }
        }
    }
}

impl Operator {
    fn join(self, left: i64, right: i64) -> i64 {
        let shift = u32::try_from(right).unwrap_or(64);
        match self {
            Self::Or => i64::from(left != 0 || right != 0),
            Self::And => i64::from(left != 0 && right != 0),
            Self::Equal => i64::from(left == right),
            Self::Unequal => i64::from(left != right),
            Self::AtMost => i64::from(left <= right),
            Self::AtLeast => i64::from(left >= right),
            Self::Less => i64::from(left < right),
            Self::Greater => i64::from(left > right),
            Self::BitOr => left | right,
            Self::BitAnd => left & right,
            Self::ShiftLeft => left.checked_shl(shift).unwrap_or(0),
            Self::ShiftRight => left.checked_shr(shift).unwrap_or(0),
            Self::Plus => left.wrapping_add(right),
            Self::Minus => left.wrapping_sub(right),
            Self::Times => left.wrapping_mul(right),
        }
    }
}
