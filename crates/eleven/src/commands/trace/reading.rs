//! Reads packets to the end and has them tracked.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::{Duration, Instant};

use eleven_capture::{Checksum, Dissected, Dissector, PathParts};
use eleven_track::{Checksums, Flow, Reported, Tracker, Verdict};

use super::convert::{Sighted, reported};
use super::source::{Fault, Progress, Source};
use super::summary::Read;
use super::writing::Recorder;
use crate::output::note;

/// Segments that are tracked together: enough that fetching one flow from memory does not wait for another.
const TOGETHER: usize = 32;
/// Segments that go from one thread to another at once.
const BATCH: usize = 512;
/// Batches on their way between two threads.
const UNDER_WAY: usize = 16;
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
    /// With more than one, reading and taking apart goes on in a thread of its own; and where only flows are asked for,
    /// so many others track.
    pub(super) threads: u16,
}

/// Segments to be tracked, and what came behind the last.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) segments: Vec<Sighted>,
    pub(super) then: Then,
}

#[derive(Default)]
pub(super) enum Then {
    /// More segments.
    #[default]
    More,
    /// What an ICMP error says.
    Icmp(Reported),
    /// Nothing at the moment.
    Idle,
    /// A round ends, where several threads track.
    Round,
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
        recorder: Option<&mut Recorder>,
        sink: &mut dyn Sink,
    ) -> anyhow::Result<Outcome> {
        // What is written is said of each packet, so each is tracked at once; and live there is time enough.
        if self.threads < 2 || recorder.is_some() || matches!(source, Source::Live { .. }) {
            let size = if recorder.is_some() { 1 } else { TOGETHER };
            return self.produce(source, recorder, size, &mut |batch| {
                let latest = consume(batch, tracker, sink)?;
                batch.segments.clear();
                batch.then = Then::More;
                Ok(latest)
            });
        }
        let (full, batches) = sync_channel::<Batch>(UNDER_WAY);
        let (empty, emptied) = sync_channel::<Batch>(UNDER_WAY);
        thread::scope(|scope| {
            let reader = thread::Builder::new().name("reader".to_owned()).spawn_scoped(scope, move || {
                self.produce(source, None, BATCH, &mut |batch| {
                    let next = emptied.try_recv().unwrap_or_default();
                    // Who tracked has failed and says why.
                    full.send(std::mem::replace(batch, next))
                        .map_err(|_| anyhow::anyhow!("tracking ended"))?;
                    Ok(None)
                })
            })?;
            let mut tracked = Ok(());
            for mut batch in batches {
                tracked = consume(&batch, tracker, sink).map(drop);
                if tracked.is_err() {
                    break;
                }
                batch.segments.clear();
                batch.then = Then::More;
                // More than can wait are let go.
                let _ = empty.try_send(batch);
            }
            let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            tracked?;
            read
        })
    }

    /// Reads to the end, and hands out what is to be tracked in pieces of a size. What takes a piece leaves an empty
    /// one, and knows the verdict on its segment if that is alone.
    pub(super) fn produce(
        &self,
        source: &mut Source,
        mut recorder: Option<&mut Recorder>,
        size: usize,
        hand_out: &mut dyn FnMut(&mut Batch) -> anyhow::Result<Option<Verdict>>,
    ) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let read = &mut outcome.read;
        let mut dissector = Dissector::default();
        dissector.verify_checksums(self.checksums != Checksums::Ignore);
        let mut batch = Batch::default();
        let progress = Progress::new(source, self.prints);
        while !self.is_over(read) {
            let packet = match source.next_packet() {
                Ok(Some(packet)) => packet,
                Ok(None) => {
                    if source.is_finished() {
                        break;
                    }
                    batch.then = Then::Idle;
                    hand_out(&mut batch)?;
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
            let mut verdict = None;
            match &dissector.dissect(&packet) {
                Dissected::Tcp(tcp) => {
                    read.segments += 1;
                    read.bad_checksums += u64::from(tcp.checksum == Checksum::Bad);
                    read.partial_checksums += u64::from(tcp.checksum == Checksum::Partial);
                    batch.segments.push(Sighted::new(&packet, tcp, self.key, self.checksums));
                    if batch.segments.len() >= size {
                        verdict = hand_out(&mut batch)?;
                    }
                }
                Dissected::Icmp(icmp) => {
                    read.not_tcp += 1;
                    batch.then = Then::Icmp(reported(&packet, icmp, self.key));
                    hand_out(&mut batch)?;
                }
                Dissected::Fragment => read.fragments += 1,
                Dissected::NotTcp(_) => read.not_tcp += 1,
                Dissected::Unreadable { .. } => read.unreadable += 1,
            }
            if let Some(recorder) = &mut recorder {
                recorder.write(source.interfaces(), verdict.as_ref())?;
            }
            progress.packet(read.packets, source);
        }
        hand_out(&mut batch)?;
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

/// Has a batch tracked, and hands on what comes of it. The verdict on its segment, if that is alone.
fn consume(batch: &Batch, tracker: &mut Tracker, sink: &mut dyn Sink) -> anyhow::Result<Option<Verdict>> {
    let mut latest = None;
    let alone = batch.segments.len() == 1;
    for segments in batch.segments.chunks(TOGETHER) {
        let mut result = Ok(());
        tracker.observe_batch(segments, Sighted::sighting, |segment, verdict| {
            if alone {
                latest = Some(*verdict);
            }
            if result.is_ok() {
                result = sink.segment(segment, verdict);
            }
        });
        result?;
        for flow in tracker.drain_evicted() {
            sink.evicted(flow)?;
        }
    }
    match &batch.then {
        Then::More | Then::Round => {}
        // What it did to its flow is told with the flow.
        Then::Icmp(icmp) => drop(tracker.observe_icmp(icmp)),
        Then::Idle => sink.idle()?,
    }
    Ok(latest)
}
