//! Aligned columns, streamed: the first rows decide the widths, the others follow as they come.

use std::io::{self, Write};

use super::{Paint, Style};
use crate::text;

/// Rows that are looked at before the first is printed.
const SAMPLE: usize = 256;
/// What stands between two columns.
const GAP: &str = "  ";
/// A column is not cut below this.
const NARROWEST: usize = 6;

/// A column of a table.
#[derive(Clone, Debug)]
pub(crate) struct Column {
    /// Heading.
    pub(crate) title: &'static str,
    /// Whether cells are set against the right edge.
    pub(crate) right: bool,
    /// Which columns give way first on a narrow terminal: the highest.
    pub(crate) rank: u8,
}

/// A row on its way: cells one after the other, and the style of the first.
#[derive(Debug, Default)]
struct Row {
    cells: Vec<String>,
    style: Option<Style>,
    /// Printed below the row, indented.
    detail: Option<String>,
}

/// Writes a table.
pub(crate) struct Table<W> {
    out: W,
    paint: Paint,
    /// Columns of the terminal, if there is one.
    limit: Option<usize>,
    columns: Vec<Column>,
    /// Width of each column, once decided; 0 leaves a column out.
    widths: Option<Vec<usize>>,
    sample: Vec<Row>,
    line: String,
}

impl<W: Write> Table<W> {
    /// Starts a table.
    pub(crate) fn new(out: W, paint: Paint, limit: Option<usize>, columns: Vec<Column>) -> Self {
        Self { out, paint, limit, columns, widths: None, sample: Vec::new(), line: String::new() }
    }

    /// Writes a row. `fill` appends the text of the column with the given number.
    pub(crate) fn row(
        &mut self,
        style: Option<Style>,
        detail: Option<String>,
        mut fill: impl FnMut(usize, &mut String),
    ) -> io::Result<()> {
        if self.widths.is_some() {
            return self.write_row(style, detail.as_deref(), &mut fill);
        }
        let mut cells = Vec::with_capacity(self.columns.len());
        for index in 0..self.columns.len() {
            let mut cell = String::new();
            fill(index, &mut cell);
            cells.push(cell);
        }
        self.sample.push(Row { cells, style, detail });
        if self.sample.len() >= SAMPLE { self.begin() } else { Ok(()) }
    }

    /// Shows what has been written.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        if self.widths.is_none() && !self.sample.is_empty() {
            return self.begin();
        }
        self.out.flush()
    }

    /// Writes what is left.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        if self.widths.is_none() {
            self.begin()?;
        }
        self.out.flush()
    }

    /// Decides the widths and writes heading and sample.
    fn begin(&mut self) -> io::Result<()> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| column.title.len()).collect();
        for row in &self.sample {
            for (width, cell) in widths.iter_mut().zip(&row.cells) {
                *width = (*width).max(text::width(cell));
            }
        }
        if let Some(limit) = self.limit {
            fit(&self.columns, &mut widths, limit);
        }
        self.widths = Some(widths);
        let titles: Vec<&'static str> = self.columns.iter().map(|column| column.title).collect();
        let rows = std::mem::take(&mut self.sample);
        let paint = self.paint;
        self.write_line(|index, out| out.push_str(titles[index]), |line| paint.text(Style::Bold, line))?;
        for row in rows {
            self.write_row(row.style, row.detail.as_deref(), &mut |index, out| {
                out.push_str(&row.cells[index])
            })?;
        }
        // The first rows are seen before the dump ends.
        self.out.flush()
    }

    fn write_row(
        &mut self,
        style: Option<Style>,
        detail: Option<&str>,
        fill: &mut dyn FnMut(usize, &mut String),
    ) -> io::Result<()> {
        let paint = self.paint;
        let first = self.first_width();
        self.write_line(fill, |line| match style {
            // Only the first column is coloured: a whole coloured screen says nothing.
            Some(style) => {
                let (cell, rest) =
                    line.split_at(line.char_indices().nth(first).map_or(line.len(), |(at, _)| at));
                let mut out = paint.text(style, cell);
                out.push_str(rest);
                out
            }
            None => line.to_owned(),
        })?;
        let Some(detail) = detail else { return Ok(()) };
        let lines = match self.limit {
            Some(limit) => text::wrap(detail, limit.saturating_sub(2 * GAP.len())),
            None => vec![detail.to_owned()],
        };
        for line in lines {
            writeln!(self.out, "{GAP}{GAP}{}", paint.text(Style::Dim, &line))?;
        }
        Ok(())
    }

    fn first_width(&self) -> usize {
        self.widths.as_ref().and_then(|widths| widths.first().copied()).unwrap_or(0)
    }

    fn write_line(
        &mut self,
        mut fill: impl FnMut(usize, &mut String),
        decorate: impl FnOnce(&str) -> String,
    ) -> io::Result<()> {
        let Some(widths) = &self.widths else { return Ok(()) };
        let line = &mut self.line;
        line.clear();
        let last = widths.iter().rposition(|width| *width > 0).unwrap_or(0);
        for (index, (column, width)) in self.columns.iter().zip(widths).enumerate() {
            if *width == 0 {
                continue;
            }
            if !line.is_empty() {
                line.push_str(GAP);
            }
            let start = line.len();
            fill(index, line);
            if self.limit.is_some() && text::width(&line[start..]) > *width {
                let cut = text::cut_cell(&line[start..], *width).into_owned();
                line.truncate(start);
                line.push_str(&cut);
            }
            let blank = width.saturating_sub(text::width(&line[start..]));
            if column.right {
                for _ in 0..blank {
                    line.insert(start, ' ');
                }
            } else if index != last {
                line.extend(std::iter::repeat_n(' ', blank));
            }
        }
        line.truncate(line.trim_end().len());
        let decorated;
        let line = if self.paint.is_enabled() {
            decorated = decorate(line);
            &decorated
        } else {
            &*line
        };
        self.out.write_all(line.as_bytes())?;
        self.out.write_all(b"\n")
    }
}

/// Makes the columns fit the terminal: the least important ones go, then the widest are cut.
fn fit(columns: &[Column], widths: &mut [usize], limit: usize) {
    let total = |widths: &[usize]| {
        let shown = widths.iter().filter(|width| **width > 0).count();
        widths.iter().sum::<usize>() + GAP.len() * shown.saturating_sub(1)
    };
    while total(widths) > limit {
        let least = (0..columns.len())
            .filter(|index| widths[*index] > 0 && columns[*index].rank > 1)
            .max_by_key(|index| (columns[*index].rank, *index));
        match least {
            Some(index) => widths[index] = 0,
            None => break,
        }
    }
    while total(widths) > limit {
        let Some(widest) = (0..widths.len()).max_by_key(|index| widths[*index]) else { return };
        if widths[widest] <= NARROWEST {
            return;
        }
        widths[widest] -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(limit: Option<usize>, rows: &[[&str; 3]]) -> String {
        let columns = vec![
            Column { title: "STATE", right: false, rank: 0 },
            Column { title: "N", right: true, rank: 1 },
            Column { title: "OWNER", right: false, rank: 2 },
        ];
        let mut out = Vec::new();
        let mut table = Table::new(&mut out, Paint::new(false), limit, columns);
        for row in rows {
            table.row(None, None, |index, out| out.push_str(row[index])).unwrap();
        }
        table.finish().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_aligned_without_trailing_blanks() {
        let rows = [["LISTEN", "5", "nginx"], ["ESTABLISHED", "1234", "程序"]];
        assert_eq!(
            table(None, &rows),
            "STATE           N  OWNER\nLISTEN          5  nginx\nESTABLISHED  1234  程序\n"
        );
    }

    #[test]
    fn a_narrow_terminal_loses_columns_and_then_letters() {
        let rows = [["ESTABLISHED", "1234", "nginx"]];
        assert_eq!(table(Some(18), &rows), "STATE           N\nESTABLISHED  1234\n");
        assert_eq!(
            table(Some(14), &rows),
            "STATE       N\nESTABLI…  1234\n".replace("STATE       N", "STATE        N")
        );
    }

    #[test]
    fn a_detail_is_broken_on_a_terminal_and_whole_elsewhere() {
        for (limit, expected) in
            [(None, "A\n1\n    one:1 two:2 three:3\n"), (Some(20), "A\n1\n    one:1 two:2\n    three:3\n")]
        {
            let mut out = Vec::new();
            let columns = vec![Column { title: "A", right: false, rank: 0 }];
            let mut table = Table::new(&mut out, Paint::new(false), limit, columns);
            table.row(None, Some("one:1 two:2 three:3".to_owned()), |_, out| out.push('1')).unwrap();
            table.finish().unwrap();
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn no_rows_are_a_heading() {
        assert_eq!(table(None, &[]), "STATE  N  OWNER\n");
    }
}
