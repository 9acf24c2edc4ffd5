//! NewReno: RFC 5681 with byte counting (RFC 3465).

use alloc::boxed::Box;

use super::{Appetite, Congestion, CongestionControl, NO_THRESHOLD, Progress};
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
    appetite: Appetite,
    /// Whether this is the slow start after a timeout.
    repairing: bool,
}

impl NewReno {
    /// Before the handshake. In slow start an acknowledgment adds two segments, at the most (RFC 3465 §2.2: L = 2).
    pub const fn new() -> Self {
        Self {
            window: 0,
            threshold: NO_THRESHOLD,
            mss: 536,
            acknowledged: 0,
            prior_window: 0,
            prior_threshold: NO_THRESHOLD,
            appetite: Appetite(2),
            repairing: false,
        }
    }

    /// For a sender that spreads its segments over the round trip: an acknowledgment may add any number.
    #[must_use]
    pub const fn paced(self) -> Self {
        Self { appetite: Appetite::UNLIMITED, ..self }
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
        let mss = mss.max(1);
        *self = Self { mss, window: initial_window.max(mss), appetite: self.appetite, ..Self::new() };
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
            // After a timeout an acknowledgment may be one of much that had arrived before (RFC 3465 §2.3: L = 1).
            let appetite = if self.repairing && self.appetite != Appetite::UNLIMITED {
                Appetite(1)
            } else {
                self.appetite
            };
            // What goes beyond the threshold counts for congestion avoidance.
            let step = bytes.min(self.threshold - self.window);
            bytes -= step;
            self.window = self.window.saturating_add(appetite.limit(step, self.mss));
        }
        if bytes == 0 {
            return;
        }
        self.repairing = false;
        // One segment for each full window acknowledged (RFC 3465 §2.1).
        self.acknowledged = self.acknowledged.saturating_add(bytes);
        while self.acknowledged >= self.window {
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
        self.repairing = true;
    }

    fn undo(&mut self, _now: Instant) {
        self.window = self.window.max(self.prior_window);
        self.threshold = self.threshold.max(self.prior_threshold);
    }

    fn restart(&mut self, _now: Instant, window: u32) {
        let window = window.max(self.mss);
        if window < self.window {
            // What the path has carried stays known (RFC 2861 §3.2).
            if self.threshold < NO_THRESHOLD {
                self.threshold = self.threshold.max(self.window - self.window / 4);
            }
            self.window = window;
        }
        self.acknowledged = 0;
    }

    fn boxed_clone(&self) -> Box<dyn CongestionControl> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SeqNumber;

    const MSS: u32 = 1_000;

    fn ack(bytes: u32) -> Progress {
        Progress {
            now: Instant::ZERO,
            bytes,
            window_limited: true,
            rtt: None,
            srtt: 0,
            una: SeqNumber(0),
            next: SeqNumber(0),
        }
    }

    fn started() -> NewReno {
        let mut reno = NewReno::new();
        reno.start(10 * MSS, MSS);
        reno
    }

    #[test]
    fn slow_start_adds_what_was_acknowledged_up_to_two_segments() {
        let mut reno = started();
        reno.on_ack(&ack(MSS));
        assert_eq!(reno.window(), 11 * MSS);
        reno.on_ack(&ack(700));
        assert_eq!(reno.window(), 11 * MSS + 700);
        reno.on_ack(&ack(8 * MSS));
        assert_eq!(reno.window(), 13 * MSS + 700);
        let mut paced = NewReno::new().paced();
        paced.start(10 * MSS, MSS);
        paced.on_ack(&ack(8 * MSS));
        assert_eq!(paced.window(), 18 * MSS);
    }

    #[test]
    fn congestion_avoidance_adds_a_segment_a_window() {
        let mut reno = started();
        reno.on_congestion(Instant::ZERO, Congestion::Loss, 20 * MSS);
        assert_eq!((reno.window(), reno.threshold()), (10 * MSS, 10 * MSS));
        for _ in 0..9 {
            reno.on_ack(&ack(MSS));
        }
        assert_eq!(reno.window(), 10 * MSS);
        reno.on_ack(&ack(MSS));
        assert_eq!(reno.window(), 11 * MSS);
    }

    #[test]
    fn the_threshold_is_half_the_flight_and_two_segments_at_least() {
        let mut reno = started();
        reno.on_congestion(Instant::ZERO, Congestion::Ecn, 3 * MSS);
        assert_eq!(reno.threshold(), 2 * MSS);
    }

    #[test]
    fn a_timeout_begins_again_with_one_segment_and_byte_by_byte() {
        let mut reno = started();
        reno.on_timeout(Instant::ZERO, 10 * MSS, 0, true);
        assert_eq!((reno.window(), reno.threshold()), (MSS, 5 * MSS));
        reno.on_ack(&ack(2 * MSS));
        assert_eq!(reno.window(), 2 * MSS, "L = 1");
        reno.on_timeout(Instant::ZERO, 2 * MSS, 0, false);
        assert_eq!((reno.window(), reno.threshold()), (MSS, 5 * MSS), "the threshold falls once");
        reno.undo(Instant::ZERO);
        assert_eq!((reno.window(), reno.threshold()), (10 * MSS, NO_THRESHOLD));
    }

    #[test]
    fn an_unused_window_does_not_grow() {
        let mut reno = started();
        reno.on_ack(&Progress { window_limited: false, ..ack(MSS) });
        assert_eq!(reno.window(), 10 * MSS);
    }

    #[test]
    fn after_idling_slow_start_goes_up_to_three_quarters_of_what_was_reached() {
        let mut reno = started();
        reno.on_congestion(Instant::ZERO, Congestion::Loss, 80 * MSS);
        reno.restart(Instant::ZERO, 10 * MSS);
        assert_eq!((reno.window(), reno.threshold()), (10 * MSS, 40 * MSS));
    }
}
