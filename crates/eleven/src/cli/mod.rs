//! The command line: one definition, from which help, man pages and completions are made. A file a family of commands.

mod act;
mod doctor;
mod global;
mod lab;
mod sockets;
mod trace;
mod words;

use std::time::Duration;

use clap::{Parser, Subcommand};

pub use self::act::{ActArgs, KeepaliveArgs, KillArgs};
pub use self::doctor::DoctorArgs;
pub use self::global::{ColorChoice, Format, Global, Reader};
pub use self::lab::{
    LabArgs, LabCommand, LabCompareArgs, LabListArgs, LabRunArgs, LabScriptArgs, LabShellArgs, ScriptBackend,
};
pub use self::sockets::{CountArgs, DiffArgs, FilterArgs, ListArgs, SnapshotArgs};
pub use self::trace::{ChecksumChoice, KeyPart, TraceArgs};
pub use self::words::{CompletionsArgs, ExplainArgs, ManArgs};
use crate::filter;

/// Shows which of the eleven TCP states every connection of this host is in, who owns it,
/// and what it means.
///
/// Without a command: one screen with the states, the listeners and their queues, and the
/// programs and peers with the most connections.
#[derive(Debug, Parser)]
#[command(name = "eleven", version, max_term_width = 100, disable_help_subcommand = true)]
pub struct Cli {
    /// What to do; the summary when left out.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Options every command takes.
    #[command(flatten)]
    pub global: Global,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count sockets, by state or by other keys.
    #[command(after_long_help = sockets::count_help())]
    Count(CountArgs),
    /// List sockets, one row each.
    #[command(visible_alias = "ls", after_long_help = sockets::list_help())]
    List(ListArgs),
    /// Explain a state, a transition, flags, an errno, a sysctl, a finding or a connection.
    #[command(after_long_help = words::EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// Tell both ends' states from packets: capture files, or a live interface.
    #[command(after_long_help = trace::trace_help())]
    Trace(TraceArgs),
    /// Close chosen sockets of any program; shows them and asks first.
    #[command(after_long_help = act::KILL_HELP)]
    Kill(KillArgs),
    /// Show how soon sockets notice that their peer is gone; set keepalive on running programs.
    #[command(after_long_help = act::KEEPALIVE_HELP)]
    Keepalive(KeepaliveArgs),
    /// Put a real kernel socket into any state, or into a fault, in a namespace of its own.
    #[command(after_long_help = lab::LAB_HELP)]
    Lab(LabArgs),
    /// Save what is seen now, to be compared or looked at later.
    Snapshot(SnapshotArgs),
    /// Show what changed between two snapshots, or between one and now.
    Diff(DiffArgs),
    /// Find what is wrong, who must act, and what helps.
    #[command(after_long_help = doctor::DOCTOR_HELP)]
    Doctor(DoctorArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write one page a command into a directory.
    Man(ManArgs),
}

fn duration(text: &str) -> Result<Duration, String> {
    filter::parse_duration(text).map_err(|error| error.to_string())
}
