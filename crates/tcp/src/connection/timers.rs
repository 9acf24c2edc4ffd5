//! The passing of time.

use core::time::Duration;

use super::Connection;
use crate::recovery::{Probe, RecoveryTimer};
use crate::rules::Event;
use crate::{Deadline, Instant, State};

/// How long an open connection keeps unused memory.
const KEEP_MEMORY: Duration = Duration::from_secs(1);

/// The timer of a connection that somebody who looks at the host is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RunningTimer {
    /// Something is sent again, a loss probe counted.
    Retransmission,
    /// The peer's window is asked about.
    Persist,
    /// The peer is asked whether it is there.
    Keepalive,
    /// TIME_WAIT, or a FIN_WAIT2 that no program owns, ends.
    State,
}

impl Connection {
    /// The timer that runs and when it expires; of several the one that Linux's `inet_sk_diag_fill` names.
    pub fn running_timer(&self) -> Option<(RunningTimer, Instant)> {
        let retransmission =
            self.recovery.deadline().map(|(deadline, _)| (RunningTimer::Retransmission, deadline));
        let persist = self.timers.persist.get().map(|deadline| (RunningTimer::Persist, deadline));
        let waits = self.state == State::TimeWait || (self.state == State::FinWait2 && self.program.gone);
        let state = self.timers.state.get().filter(|_| waits);
        let state = state.map(|deadline| (RunningTimer::State, deadline));
        let keepalive = self.keepalive_deadline().map(|deadline| (RunningTimer::Keepalive, deadline));
        retransmission.or(persist).or(state).or(keepalive)
    }

    /// When [`Connection::handle_timeout`] has to be called at the latest; `None`: whenever
    /// something else happens.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let mut earliest: Option<Instant> = None;
        let mut consider = |deadline: Option<Instant>| {
            if let Some(deadline) = deadline {
                earliest = Some(earliest.map_or(deadline, |earliest| earliest.min(deadline)));
            }
        };
        consider(self.timers.ack.get());
        consider(self.timers.persist.get());
        consider(self.timers.state.get());
        consider(self.recovery.deadline().map(|(deadline, _)| deadline));
        consider(self.user_deadline());
        consider(self.keepalive_deadline());
        consider(self.pacing_deadline());
        earliest
    }

    /// Does what the time has come for. Calling it early does no harm.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.steps.clear();
        let due = |deadline: Option<Instant>| deadline.is_some_and(|deadline| deadline <= now);
        if self.timers.state.is_due(now) {
            self.timers.state = Deadline::NONE;
            self.on_state_timer(now);
        }
        self.due.paced &= self.timers.pacing > now;
        if self.timers.ack.is_due(now) {
            self.timers.ack = Deadline::NONE;
            self.due.ack = true;
        }
        if due(self.user_deadline()) && Event::UserTimeout.possible_in().contains(self.state) {
            let _ = self.step(now, Event::UserTimeout, self.call_facts(), None);
        }
        if let Some((deadline, timer)) = self.recovery.deadline()
            && deadline <= now
        {
            self.on_recovery_timer(now, timer);
        }
        if self.timers.persist.is_due(now) {
            self.timers.persist = Deadline::NONE;
            self.on_persist_timer(now);
        }
        if due(self.keepalive_deadline()) {
            self.on_keepalive_timer(now);
        }
    }

    fn on_state_timer(&mut self, now: Instant) {
        match self.state {
            State::TimeWait => {
                let _ = self.step(now, Event::TimeWaitTimeout, self.call_facts(), None);
            }
            State::FinWait2 if self.program.gone => {
                let _ = self.step(now, Event::FinWait2Timeout, self.call_facts(), None);
            }
            _ => {
                self.text_out.release();
                self.text_in.release();
                self.recovery.release();
            }
        }
    }

    fn on_recovery_timer(&mut self, now: Instant, timer: RecoveryTimer) {
        match timer {
            RecoveryTimer::Reordering => {
                self.due.window_reduced |= self.recovery.on_reordering_timeout(now) && self.agreed.ecn;
                self.follow_probe(now);
            }
            RecoveryTimer::TailLossProbe => {
                self.due.tail_loss_probe = self.recovery.on_tail_loss_timeout(now) != Probe::Nothing;
            }
            RecoveryTimer::Retransmission => {
                let event = if self.has_retransmitted_enough(now) {
                    Event::RetransmissionsExhausted
                } else {
                    Event::RetransmissionTimeout
                };
                let _ = self.step(now, event, self.call_facts(), None);
            }
        }
    }

    /// R2 of RFC 9293 §3.8.3: the retries of the policy are used up.
    fn has_retransmitted_enough(&self, now: Instant) -> bool {
        let policy = &self.policy;
        let retries = match self.state {
            State::SynSent => policy.syn_retries.saturating_add(policy.syn_linear_timeouts),
            State::SynReceived if self.agreed.passive => policy.syn_ack_retries,
            State::SynReceived => policy.syn_retries,
            _ if self.program.gone => policy.orphan_retries,
            _ => policy.retries,
        };
        // A peer that has closed its window over what is in flight, and says so again and again, is alive
        // (RFC 9293 §3.8.6, §3.8.6.1).
        let refuses = self.send.window == 0
            && self.state.is_synchronized()
            && !self.program.gone
            && now.duration_since(self.timers.heard) <= self.recovery.rto();
        !refuses && self.recovery.backoffs() >= retries
    }

    fn on_persist_timer(&mut self, now: Instant) {
        let probes = self.timers.persist_probes;
        let retries = if self.program.gone { self.policy.orphan_retries } else { self.policy.retries };
        // RFC 9293 §3.8.6.1: a peer that answers may keep its window closed for ever; answers
        // count the probes from zero again.
        // For an orphan nobody would keep them (`tcp_orphan_retries`).
        let orphaned = self.program.gone && self.policy.is_linux();
        if probes >= retries || (orphaned && self.timers.persist_backoff >= retries) {
            let _ = self.step(now, Event::RetransmissionsExhausted, self.call_facts(), None);
            return;
        }
        self.timers.persist_probes = probes.saturating_add(1);
        self.timers.persist_backoff = self.timers.persist_backoff.saturating_add(1);
        if self.send.window > 0 {
            // There is a window, only too small to be worth a segment: the override of §3.8.6.2.1.
            self.due.small_text = true;
        }
        let _ = self.step(now, Event::PersistTimeout, self.call_facts(), None);
    }

    /// How long until the next window probe: the retransmission timeout, doubled each time.
    pub(super) fn persist_interval(&self) -> Duration {
        let policy = &self.policy;
        let doubled = self.recovery.rto().saturating_mul(1 << self.timers.persist_backoff.min(16));
        doubled.max(policy.rto.min).min(policy.rto.max)
    }

    /// The user timeout counts from the oldest text the peer has not acknowledged (RFC 9293 §3.10.8).
    fn user_deadline(&self) -> Option<Instant> {
        let timeout = self.policy.user_timeout?;
        let sent = self.recovery.first_unacked_sent_at()?;
        // A closed window is no silence.
        let since = if self.send.window == 0 { sent.max(self.timers.heard) } else { sent };
        Some(since + timeout)
    }

    /// Keepalive counts from the last sign of life, and only while nothing is outstanding: else the
    /// retransmission timer finds out.
    pub(super) fn keepalive_deadline(&self) -> Option<Instant> {
        let keepalive = self.policy.keepalive.filter(|_| self.program.keepalive)?;
        if !Event::KeepaliveTimeout.possible_in().contains(self.state)
            || self.send.unacknowledged != self.send.next
            || !self.text_out.is_empty()
        {
            return None;
        }
        let intervals = keepalive.interval.saturating_mul(u32::from(self.timers.keepalive_probes));
        Some(self.timers.heard + keepalive.time + intervals)
    }

    fn on_keepalive_timer(&mut self, now: Instant) {
        let Some(keepalive) = self.policy.keepalive else { return };
        if let Some(due) = self.keepalive_deadline() {
            // Who comes late, after a suspension say, has not given the peer time to answer meanwhile.
            self.timers.heard += now.duration_since(due);
        }
        // TCP_USER_TIMEOUT takes the place of the number of probes (RFC 5482 §3, Linux).
        let silent = now.duration_since(self.timers.heard);
        let exhausted = match self.policy.user_timeout.filter(|_| self.policy.is_linux()) {
            Some(timeout) => {
                let probes = self.timers.keepalive_probes;
                (silent >= timeout && probes > 0) || probes == u8::MAX
            }
            None => self.timers.keepalive_probes >= keepalive.probes,
        };
        let event = if exhausted { Event::KeepaliveExhausted } else { Event::KeepaliveTimeout };
        self.timers.keepalive_probes = self.timers.keepalive_probes.saturating_add(1);
        let _ = self.step(now, event, self.call_facts(), None);
    }

    /// Pacing holds back text only, and only as long as nothing else does.
    fn pacing_deadline(&self) -> Option<Instant> {
        (self.due.paced && self.has_text_to_send()).then_some(self.timers.pacing)
    }

    /// Comes back to give memory away that an idle connection does not need.
    pub(super) fn plan_release(&mut self, now: Instant) {
        if !self.timers.state.is_set()
            && self.send.unacknowledged == self.send.next
            && self.memory() > 0
            && matches!(self.state, State::Established | State::CloseWait)
        {
            self.timers.state = Deadline::at(now + KEEP_MEMORY);
        }
    }
}
