//! `eleven explain`: states, transitions, flags, errnos, sysctls, findings, anomalies and single connections in words.

mod connection;
mod diagram;
mod page;
mod subject;
mod words;

use std::io::Write;

use eleven_knowledge::Language;

use super::{WrongUsage, language};
use crate::cli::{ExplainArgs, Format, Global};
use crate::output::{CsvRecords, JsonRecords, Output};
use page::Page;
use subject::Subject;

pub(super) fn run(global: &Global, args: &ExplainArgs) -> anyhow::Result<()> {
    if let [word] = &*args.words
        && let Some(ends) = connection::ends(word)
    {
        return connection::run(global, ends);
    }
    let language = language(global);
    let mut output = Output::open(global)?;
    if args.words.is_empty() && output.format == Format::Table {
        diagram::print_whole(&mut output, language)?;
        output.flush()?;
        return Ok(());
    }
    let subjects = if args.words.is_empty() {
        subject::all_states()
    } else {
        subject::parse(&args.words).map_err(WrongUsage::Other)?
    };
    let pages: Vec<Page> = subjects.iter().map(|subject| page(subject, language)).collect();
    match output.format {
        Format::Table => {
            for (index, page) in pages.iter().enumerate() {
                if index > 0 {
                    writeln!(output)?;
                }
                page.print(&mut output)?;
            }
        }
        // One page, one object; several, an array.
        Format::Json => match pages.as_slice() {
            [only] => output.json(only)?,
            several => output.json(&several)?,
        },
        Format::Ndjson => {
            let mut records = JsonRecords::new(&mut output, Format::Ndjson);
            for page in &pages {
                records.write(page)?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let mut records = CsvRecords::new(&mut output, ["kind", "name", "key", "text"])?;
            for page in &pages {
                for (key, text) in page.flat() {
                    records.write([page.kind, page.name.as_str(), key, text.as_str()])?;
                }
            }
            records.finish()?;
        }
    }
    output.flush()?;
    Ok(())
}

fn page(subject: &Subject, language: Language) -> Page {
    match subject {
        Subject::State(state) => page::of_state(*state, language),
        Subject::Rules { title, rules } => page::of_rules(title, rules, language),
        Subject::Flags(flags) => page::of_flags(*flags, language),
        Subject::Errno(name) => page::of_errno(name, language),
        Subject::Sysctl(name) => page::of_sysctl(name, language),
        Subject::Finding(code) => page::of_finding(code, language),
        Subject::Anomaly(name) => page::of_anomaly(name, language),
    }
}
