//! What is made of the segments as they are read: rows of flows, lines of segments, the picture of one flow.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use eleven_track::{Flow, Settings, Side, Tracker, Verdict};
use rustc_hash::FxHashMap;

use super::convert::Sighted;
use super::diagram;
use super::flows::{FlowRows, Numbered};
use super::plot::Plot;
use super::reading::{Outcome, Reading, Sink};
use super::record::Records;
use super::segments::{Seen, SegmentRows};
use super::source::{Source, open_files};
use super::summary::Summary;
use crate::cli::{Format, Global, TraceArgs};
use crate::commands::WrongUsage;
use crate::filter::Filter;
use crate::output::{Output, note};

/// Numbers flows from 1, in the order of their first packets.
#[derive(Default)]
pub(super) struct Numbers(FxHashMap<u64, u64>);

impl Numbers {
    pub(super) fn of(&mut self, verdict: &Verdict) -> u64 {
        let next = self.0.len() as u64 + 1;
        *self.0.entry(verdict.flow).or_insert(next)
    }
}

/// The default view: a summary, and a row a flow.
pub(super) struct FlowsView {
    output: Output,
    filter: Filter,
    limit: usize,
    evicted: Vec<Flow>,
}

impl FlowsView {
    pub(super) fn new(output: Output, filter: Filter, limit: Option<usize>) -> Self {
        Self { output, filter, limit: limit.unwrap_or(usize::MAX), evicted: Vec::new() }
    }

    /// Shows at most so many rows.
    pub(super) fn limit_to(&mut self, limit: Option<usize>) {
        self.limit = limit.unwrap_or(usize::MAX);
    }

    pub(super) fn finish(mut self, tracker: Tracker, outcome: &Outcome) -> io::Result<()> {
        let mut chosen = numbered(self.evicted, tracker);
        chosen.retain(|flow| self.filter.matches(flow));
        if self.output.format == Format::Table {
            let mut summary = Summary::default();
            for numbered in &chosen {
                summary.add(numbered);
            }
            summary.print(&mut self.output, &outcome.read, &outcome.reassembly)?;
            if !chosen.is_empty() {
                writeln!(self.output)?;
            }
        }
        let is_table = self.output.format == Format::Table;
        if is_table && chosen.is_empty() {
            self.output.flush()?;
            let what = if self.filter.is_everything() {
                "there is no TCP flow in it"
            } else {
                "no flow matches the filter"
            };
            note(what);
            return Ok(());
        }
        let mut rows = FlowRows::new(self.output)?;
        for numbered in chosen.iter().take(self.limit) {
            rows.write(numbered)?;
        }
        rows.finish()?;
        if is_table && chosen.len() > self.limit {
            note(&format!(
                "{} more flows are not shown; --limit {} shows them all",
                chosen.len() - self.limit,
                chosen.len()
            ));
        }
        Ok(())
    }
}

impl Sink for FlowsView {
    fn evicted(&mut self, flow: Flow) -> io::Result<()> {
        self.evicted.push(flow);
        Ok(())
    }
}

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
        let mut evicted = Evicted(Vec::new());
        let mut source = Source::Files(open_files(files, false)?);
        reading.run(&mut source, &mut tracker, None, &mut evicted)?;
        let flows = numbered(evicted.0, tracker).into_iter();
        Ok(Self::Flows(flows.filter(|flow| filter.matches(flow)).map(|flow| flow.number).collect()))
    }

    pub(super) fn has(&self, seen: &Seen<'_>) -> bool {
        match self {
            Self::All => true,
            Self::Flows(numbers) => numbers.contains(&seen.flow),
            Self::Matching(filter) => filter.matches(seen),
        }
    }
}

/// Flows that gave way to others.
struct Evicted(Vec<Flow>);

impl Sink for Evicted {
    fn evicted(&mut self, flow: Flow) -> io::Result<()> {
        self.0.push(flow);
        Ok(())
    }
}

/// All flows, numbered in the order of their first packets.
fn numbered(evicted: Vec<Flow>, tracker: Tracker) -> Vec<Numbered> {
    let mut flows = evicted;
    flows.extend(tracker.finish());
    flows.sort_by_key(|flow| flow.id);
    flows.into_iter().zip(1..).map(|(flow, number)| Numbered { number, flow }).collect()
}

/// A line a segment.
pub(super) struct SegmentsView {
    rows: SegmentRows,
    numbers: Numbers,
    chosen: Chosen,
    left: usize,
}

impl SegmentsView {
    pub(super) fn new(output: Output, chosen: Chosen, limit: Option<usize>) -> io::Result<Self> {
        let rows = SegmentRows::new(output)?;
        Ok(Self { rows, numbers: Numbers::default(), chosen, left: limit.unwrap_or(usize::MAX) })
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.rows.finish()
    }
}

impl Sink for SegmentsView {
    fn segment(&mut self, sighted: &Sighted, verdict: &Verdict) -> io::Result<()> {
        let seen = Seen { sighted, flow: self.numbers.of(verdict), verdict };
        if self.left == 0 || !self.chosen.has(&seen) {
            return Ok(());
        }
        self.left -= 1;
        self.rows.write(&seen)
    }

    fn idle(&mut self) -> io::Result<()> {
        self.rows.flush()
    }
}

/// Which flow is wanted.
enum Wanted {
    Number(u64),
    /// Between these, in either direction; the first if there are several.
    Sockets([SocketAddr; 2]),
}

/// One flow, to be drawn, plotted or told.
pub(super) struct OneFlowView {
    wanted: Wanted,
    numbers: Numbers,
    records: Records,
    /// The flow's number and identity, once it was seen.
    found: Option<(u64, u64)>,
    evicted: Option<Flow>,
}

impl OneFlowView {
    pub(super) fn new(wanted: &str) -> Result<Self, WrongUsage> {
        let sockets = || {
            let (one, other) = wanted.split_once('-')?;
            Some(Wanted::Sockets([one.trim().parse().ok()?, other.trim().parse().ok()?]))
        };
        let wanted = wanted.parse().ok().map(Wanted::Number).or_else(sockets).ok_or_else(|| {
            WrongUsage::Other(format!(
                "`{wanted}` names no flow: it is a number as the list of flows shows it, or two sockets as in \
                 10.0.0.1:40000-10.0.0.2:80"
            ))
        })?;
        Ok(Self {
            wanted,
            numbers: Numbers::default(),
            records: Records::default(),
            found: None,
            evicted: None,
        })
    }

    pub(super) fn finish(
        self,
        mut output: Output,
        args: &TraceArgs,
        global: &Global,
        tracker: &Tracker,
    ) -> anyhow::Result<()> {
        let flows = self.numbers.0.len();
        let Some((number, id)) = self.found else {
            let what = match self.wanted {
                Wanted::Number(number) => format!("there is no flow {number}; there are {flows}"),
                Wanted::Sockets([one, other]) => format!("there is no flow between {one} and {other}"),
            };
            anyhow::bail!(what);
        };
        let flow = self.evicted.or_else(|| tracker.flow(id)).context("the flow is gone")?;
        let numbered = Numbered { number, flow };
        let flow = &numbered.flow;
        if self.records.left_out > 0 {
            note(&format!("{} further segments of the flow are left out", self.records.left_out));
        }
        let (client, server) = (flow.client.socket.to_string(), flow.server.socket.to_string());
        let image = if args.diagram.is_some() {
            let ladder = diagram::ladder(&client, &server, &self.records);
            if args.output.is_some() { ladder.svg() } else { ladder.text() }
        } else if args.plot.is_some() {
            let plots = [Side::Client, Side::Server].map(|side| Plot::of(&numbered, &self.records, side));
            let plots = || plots.iter().filter(|plot| !plot.is_empty());
            if plots().next().is_none() {
                anyhow::bail!("flow {number} has no text to plot");
            }
            match args.output {
                Some(_) => Plot::svg(&plots().collect::<Vec<_>>()),
                None => {
                    let columns = output.columns.unwrap_or(100);
                    plots().map(|plot| plot.text(columns, 20)).collect::<Vec<_>>().join("\n")
                }
            }
        } else {
            super::story::tell(
                &numbered,
                &self.records,
                args.time_wait.as_secs(),
                crate::commands::language(global),
            )
        };
        match &args.output {
            Some(path) => {
                fs::write(path, image).with_context(|| format!("cannot write {}", path.display()))?
            }
            None => {
                output.write_all(image.as_bytes())?;
                output.flush()?;
            }
        }
        Ok(())
    }
}

impl Sink for OneFlowView {
    fn segment(&mut self, sighted: &Sighted, verdict: &Verdict) -> io::Result<()> {
        let flow = self.numbers.of(verdict);
        let is_wanted = match (&self.wanted, self.found) {
            (_, Some((number, _))) => number == flow,
            (Wanted::Number(number), None) => *number == flow,
            (Wanted::Sockets([one, other]), None) => {
                let sockets = sighted.sockets();
                sockets == [*one, *other] || sockets == [*other, *one]
            }
        };
        if is_wanted {
            self.found = Some((flow, verdict.flow));
            self.records.add(&Seen { sighted, flow, verdict });
        }
        Ok(())
    }

    fn evicted(&mut self, flow: Flow) -> io::Result<()> {
        if self.found.is_some_and(|(_, id)| id == flow.id) {
            self.evicted = Some(flow);
        }
        Ok(())
    }
}
