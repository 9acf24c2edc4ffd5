//! `--watch`: goes on looking, and prints what begins, gets worse and ends.

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use eleven_doctor::{Case, Finding, Severity, Subject, judge};
use eleven_knowledge::DoctorTexts;
use serde_json::json;

use super::looking::Looking;
use super::servers::Traffic;
use super::{Chosen, Report, TIMEOUT_ORDER, fronting, print, report};
use crate::cli::{DoctorArgs, Format};
use crate::commands::interrupt::Waiter;
use crate::commands::{Interrupted, language};
use crate::output::{CsvRecords, Output, Style};

/// Two looks closer than this measure mostly themselves.
const SHORTEST: Duration = Duration::from_millis(200);

/// What makes two findings the same one, looked at twice.
fn identity(finding: &Finding) -> (&'static str, Option<&'static str>, Subject) {
    let mut subject = finding.subject.clone();
    // The main peer of a pile may change; it is the same pile.
    if finding.subject.pid.is_some() && finding.subject.local.is_none() {
        subject.remote = None;
    }
    (finding.code, finding.variant, subject)
}

pub(super) fn run(looking: &Looking<'_>, args: &DoctorArgs, chosen: &Chosen) -> anyhow::Result<()> {
    let global = looking.global;
    let texts = DoctorTexts::of(language(global));
    let mut output = Output::open(global)?;
    let mut before = looking.now(None)?;
    before.notes.iter().for_each(|text| crate::output::note(text));
    let mut known: Vec<Finding> = Vec::new();
    let mut is_first = true;
    if output.format == Format::Csv {
        CsvRecords::new(&mut output, ["at_s", "change"].into_iter().chain(report::CSV_HEADING))?.finish()?;
    }
    let waiter = Waiter::new()?;
    let given = fronting::given(&args.config)?;
    loop {
        let mut traffic = Traffic::default();
        let after = match looking.again(&before, args.during.max(SHORTEST), &waiter, &mut traffic) {
            // Ctrl-C is how it ends.
            Err(error) if error.is::<Interrupted>() => break,
            after => after?,
        };
        let (mut found, _) = judge(&Case::new(Some(&before), &after), |rule| chosen.has(rule));
        if chosen.has_code(TIMEOUT_ORDER) {
            found.extend(fronting::judge(&traffic, &after, &given, &texts).findings);
        }
        for finding in &found {
            let old = known.iter().find(|old| identity(old) == identity(finding));
            match old {
                None => say(&mut output, &texts, "begins", finding)?,
                Some(old) if old.severity < finding.severity => say(&mut output, &texts, "worse", finding)?,
                Some(old) if old.severity > finding.severity => say(&mut output, &texts, "better", finding)?,
                Some(_) => {}
            }
        }
        for old in &known {
            if !found.iter().any(|finding| identity(finding) == identity(old)) {
                say(&mut output, &texts, "ends", old)?;
            }
        }
        if is_first
            && !found.iter().any(|finding| finding.severity > Severity::Info)
            && output.format == Format::Table
        {
            writeln!(output, "{}", texts.word("healthy"))?;
        }
        output.flush()?;
        is_first = false;
        known = found;
        before = after;
    }
    Ok(())
}

fn say(
    output: &mut Output,
    texts: &DoctorTexts,
    change: &'static str,
    finding: &Finding,
) -> anyhow::Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let report = Report::of(finding, texts);
    match output.format {
        Format::Table => {
            let word = texts.word(change).to_owned();
            write!(output, "{} ", output.paint.text(Style::Dim, &format!("{} {word}", clock(now))))?;
            print::title(output, texts, &report)?;
        }
        Format::Csv => {
            let mut records = CsvRecords::without_heading(&mut *output);
            records.write([format!("{now:.3}"), change.to_owned()].iter().chain(&report.csv()))?;
            records.finish()?;
        }
        Format::Json | Format::Ndjson => {
            let record = json!({ "at_s": now, "change": change, "finding": report });
            serde_json::to_writer(&mut *output, &record)?;
            writeln!(output)?;
        }
    }
    output.flush()?;
    Ok(())
}

/// `14:03:09Z`.
fn clock(at_s: f64) -> String {
    let second = at_s as u64 % 86_400;
    format!("{:02}:{:02}:{:02}Z", second / 3600, second / 60 % 60, second % 60)
}
