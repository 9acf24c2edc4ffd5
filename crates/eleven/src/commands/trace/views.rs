//! What is made of all segments as they are read: rows of flows, or a line for each.

use std::io::{self, Write};

use eleven_track::{Flow, Shards, Verdict};

use super::chosen::Chosen;
use super::convert::Sighted;
use super::flows::{FlowRows, Numbered};
use super::reading::{Outcome, Sink};
use super::segments::{Seen, SegmentRows};
use super::summary::Summary;
use crate::cli::Format;
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

    pub(super) fn finish(self, shards: Shards, outcome: &Outcome) -> io::Result<()> {
        let (mut output, mut summary, evicted) = match self.rows {
            Rows::Records(mut rows) => {
                let flows = shards.finish().map(Numbered::from);
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
            shards.outlines().map(Numbered::from).for_each(|flow| summary.add(&flow));
        } else {
            let flows = shards.flows().map(Numbered::from);
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
            let told = shards.flows().map(Numbered::from).filter(|flow| self.filter.matches(flow));
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
        std::mem::forget(shards);
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
