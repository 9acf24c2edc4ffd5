//! Local ports in use toward each destination: the tuple leaves nothing else to choose.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use eleven_snapshot::Socket;
use eleven_tcp::State;

use super::{Map, Netns, Tuple};

/// Groups from which on those with a single port are dropped.
const PRUNE_AT: usize = 200_000;
/// A TIME_WAIT younger than this cannot be reused even where the kernel may (`tcp_tw_reuse_delay`).
const REUSE_DELAY_MS: u64 = 1000;

/// Ports from one local address toward one remote address and port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Group {
    pub(crate) time_wait: u64,
    /// Of those, too young to be reused.
    pub(crate) time_wait_young: u64,
    /// Age of the oldest one, in milliseconds.
    pub(crate) time_wait_oldest_ms: u64,
    pub(crate) live: u64,
    /// A process that holds one of them.
    pub(crate) holder: Option<(u32, Arc<str>)>,
}

impl Group {
    /// Ports in use.
    pub(crate) fn used(&self) -> u64 {
        self.time_wait + self.live
    }
}

/// All groups, by namespace, local address, remote address and port.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    pub(crate) groups: Map<(Netns, IpAddr, SocketAddr), Group>,
    /// Singles were dropped: counts may be a few too low.
    pub(crate) pruned: bool,
    /// After pruning did not help, new groups are no longer begun.
    limit: usize,
}

impl Ports {
    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket) {
        let key = (netns, tuple.local.ip(), tuple.remote);
        let limit = self.limit.max(PRUNE_AT);
        if self.groups.len() >= limit && !self.groups.contains_key(&key) {
            self.groups.retain(|_, group| group.used() > 1);
            self.pruned = true;
            // If most are no singles, pruning again at the same size would cost every row.
            self.limit = PRUNE_AT.max(self.groups.len() * 2);
        }
        let group = self.groups.entry(key).or_default();
        if socket.state == State::TimeWait {
            group.time_wait += 1;
            let young = socket.age_ms.is_some_and(|age| age < REUSE_DELAY_MS);
            group.time_wait_young += u64::from(young);
            group.time_wait_oldest_ms = group.time_wait_oldest_ms.max(socket.age_ms.unwrap_or(0));
        } else {
            group.live += 1;
            if group.holder.is_none() {
                group.holder = socket.owners.first().map(|owner| (owner.pid, owner.process.clone()));
            }
        }
    }
}
