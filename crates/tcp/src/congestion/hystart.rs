//! HyStart++ (RFC 9406): leaving slow start before it overruns the path.

use super::Progress;
use crate::SeqNumber;

/// MIN_RTT_THRESH of RFC 9406 §4.3, in microseconds.
const MIN_RTT_THRESHOLD: u32 = 4_000;
/// MAX_RTT_THRESH.
const MAX_RTT_THRESHOLD: u32 = 16_000;
/// MIN_RTT_DIVISOR.
const MIN_RTT_DIVISOR: u32 = 8;
/// N_RTT_SAMPLE.
const SAMPLES: u8 = 8;
/// CSS_GROWTH_DIVISOR.
const CONSERVATIVE_DIVISOR: u32 = 4;
/// CSS_ROUNDS.
const CONSERVATIVE_ROUNDS: u8 = 5;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the first acknowledgment: no round has begun.
    Idle,
    SlowStart,
    /// Conservative slow start, in its so manieth round.
    Conservative(u8),
    /// HyStart++ is for the first slow start only (§4.3).
    Done,
}

/// What follows from an acknowledgment in slow start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// The window grows by so many bytes.
    Grow(u32),
    /// The path is full: slow start ends here.
    Leave,
}

/// The variables of RFC 9406 §4.2. Round trips in microseconds, `u32::MAX` for infinite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HyStart {
    /// windowEnd: the round ends when this is acknowledged.
    round_end: SeqNumber,
    /// lastRoundMinRTT.
    last: u32,
    /// currentRoundMinRTT.
    current: u32,
    /// cssBaselineMinRtt.
    baseline: u32,
    /// rttSampleCount.
    samples: u8,
    phase: Phase,
}

impl HyStart {
    pub(super) const fn new() -> Self {
        Self {
            round_end: SeqNumber(0),
            last: u32::MAX,
            current: u32::MAX,
            baseline: u32::MAX,
            samples: 0,
            phase: Phase::Idle,
        }
    }

    /// Slow start is over, for whatever reason.
    pub(super) fn end(&mut self) {
        self.phase = Phase::Done;
    }

    /// An acknowledgment of `bytes` new bytes, already limited to what one may grow the window by (§4.2:
    /// min(N, L·SMSS)).
    pub(super) fn on_ack(&mut self, bytes: u32, progress: &Progress) -> Step {
        if self.phase == Phase::Done {
            return Step::Grow(bytes);
        }
        let mut step = Step::Grow(bytes);
        self.begin_round(progress);
        if let Some(rtt) = progress.rtt {
            self.current = self.current.min(rtt);
            self.samples = self.samples.saturating_add(1);
        }
        match self.phase {
            Phase::SlowStart => {
                if self.is_delayed() {
                    self.baseline = self.current;
                    self.phase = Phase::Conservative(1);
                }
            }
            Phase::Conservative(round) => {
                if self.samples >= SAMPLES && self.current < self.baseline {
                    // The delay was none of ours.
                    self.baseline = u32::MAX;
                    self.phase = Phase::SlowStart;
                } else if round > CONSERVATIVE_ROUNDS {
                    self.phase = Phase::Done;
                    step = Step::Leave;
                } else {
                    step = Step::Grow(bytes / CONSERVATIVE_DIVISOR);
                }
            }
            Phase::Idle | Phase::Done => {}
        }
        step
    }

    /// At the start of a round: remember the shortest round trip of the one before.
    fn begin_round(&mut self, progress: &Progress) {
        if self.phase == Phase::Idle {
            self.phase = Phase::SlowStart;
        } else if progress.una.lt(self.round_end) {
            return;
        } else {
            self.last = self.current;
            self.current = u32::MAX;
            self.samples = 0;
            if let Phase::Conservative(round) = &mut self.phase {
                // The round in which it began counts (§4.2).
                *round += 1;
            }
        }
        self.round_end = progress.next;
    }

    /// Whether the shortest round trip has grown by more than an eighth, within 4 ms and 16 ms.
    fn is_delayed(&self) -> bool {
        if self.samples < SAMPLES || self.current == u32::MAX || self.last == u32::MAX {
            return false;
        }
        let threshold = (self.last / MIN_RTT_DIVISOR).clamp(MIN_RTT_THRESHOLD, MAX_RTT_THRESHOLD);
        self.current >= self.last.saturating_add(threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Instant;

    const MS: u32 = 1_000;
    const MSS: u32 = 1_000;

    /// One round of ten acknowledgments with this round trip. Gives the last step.
    fn round(hystart: &mut HyStart, number: u32, rtt: u32) -> Step {
        let mut step = Step::Grow(0);
        for index in 0..10 {
            step = hystart.on_ack(
                MSS,
                &Progress {
                    now: Instant::ZERO,
                    bytes: MSS,
                    window_limited: true,
                    rtt: Some(rtt),
                    srtt: rtt,
                    una: SeqNumber(number * 10_000 + index * MSS),
                    next: SeqNumber((number + 1) * 10_000),
                },
            );
            if step == Step::Leave {
                break;
            }
        }
        step
    }

    #[test]
    fn a_longer_round_trip_makes_slow_start_conservative_and_ends_it_after_five_rounds() {
        let mut hystart = HyStart::new();
        assert_eq!(round(&mut hystart, 0, 40 * MS), Step::Grow(MSS));
        assert_eq!(round(&mut hystart, 1, 44 * MS), Step::Grow(MSS), "less than an eighth more");
        assert_eq!(round(&mut hystart, 2, 50 * MS), Step::Grow(MSS / 4));
        for number in 3..7 {
            assert_eq!(round(&mut hystart, number, 50 * MS), Step::Grow(MSS / 4), "round {number}");
        }
        assert_eq!(round(&mut hystart, 7, 50 * MS), Step::Leave);
        assert_eq!(round(&mut hystart, 8, 90 * MS), Step::Grow(MSS), "only once");
    }

    #[test]
    fn it_goes_on_where_the_delay_was_a_passing_one() {
        let mut hystart = HyStart::new();
        round(&mut hystart, 0, 40 * MS);
        assert_eq!(round(&mut hystart, 1, 60 * MS), Step::Grow(MSS / 4));
        assert_eq!(round(&mut hystart, 2, 41 * MS), Step::Grow(MSS));
        assert_eq!(hystart.phase, Phase::SlowStart);
    }

    #[test]
    fn thresholds_lie_between_4_and_16_milliseconds() {
        for (before, after, delayed) in [(8, 11, false), (8, 12, true), (400, 415, false), (400, 416, true)] {
            let mut hystart = HyStart::new();
            round(&mut hystart, 0, before * MS);
            let step = round(&mut hystart, 1, after * MS);
            assert_eq!(step == Step::Grow(MSS / 4), delayed, "{before} {after}");
        }
    }

    #[test]
    fn few_samples_prove_nothing() {
        let mut hystart = HyStart::new();
        round(&mut hystart, 0, 40 * MS);
        let progress = Progress {
            now: Instant::ZERO,
            bytes: MSS,
            window_limited: true,
            rtt: Some(400 * MS),
            srtt: 0,
            una: SeqNumber(10_000),
            next: SeqNumber(20_000),
        };
        for _ in 0..7 {
            assert_eq!(hystart.on_ack(MSS, &progress), Step::Grow(MSS));
        }
        assert_eq!(hystart.on_ack(MSS, &progress), Step::Grow(MSS), "it grows once more, and then slower");
        assert_eq!(hystart.on_ack(MSS, &progress), Step::Grow(MSS / 4));
    }
}
