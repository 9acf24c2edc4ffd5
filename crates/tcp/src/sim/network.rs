//! A network in virtual time, which loses and delays what it carries as it is told.

use alloc::borrow::ToOwned;
use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::fmt;
use core::net::IpAddr;
use core::ops::Range;
use core::time::Duration;

use super::link::{self, LinkState, Queued};
use super::tap::{Fate, LossCause, Place, Record, Vantage};
use super::{Action, Link, Mtu, Random, Schedule, Scripted};
use crate::ip::{self, IcmpKind, Packet};
use crate::pcapng::{ByteSink, Direction, Interface, PcapngWriter, SeenPacket};
use crate::{Instant, Segment};

/// A host of a network: the number it got when it was added, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct HostId(pub usize);

/// A packet that arrives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// When.
    pub time: Instant,
    /// Where.
    pub to: HostId,
    /// Who sent it; for the report of a router, whom the packet it is about was for.
    pub from: HostId,
    /// The number it got when it was sent. Copies have the same.
    pub number: u64,
    /// Whether it is a copy that the network made.
    pub copy: bool,
    /// The bytes of the IP packet.
    pub packet: Vec<u8>,
}

/// A network between any number of hosts: packets go in, and come out later, or never.
///
/// Every host is linked with every other, by the default link unless told otherwise. What happens to
/// a packet is decided when it is sent, by what the network is like then and by the seed: the same calls
/// give the same deliveries on every machine.
///
/// ```
/// use core::time::Duration;
/// use eleven_tcp::ip::emit_segment;
/// use eleven_tcp::sim::{Link, Network};
/// use eleven_tcp::{Ecn, Instant, Segment};
///
/// let mut network = Network::new(7);
/// let a = network.add_host("A", &[[10, 0, 0, 1].into()]);
/// let b = network.add_host("B", &[[10, 0, 0, 2].into()]);
/// network.set_default_link(Link::with_delay(Duration::from_millis(10)));
/// network.apply(&"drop 1 from A".parse()?)?;
///
/// let mut packet = Vec::new();
/// emit_segment(&Segment::default(), [10, 0, 0, 1].into(), [10, 0, 0, 2].into(), Ecn::NotEct, 64, &mut packet)?;
/// network.send(Instant::ZERO, packet.clone(), a);
/// network.send(Instant::ZERO, packet.clone(), a);
///
/// let time = network.next_delivery_time().expect("the second packet is on its way");
/// assert_eq!(time, Instant::from_millis(10));
/// let delivery = network.deliver(time).expect("it has arrived");
/// assert_eq!((delivery.to, delivery.number), (b, 1));
/// assert_eq!(network.next_delivery_time(), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Network {
    seed: u64,
    hosts: Vec<String>,
    addresses: BTreeMap<IpAddr, HostId>,
    default_link: Link,
    links: BTreeMap<(HostId, HostId), Link>,
    states: BTreeMap<(HostId, HostId), LinkState>,
    cuts: Vec<Cut>,
    script: Vec<Line>,
    in_flight: BinaryHeap<Reverse<InFlight>>,
    /// The number of the next packet.
    next_number: u64,
    /// Tells packets that arrive at the same time apart: first sent, first delivered.
    next_order: u64,
    records: Option<Vec<Record>>,
}

/// A time during which one direction is cut.
#[derive(Clone, Debug)]
struct Cut {
    from: HostId,
    to: HostId,
    during: Range<Instant>,
    report: Option<IcmpKind>,
}

/// A line of the script, and how many of the packets it is about have been sent.
#[derive(Clone, Debug)]
struct Line {
    from: HostId,
    to: Option<HostId>,
    scripted: Scripted,
    counted: u32,
}

/// What the script wants for a packet.
#[derive(Default)]
struct Wanted {
    lost: bool,
    delay: Duration,
    duplicate: Option<Duration>,
    corrupt: bool,
    mark: bool,
}

#[derive(Clone, Debug)]
struct InFlight {
    arrival: Instant,
    order: u64,
    trip: Trip,
    packet: Vec<u8>,
}

/// What stays the same for a packet on its way.
#[derive(Clone, Copy, Debug)]
struct Trip {
    from: HostId,
    to: HostId,
    number: u64,
    copy: bool,
}

impl PartialEq for InFlight {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for InFlight {}

impl PartialOrd for InFlight {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for InFlight {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        (self.arrival, self.order).cmp(&(other.arrival, other.order))
    }
}

/// A script names a host that is not there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownHost(
    /// The name.
    pub String,
);

impl fmt::Display for UnknownHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the network has no host called `{}`", self.0)
    }
}

impl core::error::Error for UnknownHost {}

impl Network {
    /// A network without hosts, whose links are perfect. Its chances all come from the seed.
    pub fn new(seed: u64) -> Self {
        Self {
            seed,
            hosts: Vec::new(),
            addresses: BTreeMap::new(),
            default_link: Link::default(),
            links: BTreeMap::new(),
            states: BTreeMap::new(),
            cuts: Vec::new(),
            script: Vec::new(),
            in_flight: BinaryHeap::new(),
            next_number: 0,
            next_order: 0,
            records: None,
        }
    }

    /// Adds a host. An address that another host has had goes to this one.
    pub fn add_host(&mut self, name: &str, addresses: &[IpAddr]) -> HostId {
        let host = HostId(self.hosts.len());
        self.hosts.push(name.to_owned());
        self.addresses.extend(addresses.iter().map(|address| (*address, host)));
        host
    }

    /// The name of a host, empty if there is no such host.
    pub fn name(&self, host: HostId) -> &str {
        self.hosts.get(host.0).map_or("", String::as_str)
    }

    /// The host called so; the first if there are several.
    ///
    /// # Errors
    /// If there is none.
    pub fn host(&self, name: &str) -> Result<HostId, UnknownHost> {
        let found = self.hosts.iter().position(|host| host == name);
        found.map(HostId).ok_or_else(|| UnknownHost(name.to_owned()))
    }

    /// The host that has the address.
    pub fn host_with(&self, address: IpAddr) -> Option<HostId> {
        self.addresses.get(&address).copied()
    }

    /// What all links are like that are not set one by one, from the next packet on.
    pub fn set_default_link(&mut self, link: Link) {
        self.default_link = link;
    }

    /// What the link between two hosts is like in both directions, from the next packet on.
    pub fn set_link(&mut self, one: HostId, other: HostId, link: Link) {
        self.set_one_way(one, other, link);
        self.set_one_way(other, one, link);
    }

    /// What the link from one host to another is like in this direction, from the next packet on.
    pub fn set_one_way(&mut self, from: HostId, to: HostId, link: Link) {
        self.links.insert((from, to), link);
    }

    /// What the link from one host to another is like.
    pub fn link(&self, from: HostId, to: HostId) -> Link {
        self.links.get(&(from, to)).copied().unwrap_or(self.default_link)
    }

    /// Loses what is sent from one host to another during a time; the other direction stays. With a
    /// kind of report, the router tells the sender about each packet.
    pub fn cut(&mut self, from: HostId, to: HostId, during: Range<Instant>, report: Option<IcmpKind>) {
        self.cuts.push(Cut { from, to, during, report });
    }

    /// Parts some hosts from others, in both directions, during a time.
    pub fn partition(&mut self, some: &[HostId], others: &[HostId], during: &Range<Instant>) {
        for one in some {
            for other in others {
                self.cut(*one, *other, during.clone(), None);
                self.cut(*other, *one, during.clone(), None);
            }
        }
    }

    /// Adds lines to the script. They count the packets that are sent from now on.
    ///
    /// # Errors
    /// If a line names a host that is not there; no line is added then.
    pub fn apply(&mut self, schedule: &Schedule) -> Result<(), UnknownHost> {
        let line = |scripted: &Scripted| {
            let from = self.host(&scripted.from)?;
            let to = scripted.to.as_deref().map(|to| self.host(to)).transpose()?;
            Ok(Line { from, to, scripted: scripted.clone(), counted: 0 })
        };
        let lines = schedule.0.iter().map(line).collect::<Result<Vec<_>, _>>()?;
        self.script.extend(lines);
        Ok(())
    }

    /// Starts to keep a record of each packet at each place it passes, for [`Self::capture`]. It takes memory for all of them.
    pub fn record(&mut self) {
        self.records.get_or_insert_default();
    }

    /// What was seen so far by one who listens at a place, in order of time.
    ///
    /// Empty unless [`Self::record`] was called. A packet that is on its way to the router has its record
    /// there already, with the time at which it will pass.
    pub fn capture(&self, vantage: Vantage) -> Vec<&Record> {
        let records = self.records.iter().flatten();
        let mut seen: Vec<&Record> = records.filter(|record| vantage.sees(record)).collect();
        seen.sort_by_key(|record| record.time);
        seen
    }

    /// Writes what was seen at a place as a capture file, with something to say about each packet
    /// (see [`Record::remarks`]; nothing is said where the words are empty).
    ///
    /// # Errors
    /// The sink's.
    pub fn write_capture<S: ByteSink>(
        &self,
        vantage: Vantage,
        sink: S,
        mut comment: impl FnMut(&Record) -> String,
    ) -> Result<S, S::Error> {
        let name = match vantage {
            Vantage::Host(host) => self.name(host).to_owned(),
            Vantage::Between(one, other) => format!("{}-{}", self.name(one), self.name(other)),
        };
        let mut writer = PcapngWriter::new(sink, "eleven")?;
        let interface = writer.interface(&Interface { name: &name, ..Interface::default() })?;
        for record in self.capture(vantage) {
            let direction = match record.place {
                Place::Sender => Direction::Outbound,
                Place::Router => Direction::Unknown,
                Place::Receiver => Direction::Inbound,
            };
            let (nanos, bytes) = (record.time.as_micros().saturating_mul(1_000), &*record.packet);
            let comments = &[&*comment(record)];
            let seen = SeenPacket { nanos, bytes, comments, direction, ..SeenPacket::default() };
            writer.packet(interface, &seen)?;
        }
        Ok(writer.into_inner())
    }

    /// Everything that was recorded, in no particular order.
    pub fn records(&self) -> &[Record] {
        self.records.as_deref().unwrap_or_default()
    }

    /// Takes an IP packet from a host, and gives it a number: 0 for the network's first, and so on.
    ///
    /// A packet for an address that no host has is lost. One for its own sender comes back at once.
    pub fn send(&mut self, now: Instant, packet: Vec<u8>, from: HostId) -> u64 {
        let number = self.take_number();
        let destination = ip::destination(&packet).and_then(|address| self.host_with(address));
        let wanted = self.consult_script(&packet, from, destination);
        let Some(to) = destination else {
            let nowhere = Trip { from, to: from, number, copy: false };
            self.put_down(now, Place::Sender, Fate::Lost(LossCause::Unroutable), nowhere, &packet);
            return number;
        };
        let trip = Trip { from, to, number, copy: false };
        if from == to {
            self.put_down(now, Place::Sender, Fate::Passed, trip, &packet);
            self.launch(now, trip, packet);
        } else {
            self.carry(now, trip, packet, &wanted);
        }
        number
    }

    /// When the next packet arrives; `None` if nothing is on its way.
    pub fn next_delivery_time(&self) -> Option<Instant> {
        self.in_flight.peek().map(|Reverse(next)| next.arrival)
    }

    /// The next packet that has arrived by now. Call it again until it gives `None`.
    pub fn deliver(&mut self, now: Instant) -> Option<Delivery> {
        if self.next_delivery_time()? > now {
            return None;
        }
        let Reverse(InFlight { arrival: time, trip, packet, .. }) = self.in_flight.pop()?;
        self.put_down(time, Place::Receiver, Fate::Passed, trip, &packet);
        let Trip { from, to, number, copy } = trip;
        Some(Delivery { time, to, from, number, copy, packet })
    }

    /// From the sender's interface over the router to the receiver.
    fn carry(&mut self, now: Instant, trip: Trip, mut packet: Vec<u8>, wanted: &Wanted) {
        let direction = (trip.from, trip.to);
        let link = self.link(trip.from, trip.to);
        let state = self.states.entry(direction).or_default();
        let stream = (trip.from.0 as u64) << 32 | trip.to.0 as u64;
        let mut random = Random::stream(self.seed, stream, state.packets);
        state.packets += 1;
        let chance = state.draw(&link, &mut random);

        let lost = |cause| Fate::Lost(cause);
        if wanted.lost {
            return self.put_down(now, Place::Sender, lost(LossCause::Scripted), trip, &packet);
        }
        if let Some(cut) = self.cut_at(now, direction) {
            let report = cut.report;
            self.put_down(now, Place::Sender, lost(LossCause::Cut), trip, &packet);
            if let Some(kind) = report {
                self.report(now + link.delay / 2, kind, trip, &packet);
            }
            return;
        }
        let state = self.states.entry(direction).or_default();
        let (leaves, marked) = match state.queue(now, packet.len(), &link) {
            Queued::Leaves { at, marked } => (at, marked),
            Queued::Full => {
                return self.put_down(now, Place::Sender, lost(LossCause::QueueFull), trip, &packet);
            }
        };
        if chance.lost && chance.before_router {
            return self.put_down(now, Place::Sender, lost(LossCause::Chance), trip, &packet);
        }
        self.put_down(now, Place::Sender, Fate::Passed, trip, &packet);
        if marked || wanted.mark {
            ip::mark_congestion(&mut packet);
        }
        let bit = chance.corrupted.or_else(|| wanted.corrupt.then(|| random.next_u64()));
        let (bit_before, bit_behind) = if chance.before_router { (bit, None) } else { (None, bit) };
        flip(&mut packet, bit_before);

        let extra = if chance.held_back { link.reordering.delay } else { Duration::ZERO };
        let held_back = chance.held_back || !wanted.delay.is_zero();
        let delay = link.delay + chance.jitter + extra + wanted.delay;
        let state = self.states.entry(direction).or_default();
        let arrival = state.arrival(leaves, delay, held_back);
        let passes = midway(leaves, arrival);
        if link.mtu.size().is_some_and(|mtu| packet.len() > usize::from(mtu)) {
            self.put_down(passes, Place::Router, lost(LossCause::TooBig), trip, &packet);
            if let Mtu::Reported(mtu) = link.mtu {
                self.report(passes, IcmpKind::PacketTooBig { mtu: mtu.into() }, trip, &packet);
            }
            return;
        }
        if chance.lost {
            return self.put_down(passes, Place::Router, lost(LossCause::Chance), trip, &packet);
        }
        self.put_down(passes, Place::Router, Fate::Passed, trip, &packet);
        let copy = wanted.duplicate.or_else(|| chance.duplicated.then_some(Duration::ZERO)).map(|after| {
            let trip = Trip { copy: true, ..trip };
            let arrival = arrival.max(leaves + link.delay + chance.jitter_of_copy) + after;
            self.put_down(midway(leaves, arrival), Place::Router, Fate::Passed, trip, &packet);
            (arrival, trip)
        });
        flip(&mut packet, bit_behind);
        if let Some((arrival_of_copy, copy)) = copy {
            self.launch(arrival, trip, packet.clone());
            self.launch(arrival_of_copy, copy, packet);
        } else {
            self.launch(arrival, trip, packet);
        }
    }

    /// The router's report about a packet goes half the way back, and is never lost but by a cut.
    fn report(&mut self, time: Instant, kind: IcmpKind, about: Trip, packet: &[u8]) {
        let Some(source) = ip::source(packet) else {
            return;
        };
        let mut report = Vec::new();
        if kind.report(link::router_address(source), packet, &mut report).is_err() {
            return;
        }
        let (from, to) = (about.to, about.from);
        let trip = Trip { from, to, number: self.take_number(), copy: false };
        let cut = self.cut_at(time, (from, to)).is_some();
        let fate = if cut { Fate::Lost(LossCause::Cut) } else { Fate::Passed };
        self.put_down(time, Place::Router, fate, trip, &report);
        if !cut {
            let delay = self.link(from, to).delay / 2;
            self.launch(time + delay, trip, report);
        }
    }

    fn launch(&mut self, arrival: Instant, trip: Trip, packet: Vec<u8>) {
        let order = self.next_order;
        self.next_order += 1;
        self.in_flight.push(Reverse(InFlight { arrival, order, trip, packet }));
    }

    fn take_number(&mut self) -> u64 {
        let number = self.next_number;
        self.next_number += 1;
        number
    }

    /// What cuts a direction at a time.
    fn cut_at(&self, time: Instant, (from, to): (HostId, HostId)) -> Option<&Cut> {
        self.cuts.iter().find(|cut| cut.from == from && cut.to == to && cut.during.contains(&time))
    }

    /// Counts the packet in each line it is for, and collects what those say whose turn has come.
    fn consult_script(&mut self, packet: &[u8], from: HostId, to: Option<HostId>) -> Wanted {
        let mut wanted = Wanted::default();
        if self.script.is_empty() {
            return wanted;
        }
        let segment = Packet::parse(packet).ok().and_then(|packet| Segment::parse(packet.tcp).ok());
        let Some(segment) = segment else {
            return wanted;
        };
        for line in &mut self.script {
            let which = line.scripted.which;
            let for_it = line.from == from && line.to.is_none_or(|host| to == Some(host));
            if !for_it || !which.counts(&segment) {
                continue;
            }
            line.counted = line.counted.saturating_add(1);
            if line.counted != which.number() {
                continue;
            }
            match line.scripted.action {
                Action::Drop => wanted.lost = true,
                Action::Delay(delay) => wanted.delay = wanted.delay.saturating_add(delay),
                Action::Duplicate(after) => wanted.duplicate = Some(after),
                Action::Corrupt => wanted.corrupt = true,
                Action::Mark => wanted.mark = true,
            }
        }
        wanted
    }

    fn put_down(&mut self, time: Instant, place: Place, fate: Fate, trip: Trip, packet: &[u8]) {
        let Some(records) = &mut self.records else {
            return;
        };
        let Trip { from, to, number, copy } = trip;
        // A packet mostly looks the same at all places, which are recorded one after the other.
        let same =
            records.iter().rev().take(8).find(|record| record.number == number && *record.packet == *packet);
        let packet = same.map_or_else(|| Arc::from(packet), |record| Arc::clone(&record.packet));
        records.push(Record { time, place, fate, from, to, number, copy, packet });
    }
}

fn midway(leaves: Instant, arrival: Instant) -> Instant {
    leaves + arrival.duration_since(leaves) / 2
}

/// Turns one bit round, picked by a number.
fn flip(packet: &mut [u8], bit: Option<u64>) {
    let Some(bit) = bit.and_then(|bit| bit.checked_rem(packet.len() as u64 * 8)) else {
        return;
    };
    if let Some(byte) = packet.get_mut((bit / 8) as usize) {
        *byte ^= 1 << (bit % 8);
    }
}

#[cfg(test)]
mod tests;
