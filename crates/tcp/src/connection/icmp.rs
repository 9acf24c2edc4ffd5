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
            IcmpError::PacketTooBig { mtu, .. } => self.hear_path_mtu(now, mtu),
        }
    }
}
