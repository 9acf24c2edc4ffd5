//! Sequence numbers: 32 bits that wrap (RFC 9293 §3.4).

use core::fmt;
use core::ops::{Add, AddAssign, Sub, SubAssign};

/// A sequence or acknowledgment number.
///
/// Numbers are compared by the shorter way round the circle. There is no [`PartialOrd`]:
/// "before" is not transitive on a circle, so sorting by it would be wrong. Two numbers
/// exactly half the circle (2³¹) apart are each before the other and neither after:
/// no window is that large, so no comparison the protocol makes meets them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SeqNumber(pub u32);

impl SeqNumber {
    /// How far `self` lies ahead of `earlier` (negative: behind), −2³¹ to 2³¹ − 1.
    pub const fn distance(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0).cast_signed()
    }

    /// How many numbers there are from `earlier` to `self` going up, 0 to 2³² − 1.
    pub const fn offset_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }

    /// Whether `self` is before `other`.
    pub const fn lt(self, other: Self) -> bool {
        self.distance(other) < 0
    }

    /// Whether `self` is before `other` or the same.
    pub const fn le(self, other: Self) -> bool {
        self.distance(other) <= 0
    }

    /// Whether `self` is after `other`.
    pub const fn gt(self, other: Self) -> bool {
        self.distance(other) > 0
    }

    /// Whether `self` is after `other` or the same.
    pub const fn ge(self, other: Self) -> bool {
        self.distance(other) >= 0
    }

    /// The later of two numbers.
    #[must_use]
    pub const fn later(self, other: Self) -> Self {
        if self.lt(other) { other } else { self }
    }

    /// The earlier of two numbers.
    #[must_use]
    pub const fn earlier(self, other: Self) -> Self {
        if other.lt(self) { other } else { self }
    }

    /// Whether `self` is one of the `length` numbers that begin with `start`.
    pub const fn in_window(self, start: Self, length: u32) -> bool {
        self.offset_from(start) < length
    }
}

impl Add<u32> for SeqNumber {
    type Output = Self;

    fn add(self, count: u32) -> Self {
        Self(self.0.wrapping_add(count))
    }
}

impl AddAssign<u32> for SeqNumber {
    fn add_assign(&mut self, count: u32) {
        *self = *self + count;
    }
}

impl Sub<u32> for SeqNumber {
    type Output = Self;

    fn sub(self, count: u32) -> Self {
        Self(self.0.wrapping_sub(count))
    }
}

impl SubAssign<u32> for SeqNumber {
    fn sub_assign(&mut self, count: u32) {
        *self = *self - count;
    }
}

impl From<u32> for SeqNumber {
    fn from(number: u32) -> Self {
        Self(number)
    }
}

impl From<SeqNumber> for u32 {
    fn from(number: SeqNumber) -> Self {
        number.0
    }
}

impl fmt::Display for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for SeqNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SeqNumber({})", self.0)
    }
}

/// What this side is ready to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiveWindow {
    /// RCV.NXT: the number expected next.
    pub next: SeqNumber,
    /// RCV.WND: how many numbers from there are welcome.
    pub size: u32,
}

impl ReceiveWindow {
    /// The sequence number test (RFC 9293 §3.10.7.4, first check) of a segment at `seq` that
    /// takes `length` numbers, SYN and FIN counted.
    ///
    /// It looks at the segment's first and last number only. A segment that begins
    /// before the window and ends behind it fails, although it has text for all of it.
    pub fn accepts(self, seq: SeqNumber, length: u32) -> bool {
        match (length, self.size) {
            (0, 0) => seq == self.next,
            (0, size) => seq.in_window(self.next, size),
            (_, 0) => false,
            (length, size) => {
                seq.in_window(self.next, size) || (seq + (length - 1)).in_window(self.next, size)
            }
        }
    }
}

#[cfg(test)]
mod tests;
