//! `eleven lab run NAME`.

use std::io::Write as _;

use anyhow::Context as _;
use eleven_lab::ladder::ladder;
use eleven_lab::{Afterwards, Lab, Observer, Options, Outcome, Scenario, find};

use super::hold::Enter;
use super::log::Log;
use super::record::Record;
use super::report::Heading;
use super::screen::Screen;
use super::{backend, create, report, told, wrong};
use crate::cli::{Format, Global, LabRunArgs};
use crate::commands::Interrupted;
use crate::commands::interrupt::on_interrupt;
use crate::output::{CsvRecords, Output, note};

pub(super) fn run(global: &Global, args: &LabRunArgs) -> anyhow::Result<()> {
    let scenario = find(args.name.as_deref().unwrap_or_default()).map_err(wrong)?;
    let backend = backend(args.simulate)?;
    let mut output = Output::open(global)?;
    let interrupt = on_interrupt()?;
    let options = Options {
        settings: args.set.clone(),
        capture: args.write.as_deref().map(create).transpose()?,
        interrupt,
        observer: observer(global, args, scenario)?,
        afterwards: args.hold.then(|| hold(scenario)),
        ..Options::new(backend)
    };
    let outcome = eleven_lab::run(scenario, options).map_err(told)?;
    if let Some(path) = &args.output {
        let svg = ladder(&outcome.evidence, backend.as_str()).svg();
        std::fs::write(path, svg).with_context(|| format!("cannot write {}", path.display()))?;
    }
    match output.format {
        Format::Table => {
            if args.output.is_none() {
                writeln!(output, "\n{}", ladder(&outcome.evidence, backend.as_str()).text())?;
            } else {
                writeln!(output)?;
            }
            report::result(&mut output, backend, &outcome)?;
            report::explanation(&mut output, scenario)?;
        }
        Format::Json | Format::Ndjson => {
            output.json(&Record::new(backend, &outcome, args.write.as_deref()))?;
            output.flush()?;
        }
        Format::Csv => {
            let mut records = CsvRecords::new(output, Record::HEADING)?;
            records.write(Record::new(backend, &outcome, args.write.as_deref()).cells())?;
            records.finish()?;
        }
    }
    if outcome.interrupted {
        return Err(Interrupted.into());
    }
    reached(&outcome)
}

/// An error for the exit code where something promised was not seen.
fn reached(outcome: &Outcome) -> anyhow::Result<()> {
    if outcome.reached() {
        return Ok(());
    }
    let missing = outcome.verdicts.iter().filter(|verdict| !verdict.kept).map(|verdict| &*verdict.promised);
    let missing: Vec<&str> = missing.collect();
    let why = match (&outcome.stopped, missing.as_slice()) {
        (Some(why), _) => why.clone(),
        (None, missing) => format!("it was not seen that {}", missing.join(", nor that ")),
    };
    Err(anyhow::anyhow!("{} did not reach what it promises: {why}", outcome.scenario.name))
}

fn observer(
    global: &Global,
    args: &LabRunArgs,
    scenario: &'static Scenario,
) -> anyhow::Result<Box<dyn Observer>> {
    let output = Output::open(global)?;
    let heading = Heading { scenario, settings: args.set.clone() };
    Ok(match output.format {
        Format::Table if Screen::fits(&output) => Box::new(Screen::new(output, heading, args.step)),
        Format::Table => Box::new(Log::new(output, heading, args.step)),
        Format::Json | Format::Ndjson | Format::Csv => Box::new(()),
    })
}

/// Holds what was reached until Enter.
fn hold(scenario: &'static Scenario) -> Afterwards {
    Box::new(move |lab: &mut Lab, verdicts| {
        let missed = verdicts.iter().filter(|verdict| !verdict.kept).count();
        let state = if missed == 0 {
            "reached and held".to_owned()
        } else {
            format!("held, {missed} promises unseen")
        };
        match lab.entrance() {
            Some(entrance) => {
                note(&format!("{}: {state}; look at it with\n  {entrance} ss -tanoe", scenario.name));
                note(&format!(
                    "or with `eleven --netns {}`",
                    entrance.split("--net=").nth(1).unwrap_or_default()
                ));
            }
            None => note(&format!("{}: {state}; the simulator's time stands still", scenario.name)),
        }
        let mut enter = Enter::default();
        lab.serve_while(|| enter.is_awaited("the end"))
    })
}
