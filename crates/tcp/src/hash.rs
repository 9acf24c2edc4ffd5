//! Numbers nobody outside can guess: SipHash under the host's secret.
//!
//! Addresses and ports are few whole words; taking them as words instead of as a string of bytes is half the work of
//! the hash, and a hash is taken for every segment.

use core::net::IpAddr;

use crate::FourTuple;
use crate::policy::Secret;

/// What a hash is for. The same input gives unrelated numbers for different purposes, so that what one of them
/// shows to the outside says nothing about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    SequenceNumber = 1,
    TimestampOffset,
    CookieBase,
    CookieMinute,
    PortOffset,
    PortTable,
    PortStep,
    FastOpen,
}

/// SipHash (Aumasson and Bernstein, 2012) over words in the byte order of little endians, with `C` rounds for a word
/// and `D` at the end.
#[derive(Clone, Copy)]
struct Sip<const C: usize, const D: usize> {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl<const C: usize, const D: usize> Sip<C, D> {
    #[inline]
    fn new(secret: &Secret) -> Self {
        let key = u128::from_le_bytes(secret.0);
        let (low, high) = (key as u64, (key >> 64) as u64);
        Self {
            v0: low ^ 0x736f_6d65_7073_6575,
            v1: high ^ 0x646f_7261_6e64_6f6d,
            v2: low ^ 0x6c79_6765_6e65_7261,
            v3: high ^ 0x7465_6462_7974_6573,
        }
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }

    #[inline]
    fn word(mut self, word: u64) -> Self {
        self.v3 ^= word;
        for _ in 0..C {
            self.round();
        }
        self.v0 ^= word;
        self
    }

    /// `last` holds the bytes behind the last whole word, and the length modulo 256 in its highest byte.
    #[inline]
    fn finish(self, last: u64) -> u64 {
        let mut end = self.word(last);
        end.v2 ^= 0xff;
        for _ in 0..D {
            end.round();
        }
        end.v0 ^ end.v1 ^ end.v2 ^ end.v3
    }
}

/// A SipHash-2-4 in the making, for numbers that others see.
pub(crate) struct Keyed {
    sip: Sip<2, 4>,
    words: u8,
}

impl Keyed {
    #[inline]
    pub(crate) fn new(secret: &Secret, purpose: Purpose) -> Self {
        Self { sip: Sip::new(secret), words: 0 }.number(purpose as u64)
    }

    /// An address.
    #[must_use]
    #[inline]
    pub(crate) fn address(self, address: IpAddr) -> Self {
        self.socket(address, 0)
    }

    /// An address and a port. The family counts: `::ffff:10.0.0.1` is not `10.0.0.1`.
    #[must_use]
    #[inline]
    pub(crate) fn socket(self, address: IpAddr, port: u16) -> Self {
        match address {
            IpAddr::V4(address) => {
                self.number(4 << 48 | u64::from(port) << 32 | u64::from(address.to_bits()))
            }
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.number(6 << 48 | u64::from(port) << 32).number((bits >> 64) as u64).number(bits as u64)
            }
        }
    }

    /// Both sockets of a connection.
    #[must_use]
    #[inline]
    pub(crate) fn pair(self, pair: &FourTuple) -> Self {
        self.socket(pair.local_address, pair.local_port).socket(pair.remote_address, pair.remote_port)
    }

    #[must_use]
    #[inline]
    pub(crate) fn number(self, number: u64) -> Self {
        Self { sip: self.sip.word(number), words: self.words.wrapping_add(1) }
    }

    #[inline]
    pub(crate) fn finish(self) -> u64 {
        self.sip.finish(u64::from(self.words.wrapping_mul(8)) << 56)
    }
}

/// SipHash-1-3 of a pair, for tables: quicker, and enough where nobody sees the outcome.
#[inline]
pub(crate) fn of_pair(secret: &Secret, pair: &FourTuple) -> u32 {
    let sip = Sip::<1, 3>::new(secret);
    let ports = u64::from(pair.local_port) << 16 | u64::from(pair.remote_port);
    let hash = match (pair.local_address, pair.remote_address) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            sip.word(u64::from(local.to_bits()) << 32 | u64::from(remote.to_bits())).finish(12 << 56 | ports)
        }
        (local, remote) => {
            let sip = [local, remote].into_iter().fold(sip, |sip, address| {
                let bits = match address {
                    // As an address of IPv6 that stands for it.
                    IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
                    IpAddr::V6(address) => address.to_bits(),
                };
                sip.word((bits >> 64) as u64).word(bits as u64)
            });
            sip.finish(36 << 56 | ports)
        }
    };
    hash as u32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use siphasher::sip::{SipHasher13, SipHasher24};

    use super::*;

    fn bytes(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    proptest! {
        #[test]
        fn it_is_the_siphash_that_others_know(
            key in any::<[u8; 16]>(), words in prop::collection::vec(any::<u64>(), 0..6), port in any::<u16>(),
        ) {
            let keyed = Keyed::new(&Secret(key), Purpose::CookieBase);
            let ours = words.iter().fold(keyed, |keyed, word| keyed.number(*word)).finish();
            let all: Vec<u64> = std::iter::once(Purpose::CookieBase as u64).chain(words).collect();
            prop_assert_eq!(ours, SipHasher24::new_with_key(&key).hash(&bytes(&all)));

            let pair = FourTuple { local_port: port, ..FourTuple::UNSPECIFIED };
            let mut input = [0; 12];
            input[10..].copy_from_slice(&port.to_le_bytes());
            let theirs = SipHasher13::new_with_key(&key).hash(&input) as u32;
            prop_assert_eq!(of_pair(&Secret(key), &pair), theirs);
        }
    }
}
