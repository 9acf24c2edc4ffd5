//! All flows.

use eleven_tcp::Flags;
use hashbrown::HashTable;

use crate::census::{Census, CensusEntry, Event, EventKind};
use crate::conversation::Conversation;
use crate::flow::Detail;
use crate::key::{Key, Located, Secret, Sockets};
use crate::slab::Slab;
use crate::{Flow, Note, Notes, Reported, Settings, Sighting, Verdict};

/// Rebuilds the states of both ends of every flow.
///
/// Segments go in with [`observe`](Self::observe), verdicts come out; [`flows`](Self::flows) and
/// [`finish`](Self::finish) tell about the flows. There is no clock in it: time is what the sightings say.
///
/// **Memory.** At most [`Settings::max_flows`] flows are kept. When one more begins, some are evicted: first those that
/// are over, the one that was seen last longest ago first; then those that were idle longest. They are told as they are
/// then, and wait to be fetched with [`drain_evicted`](Self::drain_evicted).
#[derive(Debug)]
pub struct Tracker {
    settings: Settings,
    flows: Slab<Conversation>,
    /// Places in `flows` by the hash of their sockets. Flows whose sockets have a new connection are not in it.
    index: HashTable<Entry>,
    /// Where flows were that had segments lately: near where the index is far. What it says is checked before it is believed.
    recent: Vec<Entry>,
    evicted: Vec<Flow>,
    totals: Totals,
    /// `None`: somebody else counts, and is told the events.
    census: Option<Census>,
    events: Vec<Event>,
    secret: Secret,
    now_ns: i64,
}

/// So many recent places: 128 KiB, which stay in a processor's own cache.
const RECENT: usize = 16_384;

/// Where a flow is, with half of its hash: so that a growing table need not look at the flows.
#[derive(Clone, Copy, Debug)]
struct Entry {
    tag: u32,
    place: u32,
}

impl Entry {
    const fn new(hash: u64, place: usize) -> Self {
        Self { tag: (hash >> 32) as u32, place: place as u32 }
    }

    /// The hash by which the table finds it.
    const fn hash(self) -> u64 {
        spread((self.tag as u64) << 32)
    }
}

/// The table takes its bits from both ends of a hash.
const fn spread(hash: u64) -> u64 {
    (hash >> 32).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// What a tracker has seen, evicted flows included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Segments.
    pub packets: u64,
    /// Bytes of text in them, repeats included.
    pub bytes: u64,
    /// Flows that began.
    pub flows: u64,
    /// Flows that were handed out early because there were too many.
    pub evicted: u64,
    /// Segments whose checksum was wrong.
    pub bad_checksums: u64,
}

impl Tracker {
    /// Nothing seen yet.
    pub fn new(mut settings: Settings) -> Self {
        settings.max_flows = settings.max_flows.clamp(1, u32::MAX as usize - 1);
        let census = Census::new(&settings);
        Self {
            secret: Secret::new(&settings.hash_key),
            settings,
            flows: Slab::new(),
            index: HashTable::new(),
            recent: vec![Entry { tag: 0, place: u32::MAX }; RECENT],
            evicted: Vec::new(),
            totals: Totals::default(),
            census: Some(census),
            events: Vec::new(),
            now_ns: i64::MIN,
        }
    }

    /// One that sees only a part of the flows, those of some [hashes](Self::hash). What depends on all flows it leaves to
    /// others: they drain its [events](Self::drain_events), have a [`Census`] count those of all shards, and
    /// [enter](Self::enter) what that says. Until then its flows have no number, and its verdicts never do.
    pub fn shard(settings: Settings) -> Self {
        Self { census: None, ..Self::new(settings) }
    }

    /// The choices it was made with.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// What was seen.
    pub const fn totals(&self) -> Totals {
        self.totals
    }

    /// The hash of a segment's sockets and path under the key of the settings, the same in both directions: for who
    /// shards flows over several trackers.
    pub fn hash(settings: &Settings, sighting: &Sighting<'_>) -> u64 {
        Located::of(sighting, &Secret::new(&settings.hash_key)).hash
    }

    /// The same for the flow an ICMP error is about.
    pub fn hash_of_report(settings: &Settings, reported: &Reported) -> u64 {
        reported.located(&Secret::new(&settings.hash_key)).hash
    }

    /// Takes in a segment.
    pub fn observe(&mut self, sighting: &Sighting<'_>) -> Verdict {
        let located = Located::of(sighting, &self.secret);
        let found = self.find(&located);
        self.observe_located(sighting, &located, found)
    }

    /// Takes in segments, which `sighting` reads out of whatever holds them, and hands each on with its verdict. It comes to
    /// the same as [`observe`](Self::observe) one by one; the flows are looked up beforehand, so that memory is waited for
    /// only once.
    pub fn observe_batch<T>(
        &mut self,
        segments: &[T],
        sighting: impl Fn(&T) -> Sighting<'_>,
        mut each: impl FnMut(&T, &Verdict),
    ) {
        const AT_ONCE: usize = 16;
        let nowhere = Located { sockets: Sockets::NONE, path: 0, hash: 0, reversed: false };
        let mut located = [nowhere; AT_ONCE];
        let mut places = [u32::MAX; AT_ONCE];
        for part in segments.chunks(AT_ONCE) {
            for ((slot, place), segment) in located.iter_mut().zip(&mut places).zip(part) {
                *slot = Located::of(&sighting(segment), &self.secret);
                // Any flow of the same hash will do: this only brings it near.
                let tag = Entry::new(slot.hash, 0).tag;
                *place = match self.recent.get(slot.hash as usize % RECENT) {
                    Some(entry) if entry.tag == tag => entry.place,
                    _ => {
                        let found = self.index.find(spread(slot.hash), |entry| entry.tag == tag);
                        found.map_or(u32::MAX, |entry| entry.place)
                    }
                };
            }
            let mut near = 0_u32;
            for place in &places[..part.len()] {
                if let Some(flow) = self.flows.get(*place as usize) {
                    near = near.wrapping_add(flow.touch());
                }
            }
            std::hint::black_box(near);
            for ((slot, place), segment) in located.iter().zip(places).zip(part) {
                let found = self.recall(slot, place).or_else(|| self.find(slot));
                let verdict = self.observe_located(&sighting(segment), slot, found);
                each(segment, &verdict);
            }
        }
    }

    fn find(&self, located: &Located) -> Option<usize> {
        let flows = &self.flows;
        let tag = Entry::new(located.hash, 0).tag;
        let is_it = |entry: &Entry| {
            entry.tag == tag
                && flows
                    .get(entry.place as usize)
                    .is_some_and(|flow| flow.key.is(&located.sockets) && flow.path == located.path)
        };
        self.index.find(spread(located.hash), is_it).map(|entry| entry.place as usize)
    }

    /// The place that was looked up before other segments were taken in, if it still is that of the flow.
    #[inline]
    fn recall(&self, located: &Located, place: u32) -> Option<usize> {
        let place = place as usize;
        let flow = self.flows.get(place)?;
        // A flow that another one succeeded is finished, and only such are not in the index.
        (!flow.finished && flow.key.is(&located.sockets) && flow.path == located.path).then_some(place)
    }

    fn observe_located(
        &mut self,
        sighting: &Sighting<'_>,
        located: &Located,
        found: Option<usize>,
    ) -> Verdict {
        self.totals.packets += 1;
        self.totals.bytes += u64::from(sighting.text_length);
        self.totals.bad_checksums += u64::from(sighting.checksum_bad);
        self.now_ns = self.now_ns.max(sighting.time_ns);
        let mut notes = Notes::NONE;
        let place = match found {
            Some(place)
                if !self
                    .flows
                    .get(place)
                    .is_some_and(|flow| flow.is_succeeded_by(sighting, located.reversed)) =>
            {
                place
            }
            found => {
                if found.is_some() {
                    notes.insert(Note::PortReuse);
                }
                self.begin(sighting, located, found, &mut notes)
            }
        };
        if let Some(entry) = self.recent.get_mut(located.hash as usize % RECENT) {
            *entry = Entry::new(located.hash, place);
        }
        let Some(flow) = self.flows.get_mut(place) else {
            unreachable!("a flow that was found or begun");
        };
        let was_open = flow.handshake_us != crate::conversation::UNKNOWN;
        let verdict = flow.observe(sighting, located.reversed, &self.settings, notes);
        if !was_open && flow.handshake_us != crate::conversation::UNKNOWN {
            self.forgive(sighting);
        }
        verdict
    }

    /// A new flow, instead of the one found between the same sockets if there was one.
    #[cold]
    fn begin(
        &mut self,
        sighting: &Sighting<'_>,
        located: &Located,
        found: Option<usize>,
        notes: &mut Notes,
    ) -> usize {
        if let Some(old) = found {
            let old = old as u32;
            if let Ok(entry) = self.index.find_entry(spread(located.hash), |entry| entry.place == old) {
                entry.remove();
            }
            if let Some(flow) = self.flows.get_mut(old as usize) {
                flow.finished = true;
            }
        }
        if self.flows.len() >= self.settings.max_flows {
            self.evict();
        }
        let place = self.flows.len();
        let key = Key::keep(&located.sockets);
        self.totals.flows += 1;
        let ordinal = self.count_in(sighting, place as u32, located.reversed, notes);
        self.flows.push(Conversation::new(sighting, key, located.reversed, ordinal, &self.settings));
        let entry = Entry::new(located.hash, place);
        self.index.insert_unique(entry.hash(), entry, |entry| entry.hash());
        place
    }

    /// Tells of a flow that begins. Its number, 0 as long as that is not known.
    fn count_in(&mut self, sighting: &Sighting<'_>, place: u32, reversed: bool, notes: &mut Notes) -> u64 {
        let flags = sighting.segment.flags;
        let opens = flags.contains(Flags::SYN) && !flags.contains(Flags::ACK);
        let probes = !flags.intersects(Flags::ACK | Flags::SYN | Flags::RST);
        let event = Event::of(sighting, &self.secret, EventKind::Begins { place, opens, probes, reversed });
        let Some(census) = &mut self.census else {
            self.events.push(event);
            return 0;
        };
        census.count(&event).map_or(0, |entry| {
            *notes = notes.union(entry.notes);
            entry.ordinal
        })
    }

    /// An attempt succeeded: neither flood nor scan.
    #[cold]
    fn forgive(&mut self, sighting: &Sighting<'_>) {
        let event = Event::of(sighting, &self.secret, EventKind::Opened);
        match &mut self.census {
            Some(census) => {
                census.count(&event);
            }
            None => self.events.push(event),
        }
    }

    /// What a [shard](Self::shard) has to tell since this was called last, in the order of packets.
    pub fn drain_events(&mut self) -> Vec<Event> {
        core::mem::take(&mut self.events)
    }

    /// Takes in what the census says about one of its flows; `false` if that was evicted and fetched already.
    pub fn enter(&mut self, entry: &CensusEntry) -> bool {
        let is_it = |flow: &Conversation| flow.origin.packet == entry.flow;
        let place = match self.flows.get(entry.place as usize) {
            Some(flow) if is_it(flow) => Some(entry.place as usize),
            // It was moved when others were evicted.
            _ if self.totals.evicted > 0 => self.flows.iter().position(is_it),
            _ => None,
        };
        if let Some(flow) = place.and_then(|place| self.flows.get_mut(place)) {
            flow.ordinal = entry.ordinal;
            flow.count(entry.notes, flow.side(entry.reversed), entry.flow);
            return true;
        }
        let evicted = self.evicted.iter_mut().find(|flow| flow.id == entry.flow);
        evicted.map(|flow| entry.amend(flow)).is_some()
    }

    /// The time of the last segment, in nanoseconds since the Unix epoch.
    pub(crate) const fn now_ns(&self) -> i64 {
        self.now_ns
    }

    /// Makes room: a 64th of all flows at once, so that choosing them costs little for each.
    #[cold]
    fn evict(&mut self) {
        let count = (self.settings.max_flows / 64).max(1).min(self.flows.len());
        let mut order: Vec<(bool, i64, u64, u32)> = self
            .flows
            .iter()
            .enumerate()
            .map(|(place, flow)| {
                (!(flow.finished || flow.is_over()), flow.last_time, flow.origin.packet, place as u32)
            })
            .collect();
        if count < order.len() {
            order.select_nth_unstable(count - 1);
            order.truncate(count);
        }
        order.sort_unstable();
        for (_, _, _, place) in &order {
            if let Some(flow) = self.flows.get(*place as usize) {
                self.evicted.push(flow.tell(self.now_ns, &self.settings, Detail::Whole));
            }
        }
        self.totals.evicted += order.len() as u64;
        // From the back, so that what is moved into a hole stays.
        order.sort_unstable_by_key(|(_, _, _, place)| core::cmp::Reverse(*place));
        for (_, _, _, place) in order {
            self.remove(place);
        }
    }

    /// Takes a flow out; the last one moves to its place.
    fn remove(&mut self, place: u32) {
        let hash = |tracker: &Self, place: u32| {
            let flow = tracker.flows.get(place as usize);
            spread(flow.map_or(0, |flow| flow.key.sockets().hash(flow.path, &tracker.secret)))
        };
        let own = hash(self, place);
        if let Ok(entry) = self.index.find_entry(own, |known| known.place == place) {
            entry.remove();
        }
        let last = (self.flows.len() - 1) as u32;
        if last != place {
            let moved = hash(self, last);
            if let Some(known) = self.index.find_mut(moved, |known| known.place == last) {
                known.place = place;
            }
        }
        self.flows.swap_remove(place as usize);
    }

    /// Tells the time of the capture to a tracker that has seen only a part of it, so that TIME_WAIT ends alike in all
    /// shards. Nothing else depends on it.
    pub fn advance(&mut self, time_ns: i64) {
        self.now_ns = self.now_ns.max(time_ns);
    }

    /// Takes in an ICMP error. Tells the flow it is about and what it does there; `None` if there is no such flow.
    pub fn observe_icmp(&mut self, reported: &Reported) -> Option<Verdict> {
        let located = reported.located(&self.secret);
        let place = self.find(&located)?;
        let flow = self.flows.get_mut(place)?;
        Some(flow.observe_report(reported, located.reversed))
    }

    /// All flows that are kept, in the order in which they began, each told as it is now when its turn comes: so they can
    /// be walked through again, and take no memory beside the tracker.
    pub fn flows(&self) -> impl Iterator<Item = Flow> {
        self.tell_in_order(Detail::Whole)
    }

    /// As [`flows`](Self::flows), but without what costs: [`End::path`](crate::End::path) is empty,
    /// [`End::round_trips`](crate::End::round_trips) and [`Flow::zeek`] are `None`. For sums over all flows.
    pub fn outlines(&self) -> impl Iterator<Item = Flow> {
        self.tell_in_order(Detail::Outline)
    }

    fn tell_in_order(&self, detail: Detail) -> impl Iterator<Item = Flow> {
        Order::of(self)
            .filter_map(move |place| Some(self.flows.get(place)?.tell(self.now_ns, &self.settings, detail)))
    }

    /// One flow as it is now, by the number of its first packet; evicted ones are not found.
    pub fn flow(&self, id: u64) -> Option<Flow> {
        let flow = self.flows.iter().find(|flow| flow.origin.packet == id)?;
        Some(flow.tell(self.now_ns, &self.settings, Detail::Whole))
    }

    /// How many flows are kept.
    pub fn len(&self) -> usize {
        self.flows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.flows.len() == 0
    }

    /// The flows that were evicted since this was called last.
    pub fn drain_evicted(&mut self) -> Vec<Flow> {
        core::mem::take(&mut self.evicted)
    }

    /// Ends: all flows that were not fetched yet, evicted ones included, in the order in which they began, each told when
    /// its turn comes.
    pub fn finish(mut self) -> impl Iterator<Item = Flow> {
        let mut evicted = core::mem::take(&mut self.evicted);
        evicted.sort_unstable_by_key(|flow| flow.ordinal);
        let mut evicted = evicted.into_iter().peekable();
        let mut order = Order::of(&self).peekable();
        core::iter::from_fn(move || {
            let kept = order.peek().and_then(|place| self.flows.get(*place));
            let Some(kept) = kept else { return evicted.next() };
            if let Some(earlier) = evicted.next_if(|flow| flow.ordinal < kept.ordinal) {
                return Some(earlier);
            }
            order.next();
            Some(kept.tell(self.now_ns, &self.settings, Detail::Whole))
        })
    }

    /// Bytes of memory taken by the flows and what finds them, without evicted ones that wait to be fetched.
    pub fn memory(&self) -> usize {
        let spare = self.flows.spare() * size_of::<Conversation>();
        // A control byte and a place for each of the table's slots.
        let index = self.index.capacity() * 8 / 7 * (size_of::<Entry>() + 1);
        let flows: usize = self.flows.iter().map(Conversation::memory).sum();
        let recent = self.recent.capacity() * size_of::<Entry>();
        let census = self.census.as_ref().map_or(0, Census::memory);
        flows + spare + index + recent + census
    }
}

/// The places of flows in the order in which they began.
enum Order {
    /// Nothing was ever taken out: as they lie.
    AsTheyLie(core::ops::Range<usize>),
    Sorted(std::vec::IntoIter<u32>),
}

impl Order {
    fn of(tracker: &Tracker) -> Self {
        let flows = &tracker.flows;
        if tracker.totals.evicted == 0 {
            return Self::AsTheyLie(0..flows.len());
        }
        let mut order: Vec<(u64, u32)> =
            flows.iter().zip(0..).map(|(flow, place)| (flow.ordinal, place)).collect();
        order.sort_unstable();
        Self::Sorted(order.into_iter().map(|(_, place)| place).collect::<Vec<_>>().into_iter())
    }
}

impl Iterator for Order {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        match self {
            Self::AsTheyLie(places) => places.next(),
            Self::Sorted(places) => places.next().map(|place| place as usize),
        }
    }
}

impl Conversation {
    /// Reads a little of it, to bring it near.
    #[inline]
    fn touch(&self) -> u32 {
        // A line of memory is 64 bytes; these lie on most of them.
        let near = |half: &crate::half::Half| {
            half.next.0
                ^ half.packets
                ^ half.path.len() as u32
                ^ half.bytes as u32
                ^ u32::from(half.last_window)
        };
        near(&self.halves[0])
            ^ near(&self.halves[1])
            ^ self.last_time as u32
            ^ self.close_us
            ^ u32::from(self.key.is_wide())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ordinary_flow_takes_no_more_than_promised() {
        // With its place in the index: four bytes and one of control, when the table is not quite half full.
        let size = size_of::<Conversation>();
        assert!(size + 12 <= 512, "{size}");
    }
}
