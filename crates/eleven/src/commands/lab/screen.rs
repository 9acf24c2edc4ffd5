//! The terminal: the state diagram with both ends moving in it, and the latest events below.

use std::collections::VecDeque;
use std::io::Write as _;
use std::time::{Duration, Instant};

use eleven_lab::Observer;
use eleven_lab::evidence::Evidence;
use eleven_lab::host::{PEER, SUBJECT};
use eleven_lab::promise::describe;

use super::hold::Enter;
use super::report::Heading;
use super::{diagram, log};
use crate::output::{Output, Style};
use crate::text;

/// So many events are shown where there is room.
const EVENTS: usize = 12;
/// The diagram and what stands beside the events.
const OTHER_LINES: usize = 18;
/// Columns of the diagram.
const COLUMNS: usize = 60;
/// How long a change is shown before the next call, so that an eye can follow.
const SHOWN: Duration = Duration::from_millis(400);

/// Draws.
pub(super) struct Screen {
    output: Output,
    heading: Heading,
    events: VecDeque<String>,
    /// So many are shown.
    most: usize,
    /// Lines of the last drawing, to be drawn over.
    drawn: usize,
    /// The last change that nobody has had time to see.
    changed: Option<Instant>,
    steps: Option<Enter>,
    /// The drawing is done: others write below it.
    is_over: bool,
}

impl Screen {
    /// Whether the terminal is large enough: what is drawn over must all be on it.
    pub(super) fn fits(output: &Output) -> bool {
        output.columns.is_some_and(|columns| columns >= COLUMNS) && rows() > OTHER_LINES + 3
    }

    pub(super) fn new(output: Output, heading: Heading, step: bool) -> Self {
        Self {
            output,
            heading,
            events: VecDeque::new(),
            most: rows().saturating_sub(OTHER_LINES).min(EVENTS),
            drawn: 0,
            changed: None,
            steps: step.then(Enter::quiet),
            is_over: false,
        }
    }

    fn draw(&mut self, evidence: &Evidence) {
        let paint = self.output.paint;
        let columns = self.output.text_columns().max(20);
        let (subject, peer) = (evidence.state(SUBJECT), evidence.state(PEER));
        let mut lines = diagram::lines(paint, subject, peer);
        let row = evidence.latest(SUBJECT).and_then(|sample| sample.row.as_ref());
        let row = row.map_or_else(|| "no row".to_owned(), describe);
        lines.push(format!("     {}", paint.text(Style::Dim, &format!("row  {row}"))));
        lines.push(String::new());
        lines.extend(self.events.iter().cloned());
        if self.steps.is_some() {
            lines.push(
                paint.text(Style::Dim, &format!("{}: Enter for the next call", self.heading.scenario.name)),
            );
        }
        let mut frame = String::new();
        if self.drawn > 0 {
            frame += &format!("\x1b[{}A\r\x1b[J", self.drawn);
        }
        for line in &lines {
            frame += &text::cut(line, columns + (line.len() - plain_length(line)));
            frame.push('\n');
        }
        self.drawn = lines.len();
        // A terminal that has gone is nothing to stop for.
        let _ = self.output.write_all(frame.as_bytes());
        let _ = self.output.flush();
    }
}

/// Lines of the terminal.
fn rows() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stdout());
    size.map_or(0, |size| usize::from(size.ws_row))
}

/// The length of a line in bytes without colours.
fn plain_length(line: &str) -> usize {
    let mut length = 0;
    let mut inside = false;
    for letter in line.chars() {
        match (inside, letter) {
            (false, '\x1b') => inside = true,
            (true, 'm') => inside = false,
            (true, _) => {}
            (false, letter) => length += letter.len_utf8(),
        }
    }
    length
}

impl Observer for Screen {
    fn event(&mut self, evidence: &Evidence) {
        let Some(event) = evidence.events.last() else { return };
        if self.drawn == 0 {
            let _ = self.heading.print(&mut self.output);
        }
        if let Some(line) = log::line(self.output.paint, evidence, event) {
            if self.is_over {
                let _ = writeln!(self.output, "{line}");
                let _ = self.output.flush();
                return;
            }
            self.events.push_back(line);
            if self.events.len() > self.most {
                self.events.pop_front();
            }
        }
        if event.before != event.after {
            self.changed = Some(Instant::now());
        }
        if !self.is_over {
            self.draw(evidence);
        }
    }

    fn played(&mut self) {
        self.is_over = true;
    }

    fn waits(&mut self) -> bool {
        if self.is_over {
            return false;
        }
        if let Some(steps) = &mut self.steps {
            let waits = steps.is_awaited("the next call");
            // The terminal has echoed Enter as a line.
            self.drawn += usize::from(!waits && steps.was_pressed());
            return waits;
        }
        let waits = self.changed.is_some_and(|changed| changed.elapsed() < SHOWN);
        if !waits {
            self.changed = None;
        }
        waits
    }
}
