//! The sender's half of reliability: what was sent, what of it arrived, what has to be sent again and when.
//!
//! [`LossRecovery`] is told everything that is sent and every acknowledgment, and answers how much may be sent,
//! what to send again and when to wake up. It never sees a byte of text.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use core::time::Duration;

use crate::congestion::{Congestion, CongestionControl, Controller, Progress};
use crate::segment::SackBlock;
use crate::{Instant, Policy, SeqNumber};

/// Why something is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// For the first time: begins where the last new range ended.
    New,
    /// Again, because it was lost or may be: the range came from [`LossRecovery::retransmission`].
    Retransmission,
    /// As a tail loss probe (RFC 8985 §7), new or sent before.
    TailLossProbe,
}

/// Which timer is running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecoveryTimer {
    /// RFC 6298: call [`LossRecovery::on_retransmission_timeout`].
    Retransmission,
    /// RFC 8985 §7: call [`LossRecovery::on_tail_loss_timeout`].
    TailLossProbe,
    /// RFC 8985 §6.2: call [`LossRecovery::on_reordering_timeout`].
    Reordering,
}

/// What a segment with an acceptable ACK says.
#[derive(Clone, Copy, Debug)]
pub struct Acknowledgment<'a> {
    /// SEG.ACK, at most `next`. One before `una` is old: only its blocks count.
    pub ack: SeqNumber,
    /// SND.UNA before it.
    pub una: SeqNumber,
    /// SND.NXT.
    pub next: SeqNumber,
    /// Its SACK blocks in the order of the option, which matters to RFC 2883.
    pub sack: &'a [SackBlock],
    /// How long ago the segment left whose timestamp it echoes, in microseconds: the connection's timestamp
    /// clock now less the echo. As coarse as that clock is.
    pub echoed: Option<u32>,
    /// Whether it has ECE and ECN was agreed on.
    pub ece: bool,
    /// Whether it may be a duplicate in the sense of RFC 5681 §2: no text, no SYN or FIN, the window as before,
    /// something outstanding and SEG.ACK = SND.UNA.
    pub duplicate_candidate: bool,
}

/// What came of an acknowledgment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AckOutcome {
    /// Bytes by which SND.UNA advanced.
    pub newly_acked: u32,
    /// Bytes selectively acknowledged for the first time.
    pub newly_sacked: u32,
    /// Bytes that are taken for lost from now on.
    pub newly_lost: u32,
    /// Whether the peer told of something that arrived twice (RFC 2883).
    pub dsack: bool,
    /// The round trip time it measured (RFC 6298 §3).
    pub rtt: Option<Duration>,
    /// Whether a reduction of the window was taken back.
    pub undone: bool,
    /// Whether fast recovery began.
    pub entered_recovery: bool,
    /// Whether fast recovery, or that after a timeout, ended.
    pub left_recovery: bool,
    /// Whether the window was reduced: the next new text goes with CWR where ECN was agreed on (RFC 3168 §6.1.2).
    pub send_cwr: bool,
}

/// What to send as a tail loss probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// A segment of new text if there is some and the peer's window has room, otherwise this range
    /// again (RFC 8985 §7.3). Tell [`LossRecovery::on_sent`] with [`Sent::TailLossProbe`].
    NewOr(SeqNumber, SeqNumber),
    /// Nothing; the retransmission timer is armed.
    Nothing,
}

#[derive(Clone, Copy, Debug)]
struct Range {
    start: SeqNumber,
    end: SeqNumber,
    sent_at: Instant,
    lost: bool,
    retransmitted: bool,
}

/// What was sent and not acknowledged, and everything that follows from it.
#[derive(Clone, Debug)]
pub struct LossRecovery {
    congestion: Controller,
    ranges: VecDeque<Range>,
    deadline: Option<(Instant, RecoveryTimer)>,
    mss: u32,
    srtt: u32,
    rto: u32,
    backoffs: u8,
}

impl LossRecovery {
    /// Before the handshake: the maximum segment size is not known yet.
    pub fn new(policy: &Policy) -> Self {
        Self {
            congestion: Controller::new(policy),
            ranges: VecDeque::new(),
            deadline: None,
            mss: 536,
            srtt: 0,
            rto: policy.rto.initial.as_micros() as u32,
            backoffs: 0,
        }
    }

    /// Uses another congestion control. Before [`established`](Self::established).
    pub fn set_congestion_control(&mut self, control: Box<dyn CongestionControl>) {
        self.congestion = Controller::Custom(control);
    }

    /// The handshake is done: `mss` is the text that fits a segment, options counted off. To be called after
    /// [`on_ack`](Self::on_ack) for the acknowledgment of the SYN.
    pub fn established(&mut self, mss: u32, sack: bool, timestamps: bool, policy: &Policy) {
        let _ = (sack, timestamps);
        self.mss = mss;
        self.congestion.start(mss * u32::from(policy.initial_window), mss);
    }

    /// The path has another MTU.
    pub fn set_mss(&mut self, mss: u32) {
        self.mss = mss;
        self.congestion.set_mss(mss);
    }

    /// The path has another MTU and packets were dropped for their size: everything outstanding is sent again,
    /// and the window stays (RFC 1191 §6.4).
    pub fn on_too_large(&mut self, now: Instant, mss: u32) {
        let _ = now;
        self.set_mss(mss);
        for range in &mut self.ranges {
            range.lost = true;
            range.retransmitted = false;
        }
    }

    /// To be called before new text is sent while nothing is in flight: after an idle time longer than the RTO the
    /// window begins again (RFC 5681 §4.1).
    pub fn restart_after_idle(&mut self, now: Instant, policy: &Policy) {
        let window = self.mss.saturating_mul(u32::from(policy.initial_window));
        if self.ranges.is_empty() {
            self.congestion.restart(now, window);
        }
    }

    /// The range from `start` up to `end` went out. SYN and FIN are numbers like any other.
    pub fn on_sent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber, kind: Sent) {
        if let Some(range) = self.ranges.iter_mut().find(|range| range.start == start) {
            range.retransmitted = true;
            range.sent_at = now;
        } else if kind != Sent::Retransmission {
            self.ranges.push_back(Range { start, end, sent_at: now, lost: false, retransmitted: false });
        }
        if self.deadline.is_none() {
            self.deadline = Some((now.plus_micros(u64::from(self.rto)), RecoveryTimer::Retransmission));
        }
    }

    /// An acceptable acknowledgment arrived.
    pub fn on_ack(&mut self, now: Instant, ack: &Acknowledgment<'_>, policy: &Policy) -> AckOutcome {
        let _ = policy;
        if ack.ack.le(ack.una) {
            return AckOutcome::default();
        }
        while self.ranges.front().is_some_and(|range| range.end.le(ack.ack)) {
            self.ranges.pop_front();
        }
        if let Some(range) = self.ranges.front_mut() {
            range.start = range.start.later(ack.ack);
        }
        self.backoffs = 0;
        self.deadline = (!self.ranges.is_empty())
            .then(|| (now.plus_micros(u64::from(self.rto)), RecoveryTimer::Retransmission));
        let bytes = ack.ack.offset_from(ack.una);
        self.congestion.on_ack(&Progress {
            now,
            bytes,
            window_limited: true,
            rtt: None,
            srtt: self.srtt,
            una: ack.ack,
            next: ack.next,
        });
        AckOutcome { newly_acked: bytes, ..AckOutcome::default() }
    }

    /// What has to be sent again first: one segment, at the most.
    ///
    /// Where it ends right before the FIN that was sent, the FIN may go along.
    pub fn retransmission(&self) -> Option<(SeqNumber, SeqNumber)> {
        let range = self.ranges.iter().find(|range| range.lost && !range.retransmitted)?;
        Some((range.start, range.end.earlier(range.start + self.mss)))
    }

    /// Whether new text should go out before [`retransmission`](Self::retransmission), if there is some and the
    /// peer's window has room: so F-RTO finds out whether a timeout was spurious (RFC 5682 §2.1 step 2b).
    pub fn prefers_new(&self) -> bool {
        false
    }

    /// Bytes that may be put on the wire now, new or again.
    pub fn allowance(&self) -> u32 {
        self.cwnd().saturating_sub(self.pipe())
    }

    /// When something has to be done, and what.
    pub fn deadline(&self) -> Option<(Instant, RecoveryTimer)> {
        self.deadline
    }

    /// The retransmission timer has expired. The range to send is [`retransmission`](Self::retransmission).
    ///
    /// With `steady` the timeout is not doubled (Linux's first SYNs, [`Policy::syn_linear_timeouts`]).
    pub fn on_retransmission_timeout(&mut self, now: Instant, steady: bool, policy: &Policy) {
        self.backoffs = self.backoffs.saturating_add(1);
        if !steady {
            self.rto = self.rto.saturating_mul(2).min(policy.rto.max.as_micros() as u32);
        }
        let outstanding = self.outstanding();
        for range in &mut self.ranges {
            range.lost = true;
            range.retransmitted = false;
        }
        self.congestion.on_timeout(now, outstanding, 0, self.backoffs == 1);
        self.deadline = Some((now.plus_micros(u64::from(self.rto)), RecoveryTimer::Retransmission));
    }

    /// The probe timer has expired.
    pub fn on_tail_loss_timeout(&mut self, now: Instant) -> Probe {
        self.congestion.undo(now);
        Probe::Nothing
    }

    /// The reordering timer has expired: what has not arrived by now is lost. True where the window was
    /// reduced, as [`AckOutcome::send_cwr`].
    pub fn on_reordering_timeout(&mut self, now: Instant) -> bool {
        self.congestion.on_congestion(now, Congestion::Loss, self.pipe());
        true
    }

    /// Retransmission timeouts since SND.UNA last advanced.
    pub fn backoffs(&self) -> u8 {
        self.backoffs
    }

    /// When the oldest range was sent (last).
    pub fn first_unacked_sent_at(&self) -> Option<Instant> {
        self.ranges.front().map(|range| range.sent_at)
    }

    /// The retransmission timeout, backoff counted.
    pub fn rto(&self) -> Duration {
        Duration::from_micros(u64::from(self.rto))
    }

    /// The smoothed round trip time.
    pub fn srtt(&self) -> Option<Duration> {
        (self.srtt > 0).then(|| Duration::from_micros(u64::from(self.srtt)))
    }

    /// The mean deviation of the round trip time.
    pub fn rttvar(&self) -> Option<Duration> {
        None
    }

    /// The shortest round trip of the last minutes.
    pub fn min_rtt(&self) -> Option<Duration> {
        None
    }

    /// The congestion window in effect, in bytes.
    pub fn cwnd(&self) -> u32 {
        self.congestion.window()
    }

    /// The slow start threshold in bytes; `u32::MAX`: none yet.
    pub fn ssthresh(&self) -> u32 {
        self.congestion.threshold()
    }

    /// Bytes taken to be in the network (RFC 6675 §4).
    pub fn pipe(&self) -> u32 {
        self.ranges
            .iter()
            .filter(|range| !range.lost || range.retransmitted)
            .map(|range| range.end.offset_from(range.start))
            .sum()
    }

    /// Bytes sent and not acknowledged by number.
    pub fn outstanding(&self) -> u32 {
        match (self.ranges.front(), self.ranges.back()) {
            (Some(first), Some(last)) => last.end.offset_from(first.start),
            _ => 0,
        }
    }

    /// Whether losses are being repaired, seen by acknowledgments or by a timeout.
    pub fn in_recovery(&self) -> bool {
        self.congestion.in_slow_start() && self.backoffs > 0
    }

    /// At which rate to send, in bytes a second; `None` before the first measurement.
    pub fn pacing_rate(&self) -> Option<u64> {
        None
    }

    /// The connection is gone: nothing is outstanding any more and no timer runs.
    pub fn forget(&mut self) {
        self.ranges = VecDeque::new();
        self.deadline = None;
    }

    /// Gives memory back where nothing is in flight.
    pub fn release(&mut self) {
        if self.ranges.is_empty() {
            self.ranges = VecDeque::new();
        }
    }
}
