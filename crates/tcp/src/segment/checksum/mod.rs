//! The Internet checksum (RFC 1071) over a segment and its pseudo-header (RFC 9293 §3.1,
//! RFC 8200 §8.1).
//!
//! A one's complement sum does not care in which order its words are added, nor how wide they
//! are while it is taken, nor (up to swapping the two bytes of the outcome) in which byte order
//! they are read (RFC 1071 §2). So bytes are added as the machine likes best and put right at
//! the end.

use alloc::vec::Vec;
use core::net::IpAddr;

#[cfg(all(feature = "std", target_arch = "x86_64"))]
mod x86;

/// The one's complement sum of the bytes as 16-bit words in network order, folded to 16 bits. An odd
/// last byte counts as if a zero followed.
#[inline]
pub(crate) fn sum(bytes: &[u8]) -> u16 {
    if bytes.len() < FEW {
        return u16::from_be(fold(sum_of_few(bytes)));
    }
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if let Some(sum) = x86::sum(bytes) {
        return u16::from_be(fold(sum));
    }
    u16::from_be(fold(sum_portably(bytes)))
}

/// Appends the bytes to `out` and gives their [`sum`], looking at each only once if possible.
#[inline]
pub(crate) fn copy_and_sum(bytes: &[u8], out: &mut Vec<u8>) -> u16 {
    if bytes.len() < FEW {
        out.extend_from_slice(bytes);
        return u16::from_be(fold(sum_of_few(bytes)));
    }
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if let Some(sum) = x86::copy_and_sum(bytes, out) {
        return u16::from_be(fold(sum));
    }
    out.extend_from_slice(bytes);
    u16::from_be(fold(sum_portably(bytes)))
}

/// The sum of two strings of bytes put together, from the sums of both.
#[inline]
pub(crate) fn join(first: u16, first_length: usize, second: u16) -> u16 {
    // Behind an odd number of bytes, what was the high half of a word is the low half (RFC 1071 §2 B).
    let second = if first_length.is_multiple_of(2) { second } else { second.swap_bytes() };
    fold(u64::from(first) + u64::from(second))
}

/// The sum of the pseudo-header for so many bytes of a protocol of IP, not folded: less than 2⁴⁰ for any length IP can
/// tell.
///
/// IPv4 and IPv6 lay it out differently, but the words in it that are not zero are the same.
#[inline]
pub(crate) fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: usize) -> u64 {
    sum_of_address(source) + sum_of_address(destination) + u64::from(protocol) + length as u64
}

#[inline]
fn sum_of_address(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            [bits, bits >> 32, bits >> 64, bits >> 96].into_iter().map(|word| u64::from(word as u32)).sum()
        }
    }
}

/// Adds the carries back in until 16 bits are left. The outcome is zero only for zero.
#[inline]
pub(crate) const fn fold(sum: u64) -> u16 {
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 32) + (sum & 0xffff_ffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    let sum = (sum >> 16) + (sum & 0xffff);
    sum as u16
}

/// So many words of 32 bits are added side by side: two SSE2 or Neon registers.
const LANES: usize = 8;

/// The sum in the machine's byte order, not folded. Laid out so that compilers vectorise it.
fn sum_portably(bytes: &[u8]) -> u64 {
    /// As many bytes as can be added before a lane could overflow: 2¹⁵ words of 2¹⁶ at most.
    const STRETCH: usize = 1 << 20;

    let mut total = 0;
    for stretch in bytes.chunks(STRETCH) {
        // The high halves of the words are added exactly, and the words as a whole modulo 2³²: the difference
        // is the sum of the low halves. That is one operation less than taking the words apart.
        let (mut high, mut whole) = ([0_u32; LANES], [0_u32; LANES]);
        let (blocks, rest) = stretch.as_chunks::<{ LANES * 4 }>();
        for block in blocks {
            let (words, _) = block.as_chunks::<4>();
            for ((high, whole), word) in high.iter_mut().zip(&mut whole).zip(words) {
                let word = u32::from_ne_bytes(*word);
                *whole = whole.wrapping_add(word);
                *high = high.wrapping_add(word >> 16);
            }
        }
        for (high, whole) in high.into_iter().zip(whole) {
            total += u64::from(high) + u64::from(whole.wrapping_sub(high << 16));
        }
        total += sum_of_few(rest);
    }
    total
}

/// Below this, vectors are not worth their beginning and end: headers above all.
const FEW: usize = 128;

/// The same for few bytes.
#[inline]
fn sum_of_few(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut sum = 0_u64;
    for word in words {
        // The carry out of the highest bit comes back in at the lowest, as everywhere in this arithmetic.
        let (added, carry) = sum.overflowing_add(u64::from_ne_bytes(*word));
        sum = added + u64::from(carry);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let last = u64::from_ne_bytes(last);
    (sum >> 32) + (sum & 0xffff_ffff) + (last >> 32) + (last & 0xffff_ffff)
}

#[cfg(test)]
mod tests;
