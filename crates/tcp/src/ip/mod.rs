//! As much of IP as TCP needs: whose segment it is, and what routers have to say about it.
//!
//! Enough for a simulated network, a TUN device and tests. There is no fragmentation and no
//! routing; packets are sent with "don't fragment" set, so that a path's MTU can be found (RFC 1191, RFC 8201).

use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

use crate::Segment;

mod ecn;
mod icmp;
mod v4;
mod v6;

pub use ecn::Ecn;
pub use icmp::{EmitIcmpError, IcmpKind, IcmpMessage, ParseIcmpError, Quoted, Unreachable};

/// The numbers of the protocols above IP.
mod protocol {
    pub(super) const ICMP_V4: u8 = 1;
    pub(super) use crate::segment::PROTOCOL as TCP;
    pub(super) const ICMP_V6: u8 = 58;
}

/// A packet that carries a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet<'a> {
    /// Whose it is.
    pub source: IpAddr,
    /// Whose it shall be.
    pub destination: IpAddr,
    /// Whether a router met congestion.
    pub ecn: Ecn,
    /// Over how many more routers it may go: the TTL of IPv4.
    pub hop_limit: u8,
    /// The bytes of the segment, for [`Segment::parse`].
    pub tcp: &'a [u8],
}

/// What an endpoint may find in a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received<'a> {
    /// A segment.
    Tcp(Packet<'a>),
    /// A report about a segment that was sent earlier.
    Icmp(IcmpMessage),
}

/// Any packet, whatever is in it.
#[derive(Clone, Copy)]
struct Datagram<'a> {
    source: IpAddr,
    destination: IpAddr,
    ecn: Ecn,
    hop_limit: u8,
    protocol: u8,
    payload: &'a [u8],
}

/// Bytes that are no packet for a TCP endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParsePacketError {
    /// There are fewer bytes than the header has, extension headers included.
    TooShort {
        /// How many bytes there are.
        length: usize,
    },
    /// The version is neither 4 nor 6.
    Version(u8),
    /// The header of an IPv4 packet calls itself shorter than the shortest is.
    HeaderLength {
        /// In words of four bytes, 0 to 4.
        words: u8,
    },
    /// The packet calls itself longer than all the bytes there are, or shorter than its header.
    TotalLength {
        /// What it calls itself, in bytes, its header included.
        told: usize,
        /// How many bytes there are.
        length: usize,
    },
    /// The checksum of an IPv4 header is wrong.
    HeaderChecksum,
    /// It is a part of a larger packet.
    Fragment,
    /// An extension header of IPv6 that is not understood here.
    ExtensionHeader(u8),
    /// It carries something else than a segment.
    Protocol(u8),
    /// It carries an ICMP message, and not a report about a segment.
    Icmp(ParseIcmpError),
}

impl fmt::Display for ParsePacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooShort { length } => {
                write!(f, "the headers of the packet do not fit into its {length} bytes")
            }
            Self::Version(version) => write!(f, "IP has no version {version} here, only 4 and 6"),
            Self::HeaderLength { words } => {
                write!(f, "the header length is {words} words, and an IPv4 header has at least 5")
            }
            Self::TotalLength { told, length } => {
                write!(f, "the packet's header says {told} bytes, which does not suit the {length} there are")
            }
            Self::HeaderChecksum => f.write_str("the checksum of the IPv4 header is wrong"),
            Self::Fragment => f.write_str("the packet is a fragment, and nobody reassembles it here"),
            Self::ExtensionHeader(kind) => write!(f, "the IPv6 extension header {kind} is not understood"),
            Self::Protocol(protocol) => write!(f, "the packet carries protocol {protocol}, not TCP (6)"),
            Self::Icmp(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl core::error::Error for ParsePacketError {}

/// A packet that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmitPacketError {
    /// One address is of IPv4, the other of IPv6.
    MixedVersions,
    /// It would be longer than 65,535 bytes (for IPv6: without its header).
    TooLong,
}

impl fmt::Display for EmitPacketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MixedVersions => "a packet's two addresses are of the same version of IP",
            Self::TooLong => "a packet has at most 65,535 bytes",
        })
    }
}

impl core::error::Error for EmitPacketError {}

impl<'a> Packet<'a> {
    /// Reads a packet of either version. Bytes behind its end are left aside.
    ///
    /// Options of IPv4, and hop-by-hop and destination options of IPv6, are skipped.
    ///
    /// # Errors
    /// If it is broken, a fragment, or carries no segment.
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParsePacketError> {
        Self::from_datagram(Datagram::parse(bytes)?)
    }

    #[inline]
    fn from_datagram(datagram: Datagram<'a>) -> Result<Self, ParsePacketError> {
        let Datagram { source, destination, ecn, hop_limit, protocol, payload } = datagram;
        if protocol != protocol::TCP {
            return Err(ParsePacketError::Protocol(protocol));
        }
        Ok(Self { source, destination, ecn, hop_limit, tcp: payload })
    }

    /// Appends the packet to `out`.
    ///
    /// # Errors
    /// If there is no such packet; nothing is appended then.
    pub fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitPacketError> {
        let &Self { source, destination, ecn, hop_limit, tcp: payload } = self;
        Datagram { source, destination, ecn, hop_limit, protocol: protocol::TCP, payload }.emit(out)
    }
}

/// Appends a packet that carries the segment, without a copy between.
///
/// # Errors
/// If there is no such packet; nothing is appended then.
#[inline]
pub fn emit_segment(
    segment: &Segment<'_>,
    source: IpAddr,
    destination: IpAddr,
    ecn: Ecn,
    hop_limit: u8,
    out: &mut Vec<u8>,
) -> Result<(), EmitPacketError> {
    let header = Datagram { source, destination, ecn, hop_limit, protocol: protocol::TCP, payload: &[] };
    header.emit_header(segment.header_len() + segment.text.len(), out)?;
    segment.emit(source, destination, out);
    Ok(())
}

impl<'a> Received<'a> {
    /// Reads a packet of either version that carries a segment or a report about one.
    ///
    /// # Errors
    /// As [`Packet::parse`].
    #[inline]
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ParsePacketError> {
        let datagram = Datagram::parse(bytes)?;
        if icmp::is_icmp(&datagram) {
            IcmpMessage::from_datagram(&datagram).map(Self::Icmp).map_err(ParsePacketError::Icmp)
        } else {
            Packet::from_datagram(datagram).map(Self::Tcp)
        }
    }
}

impl<'a> Datagram<'a> {
    /// All of a packet; what comes behind its end is left aside.
    #[inline]
    fn parse(bytes: &'a [u8]) -> Result<Self, ParsePacketError> {
        let length = bytes.len();
        let told = match version(bytes)? {
            Version::V4 => v4::total_length(bytes)?,
            Version::V6 => v6::total_length(bytes)?,
        };
        Self::read_beginning(bytes.get(..told).ok_or(ParsePacketError::TotalLength { told, length })?)
    }

    /// As much of a packet as there is; its payload may be cut short.
    #[inline]
    fn read_beginning(bytes: &'a [u8]) -> Result<Self, ParsePacketError> {
        match version(bytes)? {
            Version::V4 => v4::read(bytes),
            Version::V6 => v6::read(bytes),
        }
    }

    fn emit(&self, out: &mut Vec<u8>) -> Result<(), EmitPacketError> {
        self.emit_header(self.payload.len(), out)?;
        out.extend_from_slice(self.payload);
        Ok(())
    }

    /// Only the header, for a payload of so many bytes.
    #[inline]
    fn emit_header(&self, payload: usize, out: &mut Vec<u8>) -> Result<(), EmitPacketError> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                v4::emit_header(self, source, destination, payload, out)
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                v6::emit_header(self, source, destination, payload, out)
            }
            _ => Err(EmitPacketError::MixedVersions),
        }
    }
}

/// Where a packet is for, whatever it carries.
pub(crate) fn destination(packet: &[u8]) -> Option<IpAddr> {
    Datagram::parse(packet).ok().map(|datagram| datagram.destination)
}

/// Where a packet is from, whatever it carries.
pub(crate) fn source(packet: &[u8]) -> Option<IpAddr> {
    Datagram::parse(packet).ok().map(|datagram| datagram.source)
}

enum Version {
    V4,
    V6,
}

#[inline]
fn version(bytes: &[u8]) -> Result<Version, ParsePacketError> {
    match bytes.first().map(|byte| byte >> 4) {
        None => Err(ParsePacketError::TooShort { length: 0 }),
        Some(4) => Ok(Version::V4),
        Some(6) => Ok(Version::V6),
        Some(version) => Err(ParsePacketError::Version(version)),
    }
}

/// Marks a packet as having met congestion (RFC 3168 §5); says whether its sender allows that. Others are left as they are.
pub fn mark_congestion(packet: &mut [u8]) -> bool {
    match version(packet) {
        Ok(Version::V4) => v4::mark_congestion(packet),
        Ok(Version::V6) => v6::mark_congestion(packet),
        Err(_) => false,
    }
}

/// For the fuzz target and its replay: any bytes as a packet. What can be read reads the same
/// when it is written again.
#[doc(hidden)]
pub fn try_any_bytes(bytes: &[u8]) {
    let mut marked = bytes.to_vec();
    let may_mark = mark_congestion(&mut marked);
    if let Ok(packet) = Packet::parse(bytes) {
        assert_eq!(may_mark, packet.ecn.is_capable());
        let expected = if may_mark { Ecn::Ce } else { packet.ecn };
        assert_eq!(Packet::parse(&marked), Ok(Packet { ecn: expected, ..packet }));
        let mut out = Vec::new();
        assert_eq!(packet.emit(&mut out), Ok(()));
        assert_eq!(Packet::parse(&out), Ok(packet));
        // Any router may complain about any packet.
        for kind in [IcmpKind::PacketTooBig { mtu: 1_280 }, IcmpKind::Unreachable(Unreachable::Port)] {
            let mut report = Vec::new();
            if kind.report(packet.destination, bytes, &mut report).is_ok() {
                let Ok(Received::Icmp(message)) = Received::parse(&report) else {
                    panic!("a report of our own is not understood");
                };
                assert_eq!((message.kind, message.reporter), (kind, packet.destination));
                assert_eq!(
                    (message.quoted.source, message.quoted.destination),
                    (packet.source, packet.destination)
                );
            }
        }
    }
    if let Ok(received) = Received::parse(bytes) {
        assert_eq!(matches!(received, Received::Tcp(_)), Packet::parse(bytes).is_ok());
    }
}

#[cfg(test)]
mod tests;
