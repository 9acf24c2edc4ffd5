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
}

/// By namespace and prefix.
#[derive(Debug, Default)]
pub(crate) struct Paths {
    pub(crate) all: Map<(Netns, IpAddr), Path>,
    /// Of those that repeat, the connection with the most repeats.
    pub(crate) worst: Map<(Netns, IpAddr), (Tuple, u64)>,
    pruned: bool,
}

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
        if self.all.len() >= PRUNE_AT && !self.all.contains_key(&key) {
            if repeated == 0 {
                return;
            }
            // Once; later ones find no room, rather than cost a walk each.
            if !self.pruned {
                self.pruned = true;
                self.all.retain(|_, path| path.repeated > 0);
            }
            if self.all.len() >= PRUNE_AT {
                return;
            }
        }
        let path = self.all.entry(key).or_default();
        path.connections += 1;
        path.segments += segments;
        path.repeated += repeated;
        if repeated > 0 && (self.worst.len() < PRUNE_AT || self.worst.contains_key(&key)) {
            let worst = self.worst.entry(key).or_insert((tuple, repeated));
            if repeated > worst.1 {
                *worst = (tuple, repeated);
            }
        }
    }
}
