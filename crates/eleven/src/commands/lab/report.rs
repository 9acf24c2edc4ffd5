//! What came of a scenario, for people.

use std::io::{self, Write as _};

use eleven_lab::{Backend, Outcome, Scenario, Verdict};

use super::seconds;
use crate::output::{Output, Style, print_paragraph};

/// What a scenario is for, and what it sets.
pub(super) struct Heading {
    pub(super) scenario: &'static Scenario,
    /// What the user sets instead, or besides.
    pub(super) settings: Vec<(String, String)>,
}

impl Heading {
    /// Of a scenario as it is.
    pub(super) fn of(scenario: &'static Scenario) -> Self {
        Self { scenario, settings: Vec::new() }
    }

    pub(super) fn print(&self, output: &mut Output) -> io::Result<()> {
        let columns = output.text_columns();
        let name = output.paint.text(Style::Bold, self.scenario.name);
        writeln!(output, "{name}")?;
        print_paragraph(output, self.scenario.purpose, "  ", "  ", columns)?;
        for setting in super::record::settings(self.scenario, &self.settings) {
            print_paragraph(output, &setting.sentence(), "  • ", "    ", columns)?;
        }
        writeln!(output)?;
        output.flush()
    }
}

/// What a scenario promises, before it is played.
pub(super) fn promises(output: &mut Output, scenario: &Scenario) -> io::Result<()> {
    let columns = output.text_columns();
    for (index, promise) in scenario.promises.iter().enumerate() {
        let first = if index == 0 { "  promises  " } else { "            " };
        print_paragraph(output, &promise.to_string(), first, "              ", columns)?;
    }
    Ok(())
}

/// Each promise and what was seen of it.
pub(super) fn verdicts(output: &mut Output, verdicts: &[Verdict]) -> io::Result<()> {
    for verdict in verdicts {
        if verdict.kept {
            writeln!(output, "  ✓ {}", verdict.promised)?;
        } else {
            let cross = output.paint.text(Style::Alarm, "✗");
            writeln!(output, "  {cross} {}", verdict.promised)?;
            writeln!(output, "    seen: {}", verdict.witnessed)?;
        }
    }
    output.flush()
}

/// What to look at and what ends it.
pub(super) fn explanation(output: &mut Output, scenario: &Scenario) -> io::Result<()> {
    let columns = output.text_columns();
    print_paragraph(output, scenario.look_at, "  look at   ", "            ", columns)?;
    print_paragraph(output, scenario.ended_by, "  ended by  ", "            ", columns)?;
    if let Some(finding) = scenario.finding {
        print_paragraph(
            output,
            &format!("{finding} (`eleven explain {finding}`)"),
            "  finding   ",
            "",
            columns,
        )?;
    }
    if let Some(why) = scenario.unseen() {
        let text = format!("no look shows it: {why}");
        print_paragraph(output, &text, "  unseen    ", "            ", columns)?;
    }
    output.flush()
}

/// Whether it was reached, in a line.
pub(super) fn result(output: &mut Output, backend: Backend, outcome: &Outcome) -> io::Result<()> {
    let on = match backend {
        Backend::Kernel(_) => "on the kernel",
        Backend::Simulator => "in the simulator",
    };
    let reached = if outcome.reached() {
        output.paint.text(Style::Bold, "reached")
    } else {
        output.paint.text(Style::Alarm, "not reached")
    };
    writeln!(output, "{reached} {on} after {}", seconds(outcome.elapsed))?;
    if let Some(why) = &outcome.stopped {
        let columns = output.text_columns();
        print_paragraph(output, why, "  ", "  ", columns)?;
    }
    verdicts(output, &outcome.verdicts)
}
