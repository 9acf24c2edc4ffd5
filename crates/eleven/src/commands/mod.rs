//! The commands, and what they share: arguments to exit code, filter to request.

mod completions;
mod count;
mod diff;
mod doctor;
mod explain;
mod interrupt;
mod keepalive;
mod kill;
mod lab;
mod list;
mod man;
mod snapshot;
mod summary;
mod trace;
mod why;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use eleven_knowledge::Language;
use eleven_linux::namespace::{self, NamespaceChoice};
use eleven_linux::sock_diag::{Extensions, Request};
use eleven_linux::{Cgroups, Labelling, ReadError, ReadReport, ReaderChoice, read_sockets};
use eleven_snapshot::{Family, Socket};

use crate::cli::{Cli, Command, Global};
use crate::fields::{self, Needs};
use crate::filter::{Filter, FilterError, Names, NoNames, SystemNames};
use crate::output::{Column, Output, Style, Table, note};
use crate::text;

/// Exit code of a command line that was not understood.
const WRONG_USAGE: u8 = 2;
/// Exit code of what Ctrl-C ended before it was done: 128 and the number of SIGINT, as shells have it.
const INTERRUPTED: u8 = 130;

/// Runs a command line and returns its exit code: 0 done, 1 failed, 2 wrong usage.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        // Help and version are no errors; clap knows which stream they belong to.
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(WRONG_USAGE));
        }
    };
    match dispatch(&cli) {
        Ok(code) => code,
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) if error.is::<Interrupted>() => {
            note(&error.to_string());
            ExitCode::from(INTERRUPTED)
        }
        Err(error) => {
            let usage = error.downcast_ref::<WrongUsage>();
            if let Some(WrongUsage::Filter(filter)) = usage {
                note(&format!("the filter is not understood\n\n{}", filter.render()));
            } else {
                // A file's error says which file, as a context around it; the output's is bare.
                let is_bare = error.chain().next().is_some_and(<dyn std::error::Error>::is::<io::Error>);
                let place = if is_bare { "cannot write to standard output: " } else { "" };
                note(&format!("{place}{}{}", chain(&error), hint(&error)));
            }
            // A namespace that does not exist is a word that is wrong, not a failure.
            let wrong =
                usage.is_some() || matches!(error.downcast_ref(), Some(ReadError::NoNamespace { .. }));
            if wrong { ExitCode::from(WRONG_USAGE) } else { ExitCode::FAILURE }
        }
    }
}

fn dispatch(cli: &Cli) -> anyhow::Result<ExitCode> {
    let global = &cli.global;
    match &cli.command {
        None => summary::run(global),
        Some(Command::Count(args)) => count::run(global, args),
        Some(Command::List(args)) => list::run(global, args),
        Some(Command::Explain(args)) => explain::run(global, args),
        Some(Command::Trace(args)) => trace::run(global, args),
        Some(Command::Kill(args)) => kill::run(global, args),
        Some(Command::Keepalive(args)) => keepalive::run(global, args),
        Some(Command::Lab(args)) => lab::run(global, args),
        Some(Command::Snapshot(args)) => snapshot::run(global, args),
        Some(Command::Diff(args)) => diff::run(global, args),
        Some(Command::Doctor(args)) => return doctor::run(global, args),
        Some(Command::Completions(args)) => completions::run(args),
        Some(Command::Man(args)) => man::run(args),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// The command line asks for something that does not exist.
#[derive(Debug, thiserror::Error)]
enum WrongUsage {
    /// The filter.
    #[error("the filter is not understood: {0}")]
    Filter(FilterError),
    /// Anything else, as a sentence.
    #[error("{0}")]
    Other(String),
}

/// Ctrl-C has ended something that is only worth something when it is done.
#[derive(Debug, thiserror::Error)]
#[error("interrupted")]
struct Interrupted;

/// The error and its causes in one line. Some say their cause themselves.
fn chain(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

/// What to do about an error, where the error itself cannot know.
fn hint(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref() {
        Some(ReadError::Bpf(_)) => {
            "; it takes root, or CAP_BPF and CAP_PERFMON, and without `--reader bpf` another way is found"
        }
        _ => "",
    }
}

/// Whether the reader of our output has gone: it has seen enough.
fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|error| error.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    })
}

fn parse_filter(words: &[String]) -> Result<Filter, WrongUsage> {
    Filter::parse(&words.join(" "), &SystemNames::new()).map_err(WrongUsage::Filter)
}

/// What to ask the kernel for, so that `filter` can be decided and `fields` be shown.
fn request(global: &Global, filter: &Filter, wanted: Needs) -> Request {
    let families = filter.families();
    let family = match (families.inet, families.inet6) {
        (true, false) => Some(Family::Inet),
        (false, true) => Some(Family::Inet6),
        // Neither: nothing matches, whatever is read.
        (true, true) | (false, false) => None,
    };
    let needs = filter.needs();
    Request {
        states: filter.states(),
        family,
        bytecode: kernel_program(filter, &global.netns),
        extensions: Extensions {
            tcp_info: wanted.extensions.tcp_info || needs.tcp_info,
            age: wanted.extensions.age || needs.age,
            congestion: wanted.extensions.congestion || needs.congestion,
            memory_and_options: wanted.extensions.memory_and_options,
        },
    }
}

/// The filter as a program for the kernel; `None` when the kernel cannot help. It lets
/// through at least what matches, so leaving it out never changes an answer.
fn kernel_program(filter: &Filter, netns: &NamespaceChoice) -> Option<Vec<u8>> {
    let system = SystemNames::new();
    // Names of interfaces are those of this namespace and mean nothing in another.
    let names: &dyn Names = if *netns == NamespaceChoice::This { &system } else { &NoNames };
    let mut kernel = filter.kernel_filter(names);
    // Only CAP_NET_ADMIN may ask for marks; without it the whole request would be refused.
    if kernel.tests_marks() && !rustix::process::geteuid().is_root() {
        kernel = kernel.without_marks();
    }
    let program = kernel.compile().ok()?;
    (!program.is_empty()).then(|| program.as_bytes().to_vec())
}

/// Which names rows must carry, so that `filter` can be decided and `fields` be shown.
fn labelling(filter: &Filter, wanted: Needs) -> Labelling {
    let needs = filter.needs();
    Labelling {
        owners: wanted.labelling.owners || needs.owners,
        cgroups: wanted.labelling.cgroups || needs.cgroup || needs.container,
    }
}

/// Whether the control groups that are asked for can only be told by owners: where the
/// unified hierarchy, whose ids sockets bear, is not all there is.
fn owners_for_cgroups(filter: &Filter, wanted: Needs) -> bool {
    let needs = filter.needs();
    (wanted.labelling.cgroups || needs.cgroup || needs.container) && Cgroups::default().may_need_owners()
}

/// What to say when there is nothing to show.
fn nothing_found(global: &Global, filter: &Filter) -> String {
    let hint = if filter.needs().netns && global.netns == NamespaceChoice::This {
        "; `--netns all` looks into every network namespace"
    } else {
        ""
    };
    let what =
        if filter.is_everything() { "there is no TCP socket here" } else { "no socket matches the filter" };
    format!("{what}{hint}")
}

/// The sockets that are to be acted on, in memory. They are read by netlink, whose rows have the cookies by which a
/// socket is known again.
fn collect(global: &Global, filter: &Filter, wanted: Needs) -> anyhow::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    let report = read_sockets(
        &global.netns,
        ReaderChoice::Netlink,
        &request(global, filter, wanted),
        labelling(filter, wanted),
        &mut |socket| {
            if filter.matches(socket) {
                sockets.push(socket.clone());
            }
            ControlFlow::Continue(())
        },
    )?;
    say_notes(&report);
    Ok(sockets)
}

/// Works in the namespace that rows are labelled with.
fn in_its_namespace<T: Send>(label: Option<&str>, work: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    let choice = label.map_or(NamespaceChoice::This, |label| NamespaceChoice::One(label.to_owned()));
    let (handles, _) = namespace::open(&choice)?;
    let handle = handles.first().context("the network namespace is gone")?;
    Ok(handle.run(work)?)
}

/// A few of the sockets that are to be acted on.
fn print_sockets(
    output: &mut Output,
    global: &Global,
    sockets: &[Socket],
    limit: usize,
) -> anyhow::Result<()> {
    let fields = fields::columns(&[], global.netns != NamespaceChoice::This).map_err(WrongUsage::Other)?;
    let layout =
        fields.iter().map(|field| Column { title: field.title, right: field.right, rank: field.rank });
    let (paint, columns) = (output.paint, output.columns);
    let mut table = Table::new(&mut *output, paint, columns, layout.collect());
    for socket in sockets.iter().take(limit) {
        let style = Some(Style::State(socket.state));
        table.row(style, None, |index, cell| (fields[index].write)(socket, cell))?;
    }
    table.finish()?;
    if sockets.len() > limit {
        writeln!(output, "… {} more", text::thousands((sockets.len() - limit) as u64))?;
    }
    Ok(())
}

/// Says what a reading left out.
fn say_notes(report: &ReadReport) {
    for text in &report.notes {
        note(text);
    }
}

/// The language of explanations.
fn language(global: &Global) -> Language {
    global.lang.unwrap_or_else(|| Language::from_environment(|name| std::env::var(name).ok()))
}
