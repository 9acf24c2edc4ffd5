//! Commands that show the sockets of a host: `count`, `list`, `snapshot`, `diff`.

use std::path::PathBuf;

use clap::{Args, ValueHint};

use crate::{fields, filter};

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

pub(super) fn count_help() -> String {
    format!("Keys:\n{}\n{}", fields::keys_help(), filter::help(filter::Subject::Sockets))
}

pub(super) fn list_help() -> String {
    format!("Columns:\n{}\n{}", fields::columns_help(), filter::help(filter::Subject::Sockets))
}
