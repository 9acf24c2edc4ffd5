//! CUBIC: RFC 9438.

use alloc::boxed::Box;

use super::hystart::{HyStart, Step};
use super::{Appetite, Congestion, CongestionControl, NO_THRESHOLD, Progress};
use crate::Instant;

/// C of RFC 9438 §4.1, in segments per second³.
const C: f64 = 0.4;
/// β_cubic (§4.6): what is left of the window after a loss.
const BETA: f64 = 0.7;
/// α_cubic (§4.3): what keeps up with Reno, whose β is a half.
const ALPHA: f64 = 3.0 * (1.0 - BETA) / (1.0 + BETA);
/// The window grows by half a round trip, at the most (§4.2).
const STEEPEST: f64 = 1.5;

/// What belongs to the time since the last congestion: all of it comes back when that proves to have been none
/// (§4.9.2).
#[derive(Clone, Debug, PartialEq)]
struct Epoch {
    /// W_est in bytes: what Reno would have by now.
    estimate: f64,
    /// W_max in bytes: where the curve is flat.
    plateau: u32,
    /// K in seconds: when it gets there.
    k: f32,
    /// t: microseconds of growth since congestion avoidance began.
    elapsed: u32,
    /// cwnd_prior in bytes: the window before the last reduction.
    prior: u32,
    /// Whether congestion avoidance has begun.
    begun: bool,
    /// Whether it begins without a reduction by a loss: then at the plateau (§4.8, §4.10).
    at_plateau: bool,
}

impl Epoch {
    const NONE: Self =
        Self { estimate: 0.0, plateau: 0, k: 0.0, elapsed: 0, prior: 0, begun: false, at_plateau: true };
}

/// CUBIC with HyStart++ as its slow start.
#[derive(Clone, Debug, PartialEq)]
pub struct Cubic {
    epoch: Epoch,
    saved: Epoch,
    window: u32,
    threshold: u32,
    saved_window: u32,
    saved_threshold: u32,
    mss: u32,
    /// The low half of when the last acknowledgment arrived, in microseconds.
    last_ack: u32,
    /// What the last growth left over, in bytes times the window.
    remainder: u32,
    hystart: HyStart,
    appetite: Appetite,
}

impl Cubic {
    /// Before the handshake. In slow start an acknowledgment adds eight segments, at the most (RFC 9406 §4.3:
    /// L = 8).
    pub const fn new() -> Self {
        Self {
            epoch: Epoch::NONE,
            saved: Epoch::NONE,
            window: 0,
            threshold: NO_THRESHOLD,
            saved_window: 0,
            saved_threshold: NO_THRESHOLD,
            mss: 536,
            last_ack: 0,
            remainder: 0,
            hystart: HyStart::new(),
            appetite: Appetite(8),
        }
    }

    /// For a sender that spreads its segments over the round trip: an acknowledgment may add any number (L = ∞).
    #[must_use]
    pub const fn paced(self) -> Self {
        Self { appetite: Appetite::UNLIMITED, ..self }
    }

    /// Slow start. Gives what is left of `bytes` once it has ended.
    fn slow_start(&mut self, bytes: u32, progress: &Progress) -> u32 {
        let bytes_left = bytes.saturating_sub(self.threshold - self.window);
        let step = self.appetite.limit(bytes - bytes_left, self.mss);
        // Only the first slow start is watched (RFC 9406 §4.3).
        if self.threshold < NO_THRESHOLD {
            self.window = self.window.saturating_add(step);
            return bytes_left;
        }
        match self.hystart.on_ack(step, progress) {
            Step::Grow(growth) => self.window = self.window.saturating_add(growth),
            Step::Leave => {
                self.threshold = self.window;
                self.epoch = Epoch::NONE;
            }
        }
        0
    }

    /// Congestion avoidance begins (§4.2).
    fn begin(&mut self, progress: &Progress) {
        let epoch = &mut self.epoch;
        epoch.begun = true;
        epoch.elapsed = 0;
        epoch.estimate = f64::from(self.window);
        if epoch.at_plateau || epoch.plateau <= self.window {
            epoch.plateau = self.window;
            epoch.k = 0.0;
            epoch.prior = epoch.prior.max(self.window);
        } else {
            // K = ³√((W_max − cwnd_epoch) / C), in segments.
            let short = f64::from(epoch.plateau - self.window) / f64::from(self.mss);
            epoch.k = cube_root(short / C) as f32;
        }
        self.last_ack = progress.now.as_micros() as u32;
        self.remainder = 0;
    }

    /// W_cubic(t) = C·(t − K)³ + W_max (§4.2), in bytes, `after` microseconds from now.
    fn curve(&self, after: u32) -> f64 {
        let t = (f64::from(self.epoch.elapsed) + f64::from(after)) / 1e6 - f64::from(self.epoch.k);
        f64::from(self.epoch.plateau) + C * t * t * t * f64::from(self.mss)
    }

    fn avoid(&mut self, bytes: u32, progress: &Progress) {
        if !self.epoch.begun {
            self.begin(progress);
        }
        let window = f64::from(self.window.max(1));

        // §4.3: W_est = W_est + α·segments_acked/cwnd, with α = 1 once it has reached cwnd_prior.
        let alpha = if self.epoch.estimate >= f64::from(self.epoch.prior) { 1.0 } else { ALPHA };
        self.epoch.estimate += alpha * f64::from(bytes) * f64::from(self.mss) / window;

        if self.curve(0) < self.epoch.estimate {
            // The Reno-friendly region.
            self.window = self.window.max(self.epoch.estimate.min(f64::from(u32::MAX)) as u32);
            return;
        }
        // §4.4, §4.5: (target − cwnd)/cwnd for each segment acknowledged.
        let target = self.curve(progress.srtt).clamp(window, STEEPEST * window) as u64;
        let growth =
            target.saturating_sub(u64::from(self.window)) * u64::from(bytes) + u64::from(self.remainder);
        let divisor = u64::from(self.window.max(1));
        self.remainder = (growth % divisor) as u32;
        self.window = self.window.saturating_add(u32::try_from(growth / divisor).unwrap_or(u32::MAX));
    }

    /// The time since the last acknowledgment counts if the window was used meanwhile (§4.2: time in which it could
    /// not grow does not).
    fn pass_time(&mut self, progress: &Progress) {
        let now = progress.now.as_micros() as u32;
        if self.epoch.begun && progress.window_limited {
            self.epoch.elapsed = self.epoch.elapsed.saturating_add(now.wrapping_sub(self.last_ack));
        }
        self.last_ack = now;
    }

    /// §4.6 and §4.7.
    fn reduce(&mut self, in_flight: u32) {
        self.saved = self.epoch.clone();
        self.saved_window = self.window;
        self.saved_threshold = self.threshold;

        let before = self.window;
        // Fast convergence: what has not come back to its plateau makes room for others, (1 + β)/2 of it stay.
        let plateau = if before < self.epoch.plateau { share(before, 17, 20) } else { before };
        self.epoch = Epoch { plateau, prior: before, at_plateau: false, ..Epoch::NONE };
        self.threshold = share(in_flight, 7, 10).max(self.mss.saturating_mul(2));
        self.remainder = 0;
        self.hystart.end();
    }
}

impl Default for Cubic {
    fn default() -> Self {
        Self::new()
    }
}

impl CongestionControl for Cubic {
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
        self.pass_time(progress);
        // §5.8: a window that is not used does not grow.
        if !progress.window_limited {
            return;
        }
        let mut bytes = progress.bytes;
        if self.in_slow_start() {
            bytes = self.slow_start(bytes, progress);
        }
        if bytes > 0 {
            self.avoid(bytes, progress);
        }
    }

    fn on_congestion(&mut self, _now: Instant, _cause: Congestion, in_flight: u32) {
        self.reduce(in_flight);
        self.window = self.threshold;
    }

    fn on_timeout(&mut self, _now: Instant, outstanding: u32, in_flight: u32, first: bool) {
        if first {
            self.reduce(outstanding);
        }
        // §4.8: as Reno does, and congestion avoidance begins at the plateau.
        self.window = in_flight.saturating_add(self.mss);
        self.epoch.begun = false;
        self.epoch.at_plateau = true;
    }

    fn undo(&mut self, _now: Instant) {
        // §4.9.2.
        self.epoch = self.saved.clone();
        self.window = self.window.max(self.saved_window);
        self.threshold = self.threshold.max(self.saved_threshold);
        self.remainder = 0;
    }

    fn restart(&mut self, _now: Instant, window: u32) {
        let window = window.max(self.mss);
        if window < self.window {
            // What the path has carried stays known (RFC 2861 §3.2).
            if self.threshold < NO_THRESHOLD {
                self.threshold = self.threshold.max(self.window - self.window / 4);
            }
            self.window = window;
            self.epoch.begun = false;
            self.epoch.at_plateau = true;
        }
    }

    fn boxed_clone(&self) -> Box<dyn CongestionControl> {
        Box::new(self.clone())
    }
}

/// So many `parts` of `whole` of a number.
fn share(number: u32, parts: u32, whole: u32) -> u32 {
    (u64::from(number) * u64::from(parts) / u64::from(whole)) as u32
}

/// The cube root of a number that is not negative, by Newton's method: `core` has none.
fn cube_root(number: f64) -> f64 {
    if number <= 0.0 {
        return 0.0;
    }
    // A third of the exponent is a start within a factor of two; six steps make it exact to rounding.
    let mut root = f64::from_bits(number.to_bits() / 3 + (0x3ff_u64 << 52) / 3 * 2);
    for _ in 0..6 {
        root = (2.0 * root + number / (root * root)) / 3.0;
    }
    root
}

#[cfg(test)]
mod tests;
