//! `eleven lab compare`: where the endpoint is unlike the kernel.

use std::io::Write as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

use eleven_lab::compare::{Difference, compare};
use eleven_lab::{Backend, Group, Options, Scenario, Stop, all, find};
use serde::Serialize;

use super::{backend, told, wrong};
use crate::cli::{Format, Global, LabCompareArgs};
use crate::commands::interrupt::on_interrupt;
use crate::output::{CsvRecords, JsonRecords, Output, Style, print_paragraph};

/// About as long as a packet is under way to a kernel behind a TUN device: who measures round trips gets the same.
const DELAY: Duration = Duration::from_micros(500);

/// So often a scenario is played that shows something nobody can explain.
const LOOKS: u32 = 5;

/// What came of one scenario.
#[derive(Serialize)]
struct Compared {
    scenario: &'static str,
    group: &'static str,
    same: bool,
    differences: Vec<Told>,
}

/// A difference for programs.
#[derive(Serialize)]
struct Told {
    aspect: &'static str,
    kernel: String,
    endpoint: String,
    explanation: Option<&'static str>,
}

impl From<Difference> for Told {
    fn from(difference: Difference) -> Self {
        Self {
            aspect: difference.aspect.as_str(),
            kernel: difference.kernel,
            endpoint: difference.endpoint,
            explanation: difference.explanation,
        }
    }
}

pub(super) fn run(global: &Global, args: &LabCompareArgs) -> anyhow::Result<()> {
    let scenarios: Vec<&'static Scenario> = if args.names.is_empty() {
        all().filter(|scenario| matches!(scenario.group, Group::Paths | Group::Losses)).collect()
    } else {
        args.names.iter().map(|name| find(name).map_err(wrong)).collect::<Result<_, _>>()?
    };
    let kernel = backend(false)?;
    let interrupt = on_interrupt()?;
    let played = super::all::at_once(&scenarios, &interrupt, |scenario| {
        let play = |backend, settings| {
            let options =
                Options { settings, interrupt: interrupt.clone(), delay: DELAY, ..Options::new(backend) };
            eleven_lab::run(scenario, options)
        };
        let once = || -> Result<Vec<Difference>, Stop> {
            let kernel = play(kernel, Vec::new())?;
            // What an administrator can change is no difference.
            let endpoint = play(Backend::Simulator, kernel.sysctls.clone())?;
            Ok(compare(&kernel, &endpoint))
        };
        let mut differences = once()?;
        // A kernel shares its machine: what differs in one of several looks only is the machine's doing.
        for _ in 1..LOOKS {
            if differences.iter().all(|difference| difference.explanation.is_some()) {
                break;
            }
            differences = once()?;
        }
        Ok(differences)
    });
    if interrupt.load(Ordering::Relaxed) {
        return Err(told(Stop::Interrupted));
    }
    let mut compared = Vec::new();
    for (scenario, differences) in scenarios.iter().zip(played) {
        let differences = differences.map_err(told)?;
        compared.push(Compared {
            scenario: scenario.name,
            group: scenario.group.as_str(),
            same: differences.is_empty(),
            differences: differences.into_iter().map(Told::from).collect(),
        });
    }
    print(global, &compared)?;
    let unexplained = |told: &&Told| told.explanation.is_none();
    match compared.iter().flat_map(|it| &it.differences).filter(unexplained).count() {
        0 => Ok(()),
        1 => Err(anyhow::anyhow!("1 difference is not explained")),
        count => Err(anyhow::anyhow!("{count} differences are not explained")),
    }
}

fn print(global: &Global, compared: &[Compared]) -> anyhow::Result<()> {
    let mut output = Output::open(global)?;
    match output.format {
        Format::Json | Format::Ndjson => {
            let mut records = JsonRecords::new(output, global.format);
            for it in compared {
                records.write(it)?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let heading = ["scenario", "group", "aspect", "kernel", "endpoint", "explanation"];
            let mut records = CsvRecords::new(output, heading)?;
            for it in compared {
                for told in &it.differences {
                    let explanation = told.explanation.unwrap_or_default();
                    records.write([
                        it.scenario,
                        it.group,
                        told.aspect,
                        &told.kernel,
                        &told.endpoint,
                        explanation,
                    ])?;
                }
            }
            records.finish()?;
        }
        Format::Table => {
            for it in compared {
                line(&mut output, it)?;
            }
            explanations(&mut output, compared)?;
            let same = compared.iter().filter(|it| it.same).count();
            let is_explained = |it: &&Compared| it.differences.iter().all(|told| told.explanation.is_some());
            let explained = compared.iter().filter(is_explained).count() - same;
            writeln!(
                output,
                "{} compared: {same} the same, {explained} with differences that have a reason, {} without",
                compared.len(),
                compared.len() - same - explained
            )?;
            output.flush()?;
        }
    }
    Ok(())
}

/// In what a scenario differs, and what nobody can explain about it.
fn line(output: &mut Output, compared: &Compared) -> anyhow::Result<()> {
    let mut aspects: Vec<&str> = compared.differences.iter().map(|told| told.aspect).collect();
    aspects.dedup();
    let differs =
        if aspects.is_empty() { "the same".to_owned() } else { format!("but for {}", aspects.join(", ")) };
    writeln!(output, "{:<32} {differs}", compared.scenario)?;
    for told in compared.differences.iter().filter(|told| told.explanation.is_none()) {
        let unexplained = output.paint.text(Style::Alarm, "unexplained");
        writeln!(output, "    {unexplained}: {}", told.aspect)?;
        example(output, told)?;
    }
    Ok(())
}

fn example(output: &mut Output, told: &Told) -> anyhow::Result<()> {
    let columns = output.text_columns();
    print_paragraph(output, &told.kernel, "    kernel    ", "              ", columns)?;
    print_paragraph(output, &told.endpoint, "    endpoint  ", "              ", columns)?;
    Ok(())
}

/// Each reason once, with the scenarios that it concerns and the first of them as an example.
fn explanations(output: &mut Output, compared: &[Compared]) -> anyhow::Result<()> {
    let columns = output.text_columns();
    let mut told: Vec<&str> = Vec::new();
    for why in compared.iter().flat_map(|it| &it.differences).filter_map(|told| told.explanation) {
        if told.contains(&why) {
            continue;
        }
        told.push(why);
        let concerned = compared.iter().filter_map(|it| {
            it.differences.iter().find(|told| told.explanation == Some(why)).map(|told| (it.scenario, told))
        });
        let concerned: Vec<(&str, &Told)> = concerned.collect();
        writeln!(output)?;
        print_paragraph(output, why, "", "", columns)?;
        let names: Vec<&str> = concerned.iter().map(|(name, _)| *name).collect();
        let names = if names.len() > 4 { format!("{} scenarios", names.len()) } else { names.join(", ") };
        writeln!(output, "    in        {names}")?;
        if let Some((_, first)) = concerned.first() {
            example(output, first)?;
        }
    }
    if !told.is_empty() {
        writeln!(output)?;
    }
    Ok(())
}
