//! What was sent and not yet acknowledged, in ranges of sequence space.
//!
//! The ranges lie end to end from SND.UNA to SND.NXT. Neighbours that nothing tells apart are one range: text
//! that left in the same microsecond, and everything selectively acknowledged between two holes. So the number
//! of ranges follows the number of holes, not the size of the window.

use alloc::collections::VecDeque;

use crate::{Instant, SeqNumber};

/// Selectively acknowledged.
pub(super) const SACKED: u8 = 1;
/// Taken for lost.
pub(super) const LOST: u8 = 2;
/// Sent again, and that copy is taken to be in the network.
pub(super) const RESENT: u8 = 4;
/// Sent more than once, ever.
pub(super) const REPEATED: u8 = 8;

/// A piece of sequence space that was sent at once and met the same fate since.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    pub(super) start: SeqNumber,
    pub(super) end: SeqNumber,
    /// When it was last sent, in microseconds, above eight bits of flags. It lasts 2,283 years.
    stamp: u64,
}

impl Range {
    pub(super) fn length(&self) -> u32 {
        self.end.offset_from(self.start)
    }

    pub(super) fn sent_at(&self) -> Instant {
        Instant::from_micros(self.stamp >> 8)
    }

    fn flags(&self) -> u8 {
        self.stamp as u8
    }

    /// Whether any of these flags is set.
    pub(super) fn is(&self, flags: u8) -> bool {
        self.flags() & flags != 0
    }

    /// Lost, and no copy under way.
    fn is_due(&self) -> bool {
        self.flags() & (LOST | RESENT) == LOST
    }
}

fn stamp(sent_at: Instant, flags: u8) -> u64 {
    sent_at.as_micros().min(u64::MAX >> 8) << 8 | u64::from(flags)
}

/// Something that was sent again: RACK has to look at these in the order in which they left, which is not that
/// of their numbers.
#[derive(Clone, Copy, Debug)]
struct Repeat {
    start: SeqNumber,
    end: SeqNumber,
    sent_at: Instant,
}

/// The most recently sent of what has arrived, as RACK knows it (RFC 8985 §5.3).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Delivered {
    /// RACK.xmit_ts.
    pub(super) sent_at: Instant,
    /// RACK.end_seq.
    pub(super) end: SeqNumber,
    /// RACK.rtt, in microseconds.
    pub(super) rtt: u32,
    /// Whether something arrived since losses were last looked for.
    pub(super) news: bool,
}

impl Delivered {
    /// RACK_update (RFC 8985 §6.2, steps 1 and 2).
    ///
    /// A copy's round trip is ambiguous: it does not count if none was ever that short, or if the echoed
    /// timestamp is older than the copy.
    pub(super) fn arrived(&mut self, range: &Range, now: Instant, shortest: u32, echo_sent_ms: Option<u64>) {
        let sent_at = range.sent_at();
        let rtt = now.micros_since(sent_at).min(u64::from(u32::MAX)) as u32;
        let older_echo = || echo_sent_ms.is_some_and(|sent| sent < sent_at.as_millis());
        if range.is(REPEATED) && (rtt < shortest || older_echo()) {
            return;
        }
        self.news = true;
        self.rtt = rtt;
        if !self.left_after(sent_at, range.end) {
            self.sent_at = sent_at;
            self.end = range.end;
        }
    }

    /// RACK_sent_after (RFC 8985 §6.2, step 2): whether this left after `end`, which left at `sent_at`.
    pub(super) fn left_after(&self, sent_at: Instant, end: SeqNumber) -> bool {
        self.sent_at > sent_at || (self.sent_at == sent_at && self.end.gt(end))
    }

    /// How much longer something sent at `sent_at` may take, in microseconds (RFC 8985 §6.2, step 5).
    fn remaining(&self, sent_at: Instant, now: Instant, window: u32) -> u32 {
        let patience = u64::from(self.rtt) + u64::from(window);
        patience.saturating_sub(now.micros_since(sent_at)).min(u64::from(u32::MAX)) as u32
    }
}

/// The scoreboard of RFC 6675 §3.
#[derive(Clone, Debug, Default)]
pub(super) struct Scoreboard {
    ranges: VecDeque<Range>,
    repeats: VecDeque<Repeat>,
    /// SND.NXT, as far as it was told.
    next: SeqNumber,
    sacked: u32,
    lost: u32,
    resent: u32,
    /// Lost and not resent.
    due: u32,
    /// Nothing before this is due.
    due_from: SeqNumber,
    /// Everything before this was selectively acknowledged, is lost or has a copy under way.
    undecided_from: SeqNumber,
}

impl Scoreboard {
    pub(super) fn new(next: SeqNumber) -> Self {
        Self { next, due_from: next, undecided_from: next, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// SND.UNA.
    pub(super) fn una(&self) -> SeqNumber {
        self.ranges.front().map_or(self.next, |range| range.start)
    }

    /// SND.NXT.
    pub(super) fn next(&self) -> SeqNumber {
        self.next
    }

    pub(super) fn first(&self) -> Option<&Range> {
        self.ranges.front()
    }

    /// FlightSize in the sense of RFC 5681: sent and not acknowledged by number.
    pub(super) fn outstanding(&self) -> u32 {
        self.next.offset_from(self.una())
    }

    pub(super) fn sacked(&self) -> u32 {
        self.sacked
    }

    pub(super) fn lost(&self) -> u32 {
        self.lost
    }

    pub(super) fn resent(&self) -> u32 {
        self.resent
    }

    /// Lost and not resent.
    pub(super) fn due(&self) -> u32 {
        self.due
    }

    /// What is in the network by RFC 6675 §4: not arrived and not lost, and copies of what is.
    pub(super) fn pipe(&self) -> u32 {
        (self.outstanding() - self.sacked - self.lost) + self.resent
    }

    /// New text (or SYN, or FIN) went out. What is not joined stays a segment of its own.
    pub(super) fn send(&mut self, now: Instant, start: SeqNumber, end: SeqNumber, join: bool) {
        if self.ranges.is_empty() {
            self.next = start;
            self.due_from = start;
            self.undecided_from = start;
            self.repeats.clear();
        }
        let start = self.next;
        if end.le(start) {
            return;
        }
        self.next = end;
        let stamp = stamp(now, 0);
        match self.ranges.back_mut() {
            Some(last) if join && last.stamp == stamp => last.end = end,
            _ => self.ranges.push_back(Range { start, end, stamp }),
        }
    }

    /// A range went out again. Says how many bytes of it were not known to have arrived.
    pub(super) fn resend(&mut self, now: Instant, start: SeqNumber, end: SeqNumber) -> u32 {
        let (start, end) = (start.later(self.una()), end.earlier(self.next));
        if end.le(start) {
            return 0;
        }
        let first = self.boundary(start);
        let last = self.boundary(end);
        let mut bytes = 0;
        for index in first..last {
            let range = self.ranges[index];
            if !range.is(SACKED) {
                bytes += range.length();
                self.set(index, stamp(now, range.flags() | RESENT | REPEATED));
            }
        }
        self.join(first, last);
        match self.repeats.back_mut() {
            Some(back) if back.sent_at == now && back.end == start => back.end = end,
            _ => self.repeats.push_back(Repeat { start, end, sent_at: now }),
        }
        if self.due_from.ge(start) {
            self.due_from = self.due_from.later(end);
        }
        bytes
    }

    /// Everything before `ack` has arrived. Each piece is shown to `gone`.
    pub(super) fn acknowledge(&mut self, ack: SeqNumber, mut gone: impl FnMut(&Range)) {
        while let Some(&range) = self.ranges.front() {
            let piece = if range.end.le(ack) {
                self.ranges.pop_front();
                range
            } else if range.start.lt(ack) {
                if let Some(front) = self.ranges.front_mut() {
                    front.start = ack;
                }
                Range { end: ack, ..range }
            } else {
                break;
            };
            self.uncount(piece.flags(), piece.length());
            gone(&piece);
        }
        let una = self.una();
        self.due_from = self.due_from.later(una);
        self.undecided_from = self.undecided_from.later(una);
        while self.repeats.front().is_some_and(|repeat| repeat.end.le(una)) {
            self.repeats.pop_front();
        }
    }

    /// The block from `start` up to `end` has arrived: both lie between SND.UNA and SND.NXT. Each piece
    /// that is news is shown to `arrived`; says how many bytes they are.
    ///
    /// Once there are `most` ranges none is divided any more, so that a peer that acknowledges every second byte
    /// cannot make the scoreboard larger than the text: what a block covers in part is then left as it is.
    pub(super) fn sack(
        &mut self,
        start: SeqNumber,
        end: SeqNumber,
        most: usize,
        mut arrived: impl FnMut(&Range),
    ) -> u32 {
        let divide = self.ranges.len() < most;
        let mut first = self.index_of(start);
        let Some(&range) = self.ranges.get(first) else { return 0 };
        if range.is(SACKED) {
            if range.end.ge(end) {
                return 0;
            }
        } else if range.start.lt(start) {
            if divide {
                self.divide(first, start);
            }
            first += 1;
        }
        let mut bytes = 0;
        let mut last = first;
        while let Some(&range) = self.ranges.get(last) {
            if range.start.ge(end) {
                break;
            }
            if !range.is(SACKED) {
                if range.end.gt(end) {
                    if !divide {
                        break;
                    }
                    self.divide(last, end);
                }
                let piece = self.ranges[last];
                arrived(&piece);
                bytes += piece.length();
                self.set(last, (piece.stamp & !0xff) | u64::from(piece.flags() & REPEATED | SACKED));
            }
            last += 1;
        }
        self.join_sacked(first, last);
        bytes
    }

    /// RACK_detect_loss (RFC 8985 §6.2, step 5): marks what left before `delivered` and should have arrived by
    /// now. Gives the time until the last of the undecided is decided, in microseconds; 0: there are none.
    ///
    /// What was sent once lies in the order of time and has one place behind which nothing needs looking at;
    /// what was sent again has a queue. So each is looked at about once, whatever the number of acknowledgments.
    pub(super) fn detect_loss(&mut self, now: Instant, delivered: &Delivered, window: u32) -> u32 {
        let mut timeout = 0;
        let mut all_decided = true;
        let mut index = self.index_of(self.undecided_from);
        while let Some(&range) = self.ranges.get(index) {
            if !range.is(SACKED | LOST | RESENT) {
                if delivered.left_after(range.sent_at(), range.end) {
                    let remaining = delivered.remaining(range.sent_at(), now, window);
                    if remaining == 0 {
                        self.lose(index);
                    }
                    timeout = timeout.max(remaining);
                    all_decided &= remaining == 0;
                } else if range.is(REPEATED) {
                    // It was lost and found again, and left later than those behind it.
                    all_decided = false;
                } else {
                    break;
                }
            }
            if all_decided {
                self.undecided_from = range.end;
            }
            index += 1;
        }
        while let Some(&repeat) = self.repeats.front() {
            if !delivered.left_after(repeat.sent_at, repeat.end) {
                return timeout;
            }
            if delivered.remaining(repeat.sent_at, now, window) > 0 {
                break;
            }
            self.repeats.pop_front();
            self.lose_repeat(&repeat);
        }
        for repeat in &self.repeats {
            if !delivered.left_after(repeat.sent_at, repeat.end) {
                break;
            }
            timeout = timeout.max(delivered.remaining(repeat.sent_at, now, window));
        }
        timeout
    }

    /// The copy was lost as well, where it is the latest.
    fn lose_repeat(&mut self, repeat: &Repeat) {
        let mut index = self.index_of(repeat.start.later(self.una()));
        while let Some(&range) = self.ranges.get(index) {
            if range.start.ge(repeat.end) {
                break;
            }
            // It cannot reach beyond the copy: only what left at the same time is joined, and RACK takes what
            // ends later for sent later.
            if range.is(RESENT) && range.sent_at() == repeat.sent_at && range.end.le(repeat.end) {
                self.lose(index);
            }
            index += 1;
        }
    }

    /// Marks the first `length` bytes lost; says how many are news.
    pub(super) fn lose_first(&mut self, length: u32) -> u32 {
        let lost = self.lost;
        if let Some(&first) = self.ranges.front()
            && !first.is(SACKED)
        {
            if first.length() > length {
                self.divide(0, first.start + length);
            }
            self.lose(0);
        }
        self.lost - lost
    }

    /// The timer has expired: everything is lost except what `recent` says left a moment ago; the first never is
    /// spared (RFC 8985 §6.3).
    pub(super) fn lose_all(&mut self, recent: impl Fn(&Range) -> bool) {
        for index in 0..self.ranges.len() {
            let range = self.ranges[index];
            if !range.is(SACKED) && (index == 0 || !recent(&range)) {
                self.lose(index);
            }
        }
    }

    /// The peer has thrown away what it had acknowledged selectively (RFC 2018 §8).
    pub(super) fn renege(&mut self) {
        for index in 0..self.ranges.len() {
            let stamp = self.ranges[index].stamp;
            self.set(index, stamp & !u64::from(SACKED));
        }
        self.undecided_from = self.una();
    }

    /// Nothing was lost after all.
    pub(super) fn find_all(&mut self) {
        if self.lost == 0 {
            return;
        }
        for index in 0..self.ranges.len() {
            let stamp = self.ranges[index].stamp;
            self.set(index, stamp & !u64::from(LOST));
        }
        self.undecided_from = self.una();
    }

    /// What is due first, up to `length` bytes of it.
    pub(super) fn first_due(&self, length: u32) -> Option<(SeqNumber, SeqNumber)> {
        if self.due == 0 {
            return None;
        }
        let mut ranges = self.ranges.range(self.index_of(self.due_from)..);
        let range = ranges.by_ref().find(|range| range.is_due())?;
        let (start, mut end) = (range.start, range.end);
        // Small pieces that lie together go together.
        for range in ranges {
            if end.offset_from(start) >= length || !range.is_due() {
                break;
            }
            end = range.end;
        }
        Some((start, if end.offset_from(start) > length { start + length } else { end }))
    }

    /// The last `length` bytes that have not arrived.
    pub(super) fn last_missing(&self, length: u32) -> Option<(SeqNumber, SeqNumber)> {
        let range = self.ranges.iter().rev().find(|range| !range.is(SACKED))?;
        Some((range.end - range.length().min(length), range.end))
    }

    /// The range that `seq` is in; the number of ranges if it is in none.
    fn index_of(&self, seq: SeqNumber) -> usize {
        match self.ranges.front() {
            Some(first) if first.end.gt(seq) => 0,
            _ => self.ranges.partition_point(|range| range.end.le(seq)),
        }
    }

    /// Makes a range begin at `seq` and gives its place.
    fn boundary(&mut self, seq: SeqNumber) -> usize {
        let index = self.index_of(seq);
        match self.ranges.get(index) {
            Some(range) if range.start.lt(seq) => {
                self.divide(index, seq);
                index + 1
            }
            _ => index,
        }
    }

    /// Makes two of a range; `seq` lies inside of it.
    fn divide(&mut self, index: usize, seq: SeqNumber) {
        let range = self.ranges[index];
        self.ranges[index].end = seq;
        self.ranges.insert(index + 1, Range { start: seq, ..range });
    }

    /// Makes one of neighbours that nothing tells apart, among `first..last` and those on either side.
    fn join(&mut self, first: usize, last: usize) {
        for index in (first.max(1)..(last + 1).min(self.ranges.len())).rev() {
            let range = self.ranges[index];
            if self.ranges[index - 1].stamp == range.stamp {
                self.ranges[index - 1].end = range.end;
                self.ranges.remove(index);
            }
        }
    }

    /// Makes one of `first..last`, which have all arrived, and of neighbours that have.
    fn join_sacked(&mut self, mut first: usize, mut last: usize) {
        if first == last {
            return;
        }
        if first > 0 && self.ranges[first - 1].is(SACKED) {
            first -= 1;
        }
        if self.ranges.get(last).is_some_and(|range| range.is(SACKED)) {
            last += 1;
        }
        if last - first == 1 {
            return;
        }
        let end = self.ranges[last - 1].end;
        let stamp = self.ranges.range(first..last).map(|range| range.stamp).max().unwrap_or(0);
        let flags = self.ranges.range(first..last).fold(0, |flags, range| flags | range.flags());
        self.ranges[first].end = end;
        self.ranges[first].stamp = (stamp & !0xff) | u64::from(flags);
        if last - first == 2 {
            self.ranges.remove(first + 1);
        } else {
            self.ranges.drain(first + 1..last);
        }
    }

    fn lose(&mut self, index: usize) {
        let range = self.ranges[index];
        self.set(index, (range.stamp | u64::from(LOST)) & !u64::from(RESENT));
        self.due_from = self.due_from.earlier(range.start);
    }

    fn set(&mut self, index: usize, stamp: u64) {
        let range = &mut self.ranges[index];
        let (before, length) = (range.flags(), range.length());
        range.stamp = stamp;
        self.uncount(before, length);
        self.count(stamp as u8, length);
    }

    fn count(&mut self, flags: u8, length: u32) {
        if flags & SACKED != 0 {
            self.sacked += length;
        }
        if flags & LOST != 0 {
            self.lost += length;
        }
        if flags & RESENT != 0 {
            self.resent += length;
        }
        if flags & (LOST | RESENT) == LOST {
            self.due += length;
        }
    }

    fn uncount(&mut self, flags: u8, length: u32) {
        if flags & !REPEATED == 0 {
            return;
        }
        if flags & SACKED != 0 {
            self.sacked -= length;
        }
        if flags & LOST != 0 {
            self.lost -= length;
        }
        if flags & RESENT != 0 {
            self.resent -= length;
        }
        if flags & (LOST | RESENT) == LOST {
            self.due -= length;
        }
    }
}

/// What tests look at.
#[cfg(test)]
impl Scoreboard {
    pub(super) fn ranges(&self) -> usize {
        self.ranges.len()
    }

    /// Shows each range with whether it is lost and resent.
    pub(super) fn each(&self, mut show: impl FnMut(SeqNumber, SeqNumber, bool, bool)) {
        for range in &self.ranges {
            show(range.start, range.end, range.is(LOST), range.is(RESENT));
        }
    }

    /// The ranges lie end to end, none is empty, and nothing that has arrived is lost or under way.
    pub(super) fn check(&self) {
        let mut end = self.una();
        let mut sacked = false;
        for range in &self.ranges {
            assert_eq!(range.start, end);
            assert!(range.start.lt(range.end));
            assert!(!(range.is(SACKED) && range.is(LOST | RESENT)));
            assert!(!(sacked && range.is(SACKED)), "neighbours that have arrived are one");
            sacked = range.is(SACKED);
            end = range.end;
        }
        assert_eq!(end, self.next);
    }
}
