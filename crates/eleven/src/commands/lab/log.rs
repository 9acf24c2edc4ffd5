//! What happens, a line each, as it happens.

use std::io::Write as _;

use eleven_lab::Observer;
use eleven_lab::evidence::{Event, Evidence, What};
use eleven_lab::host::{HostId, SUBJECT};
use eleven_lab::promise::describe;

use super::hold::Enter;
use super::report::Heading;
use super::seconds;
use crate::output::{Output, Paint, Style};
use crate::text;

/// Columns of the text between the host and the states.
const TEXT: usize = 52;

/// Prints events.
pub(super) struct Log {
    output: Output,
    /// Until something has happened: a setting may be refused before.
    heading: Option<Heading>,
    /// The subject's row as it was told last.
    row: String,
    /// With `--step`.
    steps: Option<Enter>,
}

impl Log {
    pub(super) fn new(output: Output, heading: Heading, step: bool) -> Self {
        Self { output, heading: Some(heading), row: String::new(), steps: step.then(Enter::default) }
    }
}

impl Observer for Log {
    fn event(&mut self, evidence: &Evidence) {
        let Some(event) = evidence.events.last() else { return };
        if let Some(heading) = self.heading.take() {
            let _ = heading.print(&mut self.output);
        }
        let mut lines = line(self.output.paint, evidence, event).map_or_else(Vec::new, |line| vec![line]);
        lines.extend(self.row_line(evidence, event));
        for line in lines {
            // Whoever has seen enough closes the pipe; the scenario is played all the same.
            let _ = writeln!(self.output, "{line}");
        }
        let _ = self.output.flush();
    }

    fn played(&mut self) {
        self.steps = None;
    }

    fn waits(&mut self) -> bool {
        self.steps.as_mut().is_some_and(|enter| enter.is_awaited("the next call"))
    }
}

impl Log {
    /// The subject's row, when it has changed.
    fn row_line(&mut self, evidence: &Evidence, event: &Event) -> Option<String> {
        if event.host != SUBJECT {
            return None;
        }
        let row = evidence.latest(SUBJECT)?.row.as_ref().map_or_else(|| "no row".to_owned(), describe);
        if row == self.row {
            return None;
        }
        self.row.clone_from(&row);
        Some(self.output.paint.text(Style::Dim, &format!("{:>10}  row       {row}", "")))
    }
}

/// An event in a line; `None` where its cause has told it.
pub(super) fn line(paint: Paint, evidence: &Evidence, event: &Event) -> Option<String> {
    let label =
        |number: &usize| evidence.passages.get(*number).map_or("…", |passage| passage.label.as_str());
    let text = match &event.what {
        What::Step(step) => {
            let at = seconds(Evidence::since_start(event.at));
            return Some(format!("{at:>10}  {}", paint.text(Style::Bold, &format!("• {step}"))));
        }
        What::Seen(seen) => {
            let at = seconds(Evidence::since_start(event.at));
            return Some(format!(
                "{at:>10}  {:<9} {}",
                event.host.name(),
                paint.text(Style::Dim, &format!("✓ {seen}"))
            ));
        }
        What::Call { text, answer: Ok(_) } => text.clone(),
        What::Call { text, answer: Err(errno) } => format!("{text} = {errno}"),
        What::Sent(number) => format!("{}{}", arrow(event.host), label(number)),
        What::Received(_) if event.before == event.after => return None,
        What::Received(number) => format!("hears {}", label(number)),
        What::ByItself => "timer".to_owned(),
    };
    let at = seconds(Evidence::since_start(event.at));
    let mut line = format!("{at:>10}  {:<9} {}", event.host.name(), text::cut_cell(&text, TEXT));
    if event.before != event.after {
        let pad = (24 + TEXT).saturating_sub(text::width(&line));
        let after = paint.text(Style::State(event.after), event.after.as_str());
        line += &format!("{}{} → {after}", " ".repeat(pad), event.before);
    }
    Some(line)
}

const fn arrow(host: HostId) -> &'static str {
    if host.0 == SUBJECT.0 { "──▶ " } else { "◀── " }
}
