//! Where results go: standard output in the chosen format, with or without colours.

mod color;
mod paragraph;
mod record;
mod table;

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::fd::AsFd;

pub(crate) use color::{Paint, Style};
pub(crate) use paragraph::print_paragraph;
pub(crate) use record::{CsvRecords, JsonRecords};
pub(crate) use table::{Column, Table};

use crate::cli::{ColorChoice, Format, Global};
use crate::text;

/// Output is written in pieces of this size.
const PIECE: usize = 128 * 1024;

/// Standard output, as the options want it.
pub(crate) struct Output {
    /// The format.
    pub(crate) format: Format,
    /// Colours, or none.
    pub(crate) paint: Paint,
    /// Columns of the terminal; `None` when the output is no terminal.
    pub(crate) columns: Option<usize>,
    writer: BufWriter<File>,
}

impl Output {
    /// Opens it.
    ///
    /// # Errors
    /// When standard output is closed.
    pub(crate) fn open(global: &Global) -> io::Result<Self> {
        let stdout = io::stdout();
        let is_terminal = stdout.is_terminal();
        let colored = match global.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => {
                // https://no-color.org: any value but the empty one.
                let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
                let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
                is_terminal && !refused && !dumb
            }
        };
        // Not `Stdout` itself, which looks for line ends in every piece.
        let file = File::from(stdout.as_fd().try_clone_to_owned()?);
        Ok(Self {
            format: global.format,
            paint: Paint::new(colored),
            columns: is_terminal.then(terminal_columns),
            writer: BufWriter::with_capacity(PIECE, file),
        })
    }

    /// Columns to lay paragraphs out for.
    pub(crate) fn text_columns(&self) -> usize {
        self.columns.unwrap_or(100).min(100)
    }

    /// Prints one value as JSON: indented for a terminal, on one line otherwise.
    pub(crate) fn json(&mut self, value: &impl serde::Serialize) -> io::Result<()> {
        if self.columns.is_some() {
            serde_json::to_writer_pretty(&mut self.writer, value)?;
        } else {
            serde_json::to_writer(&mut self.writer, value)?;
        }
        self.writer.write_all(b"\n")
    }
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Width of the terminal: what it says itself, else what the shell says, else 80.
fn terminal_columns() -> usize {
    let from_terminal = rustix::termios::tcgetwinsize(io::stdout()).ok().map(|size| usize::from(size.ws_col));
    let from_shell = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    from_terminal.filter(|columns| *columns > 0).or_else(from_shell).unwrap_or(80)
}

/// Says something beside the results, on standard error. It may quote files and arguments.
pub(crate) fn note(text: &str) {
    let lines: Vec<_> = text.split('\n').map(text::printable).collect();
    // Nowhere to complain to when standard error is closed.
    let _ = writeln!(io::stderr(), "eleven: {}", lines.join("\n"));
}
