//! Commands that tell about things, not about this host: `explain`, `completions`, `man`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use clap_complete::Shell;

/// Options of `eleven explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// What to explain; the whole state diagram when left out.
    #[arg(value_name = "WORD")]
    pub words: Vec<String>,
}

pub(super) const EXPLAIN_HELP: &str = "\
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
