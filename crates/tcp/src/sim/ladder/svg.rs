//! Ladder diagrams as pictures.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use super::{Change, Flight, Ladder, Side, Step, wrapped};
use crate::Instant;

/// All lengths are in pixels.
const WIDTH: i32 = 1_060;
/// Where the ends' lines stand.
const LEFT: i32 = 230;
const RIGHT: i32 = WIDTH - LEFT;
/// The first step.
const TOP: i32 = 84;
/// From step to step, and how far an arrow falls between the ends.
const STEP: i32 = 36;
const FALL: i32 = 14;
const MARGIN: i32 = 14;
/// The picture's letters are so wide, and its lines so high.
const LETTER: i32 = 8;
const LINE: i32 = 16;
/// So many letters go on an arrow, and on one that is crossed by another.
const LETTERS: usize = ((RIGHT - LEFT - 2 * MARGIN) / LETTER) as usize;
const LETTERS_IF_CROSSED: usize = LETTERS / 2 - 2;

/// The colours stand twice, for light and for dark surroundings. They are no variables, which simple programs do not understand.
const STYLE: &str = "\
.ladder text{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#1f2328}\
.ladder .paper{fill:#ffffff}.ladder .end{stroke:#8c959f;stroke-width:1.5}.ladder .name{font-weight:bold}\
.ladder .time{fill:#59636e}.ladder .state{fill:#0550ae;font-weight:bold}.ladder .note{fill:#8250df}\
.ladder .dot{fill:#8250df}.ladder .arrow{stroke:#1f2328;stroke-width:1.5;fill:none}.ladder .head{fill:#1f2328}\
.ladder .lost{stroke:#cf222e;stroke-width:1.5;fill:none}.ladder .halo{stroke:#ffffff;stroke-width:4;stroke-linejoin:round}\
@media (prefers-color-scheme:dark){\
.ladder text{fill:#e6edf3}.ladder .paper{fill:#0d1117}.ladder .end{stroke:#6e7681}.ladder .time{fill:#9198a1}\
.ladder .state{fill:#79c0ff}.ladder .note{fill:#d2a8ff}.ladder .dot{fill:#d2a8ff}.ladder .arrow{stroke:#e6edf3}\
.ladder .head{fill:#e6edf3}.ladder .lost{stroke:#ff7b72}.ladder .halo{stroke:#0d1117}}";

impl Ladder {
    /// Draws the diagram as a picture: one SVG element that needs nothing else, and follows light and dark surroundings.
    ///
    /// At each end stand the times in seconds, and the state where it changes. A lost segment ends in a red cross.
    pub fn svg(&self) -> String {
        let mut drawing = Drawing {
            left: Column::new(self, Side::Left),
            right: Column::new(self, Side::Right),
            departures: Vec::new(),
            y: TOP,
            out: String::new(),
            labels: String::new(),
        };
        // Writing to a string never fails.
        let _ = drawing.ends(self);
        for step in self.steps() {
            let _ = drawing.step(step);
        }
        drawing.finish()
    }
}

struct Drawing<'a> {
    left: Column<'a>,
    right: Column<'a>,
    /// Where the arrows begin that are not yet drawn, by their numbers.
    departures: Vec<i32>,
    /// Where the next step goes.
    y: i32,
    out: String,
    /// What comes on top of everything else.
    labels: String,
}

/// What is known of an end.
struct Column<'a> {
    x: i32,
    /// The state that was written last.
    state: &'a str,
    time: Option<Instant>,
}

impl<'a> Column<'a> {
    fn new(ladder: &'a Ladder, side: Side) -> Self {
        let x = match side {
            Side::Left => LEFT,
            Side::Right => RIGHT,
        };
        Self { x, state: ladder.first_state(side), time: None }
    }
}

impl<'a> Drawing<'a> {
    fn ends(&mut self, ladder: &Ladder) -> fmt::Result {
        for (side, name) in [(Side::Left, &ladder.left), (Side::Right, &ladder.right)] {
            let (x, state) = (self.column(side).x, self.column(side).state);
            self.words(x, 28, "middle", "name", name)?;
            self.words(x, 52, "middle", "state", state)?;
        }
        Ok(())
    }

    fn step(&mut self, step: Step<'a>) -> fmt::Result {
        // Words of several lines need room above their arrow.
        self.y += match step {
            Step::Note(_) | Step::Arrival(..) => 0,
            Step::Lost(flight) | Step::Arrow(flight) | Step::Departure(flight, _) => {
                height_above(flight, LETTERS)
            }
            Step::Cross { from_left, from_right } => {
                height_above(from_left, LETTERS_IF_CROSSED).max(height_above(from_right, LETTERS_IF_CROSSED))
            }
        };
        let y = self.y;
        match step {
            Step::Note(note) => {
                let x = self.column(note.side).x;
                self.event(note.side, y, note.time, note.change.as_ref())?;
                writeln!(self.out, "<circle class=\"dot\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/>")?;
                let (x, anchor) = match note.side {
                    Side::Left => (x + MARGIN, "start"),
                    Side::Right => (x - MARGIN, "end"),
                };
                self.words(x, y + 4, anchor, "note", &note.text)?;
            }
            Step::Lost(flight) => {
                self.sent(flight, y)?;
                self.lost(flight, y)?;
                self.y += FALL / 2;
            }
            Step::Arrow(flight) => {
                self.sent(flight, y)?;
                self.received(flight, y + FALL)?;
                self.arrow(flight, y, y + FALL)?;
                self.label_at(flight, y, y + FALL, 50, LETTERS)?;
                self.y += FALL;
            }
            Step::Cross { from_left, from_right } => {
                let fall = STEP + FALL;
                self.sent(from_left, y)?;
                self.sent(from_right, y)?;
                self.received(from_left, y + fall)?;
                self.received(from_right, y + fall)?;
                self.arrow(from_left, y, y + fall)?;
                self.label_at(from_left, y, y + fall, 25, LETTERS_IF_CROSSED)?;
                self.arrow(from_right, y, y + fall)?;
                self.label_at(from_right, y, y + fall, 25, LETTERS_IF_CROSSED)?;
                self.y += fall;
            }
            Step::Departure(flight, number) => {
                self.sent(flight, y)?;
                if self.departures.len() <= number {
                    self.departures.resize(number + 1, y);
                }
                self.departures[number] = y;
                // Level, and at the sender: there every step has a height of its own, so labels cannot meet.
                self.label_at(flight, y, y, 0, LETTERS)?;
            }
            Step::Arrival(flight, number) => {
                self.received(flight, y)?;
                let sent = self.departures.get(number).copied().unwrap_or(y);
                self.arrow(flight, sent, y)?;
            }
        }
        self.y += STEP;
        Ok(())
    }

    fn column(&mut self, side: Side) -> &mut Column<'a> {
        match side {
            Side::Left => &mut self.left,
            Side::Right => &mut self.right,
        }
    }

    fn sent(&mut self, flight: &'a Flight, y: i32) -> fmt::Result {
        self.event(flight.from, y, flight.sent, flight.sender.as_ref())
    }

    fn received(&mut self, flight: &'a Flight, y: i32) -> fmt::Result {
        let time = flight.received.unwrap_or(flight.sent);
        self.event(flight.from.other(), y, time, flight.receiver.as_ref())
    }

    /// The time of an event, and the state if it is a new one.
    fn event(&mut self, side: Side, y: i32, time: Instant, change: Option<&'a Change>) -> fmt::Result {
        let column = self.column(side);
        let news = change.map(|change| change.after.as_str()).filter(|after| *after != column.state);
        let late = column.time != Some(time);
        let x = column.x;
        column.time = Some(time);
        if let Some(state) = news {
            column.state = state;
        }
        let (time_x, state_x, outside, inside) = match side {
            Side::Left => (MARGIN, x - MARGIN, "start", "end"),
            Side::Right => (WIDTH - MARGIN, x + MARGIN, "end", "start"),
        };
        // Of several events at one time, only the first says when.
        if late {
            let seconds = format!("{}.{:06}", time.as_micros() / 1_000_000, time.as_micros() % 1_000_000);
            self.words(time_x, y + 4, outside, "time", &seconds)?;
        }
        news.map_or(Ok(()), |state| self.words(state_x, y + 4, inside, "state", state))
    }

    /// A line from the sender to the receiver.
    fn arrow(&mut self, flight: &Flight, from: i32, to: i32) -> fmt::Result {
        let (start, end, back) = match flight.from {
            Side::Left => (LEFT, RIGHT, -9),
            Side::Right => (RIGHT, LEFT, 9),
        };
        let slope = f64::from(to - from) / f64::from(end - start);
        writeln!(
            self.out,
            "<path class=\"arrow\" d=\"M{start} {from}L{end} {to}\"/>\
             <path class=\"head\" transform=\"matrix(1 {slope:.4} 0 1 {end} {to})\" d=\"M0 0l{back} -4.5v9z\"/>"
        )
    }

    /// A segment's label at so many hundredths of the way from the sender to the receiver.
    fn label_at(
        &mut self,
        flight: &Flight,
        from: i32,
        to: i32,
        hundredths: i32,
        letters: usize,
    ) -> fmt::Result {
        let (start, end) = match flight.from {
            Side::Left => (LEFT, RIGHT),
            Side::Right => (RIGHT, LEFT),
        };
        let slope = f64::from(to - from) / f64::from(end - start);
        let x = start + (end - start) * hundredths / 100;
        let y = from + (to - from) * hundredths / 100;
        self.label(x, y, slope, &flight.label, letters)
    }

    fn lost(&mut self, flight: &Flight, y: i32) -> fmt::Result {
        let (start, end) = match flight.from {
            Side::Left => (LEFT, LEFT + (RIGHT - LEFT) * 7 / 10),
            Side::Right => (RIGHT, RIGHT - (RIGHT - LEFT) * 7 / 10),
        };
        let to = y + FALL * 7 / 10;
        let slope = f64::from(to - y) / f64::from(end - start);
        writeln!(
            self.out,
            "<path class=\"lost\" d=\"M{start} {y}L{end} {to}M{} {}l12 12m0 -12l-12 12\"/>",
            end - 6,
            to - 6
        )?;
        let (x, y) = (i32::midpoint(start, end), i32::midpoint(y, to));
        self.label(x, y, slope, &flight.label, LETTERS)
    }

    /// Words above a line, along it. Sheared, not turned round: that takes no trigonometry, and at these
    /// slopes nobody sees it.
    fn label(&mut self, x: i32, y: i32, slope: f64, label: &str, letters: usize) -> fmt::Result {
        let lines = wrapped(label, letters);
        for (index, line) in lines.iter().rev().enumerate() {
            // Kept between the ends.
            let half = times(LETTER, line.chars().count()) / 2;
            let middle = x.max(LEFT + MARGIN + half).min(RIGHT - MARGIN - half);
            let above = y + (f64::from(middle - x) * slope) as i32 - 6 - times(LINE, index);
            let place =
                format!("transform=\"matrix(1 {slope:.4} 0 1 {middle} {above})\" text-anchor=\"middle\"");
            let line = Escaped(line);
            // What lies below the words is covered first: other lines may pass there.
            writeln!(self.labels, "<text class=\"halo\" aria-hidden=\"true\" {place}>{line}</text>")?;
            writeln!(self.labels, "<text {place}>{line}</text>")?;
        }
        Ok(())
    }

    fn words(&mut self, x: i32, y: i32, anchor: &str, class: &str, words: &str) -> fmt::Result {
        if words.is_empty() {
            return Ok(());
        }
        let words = Escaped(words);
        writeln!(
            self.out,
            "<text class=\"{class}\" x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{words}</text>"
        )
    }

    fn finish(self) -> String {
        let height = self.y;
        let bottom = height - MARGIN;
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"ladder\" role=\"img\" viewBox=\"0 0 {WIDTH} {height}\" \
             width=\"{WIDTH}\" height=\"{height}\">\n<style>{STYLE}</style>\n\
             <rect class=\"paper\" width=\"{WIDTH}\" height=\"{height}\"/>\n\
             <path class=\"end\" d=\"M{LEFT} 62V{bottom}M{RIGHT} 62V{bottom}\"/>\n{}{}</svg>\n",
            self.out, self.labels
        )
    }
}

/// The height of all lines of a label but one.
fn height_above(flight: &Flight, letters: usize) -> i32 {
    times(LINE, wrapped(&flight.label, letters).len().saturating_sub(1))
}

fn times(length: i32, count: usize) -> i32 {
    i32::try_from(count).map_or(i32::MAX, |count| length.saturating_mul(count))
}

/// Text as it may stand in an element. Signs that no XML may contain become `�`.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|letter| match letter {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            '\t' | '\n' | '\r' => f.write_char(' '),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => f.write_char('\u{fffd}'),
            letter => f.write_char(letter),
        })
    }
}
