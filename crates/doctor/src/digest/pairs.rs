//! Connections within this host whose other end does not exist.
//!
//! Both ends of such a connection are sockets of the same namespace. The first look adds every
//! end into one of a fixed number of sums, by exclusive or of a hash that is the same for both
//! ends: pairs vanish, and what is left over stays in its sum. The second look keeps ends whose
//! sum was left with something, and strikes out what it finds the other end of. So a million
//! pairs cost no memory, and an end counts as alone only when both looks agree on it.

use std::collections::hash_map::Entry;
use std::hash::BuildHasher;

use eleven_snapshot::{Socket, SocketKind};
use eleven_tcp::State;
use foldhash::fast::RandomState;

use super::{Map, Netns, Sample, Set, Tuple};

/// Sums kept: with a few thousand ends alone, most sums hold one at the most.
const SUMS: usize = 1 << 16;
/// Ends kept at once by a second look.
const KEPT: usize = 100_000;

/// Ends of connections within a namespace.
#[derive(Debug, Default)]
pub(crate) struct Pairs {
    hash: RandomState,
    sums: Vec<u64>,
    asked: Vec<u64>,
    /// Ends whose other end has not come yet; established ones with what is known of them.
    open: Map<(Netns, Tuple), Option<Sample>>,
}

/// Whether the other end can only be a socket of the same namespace.
pub(crate) fn is_within_host(tuple: Tuple) -> bool {
    tuple.remote.ip().is_loopback() || tuple.remote.ip() == tuple.local.ip()
}

impl Pairs {
    /// The pairs of a later look.
    pub(super) fn following(first: &Self) -> Self {
        Self { hash: first.hash.clone(), asked: first.sums.clone(), ..Self::default() }
    }

    /// Of both ends the same.
    fn hash(&self, netns: Netns, tuple: Tuple) -> u64 {
        let (lower, higher) = (tuple.local.min(tuple.remote), tuple.local.max(tuple.remote));
        self.hash.hash_one((netns, lower, higher))
    }

    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket, idle_ms: Option<u64>) {
        // An end in TIME_WAIT, or in FIN_WAIT2 without a program, is alone as a rule.
        if socket.kind == SocketKind::TimeWait || !is_within_host(tuple) {
            return;
        }
        let hash = self.hash(netns, tuple);
        let place = hash as usize % SUMS;
        if self.sums.is_empty() {
            self.sums = vec![0; SUMS];
        }
        self.sums[place] ^= hash;
        if self.asked.get(place).is_none_or(|sum| *sum == 0)
            || self.open.remove(&(netns, tuple.mirrored())).is_some()
        {
            return;
        }
        let is_full = self.open.len() >= KEPT;
        if let Entry::Vacant(entry) = self.open.entry((netns, tuple))
            && !is_full
        {
            let is_established = socket.state == State::Established;
            entry.insert(is_established.then(|| Sample::of(netns, tuple, socket, idle_ms)));
        }
    }

    /// Established ends that were alone in both looks, in a fixed order.
    pub(crate) fn alone(&self) -> Vec<&Sample> {
        let mut left: Map<usize, u64> = Map::default();
        let (mut locals, mut remotes) = (Set::default(), Set::default());
        for (netns, tuple) in self.open.keys() {
            let hash = self.hash(*netns, *tuple);
            *left.entry(hash as usize % SUMS).or_default() ^= hash;
            locals.insert((*netns, tuple.local));
            remotes.insert((*netns, tuple.remote));
        }
        let is_alone = |(netns, tuple): (Netns, Tuple)| {
            let place = self.hash(netns, tuple) as usize % SUMS;
            // Where the destination is rewritten on the way (NAT), both ends are alone by name,
            // and yet share the client's address.
            let is_rewritten =
                remotes.contains(&(netns, tuple.local)) || locals.contains(&(netns, tuple.remote));
            !is_rewritten && left.get(&place) == self.asked.get(place)
        };
        let mut alone: Vec<&Sample> =
            self.open.iter().filter(|(key, _)| is_alone(**key)).filter_map(|(_, end)| end.as_ref()).collect();
        alone.sort_unstable_by_key(|sample| (sample.netns, sample.tuple));
        alone
    }
}
