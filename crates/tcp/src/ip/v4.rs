//! IPv4 (RFC 791).

use alloc::vec::Vec;
use core::net::Ipv4Addr;

use super::{Datagram, Ecn, EmitPacketError, ParsePacketError};
use crate::segment::checksum;

/// Without options.
const HEADER_LENGTH: usize = 20;
/// The flag "don't fragment", among flags and fragment offset.
const DONT_FRAGMENT: u16 = 0x4000;
/// The flag "more fragments" and the offset: anything else than zero is a fragment.
const FRAGMENT: u16 = 0x3fff;

/// The length a whole packet has, checked against nothing but its header, which has to be sound.
#[inline]
pub(super) fn total_length(bytes: &[u8]) -> Result<usize, ParsePacketError> {
    let length = bytes.len();
    let (fixed, header) = header(bytes)?;
    if checksum::sum(header) != 0xffff {
        return Err(ParsePacketError::HeaderChecksum);
    }
    let told = usize::from(u16::from_be_bytes([fixed[2], fixed[3]]));
    if told < header.len() { Err(ParsePacketError::TotalLength { told, length }) } else { Ok(told) }
}

/// The header's fields, and all that follows as the payload. Its checksum is not looked at: a packet
/// that is quoted in a report may have been changed on its way.
#[inline]
pub(super) fn read(bytes: &[u8]) -> Result<Datagram<'_>, ParsePacketError> {
    let (fixed, header) = header(bytes)?;
    let &[_, traffic_class, _, _, _, _, f0, f1, hop_limit, protocol, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        fixed;
    if u16::from_be_bytes([f0, f1]) & FRAGMENT != 0 {
        return Err(ParsePacketError::Fragment);
    }
    Ok(Datagram {
        source: Ipv4Addr::new(s0, s1, s2, s3).into(),
        destination: Ipv4Addr::new(d0, d1, d2, d3).into(),
        ecn: Ecn::from_bits(traffic_class),
        hop_limit,
        protocol,
        payload: &bytes[header.len()..],
    })
}

/// The header without its options, and with them.
#[inline]
fn header(bytes: &[u8]) -> Result<(&[u8; HEADER_LENGTH], &[u8]), ParsePacketError> {
    let too_short = ParsePacketError::TooShort { length: bytes.len() };
    let fixed = bytes.first_chunk::<HEADER_LENGTH>().ok_or(too_short)?;
    let words = fixed[0] & 0xf;
    let length = usize::from(words) * 4;
    if length < HEADER_LENGTH {
        return Err(ParsePacketError::HeaderLength { words });
    }
    Ok((fixed, bytes.get(..length).ok_or(too_short)?))
}

#[inline]
pub(super) fn emit_header(
    datagram: &Datagram<'_>,
    source: Ipv4Addr,
    destination: Ipv4Addr,
    payload: usize,
    out: &mut Vec<u8>,
) -> Result<(), EmitPacketError> {
    let total = payload.checked_add(HEADER_LENGTH).and_then(|total| u16::try_from(total).ok());
    let total = total.ok_or(EmitPacketError::TooLong)?;
    let mut header = [0; HEADER_LENGTH];
    header[0] = 0x45;
    header[1] = datagram.ecn.bits();
    header[2..4].copy_from_slice(&total.to_be_bytes());
    // The identification stays zero: a packet that nobody fragments needs none (RFC 6864 §4.1).
    header[6..8].copy_from_slice(&DONT_FRAGMENT.to_be_bytes());
    header[8] = datagram.hop_limit;
    header[9] = datagram.protocol;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    let sum = checksum::sum(&header);
    header[10..12].copy_from_slice(&(!sum).to_be_bytes());
    out.reserve(usize::from(total));
    out.extend_from_slice(&header);
    Ok(())
}

pub(super) fn mark_congestion(packet: &mut [u8]) -> bool {
    let Some(header) = packet.first_chunk_mut::<HEADER_LENGTH>() else {
        return false;
    };
    if !Ecn::from_bits(header[1]).is_capable() {
        return false;
    }
    // The checksum follows the change alone, so that a broken header stays broken (RFC 1624 §3).
    let before = u16::from_be_bytes([header[0], header[1]]);
    header[1] |= Ecn::Ce.bits();
    let after = u16::from_be_bytes([header[0], header[1]]);
    let checksum = u16::from_be_bytes([header[10], header[11]]);
    let sum = checksum::fold(u64::from(!checksum) + u64::from(!before) + u64::from(after));
    header[10..12].copy_from_slice(&(!sum).to_be_bytes());
    true
}
