//! Processes that hold connections the peer has finished with: CLOSE_WAIT, and FIN_WAIT2 with a
//! descriptor.

use std::net::IpAddr;
use std::sync::Arc;

use eleven_snapshot::{KernelOnly, Socket};
use eleven_tcp::State;

use super::{Map, Netns, Tuple};

/// Remote addresses counted of one process.
const REMOTES: usize = 1024;

/// What one process holds in one state.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    pub(crate) process: Option<Arc<str>>,
    pub(crate) count: u64,
    /// Recv-Q 0: the program has read the end of file.
    pub(crate) read: u64,
    /// Recv-Q 1: only the end of file is unread.
    pub(crate) end_unread: u64,
    /// Recv-Q above 1: data is unread.
    pub(crate) data_unread: u64,
    /// Not yet accepted: they wait for accept, not for close.
    pub(crate) not_accepted: u64,
    remotes: Map<IpAddr, u64>,
}

impl Holding {
    /// The remote address with the most, and how many.
    pub(crate) fn main_remote(&self) -> Option<(IpAddr, u64)> {
        self.remotes
            .iter()
            .map(|(address, count)| (*address, *count))
            .max_by_key(|(address, count)| (*count, std::cmp::Reverse(*address)))
    }

    /// Remote addresses seen, at least.
    pub(crate) fn remotes(&self) -> usize {
        self.remotes.len()
    }
}

/// By namespace, process (`None` where it is out of sight) and state.
#[derive(Debug, Default)]
pub(crate) struct Holders(pub(crate) Map<(Netns, Option<u32>, State), Holding>);

impl Holders {
    pub(super) fn add(&mut self, netns: Netns, tuple: Tuple, socket: &Socket) {
        let owner = socket.owners.first();
        let key = (netns, owner.map(|owner| owner.pid), socket.state);
        let holding = self.0.entry(key).or_default();
        if holding.process.is_none() {
            holding.process = owner.map(|owner| owner.process.clone());
        }
        holding.count += 1;
        match socket.recv_queue {
            Some(0) => holding.read += 1,
            Some(1) => holding.end_unread += 1,
            Some(_) => holding.data_unread += 1,
            None => {}
        }
        holding.not_accepted += u64::from(socket.no_owner == Some(KernelOnly::NotAccepted));
        let remote = tuple.remote.ip();
        if holding.remotes.len() < REMOTES || holding.remotes.contains_key(&remote) {
            *holding.remotes.entry(remote).or_default() += 1;
        }
    }
}
