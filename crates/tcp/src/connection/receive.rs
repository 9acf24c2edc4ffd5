//! Arriving segments: from the facts to the rule, and what comes in sequence after it.

use core::time::Duration;

use super::step::Arrival;
use super::types::{Envelope, Held};
use super::{Connection, facts};
use crate::rules::{Condition, Event, Facts};
use crate::{Deadline, Ecn, Flags, Instant, Segment, State};

/// How long the last ACK of a handshake waits for text (Linux `TCP_DELACK_MAX`).
const LONGEST_WAIT: Duration = Duration::from_millis(200);

impl Connection {
    /// Takes a segment that has arrived for this connection. The caller has found the connection by
    /// the addresses and ports and has judged the checksum.
    pub fn handle_segment(&mut self, now: Instant, envelope: &Envelope, segment: &Segment<'_>) {
        self.steps.clear();
        self.send.held.set(Held::MORE, false);
        let facts = self.segment_facts(now, segment);
        if facts.holds(Condition::Acceptable) {
            self.note_acceptable(now, envelope, segment, facts);
        } else {
            self.note_duplicate(segment, facts);
        }
        let _ = self.step(now, Event::Segment, facts, Some(&Arrival { envelope, segment, facts }));
        self.carry_out_queued_calls(now);
        self.release_held(now, envelope, segment);
    }

    /// What every acceptable segment tells, whatever else becomes of it.
    fn note_acceptable(&mut self, now: Instant, envelope: &Envelope, segment: &Segment<'_>, facts: Facts) {
        self.timers.heard = now;
        self.timers.keepalive_probes = 0;
        if segment.flags.contains(Flags::RST) {
            return;
        }
        // RFC 7323 §4.3 (2): only a segment that covers the last ACK sent, so that a delayed ACK
        // echoes the earliest segment it answers. One with an impossible acknowledgment is somebody's guess: its
        // timestamp would shut the peer out (RFC 7323 §5.3).
        let believable = !facts.holds(Condition::Ack) || facts.holds(Condition::AckAcceptable);
        if self.agreed.timestamps
            && believable
            && segment.seq.le(self.receive.acknowledged)
            && let Some(timestamps) = segment.options.timestamps()
            // Newer, or the last one is so old that it proves nothing (RFC 7323 §5.5).
            && !self.is_older(now, segment)
        {
            self.receive.timestamp = timestamps.value;
            self.receive.timestamp_at = facts::seconds(now);
        }
        if self.agreed.ecn && !segment.flags.contains(Flags::SYN) {
            // RFC 3168 §6.1.3: CWR answers our ECE; a new mark asks again.
            if segment.flags.contains(Flags::CWR) {
                self.due.echo_congestion = false;
            }
            if envelope.ecn == Ecn::Ce {
                self.due.echo_congestion = true;
                self.due.ack |= self.policy.is_linux();
            }
        }
    }

    /// Text that was received before is told with the next ACK (RFC 2883 §4).
    fn note_duplicate(&mut self, segment: &Segment<'_>, facts: Facts) {
        if facts.holds(Condition::CrossingSynAck) && self.agreed.sack && self.policy.is_linux() {
            // Linux tells of the SYN like of any other number that came twice.
            let initial = self.receive.initial;
            self.note_twice(crate::SackBlock { start: initial, end: initial + 1 });
        } else if self.agreed.sack
            && self.state.is_synchronized()
            && !segment.text.is_empty()
            && !segment.flags.intersects(Flags::SYN | Flags::RST)
            && segment.seq.lt(self.receive.next)
        {
            let end = (segment.seq + segment.text.len() as u32).earlier(self.receive.next);
            self.note_twice(crate::SackBlock { start: segment.seq, end });
        }
    }

    /// What was held becomes the connection's once nothing before it is missing: text and FIN of a
    /// SYN when the connection opens, a FIN behind a gap when the gap is filled. Each is handled as a
    /// segment that arrives only now.
    fn release_held(&mut self, now: Instant, envelope: &Envelope, segment: &Segment<'_>) {
        if !self.state.is_synchronized() {
            return;
        }
        let advanced = self.text_in.take_held(self.receive.next);
        if advanced > 0 {
            self.receive.next += advanced;
            self.due.ack = true;
            self.events.note(super::types::Events::READABLE);
        }
        if self.receive.held_fin.is_some_and(|fin| fin == self.receive.next) {
            self.receive.held_fin = None;
            let fin = Segment {
                seq: self.receive.next,
                ack: self.send.unacknowledged,
                flags: Flags::FIN | Flags::ACK,
                window: 0,
                options: crate::Options::EMPTY,
                text: crate::Text::default(),
                ..*segment
            };
            let facts = Facts::of(&[
                Condition::Acceptable,
                Condition::Ack,
                Condition::AckAcceptable,
                Condition::Exact,
                Condition::Fin,
            ])
            .set(Condition::PassiveOpen, self.is_back_to_listen())
            .set(Condition::AcksOurFin, self.send.fin_sent && self.send.unacknowledged == self.send.next);
            // It acknowledges nothing new and brings no window: that was in the segment that came.
            let window = (self.send.window, self.send.window_seq, self.send.window_ack);
            let _ = self.step(now, Event::Segment, facts, Some(&Arrival { envelope, segment: &fin, facts }));
            (self.send.window, self.send.window_seq, self.send.window_ack) = window;
        }
    }

    /// A segment that is not acceptable, or asks for a proof of life, is answered with an ACK, not
    /// more often than the policy says (RFC 5961 §7; `tcp_invalid_ratelimit`).
    pub(super) fn answer_invalid(&mut self, now: Instant, arrival: Option<&Arrival<'_>>, challenge: bool) {
        let Some(arrival) = arrival else {
            self.due.ack = true;
            return;
        };
        let facts = arrival.facts;
        let ordinary = facts.holds(Condition::Acceptable)
            || facts.holds(Condition::CrossingSynAck)
            || self.state == State::SynSent;
        if ordinary && !challenge {
            // Part of the ordinary course: the ACK of a SYN+ACK, or of a FIN in TIME_WAIT.
            if self.program.text_follows && self.state == State::SynSent && self.policy.is_linux() {
                self.timers.ack = Deadline::at(now + LONGEST_WAIT);
            } else {
                self.due.ack = true;
            }
            return;
        }
        // RFC 9293 §3.10.7.4 (first): a reset is never answered; Linux answers nothing without ACK.
        let segment = arrival.segment;
        if self.policy.is_linux() && !segment.flags.intersects(Flags::ACK | Flags::SYN | Flags::RST) {
            return;
        }
        // What brings text is answered always: its sender waits for the number.
        let limited = challenge || segment.text.is_empty() || segment.flags.contains(Flags::SYN);
        if limited && !self.may_answer_invalid(now) {
            return;
        }
        self.due.ack = true;
    }

    fn may_answer_invalid(&mut self, now: Instant) -> bool {
        let timers = &mut self.timers;
        if let Some(last) = timers.invalid_answered.get() {
            if now.duration_since(last) < self.policy.invalid_rate_limit {
                return false;
            }
            if now.micros_since(last) < 1_000_000
                && u32::from(timers.challenges) >= self.policy.challenge_ack_limit
            {
                return false;
            }
            if now.micros_since(last) >= 1_000_000 {
                timers.challenges = 0;
                timers.invalid_answered = Deadline::at(now);
            } else if !self.policy.invalid_rate_limit.is_zero() {
                timers.invalid_answered = Deadline::at(now);
            }
        } else {
            timers.invalid_answered = Deadline::at(now);
        }
        timers.challenges = timers.challenges.saturating_add(1);
        true
    }

    /// Text of an acceptable segment (RFC 9293 §3.10.7.4, seventh): what lies in the window is
    /// kept, in order or not.
    pub(super) fn deliver_text(&mut self, now: Instant, segment: &Segment<'_>, facts: Facts) {
        let seq = segment.seq + u32::from(segment.flags.contains(Flags::SYN));
        let fin = segment.flags.contains(Flags::FIN);
        if segment.text.is_empty() && !fin {
            return;
        }
        let window = self.receive_window();
        // What lies behind the right edge is left away, and a FIN with it.
        let edge = window.next + window.size;
        let room = u32::try_from(edge.distance(seq)).unwrap_or(0);
        let text = segment.text.take(room as usize);
        let whole = text.len() == segment.text.len();
        if fin && whole && !facts.holds(Condition::Fin) && (seq + text.len() as u32).lt(edge) {
            self.receive.held_fin = Some(seq + text.len() as u32);
        }
        if segment.text.is_empty() {
            // A lone FIN behind a gap: the sender learns what is missing.
            self.due.ack |= !facts.holds(Condition::Fin);
            return;
        }
        self.receive.segment_size = self.receive.segment_size.max(segment.text.len().min(0xffff) as u16);
        let inserted = self.text_in.insert(window.next, seq, text);
        if let Some(duplicate) = inserted.duplicate.filter(|_| self.agreed.sack) {
            self.note_twice(duplicate);
        }
        self.count(|counters| {
            counters.text_heard_at = now;
            counters.received += u64::from(inserted.advanced);
        });
        if inserted.advanced > 0 {
            self.receive.next += inserted.advanced;
            self.events.note(super::types::Events::READABLE);
        }
        if inserted.gap || inserted.advanced == 0 || !whole || inserted.duplicate.is_some() {
            // RFC 5681 §4.2: out of order, filling a gap, a duplicate or too much: at once.
            self.due.ack = true;
            if inserted.gap {
                self.receive.quick_acks = self.policy.delayed_ack.quick;
            }
        } else {
            self.delay_ack(now);
        }
    }

    /// RFC 1122 §4.2.3.2, RFC 5681 §4.2: an ACK for at least every second full-sized segment, and
    /// within the delay.
    fn delay_ack(&mut self, now: Instant) {
        let unacknowledged = self.receive.next.offset_from(self.receive.acknowledged);
        if self.receive.quick_acks > 0 {
            self.receive.quick_acks -= 1;
            self.due.ack = true;
        } else if unacknowledged > u32::from(self.receive.segment_size) {
            self.due.ack = true;
        } else if !self.timers.ack.is_set() {
            self.timers.ack = Deadline::at(now + self.policy.delayed_ack.delay);
        }
    }

    /// RFC 9293 §3.10.7.4, eighth: the FIN takes a number and is acknowledged.
    ///
    /// Linux lets that ACK wait for company while the program may still say something, as it does with the ACK of text
    /// (`tcp_fin` enters the interactive mode): a program that closes at once has its FIN take it along.
    pub(super) fn consume_fin(&mut self, now: Instant) {
        self.receive.next += 1;
        self.receive.edge = self.receive.edge.later(self.receive.next);
        self.receive.fin_received = true;
        self.receive.held_fin = None;
        self.text_in.drop_stretches();
        let may_answer = matches!(self.state, State::Established | State::CloseWait);
        if self.policy.is_linux() && may_answer && self.receive.quick_acks == 0 {
            self.delay_ack(now);
        } else {
            self.due.ack = true;
        }
    }

    /// The window to announce: never less than was announced before, and more only where it is
    /// worth telling (RFC 9293 §3.8.6.2.2, the receiver's part against the silly window).
    pub(super) fn window_to_offer(&self) -> u32 {
        let announced = self.receive.edge.offset_from(self.receive.next);
        // No more than sixteen bits can tell.
        let free = self.text_in.free().min(u32::from(u16::MAX) << self.agreed.receive_scale);
        let worth = (self.text_in.limit() / 2).min(u32::from(self.receive.segment_size)).max(1);
        if free >= announced.saturating_add(worth) { free } else { announced }
    }

    /// The window field of a segment, and the right edge it stands for.
    pub(super) fn announce_window(&mut self) -> u16 {
        let scale = self.agreed.receive_scale;
        let offered = self.window_to_offer();
        let announced = self.receive.edge.offset_from(self.receive.next);
        let mut field = (offered >> scale).min(u32::from(u16::MAX));
        // Rounding down seems to take back a little of what was announced (RFC 7323 §2.4): rounded up where there is
        // memory for it. Otherwise the right edge stays where it is, and the peer is told less than that.
        let up = (field + 1) << scale;
        if (field << scale) < announced && field < u32::from(u16::MAX) && up <= self.text_in.free() {
            field += 1;
        }
        let edge = self.receive.next + (field << scale);
        self.receive.edge = self.receive.edge.later(edge);
        field as u16
    }

    /// Everything received so far is acknowledged by what leaves now.
    pub(super) fn acknowledged_all(&mut self) {
        self.due.ack = false;
        self.timers.ack = Deadline::NONE;
        self.receive.acknowledged = self.receive.next;
        self.told_twice();
    }
}
