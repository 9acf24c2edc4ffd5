//! Numbers nobody outside can guess: SipHash-2-4 under the host's secret.

use core::net::IpAddr;

use siphasher::sip::SipHasher24;

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

/// A hash in the making: the input is put together first, because the hash is quickest on one
/// piece.
pub(crate) struct Keyed {
    key: [u8; 16],
    input: [u8; Self::CAPACITY],
    length: usize,
}

impl Keyed {
    /// A purpose, two addresses of IPv6, two ports, and a number besides.
    const CAPACITY: usize = 64;

    #[inline]
    pub(crate) fn new(secret: &Secret, purpose: Purpose) -> Self {
        Self { key: secret.0, input: [0; Self::CAPACITY], length: 0 }.push(&[purpose as u8])
    }

    #[inline]
    fn push(mut self, bytes: &[u8]) -> Self {
        let end = self.length + bytes.len();
        debug_assert!(end <= Self::CAPACITY);
        if let Some(place) = self.input.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
        self
    }

    /// An address. Its family counts: `::ffff:10.0.0.1` is not `10.0.0.1`.
    #[must_use]
    #[inline]
    pub(crate) fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.push(&[4]).push(&address.octets()),
            IpAddr::V6(address) => self.push(&[6]).push(&address.octets()),
        }
    }

    #[must_use]
    #[inline]
    pub(crate) fn port(self, port: u16) -> Self {
        self.push(&port.to_be_bytes())
    }

    #[must_use]
    #[inline]
    pub(crate) fn number(self, number: u64) -> Self {
        self.push(&number.to_be_bytes())
    }

    #[inline]
    pub(crate) fn finish(self) -> u64 {
        SipHasher24::new_with_key(&self.key).hash(&self.input[..self.length])
    }
}
