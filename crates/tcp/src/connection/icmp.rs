//! What ICMP reports about a connection (RFC 9293 §3.9.2.2, RFC 5927).

use super::Connection;
use crate::rules::Event;
use crate::{Instant, SeqNumber, State};

/// An ICMP error for a segment of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IcmpError {
    /// Protocol or port unreachable, administratively prohibited: hard.
    Unreachable {
        /// The sequence number of the segment it quotes.
        seq: SeqNumber,
    },
    /// Network or host unreachable, source route failed, time exceeded, parameter problem: soft. It
    /// may pass, so it is only remembered.
    Transient {
        /// The sequence number of the segment it quotes.
        seq: SeqNumber,
    },
    /// The packet was larger than a link on the path (RFC 1191, RFC 8201).
    PacketTooBig {
        /// The sequence number of the segment it quotes.
        seq: SeqNumber,
        /// The MTU of that link; 0 from routers that do not tell.
        mtu: u16,
    },
}

/// No path has less (RFC 791: 68 bytes; below 552 Linux does not believe it either).
const LEAST_MTU_V4: u16 = 552;
/// RFC 8200 §5.
const LEAST_MTU_V6: u16 = 1280;

impl Connection {
    /// Takes an ICMP error that quotes a segment between our two sockets.
    ///
    /// RFC 5927 §4.1: an error about a number that is not in flight is somebody's guess.
    pub fn handle_icmp(&mut self, now: Instant, error: IcmpError) {
        self.steps.clear();
        let (IcmpError::Unreachable { seq }
        | IcmpError::Transient { seq }
        | IcmpError::PacketTooBig { seq, .. }) = error;
        let in_flight = seq.ge(self.send.unacknowledged) && seq.lt(self.send.next);
        if !in_flight || matches!(self.state, State::Closed | State::Listen) {
            return;
        }
        match error {
            IcmpError::Unreachable { .. } => {
                let _ = self.step(now, Event::IcmpHardError, self.call_facts(), None);
            }
            // While the connection is not open, Linux takes any report for an answer (`tcp_v4_err`).
            IcmpError::Transient { .. }
                if self.policy.is_linux() && matches!(self.state, State::SynSent | State::SynReceived) =>
            {
                let _ = self.step(now, Event::IcmpHardError, self.call_facts(), None);
            }
            IcmpError::Transient { .. } => {}
            IcmpError::PacketTooBig { mtu, .. } => self.reduce_path_mtu(mtu),
        }
    }

    /// Full-sized segments vanish and nobody says why: a router on the path drops what is too big and its report
    /// is lost (RFC 4821 §7.7, RFC 2923 §2.1). Smaller ones may pass.
    pub(super) fn suspect_black_hole(&mut self) {
        /// Timeouts in a row before it is worth a try: Linux's `tcp_retries1`.
        const PATIENCE: u8 = 3;
        /// RFC 4821 §7.2: the size to begin the search from; 1024 bytes of text, as `tcp_base_mss`.
        const FIRST: u16 = 1_064;
        let full = self
            .recovery
            .retransmission()
            .is_some_and(|(start, end)| end.offset_from(start) >= u32::from(self.segment_size()));
        if !self.policy.mtu_probing || !full || self.recovery.backoffs() < PATIENCE {
            return;
        }
        let mtu = if self.send.path_mtu > FIRST { FIRST } else { self.send.path_mtu / 2 };
        self.reduce_path_mtu(mtu);
    }

    /// The path carries less than was sent: what is in flight is sent again in smaller segments.
    pub(super) fn reduce_path_mtu(&mut self, mtu: u16) {
        let least = if self.pair.remote_address.is_ipv4() { LEAST_MTU_V4 } else { LEAST_MTU_V6 };
        let mtu = mtu.max(least);
        // RFC 8201 §4: it only ever shrinks this way.
        if mtu >= self.send.path_mtu {
            return;
        }
        self.send.path_mtu = mtu;
        if self.state == State::SynSent {
            // What was too big is the text of the SYN: it goes again without, and at once (RFC 7413 §4.1.3).
            self.due.handshake = true;
        }
        self.recovery.on_too_large(u32::from(self.segment_size()));
    }
}
