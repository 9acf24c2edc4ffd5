//! From what capturing dissects to what tracking takes in: the two crates do not know each other.

use std::net::{IpAddr, SocketAddr};

use eleven_capture::{Checksum, IcmpReport, Packet, PathParts, TcpPacket};
use eleven_tcp::ip::IcmpKind;
use eleven_tcp::{Ecn, Segment, Text};
use eleven_track::{Checksums, Report, Reported, Sighting};

/// A segment without its text: what tracking needs of a packet once its bytes are gone.
#[derive(Clone, Debug)]
pub(super) struct Sighted {
    pub(super) number: u64,
    pub(super) time_ns: i64,
    source: IpAddr,
    destination: IpAddr,
    identification: Option<u16>,
    hop_limit: u8,
    ecn: Ecn,
    pub(super) segment: Segment<'static>,
    text_length: u32,
    checksum_bad: bool,
    path: u64,
}

impl Sighted {
    pub(super) fn new(
        packet: &Packet<'_>,
        tcp: &TcpPacket<'_>,
        key: PathParts,
        checksums: Checksums,
    ) -> Self {
        let segment = &tcp.segment;
        Self {
            number: packet.number,
            time_ns: packet.time.0,
            source: tcp.source,
            destination: tcp.destination,
            identification: tcp.identification,
            hop_limit: tcp.hop_limit,
            ecn: tcp.ecn,
            segment: Segment {
                source_port: segment.source_port,
                destination_port: segment.destination_port,
                seq: segment.seq,
                ack: segment.ack,
                flags: segment.flags,
                reserved: segment.reserved,
                window: segment.window,
                urgent: segment.urgent,
                options: segment.options,
                text: Text::default(),
            },
            text_length: tcp.text_length,
            checksum_bad: match tcp.checksum {
                Checksum::Bad => true,
                // It left its host in order. But who wants what Zeek says wants what Zeek leaves out.
                Checksum::Partial => checksums == Checksums::Drop,
                Checksum::Good | Checksum::NotCaptured | Checksum::NotChecked => false,
            },
            path: path_number(&tcp.path, key),
        }
    }

    /// Sender and receiver.
    pub(super) fn sockets(&self) -> [SocketAddr; 2] {
        [
            SocketAddr::new(self.source, self.segment.source_port),
            SocketAddr::new(self.destination, self.segment.destination_port),
        ]
    }

    pub(super) fn sighting(&self) -> Sighting<'_> {
        Sighting {
            number: self.number,
            time_ns: self.time_ns,
            source: self.source,
            destination: self.destination,
            identification: self.identification,
            hop_limit: self.hop_limit,
            ecn: self.ecn,
            segment: &self.segment,
            text_length: self.text_length,
            checksum_bad: self.checksum_bad,
            path: self.path,
        }
    }
}

/// What tells flows apart besides their sockets, as a number; 0 if nothing is to.
fn path_number(path: &eleven_capture::PathKey, key: PathParts) -> u64 {
    if key == PathParts::NONE { 0 } else { path.identity(key).number() }
}

/// What an ICMP error says about a flow.
pub(super) fn reported(packet: &Packet<'_>, icmp: &IcmpReport, key: PathParts) -> Reported {
    let report = match icmp.message.kind {
        IcmpKind::PacketTooBig { mtu } => Report::PacketTooBig { mtu },
        kind if kind.is_hard() => Report::Unreachable,
        IcmpKind::Unreachable(_) | IcmpKind::TimeExceeded { .. } => Report::Transient,
    };
    let quoted = &icmp.message.quoted;
    Reported {
        number: packet.number,
        time_ns: packet.time.0,
        source: SocketAddr::new(quoted.source, quoted.source_port),
        destination: SocketAddr::new(quoted.destination, quoted.destination_port),
        seq: quoted.seq.0,
        path: path_number(&icmp.path, key),
        report,
    }
}
