//! Ladder diagrams in letters, at most 100 columns wide.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use super::{Change, Entry, Flight, Ladder, Side, Step, width, wrapped};
use crate::Instant;

/// How wide a diagram is.
const WIDTH: usize = 100;
/// An arrow has at least so much room, even if that takes more than the width.
const NARROWEST: usize = 40;
/// So much of a line stands before and behind the words on it.
const STUB: usize = 2;

impl Ladder {
    /// Draws the diagram in letters, in lines of at most 100 columns that end without blanks.
    ///
    /// At each end stand the times in seconds, and the state where it changes. A lost segment ends in ✗. A segment
    /// whose way crosses that of several others is drawn in two pieces with the same number: `#1`.
    pub fn text(&self) -> String {
        let mut page = Page::new(self);
        page.begin(self);
        for step in self.steps() {
            page.step(step);
        }
        page.out
    }
}

/// What is drawn on, from top to bottom.
struct Page<'a> {
    /// How wide the columns of times and of states are, and the room between the ends.
    time: usize,
    state: usize,
    room: usize,
    /// The states that were printed last.
    left_state: &'a str,
    right_state: &'a str,
    out: String,
}

/// What stands at one end of a row.
#[derive(Clone, Copy, Default)]
struct EndOfRow<'a> {
    time: Option<Instant>,
    state: &'a str,
    /// The sign on the end's line; a plain line if there is none.
    rail: Option<char>,
}

impl<'a> EndOfRow<'a> {
    fn at(time: Instant, state: &'a str) -> Self {
        Self { time: Some(time), state, rail: None }
    }

    fn rail(self, rail: char) -> Self {
        Self { rail: Some(rail), ..self }
    }
}

fn seconds(time: Instant) -> String {
    format!("{}.{:06}", time.as_micros() / 1_000_000, time.as_micros() % 1_000_000)
}

impl<'a> Page<'a> {
    fn new(ladder: &'a Ladder) -> Self {
        let times = ladder.entries.iter().flat_map(|entry| match entry {
            Entry::Note(note) => [Some(note.time), None],
            Entry::Segment(flight) => [Some(flight.sent), flight.received],
        });
        let changes = ladder.entries.iter().flat_map(|entry| match entry {
            Entry::Note(note) => [note.change.as_ref(), None],
            Entry::Segment(flight) => [flight.sender.as_ref(), flight.receiver.as_ref()],
        });
        let states = changes.flatten().flat_map(|change| [&change.before, &change.after]);
        let time = times.flatten().map(|time| width(&seconds(time))).max().unwrap_or(0);
        let state = states.map(|state| width(state)).max().unwrap_or(0);
        // A blank behind the time, and one before the end's line.
        let sides = 2 * (time + 1 + state + 1 + 1);
        Self {
            time,
            state,
            room: WIDTH.saturating_sub(sides).max(NARROWEST),
            left_state: ladder.first_state(Side::Left),
            right_state: ladder.first_state(Side::Right),
            out: String::new(),
        }
    }

    /// The names of the ends and the states they begin in.
    fn begin(&mut self, ladder: &Ladder) {
        let margin = self.time + 1 + self.state + 1;
        let gap = self.room + 2;
        let (left, right) = (width(&ladder.left), width(&ladder.right));
        if left + right < gap {
            let between = gap - left - right;
            self.line(&format!("{:margin$}{}{:between$}{}", "", ladder.left, "", ladder.right));
        } else {
            self.line(&format!("{:margin$}{}", "", ladder.left));
            let indent = (margin + gap).saturating_sub(right);
            self.line(&format!("{:indent$}{}", "", ladder.right));
        }
        let (left, right) = (self.left_state, self.right_state);
        let end = |state| EndOfRow { state, ..EndOfRow::default() };
        self.row(end(left), &self.blank(), end(right));
    }

    fn step(&mut self, step: Step<'a>) {
        match step {
            Step::Note(note) => {
                let state = self.news(note.side, note.change.as_ref());
                for (index, line) in wrapped(&note.text, self.room - STUB).into_iter().enumerate() {
                    let mut canvas = self.blank();
                    let column = if note.side == Side::Left { 1 } else { self.room - 1 - width(&line) };
                    write(&mut canvas, column, &line);
                    let end = if index == 0 {
                        EndOfRow::at(note.time, state).rail('●')
                    } else {
                        EndOfRow::default()
                    };
                    self.row_from(note.side, end, &canvas, EndOfRow::default());
                }
            }
            Step::Lost(flight) => {
                let state = self.news(flight.from, flight.sender.as_ref());
                let label = self.label_or_lines_above(&flight.label, self.room - 2 * STUB - 4);
                let length = (self.room * 3 / 4).max(width(label) + 2 * STUB + 3);
                let mut canvas = self.blank();
                line(&mut canvas, flight.from, 0, length, label, '✗');
                let end = EndOfRow::at(flight.sent, state).rail(start(flight.from));
                self.row_from(flight.from, end, &canvas, EndOfRow::default());
            }
            Step::Arrow(flight) => {
                let from = self.news(flight.from, flight.sender.as_ref());
                let to = self.news(flight.from.other(), flight.receiver.as_ref());
                let label = self.label_or_lines_above(&flight.label, self.room - 2 * STUB - 3);
                let mut canvas = self.blank();
                line(&mut canvas, flight.from, 0, self.room, label, head(flight.from));
                let near = EndOfRow::at(flight.sent, from).rail(start(flight.from));
                let far = EndOfRow::at(flight.received.unwrap_or(flight.sent), to);
                self.row_from(flight.from, near, &canvas, far);
            }
            Step::Departure(flight, number) => {
                let state = self.news(flight.from, flight.sender.as_ref());
                let number = format!("#{}", number + 1);
                let label = self.label_or_lines_above(&flight.label, self.room - 2 * STUB - 12);
                let length = (self.room / 2).max(width(label) + 2 * STUB + 5);
                let mut canvas = self.blank();
                line(&mut canvas, flight.from, 0, length, label, '┄');
                match flight.from {
                    Side::Left => write(&mut canvas, length + 1, &number),
                    Side::Right => write_before(&mut canvas, self.room - length, &number),
                }
                let end = EndOfRow::at(flight.sent, state).rail(start(flight.from));
                self.row_from(flight.from, end, &canvas, EndOfRow::default());
            }
            Step::Arrival(flight, number) => {
                let state = self.news(flight.from.other(), flight.receiver.as_ref());
                let begins = self.room * 3 / 5;
                let mut canvas = self.blank();
                line(&mut canvas, flight.from, begins, self.room - begins, "", head(flight.from));
                let number = format!("#{}", number + 1);
                match flight.from {
                    Side::Left => write_before(&mut canvas, begins, &number),
                    Side::Right => write(&mut canvas, self.room - begins + 1, &number),
                }
                let end = EndOfRow::at(flight.received.unwrap_or(flight.sent), state);
                self.row_from(flight.from.other(), end, &canvas, EndOfRow::default());
            }
            Step::Cross { from_left, from_right } => self.cross(from_left, from_right),
        }
    }

    /// An X: both are sent in its first row and received in its last.
    fn cross(&mut self, from_left: &'a Flight, from_right: &'a Flight) {
        let middle = self.room / 2;
        let longest = middle.saturating_sub(2 * STUB + 5);
        let (left, right) = (width(&from_left.label), width(&from_right.label));
        let (mut left_label, mut right_label) = (from_left.label.as_str(), from_right.label.as_str());
        if left > longest || right > longest {
            for (side, label) in [(Side::Left, left_label), (Side::Right, right_label)] {
                for text in wrapped(label, self.room - STUB) {
                    let mut canvas = self.blank();
                    let column = if side == Side::Left { 1 } else { self.room - 1 - width(&text) };
                    write(&mut canvas, column, &text);
                    self.row(EndOfRow::default(), &canvas, EndOfRow::default());
                }
            }
            (left_label, right_label) = ("", "");
        }

        let (near_left, near_right) = (
            self.news(Side::Left, from_left.sender.as_ref()),
            self.news(Side::Right, from_right.sender.as_ref()),
        );
        let mut canvas = self.blank();
        line(&mut canvas, Side::Left, 0, middle - 1, left_label, '╮');
        line(&mut canvas, Side::Right, 0, self.room - middle - 2, right_label, '╭');
        let left = EndOfRow::at(from_left.sent, near_left).rail('├');
        let right = EndOfRow::at(from_right.sent, near_right).rail('┤');
        self.row(left, &canvas, right);
        for sign in ["╲ ╱", " ╳ ", "╱ ╲"] {
            let mut canvas = self.blank();
            write(&mut canvas, middle - 1, sign);
            self.row(EndOfRow::default(), &canvas, EndOfRow::default());
        }
        let mut canvas = self.blank();
        line(&mut canvas, Side::Right, self.room - middle + 1, middle - 1, "", '◀');
        line(&mut canvas, Side::Left, middle + 2, self.room - middle - 2, "", '▶');
        write(&mut canvas, middle - 2, "╯   ╰");
        let far_left = self.news(Side::Left, from_right.receiver.as_ref());
        let far_right = self.news(Side::Right, from_left.receiver.as_ref());
        self.row(
            EndOfRow::at(from_right.received.unwrap_or(from_right.sent), far_left),
            &canvas,
            EndOfRow::at(from_left.received.unwrap_or(from_left.sent), far_right),
        );
    }

    /// The state of an end, if it is not what was printed last.
    fn news(&mut self, side: Side, change: Option<&'a Change>) -> &'a str {
        let known = match side {
            Side::Left => &mut self.left_state,
            Side::Right => &mut self.right_state,
        };
        match change {
            Some(change) if change.after != *known => {
                *known = &change.after;
                known
            }
            _ => "",
        }
    }

    /// A label that fits on its arrow; one that does not stands above, and the arrow carries none.
    fn label_or_lines_above<'b>(&mut self, label: &'b str, longest: usize) -> &'b str {
        if width(label) <= longest {
            return label;
        }
        for text in wrapped(label, self.room - 2 * STUB) {
            let mut canvas = self.blank();
            write(&mut canvas, (self.room - width(&text)) / 2, &text);
            self.row(EndOfRow::default(), &canvas, EndOfRow::default());
        }
        ""
    }

    fn blank(&self) -> Vec<char> {
        vec![' '; self.room]
    }

    /// A row whose first end is on the given side.
    fn row_from(&mut self, side: Side, near: EndOfRow<'_>, canvas: &[char], far: EndOfRow<'_>) {
        match side {
            Side::Left => self.row(near, canvas, far),
            Side::Right => self.row(far, canvas, near),
        }
    }

    fn row(&mut self, left: EndOfRow<'_>, canvas: &[char], right: EndOfRow<'_>) {
        let time = |end: EndOfRow<'_>| end.time.map_or_else(String::new, seconds);
        let (time_width, state_width) = (self.time, self.state);
        let canvas: String = canvas.iter().collect();
        let row = format!(
            "{:>time_width$} {:>state_width$} {}{canvas}{} {:<state_width$} {}",
            time(left),
            left.state,
            left.rail.unwrap_or('│'),
            right.rail.unwrap_or('│'),
            right.state,
            time(right),
        );
        self.line(&row);
    }

    fn line(&mut self, line: &str) {
        self.out.push_str(line.trim_end());
        self.out.push('\n');
    }
}

/// The sign on an end's line where an arrow begins.
const fn start(from: Side) -> char {
    match from {
        Side::Left => '├',
        Side::Right => '┤',
    }
}

/// The head of an arrow.
const fn head(from: Side) -> char {
    match from {
        Side::Left => '▶',
        Side::Right => '◀',
    }
}

/// Draws a line of so many columns, with a label in its middle and a sign at its end, beginning
/// `offset` columns from the end it comes from.
fn line(canvas: &mut [char], from: Side, offset: usize, length: usize, label: &str, sign: char) {
    let Some(last) = length.checked_sub(1) else {
        return;
    };
    let place = |column: usize| match from {
        Side::Left => offset + column,
        Side::Right => (canvas.len() - 1).saturating_sub(offset + column),
    };
    let first = place(0).min(place(last));
    let places: Vec<usize> = (0..length).map(place).collect();
    for (column, place) in places.iter().enumerate() {
        if let Some(cell) = canvas.get_mut(*place) {
            *cell = if column == last { sign } else { '─' };
        }
    }
    if !label.is_empty() {
        let label = format!(" {label} ");
        write(canvas, first + length.saturating_sub(width(&label)) / 2, &label);
    }
}

/// Writes so that a blank is left before the column.
fn write_before(canvas: &mut [char], column: usize, text: &str) {
    write(canvas, column.saturating_sub(1 + width(text)), text);
}

fn write(canvas: &mut [char], column: usize, text: &str) {
    for (cell, letter) in canvas.iter_mut().skip(column).zip(text.chars()) {
        *cell = letter;
    }
}
