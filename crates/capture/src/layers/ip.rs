//! IPv4 (RFC 791) and IPv6 (RFC 8200) with what may stand before the transport's header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use eleven_tcp::Ecn;

use super::walk::{Carried, Found, FragmentHeader, Layer, Turn, Walk, protocol};
use super::{Why, rest::Rest};

/// An address in whole words: those of [`IpAddr`] lie across them, and reading them back at once costs the processor
/// dearly.
#[derive(Clone, Copy, Debug)]
pub(super) enum Address {
    V4(u32),
    V6([u64; 2]),
}

impl Address {
    #[inline]
    pub(super) const fn is_v4(self) -> bool {
        matches!(self, Self::V4(_))
    }
}

impl From<Ipv4Addr> for Address {
    #[inline]
    fn from(address: Ipv4Addr) -> Self {
        Self::V4(address.to_bits())
    }
}

impl From<Ipv6Addr> for Address {
    #[inline]
    fn from(address: Ipv6Addr) -> Self {
        let bits = address.to_bits();
        Self::V6([(bits >> 64) as u64, bits as u64])
    }
}

impl From<Address> for IpAddr {
    #[inline]
    fn from(address: Address) -> Self {
        match address {
            Address::V4(bits) => Ipv4Addr::from_bits(bits).into(),
            Address::V6([high, low]) => Ipv6Addr::from_bits(u128::from(high) << 64 | u128::from(low)).into(),
        }
    }
}

/// What the innermost IP header says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ip {
    pub(super) source: Address,
    /// Where it shall end up, if its way is prescribed.
    pub(super) destination: Address,
    pub(super) identification: Option<u16>,
    pub(super) hop_limit: u8,
    pub(super) ecn: Ecn,
}

impl Ip {
    pub(super) const NONE: Self = Self {
        source: Address::V4(0),
        destination: Address::V4(0),
        identification: None,
        hop_limit: 0,
        ecn: Ecn::NotEct,
    };
}

/// Either version, as its first four bits say.
pub(super) fn either(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[first] = walk.rest.peek()?;
    match first >> 4 {
        4 => v4(walk),
        6 => v6(walk),
        version => Err(Why::IpVersion(version)),
    }
}

#[inline]
pub(super) fn v4(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let &[
        first,
        traffic_class,
        l0,
        l1,
        i0,
        i1,
        f0,
        f1,
        hop_limit,
        protocol,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = walk.rest.peek()?;
    let header = usize::from(first & 0xf) * 4;
    if first >> 4 != 4 {
        return Err(Why::IpVersion(first >> 4));
    }
    if header < 20 {
        return Err(Why::IpHeaderLength { bytes: header as u8 });
    }
    // Segmentation offload: a packet beyond 64 KiB, or one whose length the card was to fill in.
    let told = match u16::from_be_bytes([l0, l1]) {
        0 => walk.rest.length,
        told => usize::from(told),
    };
    if told < header {
        return Err(Why::IpLength { told: told as u32, header: header as u32 });
    }
    walk.rest.limit(told);
    let mut destination = Ipv4Addr::new(d0, d1, d2, d3);
    if header > 20 {
        let options = walk.rest.bytes.get(20..header).ok_or(walk.rest.lack(header))?;
        destination = route_end(options).unwrap_or(destination);
    }
    walk.rest.skip(header)?;
    let identification = u16::from_be_bytes([i0, i1]);
    walk.ip = Ip {
        source: Ipv4Addr::new(s0, s1, s2, s3).into(),
        destination: destination.into(),
        identification: Some(identification),
        hop_limit,
        ecn: Ecn::from_bits(traffic_class),
    };
    let flags = u16::from_be_bytes([f0, f1]);
    if flags & 0x3fff != 0 {
        return Ok(Turn::Found(Found::Fragment(FragmentHeader {
            identification: identification.into(),
            protocol,
            start: u32::from(flags & 0x1fff) * 8,
            more: flags & 0x2000 != 0,
        })));
    }
    Ok(Turn::Into(Layer::Payload(protocol)))
}

/// Where a source route ends, if it is not all gone (RFC 791 §3.1): the segment is for there.
fn route_end(mut options: &[u8]) -> Option<Ipv4Addr> {
    loop {
        match *options {
            [1, ref rest @ ..] => options = rest,
            [kind, length, ref rest @ ..] if kind != 0 && length >= 2 => {
                let data = rest.get(..usize::from(length) - 2)?;
                if let (131 | 137, [pointer, addresses @ ..]) = (kind, data) {
                    let last = addresses.last_chunk::<4>().copied()?;
                    return (*pointer <= length).then(|| last.into());
                }
                options = rest.get(usize::from(length) - 2..)?;
            }
            _ => return None,
        }
    }
}

#[inline]
pub(super) fn v6(walk: &mut Walk<'_>) -> Result<Turn, Why> {
    let header = walk.rest.take::<40>()?;
    let &[first, second, _, _, l0, l1, next, hop_limit, ..] = header;
    if first >> 4 != 6 {
        return Err(Why::IpVersion(first >> 4));
    }
    match u16::from_be_bytes([l0, l1]) {
        // Segmentation offload, or a jumbogram, whose option comes later.
        0 => {}
        told => walk.rest.limit(told.into()),
    }
    let address =
        |at: usize| header.get(at..).and_then(<[u8]>::first_chunk::<16>).copied().unwrap_or_default();
    walk.ip = Ip {
        source: Ipv6Addr::from(address(8)).into(),
        destination: Ipv6Addr::from(address(24)).into(),
        identification: None,
        hop_limit,
        ecn: Ecn::from_bits(second >> 4),
    };
    if next == protocol::TCP {
        return Ok(Turn::Into(Layer::Payload(next)));
    }
    extensions(walk, next)
}

/// Goes behind the extension headers. Each is of eight bytes at the least, so they end.
pub(super) fn extensions(walk: &mut Walk<'_>, mut next: u8) -> Result<Turn, Why> {
    loop {
        match next {
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HIP
            | protocol::SHIM6 => {
                let &[following, eights] = walk.rest.peek()?;
                let length = (usize::from(eights) + 1) * 8;
                let whole = walk.rest.bytes.get(..length).ok_or(walk.rest.lack(length))?;
                match next {
                    protocol::HOP_BY_HOP => {
                        if let Some(length) = jumbo_length(whole) {
                            walk.rest.limit(length);
                        }
                    }
                    protocol::ROUTING => {
                        if let Some(end) = routing_end(whole) {
                            walk.ip.destination = end.into();
                        }
                    }
                    _ => {}
                }
                walk.rest.skip(length)?;
                next = following;
            }
            protocol::AUTHENTICATION => next = authentication(&mut walk.rest)?,
            protocol::FRAGMENT => {
                let &[following, _, o0, o1, i0, i1, i2, i3] = walk.rest.take()?;
                let offset = u16::from_be_bytes([o0, o1]);
                next = following;
                // One that is not cut at all is "atomic" (RFC 6946).
                if offset & 0xfff9 != 0 {
                    return Ok(Turn::Found(Found::Fragment(FragmentHeader {
                        identification: u32::from_be_bytes([i0, i1, i2, i3]),
                        protocol: following,
                        start: u32::from(offset & 0xfff8),
                        more: offset & 1 != 0,
                    })));
                }
            }
            protocol::NO_NEXT => return Ok(Turn::Found(Found::NotTcp(Carried::Protocol(next)))),
            other => return Ok(Turn::Into(Layer::Payload(other))),
        }
    }
}

/// The authentication header (RFC 4302), of either version of IP; what follows it.
pub(super) fn authentication(rest: &mut Rest<'_>) -> Result<u8, Why> {
    let &[following, words] = rest.peek()?;
    rest.skip((usize::from(words) + 2) * 4)?;
    Ok(following)
}

/// The length of a jumbogram from its option (RFC 2675), counted from the end of IPv6's own header.
fn jumbo_length(header: &[u8]) -> Option<usize> {
    let mut options = header.get(2..)?;
    loop {
        match *options {
            [0, ref rest @ ..] => options = rest,
            [0xc2, 4, a, b, c, d, ..] => {
                let length = u32::from_be_bytes([a, b, c, d]);
                return (length > 65_535).then_some(length as usize);
            }
            [_, length, ref rest @ ..] => options = rest.get(usize::from(length)..)?,
            _ => return None,
        }
    }
}

/// Where a routing header leads to in the end, if the packet is not there yet: the checksum and the flow are of that
/// address (RFC 8200 §8.1).
fn routing_end(header: &[u8]) -> Option<Ipv6Addr> {
    let &[_, _, kind, left, ..] = header else { return None };
    let addresses = header.get(8..)?;
    let end = match kind {
        _ if left == 0 => return None,
        // The original one, and that of mobile IPv6: the last address.
        0 | 2 => addresses.last_chunk::<16>(),
        // Segment routing lists them from the end (RFC 8754 §2).
        4 => addresses.first_chunk::<16>(),
        _ => None,
    };
    end.map(|end| Ipv6Addr::from(*end))
}

/// Whether an IP packet may begin here that ends where the bytes do, or before: for guesses.
pub(super) fn is_plausible(rest: &Rest<'_>) -> bool {
    match *rest.bytes {
        [first, _, l0, l1, ..] if first >> 4 == 4 => {
            let (header, told) = (usize::from(first & 0xf) * 4, usize::from(u16::from_be_bytes([l0, l1])));
            let Some(header) = rest.bytes.get(..header) else { return false };
            let sum = header.chunks_exact(2).fold(0_u32, |sum, pair| match *pair {
                [high, low] => sum + u32::from(u16::from_be_bytes([high, low])),
                _ => sum,
            });
            let sum = (sum >> 16) + (sum & 0xffff);
            header.len() >= 20
                && (header.len()..=rest.length).contains(&told)
                && matches!(sum, 0xffff | 0x1_fffe)
        }
        [first, _, _, _, l0, l1, next, _, ..] if first >> 4 == 6 => {
            let told = usize::from(u16::from_be_bytes([l0, l1])) + 40;
            let known = matches!(next, 0 | 6 | 17 | 41 | 43 | 44 | 47 | 50 | 51 | 58 | 59 | 60 | 132);
            told <= rest.length && known
        }
        _ => false,
    }
}
