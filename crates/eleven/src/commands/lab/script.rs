//! `eleven lab run-script`: scripts of packetdrill, on the kernel and on the endpoint.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use anyhow::Context as _;
use eleven_lab::LabError;
use eleven_tcp::script::{self, Report, Script};
use eleven_tcp::sockets::Settings;
use serde::Serialize;

use super::backend;
use crate::cli::{Format, Global, LabScriptArgs, ScriptBackend};
use crate::commands::WrongUsage;
use crate::output::{CsvRecords, JsonRecords, Output, Style, note};

/// What came of a script.
#[derive(Serialize)]
struct Played {
    file: String,
    /// Whether everything was as the script says, wherever it was played.
    passed: bool,
    results: Vec<Ran>,
    /// The first line at which the kernel and the endpoint differ; null where they do not, or where only one was asked.
    differs_at: Option<usize>,
}

/// How a script went on one of them.
#[derive(Serialize)]
struct Ran {
    backend: &'static str,
    passed: bool,
    /// How many events were as the script says.
    events: usize,
    line: Option<usize>,
    what: Option<String>,
    expected: Option<String>,
    got: Option<String>,
}

impl Ran {
    fn new(backend: &'static str, report: &Report) -> Self {
        let failure = report.failure();
        let difference = failure.and_then(|verdict| verdict.difference.as_ref());
        Self {
            backend,
            passed: report.passed(),
            events: report.verdicts().len() - usize::from(failure.is_some()),
            line: failure.map(|verdict| verdict.line),
            what: difference.map(|difference| difference.what.clone()),
            expected: difference.map(|difference| difference.expected.clone()),
            got: difference.map(|difference| difference.got.clone()),
        }
    }
}

pub(super) fn run(global: &Global, args: &LabScriptArgs) -> anyhow::Result<()> {
    // What cannot be read is said before anything is played.
    let scripts: Vec<(&Path, Script)> =
        args.files.iter().map(|path| Ok((path.as_path(), read(path)?))).collect::<anyhow::Result<_>>()?;
    if args.backend != ScriptBackend::Endpoint {
        backend(false)?;
        if let Some(caveat) = eleven_lab::script::caveat() {
            note(caveat);
        }
    }
    // They mostly wait.
    let played = super::all::at_once(&scripts, &AtomicBool::new(false), |(path, script)| {
        play(path, script, args).map_err(eleven_lab::Stop::Failed)
    });
    let played: Vec<Played> = played.into_iter().collect::<Result<_, _>>().map_err(super::told)?;
    print(global, &played)?;
    let (failed, differ) = (
        played.iter().filter(|it| !it.passed).count(),
        played.iter().filter(|it| it.differs_at.is_some()).count(),
    );
    match (args.backend, failed, differ) {
        (_, 0, _) => Ok(()),
        (ScriptBackend::Both, _, 1..) => {
            Err(anyhow::anyhow!("the kernel and the endpoint differ in {differ} of {} scripts", played.len()))
        }
        _ => Err(anyhow::anyhow!("{failed} of {} scripts did not go as they say", played.len())),
    }
}

fn read(path: &Path) -> anyhow::Result<Script> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    script::parse(&text)
        .map_err(|error| WrongUsage::Other(format!("{} is not understood: {error}", path.display())).into())
}

fn play(path: &Path, script: &Script, args: &LabScriptArgs) -> Result<Played, LabError> {
    let mut results = Vec::new();
    if args.backend != ScriptBackend::Endpoint {
        results.push(Ran::new("kernel", &eleven_lab::script::run(script, args.tolerance)?));
    }
    if args.backend != ScriptBackend::Kernel {
        results.push(Ran::new("endpoint", &script::run(script, &Settings::default())));
    }
    Ok(Played {
        file: path.display().to_string(),
        passed: results.iter().all(|ran| ran.passed),
        differs_at: difference(&results),
        results,
    })
}

/// The first line at which two differ: one is not as the script says, and the other is, or is otherwise.
fn difference(results: &[Ran]) -> Option<usize> {
    let [kernel, endpoint] = results else { return None };
    let seen = |ran: &Ran| (ran.line, ran.got.clone());
    if seen(kernel) == seen(endpoint) {
        return None;
    }
    kernel.line.into_iter().chain(endpoint.line).min()
}

fn print(global: &Global, played: &[Played]) -> anyhow::Result<()> {
    let mut output = Output::open(global)?;
    match output.format {
        Format::Json | Format::Ndjson => {
            let mut records = JsonRecords::new(output, global.format);
            for it in played {
                records.write(it)?;
            }
            records.finish()?;
        }
        Format::Csv => {
            let heading = ["file", "backend", "passed", "line", "what", "expected", "got", "differs_at"];
            let mut records = CsvRecords::new(output, heading)?;
            for it in played {
                for ran in &it.results {
                    let number = |line: Option<usize>| line.map_or_else(String::new, |line| line.to_string());
                    let text = |text: &Option<String>| text.clone().unwrap_or_default();
                    records.write([
                        it.file.clone(),
                        ran.backend.to_owned(),
                        ran.passed.to_string(),
                        number(ran.line),
                        text(&ran.what),
                        text(&ran.expected),
                        text(&ran.got),
                        number(it.differs_at),
                    ])?;
                }
            }
            records.finish()?;
        }
        Format::Table => {
            for it in played {
                table(&mut output, it)?;
            }
            output.flush()?;
        }
    }
    Ok(())
}

fn table(output: &mut Output, played: &Played) -> anyhow::Result<()> {
    for ran in &played.results {
        let (Some(line), Some(what)) = (ran.line, &ran.what) else {
            writeln!(output, "✓ {} on the {}: all {} events", played.file, ran.backend, ran.events)?;
            continue;
        };
        let cross = output.paint.text(Style::Alarm, "✗");
        writeln!(output, "{cross} {} on the {}: line {line}: {what}", played.file, ran.backend)?;
        let source = fs::read_to_string(&played.file).unwrap_or_default();
        if let Some(text) = source.lines().nth(line.saturating_sub(1)) {
            writeln!(output, "    {}", text.trim())?;
        }
        writeln!(output, "    expected: {}", ran.expected.as_deref().unwrap_or_default())?;
        writeln!(output, "    got:      {}", ran.got.as_deref().unwrap_or_default())?;
    }
    if played.results.len() == 2 {
        match played.differs_at {
            Some(line) => writeln!(output, "  the kernel and the endpoint differ first at line {line}")?,
            None => writeln!(output, "  no difference between the kernel and the endpoint")?,
        }
    }
    Ok(())
}
