//! Numbers nobody outside can guess: SipHash-2-4 under the host's secret.

use core::hash::Hasher;
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

/// A hash in the making.
pub(crate) struct Keyed(SipHasher24);

impl Keyed {
    pub(crate) fn new(secret: &Secret, purpose: Purpose) -> Self {
        let mut hasher = SipHasher24::new_with_key(&secret.0);
        hasher.write_u8(purpose as u8);
        Self(hasher)
    }

    /// An address. Its family counts: `::ffff:10.0.0.1` is not `10.0.0.1`.
    #[must_use]
    pub(crate) fn address(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => {
                self.0.write_u8(4);
                self.0.write(&address.octets());
            }
            IpAddr::V6(address) => {
                self.0.write_u8(6);
                self.0.write(&address.octets());
            }
        }
        self
    }

    #[must_use]
    pub(crate) fn port(mut self, port: u16) -> Self {
        self.0.write(&port.to_be_bytes());
        self
    }

    #[must_use]
    pub(crate) fn number(mut self, number: u64) -> Self {
        self.0.write(&number.to_be_bytes());
        self
    }

    pub(crate) fn finish(self) -> u64 {
        self.0.finish()
    }
}
