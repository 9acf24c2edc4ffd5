//! The clocks of pcapng: each interface has units and an offset of its own.

use crate::Timestamp;

const NANOS_PER_SECOND: u128 = 1_000_000_000;

/// Makes times of an interface's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clock {
    unit: Unit,
    /// `if_tsoffset` in nanoseconds.
    offset: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unit {
    /// So many nanoseconds.
    Nanos(u64),
    /// So many make a nanosecond.
    OfNano(u128),
    /// A second divided by this power of two.
    Binary(u32),
}

impl Clock {
    /// From the options `if_tsresol` and `if_tsoffset`.
    pub(super) fn new(resolution: u8, offset_seconds: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let unit = if resolution & 0x80 != 0 {
            Unit::Binary(exponent)
        } else if exponent <= 9 {
            Unit::Nanos(10_u64.pow(9 - exponent))
        } else {
            // Of units finer than that, no 64 bits make a nanosecond.
            Unit::OfNano(10_u128.checked_pow(exponent - 9).unwrap_or(u128::MAX))
        };
        Self { unit, offset: Timestamp::new(offset_seconds, 0).0 }
    }

    #[inline]
    pub(super) fn time(self, ticks: u64) -> Timestamp {
        let nanos = match self.unit {
            Unit::Nanos(nanos) => {
                return Timestamp(
                    i64::try_from(ticks.saturating_mul(nanos))
                        .unwrap_or(i64::MAX)
                        .saturating_add(self.offset),
                );
            }
            Unit::OfNano(units) => u128::from(ticks) / units,
            Unit::Binary(exponent) => {
                (u128::from(ticks) * NANOS_PER_SECOND).checked_shr(exponent).unwrap_or(0)
            }
        };
        Timestamp(i64::try_from(nanos).unwrap_or(i64::MAX).saturating_add(self.offset))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_nanoseconds() {
        assert_eq!(Clock::new(6, 0).time(1_500_000), Timestamp(1_500_000_000));
        assert_eq!(Clock::new(9, 2).time(1), Timestamp(2_000_000_001));
        assert_eq!(Clock::new(0, -1).time(3), Timestamp(2_000_000_000));
        assert_eq!(Clock::new(12, 0).time(1_999), Timestamp(1));
        assert_eq!(Clock::new(0x8a, 0).time(1_536), Timestamp(1_500_000_000));
        assert_eq!(Clock::new(0xa0, 0).time(1 << 31), Timestamp(500_000_000));
    }

    #[test]
    fn no_resolution_overflows() {
        for resolution in 0..=u8::MAX {
            for offset in [0, i64::MIN, i64::MAX] {
                let _ = Clock::new(resolution, offset).time(u64::MAX);
            }
        }
        assert_eq!(Clock::new(0x7f, 0).time(u64::MAX), Timestamp(0));
        assert_eq!(Clock::new(0xff, 0).time(u64::MAX), Timestamp(0));
    }
}
