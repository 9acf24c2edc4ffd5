//! What of a connection decides what it does next: for those who explore all there is to reach.

use core::hash::{Hash, Hasher};

use super::Connection;
use crate::{Flags, Instant};

impl Connection {
    /// Feeds the protocol's state to a hasher: numbers relative to the initial ones, and of the timers which of them
    /// run and in which order. Round trip times and the congestion window are left out.
    ///
    /// Two connections that feed the same answer the same events alike, but for when their timers expire.
    #[doc(hidden)]
    pub fn feed_protocol_state<H: Hasher>(&self, now: Instant, hasher: &mut H) {
        let (send, receive) = (&self.send, &self.receive);
        self.state.hash(hasher);
        self.pair.hash(hasher);
        let ours = |number: crate::SeqNumber| number.offset_from(send.initial);
        let theirs = |number: crate::SeqNumber| number.offset_from(receive.initial);
        for number in [send.unacknowledged, send.next, send.window_ack, send.small_end] {
            ours(number).hash(hasher);
        }
        (send.window, send.largest_window, send.path_mtu, send.peer_mss).hash(hasher);
        (send.syn_acknowledged, send.fin_queued, send.fin_sent).hash(hasher);
        for number in [send.window_seq, receive.next, receive.edge, receive.acknowledged] {
            theirs(number).hash(hasher);
        }
        (receive.held_fin.map(theirs), receive.fin_received, receive.quick_acks).hash(hasher);
        self.duplicate().map(|block| (theirs(block.start), theirs(block.end))).hash(hasher);
        (self.text_out.len(), self.text_in.readable(), self.text_in.limit()).hash(hasher);
        for block in self.text_in.sack_blocks(4).iter() {
            (theirs(block.start), theirs(block.end)).hash(hasher);
        }
        let agreed = &self.agreed;
        (agreed.timestamps, agreed.sack, agreed.window_scaling, agreed.ecn, agreed.passive).hash(hasher);
        (agreed.fast_open, send.held).hash(hasher);
        let due = &self.due;
        (due.handshake, due.ack, due.window_probe, due.small_text, due.keepalive_probe).hash(hasher);
        (due.tail_loss_probe, due.paced).hash(hasher);
        let program = &self.program;
        (program.gone, program.close_queued, program.shutdown_queued, program.may_reopen).hash(hasher);
        self.failure.hash(hasher);
        self.has_reply().hash(hasher);
        self.recovery.feed_state(hasher, ours);

        let timers = &self.timers;
        (timers.persist_probes, timers.persist_backoff, timers.keepalive_probes).hash(hasher);
        let limited = timers.invalid_answered.get();
        limited.is_some_and(|last| now.duration_since(last) < self.policy.invalid_rate_limit).hash(hasher);
        let recovery = self.recovery.deadline().map(|(deadline, _)| deadline);
        let deadlines =
            [timers.ack.get(), timers.persist.get(), timers.state.get(), recovery, self.keepalive_deadline()];
        for deadline in deadlines {
            // Its rank among the others.
            let rank = deadline.map(|at| deadlines.iter().flatten().filter(|other| **other < at).count());
            rank.hash(hasher);
        }
        if let Some(Ok(reset)) = self.reply().map(|reply| {
            let segment = reply.transmit().segment;
            if segment.flags.contains(Flags::RST) { Ok(ours(segment.seq)) } else { Err(()) }
        }) {
            reset.hash(hasher);
        }
    }
}
