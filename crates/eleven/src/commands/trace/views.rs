//! What is made of the segments as they are read: rows of flows, lines of segments, the picture of one flow.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use eleven_track::{Flow, Settings, Side, Tracker, Verdict};

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

/// The default view: a summary, and a row a flow.
pub(super) struct FlowsView {
    filter: Filter,
    limit: usize,
    rows: Rows,
    /// Records that are written already.
    written: usize,
}

/// What becomes of flows as they end.
#[allow(clippy::large_enum_variant, reason = "there is one value of it")]
enum Rows {
    /// The summary comes first, so rows wait.
    Table { output: Output, summary: Box<Summary>, evicted: Vec<Numbered> },
    /// Records are written as they come.
    Records(FlowRows),
}

/// So many flows that had to give way wait for their rows in a table; of the others there are only sums.
const MOST_WAITING: usize = 100_000;

impl FlowsView {
    pub(super) fn new(output: Output, filter: Filter, limit: Option<usize>) -> io::Result<Self> {
        let rows = if output.format == Format::Table {
            Rows::Table { output, summary: Box::default(), evicted: Vec::new() }
        } else {
            Rows::Records(FlowRows::new(output)?)
        };
        Ok(Self { filter, limit: limit.unwrap_or(usize::MAX), rows, written: 0 })
    }

    /// Shows at most so many rows.
    pub(super) fn limit_to(&mut self, limit: Option<usize>) {
        self.limit = limit.unwrap_or(usize::MAX);
    }

    pub(super) fn finish(self, tracker: Tracker, outcome: &Outcome) -> io::Result<()> {
        let (mut output, mut summary, evicted) = match self.rows {
            Rows::Records(mut rows) => {
                let flows = tracker.finish().map(Numbered::from);
                let left = self.limit.saturating_sub(self.written);
                for flow in flows.filter(|flow| self.filter.matches(flow)).take(left) {
                    rows.write(&flow)?;
                }
                return rows.finish();
            }
            Rows::Table { output, summary, evicted } => (output, summary, evicted),
        };
        if self.filter.is_everything() {
            // Paths are told only of flows that get a row.
            tracker.outlines().map(Numbered::from).for_each(|flow| summary.add(&flow));
        } else {
            let flows = tracker.flows().map(Numbered::from);
            flows.filter(|flow| self.filter.matches(flow)).for_each(|flow| summary.add(&flow));
        }
        summary.print(&mut output, &outcome.read, &outcome.reassembly)?;
        let flows = summary.flows();
        if flows == 0 {
            output.flush()?;
            let everything = self.filter.is_everything();
            note(if everything { "there is no TCP flow in it" } else { "no flow matches the filter" });
            return Ok(());
        }
        let mut shown = 0;
        if self.limit > 0 {
            writeln!(output)?;
            let mut rows = FlowRows::new(output)?;
            let told = tracker.flows().map(Numbered::from).filter(|flow| self.filter.matches(flow));
            for flow in evicted.into_iter().chain(told).take(self.limit) {
                rows.write(&flow)?;
                shown += 1;
            }
            rows.finish()?;
        } else {
            output.flush()?;
        }
        if flows > shown && self.limit < usize::MAX {
            note(&format!("{} more flows are not shown; --limit {flows} shows them all", flows - shown));
        } else if flows > shown {
            note(&format!("{} flows that gave way to others have no row; see --max-flows", flows - shown));
        }
        // The program ends: to free a million flows one by one would only take time.
        std::mem::forget(tracker);
        Ok(())
    }
}

impl Sink for FlowsView {
    fn evicted(&mut self, flow: Flow) -> io::Result<()> {
        let flow = Numbered::from(flow);
        if !self.filter.matches(&flow) {
            return Ok(());
        }
        match &mut self.rows {
            Rows::Table { summary, evicted, .. } => {
                summary.add(&flow);
                if evicted.len() < MOST_WAITING {
                    evicted.push(flow);
                }
            }
            Rows::Records(rows) => {
                if self.written < self.limit {
                    self.written += 1;
                    rows.write(&flow)?;
                }
            }
        }
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

/// A line a segment.
pub(super) struct SegmentsView {
    rows: SegmentRows,
    chosen: Chosen,
    left: usize,
}

impl SegmentsView {
    pub(super) fn new(output: Output, chosen: Chosen, limit: Option<usize>) -> io::Result<Self> {
        let rows = SegmentRows::new(output)?;
        Ok(Self { rows, chosen, left: limit.unwrap_or(usize::MAX) })
    }

    pub(super) fn finish(self) -> io::Result<()> {
        self.rows.finish()
    }
}

impl Sink for SegmentsView {
    fn segment(&mut self, sighted: &Sighted, verdict: &Verdict) -> io::Result<()> {
        let seen = Seen { sighted, flow: verdict.ordinal, verdict };
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
        Ok(Self { wanted, records: Records::default(), found: None, evicted: None })
    }

    pub(super) fn finish(
        self,
        mut output: Output,
        args: &TraceArgs,
        global: &Global,
        tracker: &Tracker,
    ) -> anyhow::Result<()> {
        let flows = tracker.totals().flows;
        let Some((number, id)) = self.found else {
            let what = match self.wanted {
                Wanted::Number(number) => format!("there is no flow {number}; there are {flows}"),
                Wanted::Sockets([one, other]) => format!("there is no flow between {one} and {other}"),
            };
            anyhow::bail!(what);
        };
        let flow = self.evicted.or_else(|| tracker.flow(id)).context("the flow is gone")?;
        let numbered = Numbered::from(flow);
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
        let flow = verdict.ordinal;
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
