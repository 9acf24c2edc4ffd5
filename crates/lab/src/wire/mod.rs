//! What lies between the hosts, and what goes wrong on it.
//!
//! A fault is about segments of one host that have a [`Pattern`]. Of several faults about the same segment the one that
//! was made first counts.

mod pattern;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use eleven_tcp::ip::{IcmpKind, Packet};
use eleven_tcp::sim::Random;
use eleven_tcp::{Instant, Segment};

pub use pattern::Pattern;

use crate::host::HostId;

/// Any number of times.
pub const ALWAYS: u32 = u32::MAX;

/// A fault of a wire, for as long as it is not mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FaultId(u32);

/// A packet that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Passage {
    /// Counted from 0 in the order in which they were sent.
    pub(crate) number: usize,
    pub(crate) from: HostId,
    pub(crate) to: HostId,
    pub(crate) packet: Arc<[u8]>,
    /// The network made it: it was sent once and arrives twice, or comes from a router.
    pub(crate) copy: bool,
}

/// What becomes of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It arrives.
    UnderWay,
    /// It does not.
    Lost,
    /// It arrives when it is released.
    Held,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Lose,
    Hold,
    /// It arrives twice.
    Repeat,
    /// It arrives, and can be sent again later.
    Copy,
}

#[derive(Debug)]
struct Fault {
    id: FaultId,
    from: HostId,
    pattern: Pattern,
    action: Action,
    /// So many more pass unharmed first.
    skip: u32,
    /// So many more are concerned then.
    times: u32,
    kept: Vec<Passage>,
}

/// A wire between all hosts of a laboratory.
#[derive(Debug)]
pub struct Wire {
    faults: Vec<Fault>,
    next_fault: u32,
    under_way: BTreeMap<(Instant, u64), Passage>,
    sent: u64,
    delay: Duration,
    random: Random,
    /// Shares of the packets of a host that are lost by chance.
    chances: Vec<(HostId, f64)>,
    /// The largest packet that passes, and whether the sender of a larger one is told.
    mtu: Option<(u16, bool)>,
}

impl Wire {
    pub(crate) fn new(delay: Duration) -> Self {
        Self {
            faults: Vec::new(),
            next_fault: 0,
            under_way: BTreeMap::new(),
            sent: 0,
            delay,
            random: Random::new(11),
            chances: Vec::new(),
            mtu: None,
        }
    }

    fn fault(&mut self, from: HostId, pattern: Pattern, action: Action, skip: u32, times: u32) -> FaultId {
        let id = FaultId(self.next_fault);
        self.next_fault += 1;
        self.faults.push(Fault { id, from, pattern, action, skip, times, kept: Vec::new() });
        id
    }

    /// The next `times` segments from `from` that have the pattern are lost.
    pub fn lose(&mut self, from: HostId, pattern: Pattern, times: u32) -> FaultId {
        self.fault(from, pattern, Action::Lose, 0, times)
    }

    /// As [`lose`](Self::lose), but the first `skip` of them pass.
    pub fn lose_later(&mut self, from: HostId, pattern: Pattern, skip: u32, times: u32) -> FaultId {
        self.fault(from, pattern, Action::Lose, skip, times)
    }

    /// The next segment from `from` that has the pattern waits on the wire, and so do others that have it. Repetitions of
    /// one that waits are lost.
    pub fn hold(&mut self, from: HostId, pattern: Pattern) -> FaultId {
        self.fault(from, pattern, Action::Hold, 0, ALWAYS)
    }

    /// The next segment that has the pattern arrives twice.
    pub fn repeat(&mut self, from: HostId, pattern: Pattern) -> FaultId {
        self.fault(from, pattern, Action::Repeat, 0, 1)
    }

    /// The next segment that has the pattern arrives, and [`Lab::release`](crate::Lab::release) sends it once more: an old duplicate.
    pub fn keep_copy(&mut self, from: HostId, pattern: Pattern) -> FaultId {
        self.fault(from, pattern, Action::Copy, 0, 1)
    }

    /// Nothing of this host's arrives any more.
    pub fn silence(&mut self, from: HostId) -> FaultId {
        self.lose(from, Pattern::ANY, ALWAYS)
    }

    /// This share of a host's packets is lost by chance, the same ones in every run.
    pub fn lose_share(&mut self, from: HostId, share: f64) {
        self.chances.retain(|(host, _)| *host != from);
        self.chances.push((from, share));
    }

    /// How long a packet is under way.
    pub const fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    /// Larger packets are lost from now on; with `tell` their sender hears of it by ICMP.
    pub const fn limit(&mut self, mtu: u16, tell: bool) {
        self.mtu = Some((mtu, tell));
    }

    /// A fault is over: what it has held arrives now.
    pub(crate) fn release(&mut self, now: Instant, id: FaultId) -> Vec<usize> {
        let Some(place) = self.faults.iter().position(|fault| fault.id == id) else { return Vec::new() };
        let fault = self.faults.remove(place);
        let numbers = fault.kept.iter().map(|passage| passage.number).collect();
        for passage in fault.kept {
            self.put(now, passage);
        }
        numbers
    }

    /// How many segments a fault holds.
    pub fn held(&self, id: FaultId) -> usize {
        self.faults.iter().find(|fault| fault.id == id).map_or(0, |fault| fault.kept.len())
    }

    /// A fault is over, and what it has held is lost.
    pub fn mend(&mut self, id: FaultId) {
        self.faults.retain(|fault| fault.id != id);
    }

    fn put(&mut self, at: Instant, passage: Passage) {
        self.sent += 1;
        self.under_way.insert((at, self.sent), passage);
    }

    /// Takes a packet that a host has sent.
    pub(crate) fn send(&mut self, now: Instant, passage: Passage) -> Fate {
        let arrival = now + self.delay;
        if let Some((mtu, tell)) = self.mtu
            && passage.packet.len() > usize::from(mtu)
        {
            if tell && let Some(report) = report(&passage, mtu) {
                self.put(arrival, report);
            }
            return Fate::Lost;
        }
        let chance = self.chances.iter().find(|(host, _)| *host == passage.from).map(|(_, share)| *share);
        if chance.is_some_and(|share| self.random.chance(share)) {
            return Fate::Lost;
        }
        match self.concerned(&passage) {
            None => {}
            Some((Action::Lose, _)) => return Fate::Lost,
            Some((Action::Hold, place)) => {
                let kept = &mut self.faults[place].kept;
                if kept.iter().any(|held| is_repetition(&held.packet, &passage.packet)) {
                    return Fate::Lost;
                }
                kept.push(passage);
                return Fate::Held;
            }
            Some((Action::Repeat, _)) => self.put(arrival, Passage { copy: true, ..passage.clone() }),
            Some((Action::Copy, place)) => {
                self.faults[place].kept.push(Passage { copy: true, ..passage.clone() });
            }
        }
        self.put(arrival, passage);
        Fate::UnderWay
    }

    /// The fault that concerns a packet, counted.
    fn concerned(&mut self, passage: &Passage) -> Option<(Action, usize)> {
        let packet = Packet::parse(&passage.packet).ok()?;
        let segment = Segment::parse(packet.tcp).ok()?;
        for (place, fault) in self.faults.iter_mut().enumerate() {
            if fault.from != passage.from || !(fault.pattern.matches)(&segment) || fault.times == 0 {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if fault.times != ALWAYS {
                fault.times -= 1;
            }
            return Some((fault.action, place));
        }
        None
    }

    /// The next packet that has arrived by now.
    pub(crate) fn arrived(&mut self, now: Instant) -> Option<Passage> {
        let first = self.under_way.first_entry()?;
        (first.key().0 <= now).then(|| first.remove())
    }

    /// When the next packet arrives.
    pub(crate) fn next_arrival(&self) -> Option<Instant> {
        self.under_way.keys().next().map(|(at, _)| *at)
    }
}

/// What a router says about a packet that is too large for what lies behind it.
fn report(passage: &Passage, mtu: u16) -> Option<Passage> {
    let source = Packet::parse(&passage.packet).ok()?.destination;
    let mut report = Vec::new();
    IcmpKind::PacketTooBig { mtu: mtu.into() }.report(source, &passage.packet, &mut report).ok()?;
    Some(Passage { to: passage.from, from: passage.to, packet: report.into(), copy: true, ..passage.clone() })
}

/// Whether a packet carries the same numbers as one before.
fn is_repetition(first: &[u8], second: &[u8]) -> bool {
    let numbers = |bytes| {
        let packet = Packet::parse(bytes).ok()?;
        let segment = Segment::parse(packet.tcp).ok()?;
        Some((
            segment.source_port,
            segment.destination_port,
            segment.seq,
            segment.flags.bits(),
            segment.text.len(),
        ))
    };
    numbers(first).is_some_and(|numbers_of_first| numbers(second) == Some(numbers_of_first))
}

#[cfg(test)]
mod tests;
