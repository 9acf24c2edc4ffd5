//! Connections behind each listening port: how many are idle, and whether anything watches them.

use eleven_snapshot::Socket;
use eleven_tcp::State;

use super::{Map, Netns};

/// Silence in milliseconds that counts as idle; the thresholds judge the longest.
const IDLE_MS: u64 = 60_000;
/// Silence that counts where many are silent at once.
const BRIEF_MS: u64 = 5_000;

/// What is connected to one port.
#[derive(Clone, Debug, Default)]
pub(crate) struct Port {
    pub(crate) established: u64,
    pub(crate) time_wait: u64,
    /// Idle without keepalive.
    pub(crate) unwatched: u64,
    /// The same, but only for some seconds.
    pub(crate) unwatched_brief: u64,
    /// The longest silence among those.
    pub(crate) longest_ms: u64,
    /// A process that holds one.
    pub(crate) holder: Option<(u32, std::sync::Arc<str>)>,
}

/// By namespace and local port.
#[derive(Debug, Default)]
pub(crate) struct Served(pub(crate) Map<(Netns, u16), Port>);

impl Served {
    pub(super) fn add_time_wait(&mut self, netns: Netns, port: u16) {
        self.0.entry((netns, port)).or_default().time_wait += 1;
    }

    pub(super) fn add(&mut self, netns: Netns, port: u16, socket: &Socket, idle_ms: Option<u64>) {
        if socket.state != State::Established {
            return;
        }
        let port = self.0.entry((netns, port)).or_default();
        port.established += 1;
        // On an idle connection the only timer that can run is keepalive's.
        let is_watched =
            socket.keepalive.is_some_and(|keepalive| keepalive.enabled) || socket.timer.is_some();
        if let Some(idle_ms) = idle_ms.filter(|idle| *idle >= BRIEF_MS && !is_watched) {
            if idle_ms >= IDLE_MS {
                port.unwatched += 1;
            } else {
                port.unwatched_brief += 1;
            }
            port.longest_ms = port.longest_ms.max(idle_ms);
            if port.holder.is_none() {
                port.holder = socket.owners.first().map(|owner| (owner.pid, owner.process.clone()));
            }
        }
    }
}
