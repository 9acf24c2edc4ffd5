//! The facts that decide which rule answers a segment or a call.

use super::Connection;
use crate::rules::{Condition, Facts};
use crate::{Flags, Instant, ReceiveWindow, Segment, SeqNumber, State};

/// A timestamp older than this may have wrapped and proves nothing (RFC 7323 §5.5): 24 days.
const TIMESTAMP_LIFETIME_SECONDS: u32 = 24 * 24 * 3_600;

impl Connection {
    /// RCV.NXT and RCV.WND as announced.
    #[inline]
    pub(super) const fn receive_window(&self) -> ReceiveWindow {
        ReceiveWindow { next: self.receive.next, size: self.receive.edge.offset_from(self.receive.next) }
    }

    /// The facts about a call.
    pub(super) fn call_facts(&self) -> Facts {
        Facts::NONE
            .set(Condition::PassiveOpen, self.is_back_to_listen())
            .set(
                Condition::RemoteKnown,
                self.pair.remote_port != 0 && !self.pair.remote_address.is_unspecified(),
            )
            .set(Condition::TextQueued, !self.text_out.is_empty())
            .set(Condition::UnreadText, self.text_in.readable() > 0)
    }

    /// Whether a reset in SYN_RECV leaves nothing behind. A Fast Open belongs to a program already: it learns of
    /// the end as after an active open.
    pub(super) const fn is_back_to_listen(&self) -> bool {
        self.agreed.passive && !self.agreed.fast_open
    }

    /// The facts about an arriving segment.
    #[inline]
    pub(super) fn segment_facts(&self, now: Instant, segment: &Segment<'_>) -> Facts {
        let flags = segment.flags;
        // What flags alone settle, except that a FIN counts only in sequence.
        let facts = Facts::of_flags(flags.difference(Flags::FIN))
            .set(Condition::PassiveOpen, self.is_back_to_listen());
        match self.state {
            State::Closed | State::Listen => facts,
            State::SynSent => self.synchronizing_facts(segment, facts),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => self.sequence_facts(now, segment, facts),
        }
    }

    /// In SYN_SENT there is no sequence number to compare with yet (RFC 9293 §3.10.7.3).
    fn synchronizing_facts(&self, segment: &Segment<'_>, facts: Facts) -> Facts {
        let ack = segment.flags.contains(Flags::ACK)
            && segment.ack.gt(self.send.initial)
            && segment.ack.le(self.send.next);
        facts
            .set(Condition::AckAcceptable, ack)
            // Its text comes first, and only what the window takes of it.
            .set(
                Condition::Fin,
                segment.flags.contains(Flags::FIN) && segment.text.len() <= self.text_in.free() as usize,
            )
    }

    #[inline]
    fn sequence_facts(&self, now: Instant, segment: &Segment<'_>, facts: Facts) -> Facts {
        let flags = segment.flags;
        let window = self.receive_window();
        let next = window.next;
        let control = flags.intersects(Flags::RST | Flags::SYN);
        let acceptable = if control {
            // RFC 5961 §3.2, §4.2: the number of the control itself has to lie in the window.
            window.accepts(segment.seq, 0)
        } else if window.size == 0 {
            segment.seq == next
        } else {
            // An empty segment at the right edge comes from a peer whose window is all in flight. Its
            // acknowledgment counts (`tcp_sequence`): where it was refused, two such peers whose text was
            // lost would answer each other's answers.
            window.accepts(segment.seq, segment.len())
                || (segment.is_empty() && segment.seq == next + window.size)
        };
        // RFC 7323 §5.3: RST is not subject to PAWS.
        let acceptable = acceptable && (flags.contains(Flags::RST) || !self.is_older(now, segment));

        let text_end = segment.seq + segment.text.len() as u32;
        let fin = acceptable
            && !control
            && flags.contains(Flags::FIN)
            && segment.seq.le(next)
            && text_end.ge(next)
            && window.size > 0
            // All the text before it fits the memory too: a window is told in steps, rounded up.
            && text_end.offset_from(next) <= window.size.min(self.text_in.free());
        let fin_repeated = !control && !acceptable && flags.contains(Flags::FIN) && segment.end() == next;
        let text_after_close = acceptable
            && !control
            && self.program.gone
            && !segment.text.is_empty()
            && window.size > 0
            && text_end.gt(next);

        let ack_set = flags.contains(Flags::ACK);
        let ack_acceptable = ack_set && self.is_acceptable_ack(segment.ack);
        let acks_our_fin = ack_acceptable
            && self.send.fin_sent
            && (segment.ack == self.send.next || self.send.unacknowledged == self.send.next);
        let crossing = self.state == State::SynReceived
            && !acceptable
            && ack_acceptable
            && flags.contains(Flags::SYN)
            && !flags.intersects(Flags::RST | Flags::FIN)
            && !self.agreed.passive
            && segment.seq == self.receive.initial;

        facts
            .set(Condition::Acceptable, acceptable)
            .set(Condition::Exact, acceptable && segment.seq == next)
            .set(Condition::AckAcceptable, ack_acceptable)
            .set(Condition::AcksOurFin, acks_our_fin)
            .set(Condition::Fin, fin || fin_repeated)
            .set(Condition::FinRepeated, fin_repeated)
            .set(Condition::CrossingSynAck, crossing)
            .set(Condition::TextAfterClose, text_after_close)
            .set(Condition::NewIncarnation, self.state == State::TimeWait && self.may_reopen(segment))
    }

    /// SEG.ACK acknowledges something it may: in SYN_RECV our SYN, later anything that is not too
    /// old for the largest window the peer ever announced (RFC 5961 §5.2).
    #[inline]
    pub(super) fn is_acceptable_ack(&self, ack: SeqNumber) -> bool {
        if ack.gt(self.send.next) {
            return false;
        }
        if self.state == State::SynReceived {
            ack.gt(self.send.unacknowledged)
        } else {
            ack.ge(self.send.unacknowledged - self.send.largest_window)
        }
    }

    /// Protection against wrapped sequence numbers (RFC 7323 §5.3 R1): the segment's timestamp is
    /// older than one seen before.
    #[inline]
    pub(super) fn is_older(&self, now: Instant, segment: &Segment<'_>) -> bool {
        if !self.agreed.timestamps {
            return false;
        }
        let Some(timestamps) = segment.options.timestamps() else {
            // RFC 7323 §3.2 would drop it in silence; like Linux, we go by its numbers.
            return false;
        };
        let age = seconds(now).wrapping_sub(self.receive.timestamp_at);
        SeqNumber(timestamps.value).lt(SeqNumber(self.receive.timestamp)) && age < TIMESTAMP_LIFETIME_SECONDS
    }

    /// RFC 6191 §2, RFC 9293 §3.6.1 (MAY-2): a SYN is new enough to end TIME_WAIT if its timestamp
    /// is newer than the last one, or where there is none to compare, its number.
    fn may_reopen(&self, segment: &Segment<'_>) -> bool {
        let flags = segment.flags;
        if !self.program.may_reopen
            || !flags.contains(Flags::SYN)
            || flags.intersects(Flags::RST | Flags::ACK)
        {
            return false;
        }
        let newer_number = segment.seq.gt(self.receive.next);
        match segment.options.timestamps() {
            Some(timestamps) if self.agreed.timestamps => {
                let known = SeqNumber(self.receive.timestamp);
                let value = SeqNumber(timestamps.value);
                value.gt(known) || (value == known && newer_number)
            }
            _ => newer_number,
        }
    }
}

/// The clock of timestamps' ages.
pub(super) const fn seconds(now: Instant) -> u32 {
    (now.as_micros() / 1_000_000) as u32
}
