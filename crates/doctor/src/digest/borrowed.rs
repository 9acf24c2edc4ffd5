//! Ports of servers that are not there: what the last one left behind, and outgoing connections that were given one.

use std::sync::Arc;

use eleven_snapshot::Socket;
use eleven_tcp::State;

use super::{Map, Netns, Tuple};

/// Ports told apart.
const KEPT: usize = 4_096;
/// A client's port is above this as a rule, on any system.
const CLIENTS: u16 = 10_000;
/// The server's end of FTP's data, which connects to its client.
const FTP_DATA: u16 = 20;

/// Ports on which services listen that are not the system's own, within the range that is often given out:
/// databases, queues, proxies, web applications.
const SERVICES: [u16; 43] = [
    1433, 1521, 1883, 2049, 2181, 2375, 2376, 2379, 2380, 3000, 3128, 3306, 3389, 4222, 4369, 5000, 5060,
    5222, 5432, 5601, 5671, 5672, 5900, 6379, 6443, 7000, 8000, 8008, 8080, 8081, 8443, 8500, 8888, 9000,
    9042, 9090, 9092, 9100, 9200, 9300, 11_211, 15_672, 27_017,
];

/// What is at such a port.
#[derive(Clone, Debug)]
pub(crate) struct AtPort {
    pub(crate) count: u64,
    pub(crate) time_wait: u64,
    pub(crate) example: Tuple,
    pub(crate) holder: Option<(u32, Arc<str>)>,
}

/// By namespace and local port.
#[derive(Debug, Default)]
pub(crate) struct Borrowed {
    /// What a server that has ended left behind.
    pub(crate) left_over: Map<(Netns, u16), AtPort>,
    /// Outgoing connections that have the port of a well-known service.
    pub(crate) taken: Map<(Netns, u16), AtPort>,
}

impl Borrowed {
    /// Takes a connection to whose local port nobody listens, as far as is known.
    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket, is_outgoing: bool) {
        let port = tuple.local.port();
        let into = if is_outgoing {
            if SERVICES.binary_search(&port).is_err() {
                return;
            }
            &mut self.taken
        } else {
            // Who has a port outside the range of clients, and a client at the other end, was the server.
            let was_server = tuple.remote.port() >= CLIENTS && port != FTP_DATA && port > 0;
            if !was_server || matches!(socket.state, State::SynSent | State::SynReceived) {
                return;
            }
            &mut self.left_over
        };
        if into.len() >= KEPT && !into.contains_key(&(netns, port)) {
            return;
        }
        let at = into.entry((netns, port)).or_insert_with(|| AtPort {
            count: 0,
            time_wait: 0,
            example: tuple,
            holder: None,
        });
        at.count += 1;
        at.time_wait += u64::from(socket.state == State::TimeWait);
        if at.holder.is_none() {
            at.holder = socket.owners.first().map(|owner| (owner.pid, owner.process.clone()));
        }
    }
}
