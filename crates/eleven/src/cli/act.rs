//! Commands that act on sockets of running programs, `kill` and `keepalive`, and how acting commands ask.

use std::time::Duration;

use clap::Args;

use super::{FilterArgs, duration};

/// How a command that changes something asks before it does.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ActArgs {
    /// Do it without asking.
    #[arg(long, short = 'y')]
    pub yes: bool,

    /// Only show what would be done.
    #[arg(long, conflicts_with = "yes")]
    pub dry_run: bool,
}

/// Options of `eleven kill`.
#[derive(Args, Debug)]
pub struct KillArgs {
    /// Whether to ask.
    #[command(flatten)]
    pub act: ActArgs,

    /// Which sockets; there must be a filter.
    #[command(flatten)]
    pub filter: FilterArgs,
}

pub(super) const KILL_HELP: &str = "\
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
    #[arg(long, conflicts_with_all = ["set", "user_timeout", "off", "filter"])]
    pub undo: bool,

    /// Whether to ask.
    #[command(flatten)]
    pub act: ActArgs,

    /// Which sockets; connections when left out. Listeners, from which new connections inherit, with `state listen`.
    #[command(flatten)]
    pub filter: FilterArgs,
}

pub(super) const KEEPALIVE_HELP: &str = "\
Examples:
  eleven keepalive                                   who would notice a dead peer, and how soon
  eleven keepalive 'process orders' --set time=60,interval=10,probes=3 --user-timeout 30s
  eleven keepalive --undo

The options are read and set through a copy of the program's own descriptor, which takes the right to trace it: the same
user, or CAP_SYS_PTRACE. A program that sets the options again later wins. What is put back is what was in effect, as the
socket's own setting: it no longer follows the sysctls.";
