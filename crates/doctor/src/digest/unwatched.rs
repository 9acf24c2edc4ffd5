//! Outgoing connections that have been idle for long, and that nothing watches.

use std::net::SocketAddr;
use std::sync::Arc;

use eleven_snapshot::Socket;

use super::{Map, Netns, Tuple, is_within_host};

/// Silence in milliseconds that counts as idle.
const IDLE_MS: u64 = 60_000;
/// Processes told apart; no host has more that matter.
const KEPT: usize = 4_096;

/// What one process holds.
#[derive(Clone, Debug)]
pub(crate) struct Unwatched {
    pub(crate) process: Option<Arc<str>>,
    pub(crate) count: u64,
    pub(crate) longest_ms: u64,
    /// The one that has been silent for the longest.
    pub(crate) longest: Tuple,
    /// The one destination that all of them have.
    pub(crate) remote: Option<SocketAddr>,
}

/// By namespace and process.
#[derive(Debug, Default)]
pub(crate) struct AllUnwatched(pub(crate) Map<(Netns, Option<u32>), Unwatched>);

impl AllUnwatched {
    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket, idle_ms: Option<u64>) {
        // On an idle connection the only timer that can run is keepalive's. Those whose other end is here are known for
        // certain.
        let is_watched =
            socket.timer.is_some() || socket.keepalive.is_some_and(|keepalive| keepalive.enabled);
        let Some(idle_ms) = idle_ms.filter(|idle| *idle >= IDLE_MS && !is_watched) else { return };
        if is_within_host(tuple) {
            return;
        }
        let owner = socket.owners.first();
        let key = (netns, owner.map(|owner| owner.pid));
        if self.0.len() >= KEPT && !self.0.contains_key(&key) {
            return;
        }
        let held = self.0.entry(key).or_insert_with(|| Unwatched {
            process: owner.map(|owner| owner.process.clone()),
            count: 0,
            longest_ms: 0,
            longest: tuple,
            remote: Some(tuple.remote),
        });
        held.count += 1;
        held.remote = held.remote.filter(|remote| *remote == tuple.remote);
        if idle_ms > held.longest_ms {
            (held.longest_ms, held.longest) = (idle_ms, tuple);
        }
    }
}
