//! Where packets come from, and how far reading has come.

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use eleven_capture::live::{Live, LiveOptions};
use eleven_capture::{Capture, Interface, Packet};
use eleven_linux::namespace::{self, NamespaceChoice};
use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Global, TraceArgs};
use crate::commands::WrongUsage;
use crate::filter::Filter;
use crate::output::note;

/// Files at the head of the words, and the filter behind them.
///
/// The first word must be a file, unless an interface is named. Of the others, one that looks like a file is meant
/// as one: it is better to hear that it does not exist than that the filter language has no such word.
pub(super) fn split_words(args: &TraceArgs) -> Result<(Vec<PathBuf>, &[String]), WrongUsage> {
    let mut files = Vec::new();
    for (index, word) in args.words.iter().enumerate() {
        let path = Path::new(word);
        if word == "-" || path.is_file() || is_fifo(path) {
            files.push(path.to_owned());
        } else if (index == 0 && args.interface.is_none()) || looks_like_a_file(path) {
            return Err(WrongUsage::Other(format!("there is no file `{word}` to read")));
        } else {
            return Ok((files, &args.words[index..]));
        }
    }
    Ok((files, &[]))
}

fn is_fifo(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt as _;
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo())
}

fn looks_like_a_file(path: &Path) -> bool {
    const ENDINGS: [&str; 8] = ["pcap", "pcapng", "cap", "dmp", "ntar", "gz", "zst", "trc"];
    let is_capture = path.extension().is_some_and(|ending| {
        ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
            && path.to_str().is_some_and(|path| !path.contains(' '))
    });
    is_capture || path.starts_with("/") || path.starts_with(".") || path.starts_with("..")
}

/// Where packets come from.
#[allow(clippy::large_enum_variant, reason = "there is one value of it")]
pub(super) enum Source {
    /// Files, or standard input.
    Files(Capture),
    /// An interface.
    Live { live: Live, vanished: bool },
}

/// What is wrong with a source.
pub(super) enum Fault {
    /// Something is missing; what else comes is good.
    Damage(String),
    /// Only worth telling.
    Pause(String),
}

impl Source {
    /// Opens what the command line names.
    ///
    /// # Errors
    /// What cannot be opened, and why.
    pub(super) fn open(
        global: &Global,
        args: &TraceArgs,
        files: &[PathBuf],
        filter: &Filter,
    ) -> anyhow::Result<Self> {
        match &args.interface {
            Some(_) if !files.is_empty() => Err(WrongUsage::Other(
                "packets come from files or from an interface, not from both".to_owned(),
            )
            .into()),
            Some(interface) => open_live(interface, global, args, filter),
            None => open_files(files, args.follow).map(Self::Files),
        }
    }

    /// The next packet; `None` if there is none at the moment, or for ever ([`Self::is_finished`]).
    #[inline]
    pub(super) fn next_packet(&mut self) -> Result<Option<Packet<'_>>, Fault> {
        match self {
            Self::Files(capture) => capture.next_packet().map_err(|error| Fault::Damage(error.to_string())),
            Self::Live { live, vanished } => live.next_packet().map_err(|error| {
                if error.can_continue() {
                    Fault::Pause(error.to_string())
                } else {
                    *vanished = true;
                    Fault::Damage(error.to_string())
                }
            }),
        }
    }

    /// Whether no packet will come any more.
    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Files(capture) => capture.is_finished(),
            Self::Live { vanished, .. } => *vanished,
        }
    }

    /// Waits for packets, at most so long.
    pub(super) fn wait(&mut self, timeout: Duration) {
        match self {
            Self::Files(capture) => capture.wait(timeout),
            // What is wrong is told by the next attempt to read.
            Self::Live { live, .. } => drop(live.wait(timeout)),
        }
    }

    /// The interfaces that packets come from.
    pub(super) fn interfaces(&self) -> &[Interface] {
        match self {
            Self::Files(capture) => capture.interfaces(),
            Self::Live { live, .. } => live.interfaces(),
        }
    }

    /// What was lost before it could be read: by the kernel, or by whoever wrote the files.
    pub(super) fn dropped(&mut self) -> u64 {
        match self {
            Self::Files(capture) => capture.dropped_by_recorders(),
            Self::Live { live, .. } => live.counters().map_or(0, |counters| counters.dropped),
        }
    }

    /// Packets that came earlier than the one before.
    pub(super) fn backwards(&self) -> u64 {
        match self {
            Self::Files(capture) => capture.statistics().backwards,
            Self::Live { .. } => 0,
        }
    }
}

/// Opens files, or standard input.
///
/// # Errors
/// What cannot be opened, and why.
pub(super) fn open_files(files: &[PathBuf], follow: bool) -> anyhow::Result<Capture> {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    match files {
        [] => Err(WrongUsage::Other("name a capture file, or an interface with -i".to_owned()).into()),
        [one] if is_stdin(one) => Ok(Capture::from_reader("standard input", io::stdin())?),
        [one] if follow => Ok(Capture::follow(one)?),
        _ if follow => Err(WrongUsage::Other("--follow reads one file".to_owned()).into()),
        _ if files.iter().any(is_stdin) => {
            Err(WrongUsage::Other("standard input cannot be read together with files".to_owned()).into())
        }
        _ => Ok(Capture::open_all(files)?),
    }
}

fn open_live(interface: &str, global: &Global, args: &TraceArgs, filter: &Filter) -> anyhow::Result<Source> {
    let options = LiveOptions {
        interface: (interface != "any").then(|| interface.to_owned()),
        snap_length: args.snap_length.unwrap_or(SNAP_LENGTH),
        filter: filter.capture_expression(),
        ..LiveOptions::default()
    };
    if global.netns == NamespaceChoice::All {
        let why = "an interface is in one network namespace: name it with --netns";
        return Err(WrongUsage::Other(why.to_owned()).into());
    }
    let namespace = namespace::open(&global.netns)?.0.pop().context("there is no such network namespace")?;
    // A socket stays in the namespace in which it was made.
    let live = namespace.run(|| Live::open(&options))??;
    give_up_privileges();
    note(&format!("listening on {interface}; Ctrl-C ends it"));
    Ok(Source::Live { live, vanished: false })
}

/// Packets whole: a checksum is over all of a segment.
const SNAP_LENGTH: u32 = 256 << 10;

/// Everything that needs a privilege is open; what is parsed from here on comes from strangers.
fn give_up_privileges() {
    use rustix::thread::{CapabilitySet, CapabilitySets};
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    // Who has none cannot give any up.
    let _ = rustix::thread::set_no_new_privs(true);
    let _ = rustix::thread::set_capabilities(None, none);
}

/// A bar on standard error, where somebody sees it and nothing else is printed meanwhile.
pub(super) struct Progress(Option<ProgressBar>);

/// The bar moves after so many packets.
const STEP: u64 = 1 << 14;

impl Progress {
    /// Starts. `prints`: results are printed meanwhile.
    pub(super) fn new(source: &Source, prints: bool) -> Self {
        let shown = io::stderr().is_terminal() && !(prints && io::stdout().is_terminal());
        let Source::Files(capture) = source else { return Self(None) };
        Self(shown.then(|| match capture.progress().1 {
            Some(bytes) if bytes > 0 => ProgressBar::new(bytes).with_style(style(
                "{bar:30} {percent:>3} %  {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left  {msg}",
            )),
            _ => ProgressBar::new_spinner().with_style(style("{spinner} {bytes}  {bytes_per_sec}  {msg}")),
        }))
    }

    /// Another packet has been read.
    #[inline]
    pub(super) fn packet(&self, number: u64, source: &Source) {
        if number.is_multiple_of(STEP) && self.0.is_some() {
            self.show(number, source);
        }
    }

    #[cold]
    fn show(&self, number: u64, source: &Source) {
        if let (Some(bar), Source::Files(capture)) = (&self.0, source) {
            bar.set_position(capture.progress().0);
            bar.set_message(crate::text::counted(number, "packet"));
        }
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}

fn style(template: &str) -> ProgressStyle {
    // The templates are right; a plain bar is no harm if one is not.
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}
