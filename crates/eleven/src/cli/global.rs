//! Options every command takes.

use clap::{Args, ValueEnum};
use eleven_knowledge::Language;
use eleven_linux::ReaderChoice;
use eleven_linux::namespace::NamespaceChoice;

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
