//! Listeners with their queues, and sockets that are only bound.

use std::net::SocketAddr;

use eleven_snapshot::{KernelOnly, Owner, Socket};
use eleven_tcp::State;

use super::{Netns, Set};

/// Listeners kept; no host has more that matter.
const KEPT: usize = 65_536;
/// Owners kept of one: prefork servers have dozens.
const OWNERS: usize = 64;

/// A listener, or a socket that is only bound.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) netns: Netns,
    pub(crate) at: SocketAddr,
    pub(crate) interface: Option<std::sync::Arc<str>>,
    pub(crate) queue: Option<u32>,
    pub(crate) limit: Option<u32>,
    pub(crate) owners: Vec<Owner>,
    pub(crate) user: Option<std::sync::Arc<str>>,
    pub(crate) hidden_owner: bool,
    /// It is not among the listeners that are expected, where somebody said which are.
    pub(crate) is_unexpected: bool,
}

impl Listener {
    /// Whether no further connection fits: the kernel compares with "more than".
    pub(crate) fn is_full(&self) -> bool {
        self.queue.zip(self.limit).is_some_and(|(queue, limit)| queue >= limit.max(1))
    }

    /// Whether a connection to `to` ends here, within one namespace.
    pub(crate) fn takes(&self, to: SocketAddr) -> bool {
        self.at.port() == to.port() && (self.at.ip().is_unspecified() || self.at.ip() == to.ip())
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pub(crate) all: Vec<Listener>,
    pub(crate) bound: Vec<Listener>,
    ports: Set<(Netns, u16)>,
    /// Somebody said which listeners are expected.
    pub(crate) has_expectations: bool,
}

impl Listeners {
    pub(super) fn add(&mut self, netns: Netns, socket: &Socket) {
        let port = socket.local_port.unwrap_or_default();
        let is_listener = socket.state == State::Listen;
        if is_listener {
            self.ports.insert((netns, port));
        }
        let into = if is_listener { &mut self.all } else { &mut self.bound };
        if into.len() < KEPT {
            into.push(Listener {
                netns,
                at: SocketAddr::new(socket.local_address.to_canonical(), port),
                interface: socket.interface.clone(),
                queue: socket.backlog,
                limit: socket.backlog_limit,
                owners: socket.owners.iter().take(OWNERS).cloned().collect(),
                user: socket.user.clone(),
                hidden_owner: socket.no_owner == Some(KernelOnly::Unreadable),
                is_unexpected: false,
            });
        }
    }

    /// Takes over which ports are listened on: connections may come before their listener.
    pub(super) fn know(&mut self, earlier: &Self) {
        self.ports.extend(&earlier.ports);
    }

    /// Whether somebody listens on a port.
    pub(crate) fn has_port(&self, netns: Netns, port: u16) -> bool {
        self.ports.contains(&(netns, port))
    }

    /// The listener that a connection with this local end came from.
    pub(crate) fn at(&self, netns: Netns, local: SocketAddr) -> Option<&Listener> {
        self.all.iter().find(|listener| listener.netns == netns && listener.takes(local))
    }

    /// The full listener to which a connection from the same host goes, if there is one.
    pub(crate) fn full_at(&self, to: SocketAddr) -> Option<&Listener> {
        self.all.iter().find(|listener| listener.is_full() && listener.takes(to))
    }
}
