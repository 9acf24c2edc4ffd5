//! Connections of one client to one local port: who reconnects leaves dead ones behind.
//!
//! A host has too many clients to keep a record of each. The first look names those to whom data
//! is repeated in vain, which are few, and some of those that have a silent connection; the second
//! counts all that these have open.

use std::net::IpAddr;

use eleven_snapshot::{Socket, TimerKind};
use eleven_tcp::State;

use super::{Map, Netns, Tuple};

/// Clients kept.
const KEPT: usize = 20_000;
/// Of those, how many for their silence alone.
const KEPT_SILENT: usize = 10_000;
/// Silence that counts.
const SILENT_MS: u64 = 60_000;
/// Silence that is worth a thought where a client has several connections.
const QUIET_MS: u64 = 10_000;

/// What one client has open to one port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    pub(crate) count: u64,
    pub(crate) silent: u64,
    /// Silent too, but not for that long.
    pub(crate) quiet: u64,
    /// The shortest silence of all those.
    pub(crate) silent_for_ms: u64,
    /// Our data to it is repeated without an answer.
    pub(crate) unanswered: u64,
    pub(crate) close_wait: u64,
    /// Of the highest inode number and the highest descriptor, and whether that one is none of the dead. Both are given out
    /// in turn as a rule, the one by each processor, the other while nothing is closed.
    by_inode: (u64, bool),
    by_descriptor: (u32, bool),
    pub(crate) holder: Option<(u32, std::sync::Arc<str>)>,
}

impl Client {
    /// Connections that look dead.
    pub(crate) fn dead(&self) -> u64 {
        self.silent + self.unanswered + self.close_wait
    }

    /// Whether the newest one is none of those, as far as can be told.
    pub(crate) fn newest_lives(&self) -> bool {
        self.by_inode.1 || self.by_descriptor.1
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
        let is_unanswered = socket.timer.is_some_and(|timer| {
            matches!(timer.kind, TimerKind::Retransmit | TimerKind::Keepalive) && timer.retransmits > 1
        });
        let silent_ms = idle_ms.filter(|idle| *idle >= QUIET_MS);
        let has_room = self.all.len() < if is_unanswered { KEPT } else { KEPT_SILENT };
        let begins = (is_unanswered || silent_ms.is_some()) && has_room;
        if self.all.is_empty() && !begins {
            return;
        }
        let key = (netns, tuple.local.port(), tuple.remote.ip());
        let client = match self.all.get_mut(&key) {
            Some(client) => client,
            None if begins => self.all.entry(key).or_default(),
            None => return,
        };
        client.count += 1;
        if socket.state == State::CloseWait {
            client.close_wait += 1;
        } else if is_unanswered {
            client.unanswered += 1;
        } else if let Some(silent_ms) = silent_ms {
            if silent_ms >= SILENT_MS {
                client.silent += 1;
            } else {
                client.quiet += 1;
            }
            let is_first = client.silent + client.quiet == 1;
            client.silent_for_ms = if is_first { silent_ms } else { client.silent_for_ms.min(silent_ms) };
        }
        let lives = socket.state == State::Established && !is_unanswered && silent_ms.is_none();
        if let Some(inode) = socket.inode.filter(|inode| *inode >= client.by_inode.0) {
            client.by_inode = (inode, lives);
        }
        if let Some(owner) = socket.owners.first().filter(|owner| owner.fd >= client.by_descriptor.0) {
            client.by_descriptor = (owner.fd, lives);
        }
        if client.holder.is_none() {
            client.holder = socket.owners.first().map(|owner| (owner.pid, owner.process.clone()));
        }
    }
}
