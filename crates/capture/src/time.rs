//! When a packet was seen.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const NANOS_PER_SECOND: i64 = 1_000_000_000;

/// Nanoseconds since 1970-01-01T00:00:00Z; from 1677 to 2262. What lies outside is moved to the nearest of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// So many seconds and nanoseconds after the epoch.
    #[inline]
    pub const fn new(seconds: i64, nanos: u32) -> Self {
        Self(seconds.saturating_mul(NANOS_PER_SECOND).saturating_add(nanos as i64))
    }

    /// What the clock says.
    pub fn now() -> Self {
        let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX);
        Self(match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => nanos(after),
            Err(before) => -nanos(before.duration()),
        })
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SECOND)
    }

    /// The nanoseconds beyond [`Self::seconds`], below a thousand million.
    pub const fn subsecond_nanos(self) -> u32 {
        self.0.rem_euclid(NANOS_PER_SECOND) as u32
    }

    /// Microseconds since the epoch, rounded down.
    pub const fn micros(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Nanoseconds since `earlier`; negative if it is later.
    pub const fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// As RFC 3339 has it, in UTC: `2026-11-21T11:21:51.000001Z`. Microseconds, unless there are nanoseconds to tell;
/// a precision (`{:.3}`) gives another number of digits, at most 9.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, second) = (self.seconds().div_euclid(86_400), self.seconds().rem_euclid(86_400));
        let (year, month, day) = civil(days);
        write!(f, "{year:04}-{month:02}-{day:02}T")?;
        write!(f, "{:02}:{:02}:{:02}", second / 3_600, second / 60 % 60, second % 60)?;
        let nanos = self.subsecond_nanos();
        let digits = f.precision().unwrap_or(if nanos.is_multiple_of(1_000) { 6 } else { 9 }).min(9);
        if digits > 0 {
            let cut = nanos / 10_u32.pow(9 - digits as u32);
            write!(f, ".{cut:0digits$}")?;
        }
        f.write_str("Z")
    }
}

/// Year, month and day of the Gregorian calendar, from days since 1970-01-01.
///
/// Counted in eras of 400 years of 146,097 days that begin on a first of March, so that the leap day is the last.
fn civil(days: i64) -> (i64, u32, u32) {
    let shifted = days + 719_468;
    let (era, day) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day_of_month = day_of_year - (153 * month + 2) / 5 + 1;
    let (month, later) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + later, month as u32, day_of_month as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_prints_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000000Z");
        assert_eq!(Timestamp::new(951_782_399, 1).to_string(), "2000-02-28T23:59:59.000000001Z");
        assert_eq!(Timestamp::new(951_782_400, 0).to_string(), "2000-02-29T00:00:00.000000Z");
        assert_eq!(Timestamp::new(4_107_542_399, 0).to_string(), "2100-02-28T23:59:59.000000Z");
        assert_eq!(Timestamp(-1).to_string(), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(format!("{:.0}", Timestamp::new(1_709_210_096, 5_000)), "2024-02-29T12:34:56Z");
        assert_eq!(format!("{:.3}", Timestamp(1_999_999)), "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn a_time_out_of_range_stays_at_the_border() {
        assert_eq!(Timestamp::new(i64::MAX, 0), Timestamp(i64::MAX));
        assert_eq!(Timestamp::new(i64::MIN, 5).seconds(), -9_223_372_037);
        assert_eq!(Timestamp(i64::MIN).since(Timestamp(1)), i64::MIN);
        assert!(Timestamp(i64::MIN).to_string().starts_with("1677-09-21T"));
        assert!(Timestamp(i64::MAX).to_string().starts_with("2262-04-11T"));
    }
}
