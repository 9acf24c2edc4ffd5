//! What ICMP errors report about flows.

use std::net::SocketAddr;

use eleven_tcp::State;

use crate::conversation::Conversation;
use crate::half::{At, Marks};
use crate::key::{Located, Secret, Sockets};
use crate::moves::{Deed, rule_of};
use crate::{Inference, Note, Notes, Provenance, Verdict};

/// Something an ICMP error tells about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Fragmentation needed, or packet too big: the largest packet the next link takes.
    PacketTooBig {
        /// In bytes; 0 where the router does not say.
        mtu: u32,
    },
    /// A hard error: protocol or port unreachable.
    Unreachable,
    /// Any other: it may pass.
    Transient,
}

/// An ICMP error that quotes a TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Reported {
    /// The packet's number, as in [`Sighting::number`](crate::Sighting::number).
    pub number: u64,
    /// When, in nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// Who had sent the segment that is quoted.
    pub source: SocketAddr,
    /// Whom it was for.
    pub destination: SocketAddr,
    /// Its sequence number.
    pub seq: u32,
    /// As in [`Sighting::path`](crate::Sighting::path).
    pub path: u64,
    /// What is reported.
    pub report: Report,
}

impl Reported {
    pub(crate) fn located(&self, secret: &Secret) -> Located {
        let ports = (self.source.port(), self.destination.port());
        let (sockets, reversed) = Sockets::of(self.source.ip(), self.destination.ip(), ports);
        let hash = sockets.hash(self.path, secret);
        Located { sockets, path: self.path, hash, reversed }
    }
}

impl Conversation {
    /// An ICMP error about something its sender had sent.
    #[cold]
    pub(crate) fn observe_report(&mut self, reported: &Reported, reversed: bool) -> Verdict {
        let from = self.side(reversed);
        let before = [self.halves[0].state(), self.halves[1].state()];
        let at = At { origin: self.origin, packet: reported.number, time_ns: reported.time_ns };
        let half = &mut self.halves[from.index()];
        let mut notes = Notes::NONE;
        let mut rule = None;
        let seq = eleven_tcp::SeqNumber(reported.seq);
        // RFC 5927: it has to be about something that is under way.
        let under_way = half.is(Marks::NUMBERED) && seq.ge(half.acked) && seq.lt(half.next);
        match reported.report {
            Report::PacketTooBig { .. } if under_way => notes.insert(Note::PacketTooBig),
            Report::Unreachable if under_way => {
                if matches!(half.state(), State::SynSent | State::SynReceived) {
                    rule = rule_of(half.state(), Deed::IcmpHardError);
                    if let Some(rule) = rule {
                        half.step(rule.to, Some(rule), Provenance::Inferred(Inference::Reported), at);
                    }
                }
            }
            _ => {}
        }
        self.count(notes, from, reported.number);
        let halves = &self.halves;
        Verdict {
            flow: self.origin.packet,
            ordinal: self.ordinal,
            is_first: false,
            from,
            seq: seq.offset_from(halves[from.index()].isn),
            ack: None,
            length: 0,
            before,
            after: [halves[0].state(), halves[1].state()],
            provenances: [halves[0].provenance(), halves[1].provenance()],
            sender_rule: rule,
            receiver_rule: None,
            notes,
            duplicate_acks: 0,
        }
    }
}
