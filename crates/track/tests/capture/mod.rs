//! As much of capture files as these tests need: pcap and pcapng, Ethernet with tags and labels, IPv4 and IPv6.

use std::net::IpAddr;

use eleven_tcp::{Ecn, Segment};
use eleven_track::Sighting;

/// A packet with a TCP segment in it.
pub(crate) struct Packet {
    pub(crate) number: u64,
    pub(crate) time_ns: i64,
    source: IpAddr,
    destination: IpAddr,
    identification: Option<u16>,
    hop_limit: u8,
    bytes: Vec<u8>,
    /// The length of header and text by the IP header.
    length: usize,
    checksum_bad: bool,
}

impl Packet {
    /// Hands the packet on as a sighting; nothing if it has no TCP header.
    pub(crate) fn see<R>(&self, look: impl FnOnce(&Sighting<'_>) -> R) -> Option<R> {
        let segment = Segment::parse(&self.bytes).ok()?;
        let header = segment.header_len();
        Some(look(&Sighting {
            number: self.number,
            time_ns: self.time_ns,
            source: self.source,
            destination: self.destination,
            identification: self.identification,
            hop_limit: self.hop_limit,
            ecn: Ecn::NotEct,
            segment: &segment,
            text_length: self.length.saturating_sub(header) as u32,
            checksum_bad: self.checksum_bad,
            path: 0,
        }))
    }
}

fn half(bytes: &[u8], at: usize, big: bool) -> Option<u16> {
    let raw = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(if big { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
}

fn word(bytes: &[u8], at: usize, big: bool) -> Option<u32> {
    let raw = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(if big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
}

/// The packets of a file that can be read.
pub(crate) fn read(bytes: &[u8]) -> Vec<Packet> {
    let mut packets = Vec::new();
    let magic = word(bytes, 0, true).unwrap_or(0);
    let mut number = 0;
    let mut add = |link: u32, time_ns: i64, frame: &[u8]| {
        number += 1;
        if let Some(packet) = dissect(number, link, time_ns, frame) {
            packets.push(packet);
        }
    };
    if magic == 0x0a0d_0d0a {
        let big = word(bytes, 8, true) == Some(0x1a2b_3c4d);
        let mut links = Vec::new();
        let mut at = 0;
        while let (Some(kind), Some(length)) = (word(bytes, at, big), word(bytes, at + 4, big)) {
            let Some(block) = bytes.get(at..at + length as usize).filter(|_| length >= 12) else { break };
            match kind {
                1 => links.push(u32::from(half(block, 8, big).unwrap_or(0))),
                6 => {
                    let link = links.get(word(block, 8, big).unwrap_or(0) as usize).copied().unwrap_or(1);
                    let high = u64::from(word(block, 12, big).unwrap_or(0));
                    let time = high << 32 | u64::from(word(block, 16, big).unwrap_or(0));
                    let captured = word(block, 20, big).unwrap_or(0) as usize;
                    if let Some(frame) = block.get(28..28 + captured) {
                        add(link, time.cast_signed() * 1_000, frame);
                    }
                }
                _ => {}
            }
            at += length as usize;
        }
        return packets;
    }
    let (big, nano) = match magic {
        0xa1b2_c3d4 => (true, false),
        0xd4c3_b2a1 => (false, false),
        0xa1b2_3c4d => (true, true),
        0x4d3c_b2a1 => (false, true),
        _ => return packets,
    };
    let link = word(bytes, 20, big).unwrap_or(1);
    let mut at = 24;
    while let (Some(seconds), Some(part), Some(captured)) =
        (word(bytes, at, big), word(bytes, at + 4, big), word(bytes, at + 8, big))
    {
        let Some(frame) = bytes.get(at + 16..at + 16 + captured as usize) else { break };
        let part = i64::from(part) * if nano { 1 } else { 1_000 };
        add(link, i64::from(seconds) * 1_000_000_000 + part, frame);
        at += 16 + captured as usize;
    }
    packets
}

fn dissect(number: u64, link: u32, time_ns: i64, frame: &[u8]) -> Option<Packet> {
    let ip = match link {
        0 => frame.get(4..)?,
        1 => below_ethernet(frame.get(12..)?)?,
        101 | 12 => frame,
        113 => below_ethernet(frame.get(14..)?)?,
        _ => return None,
    };
    let version = ip.first()? >> 4;
    let (source, destination, identification, hop_limit, tcp, length): (IpAddr, IpAddr, _, _, _, usize) =
        match version {
            4 => {
                let header = usize::from(ip[0] & 0xf) * 4;
                let total = usize::from(half(ip, 2, true)?);
                let total = if total == 0 { ip.len() } else { total };
                if *ip.get(9)? != 6 || half(ip, 6, true)? & 0x3fff != 0 {
                    return None;
                }
                let source: [u8; 4] = ip.get(12..16)?.try_into().ok()?;
                let destination: [u8; 4] = ip.get(16..20)?.try_into().ok()?;
                let tcp = ip.get(header..ip.len().min(total))?;
                (
                    source.into(),
                    destination.into(),
                    half(ip, 4, true),
                    ip[8],
                    tcp,
                    total.saturating_sub(header),
                )
            }
            6 => {
                let length = usize::from(half(ip, 4, true)?);
                if *ip.get(6)? != 6 {
                    return None;
                }
                let source: [u8; 16] = ip.get(8..24)?.try_into().ok()?;
                let destination: [u8; 16] = ip.get(24..40)?.try_into().ok()?;
                let tcp = ip.get(40..ip.len().min(40 + length))?;
                (source.into(), destination.into(), None, ip[7], tcp, length)
            }
            _ => return None,
        };
    let whole = tcp.len() >= length;
    let checksum_bad = whole && !Segment::verify_checksum(tcp, source, destination);
    let bytes = tcp.to_vec();
    Some(Packet {
        number,
        time_ns,
        source,
        destination,
        identification,
        hop_limit,
        bytes,
        length,
        checksum_bad,
    })
}

/// From the type of the payload on: tags and labels are taken off.
fn below_ethernet(mut bytes: &[u8]) -> Option<&[u8]> {
    loop {
        match half(bytes, 0, true)? {
            0x0800 | 0x86dd => return bytes.get(2..),
            0x8100 | 0x88a8 => bytes = bytes.get(4..)?,
            0x8864 => return bytes.get(10..),
            0x8847 => {
                let mut at = 2;
                while bytes.get(at + 2)? & 1 == 0 {
                    at += 4;
                }
                return bytes.get(at + 4..);
            }
            _ => return None,
        }
    }
}
