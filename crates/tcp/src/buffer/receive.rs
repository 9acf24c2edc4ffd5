//! Text that has arrived: what the program can read, and what waits behind a gap.

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::ring::Ring;
use crate::SeqNumber;
use crate::segment::{SackBlock, SackBlocks, Text};

/// So many separate stretches of text are held behind gaps; what would be one more is dropped
/// and has to be sent again. Without a bound, every other byte of a window would cost an entry.
const MOST_STRETCHES: usize = 256;

/// Text received out of order.
#[derive(Clone, Copy)]
struct Stretch {
    start: SeqNumber,
    end: SeqNumber,
    /// The highest is the latest, which is told to the peer first (RFC 2018 §4).
    arrival: u32,
}

/// What became of text that was handed in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Inserted {
    /// By how much the number expected next moves on.
    pub(crate) advanced: u32,
    /// Whether text now waits behind a gap, or did before.
    pub(crate) gap: bool,
    /// The first stretch of it that was there already (RFC 2883).
    pub(crate) duplicate: Option<SackBlock>,
}

/// The receive queue and the reassembly queue in one ring: the unread bytes from the head on, and
/// behind them, at the place where they belong, bytes behind gaps.
///
/// What has been received once is not overwritten: whoever sends other text for the same
/// numbers changes nothing.
#[derive(Clone)]
pub(crate) struct ReceiveBuffer {
    ring: Ring,
    limit: u32,
    stretches: Stretches,
}

/// Sorted by start, disjoint, not touching. In a box of its own: most connections have none most
/// of the time.
#[derive(Clone, Default)]
struct Stretches(Option<Box<Held>>);

#[derive(Clone, Default)]
struct Held {
    list: Vec<Stretch>,
}

impl core::ops::Deref for Stretches {
    type Target = [Stretch];

    fn deref(&self) -> &[Stretch] {
        self.0.as_ref().map_or(&[], |held| &held.list)
    }
}

impl Stretches {
    /// Puts `stretch`, if there is one, in the place of `count` others.
    fn replace(&mut self, first: usize, count: usize, stretch: Option<Stretch>) {
        let held = self.0.get_or_insert_default();
        held.list.splice(first..first + count, stretch);
        if held.list.is_empty() {
            self.0 = None;
        }
    }

    fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |held| size_of::<Held>() + held.list.capacity() * size_of::<Stretch>())
    }
}

impl ReceiveBuffer {
    pub(crate) fn new(limit: u32) -> Self {
        // A window is at most 2^30 (RFC 7323 §2.2).
        Self { ring: Ring::default(), limit: limit.clamp(1, 1 << 30), stretches: Stretches::default() }
    }

    /// Bytes the program can read.
    pub(crate) const fn readable(&self) -> u32 {
        self.ring.length
    }

    /// The window there is memory for.
    pub(crate) const fn free(&self) -> u32 {
        self.limit.saturating_sub(self.ring.length)
    }

    pub(crate) const fn limit(&self) -> u32 {
        self.limit
    }

    pub(crate) fn set_limit(&mut self, limit: u32) {
        self.limit = limit.clamp(1, 1 << 30);
    }

    pub(crate) fn has_gap(&self) -> bool {
        !self.stretches.is_empty()
    }

    /// Takes `text` whose first byte has the number `seq`, where `next` is expected. The caller
    /// has cut it to the window; what lies outside all the same is dropped.
    pub(crate) fn insert(&mut self, next: SeqNumber, seq: SeqNumber, text: Text<'_>) -> Inserted {
        let behind = next.distance(seq);
        let mut duplicate = None;
        let (seq, text) = if behind > 0 {
            let known = (behind as u32).min(text.len() as u32);
            if known > 0 {
                duplicate = Some(SackBlock { start: seq, end: seq + known });
            }
            (next, text.skip(behind as usize))
        } else {
            (seq, text)
        };
        let offset = seq.offset_from(next);
        let text = text.take(self.free().saturating_sub(offset) as usize);
        let length = text.len() as u32;
        if length == 0 {
            return Inserted { advanced: 0, gap: self.has_gap(), duplicate };
        }
        if self.stretches.is_empty() && offset == 0 {
            self.place(next, next, text);
            self.ring.length += length;
            return Inserted { advanced: length, gap: false, duplicate };
        }
        let (advanced, overlap) = self.merge(next, seq, text);
        Inserted { advanced, gap: true, duplicate: duplicate.or(overlap) }
    }

    /// Writes `text` where it belongs and joins it with the stretches it meets. Tells by how much
    /// the number expected next moves on, and what of the text was there already.
    fn merge(&mut self, next: SeqNumber, seq: SeqNumber, text: Text<'_>) -> (u32, Option<SackBlock>) {
        let end = seq + text.len() as u32;
        let first = self.stretches.partition_point(|stretch| stretch.end.lt(seq));
        let met = self.stretches[first..].iter().take_while(|stretch| stretch.start.le(end)).count();
        if met == 0 && self.stretches.len() >= MOST_STRETCHES && seq != next {
            return (0, None);
        }
        let mut merged = Stretch { start: seq, end, arrival: self.arrivals() };
        let mut overlap = None;
        let mut at = seq;
        for index in first..first + met {
            let known = self.stretches[index];
            if at.lt(known.start) {
                self.place(next, at, part(text, seq, at, known.start));
            }
            let shared = SackBlock { start: seq.later(known.start), end: end.earlier(known.end) };
            if overlap.is_none() && shared.start.lt(shared.end) {
                overlap = Some(shared);
            }
            at = at.later(known.end);
            merged.start = merged.start.earlier(known.start);
            merged.end = merged.end.later(known.end);
        }
        if at.lt(end) {
            self.place(next, at, part(text, seq, at, end));
        }
        if merged.start == next {
            let advanced = merged.end.offset_from(next);
            self.ring.length += advanced;
            self.stretches.replace(first, met, None);
            (advanced, overlap)
        } else {
            self.stretches.replace(first, met, Some(merged));
            (0, overlap)
        }
    }

    /// A number for the latest arrival, higher than that of any stretch.
    fn arrivals(&self) -> u32 {
        self.stretches.iter().map(|stretch| stretch.arrival).max().map_or(0, |latest| latest.wrapping_add(1))
    }

    fn place(&mut self, next: SeqNumber, seq: SeqNumber, text: Text<'_>) {
        let readable = self.ring.length as usize;
        let position = readable + seq.offset_from(next) as usize;
        let used =
            self.stretches.last().map_or(readable, |last| readable + last.end.offset_from(next) as usize);
        self.ring.reserve((position + text.len()).max(used), used);
        let (first, second) = text.as_slices();
        self.ring.write(position, first);
        self.ring.write(position + first.len(), second);
    }

    /// The stretches behind gaps, the latest first, as many as `room` (RFC 2018 §4).
    pub(crate) fn sack_blocks(&self, room: usize) -> SackBlocks {
        let mut blocks = SackBlocks::EMPTY;
        let mut below = u64::MAX;
        while blocks.len() < room {
            let latest = self
                .stretches
                .iter()
                .filter(|stretch| u64::from(stretch.arrival) < below)
                .max_by_key(|stretch| stretch.arrival);
            let Some(latest) = latest else { break };
            below = u64::from(latest.arrival);
            if blocks.push(SackBlock { start: latest.start, end: latest.end }).is_err() {
                break;
            }
        }
        blocks
    }

    /// Keeps `text` at `seq` although nothing is handed over yet, not even what is next: the
    /// connection is not open. [`Self::take_held`] ends that.
    pub(crate) fn hold(&mut self, seq: SeqNumber, text: Text<'_>) {
        let text = text.take(self.free() as usize);
        if text.is_empty() || self.has_gap() {
            return;
        }
        self.place(seq, seq, text);
        let held = Stretch { start: seq, end: seq + text.len() as u32, arrival: 0 };
        self.stretches.replace(0, 0, Some(held));
    }

    /// Hands over what was held and begins at `next`; says how much it is.
    pub(crate) fn take_held(&mut self, next: SeqNumber) -> u32 {
        match self.stretches.first() {
            Some(first) if first.start == next => {
                let advanced = first.end.offset_from(next);
                self.ring.length += advanced;
                self.stretches.replace(0, 1, None);
                advanced
            }
            _ => 0,
        }
    }

    /// What can be read, without reading it.
    pub(crate) fn peek(&self) -> Text<'_> {
        self.ring.text(0, self.ring.length as usize)
    }

    /// Drops the first `count` unread bytes: they have been read.
    pub(crate) fn consume(&mut self, count: u32) {
        let count = count.min(self.ring.length);
        self.ring.consume(count as usize);
        self.ring.length -= count;
    }

    /// Copies unread bytes out and drops them.
    pub(crate) fn read(&mut self, out: &mut [u8]) -> usize {
        let text = self.peek().take(out.len());
        text.copy_to_slice(out);
        let count = text.len();
        self.consume(count as u32);
        count
    }

    /// Drops everything, unread text too.
    pub(crate) fn clear(&mut self) {
        self.ring.length = 0;
        self.drop_stretches();
        self.ring.release();
    }

    /// Drops what waits behind gaps.
    pub(crate) fn drop_stretches(&mut self) {
        self.stretches = Stretches::default();
    }

    /// Gives the memory back if nothing is in it.
    pub(crate) fn release(&mut self) {
        if self.ring.length == 0 && self.stretches.is_empty() {
            self.ring.release();
        }
    }

    /// Gives the memory back if nothing is in it and it is cheap to get again.
    pub(crate) fn release_if_small(&mut self) {
        if self.ring.is_small() {
            self.release();
        }
    }

    /// Bytes of memory held.
    pub(crate) fn memory(&self) -> usize {
        self.ring.capacity() + self.stretches.memory()
    }
}

/// The part of `text`, which begins at `seq`, from `start` up to `end`.
fn part(text: Text<'_>, seq: SeqNumber, start: SeqNumber, end: SeqNumber) -> Text<'_> {
    text.skip(start.offset_from(seq) as usize).take(end.offset_from(start) as usize)
}
