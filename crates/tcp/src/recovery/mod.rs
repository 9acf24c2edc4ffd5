//! The sender's half of reliability: what was sent, what of it arrived, what has to be sent again and when.
//!
//! [`LossRecovery`] is told everything that is sent and every acknowledgment, and answers how much may be sent,
//! what to send again and when to wake up. It never sees a byte of text.

use alloc::boxed::Box;
use core::time::Duration;

use flight::{Flight, Phase, TailProbe, TrialRange, Undo};
use reordering::Reordering;
use rtt::RttEstimator;
use scoreboard::SACKED;

use crate::congestion::{CongestionControl, Controller};
use crate::segment::SackBlock;
use crate::{Instant, Policy, SeqNumber};

mod acknowledge;
mod flight;
mod prr;
mod reordering;
mod rtt;
mod scoreboard;

/// The delay of the acknowledgment of a single segment that a probe allows for (RFC 8985 §7.2).
const DELAYED_ACK: u32 = 200_000;

/// RFC 9293 §3.7.1: the maximum segment size of a peer that tells none.
const DEFAULT_MSS: u32 = 536;

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

/// What a sender is doing about losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecoveryPhase {
    /// Nothing: all is well.
    Open,
    /// Something has arrived out of order.
    Disorder,
    /// The window is being reduced because of congestion the network has told of.
    Reducing,
    /// Fast recovery.
    Recovery,
    /// What a timeout took for lost is sent again.
    Loss,
}

/// What has become of a segment that was sent to find out whether it arrives (RFC 4821 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// Nothing is known.
    UnderWay,
    /// It has arrived.
    Arrived,
    /// It was lost, and alone: it was too large. That is no congestion.
    Lost,
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
    /// Bytes that are now known to have arrived and were not before.
    pub delivered: u32,
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

/// What was sent and not acknowledged, and everything that follows from it.
///
/// The value itself is small; what is in flight lies beside it and can be given back when nothing is
/// ([`release`](Self::release)).
#[derive(Clone, Debug)]
pub struct LossRecovery {
    congestion: Controller,
    rtt: RttEstimator,
    flight: Option<Box<Flight>>,
    deadline: Instant,
    timer: Option<RecoveryTimer>,
    last_sent: Instant,
    mss: u32,
    reordering: Reordering,
    /// Retransmission timeouts since SND.UNA last advanced.
    timeouts: u8,
    /// Retransmission timeouts before the connection was established.
    handshake_timeouts: u8,
    established: bool,
    sack: bool,
    /// Tail loss probes are sent.
    probes: bool,
}

impl LossRecovery {
    /// Before the handshake: the maximum segment size is not known yet.
    pub fn new(policy: &Policy) -> Self {
        Self {
            congestion: Controller::new(policy),
            rtt: RttEstimator::new(policy),
            flight: None,
            deadline: Instant::ZERO,
            timer: None,
            last_sent: Instant::ZERO,
            mss: DEFAULT_MSS,
            reordering: Reordering::new(),
            timeouts: 0,
            handshake_timeouts: 0,
            established: false,
            sack: false,
            probes: policy.tail_loss_probes,
        }
    }

    /// Uses another congestion control; before [`established`](Self::established).
    pub fn set_congestion_control(&mut self, control: Box<dyn CongestionControl>) {
        self.congestion = Controller::Custom(control);
    }

    /// Text may be sent from now on: `mss` bytes fit a segment, options counted off; `sack` and `timestamps` were
    /// agreed on. To be called after [`on_ack`](Self::on_ack) for the acknowledgment of the SYN.
    pub fn established(&mut self, mss: u32, sack: bool, timestamps: bool, policy: &Policy) {
        // Timestamps come with each acknowledgment, or they do not.
        let _ = timestamps;
        self.mss = mss.max(1);
        self.sack = sack;
        self.established = true;
        // A lost SYN may be one of congestion: begin with one segment (RFC 5681 §3.1). Linux forgives one,
        // which may have been due to a timeout too short for the path.
        let forgiven = u8::from(policy.is_linux());
        let segments = if self.handshake_timeouts > forgiven { 1 } else { policy.initial_window };
        self.congestion.start(self.mss.saturating_mul(u32::from(segments)), self.mss);
        self.rtt.careful(policy);
        if self.flight.as_ref().is_some_and(|flight| flight.board.is_empty()) {
            self.forget();
        }
    }

    /// Text may be sent although the SYN is not acknowledged (RFC 7413 §4.2.2): as [`established`](Self::established),
    /// but nothing is known of the round trip, and there is nothing to probe for before the peer has the SYN.
    pub fn begin_early(&mut self, mss: u32, policy: &Policy) {
        self.mss = mss.max(1);
        self.established = true;
        self.congestion.start(self.mss.saturating_mul(policy.initial_window.into()), self.mss);
    }

    /// The SYN of such a connection is acknowledged.
    pub fn end_early(&mut self, sack: bool, policy: &Policy) {
        self.sack = sack;
        self.rtt.careful(policy);
    }

    /// The path has another MTU.
    pub fn set_mss(&mut self, mss: u32) {
        self.mss = mss.max(1);
        self.congestion.set_mss(self.mss);
    }

    /// The new text from `start` up to `end` went out in one segment that may be too large for the path.
    pub fn begin_trial(&mut self, start: SeqNumber, end: SeqNumber) {
        if let Some(flight) = &mut self.flight {
            flight.trial = Some(TrialRange { start, end, fate: Trial::UnderWay });
        }
    }

    /// What has become of the latest trial; `None` where that will never be known.
    pub fn trial(&self) -> Option<Trial> {
        Some(self.flight.as_ref()?.trial?.fate)
    }

    /// Whether all that is lost is a trial: then it is sent again, and the window stays as it is (RFC 4821 §7.6.1).
    fn is_lost_trial(&mut self, flight: &mut Flight) -> bool {
        let Some(trial) = flight.trial.filter(|trial| trial.fate == Trial::UnderWay) else { return false };
        let first = flight.board.first_due(self.mss).map(|(start, _)| start);
        let length = trial.end.offset_from(trial.start);
        if flight.phase != Phase::Open || first != Some(trial.start) || flight.board.lost() > length {
            return false;
        }
        if flight.board.una() == trial.start {
            // Where there are no blocks, only its beginning was told.
            flight.board.lose_first(length);
        }
        flight.trial = Some(TrialRange { fate: Trial::Lost, ..trial });
        flight.undo = None;
        flight.frto = false;
        flight.left = 0;
        flight.phase = Phase::Loss;
        flight.recover = flight.board.next();
        true
    }

    /// The path has another MTU and packets were dropped for their size: everything outstanding is sent again, and
    /// the window stays, because the loss was none of congestion (RFC 1191 §6.4, Linux `tcp_simple_retransmit`).
    pub fn on_too_large(&mut self, mss: u32) {
        self.set_mss(mss);
        let Some(flight) = &mut self.flight else { return };
        if flight.board.is_empty() {
            return;
        }
        flight.board.lose_all(|_| false);
        flight.left = 0;
        if flight.phase != Phase::Loss {
            flight.undo = None;
            flight.frto = false;
            flight.phase = Phase::Loss;
            flight.recover = flight.board.next();
        }
    }

    /// To be called before new text is sent while nothing is in flight: after an idle time longer than the RTO the
    /// window begins again with the initial one (RFC 5681 §4.1). Linux halves it for each RTO until it is there.
    pub fn restart_after_idle(&mut self, now: Instant, policy: &Policy) {
        if !self.established || self.outstanding() > 0 {
            return;
        }
        let idle = now.micros_since(self.last_sent);
        let rto = u64::from(self.rtt.rto());
        if idle > rto {
            let halvings = if policy.is_linux() { idle / rto } else { 32 };
            let decayed = self.congestion.window().checked_shr(halvings.min(32) as u32).unwrap_or(0);
            let initial = self.mss.saturating_mul(u32::from(policy.initial_window));
            self.congestion.restart(now, decayed.max(initial));
            self.last_sent = now;
        }
    }

    /// The range from `start` up to `end` went out. SYN and FIN are numbers like any other. New ranges follow
    /// on each other; one that is sent again may be any part of what is outstanding, and reach beyond.
    pub fn on_sent(&mut self, now: Instant, start: SeqNumber, end: SeqNumber, kind: Sent) {
        let mut flight = self.flight.take().unwrap_or_else(|| Box::new(Flight::new(start)));
        self.last_sent = now;
        let next = if flight.board.is_empty() { start } else { flight.board.next() };
        let new = start.ge(next);
        if !new {
            self.sent_again(&mut flight, now, start, end.earlier(next), kind);
        }
        if end.gt(next) {
            self.sent_new(&mut flight, now, start.later(next), end);
        }
        if kind == Sent::TailLossProbe {
            flight.probe = Some(TailProbe { end: flight.board.next(), repeated: !new });
            // RFC 8985 §7.3: the timer is the RTO now, never again the probe's.
            self.arm(now.plus_micros(u64::from(self.rtt.rto())), RecoveryTimer::Retransmission);
        }
        self.flight = Some(flight);
    }

    fn sent_new(&mut self, flight: &mut Flight, now: Instant, start: SeqNumber, end: SeqNumber) {
        let first = flight.board.is_empty();
        if first {
            self.timer = None;
            flight.highest = flight.highest.later(start);
        }
        let before = flight.board.outstanding();
        flight.board.send(now, start, end, self.established);
        let bytes = flight.board.outstanding().saturating_sub(before);
        if flight.reducing() {
            flight.prr.on_sent(bytes);
        }
        flight.new_first = flight.new_first.saturating_sub(bytes);
        flight.note_usage(self.window(flight), self.mss);
        if self.timer != Some(RecoveryTimer::Reordering) {
            self.schedule(flight, now, false);
        }
    }

    fn sent_again(
        &mut self,
        flight: &mut Flight,
        now: Instant,
        start: SeqNumber,
        end: SeqNumber,
        kind: Sent,
    ) {
        if flight
            .trial
            .is_some_and(|trial| trial.fate == Trial::UnderWay && start.lt(trial.end) && end.gt(trial.start))
        {
            flight.trial = None;
        }
        let head = flight.board.first().map(|range| (range.start, range.sent_at()));
        let bytes = flight.board.resend(now, start, end);
        if bytes == 0 {
            return;
        }
        if flight.reducing() {
            flight.prr.on_sent(bytes);
        }
        if flight.phase == Phase::Loss && flight.new_first > 0 {
            // There was no new text to send: repair by the book (RFC 5682 §2.1 step 2b).
            flight.new_first = 0;
            flight.frto = false;
        }
        if let Some(undo) = &mut flight.undo {
            undo.repeated = Some(undo.repeated.unwrap_or(0).saturating_add(bytes));
        }
        flight.first_repeat.get_or_insert(now);
        if let Some((first, sent_at)) = head
            && start.le(first)
        {
            flight.stalled_since.get_or_insert(sent_at);
            // The first hole gets a full timeout from here (RFC 6675 §5, step 4.4 and (C)).
            if kind == Sent::Retransmission && self.timer != Some(RecoveryTimer::Reordering) {
                self.arm(now.plus_micros(u64::from(self.rtt.rto())), RecoveryTimer::Retransmission);
            }
        }
    }

    /// What has to be sent again first: one segment, at the most.
    ///
    /// Where it ends right before the FIN that was sent, the FIN may go along.
    pub fn retransmission(&self) -> Option<(SeqNumber, SeqNumber)> {
        self.flight.as_ref()?.board.first_due(self.mss)
    }

    /// Whether there is a [`retransmission`](Self::retransmission).
    pub fn has_something_due(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.board.due() > 0)
    }

    /// Whether new text should go out before [`retransmission`](Self::retransmission), if there is some and the
    /// peer's window has room: so F-RTO finds out whether a timeout was spurious (RFC 5682 §2.1 step 2b).
    pub fn prefers_new(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| flight.phase == Phase::Loss && flight.new_first > 0)
    }

    /// Bytes that may be put on the wire now, new or again. A segment may go out if all of it fits.
    ///
    /// Limited transmit (RFC 3042) is part of it: what duplicates or blocks tell to have left the network makes room
    /// for new text. Before the handshake is done there is no limit.
    pub fn allowance(&self) -> u32 {
        if !self.established {
            return u32::MAX;
        }
        match &self.flight {
            Some(flight) => self.window(flight).saturating_sub(flight.pipe()),
            None => self.congestion.window(),
        }
    }

    /// When something has to be done, and what.
    pub fn deadline(&self) -> Option<(Instant, RecoveryTimer)> {
        self.timer.map(|timer| (self.deadline, timer))
    }

    /// The retransmission timer has expired (RFC 6298 §5.4 to §5.7, RFC 8985 §6.3). What to send again is told by
    /// [`retransmission`](Self::retransmission), and [`allowance`](Self::allowance) has room for a segment of it.
    ///
    /// With `steady` the timeout is not doubled (Linux's first SYNs, [`Policy::syn_linear_timeouts`]). True where the
    /// window was reduced, as [`AckOutcome::send_cwr`].
    pub fn on_retransmission_timeout(&mut self, now: Instant, steady: bool, policy: &Policy) -> bool {
        let Some(mut flight) = self.flight.take() else {
            self.timer = None;
            return false;
        };
        if flight.board.is_empty() {
            self.timer = None;
        } else {
            self.collapse(&mut flight, now);
            self.timeouts = self.timeouts.saturating_add(1);
            if !self.established {
                self.handshake_timeouts = self.handshake_timeouts.saturating_add(1);
            }
            if !steady {
                self.rtt.back_off(policy);
            }
            self.arm(now.plus_micros(u64::from(self.rtt.rto())), RecoveryTimer::Retransmission);
        }
        self.flight = Some(flight);
        self.established
    }

    fn collapse(&mut self, flight: &mut Flight, now: Instant) {
        let in_use = flight.board.outstanding().min(self.window(flight));
        if let Some(trial) = flight.trial.filter(|trial| trial.fate == Trial::UnderWay) {
            // If it was what stopped everything, it is not tried again soon (RFC 4821 §7.6.3).
            let stopped = flight.board.una() == trial.start;
            flight.trial = stopped.then_some(TrialRange { fate: Trial::Lost, ..trial });
        }
        let fresh = matches!(flight.phase, Phase::Open | Phase::Reducing);
        // The threshold comes down once for a window of text (RFC 5681 §3.1 after equation 4, RFC 6582 §4).
        let first = flight.phase == Phase::Open
            || flight.board.una().ge(flight.recover)
            || (flight.phase == Phase::Loss && self.timeouts == 0);

        let renege = flight.board.first().is_some_and(|range| range.is(SACKED));
        if renege {
            flight.board.renege();
        }
        // RFC 8985 §6.3: what left within the last round trip is not lost yet.
        let spare = if self.sack && !renege { u64::from(flight.delivered.rtt) } else { 0 };
        flight.board.lose_all(|range| now.micros_since(range.sent_at()) < spare);
        flight.left = 0;
        flight.duplicates = 0;

        if first {
            let resent = flight.board.resent();
            flight.undo = Some(Undo { from: flight.board.una(), repeated: (resent > 0).then_some(resent) });
            flight.first_repeat = None;
        }
        if self.established {
            self.congestion.on_timeout(now, in_use, flight.pipe(), first);
        }
        // RFC 5682 §2.1 step 1: not if this is a timeout in a recovery that has not come far.
        flight.frto = fresh || self.timeouts > 0;
        flight.new_first = 0;
        flight.phase = Phase::Loss;
        flight.recover = flight.board.next();
        flight.probe = None;
    }

    /// The last segment that was sent and has not arrived: what a tail loss probe sends where there is nothing new.
    pub fn last_missing(&self) -> Option<(SeqNumber, SeqNumber)> {
        self.flight.as_ref()?.board.last_missing(self.mss)
    }

    /// The probe timer has expired (RFC 8985 §7.3). Whatever is sent, the retransmission timer runs now.
    pub fn on_tail_loss_timeout(&mut self, now: Instant) -> Probe {
        self.timer = None;
        let Some(flight) = &self.flight else { return Probe::Nothing };
        if flight.board.is_empty() {
            return Probe::Nothing;
        }
        let probe = match flight.board.last_missing(self.mss) {
            // One at a time.
            Some((start, end)) if flight.probe.is_none() => Probe::NewOr(start, end),
            _ => Probe::Nothing,
        };
        self.arm(now.plus_micros(u64::from(self.rtt.rto())), RecoveryTimer::Retransmission);
        probe
    }

    /// The reordering timer has expired (RFC 8985 §6.2, step 5): what should have arrived by now is lost. True
    /// where the window was reduced, as [`AckOutcome::send_cwr`].
    pub fn on_reordering_timeout(&mut self, now: Instant) -> bool {
        self.timer = None;
        let Some(mut flight) = self.flight.take() else { return false };
        let mut outcome = AckOutcome::default();
        let due = flight.board.due();
        self.detect_loss(&mut flight, now);
        if flight.board.due() > due && !self.is_lost_trial(&mut flight) {
            if flight.phase != Phase::Recovery {
                self.enter_recovery(&mut flight, now, false, &mut outcome);
            }
            self.after_loss(&mut flight);
        }
        if self.timer.is_none()
            && let Some(first) = flight.board.first()
        {
            // RFC 6298: counted from when the first was sent.
            let deadline = first.sent_at().plus_micros(u64::from(self.rtt.rto()));
            self.arm(deadline.max(now.plus_micros(1)), RecoveryTimer::Retransmission);
        }
        self.flight = Some(flight);
        outcome.send_cwr
    }

    /// Sets the timer for what is outstanding (RFC 6298 §5.1 and §5.3, RFC 8985 §7.2). `advancing`: an acknowledgment
    /// has given everything a new start.
    fn schedule(&mut self, flight: &Flight, now: Instant, advancing: bool) {
        let Some(first) = flight.board.first() else {
            self.timer = None;
            return;
        };
        let rto = u64::from(self.rtt.rto());
        let from_first = first.sent_at().plus_micros(rto);
        if self.may_probe(flight) {
            let mut deadline = now.plus_micros(self.probe_timeout(flight));
            let limit = if advancing { now.plus_micros(rto) } else { from_first };
            if limit > now {
                deadline = deadline.min(limit);
            }
            self.arm(deadline, RecoveryTimer::TailLossProbe);
            return;
        }
        match self.timer {
            None => self.arm(now.plus_micros(rto), RecoveryTimer::Retransmission),
            Some(RecoveryTimer::Retransmission) if advancing => {
                self.arm(now.plus_micros(rto), RecoveryTimer::Retransmission);
            }
            Some(RecoveryTimer::Retransmission) => {}
            // The other timers stood in for this one.
            Some(RecoveryTimer::TailLossProbe | RecoveryTimer::Reordering) => {
                self.arm(from_first.max(now.plus_micros(1)), RecoveryTimer::Retransmission);
            }
        }
    }

    /// RFC 8985 §7.2: with SACK, outside of recovery, and while there are no holes.
    fn may_probe(&self, flight: &Flight) -> bool {
        self.sack
            && self.probes
            && self.established
            && matches!(flight.phase, Phase::Open | Phase::Reducing)
            && flight.probe.is_none()
            && flight.board.sacked() == 0
            && flight.board.lost() == 0
    }

    /// PTO in microseconds: two round trips, and for a single segment the peer's delay; a second as long as no round
    /// trip is known.
    fn probe_timeout(&self, flight: &Flight) -> u64 {
        let srtt = u64::from(self.rtt.srtt());
        if srtt == 0 {
            return 1_000_000;
        }
        let delay = if flight.board.outstanding() <= self.mss { u64::from(DELAYED_ACK) } else { 0 };
        2 * srtt + delay
    }

    fn arm(&mut self, deadline: Instant, timer: RecoveryTimer) {
        self.deadline = deadline;
        self.timer = Some(timer);
    }

    /// The window in effect.
    fn window(&self, flight: &Flight) -> u32 {
        if flight.reducing() { flight.prr.window() } else { self.congestion.window() }
    }

    /// Retransmission timeouts since SND.UNA last advanced.
    pub fn backoffs(&self) -> u8 {
        self.timeouts
    }

    /// When what is first unacknowledged was first sent, as far as is known.
    pub fn first_unacked_sent_at(&self) -> Option<Instant> {
        let flight = self.flight.as_ref()?;
        let first = flight.board.first()?;
        Some(flight.stalled_since.unwrap_or_else(|| first.sent_at()))
    }

    /// The retransmission timeout, backoff counted.
    pub fn rto(&self) -> Duration {
        Duration::from_micros(u64::from(self.rtt.rto()))
    }

    /// The smoothed round trip time.
    pub fn srtt(&self) -> Option<Duration> {
        (self.rtt.srtt() > 0).then(|| Duration::from_micros(u64::from(self.rtt.srtt())))
    }

    /// The variation of the round trip time (RTTVAR).
    pub fn rttvar(&self) -> Option<Duration> {
        (self.rtt.srtt() > 0).then(|| Duration::from_micros(u64::from(self.rtt.rttvar())))
    }

    /// The shortest round trip of the last minutes.
    pub fn min_rtt(&self) -> Option<Duration> {
        let shortest = self.rtt.shortest();
        (shortest < u32::MAX).then(|| Duration::from_micros(u64::from(shortest)))
    }

    /// The congestion window in effect, in bytes.
    pub fn cwnd(&self) -> u32 {
        self.flight.as_ref().map_or_else(|| self.congestion.window(), |flight| self.window(flight))
    }

    /// The slow start threshold in bytes; `u32::MAX`: none yet.
    pub fn ssthresh(&self) -> u32 {
        self.congestion.threshold()
    }

    /// Bytes taken to be in the network (RFC 6675 §4).
    pub fn pipe(&self) -> u32 {
        self.flight.as_ref().map_or(0, |flight| flight.pipe())
    }

    /// Bytes sent and not acknowledged by number.
    pub fn outstanding(&self) -> u32 {
        self.flight.as_ref().map_or(0, |flight| flight.board.outstanding())
    }

    /// Bytes sent and acknowledged selectively only.
    pub fn sacked(&self) -> u32 {
        self.flight.as_ref().map_or(0, |flight| flight.board.sacked())
    }

    /// Bytes taken for lost.
    pub fn lost(&self) -> u32 {
        self.flight.as_ref().map_or(0, |flight| flight.board.lost())
    }

    /// Bytes sent again and not acknowledged since.
    pub fn retransmitted(&self) -> u32 {
        self.flight.as_ref().map_or(0, |flight| flight.board.resent())
    }

    /// What the sender is doing about losses.
    pub fn phase(&self) -> RecoveryPhase {
        let Some(flight) = &self.flight else { return RecoveryPhase::Open };
        match flight.phase {
            Phase::Open if flight.duplicates > 0 || flight.board.sacked() > 0 => RecoveryPhase::Disorder,
            Phase::Open => RecoveryPhase::Open,
            Phase::Reducing => RecoveryPhase::Reducing,
            Phase::Recovery => RecoveryPhase::Recovery,
            Phase::Loss => RecoveryPhase::Loss,
        }
    }

    /// Whether losses are being repaired, seen by acknowledgments or by a timeout.
    pub fn in_recovery(&self) -> bool {
        self.flight.as_ref().is_some_and(|flight| matches!(flight.phase, Phase::Recovery | Phase::Loss))
    }

    /// At which rate to send, in bytes a second; `None` before the first measurement.
    ///
    /// As Linux has it: in early slow start twice what the window gives, so that it can grow; else a fifth more, so
    /// that pacing never is what limits.
    pub fn pacing_rate(&self) -> Option<u64> {
        let srtt = u64::from(self.rtt.srtt());
        if srtt == 0 {
            return None;
        }
        let window = self.cwnd();
        let percent = if window < self.ssthresh() / 2 { 200 } else { 120 };
        Some(u64::from(window) * percent * 10_000 / srtt)
    }

    /// The connection is gone: nothing is outstanding any more and no timer runs.
    pub fn forget(&mut self) {
        self.flight = None;
        self.timer = None;
    }

    /// What of it decides what happens next, but for times and the congestion window.
    pub(crate) fn feed_state<H: core::hash::Hasher>(
        &self,
        hasher: &mut H,
        relative: impl Fn(SeqNumber) -> u32,
    ) {
        use core::hash::Hash;
        (self.timeouts, self.established, self.sack).hash(hasher);
        self.timer.map(|timer| timer as u8).hash(hasher);
        (self.outstanding(), self.sacked(), self.lost(), self.pipe(), self.prefers_new()).hash(hasher);
        let range = |range: Option<(SeqNumber, SeqNumber)>| range.map(|(a, b)| (relative(a), relative(b)));
        range(self.retransmission()).hash(hasher);
        if let Some(flight) = &self.flight {
            (flight.phase as u8, relative(flight.recover), flight.frto, flight.new_first).hash(hasher);
            (flight.probe.is_some(), flight.undo.is_some()).hash(hasher);
            range(self.last_missing_in_flight()).hash(hasher);
        }
    }

    fn last_missing_in_flight(&self) -> Option<(SeqNumber, SeqNumber)> {
        (self.outstanding() > 0).then(|| self.last_missing()).flatten()
    }

    /// Gives memory back where nothing is in flight.
    pub fn release(&mut self) {
        if self.outstanding() == 0 {
            self.forget();
        }
    }
}

#[cfg(test)]
mod tests;
