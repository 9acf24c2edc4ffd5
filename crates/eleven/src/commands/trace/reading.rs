//! Reads packets to the end and has them tracked.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eleven_capture::{Checksum, Dissected, Dissector, PathParts};
use eleven_track::{Checksums, Flow, Tracker, Verdict};

use super::convert::{Sighted, reported};
use super::recorder::Recorder;
use super::source::{Fault, Progress, Source};
use super::summary::Read;
use crate::output::note;

/// Packets that are tracked together: enough that fetching one flow from memory does not wait for another.
const BATCH: usize = 32;
/// Ctrl-C is looked for so often while nothing comes.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// So many errors of a file are told one by one.
const TOLD: u64 = 10;

/// Who wants to know what is read.
pub(super) trait Sink {
    /// Every segment, in order.
    fn segment(&mut self, _: &Sighted, _: &Verdict) -> io::Result<()> {
        Ok(())
    }

    /// A flow that had to give way to others.
    fn evicted(&mut self, _: Flow) -> io::Result<()> {
        Ok(())
    }

    /// Nothing comes at the moment.
    fn idle(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How packets are to be read.
pub(super) struct Reading {
    /// What tells flows apart besides their sockets.
    pub(super) key: PathParts,
    pub(super) checksums: Checksums,
    /// Stop after so many packets.
    pub(super) count: Option<u64>,
    /// Stop at this time.
    pub(super) until: Option<Instant>,
    /// Stop when this becomes true: Ctrl-C.
    pub(super) stop: Arc<AtomicBool>,
    /// Results are printed meanwhile.
    pub(super) prints: bool,
}

/// What became of reading.
#[derive(Default)]
pub(super) struct Outcome {
    pub(super) read: Read,
    /// Errors of the files; what was read in spite of them counts.
    pub(super) errors: u64,
    pub(super) reassembly: eleven_capture::ReassemblyStatistics,
}

impl Reading {
    /// Reads to the end.
    ///
    /// # Errors
    /// Only those of the sink and the recorder: what is wrong with the capture is told and counted.
    pub(super) fn run(
        &self,
        source: &mut Source,
        tracker: &mut Tracker,
        mut recorder: Option<&mut Recorder>,
        sink: &mut dyn Sink,
    ) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let read = &mut outcome.read;
        let mut dissector = Dissector::default();
        dissector.verify_checksums(self.checksums != Checksums::Ignore);
        let mut batch: Vec<Sighted> = Vec::with_capacity(BATCH);
        let progress = Progress::new(source, self.prints);
        while !self.is_over(read) {
            let packet = match source.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => {
                    flush(tracker, &mut batch, sink)?;
                    if source.is_finished() {
                        break;
                    }
                    sink.idle()?;
                    source
                        .wait(self.until.map_or(LOOK_AGAIN, |until| LOOK_AGAIN.min(until - Instant::now())));
                    continue;
                }
                Err(Fault::Pause(text)) => {
                    note(&text);
                    continue;
                }
                Err(Fault::Damage(text)) => {
                    outcome.errors += 1;
                    if outcome.errors <= TOLD {
                        note(&text);
                    }
                    continue;
                }
            };
            read.packets += 1;
            if let Some(recorder) = &mut recorder {
                recorder.take(&packet);
            }
            match dissector.dissect(&packet) {
                Dissected::Tcp(tcp) => {
                    read.segments += 1;
                    read.bad_checksums += u64::from(tcp.checksum == Checksum::Bad);
                    read.partial_checksums += u64::from(tcp.checksum == Checksum::Partial);
                    batch.push(Sighted::new(&packet, &tcp, self.key));
                    if batch.len() == BATCH {
                        flush(tracker, &mut batch, sink)?;
                    }
                }
                Dissected::Icmp(icmp) => {
                    let icmp = reported(&packet, &icmp, self.key);
                    read.not_tcp += 1;
                    flush(tracker, &mut batch, sink)?;
                    // What it did to its flow is told with the flow.
                    tracker.observe_icmp(&icmp);
                }
                Dissected::Fragment => read.fragments += 1,
                Dissected::NotTcp(_) => read.not_tcp += 1,
                Dissected::Unreadable { .. } => read.unreadable += 1,
            }
            if let Some(recorder) = &mut recorder {
                // What is written is said of each packet, so each is tracked at once.
                let verdict = flush(tracker, &mut batch, sink)?;
                recorder.write(source.interfaces(), verdict.as_ref())?;
            }
            progress.packet(read.packets, source);
        }
        flush(tracker, &mut batch, sink)?;
        progress.finish();
        if let Some(recorder) = recorder {
            recorder.finish()?;
        }
        if outcome.errors > TOLD {
            note(&format!("{} more places in the capture are damaged", outcome.errors - TOLD));
        }
        read.backwards = source.backwards();
        read.dropped = source.dropped();
        outcome.reassembly = dissector.reassembly();
        Ok(outcome)
    }

    /// Whether no more packets are wanted.
    #[inline]
    fn is_over(&self, read: &Read) -> bool {
        self.stop.load(Ordering::Relaxed)
            || self.count.is_some_and(|count| read.packets >= count)
            || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

/// Has the batch tracked, and hands on what comes of it. The verdict on the last segment.
fn flush(
    tracker: &mut Tracker,
    batch: &mut Vec<Sighted>,
    sink: &mut dyn Sink,
) -> io::Result<Option<Verdict>> {
    let Some(last) = batch.len().checked_sub(1) else { return Ok(None) };
    // What lies behind the last is not looked at.
    let sightings: [_; BATCH] = std::array::from_fn(|index| batch[index.min(last)].sighting());
    let mut result = Ok(());
    let mut latest = None;
    tracker.observe_batch(&sightings[..=last], |index, verdict| {
        if index == last {
            latest = Some(*verdict);
        }
        if result.is_ok() {
            result = sink.segment(&batch[index], verdict);
        }
    });
    batch.clear();
    result?;
    for flow in tracker.drain_evicted() {
        sink.evicted(flow)?;
    }
    Ok(latest)
}
