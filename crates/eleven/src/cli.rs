//! The command line: one definition, from which help, man pages and completions are made.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::Shell;
use eleven_knowledge::Language;
use eleven_linux::ReaderChoice;
use eleven_linux::namespace::NamespaceChoice;

use crate::{fields, filter};

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

/// Options every command takes.
#[derive(Args, Debug)]
pub struct Global {
    /// How to print: a table for people, or JSON, one JSON object a line, CSV.
    #[arg(
        long,
        value_enum,
        global = true,
        default_value_t,
        hide_default_value = true,
        help_heading = "Output"
    )]
    pub format: Format,

    /// When to use colours; `NO_COLOR` in the environment means never.
    #[arg(long, value_enum, global = true, default_value_t, help_heading = "Output")]
    pub color: ColorChoice,

    /// Language of explanations: en or zh-CN; else as LC_ALL, LC_MESSAGES and LANG say.
    #[arg(long, global = true, value_name = "LANGUAGE", help_heading = "Output")]
    pub lang: Option<Language>,

    /// Network namespaces to look into: this, all, a name of `ip netns list`, a process id
    /// or a path.
    #[arg(long, global = true, default_value = "this", value_name = "WHICH", help_heading = "Reading the kernel",
          value_parser = |text: &str| Ok::<_, std::convert::Infallible>(NamespaceChoice::from(text)))]
    pub netns: NamespaceChoice,

    /// How to read sockets: auto takes the fastest way that is allowed.
    #[arg(long, value_enum, global = true, default_value_t, help_heading = "Reading the kernel")]
    pub reader: Reader,
}

/// How to print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns.
    #[default]
    Table,
    /// One JSON value.
    Json,
    /// One JSON object a line.
    Ndjson,
    /// Comma-separated values with a heading.
    Csv,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// How to read sockets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Reader {
    /// The fastest that is allowed.
    #[default]
    Auto,
    /// BPF iterators.
    Bpf,
    /// The sock_diag netlink interface.
    Netlink,
    /// The text tables below /proc.
    Proc,
}

impl From<Reader> for ReaderChoice {
    fn from(reader: Reader) -> Self {
        match reader {
            Reader::Auto => Self::Auto,
            Reader::Bpf => Self::Bpf,
            Reader::Netlink => Self::Netlink,
            Reader::Proc => Self::Proc,
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Count sockets, by state or by other keys.
    #[command(after_long_help = count_help())]
    Count(CountArgs),
    /// List sockets, one row each.
    #[command(visible_alias = "ls", after_long_help = list_help())]
    List(ListArgs),
    /// Explain a state, a transition, flags, an errno, a sysctl or a finding.
    #[command(after_long_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// Save what is seen now, to be compared or looked at later.
    Snapshot(SnapshotArgs),
    /// Show what changed between two snapshots, or between one and now.
    Diff(DiffArgs),
    /// Print a completion script for a shell.
    Completions(CompletionsArgs),
    /// Print the manual page, or write one page a command into a directory.
    Man(ManArgs),
}

/// Which sockets.
#[derive(Args, Debug)]
pub struct FilterArgs {
    /// Which sockets, in ss's filter language: `state time-wait and dport = :443`.
    #[arg(value_name = "FILTER", help_heading = "Filter")]
    pub filter: Vec<String>,
}

/// Options of `eleven count`.
#[derive(Args, Debug)]
pub struct CountArgs {
    /// Keys to group by, separated by commas.
    #[arg(long, value_name = "KEYS", default_value = "state", value_delimiter = ',', value_parser = fields::parse_key)]
    pub by: Vec<&'static fields::Field>,

    /// Show only the N largest groups.
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<usize>,

    /// Which sockets.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Options of `eleven list`.
#[derive(Args, Debug)]
pub struct ListArgs {
    /// Columns to show, separated by commas; `+NAME` adds to the usual ones.
    #[arg(long, short = 'c', value_name = "COLUMNS", value_delimiter = ',', allow_hyphen_values = true)]
    pub columns: Vec<String>,

    /// Sort by this column: numbers from the largest, words from A; `-NAME` turns it round.
    #[arg(long, short = 's', value_name = "COLUMN", allow_hyphen_values = true, value_parser = fields::parse_sort)]
    pub sort: Option<fields::Sort>,

    /// Show at most N sockets.
    #[arg(long, short = 'n', value_name = "N")]
    pub limit: Option<usize>,

    /// Show the kernel's TCP_INFO of every socket, its memory and its options.
    #[arg(long, short = 'i')]
    pub info: bool,

    /// Do not look up which programs hold the sockets, which saves time.
    #[arg(long)]
    pub no_owners: bool,

    /// Which sockets.
    #[command(flatten)]
    pub filter: FilterArgs,
}

/// Options of `eleven explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// What to explain; the whole state diagram when left out.
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
}

/// Options of `eleven snapshot`.
#[derive(Args, Debug)]
pub struct SnapshotArgs {
    /// File to write; standard output when left out.
    #[arg(long, short = 'o', value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub output: Option<PathBuf>,
}

/// Options of `eleven diff`.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// The earlier snapshot.
    #[arg(value_name = "A", value_hint = ValueHint::FilePath)]
    pub before: PathBuf,

    /// The later snapshot; this moment when left out.
    #[arg(value_name = "B", value_hint = ValueHint::FilePath)]
    pub after: Option<PathBuf>,

    /// Show at most N sockets of each kind in the table.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub limit: usize,
}

/// Options of `eleven completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Options of `eleven man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Write `eleven.1`, `eleven-list.1` and so on into this directory.
    #[arg(long, short = 'o', value_name = "DIRECTORY", value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
}

fn count_help() -> String {
    format!("Keys:\n{}\n{}", fields::keys_help(), filter::help())
}

fn list_help() -> String {
    format!("Columns:\n{}\n{}", fields::columns_help(), filter::help())
}

const EXPLAIN_HELP: &str = "\
Examples:
  eleven explain                      the whole state diagram
  eleven explain FIN_WAIT2            a state, by any of its spellings
  eleven explain FIN_WAIT1 FIN+ACK    what a segment does in a state
  eleven explain ESTABLISHED close    what a call does in a state
  eleven explain SYN+FIN              a combination of flags
  eleven explain ECONNRESET 110       errors, by name or number
  eleven explain tcp_fin_timeout      a sysctl, with its value here
  eleven explain close-wait-leak      a finding
  eleven explain zero-window          an anomaly that a trace shows";
