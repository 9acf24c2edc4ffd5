//! Live: what happens is printed as it happens, and at the end what came of it.

use std::io::{self, Write};

use eleven_track::{Flow, Note, Side, Tracker, Verdict};

use super::convert::Sighted;
use super::reading::{Outcome, Sink};
use super::segments::{Seen, meaning};
use super::views::FlowsView;
use crate::cli::Global;
use crate::filter::Filter;
use crate::output::{Output, Style};

/// Prints each change of a state and everything odd.
pub(super) struct LiveView {
    output: Output,
    flows: FlowsView,
    filter: Filter,
}

impl LiveView {
    pub(super) fn new(output: Output, global: &Global, filter: Filter) -> io::Result<Self> {
        let flows = FlowsView::new(Output::open(global)?, filter.clone(), None)?;
        Ok(Self { output, flows, filter })
    }

    pub(super) fn finish(
        mut self,
        limit: Option<usize>,
        tracker: Tracker,
        outcome: &Outcome,
    ) -> io::Result<()> {
        writeln!(self.output)?;
        self.output.flush()?;
        self.flows.limit_to(limit);
        self.flows.finish(tracker.into(), outcome)
    }
}

impl Sink for LiveView {
    fn segment(&mut self, sighted: &Sighted, verdict: &Verdict) -> io::Result<()> {
        let seen = Seen { sighted, flow: verdict.ordinal, verdict };
        let is_odd = verdict.notes.iter().any(Note::is_anomaly);
        if !(is_odd || verdict.before != verdict.after) || !self.filter.matches(&seen) {
            return Ok(());
        }
        let [from, to] = sighted.sockets();
        let paint = self.output.paint;
        let mut line = format!(
            "{}  flow {:<4} {from} → {to} {}",
            clock(sighted.time_ns),
            seen.flow,
            sighted.segment.flags
        );
        for side in Side::BOTH {
            let (before, after) = (verdict.before(side), verdict.after(side));
            if before != after {
                line.push_str(&format!(
                    "  {side} {before} → {}",
                    paint.text(Style::State(after), after.as_str())
                ));
            }
        }
        if is_odd {
            line.push_str("  ");
            paint.push(&mut line, Style::Alarm, &meaning(verdict));
        }
        writeln!(self.output, "{line}")
    }

    fn evicted(&mut self, flow: Flow) -> io::Result<()> {
        self.flows.evicted(flow)
    }

    fn idle(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}

/// The time of the day in UTC: `12:34:56.000001`.
fn clock(time_ns: i64) -> String {
    let text = eleven_capture::Timestamp(time_ns).to_string();
    text.split_once('T').map_or(text.clone(), |(_, clock)| clock.trim_end_matches('Z').to_owned())
}
