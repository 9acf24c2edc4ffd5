//! One flow: drawn, plotted or told.

use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;

use anyhow::Context as _;
use eleven_track::{Flow, Side, Tracker, Verdict};

use super::convert::Sighted;
use super::diagram;
use super::flows::Numbered;
use super::plot::Plot;
use super::reading::Sink;
use super::record::Records;
use super::segments::Seen;
use crate::cli::{Global, TraceArgs};
use crate::commands::WrongUsage;
use crate::output::{Output, note};

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
