//! One reading of the host.

use std::sync::Arc;

use eleven_snapshot::{CounterTable, Counters, NamespaceState, Process, ProcessDetail, ReaderKind};

use crate::Digest;
use crate::digest::Kind;

/// Processes of one kind that are looked at more closely.
const DETAILED: usize = 32;

/// Processes that share a listener of which that many are looked at.
const SHARING: usize = 8;

/// What one reading of the host gave. The sockets themselves are in the digest.
#[derive(Debug)]
pub struct Look {
    /// When, in seconds since 1970-01-01 UTC.
    pub taken_at_s: f64,
    /// Identity of the boot: cookies mean nothing beyond it.
    pub boot_id: Option<String>,
    /// Release of the kernel.
    pub kernel: String,
    /// How the sockets were read.
    pub reader: Option<ReaderKind>,
    /// It was saved on purpose, to compare with: what is new since then is news.
    pub saved: bool,
    /// Inode number of the namespace the looking program was in itself.
    pub own_namespace: Option<u64>,
    /// What could not be seen, a sentence each.
    pub notes: Vec<String>,
    /// The namespaces looked into, with their counters and sysctls.
    pub namespaces: Vec<NamespaceState>,
    /// The counters of each namespace, by label, at moments between the look before and this
    /// one: they tell a burst from what goes on.
    pub pulses: Vec<Vec<(Arc<str>, Counters)>>,
    /// The processes that own sockets.
    pub processes: Vec<Process>,
    /// What those processes were doing that [`Look::wants_detail`] named.
    pub details: Vec<ProcessDetail>,
    /// The sockets.
    pub digest: Digest,
}

impl Look {
    /// The namespace with this label.
    pub fn namespace(&self, label: &str) -> Option<&NamespaceState> {
        self.namespaces.iter().find(|state| &*state.namespace.label == label)
    }

    /// Processes whose threads and descriptors say more: those that should accept, and those
    /// that hold many sockets.
    pub fn wants_detail(&self) -> Vec<u32> {
        let waiting = self.digest.listeners.all.iter().filter(|listener| listener.queue > Some(0));
        let mut wanted: Vec<u32> = waiting
            .flat_map(|listener| listener.owners.iter().take(SHARING))
            .map(|owner| owner.pid)
            .collect();
        let mut leaking: Vec<_> =
            self.digest.holders.0.iter().filter(|(_, holding)| holding.count > 1).collect();
        leaking.sort_by_key(|(_, holding)| std::cmp::Reverse(holding.count));
        wanted.extend(leaking.iter().filter_map(|((_, pid, _), _)| *pid).take(DETAILED));
        let unread = self.digest.suspects.of(Kind::Unread);
        wanted.extend(unread.iter().filter_map(|sample| Some(sample.owner.as_ref()?.pid)).take(DETAILED));
        let crowded = self.processes.iter().filter(|process| {
            process.descriptor_limit.is_some_and(|limit| process.sockets.saturating_mul(2) >= limit)
        });
        wanted.extend(crowded.map(|process| process.pid).take(DETAILED));
        wanted.sort_unstable();
        wanted.dedup();
        wanted.truncate(4 * DETAILED);
        wanted
    }

    /// What a process was doing, where it was looked at.
    pub fn detail(&self, pid: u32) -> Option<&ProcessDetail> {
        self.details.iter().find(|detail| detail.pid == pid)
    }

    /// A process that owns sockets.
    pub fn process(&self, pid: u32) -> Option<&Process> {
        self.processes.iter().find(|process| process.pid == pid)
    }
}

/// Value of a sysctl in a namespace as a number, its first one where there are several.
pub(crate) fn sysctl(state: &NamespaceState, name: &str) -> Option<u64> {
    sysctl_part(state, name, 0)
}

/// The `index`-th number of a sysctl.
pub(crate) fn sysctl_part(state: &NamespaceState, name: &str, index: usize) -> Option<u64> {
    state.sysctls.get(name)?.split_ascii_whitespace().nth(index)?.parse().ok()
}

/// A counter of `/proc/net/netstat`'s group `TcpExt`.
pub(crate) fn tcp_ext(state: &NamespaceState, name: &str) -> Option<i64> {
    tcp_ext_of(&state.counters, name)
}

/// The same, of counters alone.
pub(crate) fn tcp_ext_of(counters: &Counters, name: &str) -> Option<i64> {
    counters.get(CounterTable::Netstat, &format!("TcpExt.{name}"))
}

/// A counter of `/proc/net/snmp`'s group `Tcp`.
pub(crate) fn tcp_mib(state: &NamespaceState, name: &str) -> Option<i64> {
    tcp_mib_of(&state.counters, name)
}

/// The same, of counters alone.
pub(crate) fn tcp_mib_of(counters: &Counters, name: &str) -> Option<i64> {
    counters.get(CounterTable::Snmp, &format!("Tcp.{name}"))
}

/// A number of the line `TCP:` in `/proc/net/sockstat`.
pub(crate) fn sockstat(state: &NamespaceState, name: &str) -> Option<u64> {
    u64::try_from(state.counters.get(CounterTable::Sockstat, &format!("TCP.{name}"))?).ok()
}
