//! Time: the machine's, or one that jumps from event to event.

use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant as RealInstant, SystemTime};

use eleven_tcp::Instant;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// When laboratories begin: some numbers of TCP reach back from there.
pub(crate) const START: Instant = Instant::from_secs(1_000);

/// The time of a laboratory.
#[derive(Debug)]
pub(crate) enum Clock {
    /// The machine's.
    Real {
        begun: RealInstant,
        /// The same by the calendar, for captures.
        date: SystemTime,
    },
    /// It stands still unless it is moved.
    Virtual(Instant),
}

impl Clock {
    pub(crate) fn real() -> Self {
        Self::Real { begun: RealInstant::now(), date: SystemTime::now() }
    }

    pub(crate) const fn simulated() -> Self {
        Self::Virtual(START)
    }

    pub(crate) fn now(&self) -> Instant {
        match self {
            Self::Real { begun, .. } => START + begun.elapsed(),
            Self::Virtual(now) => *now,
        }
    }

    /// Nanoseconds since 1970; a simulation's times count from its start.
    pub(crate) fn nanos(&self, at: Instant) -> u64 {
        let since = at.duration_since(START);
        let base = match self {
            Self::Real { date, .. } => date.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default(),
            Self::Virtual(_) => Duration::ZERO,
        };
        u64::try_from((base + since).as_nanos()).unwrap_or(u64::MAX)
    }

    /// Waits until `until`, or until one of the descriptors is readable; a real clock `longest` at the most.
    ///
    /// A signal ends it early.
    pub(crate) fn wait(&mut self, until: Instant, longest: Duration, descriptors: &[BorrowedFd<'_>]) {
        match self {
            Self::Virtual(now) => *now = until.max(*now),
            Self::Real { .. } => {
                let wait = until.duration_since(self.now()).min(longest);
                let timeout = Timespec {
                    tv_sec: i64::try_from(wait.as_secs()).unwrap_or(1),
                    tv_nsec: wait.subsec_nanos().into(),
                };
                let mut waited: Vec<PollFd<'_>> =
                    descriptors.iter().map(|fd| PollFd::from_borrowed_fd(*fd, PollFlags::IN)).collect();
                // Whatever it returns, the devices are looked at next.
                let _ = poll(&mut waited, Some(&timeout));
            }
        }
    }
}
