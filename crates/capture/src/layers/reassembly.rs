//! Puts fragments together (RFC 791 §3.2, RFC 8200 §4.5), within bounds.
//!
//! Overlaps are treated as Linux does: a fragment that repeats what is there is left out; any other overlap
//! discards the datagram (RFC 5722 asks that for IPv6), as no two systems agree on whose bytes count.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;

use super::ip::Ip;
use super::path::PathKey;
use crate::Timestamp;

/// How much is kept of fragments whose others are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReassemblyLimits {
    /// In bytes, over all datagrams.
    pub bytes: usize,
    /// Datagrams.
    pub datagrams: usize,
    /// For so many nanoseconds of the packets' time; Linux waits for 30 seconds, RFC 8200 for 60.
    pub nanos: i64,
}

impl Default for ReassemblyLimits {
    /// 16 MiB, 4,096 datagrams, 30 seconds.
    fn default() -> Self {
        Self { bytes: 16 << 20, datagrams: 4_096, nanos: 30_000_000_000 }
    }
}

/// What became of fragments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct ReassemblyStatistics {
    /// Fragments that were seen.
    pub fragments: u64,
    /// Datagrams that were put together.
    pub completed: u64,
    /// Fragments that repeat others.
    pub repeated: u64,
    /// Datagrams that were discarded because fragments overlap.
    pub overlapping: u64,
    /// Datagrams that were discarded because a fragment cannot be: too far behind, or behind the last.
    pub impossible: u64,
    /// Datagrams that were given up as too old.
    pub expired: u64,
    /// Datagrams that were given up for want of room.
    pub evicted: u64,
}

/// Which datagram a fragment belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    pub(super) identification: u32,
    /// Only of IPv4.
    pub(super) protocol: u8,
    pub(super) path: PathKey,
}

/// A fragment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fragment<'a> {
    pub(super) key: Key,
    pub(super) ip: Ip,
    pub(super) protocol: u8,
    pub(super) start: u32,
    pub(super) more: bool,
    /// As much as was captured.
    pub(super) bytes: &'a [u8],
    /// How much it really has.
    pub(super) length: usize,
}

/// A datagram that was put together.
#[derive(Debug)]
pub(super) struct Datagram {
    pub(super) ip: Ip,
    pub(super) protocol: u8,
    pub(super) path: PathKey,
    /// Up to the first byte that was not captured.
    pub(super) bytes: Vec<u8>,
    pub(super) length: usize,
}

/// A datagram of which fragments are missing.
#[derive(Debug)]
struct Partial {
    since: Timestamp,
    /// Which of the entries in the order of arrival is its own.
    serial: u64,
    /// By where they start.
    pieces: BTreeMap<u32, Piece>,
    /// From the first fragment, if it was seen.
    first: Option<(Ip, u8)>,
    /// The whole length, if the last fragment was seen.
    length: Option<u32>,
    /// What the pieces really have.
    sum: u32,
    cost: usize,
}

#[derive(Debug)]
struct Piece {
    bytes: Box<[u8]>,
    length: u32,
}

/// What a piece costs beside its bytes, roughly.
const PIECE_COST: usize = 96;
/// What a datagram costs beside its pieces, roughly.
const DATAGRAM_COST: usize = 256;
/// No datagram is longer.
const LONGEST: u32 = 65_535;

#[derive(Debug, Default)]
pub(super) struct Reassembly {
    limits: ReassemblyLimits,
    pub(super) statistics: ReassemblyStatistics,
    partials: HashMap<Key, Partial>,
    /// In the order of arrival; entries whose datagram is gone are left until they are passed.
    order: VecDeque<(Key, u64)>,
    serial: u64,
    cost: usize,
}

/// What adding a fragment comes to.
enum Added {
    Waiting,
    Complete,
    Overlapping,
    Impossible,
}

impl Reassembly {
    pub(super) fn new(limits: ReassemblyLimits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Takes a fragment; gives the datagram that it completes.
    pub(super) fn add(&mut self, time: Timestamp, fragment: &Fragment<'_>) -> Option<Datagram> {
        self.statistics.fragments += 1;
        self.expire(time);
        let key = fragment.key;
        let is_new = !self.partials.contains_key(&key);
        if is_new {
            self.serial += 1;
            self.order.push_back((key, self.serial));
            self.cost += DATAGRAM_COST;
        }
        let serial = self.serial;
        let partial = self.partials.entry(key).or_insert_with(|| Partial::new(time, serial));
        let before = partial.cost;
        let added = partial.add(fragment, &mut self.statistics.repeated);
        self.cost += partial.cost - before;
        match added {
            Added::Waiting => {
                self.make_room();
                None
            }
            Added::Complete => {
                self.statistics.completed += 1;
                self.remove(&key).and_then(|partial| partial.join(key.path))
            }
            Added::Overlapping => {
                self.statistics.overlapping += 1;
                self.remove(&key);
                None
            }
            Added::Impossible => {
                self.statistics.impossible += 1;
                self.remove(&key);
                None
            }
        }
    }

    fn remove(&mut self, key: &Key) -> Option<Partial> {
        let partial = self.partials.remove(key)?;
        self.cost -= partial.cost + DATAGRAM_COST;
        // Its entry in the order stays; there are never many more of those than of datagrams.
        if self.order.len() > 2 * self.partials.len() + 64 {
            let Self { order, partials, .. } = self;
            order.retain(|(key, serial)| partials.get(key).is_some_and(|it| it.serial == *serial));
        }
        Some(partial)
    }

    /// Gives up what is too old.
    fn expire(&mut self, now: Timestamp) {
        while let Some((key, serial)) = self.order.front().copied() {
            match self.partials.get(&key) {
                Some(partial) if partial.serial == serial => {
                    if now.since(partial.since) <= self.limits.nanos {
                        return;
                    }
                    self.statistics.expired += 1;
                    self.order.pop_front();
                    self.remove(&key);
                }
                _ => {
                    self.order.pop_front();
                }
            }
        }
    }

    /// Gives up the oldest until what is left is within the limits.
    fn make_room(&mut self) {
        while self.cost > self.limits.bytes || self.partials.len() > self.limits.datagrams {
            let Some((key, serial)) = self.order.pop_front() else { return };
            if self.partials.get(&key).is_some_and(|partial| partial.serial == serial) {
                self.statistics.evicted += 1;
                self.remove(&key);
            }
        }
    }
}

impl Partial {
    fn new(since: Timestamp, serial: u64) -> Self {
        Self { since, serial, pieces: BTreeMap::new(), first: None, length: None, sum: 0, cost: 0 }
    }

    fn add(&mut self, fragment: &Fragment<'_>, repeated: &mut u64) -> Added {
        let Fragment { start, more, bytes, .. } = *fragment;
        let Some(length) = u32::try_from(fragment.length).ok().filter(|length| *length > 0) else {
            return Added::Impossible;
        };
        let end = start.saturating_add(length);
        // All but the last end at a multiple of eight, and none behind the last.
        let aligned = !more || length.is_multiple_of(8);
        let behind = self.length.is_some_and(|told| end > told || (!more && end != told));
        let last_so_far =
            self.pieces.last_key_value().map_or(0, |(start, piece)| start.saturating_add(piece.length));
        if !aligned || behind || end > LONGEST || (!more && end < last_so_far) {
            return Added::Impossible;
        }
        let before = self.pieces.range(..=start).next_back();
        if let Some((other, piece)) = before
            && other.saturating_add(piece.length) > start
        {
            if end <= other.saturating_add(piece.length) {
                *repeated += 1;
                return Added::Waiting;
            }
            return Added::Overlapping;
        }
        if self.pieces.range(start..end).next().is_some() {
            return Added::Overlapping;
        }
        self.pieces.insert(start, Piece { bytes: bytes.into(), length });
        self.cost += bytes.len() + PIECE_COST;
        self.sum += length;
        if start == 0 {
            self.first = Some((fragment.ip, fragment.protocol));
        }
        if !more {
            self.length = Some(end);
        }
        // They do not overlap, so they are all there if they sum up.
        if self.length == Some(self.sum) { Added::Complete } else { Added::Waiting }
    }

    fn join(self, path: PathKey) -> Option<Datagram> {
        let (ip, protocol) = self.first?;
        let length = self.length? as usize;
        let mut bytes = Vec::with_capacity(length);
        for piece in self.pieces.into_values() {
            bytes.extend_from_slice(&piece.bytes);
            if piece.bytes.len() < piece.length as usize {
                break;
            }
        }
        Some(Datagram { ip, protocol, path, bytes, length })
    }
}
