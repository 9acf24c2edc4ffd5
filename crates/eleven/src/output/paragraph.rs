//! Paragraphs, broken into lines that fit the terminal.

use std::io::{self, Write};

use super::Output;
use crate::text;

/// Prints a paragraph within the columns, commands painted: its first line behind `first`,
/// the others behind `rest`.
pub(crate) fn print_paragraph(
    output: &mut Output,
    paragraph: &str,
    first: &str,
    rest: &str,
    columns: usize,
) -> io::Result<()> {
    let indent = text::width(first).max(text::width(rest));
    let lines = text::wrap(paragraph, columns.saturating_sub(indent));
    // A command may be broken over two lines: an odd number of backticks before a line says
    // that it begins within one.
    let mut inside = false;
    for (index, line) in lines.iter().enumerate() {
        let indent = if index == 0 { first } else { rest };
        let whole = if inside { format!("`{line}") } else { line.clone() };
        let closes = whole.matches('`').count() % 2 == 1;
        let painted = if output.paint.is_enabled() {
            output.paint.commands(&if closes { format!("{whole}`") } else { whole.clone() })
        } else {
            line.clone()
        };
        inside = closes;
        writeln!(output, "{indent}{painted}")?;
    }
    Ok(())
}
