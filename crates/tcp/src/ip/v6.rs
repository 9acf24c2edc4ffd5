//! IPv6 (RFC 8200).

use alloc::vec::Vec;
use core::net::Ipv6Addr;

use super::{Datagram, Ecn, EmitPacketError, ParsePacketError};

const HEADER_LENGTH: usize = 40;

/// The extension headers that can come before a segment. The first two are skipped.
const HOP_BY_HOP_OPTIONS: u8 = 0;
const DESTINATION_OPTIONS: u8 = 60;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const ENCAPSULATING_SECURITY: u8 = 50;
const AUTHENTICATION: u8 = 51;
const MOBILITY: u8 = 135;
const HOST_IDENTITY: u8 = 139;
const SHIM6: u8 = 140;

/// The length a whole packet has.
pub(super) fn total_length(bytes: &[u8]) -> Result<usize, ParsePacketError> {
    let too_short = ParsePacketError::TooShort { length: bytes.len() };
    let header = bytes.first_chunk::<HEADER_LENGTH>().ok_or(too_short)?;
    Ok(HEADER_LENGTH + usize::from(u16::from_be_bytes([header[4], header[5]])))
}

/// The header's fields, and all that follows the extension headers as the payload.
pub(super) fn read(bytes: &[u8]) -> Result<Datagram<'_>, ParsePacketError> {
    let too_short = ParsePacketError::TooShort { length: bytes.len() };
    let (header, mut payload) = bytes.split_first_chunk::<HEADER_LENGTH>().ok_or(too_short)?;
    let &[first, second, _, _, _, _, mut protocol, hop_limit, ref addresses @ ..] = header;
    loop {
        match protocol {
            HOP_BY_HOP_OPTIONS | DESTINATION_OPTIONS => {
                let &[next, units, ..] = payload else {
                    return Err(too_short);
                };
                payload = payload.get((usize::from(units) + 1) * 8..).ok_or(too_short)?;
                protocol = next;
            }
            FRAGMENT => return Err(ParsePacketError::Fragment),
            ROUTING | ENCAPSULATING_SECURITY | AUTHENTICATION | MOBILITY | HOST_IDENTITY | SHIM6 => {
                return Err(ParsePacketError::ExtensionHeader(protocol));
            }
            _ => break,
        }
    }
    let (addresses, _) = addresses.as_chunks::<16>();
    let &[source, destination] = addresses else {
        return Err(too_short);
    };
    Ok(Datagram {
        source: Ipv6Addr::from(source).into(),
        destination: Ipv6Addr::from(destination).into(),
        ecn: Ecn::from_bits(first << 4 | second >> 4),
        hop_limit,
        protocol,
        payload,
    })
}

pub(super) fn emit_header(
    datagram: &Datagram<'_>,
    source: Ipv6Addr,
    destination: Ipv6Addr,
    payload: usize,
    out: &mut Vec<u8>,
) -> Result<(), EmitPacketError> {
    let length = u16::try_from(payload).map_err(|_| EmitPacketError::TooLong)?;
    let mut header = [0; HEADER_LENGTH];
    header[0] = 0x60;
    header[1] = datagram.ecn.bits() << 4;
    header[4..6].copy_from_slice(&length.to_be_bytes());
    header[6] = datagram.protocol;
    header[7] = datagram.hop_limit;
    header[8..24].copy_from_slice(&source.octets());
    header[24..40].copy_from_slice(&destination.octets());
    out.reserve(HEADER_LENGTH + payload);
    out.extend_from_slice(&header);
    Ok(())
}

pub(super) fn mark_congestion(packet: &mut [u8]) -> bool {
    let Some(header) = packet.first_chunk_mut::<HEADER_LENGTH>() else {
        return false;
    };
    let capable = Ecn::from_bits(header[1] >> 4).is_capable();
    if capable {
        header[1] |= Ecn::Ce.bits() << 4;
    }
    capable
}
