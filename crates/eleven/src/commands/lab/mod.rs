//! `eleven lab`: kernel sockets in chosen states.

mod all;
mod compare;
mod diagram;
mod hold;
mod list;
mod log;
mod record;
mod report;
mod run;
mod screen;
mod script;
mod shell;

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use eleven_lab::{Backend, LabError, Sink, Stop};

use super::{Interrupted, WrongUsage};
use crate::cli::{Global, LabArgs, LabCommand};

pub(super) fn run(global: &Global, args: &LabArgs) -> anyhow::Result<()> {
    match &args.command {
        LabCommand::List(args) => list::run(global, args),
        LabCommand::Run(args) if args.all => all::run(global, args),
        LabCommand::Run(args) => run::run(global, args),
        LabCommand::Shell(args) => shell::run(global, args),
        LabCommand::Compare(args) => compare::run(global, args),
        LabCommand::RunScript(args) => script::run(global, args),
    }
}

/// On what scenarios are played. To be called before the first thread is started.
fn backend(simulate: bool) -> anyhow::Result<Backend> {
    Ok(if simulate { Backend::Simulator } else { Backend::Kernel(eleven_lab::prepare()?) })
}

/// Why a scenario was not played, as the command line tells it.
fn told(stop: Stop) -> anyhow::Error {
    match stop {
        Stop::Interrupted => Interrupted.into(),
        Stop::Failed(error) => wrong(error),
        Stop::NotReached(_) => stop.into(),
    }
}

/// Names and values that do not exist are the user's.
fn wrong(error: LabError) -> anyhow::Error {
    match error {
        LabError::NoSuchScenario { .. } | LabError::NoSuchSetting { .. } | LabError::Setting { .. } => {
            WrongUsage::Other(error.to_string()).into()
        }
        other => other.into(),
    }
}

/// A file for a capture.
fn create(path: &Path) -> anyhow::Result<Sink> {
    let file = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(file))
}

/// A time of a scenario, in seconds.
fn seconds(time: std::time::Duration) -> String {
    format!("{:.3} s", time.as_secs_f64())
}
