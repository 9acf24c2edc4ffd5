//! Heartbeats of a program: what keepalive cannot tell.
//!
//! Keepalive asks the peer's kernel; a heartbeat asks its program. Each finds what the others do not:
//!
//! | what has failed | keepalive | heartbeat |
//! | --- | --- | --- |
//! | the peer's host or the path, while the connection is idle | after time + probes × interval | after interval × (misses + 1) |
//! | the same while text is outstanding | no: the retransmission timer runs instead, up to 15 minutes | yes |
//! | the peer's program hangs, its kernel answers | no | yes |
//!
//! [`Heartbeat`] only counts and tells; what a beat looks like is the program's business.
//!
//! ```
//! use std::time::Duration;
//! use eleven_tcp::Instant;
//! use eleven_tcp::heartbeat::{Beat, Heartbeat};
//!
//! let mut heartbeat = Heartbeat::new(Instant::ZERO, Duration::from_secs(10), 2);
//! assert_eq!(heartbeat.poll_timeout(), Instant::from_secs(10));
//! assert_eq!(heartbeat.handle_timeout(Instant::from_secs(10)), Some(Beat::Send));
//! heartbeat.handle_received(Instant::from_secs(11));
//! assert_eq!(heartbeat.handle_timeout(Instant::from_secs(21)), Some(Beat::Send));
//! assert_eq!(heartbeat.handle_timeout(Instant::from_secs(31)), Some(Beat::Send));
//! assert_eq!(heartbeat.handle_timeout(Instant::from_secs(41)), Some(Beat::Dead));
//! ```

use core::time::Duration;

use crate::Instant;

/// What a program has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Beat {
    /// Send a message that the peer's program answers.
    Send,
    /// Give the connection up: [`crate::Connection::abort`] and connect anew.
    Dead,
}

/// Counts the silence of a peer's program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heartbeat {
    interval: Duration,
    misses: u8,
    missed: u8,
    due: Instant,
}

impl Heartbeat {
    /// A beat after each `interval` of silence; the peer is taken for dead when, after so many beats without an
    /// answer, another interval has passed.
    pub fn new(now: Instant, interval: Duration, misses: u8) -> Self {
        Self { interval, misses, missed: 0, due: now + interval }
    }

    /// The peer's program has sent something: an answer, or anything else.
    pub fn handle_received(&mut self, now: Instant) {
        self.missed = 0;
        self.due = now + self.interval;
    }

    /// What to do now, if it is time.
    pub fn handle_timeout(&mut self, now: Instant) -> Option<Beat> {
        if now < self.due {
            return None;
        }
        self.due = now + self.interval;
        if self.missed >= self.misses {
            return Some(Beat::Dead);
        }
        self.missed += 1;
        Some(Beat::Send)
    }

    /// When to call [`Self::handle_timeout`].
    pub const fn poll_timeout(&self) -> Instant {
        self.due
    }

    /// How long a dead peer stays unnoticed, at the most.
    pub fn time_to_detect(&self) -> Duration {
        self.interval.saturating_mul(u32::from(self.misses) + 1)
    }
}
