//! `eleven lab run --all`: every scenario, several at a time, as they mostly wait.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use anyhow::Context as _;
use eleven_lab::{Backend, Options, Outcome, Scenario, Stop, all};

use super::record::Record;
use super::{backend, create, report, seconds, told};
use crate::cli::{Format, Global, LabRunArgs};
use crate::commands::Interrupted;
use crate::commands::interrupt::on_interrupt;
use crate::output::{CsvRecords, JsonRecords, Output, Style, note};

/// So many at a time: more would take time from each other that their timers count.
const AT_ONCE: usize = 8;

/// So often a scenario is played on a kernel.
const ATTEMPTS: u32 = 3;

/// What came of one of them.
type Played = Result<Outcome, Stop>;

pub(super) fn run(global: &Global, args: &LabRunArgs) -> anyhow::Result<()> {
    let backend = match backend(args.simulate) {
        Ok(backend) => backend,
        Err(error) => return skip_all(global, &error),
    };
    let interrupt = on_interrupt()?;
    if let Some(directory) = &args.write {
        std::fs::create_dir_all(directory)
            .with_context(|| format!("cannot make the directory {}", directory.display()))?;
    }
    let scenarios: Vec<&'static Scenario> = all().collect();
    let jobs =
        Jobs { scenarios: &scenarios, next: AtomicUsize::new(0), backend, args, interrupt: &interrupt };
    let at_once = if args.simulate { 1 } else { AT_ONCE };
    let mut view = View::new(global, backend)?;
    thread::scope(|scope| -> anyhow::Result<()> {
        let (sender, results) = mpsc::channel();
        for _ in 0..at_once {
            let (jobs, sender) = (&jobs, sender.clone());
            scope.spawn(move || jobs.work(&sender));
        }
        drop(sender);
        let told = view.follow(&scenarios, &results, args);
        if told.is_err() {
            // Nobody listens any more: those under way end too.
            interrupt.store(true, Ordering::Relaxed);
        }
        told
    })?;
    let interrupted = interrupt.load(Ordering::Relaxed);
    let finished = view.finish();
    if interrupted { Err(Interrupted.into()) } else { finished }
}

/// Does something with each of a list, several at a time; what came of it, in the order of the list.
pub(super) fn at_once<W: Sync, T: Send>(
    list: &[W],
    interrupt: &AtomicBool,
    play: impl Fn(&W) -> Result<T, Stop> + Sync,
) -> Vec<Result<T, Stop>> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<T, Stop>>>> = list.iter().map(|_| Mutex::new(None)).collect();
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while !interrupt.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = list.get(index) else { return };
                    *results[index].lock().unwrap_or_else(PoisonError::into_inner) = Some(play(item));
                }
            });
        }
    });
    let played =
        results.into_iter().map(|result| result.into_inner().unwrap_or_else(PoisonError::into_inner));
    // What nobody has come to any more was interrupted.
    played.map(|result| result.unwrap_or(Err(Stop::Interrupted))).collect()
}

/// What is to be played, and by whom next.
struct Jobs<'a> {
    scenarios: &'a [&'static Scenario],
    next: AtomicUsize,
    backend: Backend,
    args: &'a LabRunArgs,
    interrupt: &'a Arc<AtomicBool>,
}

impl Jobs<'_> {
    fn work(&self, results: &mpsc::Sender<(usize, anyhow::Result<Played>)>) {
        loop {
            let index = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(scenario) = self.scenarios.get(index) else { return };
            if self.interrupt.load(Ordering::Relaxed) || results.send((index, self.play(scenario))).is_err() {
                return;
            }
        }
    }

    /// Plays a scenario; on a kernel that does not reach it, again: its machine may have been too busy for the timers
    /// that count.
    fn play(&self, scenario: &'static Scenario) -> anyhow::Result<Played> {
        let mut played = self.play_once(scenario)?;
        for attempt in 2..=ATTEMPTS {
            let is_missed = matches!(&played, Ok(outcome) if !outcome.reached() && !outcome.interrupted);
            if !is_missed || self.backend == Backend::Simulator {
                break;
            }
            note(&format!("{} is played again, attempt {attempt} of {ATTEMPTS}", scenario.name));
            played = self.play_once(scenario)?;
        }
        Ok(played)
    }

    fn play_once(&self, scenario: &'static Scenario) -> anyhow::Result<Played> {
        let capture = capture_path(self.args, scenario).map(|path| create(&path)).transpose()?;
        let options = Options {
            settings: self.args.set.clone(),
            capture,
            interrupt: Arc::clone(self.interrupt),
            ..Options::new(self.backend)
        };
        Ok(eleven_lab::run(scenario, options))
    }
}

fn capture_path(args: &LabRunArgs, scenario: &Scenario) -> Option<PathBuf> {
    args.write.as_ref().map(|directory| directory.join(format!("{}.pcapng", scenario.name)))
}

/// Prints results in the order of the list.
struct View {
    out: Out,
    backend: Backend,
    reached: usize,
    skipped: usize,
    missed: Vec<&'static str>,
    /// Why something was skipped, as it was said last.
    said: Option<String>,
}

enum Out {
    Table(Output),
    Json(JsonRecords<Output>),
    Csv(Box<CsvRecords<Output>>),
}

impl View {
    fn new(global: &Global, backend: Backend) -> anyhow::Result<Self> {
        let output = Output::open(global)?;
        let out = match output.format {
            Format::Table => Out::Table(output),
            Format::Json | Format::Ndjson => Out::Json(JsonRecords::new(output, global.format)),
            Format::Csv => Out::Csv(Box::new(CsvRecords::new(output, Record::HEADING)?)),
        };
        Ok(Self { out, backend, reached: 0, skipped: 0, missed: Vec::new(), said: None })
    }

    fn follow(
        &mut self,
        scenarios: &[&'static Scenario],
        results: &mpsc::Receiver<(usize, anyhow::Result<Played>)>,
        args: &LabRunArgs,
    ) -> anyhow::Result<()> {
        let mut waiting: Vec<Option<Played>> = scenarios.iter().map(|_| None).collect();
        let mut next = 0;
        for (index, played) in results {
            waiting[index] = Some(played?);
            while let Some(played) = waiting.get_mut(next).and_then(Option::take) {
                self.tell(scenarios[next], played, args)?;
                next += 1;
            }
        }
        // Of what was interrupted some were not begun: those behind them are told too.
        for (scenario, played) in scenarios.iter().zip(waiting) {
            if let Some(played) = played {
                self.tell(scenario, played, args)?;
            }
        }
        Ok(())
    }

    fn tell(&mut self, scenario: &'static Scenario, played: Played, args: &LabRunArgs) -> anyhow::Result<()> {
        let outcome = match played {
            Ok(outcome) => outcome,
            Err(Stop::Interrupted) => return Ok(()),
            // What cannot be made here says why; what was asked for wrongly concerns all of them.
            Err(Stop::Failed(error)) if is_missing(&error) => return self.skip(scenario, &error.to_string()),
            Err(stop) => return Err(told(stop)),
        };
        let reached = outcome.reached();
        if reached {
            self.reached += 1;
        } else {
            self.missed.push(scenario.name);
        }
        match &mut self.out {
            Out::Table(output) => {
                let mark = if reached { "✓".to_owned() } else { output.paint.text(Style::Alarm, "✗") };
                let took = seconds(outcome.elapsed);
                let group = scenario.group.as_str();
                writeln!(output, "{mark} {:<32} {group:<7} {took:>10}", scenario.name)?;
                if !reached {
                    if let Some(why) = &outcome.stopped {
                        writeln!(output, "    {why}")?;
                    }
                    report::verdicts(output, &outcome.verdicts)?;
                }
                output.flush()?;
            }
            out => {
                let path = capture_path(args, scenario);
                out.record(&Record::new(self.backend, &outcome, path.as_deref()))?;
            }
        }
        Ok(())
    }

    fn skip(&mut self, scenario: &'static Scenario, why: &str) -> anyhow::Result<()> {
        self.skipped += 1;
        match &mut self.out {
            Out::Table(output) => {
                if self.said.as_deref() != Some(why) {
                    note(why);
                    self.said = Some(why.to_owned());
                }
                writeln!(output, "- {:<32} {:<7} {:>10}", scenario.name, scenario.group.as_str(), "skipped")?;
            }
            out => out.record(&Record::skipped(scenario, self.backend, Some(why.to_owned())))?,
        }
        Ok(())
    }

    fn finish(self) -> anyhow::Result<()> {
        let count = self.reached + self.skipped + self.missed.len();
        match self.out {
            Out::Table(mut output) => {
                writeln!(output, "{} of {count} reached what they promise", self.reached)?;
                output.flush()?;
            }
            Out::Json(records) => records.finish()?,
            Out::Csv(records) => records.finish()?,
        }
        match (self.missed.is_empty(), self.skipped) {
            (true, 0) => Ok(()),
            (true, _) => {
                Err(anyhow::anyhow!("skipped: {}", crate::text::counted(self.skipped as u64, "scenario")))
            }
            (false, _) => Err(anyhow::anyhow!("not reached: {}", self.missed.join(", "))),
        }
    }
}

impl Out {
    /// For programs.
    fn record(&mut self, record: &Record) -> std::io::Result<()> {
        match self {
            Self::Table(_) => Ok(()),
            Self::Json(records) => records.write(record),
            Self::Csv(records) => records.write(record.cells()),
        }
    }
}

/// Whether a laboratory cannot be set up here at all.
fn is_missing(error: &eleven_lab::LabError) -> bool {
    matches!(error, eleven_lab::LabError::NoNamespace { .. } | eleven_lab::LabError::NoDevice { .. })
}

/// Without privilege nothing is played, and each says why.
fn skip_all(global: &Global, error: &anyhow::Error) -> anyhow::Result<()> {
    let why = error.to_string();
    let mut view = View::new(global, Backend::Kernel(eleven_lab::Privilege::Own))?;
    for scenario in all() {
        view.skip(scenario, &why)?;
    }
    view.finish()
}
