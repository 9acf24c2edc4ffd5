//! What routers and hosts report about a segment that they could not deliver (RFC 792, RFC 4443).

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use super::{Datagram, Ecn, EmitPacketError, ParsePacketError, protocol};
use crate::segment::checksum;
use crate::{FourTuple, SeqNumber};

/// The types of the messages of ICMP for IPv4.
mod v4 {
    pub(super) const UNREACHABLE: u8 = 3;
    pub(super) const TIME_EXCEEDED: u8 = 11;
    /// A code of [`UNREACHABLE`].
    pub(super) const FRAGMENTATION_NEEDED: u8 = 4;
}

/// The types of the messages of ICMP for IPv6.
mod v6 {
    pub(super) const UNREACHABLE: u8 = 1;
    pub(super) const PACKET_TOO_BIG: u8 = 2;
    pub(super) const TIME_EXCEEDED: u8 = 3;
    pub(super) const PARAMETER_PROBLEM: u8 = 4;
    /// A code of [`PARAMETER_PROBLEM`]: what IPv4 calls "protocol unreachable".
    pub(super) const UNRECOGNIZED_NEXT_HEADER: u8 = 1;
}

/// An ICMP message is at most as long as every path carries (RFC 1812 §4.3.2.3, RFC 4443 §2.4 c).
const LONGEST_V4: usize = 576;
const LONGEST_V6: usize = 1_280;
/// Type, code, checksum, and four bytes that depend on the type.
const HEADER_LENGTH: usize = 8;
/// So much of a segment is quoted at the least: its ports and its sequence number (RFC 792).
const QUOTED_AT_LEAST: usize = 8;
/// The hop limit of a packet that starts here.
const HOP_LIMIT: u8 = 64;

/// What an unreachable destination is wanting (RFC 792, RFC 1122 §3.2.2.1, RFC 4443 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unreachable {
    /// No route leads there.
    Network,
    /// Its last router cannot find it.
    Host,
    /// It has no TCP.
    Protocol,
    /// It has no such port.
    Port,
    /// A source route failed; IPv4 only.
    SourceRoute,
    /// An administrator forbids it.
    Prohibited,
    /// Another code.
    Other(u8),
}

impl Unreachable {
    const fn from_v4(code: u8) -> Self {
        match code {
            0 => Self::Network,
            1 => Self::Host,
            2 => Self::Protocol,
            3 => Self::Port,
            5 => Self::SourceRoute,
            13 => Self::Prohibited,
            other => Self::Other(other),
        }
    }

    const fn from_v6(code: u8) -> Self {
        match code {
            0 => Self::Network,
            1 => Self::Prohibited,
            3 => Self::Host,
            4 => Self::Port,
            other => Self::Other(other),
        }
    }

    const fn to_v4(self) -> u8 {
        match self {
            Self::Network => 0,
            Self::Host => 1,
            Self::Protocol => 2,
            Self::Port => 3,
            Self::SourceRoute => 5,
            Self::Prohibited => 13,
            Self::Other(code) => code,
        }
    }

    /// Type and code.
    const fn to_v6(self) -> (u8, u8) {
        match self {
            Self::Network => (v6::UNREACHABLE, 0),
            Self::Prohibited => (v6::UNREACHABLE, 1),
            Self::Host => (v6::UNREACHABLE, 3),
            Self::Port => (v6::UNREACHABLE, 4),
            Self::Protocol => (v6::PARAMETER_PROBLEM, v6::UNRECOGNIZED_NEXT_HEADER),
            // There is none for that; "reject route" comes nearest (RFC 4443 §3.1).
            Self::SourceRoute => (v6::UNREACHABLE, 6),
            Self::Other(code) => (v6::UNREACHABLE, code),
        }
    }
}

/// What is reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IcmpKind {
    /// The destination cannot be reached.
    Unreachable(Unreachable),
    /// The packet does not fit the next link: "fragmentation needed and DF set" of IPv4 (RFC 1191 §4), "packet too
    /// big" of IPv6 (RFC 4443 §3.2).
    PacketTooBig {
        /// The largest packet that fits, in bytes. Routers older than RFC 1191 say 0.
        mtu: u32,
    },
    /// The hop limit ran out, or the time for reassembly.
    TimeExceeded {
        /// 0: the hop limit; 1: reassembly.
        code: u8,
    },
}

impl IcmpKind {
    /// Whether it is a hard error, which tells that trying again is of no use (RFC 9293 §3.9.2.2).
    ///
    /// What a connection makes of that is its own affair (RFC 5927 §5.2). A packet too big is none
    /// where path-MTU discovery is used.
    pub const fn is_hard(self) -> bool {
        matches!(self, Self::Unreachable(Unreachable::Protocol | Unreachable::Port | Unreachable::Prohibited))
    }

    /// Appends a packet from `reporter` to the sender of `packet` that says this about it, and
    /// quotes as much of it as is allowed.
    ///
    /// # Errors
    /// If the packet cannot be read, or the reporter's address is of the other version of IP; nothing
    /// is appended then. A report about an ICMP message would be an error too (RFC 1122 §3.2.2).
    pub fn report(self, reporter: IpAddr, packet: &[u8], out: &mut Vec<u8>) -> Result<(), EmitIcmpError> {
        let about = Datagram::parse(packet).map_err(EmitIcmpError::Unreadable)?;
        let v4 = about.source.is_ipv4();
        let (kind, code, word) = if v4 { self.to_v4() } else { self.to_v6() };
        let room = if v4 { LONGEST_V4 - 20 } else { LONGEST_V6 - 40 } - HEADER_LENGTH;
        let packet = &packet[..packet.len().min(room)];
        Quoted::read(packet).ok_or(EmitIcmpError::NoSegment)?;
        let mut message = Vec::with_capacity(HEADER_LENGTH + packet.len());
        message.extend_from_slice(&[kind, code, 0, 0]);
        message.extend_from_slice(&word.to_be_bytes());
        message.extend_from_slice(packet);

        let protocol = if v4 { protocol::ICMP_V4 } else { protocol::ICMP_V6 };
        // Only IPv6 sums the addresses too (RFC 4443 §2.3).
        let mut sum = u64::from(checksum::sum(&message));
        if !v4 {
            sum += checksum::pseudo_header(reporter, about.source, protocol, message.len());
        }
        message[2..4].copy_from_slice(&(!checksum::fold(sum)).to_be_bytes());
        let report = Datagram {
            source: reporter,
            destination: about.source,
            ecn: Ecn::NotEct,
            hop_limit: HOP_LIMIT,
            protocol,
            payload: &message,
        };
        report.emit(out).map_err(EmitIcmpError::Packet)
    }

    /// Type, code and the four bytes behind the checksum.
    fn to_v4(self) -> (u8, u8, u32) {
        match self {
            Self::Unreachable(what) => (v4::UNREACHABLE, what.to_v4(), 0),
            // Sixteen bits, behind sixteen that are unused.
            Self::PacketTooBig { mtu } => (v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED, mtu.min(0xffff)),
            Self::TimeExceeded { code } => (v4::TIME_EXCEEDED, code, 0),
        }
    }

    fn to_v6(self) -> (u8, u8, u32) {
        match self {
            Self::Unreachable(what) => {
                let (kind, code) = what.to_v6();
                // A parameter problem points at the offending byte: the next header of the packet's own.
                (kind, code, if kind == v6::PARAMETER_PROBLEM { 6 } else { 0 })
            }
            Self::PacketTooBig { mtu } => (v6::PACKET_TOO_BIG, 0, mtu),
            Self::TimeExceeded { code } => (v6::TIME_EXCEEDED, code, 0),
        }
    }

    const fn from_v4(kind: u8, code: u8, word: u32) -> Option<Self> {
        match (kind, code) {
            (v4::UNREACHABLE, v4::FRAGMENTATION_NEEDED) => Some(Self::PacketTooBig { mtu: word & 0xffff }),
            (v4::UNREACHABLE, code) => Some(Self::Unreachable(Unreachable::from_v4(code))),
            (v4::TIME_EXCEEDED, code) => Some(Self::TimeExceeded { code }),
            _ => None,
        }
    }

    const fn from_v6(kind: u8, code: u8, word: u32) -> Option<Self> {
        match (kind, code) {
            (v6::UNREACHABLE, code) => Some(Self::Unreachable(Unreachable::from_v6(code))),
            (v6::PACKET_TOO_BIG, _) => Some(Self::PacketTooBig { mtu: word }),
            (v6::TIME_EXCEEDED, code) => Some(Self::TimeExceeded { code }),
            (v6::PARAMETER_PROBLEM, v6::UNRECOGNIZED_NEXT_HEADER) => {
                Some(Self::Unreachable(Unreachable::Protocol))
            }
            _ => None,
        }
    }
}

/// The segment that a report is about, as far as it is quoted.
///
/// Only who sees the traffic can quote a sequence number that is in flight: RFC 5927 §4.1 checks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Quoted {
    /// The segment's source: whoever the report goes to.
    pub source: IpAddr,
    /// The segment's destination.
    pub destination: IpAddr,
    /// The segment's source port.
    pub source_port: u16,
    /// The segment's destination port.
    pub destination_port: u16,
    /// The segment's sequence number.
    pub seq: SeqNumber,
}

impl Quoted {
    /// From the beginning of a packet; `None` if it holds no segment, or not enough of one.
    fn read(packet: &[u8]) -> Option<Self> {
        let Datagram { source, destination, protocol, payload, .. } =
            Datagram::read_beginning(packet).ok()?;
        let &[s0, s1, d0, d1, q0, q1, q2, q3] = payload.first_chunk::<QUOTED_AT_LEAST>()?;
        (protocol == protocol::TCP).then_some(Self {
            source,
            destination,
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            seq: SeqNumber(u32::from_be_bytes([q0, q1, q2, q3])),
        })
    }

    /// The connection, as the segment's sender sees it.
    pub const fn pair(&self) -> FourTuple {
        FourTuple {
            local_address: self.source,
            remote_address: self.destination,
            local_port: self.source_port,
            remote_port: self.destination_port,
        }
    }
}

/// A report about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct IcmpMessage {
    /// Who reports.
    pub reporter: IpAddr,
    /// What.
    pub kind: IcmpKind,
    /// About which segment.
    pub quoted: Quoted,
}

/// An ICMP message that is no report about a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseIcmpError {
    /// It is shorter than the header of an ICMP message, 8 bytes.
    TooShort,
    /// Its checksum is wrong.
    Checksum,
    /// It is of another type: an echo request, say.
    Type(u8),
    /// It does not quote a segment that its receiver has sent, down to the sequence number.
    NoSegment,
}

impl fmt::Display for ParseIcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort => f.write_str("an ICMP message has at least 8 bytes"),
            Self::Checksum => f.write_str("the checksum of the ICMP message is wrong"),
            Self::Type(kind) => write!(f, "the ICMP message, type {kind}, does not report an error"),
            Self::NoSegment => f.write_str("the ICMP message is not about a TCP segment of its receiver"),
        }
    }
}

impl core::error::Error for ParseIcmpError {}

/// A report that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitIcmpError {
    /// The packet it would be about is broken.
    Unreadable(ParsePacketError),
    /// That packet carries no segment, or too little of one.
    NoSegment,
    /// The report itself is no possible packet.
    Packet(EmitPacketError),
}

impl fmt::Display for EmitIcmpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => fmt::Display::fmt(error, f),
            Self::NoSegment => f.write_str("the packet that is complained about carries no segment"),
            Self::Packet(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for EmitIcmpError {}

pub(super) fn is_icmp(datagram: &Datagram<'_>) -> bool {
    let expected = if datagram.source.is_ipv4() { protocol::ICMP_V4 } else { protocol::ICMP_V6 };
    datagram.protocol == expected
}

impl IcmpMessage {
    pub(super) fn from_datagram(datagram: &Datagram<'_>) -> Result<Self, ParseIcmpError> {
        Self::parse(datagram.source, datagram.destination, datagram.payload)
    }

    /// Reads the message in a packet between these two.
    ///
    /// # Errors
    /// If it is no report about a segment of its receiver.
    pub fn parse(source: IpAddr, destination: IpAddr, message: &[u8]) -> Result<Self, ParseIcmpError> {
        let mut sum = u64::from(checksum::sum(message));
        if !source.is_ipv4() {
            sum += checksum::pseudo_header(source, destination, protocol::ICMP_V6, message.len());
        }
        if message.len() >= HEADER_LENGTH && checksum::fold(sum) != 0xffff {
            return Err(ParseIcmpError::Checksum);
        }
        Self::parse_beginning(source, destination, message)
    }

    /// Reads the message in a packet between these two, of which only the beginning may be there. Its checksum is not
    /// looked at.
    ///
    /// # Errors
    /// If it is no report about a segment of its receiver; never [`ParseIcmpError::Checksum`].
    pub fn parse_beginning(
        source: IpAddr,
        destination: IpAddr,
        message: &[u8],
    ) -> Result<Self, ParseIcmpError> {
        let (&[kind, code, _, _, w0, w1, w2, w3], packet) =
            message.split_first_chunk::<HEADER_LENGTH>().ok_or(ParseIcmpError::TooShort)?;
        let word = u32::from_be_bytes([w0, w1, w2, w3]);
        let v4 = source.is_ipv4();
        let kind = if v4 { IcmpKind::from_v4(kind, code, word) } else { IcmpKind::from_v6(kind, code, word) }
            .ok_or(ParseIcmpError::Type(kind))?;
        // Only what the receiver of the report has sent can be its business.
        let quoted = Quoted::read(packet).filter(|quoted| quoted.source == destination);
        Ok(Self { reporter: source, kind, quoted: quoted.ok_or(ParseIcmpError::NoSegment)? })
    }
}
