//! `eleven trace`: both ends' states from packets.

mod chosen;
mod convert;
mod diagram;
mod flows;
mod live;
mod one_flow;
mod plot;
mod reading;
mod record;
mod segments;
mod shards;
mod source;
mod story;
mod summary;
mod views;
mod writing;

use std::time::Instant;

use eleven_capture::PathParts;
use eleven_track::{Checksums, Settings, Tracker};

use self::chosen::Chosen;
use self::live::LiveView;
use self::one_flow::OneFlowView;
use self::reading::{Outcome, Reading, Sink};
use self::source::Source;
use self::summary::Read;
use self::views::{FlowsView, SegmentsView};
use self::writing::Recorder;
use super::WrongUsage;
use super::interrupt::on_interrupt;
use crate::cli::{ChecksumChoice, Format, Global, KeyPart, TraceArgs};
use crate::filter::{Filter, Subject, SystemNames};
use crate::output::{Output, note};

pub(super) fn run(global: &Global, args: &TraceArgs) -> anyhow::Result<()> {
    let (files, words) = source::split_words(args)?;
    let filter = Filter::parse_about(Subject::Flows, &words.join(" "), &SystemNames::new())
        .map_err(WrongUsage::Filter)?;
    let reading = Reading {
        key: key(&args.key),
        checksums: checksums(args.checksums),
        count: args.count,
        until: args.during.map(|during| Instant::now() + during),
        stop: on_interrupt()?,
        prints: args.segments || args.interface.is_some(),
        threads: args.threads,
    };
    let output = Output::open(global)?;
    let mut recorder = args.write.as_ref().map(|path| Recorder::create(path, args.comment)).transpose()?;
    let mut source = Source::open(global, args, &files, &filter)?;
    let mut tracker = Tracker::new(settings(args));
    let mut read = |tracker: &mut Tracker, sink: &mut dyn Sink| {
        reading.run(&mut source, tracker, recorder.as_mut(), sink)
    };

    let outcome = if args.segments {
        let chosen = Chosen::new(filter, &files, &reading, settings(args))?;
        let mut view = SegmentsView::new(output, chosen, args.limit)?;
        let outcome = read(&mut tracker, &mut view)?;
        view.finish()?;
        outcome
    } else if let Some(wanted) = args.diagram.as_ref().or(args.plot.as_ref()).or(args.explain.as_ref()) {
        let mut view = OneFlowView::new(wanted)?;
        let outcome = read(&mut tracker, &mut view)?;
        view.finish(output, args, global, &tracker)?;
        outcome
    } else if args.interface.is_some() && global.format == Format::Table {
        let mut view = LiveView::new(output, global, filter)?;
        let outcome = read(&mut tracker, &mut view)?;
        view.finish(args.limit, tracker, &outcome)?;
        outcome
    } else {
        let mut view = FlowsView::new(output, filter, args.limit)?;
        let (outcome, shards) = if reading.threads > 1 && args.interface.is_none() && args.write.is_none() {
            shards::run(&reading, &mut source, tracker.settings(), &mut view)?
        } else {
            (read(&mut tracker, &mut view)?, tracker.into())
        };
        view.finish(shards, &outcome)?;
        outcome
    };
    let Read { packets, dropped, .. } = outcome.read;
    if args.interface.is_some() {
        note(&format!("{packets} packets captured, {dropped} dropped by the kernel"));
    } else if dropped > 0 {
        note(&format!("{dropped} packets were dropped when this was captured"));
    }
    whole(&outcome)
}

/// An error where the capture was damaged: what could be read has been shown.
fn whole(outcome: &Outcome) -> anyhow::Result<()> {
    match outcome.errors {
        0 => Ok(()),
        1 => {
            Err(anyhow::anyhow!("the capture is damaged in one place: the results are of what could be read"))
        }
        count => Err(anyhow::anyhow!(
            "the capture is damaged in {count} places: the results are of what could be read"
        )),
    }
}

fn key(parts: &[KeyPart]) -> PathParts {
    parts.iter().fold(PathParts::NONE, |key, part| {
        key | match part {
            KeyPart::Vlan => PathParts::VLAN,
            KeyPart::Mpls => PathParts::MPLS,
            KeyPart::Tunnel => PathParts::TUNNEL,
            KeyPart::Interface => PathParts::INTERFACE,
        }
    })
}

const fn checksums(choice: ChecksumChoice) -> Checksums {
    match choice {
        ChecksumChoice::Flag => Checksums::Flag,
        ChecksumChoice::Ignore => Checksums::Ignore,
        ChecksumChoice::Drop => Checksums::Drop,
    }
}

fn settings(args: &TraceArgs) -> Settings {
    Settings {
        time_wait: args.time_wait,
        max_flows: args.max_flows,
        checksums: checksums(args.checksums),
        ..Settings::default()
    }
}
