//! The command line: one definition, from which help, man pages and completions are made.

use std::path::PathBuf;
use std::time::Duration;

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
    /// Explain a state, a transition, flags, an errno, a sysctl, a finding or a connection.
    #[command(after_long_help = EXPLAIN_HELP)]
    Explain(ExplainArgs),
    /// Tell both ends' states from packets: capture files, or a live interface.
    #[command(after_long_help = trace_help())]
    Trace(TraceArgs),
    /// Close chosen sockets of any program; shows them and asks first.
    #[command(after_long_help = KILL_HELP)]
    Kill(KillArgs),
    /// Show how soon sockets notice that their peer is gone; set keepalive on running programs.
    #[command(after_long_help = KEEPALIVE_HELP)]
    Keepalive(KeepaliveArgs),
    /// Put a real kernel socket into any state, or into a fault, in a namespace of its own.
    #[command(after_long_help = LAB_HELP)]
    Lab(LabArgs),
    /// Save what is seen now, to be compared or looked at later.
    Snapshot(SnapshotArgs),
    /// Show what changed between two snapshots, or between one and now.
    Diff(DiffArgs),
    /// Find what is wrong, who must act, and what helps.
    #[command(after_long_help = DOCTOR_HELP)]
    Doctor(DoctorArgs),
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

    /// Say of every socket what it waits for, who must act, and what ends it when.
    #[arg(long, short = 'w', conflicts_with = "no_owners")]
    pub why: bool,

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

/// Options of `eleven trace`.
#[derive(Args, Debug)]
pub struct TraceArgs {
    /// Capture files (pcap or pcapng, also compressed; `-` is standard input), then which flows to show.
    #[arg(value_name = "FILE|FILTER", value_hint = ValueHint::FilePath)]
    pub words: Vec<String>,

    /// Capture live from this interface; `any` is all of them.
    #[arg(long, short = 'i', value_name = "INTERFACE", help_heading = "Capturing")]
    pub interface: Option<String>,

    /// Bytes to take of each packet.
    #[arg(long, short = 's', value_name = "BYTES", requires = "interface", help_heading = "Capturing")]
    pub snap_length: Option<u32>,

    /// End after this time.
    #[arg(long = "for", value_name = "DURATION", requires = "interface", value_parser = duration, help_heading = "Capturing")]
    pub during: Option<Duration>,

    /// End after N packets.
    #[arg(long, short = 'c', value_name = "N")]
    pub count: Option<u64>,

    /// Go on reading a file that grows.
    #[arg(long, conflicts_with_all = ["interface", "threads"])]
    pub follow: bool,

    /// Write what is read as pcapng.
    #[arg(long, short = 'w', value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub write: Option<PathBuf>,

    /// With `--write`: say of each packet what it is and does, as a comment.
    #[arg(long, requires = "write")]
    pub comment: bool,

    /// One line a segment, with both ends' states before and after it.
    #[arg(long, group = "view", help_heading = "Views")]
    pub segments: bool,

    /// Draw a flow as a ladder: its number, or CLIENT-SERVER.
    #[arg(long, group = "view", value_name = "FLOW", help_heading = "Views")]
    pub diagram: Option<String>,

    /// Plot sequence numbers of a flow over time.
    #[arg(long, group = "view", value_name = "FLOW", help_heading = "Views")]
    pub plot: Option<String>,

    /// Tell the story of a flow in sentences.
    #[arg(long, group = "view", value_name = "FLOW", help_heading = "Views")]
    pub explain: Option<String>,

    /// Write the diagram or plot as an SVG image.
    #[arg(long, short = 'o', value_name = "FILE", value_hint = ValueHint::FilePath, help_heading = "Views")]
    pub output: Option<PathBuf>,

    /// Show at most N flows or segments.
    #[arg(long, short = 'n', value_name = "N", help_heading = "Views")]
    pub limit: Option<usize>,

    /// What to do with segments whose checksum is wrong.
    #[arg(long, value_enum, default_value_t, value_name = "HOW", help_heading = "Tracking")]
    pub checksums: ChecksumChoice,

    /// What else than addresses and ports tells flows apart, separated by commas.
    #[arg(long, value_enum, value_name = "PARTS", value_delimiter = ',', help_heading = "Tracking")]
    pub key: Vec<KeyPart>,

    /// How long TIME_WAIT lasts.
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = duration, help_heading = "Tracking")]
    pub time_wait: Duration,

    /// Flows to keep at once; beyond it the finished and then the longest idle are let go.
    #[arg(long, value_name = "N", default_value_t = 1_000_000, help_heading = "Tracking")]
    pub max_flows: usize,

    /// Threads that track, each its share of the flows, while one more reads; the answer is the same.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Tracking")]
    pub threads: u16,
}

/// What to do with segments whose checksum is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ChecksumChoice {
    /// Mark and use them: a sender's own packets are captured before its card sums them.
    #[default]
    Flag,
    /// Do not look at checksums.
    Ignore,
    /// Mark them and leave them out.
    Drop,
}

/// What else than addresses and ports can tell flows apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeyPart {
    /// VLAN tags.
    Vlan,
    /// MPLS labels.
    Mpls,
    /// Numbers of tunnels.
    Tunnel,
    /// The interface.
    Interface,
}

fn duration(text: &str) -> Result<Duration, String> {
    filter::parse_duration(text).map_err(|error| error.to_string())
}

/// Options of `eleven kill`.
#[derive(Args, Debug)]
pub struct KillArgs {
    /// Close them without asking.
    #[arg(long, short = 'y')]
    pub yes: bool,

    /// Only show what would be closed.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,

    /// Which sockets; there must be a filter.
    #[command(flatten)]
    pub filter: FilterArgs,
}

const KILL_HELP: &str = "\
Examples:
  eleven kill 'state close-wait and pid 812'        a leak, until the program is repaired
  eleven kill 'state established and dst 10.0.3.7 and age > 1h' --dry-run
  eleven kill 'state time-wait and sport = :8080' --yes

Each socket is known by the kernel's cookie: one that took the same addresses meanwhile is left alone.
It takes CAP_NET_ADMIN. Exit code 1: at least one could not be closed.";

/// Options of `eleven keepalive`.
#[derive(Args, Debug)]
pub struct KeepaliveArgs {
    /// Turn keepalive on with these: time before the first probe, interval between probes, and how many may go unanswered.
    #[arg(long, value_name = "time=60,interval=10,probes=3", value_delimiter = ',')]
    pub set: Vec<String>,

    /// Set TCP_USER_TIMEOUT: how long data may go unacknowledged; 0s takes it off.
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub user_timeout: Option<Duration>,

    /// Turn keepalive off.
    #[arg(long, conflicts_with = "set")]
    pub off: bool,

    /// Put back what was before the changes made with this command.
    #[arg(long, conflicts_with_all = ["set", "user_timeout", "off", "filter", "dry_run"])]
    pub undo: bool,

    /// Change them without asking.
    #[arg(long, short = 'y')]
    pub yes: bool,

    /// Only show which sockets would be changed.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,

    /// Which sockets; connections when left out. Listeners, from which new connections inherit, with `state listen`.
    #[command(flatten)]
    pub filter: FilterArgs,
}

const KEEPALIVE_HELP: &str = "\
Examples:
  eleven keepalive                                   who would notice a dead peer, and how soon
  eleven keepalive 'process orders' --set time=60,interval=10,probes=3 --user-timeout 30s
  eleven keepalive --undo

The options are read and set through a copy of the program's own descriptor, which takes the right to trace it: the same
user, or CAP_SYS_PTRACE. A program that sets the options again later wins. What is put back is what was in effect, as the
socket's own setting: it no longer follows the sysctls.";

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

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("it has the form KEY=VALUE, as tcp_fin_timeout=5")?;
    if key.trim().is_empty() {
        return Err("there is no KEY before the `=`".to_owned());
    }
    Ok((key.trim().to_owned(), value.trim().to_owned()))
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

/// Options of `eleven doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Time between the two looks, which makes rates and growth real.
    #[arg(long = "for", value_name = "DURATION", default_value = "5s", value_parser = duration)]
    pub during: Duration,

    /// Judge saved snapshots in place of this moment: one, or an earlier and a later one.
    #[arg(long, value_name = "SNAPSHOT", num_args = 1..=2, value_hint = ValueHint::FilePath)]
    pub from: Vec<PathBuf>,

    /// Go on looking, and print only what changes.
    #[arg(long, conflicts_with = "from")]
    pub watch: bool,

    /// Judge only these faults, separated by commas.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub only: Vec<String>,

    /// Do not judge these faults, separated by commas.
    #[arg(long, value_name = "CODES", value_delimiter = ',')]
    pub skip: Vec<String>,

    /// Judge the idle timeouts along a path from client to server instead of this host.
    #[arg(long, value_name = "HOP HOP…", conflicts_with_all = ["from", "watch", "fix", "undo"], help_heading = "Along a path")]
    pub path: Option<String>,

    /// Take timeouts that the path does not give from configuration files of nginx, Apache httpd and HAProxy.
    #[arg(long, value_name = "FILE", requires = "path", value_hint = ValueHint::FilePath, help_heading = "Along a path")]
    pub config: Vec<PathBuf>,

    /// Show also which rules passed, and on what numbers.
    #[arg(long, short = 'v')]
    pub verbose: bool,

    /// Exit with 3 when something is a warning or worse.
    #[arg(long)]
    pub exit_code: bool,

    /// Set the sysctls that findings name, after asking, and look again.
    #[arg(long, conflicts_with_all = ["from", "watch"], help_heading = "Acting")]
    pub fix: bool,

    /// Set this sysctl in place of what findings propose.
    #[arg(long, value_name = "NAME=VALUE", requires = "fix", help_heading = "Acting")]
    pub set: Vec<String>,

    /// Do not ask.
    #[arg(long, short = 'y', help_heading = "Acting")]
    pub yes: bool,

    /// Write what is set into /etc/sysctl.d/90-eleven.conf as well, so that it lasts.
    #[arg(long, requires = "fix", help_heading = "Acting")]
    pub persist: bool,

    /// Take back what `--fix` has set.
    #[arg(long, conflicts_with_all = ["fix", "from", "watch"], help_heading = "Acting")]
    pub undo: bool,
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
    format!("Keys:\n{}\n{}", fields::keys_help(), filter::help(filter::Subject::Sockets))
}

fn list_help() -> String {
    format!("Columns:\n{}\n{}", fields::columns_help(), filter::help(filter::Subject::Sockets))
}

fn trace_help() -> String {
    format!(
        "Examples:\n  \
         eleven trace a.pcap                          flows, their states and what is odd\n  \
         eleven trace a.pcap anomaly zero-window      only flows with a zero window\n  \
         eleven trace a.pcap --segments flow 3        both states at every segment of a flow\n  \
         eleven trace a.pcap --explain 3              the story of a flow\n  \
         eleven trace a.pcap --plot 3 -o plot.svg     its sequence numbers over time\n  \
         eleven trace -i eth0 port 443                live, until Ctrl-C\n\n{}",
        filter::help(filter::Subject::Flows)
    )
}

const DOCTOR_HELP: &str = "\
Examples:
  eleven doctor                            two looks, five seconds apart
  eleven doctor --netns all --for 30s      all namespaces, so that both ends are seen
  eleven doctor --only close-wait-leak     one fault; `eleven explain CODE` tells of each
  eleven doctor --verbose                  also what was looked at and found healthy
  eleven doctor --from a.json b.json       two snapshots of `eleven snapshot`
  eleven doctor --exit-code --format json  for scripts: 3 means a warning or worse
  eleven doctor --fix --only harmful-sysctl
  eleven doctor --undo                     take back what --fix has set";

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
  eleven explain zero-window          an anomaly that a trace shows
  eleven explain 10.0.0.1:443-10.0.0.9:51234   what a connection waits for";

const LAB_HELP: &str = "\
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
