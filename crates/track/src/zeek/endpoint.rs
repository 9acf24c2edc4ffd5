//! One side's numbers, as Zeek keeps them.

use eleven_tcp::SeqNumber;

use super::ZeekState;
use super::ZeekState as Z;

/// So many stretches behind gaps are remembered.
const MOST_BLOCKS: usize = 64;

/// Something that is written down at the first time, the tenth, the hundredth.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scaled {
    pub(super) count: u32,
    pub(super) written: u8,
}

impl Scaled {
    /// Counts one; tells whether it is to be written down.
    pub(super) fn add(&mut self) -> bool {
        self.count = self.count.saturating_add(1);
        let due = 10_u32.checked_pow(u32::from(self.written)) == Some(self.count);
        self.written += u8::from(due);
        due
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Endpoint {
    pub(super) state: ZeekState,
    pub(super) before: ZeekState,
    pub(super) start: u32,
    pub(super) last: u32,
    pub(super) acked: u32,
    pub(super) last_wraps: u16,
    pub(super) acked_wraps: u16,
    pub(super) scale: u8,
    pub(super) has_fin: bool,
    /// It looked no more at its text.
    pub(super) gave_up: bool,
    pub(super) fin: u64,
    pub(super) last_syn: u64,
    pub(super) last_fin: u64,
    pub(super) last_rst: u64,
    /// Up to here text was delivered, or given up.
    pub(super) delivered: u64,
    pub(super) trimmed: u64,
    pub(super) blocks: Vec<(u64, u64)>,
    pub(super) checksums: Scaled,
    pub(super) retransmissions: Scaled,
    pub(super) zero_windows: Scaled,
    pub(super) gaps: Scaled,
}

impl Endpoint {
    pub(super) fn set(&mut self, state: ZeekState) {
        if state != self.state {
            self.before = self.state;
            self.state = state;
        }
    }

    pub(super) fn full(number: u32, wraps: u16) -> i64 {
        i64::from(wraps) << 32 | i64::from(number)
    }

    /// A number counted from the start, given the last one near it; and whether it lies before the start.
    pub(super) fn relative(&self, number: u32, last: u32, wraps: u16) -> (u64, bool) {
        let distance = SeqNumber(number).distance(SeqNumber(last));
        let wraps = if distance < 0 && wraps > 0 && number > last {
            wraps - 1
        } else if distance > 0 && number < last {
            wraps.saturating_add(1)
        } else {
            wraps
        };
        if wraps == 0 {
            let distance = SeqNumber(number).distance(SeqNumber(self.start));
            return (i64::from(distance).cast_unsigned(), distance < 0);
        }
        ((Self::full(number, wraps) - i64::from(self.start)).cast_unsigned(), false)
    }

    pub(super) fn advance_last(&mut self, number: u32) {
        self.last_wraps = self.last_wraps.saturating_add(u16::from(number < self.last));
        self.last = number;
    }

    pub(super) fn advance_acked(&mut self, number: u32) {
        self.acked_wraps = self.acked_wraps.saturating_add(u16::from(number < self.acked));
        self.acked = number;
    }

    pub(super) fn nothing_acked(&self) -> bool {
        self.acked == self.start || self.acked == self.start.wrapping_add(1)
    }

    pub(super) fn begin(&mut self, start: u32, last: u32) {
        self.start = start;
        self.acked = start;
        self.last = last;
    }

    /// Bytes of text, as Zeek reckons them from the numbers.
    pub(super) fn size(&self, peer: &Self) -> u64 {
        let half_open = self.before == Z::SynSent && self.state == Z::Reset && peer.state == Z::Inactive;
        if half_open && !self.nothing_acked() {
            return 0;
        }
        let last = Self::full(self.last, self.last_wraps).max(Self::full(self.acked, self.acked_wraps));
        let mut size = (last - i64::from(self.start)).cast_unsigned();
        size = size.saturating_sub(1);
        if self.has_fin { size.saturating_sub(1) } else { size }
    }

    pub(super) fn is_clean(&self) -> bool {
        self.state == Z::Established || (self.state == Z::Closed && self.before == Z::Established)
    }

    /// Moves on over blocks that lie ready.
    pub(super) fn deliver(&mut self) {
        for (low, high) in &self.blocks {
            if *low > self.delivered {
                break;
            }
            self.delivered = self.delivered.max(*high);
        }
    }

    pub(super) fn insert(&mut self, low: u64, high: u64) {
        let (mut low, mut high) = (low, high);
        self.blocks.retain(|(from, to)| {
            let apart = *from > high || *to < low;
            if !apart {
                low = low.min(*from);
                high = high.max(*to);
            }
            apart
        });
        if self.blocks.len() < MOST_BLOCKS {
            let place = self.blocks.iter().position(|(from, _)| *from > low).unwrap_or(self.blocks.len());
            self.blocks.insert(place, (low, high));
        }
        self.deliver();
    }

    /// Text up to here is acknowledged: what has not been seen will not be. Tells how many gaps there are.
    pub(super) fn give_up_to(&mut self, number: u64, is_partial: bool) -> u32 {
        let number = if self.has_fin && number >= self.fin { self.fin.saturating_sub(1) } else { number };
        if number <= self.trimmed {
            return 0;
        }
        let mut gaps = 0;
        if number > self.delivered && !(number <= 2 && is_partial) {
            if !self.gave_up {
                while let Some((low, _)) =
                    self.blocks.iter().copied().find(|(low, _)| *low >= self.delivered && *low < number)
                {
                    gaps += u32::from(low > self.delivered);
                    self.delivered = low;
                    self.deliver();
                }
                gaps += u32::from(number > self.delivered);
            }
            self.delivered = self.delivered.max(number);
        }
        self.blocks.retain(|(_, high)| *high > number);
        self.deliver();
        self.trimmed = number;
        gaps
    }
}
