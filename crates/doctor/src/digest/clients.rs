//! Connections of one client to one local port: who reconnects leaves dead ones behind.

use std::net::IpAddr;

use eleven_snapshot::{Socket, TimerKind};
use eleven_tcp::State;

use super::{Map, Netns, Tuple};

/// Clients from which on those with a single connection are dropped.
const PRUNE_AT: usize = 200_000;
/// Silence that counts.
const SILENT_MS: u64 = 60_000;

/// What one client has open to one port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) count: u64,
    pub(crate) silent: u64,
    /// Our data to it is repeated without an answer.
    pub(crate) unanswered: u64,
    pub(crate) close_wait: u64,
    pub(crate) holder: Option<(u32, std::sync::Arc<str>)>,
}

impl Client {
    /// Connections that look dead.
    pub(crate) fn dead(&self) -> u64 {
        self.silent + self.unanswered + self.close_wait
    }
}

/// By namespace, local port and client.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    pub(crate) all: Map<(Netns, u16, IpAddr), Client>,
    limit: usize,
}

impl Clients {
    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket, idle_ms: Option<u64>) {
        let key = (netns, tuple.local.port(), tuple.remote.ip());
        if self.all.len() >= self.limit.max(PRUNE_AT) && !self.all.contains_key(&key) {
            self.all.retain(|_, client| client.count > 1);
            self.limit = PRUNE_AT.max(self.all.len() * 2);
        }
        let client = self.all.entry(key).or_default();
        client.count += 1;
        let is_unanswered =
            socket.timer.is_some_and(|timer| timer.kind == TimerKind::Retransmit && timer.retransmits > 1);
        if socket.state == State::CloseWait {
            client.close_wait += 1;
        } else if is_unanswered {
            client.unanswered += 1;
        } else if idle_ms.is_some_and(|idle| idle >= SILENT_MS) {
            client.silent += 1;
        }
        if client.holder.is_none() {
            client.holder = socket.owners.first().map(|owner| (owner.pid, owner.process.clone()));
        }
    }
}
