//! Acknowledgments: what the peer has, and what it is ready to take (RFC 9293 §3.10.7.4, fifth).

use super::Connection;
use super::step::Arrival;
use super::types::Events;
use crate::recovery::Acknowledgment;
use crate::{Deadline, Flags, Instant, SackBlocks, State};

impl Connection {
    /// Lets an acceptable acknowledgment count. An old one brings only SACK blocks.
    pub(super) fn accept_ack(&mut self, now: Instant, arrival: &Arrival<'_>) {
        let segment = arrival.segment;
        let una = self.send.unacknowledged;
        let ack = segment.ack;
        let window_before = self.send.window;
        if ack.ge(una) {
            self.update_window(arrival);
        }
        let sack = if self.agreed.sack { segment.options.sack() } else { SackBlocks::EMPTY };
        if ack == una && self.send.next == una && sack.is_empty() {
            // Nothing is outstanding: there is nothing to acknowledge, and nothing came twice.
            self.after_window_update(window_before);
            return;
        }
        let echoed = match segment.options.timestamps() {
            Some(timestamps) if self.agreed.timestamps && timestamps.echo_reply != 0 => {
                let age = self.timestamp_clock(now).wrapping_sub(timestamps.echo_reply);
                // An echo from the future is none.
                age.checked_mul(1_000)
            }
            _ => None,
        };
        let duplicate_candidate = ack == una
            && segment.is_empty()
            && self.send.window == window_before
            && !segment.flags.contains(Flags::SYN);
        let outcome = self.recovery.on_ack(
            now,
            &Acknowledgment {
                ack: self.heard_by_recovery(ack),
                una,
                next: self.heard_by_recovery(self.send.next),
                sack: &sack,
                echoed,
                ece: self.agreed.ecn
                    && segment.flags.contains(Flags::ECE)
                    && !segment.flags.contains(Flags::SYN),
                duplicate_candidate,
            },
            &self.policy,
        );
        self.due.window_reduced |= outcome.send_cwr && self.agreed.ecn;
        self.follow_probe(now);
        let size = u32::from(self.segment_size());
        self.count(|counters| counters.delivered += outcome.delivered.div_ceil(size));
        if ack.gt(una) {
            self.advance(now, ack);
        }
        self.after_window_update(window_before);
    }

    /// SND.UNA moves on.
    fn advance(&mut self, now: Instant, ack: crate::SeqNumber) {
        let mut text = ack.offset_from(self.send.unacknowledged);
        if !self.send.syn_acknowledged {
            self.send.syn_acknowledged = true;
            if self.state.is_synchronized() {
                // Closed in SYN_RECV: nobody is told that it is open, but it is.
                self.established();
            }
            self.due.handshake = false;
            self.settle_syn_text(ack);
            text -= 1;
        }
        if self.send.fin_sent && ack == self.send.next {
            text = text.saturating_sub(1);
        }
        self.send.unacknowledged = ack;
        self.text_out.consume(text);
        self.forget_records(ack);
        self.count(|counters| counters.acknowledged += u64::from(text));
        self.timers.persist_probes = 0;
        self.timers.persist_backoff = 0;
        self.timers.persist = Deadline::NONE;
        if self.program.wants_room && self.text_out.free(self.send_limit()) >= self.send_limit() / 3 {
            self.program.wants_room = false;
            self.events.note(Events::WRITABLE);
        }
        self.text_out.release_if_small();
        self.plan_release(now);
    }

    /// The send window is updated by newer segments only (RFC 9293 §3.10.7.4). One that acknowledges
    /// more than any before is newer whatever its number: text that is sent again has an old number
    /// and the window of today (`tcp_may_update_window`).
    fn update_window(&mut self, arrival: &Arrival<'_>) {
        let segment = arrival.segment;
        let send = &mut self.send;
        let newer = send.window_seq.lt(segment.seq)
            || (send.window_seq == segment.seq && send.window_ack.le(segment.ack))
            || send.unacknowledged.lt(segment.ack)
            || self.state == State::SynSent
            || !send.syn_acknowledged;
        if !newer {
            return;
        }
        // The window of a SYN is never scaled (RFC 7323 §2.2).
        let scale = if segment.flags.contains(Flags::SYN) { 0 } else { self.agreed.send_scale };
        send.window = u32::from(segment.window) << scale;
        send.largest_window = send.largest_window.max(send.window);
        send.window_seq =
            if send.syn_acknowledged { send.window_seq.later(segment.seq) } else { segment.seq };
        send.window_ack = segment.ack;
    }

    /// An open window needs no probes. An answer to a probe shows a living peer, but asking it more often
    /// is of no use (RFC 9293 §3.8.6.1, SHLD-30).
    const fn after_window_update(&mut self, before: u32) {
        self.timers.persist_probes = 0;
        if self.send.window > before {
            self.timers.persist_backoff = 0;
            self.timers.persist = Deadline::NONE;
        }
    }
}
