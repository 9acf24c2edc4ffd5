//! Handshakes that are not finished: incoming by listener, outgoing by process and destination.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use eleven_snapshot::{Socket, TimerKind};

use super::{Map, Netns, Set, Tuple};

/// Sources or destinations told apart.
const DISTINCT: usize = 8192;
/// Groups kept.
const GROUPS: usize = 65_536;

/// Requests in SYN_RECV at one listener.
#[derive(Debug, Default)]
pub(crate) struct HalfOpen {
    pub(crate) count: u64,
    /// Those whose SYN+ACK has been repeated.
    pub(crate) repeated: u64,
    pub(crate) sources: Map<IpAddr, u64>,
}

/// Attempts in SYN_SENT toward one destination.
#[derive(Debug, Default)]
pub(crate) struct Destination {
    pub(crate) count: u64,
    pub(crate) repeated: u64,
    pub(crate) most_repeats: u8,
    pub(crate) process: Option<(u32, Arc<str>)>,
    pub(crate) local: Option<SocketAddr>,
}

/// Attempts in SYN_SENT of one process.
#[derive(Debug, Default)]
pub(crate) struct Attempts {
    pub(crate) process: Option<Arc<str>>,
    pub(crate) count: u64,
    pub(crate) repeated: u64,
    pub(crate) destinations: Set<SocketAddr>,
    pub(crate) addresses: Set<IpAddr>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    pub(crate) incoming: Map<(Netns, SocketAddr), HalfOpen>,
    pub(crate) destinations: Map<(Netns, SocketAddr), Destination>,
    pub(crate) processes: Map<(Netns, Option<u32>), Attempts>,
}

/// Repeats of what awaits an answer.
fn repeats(socket: &Socket) -> u8 {
    socket.timer.filter(|timer| timer.kind == TimerKind::Retransmit).map_or(0, |timer| timer.retransmits)
}

impl Handshakes {
    pub(super) fn add_incoming(&mut self, netns: Netns, tuple: Tuple, socket: &Socket) {
        let key = (netns, tuple.local);
        if self.incoming.len() >= GROUPS && !self.incoming.contains_key(&key) {
            return;
        }
        let half_open = self.incoming.entry(key).or_default();
        half_open.count += 1;
        half_open.repeated += u64::from(repeats(socket) > 0);
        let source = tuple.remote.ip();
        if half_open.sources.len() < DISTINCT || half_open.sources.contains_key(&source) {
            *half_open.sources.entry(source).or_default() += 1;
        }
    }

    pub(super) fn add_outgoing(&mut self, netns: Netns, tuple: Tuple, socket: &Socket) {
        let repeats = repeats(socket);
        let owner = socket.owners.first();
        let attempts = self.processes.entry((netns, owner.map(|owner| owner.pid))).or_default();
        attempts.process = attempts.process.take().or_else(|| owner.map(|owner| owner.process.clone()));
        attempts.count += 1;
        attempts.repeated += u64::from(repeats > 0);
        if attempts.destinations.len() < DISTINCT {
            attempts.destinations.insert(tuple.remote);
            attempts.addresses.insert(tuple.remote.ip());
        }
        let key = (netns, tuple.remote);
        if self.destinations.len() >= GROUPS && !self.destinations.contains_key(&key) {
            return;
        }
        let destination = self.destinations.entry(key).or_default();
        destination.count += 1;
        destination.repeated += u64::from(repeats > 0);
        destination.most_repeats = destination.most_repeats.max(repeats);
        destination.local = destination.local.or(Some(tuple.local));
        if destination.process.is_none() {
            destination.process = owner.map(|owner| (owner.pid, owner.process.clone()));
        }
    }
}
