//! Records for programs: JSON, one JSON object a line, CSV.

use std::io::{self, Write};

use serde::Serialize;

use crate::cli::Format;

/// Writes values as a JSON array or one a line, as they come.
pub(crate) struct JsonRecords<W> {
    out: W,
    is_array: bool,
    count: u64,
    buffer: Vec<u8>,
}

impl<W: Write> JsonRecords<W> {
    /// Starts: an array for [`Format::Json`], lines otherwise.
    pub(crate) fn new(out: W, format: Format) -> Self {
        Self { out, is_array: format == Format::Json, count: 0, buffer: Vec::with_capacity(2048) }
    }

    /// Writes a value.
    pub(crate) fn write(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.buffer.clear();
        if self.is_array {
            self.buffer.extend_from_slice(if self.count == 0 { b"[\n" } else { b",\n" });
        }
        serde_json::to_writer(&mut self.buffer, value)?;
        if !self.is_array {
            self.buffer.push(b'\n');
        }
        self.count += 1;
        self.out.write_all(&self.buffer)
    }

    /// Closes the array.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        match (self.is_array, self.count) {
            (true, 0) => self.out.write_all(b"[]\n")?,
            (true, _) => self.out.write_all(b"\n]\n")?,
            (false, _) => {}
        }
        self.out.flush()
    }
}

/// Writes comma-separated values.
pub(crate) struct CsvRecords<W: Write>(csv::Writer<W>);

impl<W: Write> CsvRecords<W> {
    /// Starts with a heading.
    pub(crate) fn new<'a>(out: W, heading: impl IntoIterator<Item = &'a str>) -> io::Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(heading).map_err(into_io)?;
        Ok(Self(writer))
    }

    /// Goes on where another has written the heading.
    pub(crate) fn without_heading(out: W) -> Self {
        Self(csv::Writer::from_writer(out))
    }

    /// Writes a row.
    pub(crate) fn write<T: AsRef<[u8]>>(&mut self, row: impl IntoIterator<Item = T>) -> io::Result<()> {
        self.0.write_record(row).map_err(into_io)
    }

    /// Shows what has been written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Keeps the system's own error, so that a closed pipe is known as one.
fn into_io(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}
