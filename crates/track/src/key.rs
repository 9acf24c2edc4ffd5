//! Addresses and ports of a flow, and their keyed hash.

use core::hash::{BuildHasher, Hasher};
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use foldhash::quality::FixedState;

use crate::Sighting;

/// The two sockets of a flow, the lower one first, so that both directions have the same key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// Two IPv4 addresses as numbers, two ports.
    V4 { addresses: [u32; 2], ports: [u16; 2] },
    /// Anything else; rare enough to live elsewhere.
    V6(Box<Wide>),
}

/// The sockets of a flow of IPv6.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wide {
    pub(crate) addresses: [u128; 2],
    pub(crate) ports: [u16; 2],
    /// Whether an address is one of IPv4: then it is in the low 32 bits.
    pub(crate) narrow: [bool; 2],
}

/// A key before it is known whether it has to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sockets {
    V4 { addresses: [u32; 2], ports: [u16; 2] },
    V6(Wide),
}

/// A key, its hash, and which way the sighting went.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Located {
    pub(crate) sockets: Sockets,
    pub(crate) path: u64,
    pub(crate) hash: u64,
    /// Whether the sender is the second of the two sockets.
    pub(crate) reversed: bool,
}

impl Sockets {
    /// Nobody's.
    pub(crate) const NONE: Self = Self::V4 { addresses: [0; 2], ports: [0; 2] };

    /// The sockets of a segment from one to another, and whether the sender is the second.
    #[inline]
    pub(crate) fn of(source: IpAddr, destination: IpAddr, ports: (u16, u16)) -> (Self, bool) {
        if let (IpAddr::V4(from), IpAddr::V4(to)) = (source, destination) {
            let (from, to) = (from.to_bits(), to.to_bits());
            let reversed = (from, ports.0) > (to, ports.1);
            let sockets = if reversed {
                Self::V4 { addresses: [to, from], ports: [ports.1, ports.0] }
            } else {
                Self::V4 { addresses: [from, to], ports: [ports.0, ports.1] }
            };
            return (sockets, reversed);
        }
        let wide = |address: IpAddr| match address {
            IpAddr::V4(address) => (u128::from(address.to_bits()), true),
            IpAddr::V6(address) => (address.to_bits(), false),
        };
        let (from, to) = (wide(source), wide(destination));
        let reversed = (from, ports.0) > (to, ports.1);
        let ((low, low_port), (high, high_port)) =
            if reversed { ((to, ports.1), (from, ports.0)) } else { ((from, ports.0), (to, ports.1)) };
        let wide = Wide { addresses: [low.0, high.0], ports: [low_port, high_port], narrow: [low.1, high.1] };
        (Self::V6(wide), reversed)
    }

    #[inline]
    pub(crate) fn hash(&self, path: u64, secret: &Secret) -> u64 {
        let mut hasher = secret.hasher();
        match self {
            Self::V4 { addresses, ports } => {
                hasher.write_u64(u64::from(addresses[0]) << 32 | u64::from(addresses[1]));
                hasher.write_u32(u32::from(ports[0]) << 16 | u32::from(ports[1]));
            }
            Self::V6(wide) => {
                hasher.write_u128(wide.addresses[0]);
                hasher.write_u128(wide.addresses[1]);
                hasher.write_u32(u32::from(wide.ports[0]) << 16 | u32::from(wide.ports[1]));
                hasher.write_u8(u8::from(wide.narrow[0]) << 1 | u8::from(wide.narrow[1]));
            }
        }
        if path != 0 {
            hasher.write_u64(path);
        }
        hasher.finish()
    }
}

/// What makes hashes hard to aim at: who sends packets does not know it.
#[derive(Clone, Debug)]
pub(crate) struct Secret(FixedState);

impl Secret {
    #[inline]
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        let bits = u128::from_ne_bytes(*key);
        Self(FixedState::with_seed((bits >> 64) as u64 ^ (bits as u64).rotate_left(32)))
    }

    #[inline]
    pub(crate) fn hasher(&self) -> impl Hasher + use<> {
        self.0.build_hasher()
    }

    /// Of a socket, or with port 0 of a host.
    pub(crate) fn hash(&self, address: IpAddr, port: u16) -> u64 {
        let mut hasher = self.hasher();
        match address {
            IpAddr::V4(address) => hasher.write_u32(address.to_bits()),
            IpAddr::V6(address) => hasher.write_u128(address.to_bits()),
        }
        hasher.write_u16(port);
        hasher.finish()
    }
}

impl Located {
    /// Where a sighting belongs.
    #[inline]
    pub(crate) fn of(sighting: &Sighting<'_>, secret: &Secret) -> Self {
        let ports = (sighting.segment.source_port, sighting.segment.destination_port);
        let (sockets, reversed) = Sockets::of(sighting.source, sighting.destination, ports);
        let hash = sockets.hash(sighting.path, secret);
        Self { sockets, path: sighting.path, hash, reversed }
    }
}

impl Key {
    pub(crate) fn keep(sockets: &Sockets) -> Self {
        match *sockets {
            Sockets::V4 { addresses, ports } => Self::V4 { addresses, ports },
            Sockets::V6(wide) => Self::V6(Box::new(wide)),
        }
    }

    #[inline]
    pub(crate) fn is(&self, sockets: &Sockets) -> bool {
        match (self, sockets) {
            (Self::V4 { addresses, ports }, Sockets::V4 { addresses: others, ports: other_ports }) => {
                addresses == others && ports == other_ports
            }
            (Self::V6(wide), Sockets::V6(other)) => **wide == *other,
            _ => false,
        }
    }

    /// Whether it is kept elsewhere.
    #[inline]
    pub(crate) const fn is_wide(&self) -> bool {
        matches!(self, Self::V6(_))
    }

    pub(crate) fn sockets(&self) -> Sockets {
        match self {
            Self::V4 { addresses, ports } => Sockets::V4 { addresses: *addresses, ports: *ports },
            Self::V6(wide) => Sockets::V6(**wide),
        }
    }

    /// The first or the second socket.
    pub(crate) fn socket(&self, second: bool) -> SocketAddr {
        let index = usize::from(second);
        match self {
            Self::V4 { addresses, ports } => {
                SocketAddr::new(Ipv4Addr::from_bits(addresses[index]).into(), ports[index])
            }
            Self::V6(wide) => {
                let address = if wide.narrow[index] {
                    IpAddr::V4(Ipv4Addr::from_bits(wide.addresses[index] as u32))
                } else {
                    IpAddr::V6(Ipv6Addr::from_bits(wide.addresses[index]))
                };
                SocketAddr::new(address, wide.ports[index])
            }
        }
    }
}
