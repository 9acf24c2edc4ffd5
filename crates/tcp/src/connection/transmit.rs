//! What goes onto the wire, and when.
//!
//! A segment is planned first, as numbers, and its text is borrowed from the send buffer only when
//! everything is decided.

use super::Connection;
use super::reply::Reply;
use super::types::{Envelope, Transmit};
use crate::recovery::Sent;
use crate::segment::{Options, TcpOption};
use crate::{Deadline, Ecn, Flags, Instant, Segment, SeqNumber, State};

/// What is sent next.
#[derive(Clone, Copy)]
pub(crate) enum Planned {
    /// A segment that is not part of the connection.
    Reply(Reply),
    /// One that is.
    Segment(Plan),
}

/// A segment as numbers.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    seq: SeqNumber,
    /// Bytes of text from `seq` on.
    text: u32,
    flags: Flags,
    /// Text for the first time may be marked on the way (RFC 3168 §6.1.5).
    markable: bool,
    /// It tells everything received so far: nothing is left to be acknowledged. A probe does not.
    acknowledges: bool,
    /// It is larger than a segment, and not to be cut: whether it arrives is what it is sent for.
    whole: bool,
}

/// What timestamps take of each segment (RFC 7323 appendix A).
const TIMESTAMPS_LENGTH: u32 = 12;

impl Connection {
    /// The next segment to send, or `None` if there is nothing to send now.
    ///
    /// To be called after everything else until it returns `None`.
    #[inline]
    pub fn poll_transmit(&mut self, now: Instant) -> Option<Transmit<'_>> {
        let planned = self.plan_transmit(now)?;
        Some(self.carry_out(now, planned))
    }

    /// The first half of [`Connection::poll_transmit`]: everything is decided, nothing is borrowed.
    pub(crate) fn plan_transmit(&mut self, now: Instant) -> Option<Planned> {
        if !self.may_have_something_to_send() {
            return None;
        }
        if let Some(reply) = self.take_reply() {
            return Some(Planned::Reply(reply));
        }
        let plan = match self.state {
            State::Closed | State::Listen => None,
            State::SynSent => self.plan_handshake(now),
            State::SynReceived
            | State::Established
            | State::FinWait1
            | State::FinWait2
            | State::CloseWait
            | State::Closing
            | State::LastAck
            | State::TimeWait => self.plan_handshake(now).or_else(|| self.plan_open(now)),
        };
        plan.map(Planned::Segment)
    }

    /// False where there is nothing to send for certain. It is asked after each segment and each call.
    #[inline]
    fn may_have_something_to_send(&self) -> bool {
        let due = &self.due;
        (due.handshake | due.ack | due.window_probe | due.keepalive_probe | due.tail_loss_probe)
            || self.has_reply()
            || self.recovery.has_something_due()
            || self.has_text_to_send()
    }

    /// The second half: the segment with its text.
    #[inline]
    pub(crate) fn carry_out(&mut self, now: Instant, planned: Planned) -> Transmit<'_> {
        match planned {
            Planned::Reply(reply) => reply.transmit(),
            Planned::Segment(plan) => self.build(now, plan),
        }
    }

    /// SYN, or SYN+ACK, until it is acknowledged.
    #[inline]
    fn plan_handshake(&mut self, now: Instant) -> Option<Plan> {
        if !self.due.handshake || self.send.syn_acknowledged {
            return None;
        }
        self.due.handshake = false;
        let initial = self.send.initial;
        let again = self.recovery.outstanding() > 0;
        let mut flags = Flags::SYN;
        if self.state != State::SynSent {
            flags = flags | Flags::ACK;
            if self.agreed.ecn {
                flags = flags | Flags::ECE;
            }
        } else if self.agreed.ecn && self.recovery.backoffs() == 0 {
            // RFC 3168 §6.1.1.1: a SYN that went unanswered is sent again without the offer.
            flags = flags | Flags::ECE | Flags::CWR;
        }
        let kind = if again { Sent::Retransmission } else { Sent::New };
        self.recovery.on_sent(now, initial, initial + 1, kind);
        if again {
            self.count(|counters| counters.retransmissions += 1);
        }
        let text = self.text_of_syn(again);
        if text > 0 {
            self.send.next = initial + 1 + text;
        }
        Some(Plan {
            seq: initial,
            text,
            flags,
            markable: false,
            acknowledges: self.state != State::SynSent,
            whole: false,
        })
    }

    /// Everything after the opening: lost text, new text, FIN, probes, ACKs, in this order.
    fn plan_open(&mut self, now: Instant) -> Option<Plan> {
        // Linux lets neither text nor FIN leave before our SYN is acknowledged, even in FIN_WAIT1.
        let waits = self.policy.is_linux() && !self.send.syn_acknowledged;
        let opening = (self.state == State::SynReceived || waits) && !self.is_fast_opened();
        if !opening && let Some(plan) = self.plan_text(now) {
            return Some(plan);
        }
        if self.due.window_probe || self.due.keepalive_probe {
            self.due.window_probe = false;
            self.due.keepalive_probe = false;
            // One number back: a living peer has to answer what it has already seen (RFC 9293 §3.8.4).
            let seq = if self.send.unacknowledged == self.send.next {
                self.send.next - 1
            } else {
                self.send.unacknowledged - 1
            };
            // An ACK that is due still goes out: the peer takes nothing from an old number.
            return Some(self.plan_ack(seq, false));
        }
        // Behind a window that has shrunk the peer would not accept it (RFC 9293 §3.8.6).
        let una = self.send.unacknowledged;
        let seq = self.send.next.earlier(una + self.send.window).later(una);
        self.due.ack.then(|| self.plan_ack(seq, true))
    }

    fn plan_ack(&self, seq: SeqNumber, acknowledges: bool) -> Plan {
        Plan { seq, text: 0, flags: self.ack_flags(), markable: false, acknowledges, whole: false }
    }

    fn ack_flags(&self) -> Flags {
        if self.due.echo_congestion && self.agreed.ecn { Flags::ACK | Flags::ECE } else { Flags::ACK }
    }

    /// How many bytes the options of a segment take now.
    fn options_len(&self) -> u32 {
        if self.tells_sack() {
            self.options_with_sack(Instant::ZERO).padded_len() as u32
        } else if self.agreed.timestamps {
            12
        } else {
            0
        }
    }

    /// Whether there is something to tell about text out of order.
    #[inline]
    fn tells_sack(&self) -> bool {
        self.agreed.sack && (self.text_in.has_gap() || self.duplicate().is_some())
    }

    /// The options of a segment of an open connection: timestamps, and what arrived out of order.
    fn options_with_sack(&self, now: Instant) -> Options {
        let mut options = if self.agreed.timestamps {
            Options::with_timestamps(self.timestamps(now))
        } else {
            Options::EMPTY
        };
        self.push_sack(&mut options);
        options
    }

    fn push_sack(&self, options: &mut Options) {
        let most = (Options::MAX_LENGTH - options.len() - 4) / 8;
        let held = self.text_in.sack_blocks(most);
        let duplicate = self.duplicate();
        // RFC 2883 §4: what came twice is told first, and if it lies within a block, that block next.
        let blocks = duplicate.into_iter().chain(held.iter().copied()).take(most).collect();
        for option in [TcpOption::NoOperation, TcpOption::NoOperation, TcpOption::Sack(blocks)] {
            let added = options.push(option);
            debug_assert!(added.is_ok());
        }
    }

    /// The number of the first byte in the send buffer.
    #[inline]
    pub(super) fn text_start(&self) -> SeqNumber {
        if self.send.syn_acknowledged { self.send.unacknowledged } else { self.send.initial + 1 }
    }

    /// Text that was never sent.
    #[inline]
    pub(super) fn unsent_text(&self) -> u32 {
        if self.send.fin_sent {
            return 0;
        }
        (self.text_start() + self.text_out.len()).offset_from(self.send.next)
    }

    /// Whether text or the FIN waits to be sent for the first time.
    #[inline]
    pub(super) fn has_text_to_send(&self) -> bool {
        let opened = matches!(
            self.state,
            State::Established | State::FinWait1 | State::CloseWait | State::Closing | State::LastAck
        );
        (opened || (self.state == State::SynReceived && self.is_fast_opened()))
            && !self.send.fin_sent
            && (self.send.fin_queued || self.unsent_text() > 0)
    }

    #[inline]
    fn plan_text(&mut self, now: Instant) -> Option<Plan> {
        let wants_new = self.recovery.prefers_new();
        if wants_new && let Some(plan) = self.plan_new_text(now) {
            return Some(plan);
        }
        if let Some((start, end)) = self.recovery.retransmission() {
            // The first lost segment goes whatever the peer's window has become: its answer tells.
            let window_end = self.send.unacknowledged + self.send.window;
            let first = start == self.send.unacknowledged;
            if (first || end.le(window_end))
                && (first || self.recovery.allowance() > 0 || self.send.window == 0)
            {
                return self.plan_again(now, start, end, Sent::Retransmission);
            }
        }
        if core::mem::take(&mut self.due.tail_loss_probe)
            && let Some(plan) = self.plan_tail_loss_probe(now)
        {
            return Some(plan);
        }
        self.plan_new_text(now)
    }

    /// A range that was sent before.
    fn plan_again(&mut self, now: Instant, start: SeqNumber, end: SeqNumber, kind: Sent) -> Option<Plan> {
        if start == self.send.initial && !self.send.syn_acknowledged {
            self.due.handshake = true;
            return self.plan_handshake(now);
        }
        // A lost range is one segment at the most; nobody cuts it.
        let room = self.segment_room();
        let fin_at = self.send.next - 1;
        let mut end = end.earlier(start + room);
        if let Some(record) = self.record_end(start) {
            end = end.earlier(record);
        }
        let mut text = end.offset_from(start);
        let mut flags = self.ack_flags();
        if self.send.fin_sent && end.gt(fin_at) {
            text -= 1;
            flags = flags | Flags::FIN;
        } else if self.send.fin_sent && end == fin_at && text < room {
            // The FIN goes along with the last text.
            flags = flags | Flags::FIN;
            end = self.send.next;
        }
        if self.is_pushed(start, start + text) {
            flags = flags | Flags::PSH;
        }
        if text > u32::from(self.segment_size()) && self.policy.is_linux() {
            flags = flags | Flags::PSH;
        }
        self.recovery.on_sent(now, start, end, kind);
        self.count(|counters| counters.retransmissions += text.div_ceil(room).max(1));
        Some(Plan { seq: start, text, flags, markable: false, acknowledges: true, whole: false })
    }

    /// RFC 8985 §7.3: new text if the window has room for it, otherwise the last segment again.
    fn plan_tail_loss_probe(&mut self, now: Instant) -> Option<Plan> {
        let room = self.usable_window().min(u32::from(self.segment_size()));
        let text = self.unsent_text().min(room);
        if text > 0 {
            return Some(self.plan_new(now, text, Sent::TailLossProbe));
        }
        let (start, end) = self.recovery.last_missing()?;
        self.plan_again(now, start, end, Sent::TailLossProbe)
    }

    /// What the peer's window has left.
    #[inline]
    fn usable_window(&self) -> u32 {
        // The window of a SYN begins behind ours.
        let syn = u32::from(!self.send.syn_acknowledged);
        let edge = self.send.unacknowledged + syn + self.send.window;
        u32::try_from(edge.distance(self.send.next)).unwrap_or(0)
    }

    #[inline]
    fn plan_new_text(&mut self, now: Instant) -> Option<Plan> {
        if !self.has_text_to_send() {
            return None;
        }
        if self.policy.pacing {
            self.due.paced = now < self.timers.pacing;
            if self.due.paced {
                return None;
            }
        }
        let idle = self.send.unacknowledged == self.send.next;
        if idle && self.policy.restart_after_idle {
            self.recovery.restart_after_idle(now, &self.policy);
        }
        let unsent = self.unsent_text();
        let usable = self.usable_window();
        if let Some(text) = self.probe_size(now, unsent, usable) {
            let mut plan = self.plan_new(now, text, Sent::New);
            self.recovery.begin_trial(plan.seq, plan.seq + plan.text);
            plan.whole = true;
            return Some(plan);
        }
        let size = u32::from(self.segment_size());
        let most = self.most_at_once(size);
        // A SYN that is still out takes no room (RFC 7413 §4.2.2).
        let allowed = self.recovery.allowance().saturating_add(u32::from(!self.send.syn_acknowledged));
        // Congestion control counts whole segments: a remainder of the window is not worth a small one.
        let allowed = if allowed >= unsent.min(size) { allowed } else { 0 };
        let allowed = if allowed > size { allowed / size * size } else { allowed };
        let record = self.record_end(self.send.next).map_or(unsent, |end| end.offset_from(self.send.next));
        let text = unsent.min(record).min(usable).min(most).min(allowed.max(if idle { size } else { 0 }));
        let last = text == unsent;
        let fin = last && self.send.fin_queued && usable > text;
        // A record that something follows gets no larger.
        let complete = text == record && record < unsent;
        if (text == 0 && !fin) || !(complete || self.is_worth_sending(text, unsent, usable, size, idle, fin))
        {
            self.plan_persist(now, idle, usable, unsent);
            return None;
        }
        Some(self.plan_new(now, text, Sent::New))
    }

    /// How much one transmission may have. A device that cuts segments itself is not handed more than what leaves
    /// within a millisecond, and half a window, so that acknowledgments keep coming (Linux `tcp_tso_autosize`).
    fn most_at_once(&self, size: u32) -> u32 {
        let offload = self.policy.segmentation_offload;
        if offload <= size {
            return size;
        }
        let most = offload / size;
        if !self.policy.is_linux() {
            return most * size;
        }
        let paced = self.recovery.pacing_rate().map_or(u64::from(most), |rate| {
            let near = self.recovery.min_rtt().map_or(0, |rtt| rtt.as_micros() >> 9);
            let bonus = if near < 32 { u64::from(offload) >> near } else { 0 };
            ((rate >> 10) + bonus) / u64::from(size)
        });
        let half_window = (self.recovery.cwnd() / size / 2).max(1);
        let least = u32::from(self.policy.least_offload).max(1);
        let segments = u32::try_from(paced).unwrap_or(most).max(least);
        segments.min(most).min(half_window) * size
    }

    /// The sender's part against the silly window, and Nagle (RFC 9293 §3.8.6.2.1, §3.7.4).
    #[inline]
    fn is_worth_sending(
        &self,
        text: u32,
        unsent: u32,
        usable: u32,
        size: u32,
        idle: bool,
        fin: bool,
    ) -> bool {
        if text >= size || self.due.small_text {
            return true;
        }
        if self.send.held.waits() && unsent <= usable && !fin {
            return false;
        }
        if unsent <= usable {
            // All of it fits. Linux waits only while a small segment is on its way (Minshall).
            let waits = if self.policy.is_linux() {
                self.send.small_end.gt(self.send.unacknowledged)
                    // After two gigabytes of full segments an old one would look as if it lay ahead.
                    && self.send.small_end.le(self.send.next)
            } else {
                !idle
            };
            return fin || !self.policy.nagle || !waits;
        }
        if text < usable {
            // Held back by congestion control, not by the window: more will come together.
            return !self.policy.nagle || idle;
        }
        text > 0 && (idle || !self.policy.nagle) && text >= self.send.largest_window / 2
    }

    /// Nothing is in flight that could bring news of the window: it has to be asked for.
    fn plan_persist(&mut self, now: Instant, idle: bool, usable: u32, unsent: u32) {
        let shut = usable < unsent.max(1) || self.send.held.waits();
        if idle && shut && !self.timers.persist.is_set() && self.state.is_synchronized() {
            self.timers.persist = Deadline::at(now + self.persist_interval());
        }
    }

    #[inline]
    fn plan_new(&mut self, now: Instant, text: u32, kind: Sent) -> Plan {
        let size = u32::from(self.segment_size());
        // SACK blocks take their room from the text.
        let text = if self.tells_sack() { text.min(self.segment_room()) } else { text };
        let unsent = self.unsent_text();
        let usable = self.usable_window();
        let start = self.send.next;
        let mut flags = self.ack_flags();
        let mut end = start + text;
        if text == unsent && self.send.fin_queued && usable > text {
            flags = flags | Flags::FIN;
            end += 1;
            self.send.fin_sent = true;
        }
        if self.is_pushed(start, end) || (text > 0 && self.timers.persist_probes > 0) {
            flags = flags | Flags::PSH;
        }
        if text > 0 && self.policy.is_linux() && self.timers.ack.is_set() {
            // An acknowledgment that waited goes along: the two sides take turns, and what is heard next can wait for
            // the next answer (Linux's "pingpong" mode).
            self.receive.quick_acks = 0;
        }
        if text > size && self.policy.is_linux() && self.policy.segmentation_offload > 0 {
            // So that the receiver does not wait to join it with more (Linux `__tcp_transmit_skb`).
            flags = flags | Flags::PSH;
        }
        if text > 0 && core::mem::take(&mut self.due.window_reduced) {
            flags = flags | Flags::CWR;
        }
        if text % size != 0 {
            self.send.small_end = end;
        }
        // Text within the window asks as well as a probe does.
        self.due.window_probe &= text == 0;
        self.send.next = end;
        self.due.small_text = false;
        self.timers.persist = Deadline::NONE;
        self.recovery.on_sent(now, start, end, kind);
        if self.policy.pacing
            && let Some(rate) = self.recovery.pacing_rate()
        {
            let micros = u64::from(text) * 1_000_000 / rate.max(1);
            self.timers.pacing = self.timers.pacing.max(now).plus_micros(micros);
        }
        Plan { seq: start, text, flags, markable: text > 0, acknowledges: true, whole: false }
    }

    /// Whether the text from `start` up to `end` holds the end of a SEND or of a record (RFC 9293 §3.9.1.2).
    #[inline]
    fn is_pushed(&self, start: SeqNumber, end: SeqNumber) -> bool {
        let holds = |place: SeqNumber| place.gt(start) && place.le(end);
        holds(self.send.pushed) || self.record_end(start).is_some_and(holds)
    }

    /// The text a segment has room for beside its options.
    #[inline]
    fn segment_room(&self) -> u32 {
        let path = self.pair.largest_text(self.send.path_mtu);
        let own = self.policy.mss.filter(|_| self.policy.is_linux()).unwrap_or(u16::MAX);
        u32::from(self.send.peer_mss.min(path).min(own)).saturating_sub(self.options_len()).max(8)
    }

    /// The window of a SYN, which is not scaled (RFC 7323 §2.2). Linux offers whole segments
    /// (`tcp_select_initial_window`), in answer to a SYN without room for timestamps in each.
    fn window_of_syn(&self) -> u16 {
        let free = self.text_in.free().min(u32::from(u16::MAX));
        let stamps = if self.agreed.passive && self.agreed.timestamps { TIMESTAMPS_LENGTH } else { 0 };
        let segment = u32::from(self.advertised_mss()).saturating_sub(stamps).max(1);
        let rounds = self.policy.is_linux() && free > segment;
        (if rounds { free - free % segment } else { free }) as u16
    }

    #[inline]
    fn build(&mut self, now: Instant, plan: Plan) -> Transmit<'_> {
        let handshake = plan.flags.contains(Flags::SYN);
        // Anything else than timestamps, which nearly every segment has.
        let special = if handshake {
            Some(self.handshake_options(now))
        } else {
            self.tells_sack().then(|| self.options_with_sack(now))
        };
        if plan.acknowledges {
            self.acknowledged_all();
        }
        let window = if handshake {
            self.window_of_syn()
        } else if self.receive.fin_received {
            let announced = self.receive.edge.offset_from(self.receive.next).max(self.text_in.free());
            (announced >> self.agreed.receive_scale).min(u32::from(u16::MAX)) as u16
        } else {
            self.announce_window()
        };
        let acks = plan.flags.contains(Flags::ACK);
        let offset = (plan.seq + u32::from(handshake)).offset_from(self.text_start());
        let ecn = if plan.markable && self.agreed.ecn { Ecn::Ect0 } else { Ecn::NotEct };
        let segment_size = if plan.whole { plan.text as u16 } else { self.segment_size() };
        let timestamps = self.agreed.timestamps.then(|| self.timestamps(now));
        let mut transmit = Transmit {
            envelope: Envelope {
                source: self.pair.local_address,
                destination: self.pair.remote_address,
                ecn,
            },
            segment: Segment {
                source_port: self.pair.local_port,
                destination_port: self.pair.remote_port,
                seq: plan.seq,
                ack: if acks { self.receive.next } else { SeqNumber(0) },
                flags: plan.flags,
                window,
                text: if plan.text > 0 {
                    self.text_out.text(offset, plan.text)
                } else {
                    crate::Text::default()
                },
                ..Segment::default()
            },
            segment_size,
        };
        // In its place: what was just written in pieces is slow to move as a whole.
        match (special, timestamps) {
            (Some(options), _) => transmit.segment.options = options,
            (None, Some(timestamps)) => transmit.segment.options.set_timestamps(timestamps),
            (None, None) => {}
        }
        transmit
    }
}
