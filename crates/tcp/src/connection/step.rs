//! One event, one rule: finds the rule that answers and carries out its actions.

use super::Connection;
use super::reply::Reply;
use super::types::{CallError, Envelope, Events};
use crate::recovery::LossRecovery;
use crate::rules::{self, Action, Circumstance, Event, Facts, Failure, ResetForm, Rule};
use crate::{Deadline, FourTuple, Instant, Segment, State};

/// A segment with what the IP layer says of it.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) segment: &'a Segment<'a>,
    pub(super) facts: Facts,
}

impl Connection {
    /// Answers an event. A call gets the error that its rule returns.
    ///
    /// An event that cannot happen in the state ([`Event::possible_in`]) does nothing.
    #[inline]
    pub(super) fn step(
        &mut self,
        now: Instant,
        event: Event,
        facts: Facts,
        arrival: Option<&Arrival<'_>>,
    ) -> Result<(), CallError> {
        let Some(index) = rules::find_index(self.state, event, facts) else {
            debug_assert!(!event.possible_in().contains(self.state), "{event} in {} has no rule", self.state);
            return Ok(());
        };
        let rule = &rules::RULES[index];
        self.steps.push(index);
        let (actions, to) = self.effect(rule, arrival);
        let mut outcome = Ok(());
        for action in actions {
            if let Err(error) = self.perform(now, *action, arrival) {
                outcome = Err(error);
            }
        }
        if to != self.state {
            self.enter(now, to);
        }
        outcome
    }

    /// What the rule comes to under this connection's policy: Linux deviates where the
    /// circumstance of its deviation holds.
    #[inline]
    fn effect(&self, rule: &'static Rule, arrival: Option<&Arrival<'_>>) -> (&'static [Action], State) {
        let as_written = (rule.actions, rule.to);
        // Linux or not, a host may be told to keep resets from ending TIME_WAIT (RFC 1337).
        let applies = |when| {
            (when == Circumstance::TimeWaitProtected || self.policy.is_linux()) && self.holds(when, arrival)
        };
        match &rule.linux {
            Some(deviation) if applies(deviation.when) => {
                (deviation.actions.unwrap_or(rule.actions), deviation.to.unwrap_or(rule.to))
            }
            _ => as_written,
        }
    }

    fn holds(&self, circumstance: Circumstance, arrival: Option<&Arrival<'_>>) -> bool {
        let segment = arrival.map(|arrival| arrival.segment);
        match circumstance {
            Circumstance::Always => true,
            Circumstance::Orphaned => self.program.gone,
            Circumstance::OrphanedAndAhead => {
                let window = self.receive_window();
                self.program.gone
                    && segment.is_some_and(|segment| segment.seq.in_window(window.next, window.size))
            }
            Circumstance::TimeWaitProtected => self.policy.protect_time_wait,
            Circumstance::AtPeersFin => segment.is_some_and(|segment| segment.seq + 1 == self.receive.next),
            Circumstance::SynRepeated => segment.is_some_and(|segment| {
                segment.flags.contains(crate::Flags::SYN) && segment.seq == self.receive.initial
            }),
            Circumstance::WithAck => segment.is_some_and(|segment| segment.flags.contains(crate::Flags::ACK)),
            Circumstance::WithText => segment.is_some_and(|segment| !segment.text.is_empty()),
            Circumstance::WithoutText => segment.is_some_and(|segment| segment.text.is_empty()),
            Circumstance::WithoutFastOpen => self.fast_open().is_none(),
            Circumstance::Outside => false,
        }
    }

    #[inline]
    fn perform(
        &mut self,
        now: Instant,
        action: Action,
        arrival: Option<&Arrival<'_>>,
    ) -> Result<(), CallError> {
        match action {
            Action::CreateConnection => self.create(now),
            Action::DeleteConnection => self.delete(),
            Action::SendSyn => self.begin_handshake(now, false),
            Action::SendSynAck => self.begin_handshake(now, true),
            Action::SendAck => self.answer_invalid(now, arrival, false),
            Action::SendChallengeAck => self.answer_invalid(now, arrival, true),
            Action::SendFin => self.send.fin_queued = true,
            Action::SendReset(form) => self.reset(now, form, arrival),
            // A segment has the SYN sent again at once, but only one: two ends could go on for ever.
            Action::Retransmit if arrival.is_some() && self.recovery.backoffs() > 0 => {}
            Action::Retransmit => self.retransmit(now),
            Action::SendWindowProbe => self.due.window_probe = true,
            Action::SendKeepaliveProbe => self.due.keepalive_probe = true,
            Action::LearnPeer => {
                if let Some(arrival) = arrival {
                    self.learn_peer(now, arrival);
                }
            }
            Action::ForgetPeer => self.forget_peer(),
            Action::AcceptAck => {
                if let Some(arrival) = arrival {
                    self.accept_ack(now, arrival);
                }
            }
            Action::DeliverText => {
                if let Some(arrival) = arrival {
                    self.deliver_text(now, arrival.segment, arrival.facts);
                }
            }
            Action::ConsumeFin => self.consume_fin(now),
            Action::HoldForLater => {
                if let Some(arrival) = arrival {
                    self.hold_for_later(arrival.segment);
                }
            }
            Action::StartTimeWaitTimer => self.start_time_wait(now),
            Action::SignalOpen => self.opened(now),
            Action::SignalPeerClosed => self.events.note(Events::PEER_CLOSED | Events::READABLE),
            Action::Signal(failure) => self.signal(failure),
            // Who waits for a call learns of the end by the events; what it was is kept.
            Action::FailPendingCalls(failure) => self.failure = self.failure.or(Some(failure)),
            Action::ReturnError(failure) => return Err(CallError::Failed(failure)),
            // Text leaves when it is polled; the calls do the rest themselves.
            Action::SendText
            | Action::DiscardSegment
            | Action::QueueCall
            | Action::ReturnOk
            | Action::ReturnText
            | Action::ReturnState => {}
        }
        Ok(())
    }

    /// The state changes. What follows from the new state alone stands here.
    pub(super) fn enter(&mut self, now: Instant, to: State) {
        self.state = to;
        match to {
            State::FinWait2 => self.limit_fin_wait_2(now),
            State::Closed => self.events.note(Events::CLOSED),
            State::Listen
            | State::SynSent
            | State::SynReceived
            | State::Established
            | State::FinWait1
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => {}
        }
    }

    /// An orphan does not wait for the peer's FIN for ever (not in RFC 9293; `tcp_fin_timeout`).
    pub(super) fn limit_fin_wait_2(&mut self, now: Instant) {
        self.timers.state = match self.policy.fin_wait_2_timeout {
            Some(timeout) if self.program.gone => Deadline::at(now + timeout),
            _ => Deadline::NONE,
        };
    }

    fn create(&mut self, now: Instant) {
        self.timers.heard = now;
        self.begin_counting(now);
        self.set_fast_open(None);
        self.agreed.fast_open = false;
        self.timers.keepalive_probes = 0;
        self.timers.persist_probes = 0;
        self.failure = None;
        self.events = Events::default();
        // What the last connection had received, and what its program had done, is not this one's.
        self.text_in.clear();
        self.receive.fin_received = false;
        self.send.path_mtu = self.policy.mtu;
        let last = core::mem::take(&mut self.program);
        self.program.may_reopen = last.may_reopen;
        self.program.keepalive = last.keepalive;
    }

    /// Deletes the TCB: all queues are flushed and no timer runs (RFC 9293 §3.10.7.4). What was
    /// received in order and acknowledged is kept for a program that is still there.
    pub(super) fn delete(&mut self) {
        // A program whose CLOSE still waited has let go of it all the same.
        self.program.gone |= self.program.close_queued;
        self.text_out.clear();
        if self.program.gone {
            self.text_in.clear();
        } else {
            self.text_in.drop_stretches();
        }
        self.recovery.forget();
        self.recovery.release();
        self.due = super::Due::default();
        self.timers.ack = Deadline::NONE;
        self.timers.persist = Deadline::NONE;
        self.timers.state = Deadline::NONE;
        self.send.fin_queued = false;
        self.send.fin_sent = false;
        self.receive.held_fin = None;
        self.program.close_queued = false;
        self.program.shutdown_queued = false;
    }

    /// Back to LISTEN: the peer and everything sent to it are forgotten (RFC 9293 §3.10.7.4).
    fn forget_peer(&mut self) {
        let (address, port) = (self.pair.local_address, self.pair.local_port);
        let steps = self.steps;
        let program = core::mem::take(&mut self.program);
        *self = Self::new(self.policy.clone());
        self.steps = steps;
        self.program.may_reopen = program.may_reopen;
        self.program.close_queued = program.close_queued;
        self.program.shutdown_queued = program.shutdown_queued;
        self.program.keepalive = program.keepalive;
        self.pair = FourTuple { local_address: address, local_port: port, ..FourTuple::UNSPECIFIED };
    }

    fn signal(&mut self, failure: Failure) {
        // A program that has gone is told nothing.
        if self.program.gone {
            return;
        }
        let failure = match failure {
            // The RFC says "connection reset" where the answer to a SYN is a reset; every program
            // knows it as "connection refused".
            Failure::ConnectionReset if self.state == State::SynSent => Failure::ConnectionRefused,
            Failure::ConnectionRefused if self.policy.is_linux() => Failure::ConnectionReset,
            other => other,
        };
        self.failure = Some(failure);
        self.events.note(Events::FAILED);
    }

    fn reset(&mut self, now: Instant, form: ResetForm, arrival: Option<&Arrival<'_>>) {
        let reply = match (form, arrival) {
            (ResetForm::AtSendNext, _) | (_, None) => {
                // Behind the window the peer would not accept it (RFC 5961 §3): stay inside.
                let seq = self
                    .send
                    .next
                    .earlier(self.send.unacknowledged + self.send.window)
                    .later(self.send.unacknowledged);
                let ack = (self.state != State::SynSent).then_some(self.receive.next);
                let agreed = self.agreed.timestamps && self.state != State::SynSent;
                let timestamps = (agreed && arrival.is_none()).then(|| self.timestamps(now));
                Reply::reset(self.pair, seq, ack, timestamps)
            }
            (form, Some(arrival)) => Reply::to(arrival.envelope, arrival.segment, form, self.send.next),
        };
        self.set_reply(reply);
    }

    fn start_time_wait(&mut self, now: Instant) {
        self.recovery.forget();
        self.recovery.release();
        self.text_out.clear();
        self.text_out.release();
        self.timers.persist = Deadline::NONE;
        self.timers.state = Deadline::at(now + self.policy.time_wait);
    }

    fn retransmit(&mut self, now: Instant) {
        let handshake = !self.send.syn_acknowledged;
        let steady = handshake
            && self.state == State::SynSent
            && self.recovery.backoffs() < self.policy.syn_linear_timeouts;
        let reduced = self.recovery.on_retransmission_timeout(now, steady, &self.policy);
        self.due.window_reduced |= reduced && self.agreed.ecn;
        self.due.handshake |= handshake;
        if !handshake {
            self.suspect_black_hole(now);
            self.follow_probe(now);
        }
    }

    /// Loss recovery as a fresh connection has it.
    pub(super) fn fresh_recovery(&mut self) {
        self.recovery = LossRecovery::new(&self.policy);
    }
}
