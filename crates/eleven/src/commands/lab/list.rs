//! `eleven lab list`: what there is, by group.

use std::io::Write as _;

use eleven_lab::{Group, Scenario, all};
use serde::Serialize;

use super::report::{self, Heading};
use crate::cli::{Format, Global, LabListArgs};
use crate::output::{CsvRecords, JsonRecords, Output, Style, note, print_paragraph};

/// A scenario for programs.
#[derive(Serialize)]
struct Listed {
    scenario: &'static str,
    group: &'static str,
    purpose: &'static str,
    look_at: &'static str,
    ended_by: &'static str,
    finding: Option<&'static str>,
    /// Why `doctor` cannot see it.
    unseen: Option<&'static str>,
    promised: Vec<String>,
    settings: Vec<super::record::SettingRecord>,
}

impl From<&'static Scenario> for Listed {
    fn from(scenario: &'static Scenario) -> Self {
        Self {
            scenario: scenario.name,
            group: scenario.group.as_str(),
            purpose: scenario.purpose,
            look_at: scenario.look_at,
            ended_by: scenario.ended_by,
            finding: scenario.finding,
            unseen: scenario.unseen(),
            promised: scenario.promises.iter().map(ToString::to_string).collect(),
            settings: super::record::settings(scenario, &[]),
        }
    }
}

pub(super) fn run(global: &Global, args: &LabListArgs) -> anyhow::Result<()> {
    let words: Vec<String> = args.words.iter().map(|word| word.to_lowercase().replace('_', "-")).collect();
    let found: Vec<&'static Scenario> = all().filter(|scenario| matches(scenario, &words)).collect();
    let mut output = Output::open(global)?;
    match output.format {
        Format::Json | Format::Ndjson => {
            let format = output.format;
            let mut records = JsonRecords::new(output, format);
            for scenario in found {
                records.write(&Listed::from(scenario))?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let mut records = CsvRecords::new(output, ["scenario", "group", "finding", "purpose"])?;
            for scenario in found {
                let finding = scenario.finding.unwrap_or_default();
                records.write([scenario.name, scenario.group.as_str(), finding, scenario.purpose])?;
            }
            records.finish()?;
        }
        Format::Table => {
            match words.as_slice() {
                // Its name: all there is to say about it.
                [name] if all().any(|scenario| scenario.name == name) => page(&mut output, name)?,
                _ => print(&mut output, &found)?,
            }
            if found.is_empty() {
                note("no scenario has that in its name or purpose; `eleven lab list` shows all");
            }
        }
    }
    Ok(())
}

/// All about one scenario.
fn page(output: &mut Output, name: &str) -> anyhow::Result<()> {
    for scenario in all().filter(|scenario| scenario.name == name) {
        Heading::of(scenario).print(output)?;
        report::promises(output, scenario)?;
        report::explanation(output, scenario)?;
    }
    Ok(())
}

fn matches(scenario: &Scenario, words: &[String]) -> bool {
    let text = [scenario.name, scenario.group.as_str(), scenario.finding.unwrap_or_default()].join(" ");
    let purpose = scenario.purpose.to_lowercase().replace('_', "-");
    words.iter().all(|word| text.contains(word) || purpose.contains(word))
}

fn print(output: &mut Output, found: &[&'static Scenario]) -> anyhow::Result<()> {
    let columns = output.text_columns();
    let width = found.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    let mut first = true;
    for group in Group::ALL {
        let mut of_group = found.iter().filter(|scenario| scenario.group == group).peekable();
        if of_group.peek().is_none() {
            continue;
        }
        if !first {
            writeln!(output)?;
        }
        first = false;
        let heading = output.paint.text(Style::Bold, group.as_str());
        writeln!(output, "{heading}")?;
        for scenario in of_group {
            let name = format!("  {:<width$}  ", scenario.name);
            print_paragraph(output, scenario.purpose, &name, &" ".repeat(width + 4), columns)?;
        }
    }
    output.flush()?;
    Ok(())
}
