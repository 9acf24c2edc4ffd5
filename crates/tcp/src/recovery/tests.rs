use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::policy::{CongestionAlgorithm, Policy};

mod model;

const MSS: u32 = 1_000;
const MS: u64 = 1_000;
/// The numbers wrap within the first ten segments.
const START: SeqNumber = SeqNumber(0xffff_ffff - 4_999);

/// A connection in its place: it sends what it is allowed to, a segment at a time.
struct Sender {
    recovery: LossRecovery,
    policy: Policy,
    now: Instant,
    una: SeqNumber,
    next: SeqNumber,
    /// Whether it has more text than it may send.
    greedy: bool,
    /// What it sent: first segment, and whether again.
    sent: Vec<(u32, bool)>,
}

impl Sender {
    /// Established with this round trip time, ten segments as the initial window.
    fn new(policy: Policy, sack: bool, rtt: u64) -> Self {
        let mut sender = Self {
            recovery: LossRecovery::new(&policy),
            policy,
            now: Instant::from_secs(1_000),
            una: START - 1,
            next: START - 1,
            greedy: false,
            sent: Vec::new(),
        };
        sender.recovery.on_sent(sender.now, START - 1, START, Sent::New);
        sender.next = START;
        sender.wait(rtt);
        let outcome = sender.ack(0, &[]);
        assert_eq!(outcome.rtt, Some(Duration::from_micros(rtt)));
        sender.recovery.established(MSS, sack, true, &sender.policy);
        sender
    }

    fn reno(rtt: u64) -> Self {
        Self::new(Policy { congestion: CongestionAlgorithm::NewReno, ..Policy::linux() }, true, rtt)
    }

    fn wait(&mut self, micros: u64) {
        self.now = self.now.plus_micros(micros);
    }

    /// Sends so many new segments, whatever the window.
    fn send(&mut self, segments: u32) {
        for _ in 0..segments {
            self.sent.push((self.next.offset_from(START) / MSS, false));
            self.recovery.on_sent(self.now, self.next, self.next + MSS, Sent::New);
            self.next += MSS;
        }
    }

    /// Sends what may be sent; gives the numbers of the segments, those sent again as negative ones (less one).
    fn pump(&mut self) -> Vec<i32> {
        let mut out = Vec::new();
        while self.recovery.allowance() >= MSS {
            let again = self.recovery.retransmission();
            if let Some((start, end)) = again.filter(|_| !(self.greedy && self.recovery.prefers_new())) {
                assert!(start.ge(self.una) && end.le(self.next) && end.offset_from(start) <= MSS);
                self.recovery.on_sent(self.now, start, end, Sent::Retransmission);
                out.push(-start.distance(START) / MSS.cast_signed() - 1);
            } else if self.greedy {
                out.push(self.next.distance(START) / MSS.cast_signed());
                self.send(1);
            } else {
                break;
            }
        }
        out
    }

    fn acknowledge(
        &mut self,
        segments: u32,
        blocks: &[(u32, u32)],
        echoed: Option<u32>,
        ece: bool,
    ) -> AckOutcome {
        let ack = START + segments * MSS;
        let sack: Vec<SackBlock> = blocks
            .iter()
            .map(|&(start, end)| SackBlock { start: START + start * MSS, end: START + end * MSS })
            .collect();
        let outcome = self.recovery.on_ack(
            self.now,
            &Acknowledgment {
                ack,
                una: self.una,
                next: self.next,
                sack: &sack,
                echoed,
                ece,
                duplicate_candidate: ack == self.una && self.una != self.next,
            },
            &self.policy,
        );
        self.una = self.una.later(ack);
        outcome
    }

    /// Everything before segment `segments` has arrived, and these blocks of segments.
    fn ack(&mut self, segments: u32, blocks: &[(u32, u32)]) -> AckOutcome {
        self.acknowledge(segments, blocks, None, false)
    }

    fn timer(&self) -> Option<(RecoveryTimer, u64)> {
        self.recovery.deadline().map(|(at, timer)| (timer, at.micros_since(self.now)))
    }

    fn timeout(&mut self) {
        let (mut at, mut timer) = self.recovery.deadline().expect("a timer runs");
        if timer == RecoveryTimer::TailLossProbe {
            // The probe is lost like everything else.
            self.recovery.on_tail_loss_timeout(at);
            (at, timer) = self.recovery.deadline().expect("a timer runs");
        }
        assert_eq!(timer, RecoveryTimer::Retransmission);
        self.now = self.now.max(at);
        self.recovery.on_retransmission_timeout(self.now, false, &self.policy);
    }
}

#[test]
fn it_stays_small() {
    let size = size_of::<LossRecovery>();
    assert!(size <= 240, "{size}");
}

#[test]
fn the_handshake_measures_and_the_initial_window_is_ten_segments() {
    let sender = Sender::reno(40 * MS);
    assert_eq!(sender.recovery.srtt(), Some(Duration::from_millis(40)));
    assert_eq!(sender.recovery.min_rtt(), Some(Duration::from_millis(40)));
    assert_eq!(sender.recovery.rto(), Duration::from_millis(240));
    assert_eq!((sender.recovery.cwnd(), sender.recovery.allowance()), (10 * MSS, 10 * MSS));
    assert_eq!(sender.timer(), None);
}

#[test]
fn lost_syns_cost_time_and_window() {
    for (timeouts, linux, segments) in [(0, true, 10), (1, true, 10), (2, true, 1), (1, false, 1)] {
        let policy = if linux { Policy::linux() } else { Policy::rfc9293() };
        let mut recovery = LossRecovery::new(&policy);
        let mut now = Instant::from_secs(1);
        recovery.on_sent(now, START - 1, START, Sent::New);
        for count in 0..timeouts {
            let (at, timer) = recovery.deadline().unwrap();
            assert_eq!((timer, at.micros_since(now)), (RecoveryTimer::Retransmission, 1_000_000 << count));
            now = at;
            recovery.on_retransmission_timeout(now, false, &policy);
            assert_eq!(recovery.retransmission(), Some((START - 1, START)));
            recovery.on_sent(now, START - 1, START, Sent::Retransmission);
            assert_eq!(recovery.retransmission(), None);
        }
        let ack = Acknowledgment {
            ack: START,
            una: START - 1,
            next: START,
            sack: &[],
            echoed: None,
            ece: false,
            duplicate_candidate: false,
        };
        now += Duration::from_millis(10);
        let outcome = recovery.on_ack(now, &ack, &policy);
        assert_eq!(outcome.rtt.is_some(), timeouts == 0, "Karn");
        recovery.established(MSS, true, true, &policy);
        assert_eq!(recovery.cwnd(), segments * MSS);
        assert_eq!(recovery.ssthresh(), u32::MAX);
        assert_eq!(recovery.backoffs(), 0);
        if timeouts > 0 {
            assert_eq!(recovery.rto(), Duration::from_secs(3), "RFC 6298 §5.7");
        }
    }
}

#[test]
fn steady_syns_keep_their_pace() {
    let policy = Policy::linux();
    let mut recovery = LossRecovery::new(&policy);
    recovery.on_sent(Instant::ZERO, START - 1, START, Sent::New);
    for count in 1..=4_u64 {
        let (at, _) = recovery.deadline().unwrap();
        assert_eq!(at, Instant::from_secs(count));
        recovery.on_retransmission_timeout(at, true, &policy);
        recovery.on_sent(at, START - 1, START, Sent::Retransmission);
    }
    assert_eq!(recovery.backoffs(), 4);
    recovery.on_retransmission_timeout(Instant::from_secs(5), false, &policy);
    assert_eq!(recovery.deadline().unwrap().0, Instant::from_secs(7));
    assert_eq!(recovery.first_unacked_sent_at(), Some(Instant::ZERO));
}

#[test]
fn slow_start_doubles_where_the_window_is_used_and_not_where_it_is_not() {
    let mut sender = Sender::reno(40 * MS);
    sender.greedy = true;
    assert_eq!(sender.pump().len(), 10);
    sender.wait(40 * MS);
    sender.ack(10, &[]);
    assert_eq!(sender.recovery.cwnd(), 20 * MSS);
    sender.greedy = false;
    sender.send(2);
    sender.wait(40 * MS);
    sender.ack(12, &[]);
    assert_eq!(sender.recovery.cwnd(), 20 * MSS);
}

#[test]
fn the_timer_counts_from_the_last_progress() {
    let mut sender = Sender::new(Policy::linux(), false, 100 * MS);
    sender.send(2);
    assert_eq!(sender.timer(), Some((RecoveryTimer::Retransmission, 300 * MS)));
    sender.wait(50 * MS);
    sender.send(1);
    assert_eq!(
        sender.timer(),
        Some((RecoveryTimer::Retransmission, 250 * MS)),
        "RFC 6298 §5.1: it runs already"
    );
    sender.wait(50 * MS);
    sender.ack(1, &[]);
    assert_eq!(sender.timer(), Some((RecoveryTimer::Retransmission, 300 * MS)), "§5.3");
    sender.ack(3, &[]);
    assert_eq!(sender.timer(), None, "§5.2");
}

// RFC 5681, RFC 6582: without SACK.

#[test]
fn the_third_duplicate_makes_a_fast_retransmit() {
    let mut sender =
        Sender::new(Policy { congestion: CongestionAlgorithm::NewReno, ..Policy::linux() }, false, 40 * MS);
    sender.greedy = true;
    sender.pump();
    sender.wait(40 * MS);
    // Limited transmit (RFC 3042): the first two duplicates let a new segment out each.
    sender.ack(0, &[]);
    assert_eq!(sender.pump(), [10]);
    sender.ack(0, &[]);
    assert_eq!(sender.pump(), [11]);
    let outcome = sender.ack(0, &[]);
    assert!(outcome.entered_recovery && outcome.send_cwr);
    assert_eq!(sender.recovery.ssthresh(), 5 * MSS, "what limited transmit sent does not count");
    assert_eq!(sender.pump(), [-1]);
    // A partial acknowledgment brings the next hole (RFC 6582 §3.2 step 5).
    sender.wait(40 * MS);
    sender.ack(5, &[]);
    assert_eq!(sender.pump()[0], -6);
    assert!(sender.recovery.in_recovery());
    let outcome = sender.ack(12, &[]);
    assert!(outcome.left_recovery);
    assert_eq!(sender.recovery.cwnd(), 5 * MSS);
}

#[test]
fn duplicates_of_an_old_loss_are_no_new_one() {
    let mut sender = Sender::new(Policy::linux(), false, 40 * MS);
    sender.send(10);
    sender.timeout();
    assert_eq!(sender.pump(), [-1]);
    sender.wait(40 * MS);
    assert!(sender.ack(10, &[]).left_recovery);
    sender.send(4);
    for _ in 0..5 {
        assert!(!sender.ack(10, &[]).entered_recovery, "RFC 6582 §3.2 step 2");
    }
    sender.ack(11, &[]);
    let entered = (0..3).filter(|_| sender.ack(11, &[]).entered_recovery).count();
    assert_eq!(entered, 1);
}

// RFC 6675, RFC 8985, RFC 6937: with SACK.

#[test]
fn three_segments_behind_a_hole_are_enough() {
    let mut sender = Sender::reno(40 * MS);
    for _ in 0..10 {
        sender.send(1);
        sender.wait(10);
    }
    sender.wait(40 * MS);
    assert!(!sender.ack(0, &[(1, 2)]).entered_recovery);
    assert_eq!(
        sender.timer(),
        Some((RecoveryTimer::Reordering, 10 * MS - 10)),
        "a quarter of the round trip"
    );
    assert!(!sender.ack(0, &[(1, 3)]).entered_recovery);
    let outcome = sender.ack(0, &[(1, 4)]);
    assert!(outcome.entered_recovery);
    assert_eq!((outcome.newly_sacked, outcome.newly_lost), (MSS, MSS));
    assert_eq!((sender.recovery.ssthresh(), sender.recovery.pipe()), (5 * MSS, 6 * MSS));
    assert_eq!(sender.pump(), [-1]);
}

#[test]
fn the_reordering_timer_finds_a_loss_with_less() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(2);
    sender.wait(1_000);
    sender.send(1);
    sender.wait(40 * MS);
    sender.ack(0, &[(1, 2)]);
    let (timer, after) = sender.timer().unwrap();
    // RACK.rtt is 41 ms, and 10 ms more; 41 have passed.
    assert_eq!((timer, after), (RecoveryTimer::Reordering, 10 * MS));
    sender.wait(after);
    assert!(sender.recovery.on_reordering_timeout(sender.now));
    assert!(sender.recovery.in_recovery());
    assert_eq!(sender.pump(), [-1]);
    assert_eq!(sender.timer().map(|(timer, _)| timer), Some(RecoveryTimer::Retransmission));
}

#[test]
fn a_late_segment_widens_the_window_and_is_not_sent_again() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(2);
    sender.wait(40 * MS);
    sender.ack(0, &[(1, 2)]);
    sender.wait(5 * MS);
    sender.ack(2, &[]);
    assert!(!sender.recovery.in_recovery());
    // Reordering has been seen: three segments prove nothing any more.
    sender.send(8);
    sender.wait(40 * MS);
    let outcome = sender.ack(2, &[(3, 8)]);
    assert!(!outcome.entered_recovery);
    assert_eq!(sender.timer().map(|(timer, _)| timer), Some(RecoveryTimer::Reordering));
}

#[test]
fn a_lost_retransmission_is_found_and_sent_again() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(10);
    sender.wait(40 * MS);
    sender.ack(0, &[(1, 4)]);
    assert_eq!(sender.pump(), [-1]);
    sender.wait(1_000);
    sender.greedy = true;
    for end in 5..10 {
        sender.ack(0, &[(1, end)]);
        sender.pump();
    }
    // What was sent after the copy arrives, and it does not.
    sender.wait(40 * MS);
    sender.ack(0, &[(1, 11)]);
    assert_eq!(sender.recovery.retransmission(), Some((START, START + MSS)));
}

#[test]
fn proportional_rate_reduction_keeps_the_window_at_the_threshold() {
    let mut sender = Sender::reno(40 * MS);
    sender.greedy = true;
    sender.pump();
    sender.wait(40 * MS);
    sender.ack(10, &[]);
    assert_eq!(sender.pump().len(), 20);
    sender.wait(40 * MS);
    // Segment 10 is lost.
    let mut sent = vec![];
    for end in 12..=30 {
        sender.ack(10, &[(11, end)]);
        let now = sender.pump();
        sent.push(now.len());
        if sender.recovery.in_recovery() {
            assert!(sender.recovery.pipe() <= 20 * MSS);
        }
    }
    // Two by limited transmit, one retransmission, then one for two. At the end the pipe is the threshold.
    assert_eq!(sent.iter().sum::<usize>(), 2 + 8, "{sent:?}");
    assert_eq!(sender.recovery.ssthresh(), 10 * MSS);
    sender.wait(20 * MS);
    assert!(sender.ack(30, &[]).newly_acked > 0);
    sender.ack(32, &[]);
    assert_eq!(sender.recovery.cwnd() / MSS, 10);
    assert!(!sender.recovery.in_recovery());
}

#[test]
fn absurd_blocks_change_nothing() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(10);
    sender.wait(40 * MS);
    sender.ack(2, &[]);
    let far = |n: u32| SeqNumber(START.0.wrapping_add(n));
    let half = 1 << 31;
    for (start, end) in [
        (far(5_000), far(4_000)),
        (far(5_000), far(5_000)),
        (far(2_000), far(4_000)),
        (far(5_000), far(11_000)),
        (far(20_000), far(21_000)),
        (far(half), far(half + 1_000)),
        (far(half - 1), far(half + 5_000)),
        (far(3_000), far(half)),
        (far(half + 5_000), far(4_000)),
    ] {
        for first in [
            SackBlock { start, end },
            // In second place it cannot be taken for a duplicate.
            SackBlock { start: far(0), end: far(1_000) },
        ] {
            let outcome = sender.recovery.on_ack(
                sender.now,
                &Acknowledgment {
                    ack: sender.una,
                    una: sender.una,
                    next: sender.next,
                    sack: &[first, SackBlock { start, end }],
                    echoed: None,
                    ece: false,
                    duplicate_candidate: true,
                },
                &sender.policy,
            );
            assert_eq!(outcome.newly_sacked, 0, "{start:?} {end:?}");
        }
    }
    assert_eq!((sender.recovery.sacked(), sender.recovery.pipe()), (0, 8 * MSS));
}

#[test]
fn a_peer_cannot_shatter_the_scoreboard() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(100);
    for byte in (1..99_000).step_by(2) {
        let start = START + byte;
        sender.recovery.on_ack(
            sender.now,
            &Acknowledgment {
                ack: sender.una,
                una: sender.una,
                next: sender.next,
                sack: &[SackBlock { start, end: start + 1 }],
                echoed: None,
                ece: false,
                duplicate_candidate: true,
            },
            &sender.policy,
        );
    }
    assert!(sender.recovery.flight.as_ref().unwrap().board.ranges() <= 64 + 2 * 100 + 2);
}

// RFC 2883, RFC 3522, RFC 5682: what was sent again for nothing.

#[test]
fn duplicates_told_of_undo_the_reduction() {
    let mut sender = Sender::reno(40 * MS);
    sender.greedy = true;
    sender.pump();
    sender.greedy = false;
    sender.wait(40 * MS);
    sender.ack(0, &[(1, 4)]);
    assert_eq!(sender.pump(), [-1]);
    assert_eq!(sender.recovery.ssthresh(), 5 * MSS);
    // The original comes late: all is acknowledged, then the copy is told of.
    sender.ack(10, &[]);
    assert!(!sender.recovery.in_recovery());
    sender.wait(MS);
    let outcome = sender.ack(10, &[(0, 1)]);
    assert!(outcome.dsack && outcome.undone);
    assert_eq!((sender.recovery.cwnd(), sender.recovery.ssthresh()), (10 * MSS, u32::MAX));
}

#[test]
fn a_duplicate_of_part_of_it_undoes_nothing() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(10);
    sender.wait(40 * MS);
    sender.ack(0, &[(2, 6)]);
    assert_eq!(sender.pump(), [-1]);
    sender.ack(0, &[(2, 7)]);
    assert_eq!(sender.pump(), [-2]);
    let outcome = sender.ack(6, &[(0, 1)]);
    assert!(outcome.dsack && !outcome.undone);
    let outcome = sender.ack(6, &[(1, 2)]);
    assert!(outcome.dsack && outcome.undone);
}

#[test]
fn a_duplicate_inside_of_another_block_is_one() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(10);
    sender.wait(40 * MS);
    let outcome = sender.ack(2, &[(5, 6), (4, 8)]);
    assert!(outcome.dsack);
    assert_eq!(outcome.newly_sacked, 4 * MSS);
    let outcome = sender.ack(2, &[(4, 8), (5, 6)]);
    assert!(!outcome.dsack);
}

#[test]
fn the_timestamp_of_an_original_undoes_a_timeout() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(10);
    sender.timeout();
    assert_eq!(sender.pump(), [-1]);
    assert_eq!(sender.recovery.cwnd(), MSS);
    sender.wait(10 * MS);
    // The echo is of the first transmission.
    let outcome = sender.acknowledge(1, &[], Some(400_000), false);
    assert!(outcome.undone && outcome.left_recovery);
    assert_eq!((sender.recovery.cwnd(), sender.recovery.lost()), (10 * MSS, 0));
    assert_eq!(sender.recovery.retransmission(), None);
}

#[test]
fn the_timestamp_of_the_copy_does_not() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(10);
    sender.timeout();
    sender.pump();
    sender.wait(40 * MS);
    let outcome = sender.acknowledge(1, &[], Some(40_000), false);
    assert!(!outcome.undone && sender.recovery.in_recovery());
    assert_eq!(outcome.rtt, Some(Duration::from_millis(40)), "timestamps measure copies as well");
}

#[test]
fn f_rto_sends_new_text_to_find_out_and_undoes() {
    for sack in [true, false] {
        let mut sender = Sender::new(
            Policy { congestion: CongestionAlgorithm::NewReno, ..Policy::linux() },
            sack,
            40 * MS,
        );
        sender.greedy = true;
        sender.pump();
        sender.timeout();
        assert_eq!(sender.pump(), [-1]);
        sender.wait(MS);
        // The original arrives.
        assert!(!sender.ack(1, &[]).undone);
        assert!(sender.recovery.prefers_new());
        assert_eq!(sender.pump(), [10, 11], "step 2b");
        assert!(!sender.recovery.prefers_new());
        let outcome = sender.ack(2, &[]);
        assert!(outcome.undone, "step 3b: what never was sent again has arrived");
        assert!(!sender.recovery.in_recovery());
        assert_eq!((sender.recovery.cwnd() / MSS, sender.recovery.retransmission()), (10, None));
    }
}

#[test]
fn f_rto_believes_a_loss_when_new_text_arrives_behind_it() {
    let mut sender = Sender::reno(40 * MS);
    sender.greedy = true;
    sender.pump();
    sender.timeout();
    sender.pump();
    sender.wait(40 * MS);
    sender.ack(1, &[]);
    assert_eq!(sender.pump(), [10, 11]);
    sender.wait(40 * MS);
    let outcome = sender.ack(1, &[(10, 11)]);
    assert!(!outcome.undone && sender.recovery.in_recovery());
    assert_eq!(sender.pump(), [-2], "by the book");
}

// RFC 8985 §7: tail loss probes.

#[test]
fn a_probe_goes_out_after_two_round_trips_and_repairs_the_tail() {
    let mut sender = Sender::reno(50 * MS);
    sender.send(4);
    assert_eq!(sender.timer(), Some((RecoveryTimer::TailLossProbe, 100 * MS)));
    sender.wait(50 * MS);
    sender.ack(2, &[]);
    assert_eq!(sender.timer(), Some((RecoveryTimer::TailLossProbe, 100 * MS)));
    sender.wait(100 * MS);
    let probe = sender.recovery.on_tail_loss_timeout(sender.now);
    assert_eq!(probe, Probe::NewOr(START + 3 * MSS, START + 4 * MSS));
    sender.recovery.on_sent(sender.now, START + 3 * MSS, START + 4 * MSS, Sent::TailLossProbe);
    assert_eq!(sender.timer(), Some((RecoveryTimer::Retransmission, 250 * MS)));
    // Both were lost. The probe arrives and RACK sees the other one missing.
    sender.wait(50 * MS);
    let outcome = sender.ack(2, &[(3, 4)]);
    assert!(outcome.entered_recovery);
    assert_eq!(sender.pump(), [-3]);
}

#[test]
fn a_probe_that_repaired_a_loss_costs_the_window() {
    let mut sender = Sender::reno(50 * MS);
    sender.send(10);
    sender.wait(50 * MS);
    sender.ack(9, &[]);
    // One segment: the peer may delay its acknowledgment by 200 ms, but the RTO comes first.
    assert_eq!(sender.timer(), Some((RecoveryTimer::TailLossProbe, 250 * MS)));
    sender.wait(250 * MS);
    assert_eq!(
        sender.recovery.on_tail_loss_timeout(sender.now),
        Probe::NewOr(START + 9 * MSS, START + 10 * MSS)
    );
    sender.recovery.on_sent(sender.now, START + 9 * MSS, START + 10 * MSS, Sent::TailLossProbe);
    sender.send(1);
    sender.wait(50 * MS);
    let before = sender.recovery.cwnd();
    assert!(!sender.ack(10, &[]).send_cwr, "it may have been a duplicate");
    let outcome = sender.ack(11, &[]);
    assert!(outcome.send_cwr, "there was no word of one");
    assert!(sender.recovery.cwnd() < before);
}

#[test]
fn a_probe_that_was_a_duplicate_costs_nothing() {
    let mut sender = Sender::reno(50 * MS);
    sender.send(2);
    sender.wait(100 * MS);
    sender.recovery.on_tail_loss_timeout(sender.now);
    sender.recovery.on_sent(sender.now, START + MSS, START + 2 * MSS, Sent::TailLossProbe);
    assert_eq!(sender.recovery.on_tail_loss_timeout(sender.now), Probe::Nothing, "one at a time");
    sender.wait(10 * MS);
    sender.ack(2, &[]);
    let outcome = sender.ack(2, &[(1, 2)]);
    assert!(outcome.dsack);
    sender.send(2);
    sender.wait(50 * MS);
    assert!(!sender.ack(4, &[]).send_cwr);
    assert_eq!(sender.recovery.ssthresh(), u32::MAX);
}

#[test]
fn a_probe_may_be_new_text() {
    let mut sender = Sender::reno(50 * MS);
    sender.send(2);
    sender.wait(100 * MS);
    sender.recovery.on_tail_loss_timeout(sender.now);
    sender.recovery.on_sent(sender.now, sender.next, sender.next + MSS, Sent::TailLossProbe);
    sender.next += MSS;
    assert_eq!(sender.timer(), Some((RecoveryTimer::Retransmission, 250 * MS)));
    sender.wait(50 * MS);
    assert!(!sender.ack(3, &[]).send_cwr);
    assert_eq!(sender.timer(), None);
    sender.send(1);
    assert_eq!(sender.timer().unwrap().0, RecoveryTimer::TailLossProbe);
}

// RFC 6298, RFC 5681: timeouts.

#[test]
fn a_timeout_begins_again_with_one_segment_and_backs_off() {
    let mut sender =
        Sender::new(Policy { congestion: CongestionAlgorithm::NewReno, ..Policy::linux() }, false, 50 * MS);
    sender.send(10);
    let first = sender.now;
    sender.timeout();
    assert_eq!((sender.recovery.ssthresh(), sender.recovery.cwnd()), (5 * MSS, MSS));
    assert_eq!((sender.recovery.pipe(), sender.recovery.lost()), (0, 10 * MSS));
    assert_eq!(sender.pump(), [-1]);
    assert_eq!(sender.timer(), Some((RecoveryTimer::Retransmission, 500 * MS)));
    sender.timeout();
    assert_eq!(sender.pump(), [-1]);
    assert_eq!(sender.timer(), Some((RecoveryTimer::Retransmission, 1_000 * MS)));
    assert_eq!(sender.recovery.backoffs(), 2);
    assert_eq!(sender.recovery.ssthresh(), 5 * MSS, "once for a window");
    assert_eq!(sender.recovery.first_unacked_sent_at(), Some(first));
    sender.wait(50 * MS);
    sender.ack(1, &[]);
    assert_eq!(sender.recovery.backoffs(), 0);
    assert_eq!(sender.recovery.rto(), Duration::from_secs(1), "no sample, so it stays backed off");
    assert_eq!(sender.pump(), [-2, -3], "slow start");
}

#[test]
fn a_timeout_spares_what_left_a_moment_ago() {
    let mut sender = Sender::reno(50 * MS);
    sender.send(2);
    sender.wait(50 * MS);
    sender.ack(1, &[]);
    sender.wait(240 * MS);
    sender.recovery.on_tail_loss_timeout(sender.now);
    sender.send(1);
    let (at, _) = sender.recovery.deadline().unwrap();
    sender.wait(20 * MS);
    assert!(at > sender.now);
    sender.recovery.on_retransmission_timeout(sender.now, false, &sender.policy);
    assert_eq!((sender.recovery.lost(), sender.recovery.pipe()), (MSS, MSS), "RFC 8985 §6.3");
    assert_eq!(sender.recovery.allowance(), MSS);
}

#[test]
fn a_peer_that_reneges_gets_everything_again() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(10);
    sender.wait(40 * MS);
    sender.ack(0, &[(1, 4)]);
    sender.pump();
    sender.wait(40 * MS);
    sender.ack(1, &[]);
    assert_eq!(sender.timer(), Some((RecoveryTimer::Retransmission, 20 * MS)));
    sender.wait(20 * MS);
    sender.recovery.on_retransmission_timeout(sender.now, false, &sender.policy);
    assert_eq!(sender.recovery.sacked(), 0);
    assert_eq!(sender.recovery.retransmission(), Some((START + MSS, START + 2 * MSS)));
}

#[test]
fn packets_too_large_are_sent_again_at_no_cost() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(5);
    sender.recovery.on_too_large(500);
    assert_eq!(sender.recovery.cwnd(), 10 * MSS);
    assert_eq!(sender.recovery.retransmission(), Some((START, START + 500)));
    assert_eq!(sender.recovery.allowance(), 10 * MSS);
    for half in 0..10 {
        let start = START + half * 500;
        assert_eq!(sender.recovery.retransmission(), Some((start, start + 500)));
        sender.recovery.on_sent(sender.now, start, start + 500, Sent::Retransmission);
    }
    assert_eq!(sender.recovery.retransmission(), None);
    sender.wait(40 * MS);
    sender.ack(5, &[]);
    assert!(!sender.recovery.in_recovery());
    assert_eq!(sender.recovery.ssthresh(), u32::MAX);
}

#[test]
fn a_segment_may_be_sent_again_with_more_than_before() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(2);
    sender.timeout();
    // The FIN goes along.
    sender.recovery.on_sent(sender.now, START + MSS, START + 2 * MSS + 1, Sent::Retransmission);
    sender.next += 1;
    assert_eq!((sender.recovery.outstanding(), sender.recovery.pipe()), (2 * MSS + 1, MSS + 1));
    assert_eq!(sender.recovery.retransmission(), Some((START, START + MSS)));
}

#[test]
fn an_old_probe_does_not_hide_that_a_recovery_was_for_nothing() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(2);
    sender.wait(80 * MS);
    sender.recovery.on_tail_loss_timeout(sender.now);
    sender.recovery.on_sent(sender.now, START + MSS, START + 2 * MSS, Sent::TailLossProbe);
    sender.wait(5 * MS);
    sender.ack(2, &[]);
    sender.send(8);
    sender.wait(40 * MS);
    sender.ack(2, &[(3, 8)]);
    assert_eq!(sender.pump(), [-3]);
    sender.wait(5 * MS);
    // The original was sent 45 ms ago, the copy 5 ms ago.
    let outcome = sender.acknowledge(10, &[], Some(45_000), false);
    assert!(outcome.undone);
}

// RFC 3168.

#[test]
fn the_network_may_ask_for_a_reduction_once_a_window() {
    let mut sender = Sender::reno(40 * MS);
    sender.greedy = true;
    sender.pump();
    sender.wait(40 * MS);
    let outcome = sender.acknowledge(1, &[], None, true);
    assert!(outcome.send_cwr && !outcome.entered_recovery);
    assert_eq!(sender.recovery.ssthresh(), 5 * MSS - MSS / 2);
    let mut sent = 0;
    for segment in 2..=10 {
        assert!(!sender.acknowledge(segment, &[], None, true).send_cwr, "once");
        sent += sender.pump().len();
    }
    assert!(sent <= 5, "{sent}");
    assert!(!sender.recovery.in_recovery());
    // Another one in the next window counts.
    sender.ack(11, &[]);
    assert!(sender.acknowledge(12, &[], None, true).send_cwr);
}

// RFC 5681 §4.1.

#[test]
fn an_idle_window_decays() {
    for (linux, seconds, expected) in [(true, 0, 40), (true, 1, 10), (false, 2, 10)] {
        let base = if linux { Policy::linux() } else { Policy::rfc9293() };
        let policy = Policy { congestion: CongestionAlgorithm::NewReno, ..base };
        let mut sender = Sender::new(policy.clone(), true, 40 * MS);
        sender.greedy = true;
        let mut acked = 0;
        while sender.recovery.cwnd() < 40 * MSS {
            acked += sender.pump().len() as u32;
            sender.wait(40 * MS);
            for segment in 1..=acked {
                if START.lt(sender.una + 1)
                    && (START + segment * MSS).gt(sender.una)
                    && sender.recovery.cwnd() < 40 * MSS
                {
                    sender.ack(segment, &[]);
                }
            }
        }
        let total = sender.next.offset_from(START) / MSS;
        sender.greedy = false;
        sender.ack(total, &[]);
        let before = sender.recovery.cwnd();
        assert!(before >= 40 * MSS);
        sender.wait(seconds * 1_000 * MS + 100 * MS);
        sender.recovery.restart_after_idle(sender.now, &policy);
        if seconds == 0 {
            assert_eq!(sender.recovery.cwnd(), before);
        } else {
            assert_eq!(sender.recovery.cwnd(), expected * MSS);
        }
    }
}

#[test]
fn pacing_leaves_room_to_grow() {
    let mut sender = Sender::reno(100 * MS);
    assert_eq!(sender.recovery.pacing_rate(), Some(200_000), "twice 10 kB in 100 ms");
    sender.send(10);
    sender.timeout();
    sender.recovery.congestion.undo(sender.now);
    assert!(sender.recovery.pacing_rate().is_some());
}

#[test]
fn memory_is_given_back_when_nothing_is_in_flight() {
    let mut sender = Sender::reno(40 * MS);
    sender.send(3);
    sender.recovery.release();
    assert!(sender.recovery.flight.is_some());
    sender.wait(40 * MS);
    sender.ack(3, &[]);
    sender.recovery.release();
    assert!(sender.recovery.flight.is_none());
    assert_eq!((sender.recovery.pipe(), sender.recovery.deadline()), (0, None));
    let outcome = sender.ack(3, &[(1, 2)]);
    assert!(outcome.dsack);
    sender.send(1);
    assert_eq!(sender.recovery.outstanding(), MSS);
    sender.recovery.forget();
    assert_eq!((sender.recovery.outstanding(), sender.recovery.deadline()), (0, None));
}

#[test]
fn another_algorithm_can_be_brought_along() {
    let policy = Policy::linux();
    let mut recovery = LossRecovery::new(&policy);
    recovery.set_congestion_control(Box::new(crate::congestion::NewReno::new()));
    recovery.established(MSS, true, true, &policy);
    assert_eq!(recovery.clone().cwnd(), 10 * MSS);
}
