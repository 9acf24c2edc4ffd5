//! The Internet checksum (RFC 1071) over a segment and its pseudo-header (RFC 9293 §3.1, RFC 8200 §8.1).

use core::net::IpAddr;

/// The number of TCP among the protocols of IP.
const PROTOCOL: u8 = 6;

/// The one's complement sum of the bytes, taken as 16-bit words in network order and folded to 16 bits;
/// an odd last byte counts as if a zero followed.
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    let (pairs, rest) = bytes.as_chunks::<2>();
    let words = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum::<u64>();
    let odd = rest.first().map_or(0, |byte| u64::from(*byte) << 8);
    fold(words.wrapping_add(odd))
}

/// The sum of the pseudo-header for a segment of so many bytes.
///
/// IPv4 and IPv6 lay it out differently, but the words that are not zero are the same.
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, length: usize) -> u16 {
    let address = |address| match address {
        IpAddr::V4(address) => sum(&address.octets()),
        IpAddr::V6(address) => sum(&address.octets()),
    };
    let length = fold(length as u64);
    fold(
        u64::from(address(source))
            + u64::from(address(destination))
            + u64::from(PROTOCOL)
            + u64::from(length),
    )
}

/// Adds the carries back in until 16 bits are left.
pub(crate) const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}
