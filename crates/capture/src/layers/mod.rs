//! Takes packets apart, from the link's header to the TCP segment.

use std::fmt;
use std::net::IpAddr;

use eleven_tcp::ip::{IcmpMessage, ParseIcmpError};
use eleven_tcp::segment::ParseSegmentError;
use eleven_tcp::{Ecn, Segment};

use crate::{LinkType, Packet};

mod ip;
mod link;
mod path;
mod reassembly;
mod rest;
mod tunnel;
mod walk;

pub use path::{PathKey, PathParts, PathStep};
pub use reassembly::{ReassemblyLimits, ReassemblyStatistics};
pub use walk::Carried;

use ip::Ip;
use reassembly::{Datagram, Fragment, Key, Reassembly};
use rest::Rest;
use walk::{Found, Layer, Turn, Walk};

/// What a packet turned out to be.
#[derive(Clone, Copy, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "nearly every packet is the large one, and it is handed on at once"
)]
pub enum Dissected<'a> {
    /// It carries a TCP segment.
    Tcp(TcpPacket<'a>),
    /// It carries a report of ICMP about a TCP segment.
    Icmp(IcmpReport),
    /// A part of a larger packet, of which others are missing. The last to come gives what all are.
    Fragment,
    /// It carries something else.
    NotTcp(Carried),
    /// It makes no sense, or too little of it was captured.
    Unreadable {
        /// What is wrong.
        why: Why,
        /// At which byte of the packet, counted from 0; in fragments that were put together, of what they carry.
        offset: u32,
    },
}

/// A TCP segment with what its packet says about it.
#[derive(Clone, Copy, Debug)]
pub struct TcpPacket<'a> {
    /// Whose it is.
    pub source: IpAddr,
    /// Whose it shall be: the end of a prescribed route.
    pub destination: IpAddr,
    /// The identification of IPv4's header; IPv6 has none.
    pub identification: Option<u16>,
    /// Over how many more routers it may go: the TTL of IPv4.
    pub hop_limit: u8,
    /// Whether a router met congestion.
    pub ecn: Ecn,
    /// The segment; of its options and its text what was captured.
    pub segment: Segment<'a>,
    /// How long its text really is, in bytes, by IP's header (by the frame where that says 0).
    pub text_length: u32,
    /// Whether the checksum is right.
    pub checksum: Checksum,
    /// The way it took into the packet.
    pub path: PathKey,
}

/// What became of the checksum of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Checksum {
    /// It is right.
    Good,
    /// It is wrong.
    Bad,
    /// It covers the pseudo-header alone: the sender's network card was to complete it. The packet was captured
    /// on the sender's host before that, and says nothing about what went over the wire.
    Partial,
    /// Not all that it covers was captured.
    NotCaptured,
    /// Nobody asked ([`Dissector::verify_checksums`]).
    NotChecked,
}

/// A report of ICMP about a TCP segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IcmpReport {
    /// Who reports what about which segment.
    pub message: IcmpMessage,
    /// The way it took into its packet.
    pub path: PathKey,
}

/// Why a packet cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// No way is known to take packets of that link apart.
    LinkType(LinkType),
    /// The capture kept too little of the packet (its snapshot length).
    Cut,
    /// The packet ends within a header.
    TooShort,
    /// IP of another version than 4 and 6.
    IpVersion(u8),
    /// An IPv4 header that calls itself shorter than 20 bytes.
    IpHeaderLength {
        /// What it says.
        bytes: u8,
    },
    /// An IP packet that calls itself shorter than its header.
    IpLength {
        /// What it says, in bytes.
        told: u32,
        /// How long its header is.
        header: u32,
    },
    /// A version of GRE other than 0 and 1.
    GreVersion(u8),
    /// GRE with a route (RFC 1701), which RFC 2784 took away.
    GreRouting,
    /// A fragment within packets that were fragmented themselves.
    NestedFragments,
    /// A TCP header that calls itself shorter than 20 bytes, or longer than the segment.
    TcpHeaderLength {
        /// What it says, in bytes.
        bytes: u8,
    },
    /// An ICMP message that was damaged on its way.
    IcmpChecksum,
    /// More layers than a packet that means well has.
    TooDeep,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkType(link) => write!(f, "{link} is not known here"),
            Self::Cut => {
                f.write_str("too little of the packet was captured; capture with a larger snapshot length")
            }
            Self::TooShort => f.write_str("the packet ends within a header"),
            Self::IpVersion(version) => write!(f, "IP has no version {version} here, only 4 and 6"),
            Self::IpHeaderLength { bytes } => write!(f, "an IPv4 header of {bytes} bytes cannot be"),
            Self::IpLength { told, header } => {
                write!(f, "an IP packet of {told} bytes has a header of {header}")
            }
            Self::GreVersion(version) => write!(f, "GRE has no version {version}"),
            Self::GreRouting => f.write_str("GRE with a route is obsolete and not read"),
            Self::NestedFragments => {
                f.write_str("a fragment in a packet that was fragmented itself is not read")
            }
            Self::TcpHeaderLength { bytes } => write!(f, "a TCP header of {bytes} bytes does not fit"),
            Self::IcmpChecksum => f.write_str("the checksum of the ICMP message is wrong"),
            Self::TooDeep => f.write_str("there are more layers than a sound packet has"),
        }
    }
}

/// Takes packets apart. It keeps fragments until all are there, within [`ReassemblyLimits`].
#[derive(Debug)]
pub struct Dissector {
    reassembly: Reassembly,
    /// The datagram that was put together last.
    datagram: Option<Datagram>,
    verify_checksums: bool,
}

impl Default for Dissector {
    fn default() -> Self {
        Self::new(ReassemblyLimits::default())
    }
}

impl Dissector {
    /// One that keeps so much of fragments, and verifies checksums.
    pub fn new(limits: ReassemblyLimits) -> Self {
        Self { reassembly: Reassembly::new(limits), datagram: None, verify_checksums: true }
    }

    /// Whether to verify the checksums of TCP.
    pub fn verify_checksums(&mut self, verify: bool) {
        self.verify_checksums = verify;
    }

    /// What became of fragments so far.
    pub fn reassembly(&self) -> ReassemblyStatistics {
        self.reassembly.statistics
    }

    /// Takes a packet apart.
    ///
    /// What comes back is large. Who looks at millions of packets borrows from it (`if let Dissected::Tcp(tcp) =
    /// &dissected`) and does not move it.
    #[inline]
    pub fn dissect<'a>(&'a mut self, packet: &Packet<'a>) -> Dissected<'a> {
        let mut dissected = Dissected::Fragment;
        self.dissect_into(packet, &mut dissected);
        dissected
    }

    fn dissect_into<'a>(&'a mut self, packet: &Packet<'a>, dissected: &mut Dissected<'a>) {
        let rest = Rest::new(packet.data, packet.original_length as usize);
        let mut walk = Walk { rest, path: PathKey::at(packet.interface), ip: Ip::NONE };
        if ordinary(&mut walk, packet.link).is_some() {
            tcp(&walk, self.verify_checksums, dissected);
        } else {
            *dissected = self.dissect_any(packet, rest);
        }
    }

    #[cold]
    fn dissect_any<'a>(&'a mut self, packet: &Packet<'a>, rest: Rest<'a>) -> Dissected<'a> {
        let Some(first) = link::first(packet.link) else {
            return Dissected::Unreadable { why: Why::LinkType(packet.link), offset: 0 };
        };
        let mut walk = Walk { rest, path: PathKey::at(packet.interface), ip: Ip::NONE };
        let header = match walk.run(first) {
            Ok(Found::Tcp) => return tcp_of(&walk, self.verify_checksums),
            Ok(Found::Fragment(header)) => header,
            other => return conclude(&walk, other),
        };
        let Walk { rest, path, ip } = walk;
        // Pieces of one IPv4 datagram share their protocol; IPv6 tells it in the first of them.
        let key = Key {
            source: ip.source.into(),
            destination: ip.destination.into(),
            identification: header.identification,
            protocol: if ip.source.is_v4() { header.protocol } else { 0 },
            path,
        };
        let fragment = Fragment {
            key,
            ip,
            protocol: header.protocol,
            start: header.start,
            more: header.more,
            bytes: rest.bytes,
            length: rest.length,
        };
        self.datagram = self.reassembly.add(packet.time, &fragment);
        let Some(datagram) = &self.datagram else { return Dissected::Fragment };
        let mut walk =
            Walk { rest: Rest::new(&datagram.bytes, datagram.length), path: datagram.path, ip: datagram.ip };
        let found = match walk.run(Layer::Payload(datagram.protocol)) {
            Ok(Found::Tcp) => return tcp_of(&walk, self.verify_checksums),
            Ok(Found::Fragment(_)) => Err(Why::NestedFragments),
            other => other,
        };
        conclude(&walk, found)
    }
}

/// The walk to the segment of nearly every packet: Ethernet or none, IPv4 or IPv6, TCP. It does what the long way does,
/// without going from layer to layer.
#[inline]
fn ordinary(walk: &mut Walk<'_>, link: LinkType) -> Option<()> {
    let header = match link {
        LinkType::ETHERNET => 14,
        LinkType::LINUX_SLL => 16,
        LinkType::RAW => 0,
        _ => return None,
    };
    let kind = if header == 0 { None } else { Some(walk.rest.half(header - 2)?) };
    walk.rest.skip(header).ok()?;
    let &[first] = walk.rest.peek().ok()?;
    let turn = match (kind, first >> 4) {
        (None | Some(link::ether_type::IPV4), 4) => ip::v4(walk),
        (None | Some(link::ether_type::IPV6), 6) => ip::v6(walk),
        _ => return None,
    };
    matches!(turn, Ok(Turn::Into(Layer::Payload(walk::protocol::TCP)))).then_some(())
}

/// The segment at which a walk ended.
fn tcp_of<'a>(walk: &Walk<'a>, verify: bool) -> Dissected<'a> {
    let mut dissected = Dissected::Fragment;
    tcp(walk, verify, &mut dissected);
    dissected
}

/// The same, put where it stays: moving it costs as much as reading it.
#[inline]
fn tcp<'a>(walk: &Walk<'a>, verify: bool, dissected: &mut Dissected<'a>) {
    let Walk { rest, path, ip } = walk;
    let &Ip { source, destination, identification, hop_limit, ecn } = ip;
    let (source, destination) = (source.into(), destination.into());
    *dissected = Dissected::Tcp(TcpPacket {
        source,
        destination,
        identification,
        hop_limit,
        ecn,
        segment: Segment::default(),
        text_length: 0,
        checksum: Checksum::NotChecked,
        path: *path,
    });
    let Dissected::Tcp(packet) = dissected else { return };
    match packet.segment.read_beginning(rest.bytes) {
        Ok(header) => match rest.length.checked_sub(header) {
            Some(text_length) => {
                packet.text_length = u32::try_from(text_length).unwrap_or(u32::MAX);
                if verify {
                    packet.checksum = judge_checksum(rest, source, destination);
                }
            }
            None => *dissected = unreadable(walk, Why::TcpHeaderLength { bytes: header as u8 }),
        },
        Err(error) => *dissected = unreadable(walk, tcp_error(rest, error)),
    }
}

#[inline]
fn judge_checksum(rest: &Rest<'_>, source: IpAddr, destination: IpAddr) -> Checksum {
    if !rest.is_whole() {
        Checksum::NotCaptured
    } else if Segment::verify_checksum(rest.bytes, source, destination) {
        Checksum::Good
    } else if Segment::has_partial_checksum(rest.bytes, source, destination) {
        Checksum::Partial
    } else {
        Checksum::Bad
    }
}

fn tcp_error(rest: &Rest<'_>, error: ParseSegmentError) -> Why {
    match error {
        ParseSegmentError::TooShort { .. } => rest.lack(20),
        ParseSegmentError::DataOffsetTooSmall { words }
        | ParseSegmentError::DataOffsetBeyondEnd { words, .. } => Why::TcpHeaderLength { bytes: words * 4 },
    }
}

/// The end of a walk that led to no segment.
#[cold]
fn conclude<'a>(walk: &Walk<'_>, found: Result<Found, Why>) -> Dissected<'a> {
    match found {
        Ok(Found::NotTcp(carried)) => Dissected::NotTcp(carried),
        Ok(Found::Icmp) => icmp(walk),
        // Both were dealt with before.
        Ok(Found::Tcp | Found::Fragment(_)) => Dissected::Fragment,
        Err(why) => unreadable(walk, why),
    }
}

#[cold]
fn unreadable<'a>(walk: &Walk<'_>, why: Why) -> Dissected<'a> {
    Dissected::Unreadable { why, offset: u32::try_from(walk.rest.offset).unwrap_or(u32::MAX) }
}

/// A report about a segment, or another message.
fn icmp<'a>(walk: &Walk<'_>) -> Dissected<'a> {
    let Walk { rest, path, ip } = walk;
    let protocol = if ip.source.is_v4() { walk::protocol::ICMP } else { walk::protocol::ICMP_V6 };
    let read = if rest.is_whole() { IcmpMessage::parse } else { IcmpMessage::parse_beginning };
    match read(ip.source.into(), ip.destination.into(), rest.bytes) {
        Ok(message) => Dissected::Icmp(IcmpReport { message, path: *path }),
        Err(ParseIcmpError::TooShort) => unreadable(walk, rest.lack(8)),
        Err(ParseIcmpError::Checksum) => unreadable(walk, Why::IcmpChecksum),
        Err(ParseIcmpError::Type(_) | ParseIcmpError::NoSegment) => {
            Dissected::NotTcp(Carried::Protocol(protocol))
        }
    }
}

/// For the fuzz target and its replay: a byte that chooses the link type, then any bytes as packets of it, each with its
/// length before it.
#[doc(hidden)]
pub fn try_any_packets(bytes: &[u8]) {
    let Some((link, mut rest)) = bytes.split_first() else { return };
    let link = LinkType::ALL.get(usize::from(*link) % LinkType::ALL.len()).copied().unwrap_or_default();
    let limits = ReassemblyLimits { bytes: 4_096, datagrams: 4, nanos: 100 };
    let mut dissector = Dissector::new(limits);
    let mut number = 0;
    while let Some((&[high, low, missing], data)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([high, low])).min(data.len());
        let (data, behind) = data.split_at(length);
        rest = behind;
        number += 1;
        let mut packet = Packet::new(link, crate::Timestamp(number), data);
        packet.original_length += u32::from(missing);
        if let Dissected::Tcp(tcp) = dissector.dissect(&packet) {
            assert!(tcp.segment.text.len() <= tcp.text_length as usize);
            assert_eq!(tcp.path.steps().count(), tcp.path.identity(all_parts()).steps().count());
        }
    }
}

fn all_parts() -> PathParts {
    PathParts::VLAN | PathParts::MPLS | PathParts::TUNNEL | PathParts::INTERFACE
}
