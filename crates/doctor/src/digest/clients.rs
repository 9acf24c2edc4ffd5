//! Connections of one client to one local port: who reconnects leaves dead ones behind.
//!
//! A host has too many clients to keep a record of each. The first look names those to whom data
//! is repeated in vain, which are few; the second counts all that these have open.

use std::net::IpAddr;

use eleven_snapshot::{Socket, TimerKind};
use eleven_tcp::State;

use super::{Map, Netns, Tuple};

/// Clients kept.
const KEPT: usize = 20_000;
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
}

impl Clients {
    /// Counts all that the clients of an earlier look have open.
    pub(super) fn ask(&mut self, earlier: &Self) {
        self.all.extend(earlier.all.keys().map(|key| (*key, Client::default())));
    }

    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket, idle_ms: Option<u64>) {
        let is_unanswered =
            socket.timer.is_some_and(|timer| timer.kind == TimerKind::Retransmit && timer.retransmits > 1);
        if self.all.is_empty() && !is_unanswered {
            return;
        }
        let key = (netns, tuple.local.port(), tuple.remote.ip());
        let has_room = self.all.len() < KEPT;
        let client = match self.all.get_mut(&key) {
            Some(client) => client,
            None if is_unanswered && has_room => self.all.entry(key).or_default(),
            None => return,
        };
        client.count += 1;
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
