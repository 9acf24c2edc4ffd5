//! Losses by remote network: /24, and /48 of IPv6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use eleven_snapshot::Socket;

use super::info::{self, FIELDS};
use super::{Map, Netns, Tuple};

/// Prefixes from which on clean ones are dropped.
const PRUNE_AT: usize = 100_000;

/// What went to one prefix.
#[derive(Clone, Debug, Default)]
pub(crate) struct Path {
    pub(crate) connections: u64,
    /// Segments with data, repeats included.
    pub(crate) segments: u64,
    pub(crate) repeated: u64,
    /// The connection with the most repeats.
    pub(crate) worst: Option<(Tuple, u64)>,
}

/// By namespace and prefix.
#[derive(Debug, Default)]
pub(crate) struct Paths(pub(crate) Map<(Netns, IpAddr), Path>);

/// The network an address belongs to.
pub(crate) fn prefix(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(address) => Ipv4Addr::from_bits(address.to_bits() & 0xffff_ff00).into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !(u128::MAX >> 48)).into(),
    }
}

impl Paths {
    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket) {
        let Some(segments) = info::value(socket, FIELDS.data_segs_out).filter(|segments| *segments > 0)
        else {
            return;
        };
        let repeated = info::value(socket, FIELDS.total_retrans).unwrap_or(0);
        let key = (netns, prefix(tuple.remote.ip()));
        if self.0.len() >= PRUNE_AT && !self.0.contains_key(&key) {
            self.0.retain(|_, path| path.repeated > 0);
            if self.0.len() >= PRUNE_AT && repeated == 0 {
                return;
            }
        }
        let path = self.0.entry(key).or_default();
        path.connections += 1;
        path.segments += segments;
        path.repeated += repeated;
        if repeated > path.worst.map_or(0, |(_, most)| most) {
            path.worst = Some((tuple, repeated));
        }
    }
}
