//! Round trip times and the retransmission timeout (RFC 6298).

use core::time::Duration;

use crate::{Instant, Policy, SeqNumber};

/// Longer round trips than this (268 s) are not believed.
const LONGEST: u32 = 1 << 28;

/// The estimator of RFC 6298 §2, and the shortest round trip of the last five minutes. All in microseconds.
#[derive(Clone, Debug)]
pub(super) struct RttEstimator {
    /// Eight times SRTT, so that an eighth of an error is not lost to rounding; 0 before the first sample.
    srtt8: u32,
    /// Four times the running mean deviation.
    deviation4: u32,
    /// Its maximum during the current round trip.
    round_max4: u32,
    /// Four times RTTVAR.
    rttvar4: u32,
    /// What was SND.NXT when the current round trip began.
    round_end: SeqNumber,
    rto: u32,
    shortest: Shortest,
}

impl RttEstimator {
    pub(super) fn new(policy: &Policy) -> Self {
        Self {
            srtt8: 0,
            deviation4: 0,
            round_max4: 0,
            rttvar4: 0,
            round_end: SeqNumber(0),
            rto: bounded(policy.rto.initial, policy),
            shortest: Shortest::NONE,
        }
    }

    /// Takes a sample in. `una` and `next` tell where a round trip ends.
    pub(super) fn sample(&mut self, rtt: u32, una: SeqNumber, next: SeqNumber, policy: &Policy) {
        let rtt = rtt.clamp(1, LONGEST);
        if self.srtt8 == 0 {
            // §2.2: SRTT = R, RTTVAR = R/2.
            self.srtt8 = rtt * 8;
            self.deviation4 = rtt * 2;
            self.round_max4 = self.deviation4;
            self.rttvar4 = self.deviation4;
            self.round_end = next;
        } else {
            // §2.3: RTTVAR = ¾·RTTVAR + ¼·|SRTT − R'|, then SRTT = ⅞·SRTT + ⅛·R'.
            let srtt = self.srtt8 / 8;
            self.deviation4 = self.deviation4 - self.deviation4 / 4 + srtt.abs_diff(rtt);
            self.srtt8 = (self.srtt8 - srtt + rtt).max(8);
            if policy.is_linux() {
                self.hold_deviation(una, next);
            } else {
                self.rttvar4 = self.deviation4;
            }
        }
        self.rto = self.computed(policy);
    }

    /// Many samples a round trip make the mean forget in no time (RFC 7323 appendix G). Linux lets RTTVAR rise at
    /// once and fall but once a round trip, by a quarter of the way to the largest deviation of that round.
    fn hold_deviation(&mut self, una: SeqNumber, next: SeqNumber) {
        self.round_max4 = self.round_max4.max(self.deviation4);
        self.rttvar4 = self.rttvar4.max(self.round_max4);
        if una.gt(self.round_end) {
            self.rttvar4 -= (self.rttvar4 - self.round_max4) / 4;
            self.round_end = next;
            self.round_max4 = 0;
        }
    }

    /// RTO = SRTT + max(G, 4·RTTVAR) (§2.3), at least the minimum (§2.4); Linux has the minimum on the
    /// variance alone.
    fn computed(&self, policy: &Policy) -> u32 {
        let minimum = micros(policy.rto.min);
        let srtt = self.srtt8 / 8;
        let rto = if policy.is_linux() {
            srtt.saturating_add(self.rttvar4.max(minimum))
        } else {
            srtt.saturating_add(self.rttvar4.max(1)).max(minimum)
        };
        rto.min(micros(policy.rto.max)).max(1)
    }

    /// The handshake gave no sample because the SYN was lost: be more careful with text (§5.7).
    pub(super) fn careful(&mut self, policy: &Policy) {
        if self.srtt8 == 0 {
            self.rto = bounded(policy.rto.initial.max(Duration::from_secs(3)), policy);
        }
    }

    /// Doubles the timeout (§5.5). The next sample brings it back (§5, last paragraph).
    pub(super) fn back_off(&mut self, policy: &Policy) {
        self.rto = self.rto.saturating_mul(2).min(micros(policy.rto.max)).max(1);
    }

    /// Remembers a round trip among the shortest.
    pub(super) fn observe(&mut self, now: Instant, rtt: u32) {
        self.shortest.update((now.as_micros() / 1_000_000) as u32, rtt.max(1));
    }

    /// With backoff.
    pub(super) fn rto(&self) -> u32 {
        self.rto
    }

    /// 0: none yet.
    pub(super) fn srtt(&self) -> u32 {
        self.srtt8 / 8
    }

    pub(super) fn rttvar(&self) -> u32 {
        self.rttvar4 / 4
    }

    /// `u32::MAX`: none yet.
    pub(super) fn shortest(&self) -> u32 {
        self.shortest.get()
    }
}

/// The smallest value of the last 150 to 300 seconds, in two halves.
#[derive(Clone, Debug)]
struct Shortest {
    current: u32,
    previous: u32,
    /// In seconds.
    began: u32,
}

impl Shortest {
    const NONE: Self = Self { current: u32::MAX, previous: u32::MAX, began: 0 };
    /// Half of Linux's `tcp_min_rtt_wlen`.
    const HALF: u32 = 150;

    fn update(&mut self, now: u32, value: u32) {
        let age = now.wrapping_sub(self.began);
        if age >= Self::HALF {
            self.previous = if age < 2 * Self::HALF { self.current } else { u32::MAX };
            self.current = value;
            self.began = now;
        } else {
            self.current = self.current.min(value);
        }
    }

    fn get(&self) -> u32 {
        self.current.min(self.previous)
    }
}

/// Whole microseconds, at most what fits: 71 minutes.
fn micros(duration: Duration) -> u32 {
    let micros = duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into());
    micros.min(u32::MAX.into()) as u32
}

fn bounded(timeout: Duration, policy: &Policy) -> u32 {
    micros(timeout).min(micros(policy.rto.max)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEQ: SeqNumber = SeqNumber(0);

    #[test]
    fn follows_the_formulas_of_rfc_6298() {
        let policy = Policy::rfc9293();
        let mut rtt = RttEstimator::new(&policy);
        assert_eq!(rtt.rto(), 1_000_000);
        rtt.sample(1_000_000, SEQ, SEQ, &policy);
        assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.rto()), (1_000_000, 500_000, 3_000_000));
        rtt.sample(1_800_000, SEQ, SEQ, &policy);
        // RTTVAR = 0.75·0.5 + 0.25·0.8 = 0.575; SRTT = 0.875 + 0.225 = 1.1
        assert_eq!((rtt.srtt(), rtt.rttvar(), rtt.rto()), (1_100_000, 575_000, 3_400_000));
        for _ in 0..200 {
            rtt.sample(10_000, SEQ, SEQ, &policy);
        }
        assert_eq!(rtt.rto(), 1_000_000, "the minimum");
    }

    #[test]
    fn linux_has_its_minimum_on_the_variance() {
        let policy = Policy::linux();
        let mut rtt = RttEstimator::new(&policy);
        for step in 1..200 {
            rtt.sample(50_000, SeqNumber(step), SeqNumber(step), &policy);
        }
        assert_eq!(rtt.rto(), 250_000);
    }

    #[test]
    fn linux_lets_the_variance_fall_once_a_round_trip() {
        let policy = Policy::linux();
        let mut rtt = RttEstimator::new(&policy);
        let next = SeqNumber(1_000);
        rtt.sample(1_000_000, SEQ, next, &policy);
        for _ in 0..100 {
            rtt.sample(1_000_000, SeqNumber(500), next, &policy);
        }
        assert_eq!(rtt.rttvar(), 500_000, "still the same round");
        // The first sample of a round is its largest here, so the fall shows in the round after.
        rtt.sample(1_000_000, SeqNumber(1_001), SeqNumber(2_000), &policy);
        rtt.sample(1_000_000, SeqNumber(2_001), SeqNumber(3_000), &policy);
        assert!(rtt.rttvar() <= 375_000, "{}", rtt.rttvar());
    }

    #[test]
    fn backoff_doubles_up_to_the_maximum_and_a_sample_ends_it() {
        let policy = Policy::linux();
        let mut rtt = RttEstimator::new(&policy);
        rtt.sample(100_000, SEQ, SEQ, &policy);
        let rto = rtt.rto();
        rtt.back_off(&policy);
        assert_eq!(rtt.rto(), 2 * rto);
        for _ in 0..40 {
            rtt.back_off(&policy);
        }
        assert_eq!(rtt.rto(), 120_000_000);
        rtt.sample(100_000, SEQ, SEQ, &policy);
        assert!(rtt.rto() <= rto);
    }

    #[test]
    fn without_a_sample_from_the_handshake_the_timeout_is_three_seconds() {
        let policy = Policy::linux();
        let mut rtt = RttEstimator::new(&policy);
        rtt.careful(&policy);
        assert_eq!(rtt.rto(), 3_000_000);
    }

    #[test]
    fn the_shortest_round_trip_is_forgotten_after_five_minutes() {
        let mut rtt = RttEstimator::new(&Policy::linux());
        rtt.observe(Instant::from_secs(1_000), 10);
        rtt.observe(Instant::from_secs(1_100), 30);
        assert_eq!(rtt.shortest(), 10);
        rtt.observe(Instant::from_secs(1_200), 20);
        assert_eq!(rtt.shortest(), 10);
        rtt.observe(Instant::from_secs(1_400), 40);
        assert_eq!(rtt.shortest(), 20);
        rtt.observe(Instant::from_secs(2_000), 50);
        assert_eq!(rtt.shortest(), 50);
    }

    #[test]
    fn absurd_samples_stay_within_bounds() {
        for policy in [Policy::linux(), Policy::rfc9293()] {
            let mut rtt = RttEstimator::new(&policy);
            for sample in [u32::MAX, 0, u32::MAX, 1, u32::MAX, u32::MAX] {
                rtt.sample(sample, SEQ, SEQ, &policy);
                assert!(u128::from(rtt.rto()) <= policy.rto.max.as_micros());
            }
        }
    }
}
