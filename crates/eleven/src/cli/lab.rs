//! `eleven lab`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::duration;

/// Options of `eleven lab`.
#[derive(Args, Debug)]
pub struct LabArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: LabCommand,
}

/// What `eleven lab` does.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// List the scenarios by group, or those with a word in their name or purpose; by its name, all about one.
    List(LabListArgs),
    /// Play a scenario, and tell whether it reached what it promises.
    Run(LabRunArgs),
    /// Play a scenario, hold it, and open a shell inside its namespace.
    Shell(LabShellArgs),
    /// Play scenarios on the kernel and on the endpoint, and list what differs.
    Compare(LabCompareArgs),
    /// Play a script of packetdrill on the kernel, on the endpoint, or on both and compare.
    RunScript(LabScriptArgs),
}

/// Options of `eleven lab list`.
#[derive(Args, Debug)]
pub struct LabListArgs {
    /// Only scenarios that have all these words in their name, group, finding or purpose.
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
}

/// Options of `eleven lab run`.
#[derive(Args, Debug)]
pub struct LabRunArgs {
    /// The scenario.
    #[arg(value_name = "NAME", required_unless_present = "all")]
    pub name: Option<String>,

    /// Play every scenario, several at a time.
    #[arg(long, conflicts_with_all = ["name", "hold", "step", "output"])]
    pub all: bool,

    /// Play it in the simulator: without privilege, and without waiting.
    #[arg(long)]
    pub simulate: bool,

    /// Set a sysctl of the namespace, or a number of the scenario's own; `peer.KEY` is the peer's.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,

    /// Hold what was reached until Enter, and say how to enter the namespace.
    #[arg(long)]
    pub hold: bool,

    /// Wait for Enter before each call.
    #[arg(long)]
    pub step: bool,

    /// Write what crosses the subject's device as pcapng; with `--all`, a file each into this directory.
    #[arg(long, short = 'w', value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub write: Option<PathBuf>,

    /// Write the ladder of both ends as an SVG image.
    #[arg(long, short = 'o', value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// Options of `eleven lab shell`.
#[derive(Args, Debug)]
pub struct LabShellArgs {
    /// The scenario.
    #[arg(value_name = "NAME")]
    pub name: String,

    /// Set a sysctl of the namespace, or a number of the scenario's own.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    pub set: Vec<(String, String)>,
}

/// Options of `eleven lab compare`.
#[derive(Args, Debug)]
pub struct LabCompareArgs {
    /// The scenarios; all paths and losses when left out.
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Options of `eleven lab run-script`.
#[derive(Args, Debug)]
pub struct LabScriptArgs {
    /// The scripts.
    #[arg(value_name = "FILE", required = true, value_hint = ValueHint::FilePath)]
    pub files: Vec<PathBuf>,

    /// What the scripts are played on.
    #[arg(long, value_enum, default_value_t, value_name = "WHICH")]
    pub backend: ScriptBackend,

    /// How much sooner or later than the script says the kernel may be.
    #[arg(long, value_name = "DURATION", default_value = "15ms", value_parser = duration)]
    pub tolerance: Duration,
}

/// What scripts are played on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ScriptBackend {
    /// The running kernel, in a namespace of its own.
    #[default]
    Kernel,
    /// The endpoint, in virtual time and without privilege.
    Endpoint,
    /// One after the other: the first line at which they differ.
    Both,
}

pub(super) fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has the form KEY=VALUE, as tcp_fin_timeout=5")?;
    if key.trim().is_empty() {
        return Err("there is no KEY before the `=`".to_owned());
    }
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

pub(super) const LAB_HELP: &str = "\
Examples:
  eleven lab list                            what there is
  eleven lab list fin-wait                   what has to do with it
  eleven lab run closing                     a real kernel socket in CLOSING
  eleven lab run closing --hold              and it stays there until Enter
  eleven lab run closing --simulate          the same without privilege
  eleven lab run fin-wait2-orphaned --set tcp_fin_timeout=9
  eleven lab run lost-fin -w fin.pcapng -o fin.svg
  eleven lab run --all --format json         everything, for a program
  eleven lab shell time-wait                 a shell beside the socket
  eleven lab compare                         where our endpoint is unlike the kernel
  eleven lab run-script close.pkt --backend both

It takes root, or a kernel that allows user namespaces. Everything happens in a network namespace of
its own, which goes away with the program.";
