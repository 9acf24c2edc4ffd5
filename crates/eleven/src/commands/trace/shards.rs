//! Tracking in several threads: one reads, each of the others has its share of the flows, by a hash of their sockets that
//! is the same for both directions.
//!
//! What depends on all flows is counted in rounds: at the end of each, every thread hands in what its flows add to it. Who
//! comes last counts what all have handed in, in the order of packets, and leaves for each what that says about its flows.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, ScopedJoinHandle};

use eleven_track::{Census, CensusEntry, Event, Flow, Settings, Shards, Tracker};

use super::convert::Sighted;
use super::reading::{Batch, Outcome, Reading, Sink, Then};
use super::source::Source;

/// Segments of all flows that make a round.
const ROUND: usize = 16_384;
/// Segments that go to a thread at once.
const BATCH: usize = 256;
/// Batches on their way to a thread.
const UNDER_WAY: usize = 64;

/// Reads to the end with so many threads that track.
///
/// # Errors
/// As [`Reading::run`].
pub(super) fn run(
    reading: &Reading,
    source: &mut Source,
    settings: &Settings,
    sink: &mut dyn Sink,
) -> anyhow::Result<(Outcome, Shards)> {
    let count = usize::from(reading.threads);
    let own = Settings { max_flows: settings.max_flows.div_ceil(count), ..settings.clone() };
    let counting = Mutex::new(Counting::new(settings, count));
    let (gone, evicted) = channel();
    thread::scope(|scope| {
        let mut lanes = Vec::new();
        let mut threads = Vec::new();
        for index in 0..count {
            let (full, batches) = sync_channel(UNDER_WAY);
            let (empty, emptied) = sync_channel(UNDER_WAY);
            let shard = Shard {
                index,
                tracker: Tracker::shard(own.clone()),
                counting: &counting,
                rounds: 0,
                waiting: VecDeque::new(),
            };
            let gone = gone.clone();
            let thread = thread::Builder::new().name(format!("track-{index}"));
            threads.push(thread.spawn_scoped(scope, move || shard.track(batches, &empty, &gone))?);
            lanes.push(Lane { full, emptied, next: Batch::default() });
        }
        drop(gone);
        let reader = thread::Builder::new().name("reader".to_owned()).spawn_scoped(scope, move || {
            let mut dealer = Dealer { lanes, settings, dealt: 0 };
            let outcome = reading.produce(source, None, BATCH, &mut |batch| dealer.deal(batch))?;
            dealer.end_round()?;
            Ok(outcome)
        })?;
        let mut told = Ok(());
        for flow in evicted {
            told = told.and_then(|()| sink.evicted(flow));
            if told.is_err() {
                break;
            }
        }
        let outcome: anyhow::Result<Outcome> = join(reader);
        let shards: Vec<Shard<'_>> = threads.into_iter().map(join).collect();
        told?;
        let outcome = outcome?;
        let mut trackers = Vec::new();
        for mut shard in shards {
            shard.enter();
            for (_, flows) in shard.waiting {
                flows.into_iter().try_for_each(|flow| sink.evicted(flow))?;
            }
            trackers.push(shard.tracker);
        }
        Ok((outcome, Shards::new(trackers)))
    })
}

/// The way to a thread, and the batch that is being filled for it.
struct Lane {
    full: SyncSender<Batch>,
    emptied: Receiver<Batch>,
    next: Batch,
}

impl Lane {
    fn send(&mut self, then: Then) -> anyhow::Result<()> {
        let next = self.emptied.try_recv().unwrap_or_default();
        let mut batch = std::mem::replace(&mut self.next, next);
        batch.then = then;
        // Who tracked has failed and says why.
        self.full.send(batch).map_err(|_| anyhow::anyhow!("tracking ended"))
    }
}

/// Deals segments out to threads.
struct Dealer<'a> {
    lanes: Vec<Lane>,
    settings: &'a Settings,
    /// Segments of the present round.
    dealt: usize,
}

impl Dealer<'_> {
    fn deal(&mut self, batch: &mut Batch) -> anyhow::Result<Option<eleven_track::Verdict>> {
        self.dealt += batch.segments.len();
        let count = self.lanes.len();
        for segment in batch.segments.drain(..) {
            let hash = Tracker::hash(self.settings, &segment.sighting());
            if let Some(lane) = self.lanes.get_mut(share(hash, count)) {
                lane.next.segments.push(segment);
                if lane.next.segments.len() >= BATCH {
                    lane.send(Then::More)?;
                }
            }
        }
        if let Then::Icmp(icmp) = std::mem::take(&mut batch.then) {
            let hash = Tracker::hash_of_report(self.settings, &icmp);
            if let Some(lane) = self.lanes.get_mut(share(hash, count)) {
                lane.send(Then::Icmp(icmp))?;
            }
        }
        if self.dealt >= ROUND {
            self.end_round()?;
        }
        Ok(None)
    }

    fn end_round(&mut self) -> anyhow::Result<()> {
        self.dealt = 0;
        self.lanes.iter_mut().try_for_each(|lane| lane.send(Then::Round))
    }
}

/// Which of so many threads has the flows of a hash: by its middle bits, as tables are indexed by both ends.
const fn share(hash: u64, count: usize) -> usize {
    (hash >> 24) as u16 as usize % count
}

/// What is counted over all flows, and by which round.
struct Counting {
    census: Census,
    /// Events of rounds that not all have ended: how many have, and what of whom.
    rounds: VecDeque<(usize, Vec<(usize, Event)>)>,
    /// Rounds that are counted.
    done: u64,
    /// For each thread, what it has not fetched yet.
    entries: Vec<Vec<CensusEntry>>,
}

impl Counting {
    fn new(settings: &Settings, threads: usize) -> Self {
        let entries = (0..threads).map(|_| Vec::new()).collect();
        Self { census: Census::new(settings), rounds: VecDeque::new(), done: 0, entries }
    }

    /// Takes in what a thread has to say of a round, counted from 1. What is new about its flows, and how many rounds
    /// that covers.
    fn hand_in(&mut self, index: usize, round: u64, events: Vec<Event>) -> (Vec<CensusEntry>, u64) {
        let place = usize::try_from(round.saturating_sub(self.done + 1)).unwrap_or(0);
        while self.rounds.len() <= place {
            self.rounds.push_back((0, Vec::new()));
        }
        if let Some((ended, all)) = self.rounds.get_mut(place) {
            *ended += 1;
            all.extend(events.into_iter().map(|event| (index, event)));
        }
        while self.rounds.front().is_some_and(|(ended, _)| *ended == self.entries.len())
            && let Some((_, mut events)) = self.rounds.pop_front()
        {
            events.sort_by_key(|(_, event)| event.packet);
            for (whose, event) in events {
                if let Some(entry) = self.census.count(&event)
                    && let Some(entries) = self.entries.get_mut(whose)
                {
                    entries.push(entry);
                }
            }
            self.done += 1;
        }
        (self.fetch(index), self.done)
    }

    fn fetch(&mut self, index: usize) -> Vec<CensusEntry> {
        self.entries.get_mut(index).map(std::mem::take).unwrap_or_default()
    }
}

/// A thread's share.
struct Shard<'a> {
    index: usize,
    tracker: Tracker,
    counting: &'a Mutex<Counting>,
    rounds: u64,
    /// Flows that were evicted, and in which round: they wait until that is counted.
    waiting: VecDeque<(u64, Vec<Flow>)>,
}

impl<'a> Shard<'a> {
    fn track(
        mut self,
        batches: Receiver<Batch>,
        empty: &SyncSender<Batch>,
        gone: &Sender<Flow>,
    ) -> Shard<'a> {
        for mut batch in batches {
            self.tracker.observe_batch(&batch.segments, Sighted::sighting, |_, _| {});
            let listened_to = match &batch.then {
                Then::Icmp(icmp) => {
                    // What it did to its flow is told with the flow.
                    let _ = self.tracker.observe_icmp(icmp);
                    true
                }
                Then::Round => self.end_round(gone),
                Then::More | Then::Idle => true,
            };
            if !listened_to {
                break;
            }
            batch.segments.clear();
            // More than can wait are let go.
            let _ = empty.try_send(batch);
        }
        self
    }

    /// Whether anybody still wants to hear of flows.
    fn end_round(&mut self, gone: &Sender<Flow>) -> bool {
        self.rounds += 1;
        let evicted = self.tracker.drain_evicted();
        if !evicted.is_empty() {
            self.waiting.push_back((self.rounds, evicted));
        }
        let events = self.tracker.drain_events();
        let handed_in = lock(self.counting).hand_in(self.index, self.rounds, events);
        let (entries, done) = handed_in;
        self.take(&entries);
        while self.waiting.front().is_some_and(|(round, _)| *round <= done)
            && let Some((_, flows)) = self.waiting.pop_front()
        {
            for flow in flows {
                if gone.send(flow).is_err() {
                    return false;
                }
            }
        }
        true
    }

    /// What was counted since this was called last.
    fn enter(&mut self) {
        let entries = lock(self.counting).fetch(self.index);
        self.take(&entries);
    }

    fn take(&mut self, entries: &[CensusEntry]) {
        for entry in entries {
            if !self.tracker.enter(entry) {
                let evicted = self.waiting.iter_mut().flat_map(|(_, flows)| flows);
                if let Some(flow) = evicted.into_iter().find(|flow| flow.id == entry.flow) {
                    entry.amend(flow);
                }
            }
        }
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
