//! `eleven doctor`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueHint};

use super::{ActArgs, duration};

/// Options of `eleven doctor`.
#[derive(Args, Debug)]
pub struct DoctorArgs {
    /// Time between the two looks, which makes rates and growth real.
    #[arg(long = "for", value_name = "DURATION", default_value = "5s", value_parser = looks_apart, allow_hyphen_values = true)]
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

    /// Which listeners are expected, in the filter language (`sport = :22 or process nginx`): any
    /// other that can be reached from outside is a finding.
    #[arg(long, value_name = "FILTER", conflicts_with = "path")]
    pub expect: Option<String>,

    /// Judge the idle timeouts along a path from client to server instead of this host.
    #[arg(long, value_name = "HOP HOP…", conflicts_with_all = ["from", "watch", "fix", "undo"], help_heading = "Along a path")]
    pub path: Option<String>,

    /// Take timeouts from these configuration files of nginx, Apache httpd and HAProxy: those that the path does not
    /// give, or without a path those of the servers that run here, in place of the files that are found.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["from", "undo"], value_hint = ValueHint::FilePath, help_heading = "Along a path")]
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

    /// Whether to ask.
    #[command(flatten, next_help_heading = "Acting")]
    pub act: ActArgs,

    /// Write what is set into /etc/sysctl.d/90-eleven.conf as well, so that it lasts.
    #[arg(long, requires = "fix", help_heading = "Acting")]
    pub persist: bool,

    /// Take back what `--fix` has set.
    #[arg(long, conflicts_with_all = ["fix", "from", "watch"], help_heading = "Acting")]
    pub undo: bool,
}

pub(super) const DOCTOR_HELP: &str = "\
Examples:
  eleven doctor                            two looks, five seconds apart
  eleven doctor --netns all --for 30s      all namespaces, so that both ends are seen
  eleven doctor --only close-wait-leak     one fault; `eleven explain CODE` tells of each
  eleven doctor --verbose                  also what was looked at and found healthy
  eleven doctor --expect 'sport = :22 or process nginx'
  eleven doctor --from a.json b.json       two snapshots of `eleven snapshot`
  eleven doctor --exit-code --format json  for scripts: 3 means a warning or worse
  eleven doctor --fix --dry-run            what --fix would set
  eleven doctor --fix --only harmful-sysctl
  eleven doctor --undo                     take back what --fix has set";

/// A look holds the suspects of the one before in memory; who wants to compare days compares snapshots.
fn looks_apart(text: &str) -> Result<Duration, String> {
    let apart = duration(text)?;
    if apart > Duration::from_secs(86_400) {
        return Err(
            "two looks are at most a day apart; for longer, compare snapshots with --from A B".to_owned()
        );
    }
    Ok(apart)
}
