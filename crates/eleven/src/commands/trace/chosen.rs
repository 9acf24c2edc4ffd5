//! Which flows' segments are shown: with a filter, those of the flows that match.

use std::collections::HashSet;
use std::io;
use std::path::PathBuf;

use eleven_track::{Flow, Settings, Tracker};

use super::flows::Numbered;
use super::reading::{Reading, Sink};
use super::segments::Seen;
use super::source::{Source, open_files};
use crate::filter::Filter;

/// Which flows' segments are shown.
pub(super) enum Chosen {
    All,
    /// These, by number.
    Flows(HashSet<u64>),
    /// What can be told of a flow while it goes on must match.
    Matching(Filter),
}

impl Chosen {
    /// Which flows match is known when they have ended, so a file is read once to find out. What cannot be read
    /// twice is judged by what is known at each segment: sockets and states.
    pub(super) fn new(
        filter: Filter,
        files: &[PathBuf],
        reading: &Reading,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        if filter.is_everything() {
            return Ok(Self::All);
        }
        if files.is_empty() || files.iter().any(|file| !file.is_file()) {
            return Ok(Self::Matching(filter));
        }
        let mut tracker = Tracker::new(settings);
        let mut choosing = Choosing { filter: &filter, chosen: HashSet::new() };
        let mut source = Source::Files(open_files(files, false)?);
        reading.run(&mut source, &mut tracker, None, &mut choosing)?;
        for flow in tracker.finish() {
            choosing.evicted(flow)?;
        }
        Ok(Self::Flows(choosing.chosen))
    }

    pub(super) fn has(&self, seen: &Seen<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Flows(numbers) => numbers.contains(&seen.flow),
            Self::Matching(filter) => filter.matches(seen),
        }
    }
}

/// Finds the flows that match.
struct Choosing<'a> {
    filter: &'a Filter,
    chosen: HashSet<u64>,
}

impl Sink for Choosing<'_> {
    fn evicted(&mut self, flow: Flow) -> io::Result<()> {
        let flow = Numbered::from(flow);
        if self.filter.matches(&flow) {
            self.chosen.insert(flow.number);
        }
        Ok(())
    }
}
