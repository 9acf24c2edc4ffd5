//! A SYN made by hand, from an address that nobody has.

use std::net::{Ipv4Addr, SocketAddrV4};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// Sends a SYN from `source` to `target` through the calling thread's namespace.
pub(crate) fn send_syn(source: SocketAddrV4, target: SocketAddrV4) {
    const IPPROTO_RAW: i32 = 255;
    // With this protocol the IP header comes from us, and with it the source address.
    let raw = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(IPPROTO_RAW))).expect("a raw socket");
    let packet = ip_packet(*source.ip(), *target.ip(), &syn(source, target));
    raw.send_to(&packet, &SockAddr::from(target)).expect("a route to the target");
}

fn syn(source: SocketAddrV4, target: SocketAddrV4) -> [u8; 20] {
    const DATA_OFFSET: u8 = 5 << 4;
    const SYN: u8 = 0x02;
    const WINDOW: u16 = 65_000;
    let mut header = [0; 20];
    header[0..2].copy_from_slice(&source.port().to_be_bytes());
    header[2..4].copy_from_slice(&target.port().to_be_bytes());
    header[4..8].copy_from_slice(&0x1000_0000_u32.to_be_bytes());
    (header[12], header[13]) = (DATA_OFFSET, SYN);
    header[14..16].copy_from_slice(&WINDOW.to_be_bytes());
    let mut checked = Vec::new();
    checked.extend_from_slice(&source.ip().octets());
    checked.extend_from_slice(&target.ip().octets());
    checked.extend_from_slice(&[0, 6, 0, 20]);
    checked.extend_from_slice(&header);
    header[16..18].copy_from_slice(&checksum(&checked).to_be_bytes());
    header
}

fn ip_packet(source: Ipv4Addr, target: Ipv4Addr, segment: &[u8; 20]) -> [u8; 40] {
    let mut packet = [0; 40];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&40_u16.to_be_bytes());
    (packet[8], packet[9]) = (64, 6);
    packet[12..16].copy_from_slice(&source.octets());
    packet[16..20].copy_from_slice(&target.octets());
    let sum = checksum(&packet[..20]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet[20..].copy_from_slice(segment);
    packet
}

/// RFC 1071; both inputs have an even length.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}
