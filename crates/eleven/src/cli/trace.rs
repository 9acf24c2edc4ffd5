//! `eleven trace`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum, ValueHint};

use super::duration;
use crate::filter;

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

pub(super) fn trace_help() -> String {
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
