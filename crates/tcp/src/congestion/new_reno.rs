//! NewReno: RFC 5681 with byte counting (RFC 3465).

use alloc::boxed::Box;

use super::{Congestion, CongestionControl, NO_THRESHOLD, Progress};
use crate::Instant;

/// Slow start and congestion avoidance of RFC 5681, counting bytes as RFC 3465 does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReno {
    window: u32,
    threshold: u32,
    mss: u32,
    /// Bytes acknowledged since the window last grew in congestion avoidance (RFC 3465 §2.1).
    acknowledged: u32,
    prior_window: u32,
    prior_threshold: u32,
}

impl NewReno {
    /// Before the handshake.
    pub const fn new() -> Self {
        Self {
            window: 0,
            threshold: NO_THRESHOLD,
            mss: 536,
            acknowledged: 0,
            prior_window: 0,
            prior_threshold: NO_THRESHOLD,
        }
    }

    fn remember(&mut self) {
        self.prior_window = self.window;
        self.prior_threshold = self.threshold;
    }

    /// `ssthresh = max(FlightSize / 2, 2·SMSS)` (RFC 5681 equation 4).
    fn reduced(&self, in_flight: u32) -> u32 {
        (in_flight / 2).max(self.mss.saturating_mul(2))
    }
}

impl Default for NewReno {
    fn default() -> Self {
        Self::new()
    }
}

impl CongestionControl for NewReno {
    fn window(&self) -> u32 {
        self.window
    }

    fn threshold(&self) -> u32 {
        self.threshold
    }

    fn start(&mut self, initial_window: u32, mss: u32) {
        self.mss = mss.max(1);
        self.window = initial_window.max(self.mss);
    }

    fn set_mss(&mut self, mss: u32) {
        self.mss = mss.max(1);
        self.window = self.window.max(self.mss);
    }

    fn on_ack(&mut self, progress: &Progress) {
        if !progress.window_limited {
            return;
        }
        let mut bytes = progress.bytes;
        if self.in_slow_start() {
            // What goes beyond the threshold counts for congestion avoidance.
            let step = bytes.min(self.threshold - self.window);
            self.window = self.window.saturating_add(step);
            bytes -= step;
        }
        if bytes == 0 {
            return;
        }
        // One segment for each full window acknowledged (RFC 3465 §2.1).
        self.acknowledged = self.acknowledged.saturating_add(bytes);
        while self.acknowledged >= self.window && self.window > 0 {
            self.acknowledged -= self.window;
            self.window = self.window.saturating_add(self.mss);
        }
    }

    fn on_congestion(&mut self, _now: Instant, _cause: Congestion, in_flight: u32) {
        self.remember();
        self.threshold = self.reduced(in_flight);
        self.window = self.threshold;
        self.acknowledged = 0;
    }

    fn on_timeout(&mut self, _now: Instant, outstanding: u32, in_flight: u32, first: bool) {
        if first {
            self.remember();
            self.threshold = self.reduced(outstanding);
        }
        // The loss window is one segment (RFC 5681 §3.1), over what is not known to be lost.
        self.window = in_flight.saturating_add(self.mss);
        self.acknowledged = 0;
    }

    fn undo(&mut self, _now: Instant) {
        self.window = self.window.max(self.prior_window);
        self.threshold = self.threshold.max(self.prior_threshold);
    }

    fn restart(&mut self, _now: Instant, window: u32) {
        self.window = self.window.min(window.max(self.mss));
        self.acknowledged = 0;
    }

    fn boxed_clone(&self) -> Box<dyn CongestionControl> {
        Box::new(self.clone())
    }
}
